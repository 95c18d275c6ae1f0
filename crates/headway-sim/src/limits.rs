//! Changes of a limit: steps at once, planned steps near and far, exceptions, climbs.

use std::sync::Arc;

use headway_core::{Curve, Measure, Segment};

use crate::check::Stretch;
use crate::clock::mutant;
use crate::random::Random;
use crate::setting::{SECOND, UNIT};

/// The limit as it is decided, and where it stands.
#[derive(Debug)]
pub(crate) struct Limits {
    version: u64,
    level: u64,
    stretches: Vec<Stretch>,
    rate: Option<(i64, i64)>,
    /// No limit is lower.
    floor: u64,
}

impl Limits {
    pub(crate) fn new(level: u64, rate: Option<(i64, i64)>, floor: u64) -> Limits {
        let stretches = vec![flat(0, i64::MAX, level)];
        Limits { version: 1, level, stretches, rate, floor }
    }

    /// Decides anew at `t`.
    pub(crate) fn move_at(&mut self, t: i64, drain_ns: i64, random: &mut Random) {
        let next = random.between(0, 12) as u64 * UNIT + random.one_of(&[0, 0, 0, UNIT / 2]);
        let next = next.max(self.floor);
        let at = t + random.between(drain_ns / 20, 4 * drain_ns);
        let back = at + random.between(SECOND, 2 * drain_ns);
        let level = self.level_at(t);
        let (stretches, last) = match random.between(0, 5) {
            0 | 1 => (vec![flat(t, i64::MAX, next)], next),
            2 | 3 => (vec![flat(t, at, level), flat(at, i64::MAX, next)], next),
            4 => (vec![flat(t, at, level), flat(at, back, next), flat(back, i64::MAX, level)], level),
            _ => (vec![Stretch { start: t, end: at, from: level, to: next }, flat(at, i64::MAX, next)], next),
        };
        self.version += 1;
        (self.level, self.stretches) = (last, stretches);
    }

    /// A constant limit, so that what is reached can be told.
    pub(crate) fn settle_at(&mut self, t: i64, level: u64) {
        self.version += 1;
        (self.level, self.stretches) = (level, vec![flat(t, i64::MAX, level)]);
    }

    pub(crate) fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The highest level from now on.
    pub(crate) fn highest(&self) -> u64 {
        self.stretches.iter().map(|s| s.from.max(s.to)).max().unwrap_or(0)
    }

    /// As the engine publishes it, with true time as UTC: what is set aside for gates by name is not on the meters.
    pub(crate) fn curve(&self) -> Arc<Curve> {
        let floor = if mutant!(FloorLent) { 0 } else { self.floor };
        let segments = self.stretches.iter().map(|s| Segment {
            start_ns: s.start,
            end_ns: (s.end < i64::MAX).then_some(s.end),
            from_micro: s.from - floor,
            to_micro: s.to - floor,
        });
        let (segments, stage, raises_when, window) = (segments.collect(), String::new(), String::new(), vec![]);
        let measure = if self.rate.is_some() { Measure::Rate } else { Measure::Concurrency };
        let (per_ns, burst_ns) = self.rate.map_or((0, 0), |(per, burst)| (per as u64, burst as u64));
        let version = self.version;
        let curve = Curve { measure, version, stage, segments, per_ns, burst_ns, window, raises_when };
        Arc::new(curve.checked().expect("a curve that means something"))
    }

    /// What is decided for an instant, in whole units.
    fn level_at(&self, t: i64) -> u64 {
        let found = self.stretches.iter().find(|s| t < s.end);
        found.map_or(self.level, |s| if t >= s.start && s.from != s.to { s.from.min(s.to) } else { s.from })
    }
}

fn flat(start: i64, end: i64, level: u64) -> Stretch {
    Stretch { start, end, from: level, to: level }
}
