//! Random histories of a rate, held against an explicitly settled bucket in exact integers.
//!
//! Instants are multiples of 1/512 s and levels whole units a second, so that every area is a whole number of grains:
//! mark and bucket then have to agree in every decision, with renewals of the base as without.

use std::sync::Arc;

use proptest::prelude::*;

use crate::curve::{Curve, Measure, Segment};
use crate::growth::Growths;
use crate::meter::{Meter, MeterSpec, Taken};
use crate::sip::SipKey;
use crate::time::Clock;

const SECOND: u64 = 1_000_000_000;
const UNIT: u64 = 1_000_000;
/// 1/512 s.
const TICK: i64 = 1_953_125;

struct Stands(i64);

impl Clock for Stands {
    fn boot_ns(&self) -> i64 {
        self.0
    }
}

#[derive(Debug, Clone)]
enum Turn {
    Advance(i64),
    Demand(u64),
    /// Units a second, and the burst in ticks of the limit.
    Publish(u64, u64),
    /// A demand that is undone at once, as on a path that another meter refuses.
    Undo(u64),
    /// Charged over the limit if need be.
    Debt(u64),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        4 => (0i64..10_000).prop_map(Turn::Advance),
        6 => (1u64..30).prop_map(Turn::Demand),
        2 => (0u64..40, 0u64..1_500).prop_map(|(level, burst)| Turn::Publish(level, burst)),
        1 => (1u64..30).prop_map(Turn::Undo),
        1 => (1u64..30).prop_map(Turn::Debt),
    ];
    prop::collection::vec(turn, 1..120)
}

fn curve(version: u64, level: u64, burst: u64) -> Arc<Curve> {
    let segments = vec![Segment { start_ns: 0, end_ns: None, from_micro: level * UNIT, to_micro: level * UNIT }];
    let (stage, window, raises_when) = (String::new(), vec![], String::new());
    let burst_ns = burst * TICK as u64;
    let curve =
        Curve { measure: Measure::Rate, version, stage, segments, per_ns: SECOND, burst_ns, window, raises_when };
    Arc::new(curve.checked().unwrap())
}

fn meter(keyed: bool, renew_at: u64) -> Meter {
    let plain = MeterSpec::plain("m", Measure::Rate, 40 * UNIT, SECOND);
    let spec = MeterSpec { keys_max: keyed.then_some(1_000), ..plain };
    Meter::renewed_at(spec, SipKey(1, 2), &Arc::new(Growths::default()), renew_at).unwrap()
}

/// Tokens in 1/512 of a unit: filled at the limit's speed, cut to the burst at every change.
struct Bucket {
    tokens: i64,
    level: i64,
    burst: i64,
}

impl Bucket {
    fn change(&mut self, level: u64, burst: u64) {
        (self.level, self.burst) = (level as i64, (level * burst).max(512) as i64);
        self.tokens = self.tokens.min(self.burst);
    }

    fn advance(&mut self, ticks: i64) {
        self.tokens = (self.tokens + self.level * ticks).min(self.burst);
    }
}

/// Plays a history; the answers of meter and bucket to every demand have to be the same.
fn agree(turns: &[Turn], keyed: bool, renew_at: u64) -> Result<(), TestCaseError> {
    let meter = meter(keyed, renew_at);
    let grain = 1u64 << meter.grains.log2;
    let key = keyed.then_some(77);
    let (mut now, mut version) = (0i64, 1);
    let mut bucket = Bucket { tokens: i64::MAX, level: 0, burst: 0 };
    bucket.change(10, 512);
    meter.install(&curve(1, 10, 512), 0, now);
    for turn in turns {
        match *turn {
            Turn::Advance(ticks) => {
                now += ticks * TICK;
                bucket.advance(ticks);
            }
            Turn::Demand(units) => {
                let fits = bucket.tokens >= units as i64 * 512;
                if fits {
                    bucket.tokens -= units as i64 * 512;
                }
                let took = meter.take(&Stands(now), now, key, units * grain).is_ok();
                prop_assert_eq!(fits, took, "{} units at {}", units, now);
            }
            Turn::Publish(level, burst) => {
                version += 1;
                bucket.change(level, burst);
                meter.install(&curve(version, level, burst), 0, now);
            }
            Turn::Undo(units) => {
                if let Ok(taken) = meter.take(&Stands(now), now, key, units * grain) {
                    prop_assert_eq!(units * grain, meter.give_back(now, key, &taken, taken.n));
                }
            }
            Turn::Debt(units) => {
                // What a settlement above its reservation does: one unit is reserved, the rest is owed.
                if let Ok(taken) = meter.take(&Stands(now), now, key, grain) {
                    meter.charge_more(now, key, &Taken { n: grain, ..taken }, (units - 1) * grain);
                    bucket.tokens -= units as i64 * 512;
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_mark_decides_like_a_bucket_that_is_settled_at_every_change(turns in turns(), keyed: bool) {
        agree(&turns, keyed, crate::installed::RENEW_AT)?;
    }

    #[test]
    fn renewing_the_base_at_every_publish_loses_no_mark_and_no_debt(turns in turns(), keyed: bool) {
        agree(&turns, keyed, 1)?;
    }
}

/// Reservations of which anything may be given back, at any time and in any order: what was kept in any interval is never
/// more than the burst and what came in. Plain lowering of the mark breaks this within a few hundred histories.
#[derive(Debug, Clone)]
enum Step {
    Advance(i64),
    Reserve(u64),
    /// Settles one of those that are out, at so many units.
    Settle(prop::sample::Index, u64),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn giving_back_mints_nothing(
        steps in prop::collection::vec(prop_oneof![
            (0i64..600).prop_map(Step::Advance),
            (1u64..10).prop_map(Step::Reserve),
            (any::<prop::sample::Index>(), 0u64..10).prop_map(|(which, actual)| Step::Settle(which, actual)),
        ], 1..80),
    ) {
        let meter = meter(false, crate::installed::RENEW_AT);
        let grain = 1u64 << meter.grains.log2;
        meter.install(&curve(1, 10, 512), 0, 0);
        let (mut now, mut out) = (0i64, vec![]);
        // (instant, what it cost in the end), in 1/512 of a unit.
        let mut kept: Vec<(i64, i64)> = vec![];
        for step in steps {
            match step {
                Step::Advance(ticks) => now += ticks,
                Step::Reserve(units) => {
                    let at = now * TICK;
                    if let Ok(taken) = meter.take(&Stands(at), at, None, units * grain) {
                        out.push((kept.len(), taken, units));
                        kept.push((now, units as i64 * 512));
                    }
                }
                Step::Settle(which, actual) if !out.is_empty() => {
                    let (row, taken, units) = out.swap_remove(which.index(out.len()));
                    let actual = actual.min(units);
                    meter.give_back(now * TICK, None, &taken, (units - actual) * grain);
                    kept[row].1 = actual as i64 * 512;
                }
                Step::Settle(..) => {}
            }
        }
        for (i, (from, _)) in kept.iter().enumerate() {
            let mut sum = 0;
            for (at, cost) in &kept[i..] {
                sum += cost;
                prop_assert!(sum <= 10 * 512 + 10 * (at - from), "{} in {}..={}", sum, from, at);
            }
        }
    }
}
