//! Whether a limit was kept, decided from what was admitted when and what was published when. Nothing else.
//!
//! No demand is admitted unless all in flight, this one included, is at most the limit: that of a version in force, or,
//! for a cut that nobody could know of, of a version that was superseded less than `drain_within` ago. A version is taken
//! at its value of this instant, so a planned fall has no grace: what it replaces was never going to be in force now.
//!
//! A floor counts within the limit: what a name has in flight up to its part is set aside for it, and what is in flight
//! beyond parts is held against the limit less the floor. A demand with which a process has no more than its part is let in whatever else is in
//! flight: after a fall others have to drain, and nobody tells a gate that is cut off to wait for them.

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

/// A gate, and which of its processes.
pub(crate) type Process = (usize, u64);

#[derive(Debug)]
pub(crate) struct Checker {
    drain_ns: i64,
    versions: Vec<Version>,
    /// By operation: its process, and units.
    in_flight: BTreeMap<u64, (Process, u64)>,
    /// By process, what it has in flight.
    by_process: BTreeMap<Process, u64>,
    /// By name: its part, and what is in flight.
    parts: Vec<(u64, u64)>,
    pub(crate) admitted: u64,
    pub(crate) violations: Vec<String>,
}

impl Checker {
    /// `parts`: of each name; where there are none all gates are of one name, with nothing set aside.
    pub(crate) fn new(drain_ns: i64, parts: &[u64]) -> Checker {
        let parts = if parts.is_empty() { vec![(0, 0)] } else { parts.iter().map(|&part| (part, 0)).collect() };
        let (versions, violations, in_flight) = (vec![], vec![], BTreeMap::new());
        Checker { drain_ns, versions, in_flight, by_process: BTreeMap::new(), parts, admitted: 0, violations }
    }

    pub(crate) fn published(&mut self, t: i64, stretches: Vec<Stretch>) {
        if let Some(last) = self.versions.last_mut() {
            last.superseded_at = t;
        }
        let oldest = t - self.drain_ns;
        self.versions.retain(|v| v.superseded_at >= oldest);
        self.versions.push(Version { superseded_at: i64::MAX, stretches });
    }

    pub(crate) fn admitted(&mut self, t: i64, process: Process, operation: u64, units: u64) {
        let name = process.0 % self.parts.len();
        self.in_flight.insert(operation, (process, units));
        self.parts[name].1 += units;
        let own = self.by_process.entry(process).or_default();
        *own += units;
        let is_on_part = *own <= self.parts[name].0;
        self.admitted += 1;
        let beyond: u64 = self.parts.iter().map(|(part, used)| used.saturating_sub(*part)).sum();
        let floor: u64 = self.parts.iter().map(|(part, _)| part).sum();
        let allowed = self.allowed(t);
        if !is_on_part && beyond + floor > allowed {
            let many = self.in_flight.len();
            self.violations.push(format!(
                "at {t} ns {beyond} micro-units beyond a floor of {floor} in {many} operations, {allowed} allowed"
            ));
        }
    }

    pub(crate) fn ended(&mut self, operation: u64) {
        if let Some((process, units)) = self.in_flight.remove(&operation) {
            let name = process.0 % self.parts.len();
            self.parts[name].1 -= units;
            if let Some(own) = self.by_process.get_mut(&process) {
                *own -= units;
            }
        }
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
        let mut checker = Checker::new(100, &[]);
        checker.published(0, vec![flat(0, 1_000, 2), flat(1_000, i64::MAX, 1)]);
        checker.admitted(10, (0, 0), 1, 1);
        checker.admitted(999, (0, 0), 2, 1);
        assert!(checker.violations.is_empty());
        checker.ended(1);
        checker.admitted(1_000, (0, 0), 3, 1);
        assert_eq!(1, checker.violations.len());

        let mut checker = Checker::new(100, &[]);
        checker.published(0, vec![flat(0, i64::MAX, 2)]);
        checker.published(1_000, vec![flat(1_000, i64::MAX, 0)]);
        checker.admitted(1_099, (0, 0), 1, 1);
        assert!(checker.violations.is_empty());
        checker.admitted(1_100, (0, 0), 2, 1);
        assert_eq!(1, checker.violations.len());
    }

    #[test]
    fn a_part_is_its_names_own_and_counts_whether_it_is_used_or_not() {
        let mut checker = Checker::new(100, &[2, 1]);
        checker.published(0, vec![flat(0, i64::MAX, 5)]);
        checker.admitted(0, (1, 0), 1, 3);
        assert!(checker.violations.is_empty(), "one on its part and two beside, three are set aside");
        checker.published(100, vec![flat(0, i64::MAX, 3)]);
        checker.admitted(200, (2, 0), 2, 2);
        assert!(checker.violations.is_empty(), "within its part, whatever has to drain");
        checker.admitted(200, (2, 0), 3, 1);
        assert_eq!(1, checker.violations.len());
        checker.ended(3);
        checker.ended(1);
        checker.admitted(300, (1, 0), 4, 2);
        assert_eq!(2, checker.violations.len(), "of three all are set aside, and one of these is not its part");
    }

    #[test]
    fn a_climb_is_taken_at_its_value_of_the_instant() {
        let climb = [Stretch { start: 0, end: 10, from: 0, to: 100 }, flat(10, i64::MAX, 100)];
        assert_eq!([0, 50, 90, 100], [0, 5, 9, 10].map(|t| level(&climb, t)));
    }
}
