//! 256-bit intermediates: a climb's area is a product of five factors, and its floor has to be exact.
//!
//! Only what the curves need: products of two u128, sums, differences, and a floor division whose quotient fits u64.

/// An unsigned integer of 256 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wide {
    hi: u128,
    lo: u128,
}

impl Wide {
    /// `a × b`, exactly.
    pub(crate) fn product(a: u128, b: u128) -> Wide {
        const LOW: u128 = u64::MAX as u128;
        let (a1, a0, b1, b0) = (a >> 64, a & LOW, b >> 64, b & LOW);
        let (low, high) = (a0 * b0, a1 * b1);
        let (middle, carried) = (a1 * b0).overflowing_add(a0 * b1);
        let (lo, overflowed) = low.overflowing_add(middle << 64);
        let hi = high + (middle >> 64) + (u128::from(carried) << 64) + u128::from(overflowed);
        Wide { hi, lo }
    }

    pub(crate) fn plus(self, other: Wide) -> Wide {
        let (lo, carried) = self.lo.overflowing_add(other.lo);
        Wide { hi: self.hi + other.hi + u128::from(carried), lo }
    }

    /// `self − other`; the callers' areas are never negative, so a borrow out of the top is a bug and panics.
    pub(crate) fn minus(self, other: Wide) -> Wide {
        let (lo, borrowed) = self.lo.overflowing_sub(other.lo);
        Wide { hi: self.hi - other.hi - u128::from(borrowed), lo }
    }

    fn to_f64(self) -> f64 {
        const TWO_64: f64 = 18_446_744_073_709_551_616.0;
        const TWO_128: f64 = 340_282_366_920_938_463_463_374_607_431_768_211_456.0;
        // By halves: a u128 as such is converted by a slow library routine.
        let by_halves = |x: u128| (x >> 64) as u64 as f64 * TWO_64 + (x as u64) as f64;
        if self.hi == 0 { by_halves(self.lo) } else { by_halves(self.hi) * TWO_128 + by_halves(self.lo) }
    }

    /// `⌊self / divisor⌋`, `u64::MAX` where that is more than a u64 holds.
    ///
    /// Each round takes a candidate from floating point that is never too large, and subtracts it exactly; what is
    /// left shrinks by 2^48 a round, so four rounds reach the end, and one comparison settles the last unit.
    pub(crate) fn floor_div(self, divisor: u128) -> u64 {
        const SHY: f64 = 1.0 - 1.0 / (1u64 << 48) as f64;
        let by = divisor as f64;
        let (mut quotient, mut rest) = (0u64, self);
        loop {
            let candidate = rest.to_f64() / by * SHY;
            if candidate >= 18_446_744_073_709_551_615.0 {
                return u64::MAX;
            }
            let step = candidate as u64;
            if step == 0 {
                break;
            }
            let Some(sum) = quotient.checked_add(step) else { return u64::MAX };
            quotient = sum;
            rest = rest.minus(Wide::product(divisor, u128::from(step)));
        }
        while rest >= (Wide { hi: 0, lo: divisor }) {
            let Some(sum) = quotient.checked_add(1) else { return u64::MAX };
            quotient = sum;
            rest = rest.minus(Wide { hi: 0, lo: divisor });
        }
        quotient
    }
}

#[cfg(test)]
mod tests {
    use super::Wide;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quotient_is_the_exact_floor(quotient: u64, divisor in 1u128..1 << 120, part in 0.0f64..1.0) {
            let rest = ((divisor as f64 * part) as u128).min(divisor - 1);
            let whole = Wide::product(u128::from(quotient), divisor).plus(Wide { hi: 0, lo: rest });
            prop_assert_eq!(quotient, whole.floor_div(divisor));
        }

        #[test]
        fn a_product_of_small_factors_is_the_u128_product(a: u64, b: u64) {
            prop_assert_eq!(Wide { hi: 0, lo: u128::from(a) * u128::from(b) }, Wide::product(a.into(), b.into()));
        }
    }

    #[test]
    fn the_largest_product_keeps_every_bit() {
        let square = Wide::product(u128::MAX, u128::MAX);
        assert_eq!(Wide { hi: u128::MAX - 1, lo: 1 }, square);
    }

    #[test]
    fn a_quotient_beyond_u64_is_cut_to_the_largest() {
        assert_eq!(u64::MAX, Wide::product(u128::MAX, 2).floor_div(3));
    }
}
