//! Grains: the integers in which a rate's marks count, and what a demand costs in them.
//!
//! A grain is `2^-g` units. Charges round up and entitlement rounds down, so rounding never lets anything over.

use crate::error::Error;

/// A millionth of a unit.
pub(crate) const MICRO: u64 = 1_000_000;

/// Marks stay below this; two bits of a word are flags (see `word`).
pub(crate) const MARK_BITS: u32 = 62;

/// How long marks must last at four times the ceiling before a base has to be renewed: twenty years.
const LAST_NS: u128 = 20 * 366 * 86_400 * 1_000_000_000;

/// The finest grain; a slower limit gains nothing from a finer one.
const FINEST: u32 = 40;

/// The largest factor, cost or scale, in parts per million: a million times.
pub(crate) const PPM_MAX: u64 = 1_000_000 * MICRO;

/// The longest `per` and the largest divisor of a rate's fraction: hot arithmetic then stays within 128 bits.
pub(crate) const PER_NS_MAX: u64 = 31 * 86_400 * 1_000_000_000;
const DOWN_MAX: u128 = 1 << 62;

/// The grain of a rate: marks count `2^-g` units.
///
/// Args: `ceiling_micro`, the highest level in micro-units a `per_ns`; `per_ns`, 1 to 31 days.
/// Returns the largest g of 0..=40 with which `4 × ceiling` for 20 years stays below 2^61; 0 where it stays below 2^62.
/// Errors: a `per_ns` out of bounds, a ceiling for which 0 would be too fine (a thousand million units a second).
pub fn grains_log2(ceiling_micro: u64, per_ns: u64) -> Result<u32, Error> {
    if per_ns == 0 || per_ns > PER_NS_MAX {
        return Err(Error::invalid(format!("a rate's `per_ns` is 1 ns to 31 days, not {per_ns}")));
    }
    let per = u128::from(per_ns) * u128::from(MICRO);
    let lifetime_units = (u128::from(ceiling_micro.max(1)) * 4).saturating_mul(LAST_NS).div_ceil(per);
    let mut log2 = FINEST;
    while log2 > 0
        && lifetime_units.checked_shl(log2).is_none_or(|grains| grains >> log2 != lifetime_units || grains >= 1 << 61)
    {
        log2 -= 1;
    }
    if lifetime_units << log2 >= 1 << 62 {
        return Err(Error::invalid(format!("{ceiling_micro} micro-units in {per_ns} ns is more than a meter counts")));
    }
    Ok(log2)
}

/// How a level becomes grains: `level × ns × up / down`, `up / down = 2^g × scale / (10^6 × per)` in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grains {
    pub(crate) log2: u32,
    pub(crate) up: u128,
    pub(crate) down: u64,
    /// The factor on every level, in ppm: a key with a limit of its own.
    pub(crate) ppm: u64,
    /// The least burst: one unit, or a slow limit would admit nothing at all.
    pub(crate) least: u64,
}

impl Grains {
    /// Errors: a fraction that has no small terms (a scale of many digits over an odd `per` of weeks).
    pub(crate) fn of_rate(log2: u32, per_ns: u64, ppm: u64) -> Result<Grains, Error> {
        let (up, down) = (u128::from(ppm) << log2, u128::from(MICRO) * u128::from(MICRO) * u128::from(per_ns));
        let by = gcd(up, down);
        let (up, down) = (up / by, down / by);
        if down >= DOWN_MAX {
            return Err(Error::invalid(format!(
                "{ppm} ppm of a level each {per_ns} ns cannot be counted exactly; take a `per` of whole seconds or a rounder scale"
            )));
        }
        Ok(Grains { log2, up, down: down as u64, ppm, least: 1 << log2 })
    }

    /// For levels that are not rates.
    pub(crate) fn of_level(ppm: u64) -> Grains {
        Grains { log2: 0, up: 0, down: 1, ppm, least: 1 }
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// What a demand of n units costs on one meter: `n × weight`, in the meter's own counts, rounded up.
///
/// The weight is cost × factor, each in ppm; the count is `2^log2` per unit for rates, and `10^6 / 2^shift` for
/// concurrency and quotas (micro-units, coarser by 2^shift where a quota's ceiling asks for it).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charge {
    /// Counts for one unit, rounded up, and whether that was exact: then n units are n times it.
    one: u64,
    exact: bool,
    /// Counts for n units are `⌈n × up / down⌉`.
    up: u128,
    down: u128,
}

impl Charge {
    /// Counts of a rate with grain `log2`.
    pub(crate) fn grains(log2: u32, cost_ppm: u64, factor_ppm: u64) -> Charge {
        Charge::new((u128::from(cost_ppm) * u128::from(factor_ppm)) << log2, 1_000_000_000_000)
    }

