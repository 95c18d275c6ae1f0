//! The limit that is divided, as far as it is decided.

use std::sync::Arc;

use crate::curve::Measure;
use crate::grain::{Grains, MICRO};
use crate::installed::{Installed, Piece};
use crate::path::Path;

/// A rate's limit and burst on the meters' clock, as one publish left them.
#[derive(Debug, Clone)]
pub struct Course {
    curve: Arc<Installed>,
    grains: Grains,
}

impl Course {
    /// The course of a path over one rate without keys; None for any other path, and before the first publish.
    pub fn of(path: &Path) -> Option<Course> {
        let meter = path.only_meter().filter(|meter| meter.spec.measure == Measure::Rate)?;
        Some(Course { curve: meter.installed()?, grains: meter.grains })
    }

    /// The lowest limit at any instant from `from` to `to`, in micro-units a second, rounded down.
    pub(super) fn lowest_per_s(&self, from: i64, to: i64) -> u128 {
        let level = self.lowest(from, to, |piece, at| piece.level(at, &self.grains));
        u128::from(level) * 1_000 * u128::from(MICRO) / u128::from(self.curve.curve.per_ns)
    }

    /// The lowest burst at any instant from `from` to `to`, in micro-units.
    pub(super) fn lowest_burst(&self, from: i64, to: i64) -> i128 {
        let grains = self.lowest(from, to, |piece, at| piece.burst(at, &self.grains));
        self.micro(grains.into())
    }

    /// Micro-units entitled since the meter's first curve.
    pub(super) fn entitled(&self, at: i64) -> i128 {
        let grains = i128::from(self.curve.entitlement(at)) - self.curve.e_first;
        self.micro(grains)
    }

    /// Rounded down, always: what is handed out is never more than what there is.
    fn micro(&self, grains: i128) -> i128 {
        (grains * i128::from(MICRO)) >> self.grains.log2
    }

    /// Within one piece a level and a burst are lowest at an end.
    fn lowest(&self, from: i64, to: i64, value: impl Fn(&Piece, i64) -> u64) -> u64 {
        let to = to.max(from);
        let ahead = self.curve.pieces_from(from).iter().take_while(|piece| piece.start <= to);
        let lows = ahead.map(|piece| {
            let (first, last) = (from.max(piece.start), to.min(piece.end.saturating_sub(1)));
            value(piece, first).min(value(piece, last))
        });
        lows.min().unwrap_or(0)
    }

    #[cfg(test)]
    pub(super) fn of_curve(curve: crate::curve::Curve, ceiling_micro: u64, now: i64) -> Course {
        let log2 = crate::grain::grains_log2(ceiling_micro, curve.per_ns).expect("a rate");
        let grains = Grains::of_rate(log2, curve.per_ns, MICRO).expect("a rate");
        let curve = Installed::first(Arc::new(curve), grains, 0, now, crate::installed::Birth::Empty);
        Course { curve: Arc::new(curve), grains }
    }

    #[cfg(test)]
    pub(super) fn published(&self, curve: crate::curve::Curve, now: i64) -> Course {
        Course { curve: Arc::new(self.curve.joined(Arc::new(curve), 0, now)), grains: self.grains }
    }
}
