//! A word that counts mark and loans in one, held against a model that keeps the two apart; and beside other threads.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Meter, MeterSpec, Taken};
use crate::curve::{Curve, Measure, Segment};
use crate::growth::Growths;
use crate::installed::RENEW_AT;
use crate::sip::SipKey;
use crate::time::Clock;

const SECOND: i64 = 1_000_000_000;
const MICRO: u64 = 1_000_000;

struct Stands(i64);

impl Clock for Stands {
    fn boot_ns(&self) -> i64 {
        self.0
    }
}

/// Units a second from `from` to `to` within ten seconds of `at`, and a burst of so many milliseconds.
fn curve(version: u64, at: i64, (from, to): (u64, u64), burst_ms: u64) -> Arc<Curve> {
    let part = |start_ns, end_ns, from: u64, to: u64| Segment {
        start_ns,
        end_ns,
        from_micro: from * MICRO,
        to_micro: to * MICRO,
    };
    let end = at + 10 * SECOND;
    let segments = vec![part(at, Some(end), from, to), part(end, None, to, to)];
    let (stage, window, raises_when) = (String::new(), vec![], String::new());
    let (measure, per_ns, burst_ns) = (Measure::Rate, SECOND as u64, burst_ms * MICRO);
    Arc::new(Curve { measure, version, stage, segments, per_ns, burst_ns, window, raises_when }.checked().unwrap())
}

fn lendable(meter: &Meter, now: i64, until: i64) -> u64 {
    meter.lendable(now, until, |free, _| free)
}

fn meter(renew_at: u64) -> Meter {
    let spec = MeterSpec::plain("m", Measure::Rate, 40 * MICRO, SECOND as u64);
    Meter::renewed_at(spec, SipKey(1, 2), &Arc::new(Growths::default()), renew_at).unwrap()
}

#[derive(Debug, Clone)]
enum Turn {
    Advance(i64),
    Publish(u64, u64, u64),
    Reserve(u64),
    /// Gives so much of one reservation back.
    GiveBack(prop::sample::Index, u64),
    Debt(u64),
    /// So much for so many ns.
    Lend(u64, i64),
    Spent(prop::sample::Index, u64),
    Dropped(prop::sample::Index, u64),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let which = any::<prop::sample::Index>;
    let n = 1u64..12_000;
    let turn = prop_oneof![
        4 => (0i64..2 * SECOND).prop_map(Turn::Advance),
        1 => (0u64..40, 0u64..40, 0u64..2_000).prop_map(|(from, to, burst)| Turn::Publish(from, to, burst)),
        4 => n.clone().prop_map(Turn::Reserve),
        2 => (which(), n.clone()).prop_map(|(which, n)| Turn::GiveBack(which, n)),
        1 => n.clone().prop_map(Turn::Debt),
        4 => (n.clone(), 0i64..5 * SECOND).prop_map(|(n, ns)| Turn::Lend(n, ns)),
        2 => (which(), n.clone()).prop_map(|(which, n)| Turn::Spent(which, n)),
        2 => (which(), n).prop_map(|(which, n)| Turn::Dropped(which, n)),
    ];
    prop::collection::vec(turn, 1..100)
}

/// All in grains of a base that is never renewed.
#[derive(Default)]
struct Apart {
    mark: i128,
    gives: i128,
    loans: Vec<(i64, i128)>,
    reserved: Vec<(Taken, i128, i128, i128)>,
}

impl Apart {
    fn on_loan(&self) -> i128 {
        self.loans.iter().map(|loan| loan.1).sum()
    }

    fn free(&self, e: i128, k: i128) -> i128 {
        e - self.mark.max(k) - self.on_loan()
    }

    fn until(&self) -> i64 {
        self.loans.iter().filter(|loan| loan.1 > 0).map(|loan| loan.0).max().unwrap_or(i64::MIN)
    }
}

