//! The line from counter to clock: where it starts, how steep it is, how far it may be followed. Pure.

/// How far a line is followed before the kernel is asked again.
const SPAN_NS: u64 = 50_000;
/// The rate is measured over at least this much, so that the width of a pair is within a few ppm of it.
const BASE_NS: i64 = 100_000_000;
/// ... and at most this much: the machine may have slept meanwhile, and the kernel steers its clock.
const BASE_NS_MAX: i64 = 2_000_000_000;
/// Pairs that are read at first.
pub(crate) const FIRST_PAIRS: usize = 32;
/// A pair this many times wider than the narrowest was interrupted, and says little.
const WIDER: u64 = 4;
/// The line is flatter than measured by 2^-10, 977 ppm: twice what the kernel may steer its clock by, so it stays below.
const FLATTER: u32 = 10;
/// A rate is ns a tick in units of 2^-32.
const ONE: u32 = 32;
/// A counter slower than 62.5 MHz is too coarse for this.
const RATE_MAX: u64 = 16 << ONE;

/// One reading of the clock between two of the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) before: u64,
    pub(crate) boot_ns: i64,
    pub(crate) after: u64,
}

impl Pair {
    /// In ticks.
    pub(crate) fn width(&self) -> u64 {
        self.after.wrapping_sub(self.before)
    }
}

/// `boot = start + (ticks − from) × rate`, for `span` ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) from: u64,
    pub(crate) start: i64,
    pub(crate) rate: u64,
    pub(crate) span: u64,
}

impl Line {
    /// No reading falls on it.
    pub(crate) const NONE: Line = Line { from: 0, start: 0, rate: 0, span: 0 };

    /// The clock at a counter's value; None before the line's start and past its end.
    #[inline]
    pub(crate) fn at(&self, ticks: u64) -> Option<i64> {
        let gone = ticks.wrapping_sub(self.from);
        (gone < self.span).then(|| self.continued(gone))
    }

    /// `gone` ticks from the start; below 2^32 ns the product fits.
    #[inline]
    fn continued(&self, gone: u64) -> i64 {
        self.start.wrapping_add((gone.wrapping_mul(self.rate) >> ONE) as i64)
    }

    /// Whether the clock, when it was really read, stood behind this line.
    fn was_ahead_of(&self, pair: &Pair) -> bool {
        let gone = pair.before.wrapping_sub(self.from);
        // Past its end a line is nobody's reading, but a while longer it still has to lie below the clock.
        gone < self.span.saturating_mul(16) && self.continued(gone) > pair.boot_ns
    }
}

/// What is known of the counter's rate, and whether it may still be believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calibration {
    /// The width of a pair that nothing interrupted.
    narrow: u64,
    base: Pair,
    /// ns a tick as measured, 0: not yet.
    rate: u64,
    /// It was caught ahead of the clock, and is asked no more.
    pub(crate) is_distrusted: bool,
}

impl Calibration {
    /// `pairs`: read one right after the other; the narrowest is the measure of all later ones.
    pub(crate) fn new(pairs: &[Pair; FIRST_PAIRS]) -> Calibration {
        let narrower = |a: Pair, b: &Pair| if b.width() < a.width() { *b } else { a };
        let base = pairs.iter().fold(pairs[0], narrower);
        Calibration { narrow: base.width().max(1), base, rate: 0, is_distrusted: false }
    }

    /// The line that a pair starts, after `followed`; `Line::NONE` where the kernel has to be asked again.
    pub(crate) fn line(&mut self, pair: Pair, followed: &Line) -> Line {
        self.is_distrusted |= followed.was_ahead_of(&pair);
        if self.is_distrusted || pair.width() > self.narrow.saturating_mul(WIDER) {
            return Line::NONE;
        }
        self.measure(pair);
        if self.rate == 0 {
            return Line::NONE;
        }
        // The clock was read before `after`: from there the line starts on the clock or below.
        let rate = self.rate - (self.rate >> FLATTER);
        Line { from: pair.after, start: pair.boot_ns, rate, span: (SPAN_NS << ONE) / self.rate }
    }

