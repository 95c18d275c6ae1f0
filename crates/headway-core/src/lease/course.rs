//! A curve as a keeper may count on it, with a clock that may be off: the lowest limit over a stretch, the next fall.
//!
//! Curves are anchored to this clock when they are published; the further away from that, the less is known when exactly
//! a planned change comes. So a stretch is widened by `eps` of its distance from the anchor on either side: falls come
//! early, raises late, and between the two the lower limit holds.

use crate::curve::Measure;
use crate::installed::Installed;
use crate::lease::mutant;
use crate::lease::terms::Terms;

/// The lowest limit at any instant from `from` to `to`, in micro-units.
pub(crate) fn lowest(curve: &Installed, terms: &Terms, from: i64, to: i64) -> u64 {
    let (from, to) = (from - off(curve, terms, from), to.max(from).saturating_add(off(curve, terms, to)));
    let ahead = curve.pieces_from(from).iter().take_while(|p| p.start <= to);
    let lows = ahead.map(|p| {
        let (first, last) = (from.max(p.start), to.min(p.end.saturating_sub(1)));
        p.level(first, &curve.grains).min(p.level(last, &curve.grains))
    });
    lows.min().unwrap_or(0)
}

/// The next instant that nothing lent may outlive: where the limit may fall by a step, or a quota's window ends. None
/// where none is planned.
pub(crate) fn next_end(curve: &Installed, terms: &Terms, now: i64) -> Option<i64> {
    let early = |at: i64| at - off(curve, terms, at);
    if curve.curve.measure == Measure::Quota {
        // What is used counts whatever becomes of the limit, but only in its window.
        return curve.windows.iter().map(|w| early(w.start)).find(|&at| at > now);
    }
    let ahead = curve.pieces_from(now);
    let falls = ahead.windows(2).filter(|pair| pair[1].line.from < pair[0].line.to).map(|pair| pair[1].start);
    falls.map(early).find(|&at| at > now)
}

fn off(curve: &Installed, terms: &Terms, at: i64) -> i64 {
    if mutant!(ClockIsTrusted) { 0 } else { terms.margin(at.saturating_sub(curve.since)) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::curve::{Curve, Segment};
    use crate::grain::{Grains, MICRO};
    use crate::installed::Birth;

    const SECOND: i64 = 1_000_000_000;

    fn terms() -> Terms {
        Terms::new(5 * SECOND, SECOND, SECOND, 10_000).unwrap()
    }

    fn course(levels: &[(i64, u64, u64)]) -> Installed {
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
        Installed::first(Arc::new(curve.checked().unwrap()), Grains::of_level(MICRO), 0, 0, Birth::Empty)
    }

    #[test]
    fn a_planned_fall_comes_a_margin_early() {
        let course = course(&[(0, 10, 10), (100, 4, 4)]);
        assert_eq!(Some(99 * SECOND), next_end(&course, &terms(), 0));
        assert_eq!(10, lowest(&course, &terms(), 0, 97 * SECOND));
        assert_eq!(4, lowest(&course, &terms(), 0, 100 * SECOND - 1));
        assert_eq!(None, next_end(&course, &terms(), 99 * SECOND));
    }

    #[test]
    fn a_planned_raise_comes_a_margin_late() {
        let course = course(&[(0, 4, 4), (100, 10, 10)]);
        assert_eq!(4, lowest(&course, &terms(), 100 * SECOND, 200 * SECOND));
        assert_eq!(10, lowest(&course, &terms(), 102 * SECOND, 200 * SECOND));
    }

    #[test]
    fn on_a_climb_down_the_end_of_the_stretch_decides() {
        let course = course(&[(0, 100, 0), (100, 0, 0)]);
        let low = lowest(&course, &terms(), 10 * SECOND, 20 * SECOND);
        assert_eq!(79, low, "80 at 20 s, a fifth of a second late");
        assert_eq!(None, next_end(&course, &terms(), 0));
    }
}
