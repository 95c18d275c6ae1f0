//! The limit as decided, in UTC: what Python publishes, checked once here.
//!
//! `installed` turns it into what meters read. Source: design, section 3, curves; interfaces, 2.

use crate::error::Error;
use crate::grain::{MICRO, PER_NS_MAX, grains_log2};

/// What a meter bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Units in a span that rolls.
    Rate,
    /// Units held at once.
    Concurrency,
    /// Units in a calendar window.
    Quota,
}

impl Measure {
    pub fn name(self) -> &'static str {
        match self {
            Measure::Rate => "rate",
            Measure::Concurrency => "concurrency",
            Measure::Quota => "quota",
        }
    }

    pub fn named(name: &str) -> Result<Measure, Error> {
        match name {
            "rate" => Ok(Measure::Rate),
            "concurrency" => Ok(Measure::Concurrency),
            "quota" => Ok(Measure::Quota),
            other => Err(Error::invalid(format!("{other:?} is no measure: rate, concurrency or quota"))),
        }
    }
}

/// The largest level of a concurrency or quota, in micro-units: in flight has 48 bits of a word.
pub(crate) const LEVEL_MAX: u64 = 1 << 46;
/// The largest level of a quota, in micro-units; above `LEVEL_MAX` it is counted more coarsely.
pub(crate) const QUOTA_MAX: u64 = 1 << 60;
/// The longest burst: a year.
const BURST_NS_MAX: u64 = 366 * 86_400 * 1_000_000_000;
/// The longest climb: ten years. A climb's area must fit a mark.
const CLIMB_NS_MAX: i64 = 3_660 * 86_400 * 1_000_000_000;
/// Bounds of what is kept per curve; more is a mistake of whoever publishes.
const SEGMENTS_MAX: usize = 10_000;
const WINDOWS_MAX: usize = 10_000;
/// UTC instants are those of the years 1900 to 2200; sums of them stay far from the ends of an i64.
const UTC_MIN: i64 = -2_300_000_000 * 1_000_000_000;
const UTC_MAX: i64 = 7_300_000_000 * 1_000_000_000;

/// A half-open stretch in UTC ns: constant where `from == to`, else linear. `end` None: until the next version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub start_ns: i64,
    pub end_ns: Option<i64>,
    pub from_micro: u64,
    pub to_micro: u64,
}

impl Segment {
    pub fn new(start_ns: i64, end_ns: Option<i64>, from_micro: i64, to_micro: i64) -> Result<Segment, Error> {
        let level = |micro: i64| {
            u64::try_from(micro).map_err(|_| Error::invalid(format!("a level of {micro} micro-units is below zero")))
        };
        let (from_micro, to_micro) = (level(from_micro)?, level(to_micro)?);
        for instant in [Some(start_ns), end_ns].into_iter().flatten() {
            if !(UTC_MIN..=UTC_MAX).contains(&instant) {
                return Err(Error::invalid(format!("{instant} ns is no UTC instant of the years 1900 to 2200")));
            }
        }
        match end_ns {
            Some(end) if end <= start_ns => {
                Err(Error::invalid(format!("a segment ends at {end} ns, not after its start at {start_ns} ns")))
            }
            None if from_micro != to_micro => Err(Error::invalid("a segment without an end has to be constant")),
            Some(end) if from_micro != to_micro && end - start_ns > CLIMB_NS_MAX => {
                Err(Error::invalid("a climb lasts at most ten years"))
            }
            _ => Ok(Segment { start_ns, end_ns, from_micro, to_micro }),
        }
    }

    /// The level at a UTC instant, rounded down; outside the segment that of the nearer end.
    fn level(&self, utc_ns: i64) -> u64 {
        let Some(end_ns) = self.end_ns else { return self.from_micro };
        let span = (end_ns - self.start_ns) as u64;
        let x = (utc_ns.saturating_sub(self.start_ns)).clamp(0, span as i64) as u64;
        level_on(self.from_micro, self.to_micro, span, x)
    }
}

/// `from + (to − from) × x / span`, rounded down; 0 ≤ x ≤ span, span > 0.
fn level_on(from: u64, to: u64, span: u64, x: u64) -> u64 {
    if from == to {
        return from;
    }
    let (span, x) = (u128::from(span), u128::from(x));
    ((u128::from(from) * (span - x) + u128::from(to) * x) / span) as u64
}

/// The limit as decided, for one meter. Frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curve {
    pub measure: Measure,
    pub version: u64,
    pub stage: String,
    pub segments: Vec<Segment>,
    /// Levels of a rate are micro-units in this span; 0 unless a rate.
    pub per_ns: u64,
    /// The burst as a span of the limit; 0 unless a rate.
    pub burst_ns: u64,
    /// UTC starts of the present and the next windows, ascending; empty unless a quota.
    pub window: Vec<i64>,
    pub raises_when: String,
}