fn play(turns: &[Turn], renew_at: u64) -> Result<(), TestCaseError> {
    let meter = meter(renew_at);
    // A thousandth of a unit, so that sizes lie beside and between whole ones.
    let milli = (1u64 << meter.grains.log2) / 1_000;
    let (mut now, mut version, mut apart) = (0, 1, Apart::default());
    meter.install(&curve(1, 0, (10, 10), 1_000), 0, 0);
    for turn in turns {
        let installed = meter.installed().unwrap();
        let base = i128::from(installed.base);
        let (e, k) = (i128::from(installed.entitlement(now)) + base, i128::from(installed.floor(now)) + base);
        let free = apart.free(e, k);
        match *turn {
            Turn::Advance(ns) => now += ns,
            Turn::Publish(from, to, burst) => {
                version += 1;
                meter.install(&curve(version, now, (from, to), burst), 0, now);
            }
            Turn::Reserve(n) => {
                let n = n * milli;
                let took = meter.take(&Stands(now), now, None, n);
                prop_assert_eq!(i128::from(n) <= free, took.is_ok());
                if let Ok(taken) = took {
                    apart.mark = apart.mark.max(k) + i128::from(n);
                    apart.reserved.push((taken, i128::from(n), apart.mark, apart.gives));
                }
            }
            Turn::GiveBack(which, n) if !apart.reserved.is_empty() => {
                let at = which.index(apart.reserved.len());
                let (taken, left, mark, gives) = &mut apart.reserved[at];
                let n = i128::from(n * milli).min(*left);
                let due = (*mark - (apart.gives - *gives) - k).clamp(0, n);
                prop_assert_eq!(due, i128::from(meter.give_back(now, None, taken, n as u64)));
                *left -= n;
                apart.gives += n;
                apart.mark -= due;
            }
            Turn::Debt(n) => {
                meter.charge_more(
                    now,
                    None,
                    &Taken { n: 0, held: super::Held::Rate(crate::rate::Marked::NONE) },
                    n * milli,
                );
                apart.mark = apart.mark.max(k) + i128::from(n * milli);
            }
            Turn::Lend(n, ns) => {
                let (n, until) = (n * milli, now + ns);
                let lowest = installed.lowest_burst(now, until.max(apart.until()).max(now));
                let room = free.min(i128::from(lowest) - apart.on_loan()).max(0);
                prop_assert_eq!(room, i128::from(lendable(&meter, now, until)));
                let lent = meter.lend(now, n, until, |_| 0).is_ok();
                prop_assert_eq!(i128::from(n) <= room, lent);
                if lent {
                    apart.mark = apart.mark.max(k);
                    apart.loans.push((until, i128::from(n)));
                }
            }
            Turn::Spent(which, n) if !apart.loans.is_empty() => {
                let at = which.index(apart.loans.len());
                let (until, out) = apart.loans[at];
                let n = i128::from(n * milli).min(out);
                meter.loan_spent(now, n as u64, until);
                apart.loans[at].1 -= n;
                apart.mark = apart.mark.max(k) + n;
            }
            Turn::Dropped(which, n) if !apart.loans.is_empty() => {
                let at = which.index(apart.loans.len());
                let (until, out) = apart.loans[at];
                let n = i128::from(n * milli).min(out);
                meter.loan_dropped(now, n as u64, until);
                apart.loans[at].1 -= n;
                apart.mark = apart.mark.max(k);
            }
            Turn::GiveBack(..) | Turn::Spent(..) | Turn::Dropped(..) => {}
        }
        prop_assert_eq!(apart.on_loan(), i128::from(meter.on_loan()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn one_word_decides_like_a_mark_and_loans_that_are_kept_apart(turns in turns()) {
        play(&turns, RENEW_AT)?;
    }

    #[test]
    fn renewing_the_base_loses_no_loan(turns in turns()) {
        play(&turns, 1)?;
    }
}

#[test]
fn what_is_on_loan_is_not_forgiven_however_long_it_is_out() {
    let meter = meter(RENEW_AT);
    meter.install(&curve(1, 0, (10, 10), 1_000), 0, 0);
    let unit = 1 << meter.grains.log2;
    meter.lend(0, 6 * unit, 3_600 * SECOND, |_| 0).unwrap();
    let much_later = 3_000 * SECOND;
    assert_eq!(4 * unit, lendable(&meter, much_later, much_later));
    assert!(meter.take(&Stands(much_later), much_later, None, 5 * unit).is_err());
    meter.loan_dropped(much_later, 6 * unit, 3_600 * SECOND);
    assert!(meter.take(&Stands(much_later), much_later, None, 10 * unit).is_ok());
}

#[test]
fn loans_are_held_against_the_lowest_burst_until_all_have_ended() {
    let meter = meter(RENEW_AT);
    // From 40 a second to 0 within ten seconds; the burst is a second's.
    meter.install(&curve(1, 0, (40, 0), 1_000), 0, 0);
    let unit = 1u64 << meter.grains.log2;
    assert_eq!(20 * unit, lendable(&meter, 0, 5 * SECOND));
    meter.lend(0, 4 * unit, 9 * SECOND, |_| 0).unwrap();
    assert_eq!(0, lendable(&meter, 0, SECOND), "4 are out until 9 s, when the burst is 4");
    meter.loan_spent(0, 4 * unit, 9 * SECOND);
    assert_eq!(36 * unit, lendable(&meter, 0, SECOND));
}

#[test]
fn more_is_never_taken_off_a_loan_than_is_out() {
    let meter = meter(RENEW_AT);
    meter.install(&curve(1, 0, (10, 10), 1_000), 0, 0);
    let unit = 1u64 << meter.grains.log2;
    meter.lend(0, 2 * unit, SECOND, |_| 0).unwrap();
    meter.loan_dropped(0, 9 * unit, SECOND);
    meter.loan_dropped(0, unit, 2 * SECOND);
    assert_eq!((0, 10 * unit), (meter.on_loan(), lendable(&meter, 0, SECOND)));
}

#[test]
fn before_the_first_curve_nothing_is_lent() {
    let meter = meter(RENEW_AT);
    assert_eq!(0, lendable(&meter, 0, SECOND));
    assert!(matches!(meter.lend(0, 1, SECOND, |_| 0), Err(super::Stop::NotPublished)));
}

/// Time stands still, so that K forgives nothing: what was used of the burst can be summed up.
#[test]
fn beside_demands_and_give_backs_loans_mint_nothing() {
    let meter = meter(RENEW_AT);
    meter.install(&curve(1, 0, (10, 10), 1_000), 0, 0);
    let unit = 1u64 << meter.grains.log2;
    let grain = unit / 1_000;
    let kept = std::thread::scope(|threads| {
        let demands = [(); 2].map(|()| {
            threads.spawn(|| {
                let mut kept = 0;
                for turn in 0..20_000u64 {
                    if let Ok(taken) = meter.take(&Stands(0), 0, None, 3 * grain) {
                        let back = if turn.is_multiple_of(64) { 0 } else { taken.n };
                        let given = if back > 0 { meter.give_back(0, None, &taken, back) } else { 0 };
                        assert!(given <= back);
                        kept += taken.n - back;
                    }
                }
                kept
            })
        });
        let lender = threads.spawn(|| {
            let mut spent = 0;
            for turn in 0..20_000u64 {
                if meter.lend(0, 5 * grain, SECOND, |_| 0).is_ok() {
                    let n = if turn.is_multiple_of(64) { 2 * grain } else { 0 };
                    meter.loan_spent(0, n, SECOND);
                    meter.loan_dropped(0, 5 * grain - n, SECOND);
                    spent += n;
                }
            }
            spent
        });
        let kept: u64 = demands.into_iter().map(|demand| demand.join().unwrap()).sum();
        kept + lender.join().unwrap()
    });
    assert_eq!(0, meter.on_loan());
    let free = lendable(&meter, 0, SECOND);
    assert!(kept + free <= 10 * unit, "{kept} were used, {free} are free of {}", 10 * unit);
}
