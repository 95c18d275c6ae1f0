//! Whether a rate was kept in every window, decided from what was admitted when and what was published when.
//!
//! In any `(s, t]` at most a burst, as it is at `s`, and the area under the limit. With A the sum admitted and C the area
//! so far that says: `A − C` never rises by more than B above its lowest. A version that was superseded less than
//! `drain_within` ago still counts, at its value of the instant. Source: protocols on meters, the window checker.

use crate::check::{Stretch, level};

#[derive(Debug)]
struct Version {
    superseded_at: i64,
    stretches: Vec<Stretch>,
}

/// Amounts are doubled micro-units times `per_ns`, so that every area is whole.
#[derive(Debug)]
pub(crate) struct Windows {
    drain_ns: i64,
    per_ns: i64,
    burst_ns: i64,
    versions: Vec<Version>,
    at: i64,
    area: i128,
    spent: i128,
    /// The lowest of `A − C + B` so far.
    low: i128,
    pub(crate) admitted: u64,
    pub(crate) violations: Vec<String>,
}

const UNIT: i128 = 1_000_000;

impl Windows {
    pub(crate) fn new(drain_ns: i64, per_ns: i64, burst_ns: i64) -> Windows {
        let (versions, violations) = (vec![], vec![]);
        Windows {
            drain_ns,
            per_ns,
            burst_ns,
            versions,
            at: 0,
            area: 0,
            spent: 0,
            low: i128::MAX,
            admitted: 0,
            violations,
        }
    }

    pub(crate) fn published(&mut self, t: i64, stretches: Vec<Stretch>) {
        if !self.versions.is_empty() {
            self.pass(t);
        }
        if let Some(last) = self.versions.last_mut() {
            last.superseded_at = t;
        }
        let oldest = t - self.drain_ns;
        self.versions.retain(|v| v.superseded_at >= oldest);
        self.versions.push(Version { superseded_at: i64::MAX, stretches });
        self.low = self.low.min(self.now_lowest(t));
    }

    pub(crate) fn admitted(&mut self, t: i64, units: u64) {
        self.pass(t);
        self.spent += 2 * i128::from(units) * i128::from(self.per_ns);
        self.admitted += 1;
        let over = self.spent - self.area - self.low;
        if over > 0 {
            let over = over / 2 / i128::from(self.per_ns);
            self.violations.push(format!("at {t} ns {over} micro-units over in some window"));
        }
    }

    /// Micro-units admitted so far.
    pub(crate) fn spent(&self) -> u64 {
        (self.spent / 2 / i128::from(self.per_ns)) as u64
    }

    /// Goes on to `t` edge by edge: between edges levels are straight, and the highest of several bends upwards, so that
    /// a trapezoid is never below the area.
    fn pass(&mut self, t: i64) {
        while self.at < t {
            let next = self.next_edge().min(t);
            let sides = i128::from(self.highest(self.at, self.at)) + i128::from(self.highest(next - 1, self.at));
            self.area += sides * i128::from(next - self.at);
            self.at = next;
            self.low = self.low.min(self.now_lowest(next));
        }
        self.low = self.low.min(self.now_lowest(t));
    }

    fn next_edge(&self) -> i64 {
        let live = self.versions.iter().filter(|v| self.counts(v, self.at));
        let edges = live.flat_map(|v| {
            let ends = v.superseded_at.saturating_add(self.drain_ns);
            v.stretches.iter().map(|s| s.end).chain([ends])
        });
        edges.filter(|&edge| edge > self.at).min().unwrap_or(i64::MAX)
    }

    fn now_lowest(&self, t: i64) -> i128 {
        let highest = i128::from(self.highest(t, t));
        let burst = (highest * i128::from(self.burst_ns)).max(UNIT * i128::from(self.per_ns));
        self.spent - self.area + 2 * burst
    }

    /// The highest level at `t` among versions that count at `seen`.
    fn highest(&self, t: i64, seen: i64) -> u64 {
        self.versions.iter().filter(|v| self.counts(v, seen)).map(|v| level(&v.stretches, t)).max().unwrap_or(0)
    }

    fn counts(&self, version: &Version, t: i64) -> bool {
        version.superseded_at.saturating_add(self.drain_ns) > t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(levels: &[(i64, i64, u64)]) -> Windows {
        let mut windows = Windows::new(100, 10, 10);
        let flat = |&(start, end, level)| Stretch { start, end, from: level, to: level };
        windows.published(0, levels.iter().map(flat).collect());
        windows
    }

    #[test]
    fn a_burst_and_what_is_entitled_pass_and_one_more_does_not() {
        let mut windows = windows(&[(0, i64::MAX, 4_000_000)]);
        windows.admitted(0, 4_000_000);
        windows.admitted(5, 2_000_000);
        assert!(windows.violations.is_empty());
        windows.admitted(5, 1);
        assert_eq!(1, windows.violations.len());
    }

    #[test]
    fn a_window_that_begins_after_a_fall_has_the_burst_after_it() {
        let mut windows = windows(&[(0, 1_000, 4_000_000), (1_000, i64::MAX, 2_000_000)]);
        windows.admitted(1_000, 2_000_000);
        assert!(windows.violations.is_empty());
        windows.admitted(1_000, 1);
        assert_eq!(1, windows.violations.len());
    }
}
