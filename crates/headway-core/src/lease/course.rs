//! A contract's limit as a keeper may count on it: the lowest value over a stretch, for a clock that may be off.
//! Of a rate, too: what is entitled, what is gone, the lowest burst.
//!
//! Curves are anchored to this clock when they are published; the further away from that, the less is known when exactly
//! a planned change comes. So a stretch is widened by `eps` of its distance from the anchor on either side: falls come
//! early, raises late, and between the two the lower limit holds.

use std::sync::Arc;

use crate::curve::Curve;
use crate::grain::{Grains, MICRO};
use crate::installed::{Birth, Installed, Resumed};
use crate::lease::mutant;
use crate::lease::terms::Terms;

#[derive(Debug)]
pub(crate) struct Course(Installed);

impl Course {
    pub(crate) fn first(curve: Arc<Curve>, anchor: i64, now: i64) -> Course {
        Course(Installed::first(curve, Grains::of_level(MICRO), anchor, now, Birth::Empty))
    }

    /// A rate's, `behind` grains below what is entitled: K begins that far below E.
    pub(crate) fn of_rate(curve: Arc<Curve>, grains: Grains, anchor: i64, now: i64, behind: u64) -> Course {
        let utc_ns = now.saturating_add(anchor);
        let k_from_e = -i64::try_from(behind).unwrap_or(i64::MAX);
        Course(Installed::first(curve, grains, anchor, now, Birth::Resumed(Resumed { utc_ns, k_from_e })))
    }

    pub(crate) fn publish(&mut self, curve: Arc<Curve>, anchor: i64, now: i64) {
        self.0 = self.0.joined(curve, anchor, now);
    }

    pub(crate) fn version(&self) -> u64 {
        self.0.curve.version
    }

    /// The lowest limit at any instant from `from` to `to`, in micro-units.
    pub(crate) fn lowest(&self, terms: &Terms, from: i64, to: i64) -> u64 {
        let (from, to) = (from - self.off(terms, from), to.max(from).saturating_add(self.off(terms, to)));
        let ahead = self.0.pieces_from(from).iter().take_while(|p| p.start <= to);
        let lows = ahead.map(|p| {
            let (first, last) = (from.max(p.start), to.min(p.end.saturating_sub(1)));
            p.level(first, &self.0.grains).min(p.level(last, &self.0.grains))
        });
        lows.min().unwrap_or(0)
    }

    /// The lowest burst of a rate at any instant from `from` to `to`, in grains.
    pub(crate) fn lowest_burst(&self, from: i64, to: i64) -> u64 {
        self.0.lowest_burst(from, to)
    }

    /// E in grains.
    pub(crate) fn entitlement(&self, at: i64) -> u64 {
        self.0.entitlement(at)
    }

    /// K in grains.
    pub(crate) fn floor(&self, at: i64) -> u64 {
        self.0.floor(at)
    }

    /// The next instant at which the limit may fall by a step; None where none is planned.
    pub(crate) fn next_step_down(&self, terms: &Terms, now: i64) -> Option<i64> {
        let ahead = self.0.pieces_from(now);
        let falls = ahead.windows(2).filter(|pair| pair[1].line.from < pair[0].line.to).map(|pair| pair[1].start);
        falls.map(|at| at - self.off(terms, at)).find(|&at| at > now)
    }

    fn off(&self, terms: &Terms, at: i64) -> i64 {
        if mutant!(ClockIsTrusted) { 0 } else { terms.margin(at.saturating_sub(self.0.since)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{Measure, Segment};

    const SECOND: i64 = 1_000_000_000;

    fn terms() -> Terms {
        Terms::new(5 * SECOND, SECOND, SECOND, 10_000).unwrap()
    }

    fn course(levels: &[(i64, u64, u64)]) -> Course {
        let ends = levels.iter().skip(1).map(|l| Some(l.0 * SECOND)).chain([None]);
        let segments = levels.iter().zip(ends);
        let segments = segments
            .map(|(&(start, from, to), end_ns)| Segment {
                start_ns: start * SECOND,
                end_ns,
                from_micro: from,
                to_micro: to,
            })
            .collect();
        let (stage, raises_when, window) = (String::new(), String::new(), vec![]);
        let measure = Measure::Concurrency;
        let curve = Curve { measure, version: 1, stage, segments, per_ns: 0, burst_ns: 0, window, raises_when };
        Course::first(Arc::new(curve.checked().unwrap()), 0, 0)
    }

    #[test]
    fn a_planned_fall_comes_a_margin_early() {
        let course = course(&[(0, 10, 10), (100, 4, 4)]);
        assert_eq!(Some(99 * SECOND), course.next_step_down(&terms(), 0));
        assert_eq!(10, course.lowest(&terms(), 0, 97 * SECOND));
        assert_eq!(4, course.lowest(&terms(), 0, 100 * SECOND - 1));
        assert_eq!(None, course.next_step_down(&terms(), 99 * SECOND));
    }

    #[test]
    fn a_planned_raise_comes_a_margin_late() {
        let course = course(&[(0, 4, 4), (100, 10, 10)]);
        assert_eq!(4, course.lowest(&terms(), 100 * SECOND, 200 * SECOND));
        assert_eq!(10, course.lowest(&terms(), 102 * SECOND, 200 * SECOND));
    }

    #[test]
    fn on_a_climb_down_the_end_of_the_stretch_decides() {
        let course = course(&[(0, 100, 0), (100, 0, 0)]);
        let low = course.lowest(&terms(), 10 * SECOND, 20 * SECOND);
        assert_eq!(79, low, "80 at 20 s, a fifth of a second late");
        assert_eq!(None, course.next_step_down(&terms(), 0));
    }
}
