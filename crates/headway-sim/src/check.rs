//! Whether a limit was kept, decided from what was admitted when and what was published when. Nothing else.
//!
//! No demand is admitted unless all in flight, this one included, is at most the limit: that of a version in force, or,
//! for a cut that nobody could know of, of a version that was superseded less than `drain_within` ago. A version is taken
//! at its value of this instant, so a planned fall has no grace: what it replaces was never going to be in force now.

use std::collections::BTreeMap;

/// A stretch of a published curve: constant or straight, in micro-units over true time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

#[derive(Debug)]
struct Version {
    superseded_at: i64,
    stretches: Vec<Stretch>,
}

#[derive(Debug)]
pub(crate) struct Checker {
    drain_ns: i64,
    versions: Vec<Version>,
    in_flight: BTreeMap<u64, u64>,
    sum: u64,
    pub(crate) admitted: u64,
    pub(crate) violations: Vec<String>,
}

impl Checker {
    pub(crate) fn new(drain_ns: i64) -> Checker {
        Checker { drain_ns, versions: vec![], in_flight: BTreeMap::new(), sum: 0, admitted: 0, violations: vec![] }
    }

    pub(crate) fn published(&mut self, t: i64, stretches: Vec<Stretch>) {
        if let Some(last) = self.versions.last_mut() {
            last.superseded_at = t;
        }
        let oldest = t - self.drain_ns;
        self.versions.retain(|v| v.superseded_at >= oldest);
        self.versions.push(Version { superseded_at: i64::MAX, stretches });
    }

    pub(crate) fn admitted(&mut self, t: i64, operation: u64, units: u64) {
        self.in_flight.insert(operation, units);
        self.sum += units;
        self.admitted += 1;
        let allowed = self.allowed(t);
        if self.sum > allowed {
            let (sum, many) = (self.sum, self.in_flight.len());
            self.violations.push(format!("at {t} ns {sum} micro-units in {many} operations, {allowed} allowed"));
        }
    }

    pub(crate) fn ended(&mut self, operation: u64) {
        self.sum -= self.in_flight.remove(&operation).unwrap_or(0);
    }

    fn allowed(&self, t: i64) -> u64 {
        let live = self.versions.iter().filter(|v| v.superseded_at > t - self.drain_ns);
        live.map(|v| level(&v.stretches, t)).max().unwrap_or(0)
    }
}

pub(crate) fn level(stretches: &[Stretch], t: i64) -> u64 {
    let Some(s) = stretches.iter().find(|s| t < s.end) else { return 0 };
    if s.from == s.to {
        return s.from;
    }
    let (span, x) = (i128::from(s.end - s.start), i128::from((t - s.start).max(0)));
    let (from, to) = (i128::from(s.from), i128::from(s.to));
    ((from * span + (to - from) * x) / span) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(start: i64, end: i64, level: u64) -> Stretch {
        Stretch { start, end, from: level, to: level }
    }

    #[test]
    fn a_planned_fall_has_no_grace_and_an_unplanned_one_has_drain_within() {
        let mut checker = Checker::new(100);
        checker.published(0, vec![flat(0, 1_000, 2), flat(1_000, i64::MAX, 1)]);
        checker.admitted(10, 1, 1);
        checker.admitted(999, 2, 1);
        assert!(checker.violations.is_empty());
        checker.ended(1);
        checker.admitted(1_000, 3, 1);
        assert_eq!(1, checker.violations.len());

        let mut checker = Checker::new(100);
        checker.published(0, vec![flat(0, i64::MAX, 2)]);
        checker.published(1_000, vec![flat(1_000, i64::MAX, 0)]);
        checker.admitted(1_099, 1, 1);
        assert!(checker.violations.is_empty());
        checker.admitted(1_100, 2, 1);
        assert_eq!(1, checker.violations.len());
    }

    #[test]
    fn a_climb_is_taken_at_its_value_of_the_instant() {
        let climb = [Stretch { start: 0, end: 10, from: 0, to: 100 }, flat(10, i64::MAX, 100)];
        assert_eq!([0, 50, 90, 100], [0, 5, 9, 10].map(|t| level(&climb, t)));
    }
}