    fn measure(&mut self, pair: Pair) {
        let ns = pair.boot_ns - self.base.boot_ns;
        if ns < BASE_NS {
            return;
        }
        let ticks = pair.after.wrapping_sub(self.base.after).max(1);
        if ns <= BASE_NS_MAX {
            let rate = (u128::from(ns as u64) << ONE) / u128::from(ticks);
            self.rate = u64::try_from(rate).ok().filter(|rate| (1..=RATE_MAX).contains(rate)).unwrap_or(0);
        }
        self.base = pair;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    /// A counter of `per_ms` ticks in 10^6 ns of the clock, read in pairs of 40 ns width.
    fn pair(at: i64, per_ms: u64) -> Pair {
        let ticks = |ns: i64| (u128::from(ns as u64) * u128::from(per_ms) / 1_000_000) as u64;
        Pair { before: ticks(at), boot_ns: at + 20, after: ticks(at + 40) }
    }

    fn measured(per_ms: u64) -> (Calibration, Line) {
        let mut calibration = Calibration::new(&[pair(SECOND, per_ms); FIRST_PAIRS]);
        let line = calibration.line(pair(SECOND + BASE_NS, per_ms), &Line::NONE);
        (calibration, line)
    }

    proptest! {
        /// Whatever the counter's rate, and however the kernel steers by 500 ppm after it was measured: no reading is
        /// ahead of the clock or more than `LAG_NS` behind it.
        #[test]
        fn a_line_stays_below_the_clock_and_near_it(
            per_ms in 100_000u64..6_000_000, steered in -500i64..=500, ns in 40i64..60_000,
        ) {
            let (_, line) = measured(per_ms);
            let start = pair(SECOND + BASE_NS, per_ms);
            let ticks = start.after + (ns - 40) as u64 * per_ms / 1_000_000;
            let clock = SECOND + BASE_NS + 40 + (ns - 40) + (ns - 40) * steered / 1_000_000;
            if let Some(said) = line.at(ticks) {
                prop_assert!(said <= clock, "{said} is ahead of {clock}");
                prop_assert!(clock - said < crate::LAG_NS, "{said} is {} behind", clock - said);
            } else {
                prop_assert!(ns > 49_000);
            }
        }
    }

    #[test]
    fn nothing_is_said_before_the_rate_was_measured() {
        let mut calibration = Calibration::new(&[pair(SECOND, 2_000_000); FIRST_PAIRS]);
        assert_eq!(Line::NONE, calibration.line(pair(SECOND + BASE_NS - 100, 2_000_000), &Line::NONE));
        assert_ne!(Line::NONE, calibration.line(pair(SECOND + BASE_NS + 100, 2_000_000), &Line::NONE));
    }

    #[test]
    fn a_pair_that_was_interrupted_starts_no_line_and_measures_nothing() {
        let (mut calibration, line) = measured(2_000_000);
        let at = SECOND + 2 * BASE_NS;
        let wide = Pair { after: pair(at, 2_000_000).after + 10_000_000, ..pair(at, 2_000_000) };
        assert_eq!(Line::NONE, calibration.line(wide, &line));
        let next = calibration.line(pair(at + 10_000_000, 2_000_000), &Line::NONE);
        assert_eq!(line.rate, next.rate);
    }

    #[test]
    fn a_counter_that_jumps_leaves_the_line() {
        let (_, line) = measured(2_000_000);
        for jump in [-1, -1_000_000_000, 1_000_000_000_000, i64::MIN] {
            assert_eq!(None, line.at(line.from.wrapping_add_signed(jump)), "{jump}");
        }
    }

    #[test]
    fn a_counter_that_runs_ahead_of_the_clock_is_never_asked_again() {
        let (mut calibration, line) = measured(2_000_000);
        let slower = Pair { before: line.from + 400_000, boot_ns: line.start + 150_000, after: line.from + 400_080 };
        assert_eq!(Line::NONE, calibration.line(slower, &line));
        assert!(calibration.is_distrusted);
        assert_eq!(Line::NONE, calibration.line(pair(SECOND + 3 * BASE_NS, 2_000_000), &Line::NONE));
    }

    #[test]
    fn what_was_measured_over_a_sleep_is_not_believed() {
        let mut calibration = Calibration::new(&[pair(SECOND, 2_000_000); FIRST_PAIRS]);
        assert_eq!(Line::NONE, calibration.line(pair(60 * SECOND, 2_000_000), &Line::NONE));
    }

    #[test]
    fn a_counter_that_stands_still_or_crawls_is_not_used() {
        for per_ms in [0, 10, 60_000] {
            assert_eq!(Line::NONE, measured(per_ms).1, "{per_ms} ticks a ms");
        }
    }
}
