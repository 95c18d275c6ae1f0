//! Durations of a lease, and the factor by which two clocks may differ over them.

use crate::error::Error;

const PPM: i64 = 1_000_000;
/// Bounds of what a contract may say: a tenth of a second to an hour for draining, a day for holding.
const DRAIN_NS: std::ops::RangeInclusive<i64> = 100_000_000..=3_600_000_000_000;
const HOLD_NS_MAX: i64 = 86_400_000_000_000;
const EPS_PPM_MAX: i64 = 200_000;

/// What a contract's leases are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a lease lasts.
    pub(crate) lease_ns: i64,
    /// How long a keeper may answer after it last renewed its mandate.
    pub(crate) mandate_ns: i64,
    /// How long what was admitted may outlive the lease.
    pub(crate) max_hold_ns: i64,
    /// By how much any clock's rate may be wrong.
    pub(crate) eps_ppm: i64,
}

impl Terms {
    /// The longest lease with which a cut that nobody heard of is in force within `drain_within`: the old keeper may go
    /// on for `mandate_ns`, a lease given at its end lasts `lease_ns`, and both may be stretched by `eps`.
    ///
    /// Errors: durations out of bounds, a mandate of more than half of `drain_within_ns`, an `eps` above 20 %.
    pub fn new(drain_within_ns: i64, mandate_ns: i64, max_hold_ns: i64, eps_ppm: i64) -> Result<Terms, Error> {
        if !DRAIN_NS.contains(&drain_within_ns) || !(0..=HOLD_NS_MAX).contains(&max_hold_ns) {
            return Err(Error::invalid("`drain_within` is 100 ms to an hour, `max_hold` at most a day"));
        }
        if !(0..=EPS_PPM_MAX).contains(&eps_ppm) || mandate_ns <= 0 || mandate_ns > drain_within_ns / 2 {
            return Err(Error::invalid("a mandate lasts at most half of `drain_within`, and `eps` is at most 20 %"));
        }
        let mandate_in_it = if crate::lease::mutant!(LeaseWithoutMandate) { 0 } else { mandate_ns };
        let lease_ns = scaled(drain_within_ns - mandate_in_it, PPM, PPM + 2 * eps_ppm);
        Ok(Terms { lease_ns, mandate_ns, max_hold_ns, eps_ppm })
    }

    /// As keepers and gates agree on: a mandate of a quarter of `drain_within`, clocks that are off by a thousandth.
    pub fn usual(drain_within_ns: i64, max_hold_ns: i64) -> Result<Terms, Error> {
        Terms::new(drain_within_ns, drain_within_ns / 4, max_hold_ns, 1_000)
    }

    /// How long a lease lasts, ns.
    pub fn lease_ns(&self) -> i64 {
        self.lease_ns
    }

    /// So long on this clock that at least `ns` pass on any other.
    pub(crate) fn longer(&self, ns: i64) -> i64 {
        ns.saturating_add(self.margin(ns))
    }

    /// So short on this clock that at most `ns` pass on any other.
    pub(crate) fn shorter(&self, ns: i64) -> i64 {
        ns - self.margin(ns)
    }

    /// How far this clock may be off after `ns`, rounded up.
    pub(crate) fn margin(&self, ns: i64) -> i64 {
        let eps = if crate::lease::mutant!(NoSafetyFactor) { 0 } else { self.eps_ppm };
        let exact = i128::from(ns.max(0)) * i128::from(eps);
        i64::try_from((exact + i128::from(PPM) - 1) / i128::from(PPM)).unwrap_or(i64::MAX)
    }

    /// A term for which `longer` is at most `ns`, in whole ms.
    pub(crate) fn term_ms_within(&self, ns: i64) -> u32 {
        let term = scaled(ns.max(0), PPM, PPM + self.eps_ppm + 1);
        u32::try_from(term / 1_000_000).unwrap_or(u32::MAX)
    }
}

/// ns of so many ms.
pub(crate) fn ns_of(ms: u32) -> i64 {
    i64::from(ms) * 1_000_000
}

fn scaled(ns: i64, by: i64, over: i64) -> i64 {
    i64::try_from(i128::from(ns) * i128::from(by) / i128::from(over)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_lease_and_the_mandate_before_it_fit_into_drain_within() {
        let terms = Terms::new(5 * SECOND, 5 * SECOND / 4, 30 * SECOND, 1_000).unwrap();
        let stretched = i128::from(terms.lease_ns) * 1_002_000 / 1_000_000 + i128::from(terms.mandate_ns);
        assert!(stretched <= i128::from(5 * SECOND));
        assert!(terms.lease_ns > 3_700_000_000);
    }

    #[test]
    fn durations_that_no_contract_means_are_errors() {
        for (drain, mandate, hold, eps) in [
            (0, 1, 0, 0),
            (SECOND, 0, 0, 0),
            (SECOND, SECOND, 0, 0),
            (SECOND, 1, -1, 0),
            (SECOND, 1, 0, -1),
            (SECOND, 1, 0, 500_000),
            (i64::MAX, 1, 0, 0),
        ] {
            assert!(matches!(Terms::new(drain, mandate, hold, eps), Err(Error::Invalid(_))));
        }
    }

    proptest! {
        #[test]
        fn a_term_cut_to_an_instant_ends_before_it_on_the_keepers_clock(ns in 0i64..10 * SECOND, eps in 0i64..200_000) {
            let terms = Terms::new(5 * SECOND, SECOND, SECOND, eps).unwrap();
            prop_assert!(terms.longer(ns_of(terms.term_ms_within(ns))) <= ns);
        }

        #[test]
        fn what_is_short_here_is_over_where_it_is_long(ns in 0i64..100 * SECOND, eps in 0i64..200_000) {
            let terms = Terms::new(5 * SECOND, SECOND, SECOND, eps).unwrap();
            prop_assert!(terms.shorter(ns) <= ns && ns <= terms.longer(ns));
        }
    }
}
