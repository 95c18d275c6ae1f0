//! One straight stretch of a limit on the meters' clock: its level, its area, its burst. All floors, all exact.

use crate::grain::{Grains, MICRO};
use crate::wide::Wide;

/// Level `from` at `start`, `to` at `start + span`, straight between; constant (and endless) where they are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) start: i64,
    pub(crate) span: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Line {
    pub(crate) fn flat(start: i64, level: u64) -> Line {
        Line { start, span: 1, from: level, to: level }
    }

    pub(crate) fn is_flat(&self) -> bool {
        self.from == self.to
    }

    pub(crate) fn rises(&self) -> bool {
        self.to > self.from
    }

    /// `level × span` at an instant, without rounding; before the line as at its start, after it as at its end.
    fn spanned(&self, at: i64) -> u128 {
        if self.is_flat() {
            return u128::from(self.from);
        }
        let x = u128::from(at.saturating_sub(self.start).max(0) as u64).min(u128::from(self.span));
        u128::from(self.from) * (u128::from(self.span) - x) + u128::from(self.to) * x
    }

    /// The level at an instant in micro-units, scaled, rounded down.
    pub(crate) fn level(&self, at: i64, grains: &Grains) -> u64 {
        let (spanned, span) = (self.spanned(at), u128::from(self.span));
        if grains.ppm == MICRO {
            return (spanned / span) as u64;
        }
        Wide::product(spanned, grains.ppm.into()).floor_div(span * u128::from(MICRO))
    }

    /// Grains a ns, as the numerator over `grains.down`, of a constant line. Fits: see `grain::DOWN_MAX`.
    pub(crate) fn numerator(&self, grains: &Grains) -> u64 {
        u64::try_from(u128::from(self.from) * grains.up).unwrap_or(u64::MAX)
    }

    /// `⌊∫ level⌋` from `since` to `at` in grains; both within the line.
    ///
    /// With y = at − since: `level(since) × y`, and for a climb half of `(to − from) / span × y²` more.
    pub(crate) fn area(&self, since: i64, at: i64, grains: &Grains) -> u64 {
        let y = u128::from(at.saturating_sub(since).max(0) as u64);
        if self.is_flat() {
            let each = u128::from(self.from) * grains.up;
            // As a rule the product is short, and one division of the machine's does it.
            if let Ok(each) = u64::try_from(each) {
                return u64::try_from(u128::from(each) * y / u128::from(grains.down)).unwrap_or(u64::MAX);
            }
            return Wide::product(each, y).floor_div(grains.down.into());
        }
        let y = y.min(u128::from(self.span));
        let base = Wide::product(2 * self.spanned(since), y * grains.up);
        let bend = Wide::product(u128::from(self.from.abs_diff(self.to)) * grains.up, y * y);
        let whole = if self.rises() { base.plus(bend) } else { base.minus(bend) };
        whole.floor_div(2 * u128::from(self.span) * u128::from(grains.down))
    }

    /// `⌊burst_ns × level⌋` at an instant in grains, without the one unit that a burst always has.
    pub(crate) fn burst(&self, at: i64, burst_ns: u64, grains: &Grains) -> u64 {
        let whole = Wide::product(u128::from(burst_ns) * grains.up, self.spanned(at));
        whole.floor_div(u128::from(self.span) * u128::from(grains.down))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNIT: Grains = Grains { log2: 0, up: 1, down: 1_000_000_000, ppm: MICRO, least: 1 };

    /// The area of a climb from its start in integers small enough for i128, as a second opinion.
    fn area_by_hand(line: &Line, x: u128) -> i128 {
        let (from, to, span, x) = (i128::from(line.from), i128::from(line.to), i128::from(line.span), x as i128);
        2 * span * from * x + (to - from) * x * x
    }

    proptest! {
        #[test]
        fn a_climbs_area_is_the_floor_of_its_integral_from_anywhere(
            from in 0u64..1 << 30, to in 0u64..1 << 30, span in 1u64..1 << 40, a in 0.0f64..=1.0, b in 0.0f64..=1.0,
        ) {
            prop_assume!(from != to);
            let line = Line { start: -7, span, from, to };
            let at = |part: f64| ((span as f64 * part) as u64).min(span);
            let (since, until) = (at(a.min(b)), at(a.max(b)));
            let whole = area_by_hand(&line, until.into()) - area_by_hand(&line, since.into());
            let expected = whole / (2 * i128::from(span) * i128::from(UNIT.down));
            prop_assert_eq!(expected as u64, line.area(since as i64 - 7, until as i64 - 7, &UNIT));
        }

        #[test]
        fn an_area_never_shrinks_with_time(
            from in 0u64..1 << 45, to in 0u64..1 << 45, span in 1u64..1 << 55, a in 0u64..1 << 55, b in 0u64..1 << 55,
        ) {
            let line = Line { start: 0, span, from, to };
            let (a, b) = (a.min(span) as i64, b.min(span) as i64);
            prop_assert!(line.area(0, a.min(b), &UNIT) <= line.area(0, a.max(b), &UNIT));
        }

        #[test]
        fn a_constant_lines_area_is_the_exact_floor_however_long_the_product(level: u64, up in 1u64..1 << 20, y in 0u64..1 << 62) {
            let grains = Grains { up: up.into(), ..UNIT };
            let whole = Wide::product(u128::from(level) * u128::from(up), y.into());
            prop_assert_eq!(whole.floor_div(grains.down.into()), Line::flat(0, level).area(5, 5 + y as i64, &grains));
        }

        #[test]
        fn a_level_lies_between_the_ends(from in 0u64..1 << 60, to in 0u64..1 << 60, span in 1u64..1 << 58, at: u32) {
            let line = Line { start: 0, span, from, to };
            let level = line.level(i64::from(at), &UNIT);
            prop_assert!((from.min(to)..=from.max(to)).contains(&level));
        }
    }
}