impl Curve {
    /// Errors: no segments, gaps, an open segment before the last, levels or bursts that no meter could hold, windows
    /// that do not ascend, or fields of another measure.
    pub fn checked(self) -> Result<Curve, Error> {
        let fail = |text: String| Err(Error::Invalid(text));
        if self.segments.is_empty() || self.segments.len() > SEGMENTS_MAX {
            return fail(format!("a curve has 1 to {SEGMENTS_MAX} segments, not {}", self.segments.len()));
        }
        for pair in self.segments.windows(2) {
            if pair[0].end_ns != Some(pair[1].start_ns) {
                return fail(format!(
                    "segments have to touch: one starts at {} ns, the one before ends at {:?}",
                    pair[1].start_ns, pair[0].end_ns
                ));
            }
        }
        let highest = self.segments.iter().map(|s| s.from_micro.max(s.to_micro)).max().unwrap_or(0);
        match self.measure {
            Measure::Rate => {
                if self.per_ns == 0 || self.per_ns > PER_NS_MAX {
                    return fail(format!("a rate needs `per_ns`, 1 ns to 31 days, not {}", self.per_ns));
                }
                if self.burst_ns > BURST_NS_MAX {
                    return fail("a burst spans at most a year of the limit".into());
                }
                grains_log2(highest, self.per_ns)?;
            }
            Measure::Concurrency if highest > LEVEL_MAX => {
                return fail(format!("a concurrency holds at most {} units", LEVEL_MAX / MICRO));
            }
            Measure::Quota if highest > QUOTA_MAX => {
                return fail(format!("a quota counts at most {} units", QUOTA_MAX / MICRO));
            }
            _ => {}
        }
        if self.measure != Measure::Rate && (self.burst_ns != 0 || self.per_ns != 0) {
            return fail(format!("`burst_ns` and `per_ns` belong to rates, this is a {}", self.measure.name()));
        }
        if (self.measure == Measure::Quota) == self.window.is_empty() {
            return fail("a quota needs its windows, and only a quota has them".into());
        }
        if self.window.len() > WINDOWS_MAX
            || self.window.windows(2).any(|pair| pair[0] >= pair[1])
            || self.window.iter().any(|start| !(UTC_MIN..=UTC_MAX).contains(start))
        {
            return fail(format!("windows are at most {WINDOWS_MAX} ascending UTC instants"));
        }
        Ok(self)
    }

    /// The level at a UTC instant, rounded down. Before the first segment that at its start, past a finite end its
    /// `to`.
    pub fn limit_micro(&self, utc_ns: i64) -> u64 {
        let after = self.segments.partition_point(|s| s.start_ns <= utc_ns);
        self.segments[after.saturating_sub(1)].level(utc_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(segments: Vec<Segment>) -> Result<Curve, Error> {
        let (stage, raises_when) = ("now".to_owned(), String::new());
        let (per_ns, burst_ns) = (1_000_000_000, 1_000_000_000);
        Curve { measure: Measure::Rate, version: 1, stage, segments, per_ns, burst_ns, window: vec![], raises_when }
            .checked()
    }

    #[test]
    fn a_level_between_the_ends_of_a_climb_is_rounded_down() {
        let climb = Segment::new(0, Some(3), 0, 10).unwrap();
        let curve = rate(vec![climb, Segment::new(3, None, 10, 10).unwrap()]).unwrap();
        assert_eq!([0, 0, 3, 6, 10, 10], [-5, 0, 1, 2, 3, 99].map(|at| curve.limit_micro(at)));
    }

    #[test]
    fn a_gap_between_segments_is_an_error() {
        let parts = vec![Segment::new(0, Some(3), 1, 1).unwrap(), Segment::new(4, None, 1, 1).unwrap()];
        assert!(matches!(rate(parts), Err(Error::Invalid(_))));
        let open_first = vec![Segment::new(0, None, 1, 1).unwrap(), Segment::new(4, None, 1, 1).unwrap()];
        assert!(matches!(rate(open_first), Err(Error::Invalid(_))));
        assert!(matches!(rate(vec![]), Err(Error::Invalid(_))));
    }

    #[test]
    fn segments_that_mean_nothing_are_errors() {
        for (start, end, from, to) in [(0, Some(0), 1, 1), (5, Some(1), 1, 1), (0, Some(1), -1, 1), (0, None, 1, 2)] {
            assert!(matches!(Segment::new(start, end, from, to), Err(Error::Invalid(_))));
        }
        assert!(matches!(Segment::new(0, Some(CLIMB_NS_MAX + 1), 1, 2), Err(Error::Invalid(_))));
        assert!(matches!(Segment::new(i64::MAX, None, 1, 1), Err(Error::Invalid(_))));
    }
}