    /// Counts of `2^shift` micro-units each.
    pub(crate) fn micro(shift: u32, cost_ppm: u64, factor_ppm: u64) -> Charge {
        Charge::new(u128::from(cost_ppm) * u128::from(factor_ppm), 1_000_000 << shift)
    }

    fn new(up: u128, down: u128) -> Charge {
        let one = up.div_ceil(down);
        Charge { one: u64::try_from(one).unwrap_or(u64::MAX), exact: up.is_multiple_of(down), up, down }
    }

    /// Counts for `units`; `u64::MAX`, which fits nowhere, where that is more than a u64 holds.
    #[inline]
    pub(crate) fn of(&self, units: u64) -> u64 {
        if units == 1 {
            return self.one;
        }
        if self.exact {
            return self.one.saturating_mul(units);
        }
        match self.up.checked_mul(u128::from(units)) {
            Some(whole) => u64::try_from(whole.div_ceil(self.down)).unwrap_or(u64::MAX),
            None => u64::MAX,
        }
    }

    /// Whether demands cost nothing here.
    pub(crate) fn is_free(&self) -> bool {
        self.up == 0
    }

    /// Counts for so many micro-units of a demand; `u64::MAX` where that is more than a u64 holds.
    pub(crate) fn of_micro(&self, micro: u64) -> u64 {
        match self.up.checked_mul(u128::from(micro)) {
            Some(whole) => u64::try_from(whole.div_ceil(self.down * u128::from(MICRO))).unwrap_or(u64::MAX),
            None => u64::MAX,
        }
    }

    /// How many micro-units of a demand `counts` pay for; `u64::MAX` where it costs nothing.
    pub(crate) fn micro_in(&self, counts: u64) -> u64 {
        if self.up == 0 {
            return u64::MAX;
        }
        let whole = u128::from(counts).saturating_mul(self.down * u128::from(MICRO)) / self.up;
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    /// How many whole units `counts` pay for.
    pub(crate) fn units_in(&self, counts: u64) -> u64 {
        if self.up == 0 {
            return u64::MAX;
        }
        let whole = u128::from(counts).saturating_mul(self.down) / self.up;
        u64::try_from(whole).unwrap_or(u64::MAX)
    }
}

/// Grains as micro-units, rounded to the nearest; readings are for people and headers, decisions stay in grains.
pub(crate) fn micro_of_grains(grains: i128, log2: u32) -> i64 {
    let whole = grains * i128::from(MICRO);
    let half = if log2 == 0 { 0 } else { 1i128 << (log2 - 1) };
    i64::try_from((whole + half) >> log2).unwrap_or(if grains < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_mark_lasts_twenty_years_at_four_times_the_ceiling() {
        for per_ns in [SECOND / 10, SECOND, 60 * SECOND, PER_NS_MAX] {
            for ceiling in [1, 1_000, MICRO, 1_000 * MICRO, 1_000_000 * MICRO, 100_000_000 * MICRO] {
                let log2 = grains_log2(ceiling, per_ns).unwrap();
                let units = u128::from(ceiling) * 4 * LAST_NS / u128::from(MICRO) / u128::from(per_ns);
                let most = if log2 == 0 { MARK_BITS } else { MARK_BITS - 1 };
                assert!(units << log2 < 1 << most, "{ceiling} in {per_ns}");
                assert!(
                    log2 == FINEST || (units + 1) << log2 >= 1 << 59,
                    "{ceiling} in {per_ns} could be finer than {log2}"
                );
            }
        }
    }

    #[test]
    fn a_ceiling_or_a_period_beyond_the_meter_is_an_error() {
        assert!(matches!(grains_log2(u64::MAX, SECOND), Err(Error::Invalid(_))));
        assert!(matches!(grains_log2(1, 0), Err(Error::Invalid(_))));
        assert!(matches!(grains_log2(1, PER_NS_MAX + 1), Err(Error::Invalid(_))));
        assert!(matches!(Grains::of_rate(0, PER_NS_MAX - 1, 1_333_333), Err(Error::Invalid(_))));
    }

    #[test]
    fn one_period_of_a_level_is_exactly_the_level() {
        let grains = Grains::of_rate(20, 60 * SECOND, MICRO).unwrap();
        let whole = u128::from(100 * MICRO) * grains.up * u128::from(60 * SECOND);
        assert_eq!((0, 100 << 20), (whole % u128::from(grains.down), whole / u128::from(grains.down)));
    }

    #[test]
    fn charges_round_up_once_for_the_whole_demand() {
        let third = Charge::micro(0, 1_000_000, 333_333);
        assert_eq!(333_333, third.of(1));
        let tiny = Charge::micro(0, 1, 1);
        assert_eq!((1, 1, 2), (tiny.of(1), tiny.of(1_000_000), tiny.of(1_000_001)));
    }

    #[test]
    fn a_demand_beyond_u64_fits_nowhere() {
        assert_eq!(u64::MAX, Charge::grains(40, 1_000_000, 1_000_000).of(u64::MAX));
    }
}
