//! What somebody wants, from what it asked for: offered load, admitted or not, with the past fading.
//!
//! Refused demand counts: by what was admitted alone, whoever is held short would look content and be held short for ever.

/// Micro-units a unit.
const MICRO: f64 = 1_000_000.0;
const SECOND: f64 = 1e9;

/// A smoothed demand per second. An estimate that only aims a division: floating point is exact enough for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    micro_per_s: u64,
    seen_ns: i64,
}

impl Demand {
    /// Nothing asked for yet, as known at an instant of a monotonic clock.
    pub fn none(now_ns: i64) -> Demand {
        Demand { micro_per_s: 0, seen_ns: now_ns }
    }

    /// The demand after so many units were offered since the last look.
    ///
    /// A steady demand is met exactly, however often one looks; a step is followed by half in each half-life. An
    /// instant before the last look is taken for the last look: reports may overtake each other.
    ///
    /// Args: `admitted`, `refused` in units since the last look; `half_life_ns`, at least 1 (0 is taken for 1).
    #[must_use]
    pub fn after(self, now_ns: i64, admitted: u64, refused: u64, half_life_ns: u64) -> Demand {
        let passed = now_ns.saturating_sub(self.seen_ns).max(0);
        let half_lives = passed as f64 / half_life_ns.max(1) as f64;
        let fade = (-half_lives).exp2();
        // (1 − fade) / passed; where nothing passed, its limit there.
        let weight_per_ns = if passed == 0 {
            std::f64::consts::LN_2 / half_life_ns.max(1) as f64
        } else {
            (1.0 - fade) / passed as f64
        };
        let offered = (admitted as f64 + refused as f64) * MICRO;
        let level = self.micro_per_s as f64 * fade + offered * weight_per_ns * SECOND;
        // `as` stops at the ends of u64.
        Demand { micro_per_s: level.round() as u64, seen_ns: self.seen_ns.max(now_ns) }
    }

    pub fn micro_per_s(self) -> u64 {
        self.micro_per_s
    }

    /// The units wanted for a span ahead, rounded up: whoever asked at all wants at least one. 0 only where nothing is
    /// left of the past.
    pub fn units_within(self, span_ns: u64) -> u64 {
        let micro_ns = u128::from(self.micro_per_s) * u128::from(span_ns);
        u64::try_from(micro_ns.div_ceil(1_000_000 * 1_000_000_000)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    const S: u64 = 1_000 * MS;

    #[test]
    fn who_is_refused_everything_is_seen_to_want_it() {
        let starved = Demand::none(0).after(S as i64, 0, 100, MS);
        let served = Demand::none(0).after(S as i64, 100, 0, MS);
        assert_eq!((100_000_000, served), (starved.micro_per_s(), starved));
    }

    #[test]
    fn half_of_a_step_is_followed_in_each_half_life() {
        let mut demand = Demand::none(0);
        let seen: Vec<u64> = (1..=3)
            .map(|look| {
                demand = demand.after(look * 100 * MS as i64, 100, 0, 100 * MS);
                demand.micro_per_s() / 1_000_000
            })
            .collect();
        assert_eq!(vec![500, 750, 875], seen);
    }

    #[test]
    fn silence_fades_by_half_in_each_half_life() {
        let loud = Demand::none(0).after(10 * S as i64, 10_000, 0, MS);
        let quiet = loud.after(10 * S as i64 + 300 * MS as i64, 0, 0, 100 * MS);
        assert_eq!((1_000_000_000, 125_000_000), (loud.micro_per_s(), quiet.micro_per_s()));
    }

    #[test]
    fn two_reports_of_one_instant_both_count() {
        let once = Demand::none(0).after(0, 7, 0, 100 * MS);
        let twice = once.after(0, 7, 0, 100 * MS);
        assert_eq!(2 * once.micro_per_s(), twice.micro_per_s());
        assert!(once.micro_per_s() > 0);
    }

    #[test]
    fn a_report_from_before_the_last_look_turns_no_clock_back() {
        let late = Demand::none(5 * S as i64).after(3 * S as i64, 1, 0, S);
        assert_eq!(late, Demand { seen_ns: 5 * S as i64, ..late });
    }

    #[test]
    fn a_trickle_wants_one_unit_and_nothing_wants_none() {
        let trickle = Demand::none(0).after(10 * S as i64, 1, 0, S);
        assert_eq!((1, 0), (trickle.units_within(S), Demand::none(0).units_within(u64::MAX)));
    }

    #[test]
    fn numbers_beyond_all_bounds_stop_at_the_largest() {
        let flood = Demand::none(i64::MIN).after(i64::MAX, u64::MAX, u64::MAX, 0).after(i64::MAX, u64::MAX, 0, 0);
        assert_eq!((u64::MAX, u64::MAX), (flood.micro_per_s(), flood.units_within(u64::MAX)));
    }

    proptest! {
        #[test]
        fn a_steady_demand_is_met_however_often_one_looks(looks in prop::collection::vec(1u64..2_000, 1..40), per_s in 1u64..1_000_000) {
            let (mut now, mut demand) = (0, Demand { micro_per_s: per_s * 1_000_000, seen_ns: 0 });
            for ms in looks {
                now += ms * 1_000 * MS;
                demand = demand.after(now as i64, per_s * ms, 0, 50 * MS);
                prop_assert!(demand.micro_per_s().abs_diff(per_s * 1_000_000) <= 1 + per_s / 100);
            }
        }
    }
}
