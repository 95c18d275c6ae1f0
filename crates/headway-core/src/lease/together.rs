//! Keeper and gates together, without a network: what each message brings about. Faults are the simulation's.

use proptest::prelude::*;

use crate::curve::Measure;
use crate::error::Error;
use crate::lease::house::{House, SECOND, UNIT};
use crate::lease::{
    Effect, FromGate, FromKeeper, Gate, GateEffect, Holder, Inheritance, Keeper, Lease, Left, Outcome, Renew, Row,
    Terms, WriteKind,
};
use crate::time::Clock;

const CONTRACT: u64 = 7;
const A: Holder = Holder(1);
const B: Holder = Holder(2);

fn terms() -> Terms {
    Terms::new(5 * SECOND, SECOND, 10 * SECOND, 1_000).unwrap()
}

struct Stands(i64);

impl Clock for Stands {
    fn boot_ns(&self) -> i64 {
        self.0
    }
}

fn keeper_of(house: &House, rows: &[Row]) -> Keeper {
    let from = Inheritance { epoch: 3, asked_at: 0, predecessor_may_live: !rows.is_empty() };
    let mut keeper = Keeper::take_over(0, from, terms());
    keeper.keep(0, CONTRACT, terms(), &house.path, Left::Rows(rows)).unwrap();
    keeper
}

fn slots(units: u64) -> House {
    House::new(Measure::Concurrency, units, None)
}

fn keeper(units: u64) -> Keeper {
    keeper_of(&slots(units), &[])
}

fn renew(counter: u64, want: u64) -> Renew {
    Renew { contract: CONTRACT, want: want * UNIT, epoch: 0, seq: 0, lapsed: true, counter, in_flight: 0 }
}

/// Carries effects out at once, with a store that grants everything; the leases that were sent.
fn carry_out(keeper: &mut Keeper, now: i64, effects: Vec<Effect>) -> Vec<(Holder, Lease)> {
    let mut leases = vec![];
    for effect in effects {
        match effect {
            Effect::Send { holder, message: FromKeeper::Lease(lease) } => leases.push((holder, lease)),
            Effect::Durable(write) => {
                let next = keeper.durable(now, write.id, Outcome::Granted);
                leases.extend(carry_out(keeper, now, next));
            }
            Effect::Send { .. } | Effect::WakeAt(_) => {}
        }
    }
    leases
}

fn ask(keeper: &mut Keeper, now: i64, holder: Holder, renew: Renew) -> Vec<u64> {
    let effects = keeper.on(now, holder, FromGate::Renew(renew));
    carry_out(keeper, now, effects).into_iter().map(|(_, lease)| lease.units / UNIT).collect()
}

fn sent(effects: &[GateEffect]) -> Vec<Renew> {
    let of = |e: &GateEffect| if let GateEffect::Send(FromGate::Renew(renew)) = e { Some(renew.clone()) } else { None };
    effects.iter().filter_map(of).collect()
}

/// A gate that wants `want` and was granted `lease` in reply to what it sent at `sent_at`.
fn gate_with(want: u64, sent_at: i64, got_at: i64, lease: impl FnOnce(u64) -> Lease) -> Gate {
    let mut gate = Gate::new();
    gate.demand(0, CONTRACT, terms(), want * UNIT);
    let counter = sent(&gate.tick(sent_at))[0].counter;
    gate.on(got_at, FromKeeper::Lease(lease(counter)));
    gate
}

fn lease(seq: u64, units: u64, in_reply_to: Option<u64>) -> Lease {
    Lease { contract: CONTRACT, epoch: 3, seq, units: units * UNIT, term_ms: 2_000, in_reply_to }
}

#[test]
fn growth_is_written_before_the_reply_leaves() {
    let mut keeper = keeper(10);
    let effects = keeper.on(0, A, FromGate::Renew(renew(1, 4)));
    assert!(effects.iter().all(|e| !matches!(e, Effect::Send { .. })));
    let by = 4 * UNIT as i64;
    let booking = WriteKind::Booking { contract: CONTRACT, holder: A, by };
    assert!(effects.iter().any(|e| matches!(e, Effect::Durable(write) if write.epoch == 3 && write.kind == booking)));
    assert_eq!(vec![4], carry_out(&mut keeper, 0, effects).iter().map(|(_, l)| l.units / UNIT).collect::<Vec<_>>());
}

#[test]
fn growth_that_the_store_refuses_is_not_granted() {
    let mut keeper = keeper(10);
    keeper.on(0, A, FromGate::Renew(renew(1, 4)));
    let effects = keeper.durable(0, 1, Outcome::NoRoom);
    assert_eq!(0, carry_out(&mut keeper, 0, effects)[0].1.units);
}

#[test]
fn a_message_that_comes_twice_changes_nothing() {
    let mut keeper = keeper(10);
    assert_eq!(vec![4], ask(&mut keeper, 0, A, renew(1, 4)));
    assert_eq!(Vec::<u64>::new(), ask(&mut keeper, 1, A, renew(1, 9)));
    assert_eq!(vec![6], ask(&mut keeper, 1, B, renew(1, 9)));
}

#[test]
fn a_keeper_whose_mandate_has_ended_says_nothing_and_a_fenced_one_says_so() {
    let mut keeper = keeper(10);
    assert_eq!(Vec::<u64>::new(), ask(&mut keeper, SECOND, A, renew(1, 4)));
    let effects = keeper.tick(SECOND);
    let mandate = effects.iter().find_map(|e| if let Effect::Durable(write) = e { Some(write.id) } else { None });
    keeper.durable(SECOND, mandate.unwrap(), Outcome::Granted);
    assert_eq!(vec![4], ask(&mut keeper, SECOND + 1, A, renew(2, 4)));
    keeper.durable(SECOND + 2, 99, Outcome::Fenced);
    let retire = Effect::Send { holder: A, message: FromKeeper::Retire };
    assert_eq!(vec![retire], keeper.on(SECOND + 2, A, FromGate::Renew(renew(3, 4))));
}

#[test]
fn what_was_inherited_stays_booked_and_its_holder_renews_at_once() {
    let mut keeper = keeper_of(&slots(10), &[Row { holder: A, units: 6 * UNIT }]);
    assert_eq!(vec![4], ask(&mut keeper, 0, B, renew(1, 9)));
    assert_eq!(vec![5], ask(&mut keeper, 1, A, renew(8, 9)), "its share beside B, without a write");
}

#[test]
fn up_to_a_planned_fall_the_old_limit_is_used_and_no_lease_crosses_it() {
    let mut keeper = keeper_of(&House::new(Measure::Concurrency, 10, Some((3 * SECOND, 4))), &[]);
    let effects = keeper.on(0, A, FromGate::Renew(renew(1, 9)));
    let (_, lease) = carry_out(&mut keeper, 0, effects).remove(0);
    assert_eq!(9 * UNIT, lease.units);
    assert!((2_900..3_000).contains(&lease.term_ms), "{} ms", lease.term_ms);
}

#[test]
fn a_cut_is_pushed_and_a_raise_waits_for_the_renewal_that_is_called_for() {
    let mut house = slots(10);
    let mut keeper = keeper_of(&house, &[]);
    ask(&mut keeper, 0, A, renew(1, 9));
    house.publish(1, 5, None);
    let effects = keeper.published(1, CONTRACT).unwrap();
    let pushed = carry_out(&mut keeper, 1, effects);
    assert_eq!((5 * UNIT, None), (pushed[0].1.units, pushed[0].1.in_reply_to));
    ask(&mut keeper, 1, A, Renew { epoch: 3, seq: pushed[0].1.seq, lapsed: false, ..renew(2, 9) });
    house.publish(2, 20, None);
    let effects = keeper.published(2, CONTRACT).unwrap();
    let called = carry_out(&mut keeper, 2, effects);
    assert_eq!((5 * UNIT, None), (called[0].1.units, called[0].1.in_reply_to));
    let renewed = ask(&mut keeper, 3, A, Renew { epoch: 3, seq: called[0].1.seq, lapsed: false, ..renew(3, 9) });
    house.publish(4, 30, None);
    let effects = keeper.published(4, CONTRACT).unwrap();
    assert_eq!((vec![9], 0), (renewed, carry_out(&mut keeper, 4, effects).len()), "it has all that it wants");
}

#[test]
fn what_a_holder_has_beyond_its_share_after_a_cut_drains_until_it_says_so() {
    let mut house = slots(10);
    let mut keeper = keeper_of(&house, &[]);
    ask(&mut keeper, 0, A, renew(1, 9));
    let held = |keeper: &Keeper, now| {
        let held = keeper.held(now, CONTRACT)[0];
        assert_eq!((A, None), (held.holder, held.oldest_block));
        (held.on_loan / UNIT, held.in_flight / UNIT, held.draining / UNIT, held.is_short)
    };
    assert_eq!((9, 0, 0, false), held(&keeper, 0));
    house.publish(1, 5, None);
    let effects = keeper.published(1, CONTRACT).unwrap();
    carry_out(&mut keeper, 1, effects);
    assert_eq!((9, 0, 4, true), held(&keeper, 1));
    let acknowledges = Renew { epoch: 3, seq: 2, lapsed: false, in_flight: 7 * UNIT, ..renew(2, 9) };
    ask(&mut keeper, 2, A, acknowledges);
    assert_eq!((7, 7, 2, true), held(&keeper, 2));
    assert_eq!((7, 7, 7, true), held(&keeper, 4 * SECOND), "its lease has ended");
    assert!(keeper.held(0, CONTRACT + 1).is_empty());
}

#[test]
fn what_cannot_be_kept_or_is_not_kept_is_an_error() {
    let (mut keeper, house) = (keeper(10), slots(10));
    assert!(matches!(keeper.published(0, CONTRACT + 1), Err(Error::Invalid(_))));
    let mut keeps =
        |contract, terms, left| matches!(keeper.keep(0, contract, terms, &house.path, left), Err(Error::Invalid(_)));
    assert!(keeps(CONTRACT, terms(), Left::Rows(&[])), "twice");
    assert!(keeps(9, Terms::new(5 * SECOND, SECOND / 2, 0, 0).unwrap(), Left::Rows(&[])), "a shorter mandate");
    assert!(keeps(9, terms(), Left::Ceiling(0)), "blocks of slots");
}

#[test]
fn what_this_process_uses_is_not_granted_and_what_is_granted_is_not_there_for_it() {
    let house = slots(10);
    let mut keeper = keeper_of(&house, &[]);
    let here = |units| house.path.try_now(&Stands(0), units, None).is_ok();
    assert!(here(4));
    assert_eq!(vec![6], ask(&mut keeper, 0, A, renew(1, 9)));
    assert!(!here(1));
    house.path.release(&Stands(0), 4, None);
    assert!(here(4) && !here(1));
    let acknowledges = Renew { epoch: 3, seq: 1, lapsed: false, ..renew(2, 2) };
    assert_eq!(vec![2], ask(&mut keeper, 0, A, acknowledges));
    assert!(!here(1), "six until the smaller lease is acknowledged");
    assert_eq!(vec![2], ask(&mut keeper, 0, A, Renew { epoch: 3, seq: 2, lapsed: false, ..renew(3, 2) }));
    assert!(here(4) && !here(1));
}

#[test]
fn where_both_want_more_than_there_is_this_process_is_one_more_party() {
    let house = slots(10);
    let mut keeper = keeper_of(&house, &[]);
    assert!(house.path.try_now(&Stands(0), 4, None).is_ok());
    assert_eq!(vec![6], ask(&mut keeper, 0, A, renew(1, 9)));
    keeper.on(0, B, FromGate::Renew(renew(1, 9)));
    let shares = ask(&mut keeper, 0, A, Renew { epoch: 3, seq: 1, lapsed: false, ..renew(2, 9) });
    assert!(shares[0] == 3 || shares[0] == 4, "ten for three, not for two: {shares:?}");
}

#[test]
fn a_holder_gets_what_is_free_where_this_process_has_more_than_its_share() {
    let house = slots(10);
    let mut keeper = keeper_of(&house, &[]);
    assert!(house.path.try_now(&Stands(0), 8, None).is_ok());
    assert_eq!(vec![2], ask(&mut keeper, 0, A, renew(1, 9)));
}

#[test]
fn what_was_inherited_counts_on_the_meters_however_low_the_limit_is_now() {
    let house = slots(4);
    let mut keeper = keeper_of(&house, &[Row { holder: A, units: 6 * UNIT }]);
    assert!(house.path.try_now(&Stands(0), 1, None).is_err());
    let effects = keeper.dead(0, A);
    carry_out(&mut keeper, 0, effects);
    assert!(house.path.try_now(&Stands(0), 4, None).is_ok());
}

#[test]
fn goodbye_returns_everything_at_once_and_death_that_is_proven_as_well() {
    let mut keeper = keeper(10);
    ask(&mut keeper, 0, A, renew(1, 9));
    let effects = keeper.on(1, A, FromGate::Bye);
    carry_out(&mut keeper, 1, effects);
    assert_eq!(vec![9], ask(&mut keeper, 2, B, renew(1, 9)));
    let effects = keeper.dead(3, B);
    carry_out(&mut keeper, 3, effects);
    assert_eq!(vec![10], ask(&mut keeper, 4, A, renew(2, 12)));
}

#[test]
fn a_gate_that_claims_more_than_there_is_takes_nothing_from_the_books_but_room() {
    let mut keeper = keeper(10);
    let lie = Renew { want: u64::MAX, in_flight: u64::MAX, epoch: 3, seq: u64::MAX, ..renew(u64::MAX, 0) };
    assert_eq!(vec![10], ask(&mut keeper, 0, A, lie));
    assert_eq!(
        vec![0],
        ask(&mut keeper, 0, B, renew(1, 9)),
        "what is said to be in flight is believed, up to max_hold"
    );
    assert_eq!(Vec::<u64>::new(), ask(&mut keeper, 0, A, Renew { contract: 99, ..renew(1, 1) }));
}

#[test]
fn a_term_counts_from_the_message_it_answers_not_from_its_receipt() {
    let gate = gate_with(4, SECOND, SECOND + SECOND / 2, |counter| lease(1, 4, Some(counter)));
    assert!(gate.door(CONTRACT).unwrap().take(2_990_000_000, UNIT));
    assert!(!gate.door(CONTRACT).unwrap().take(2_999_000_000, UNIT), "2 s after the sending, less a thousandth");
}

#[test]
fn a_gate_that_slept_past_its_end_refuses_its_first_demand() {
    let mut gate = gate_with(4, SECOND, SECOND, |counter| lease(1, 4, Some(counter)));
    assert!(!gate.door(CONTRACT).unwrap().take(3_600 * SECOND, UNIT));
    assert!(sent(&gate.tick(3_600 * SECOND))[0].lapsed);
}

#[test]
fn a_stale_reply_one_that_was_not_asked_for_and_one_from_an_earlier_keeper_are_ignored() {
    let mut gate = gate_with(4, SECOND, SECOND, |counter| lease(5, 4, Some(counter)));
    for stale in [lease(5, 9, Some(1)), lease(4, 9, Some(1)), Lease { epoch: 2, ..lease(6, 9, Some(1)) }] {
        gate.on(SECOND, FromKeeper::Lease(stale));
    }
    gate.on(SECOND, FromKeeper::Lease(lease(6, 9, Some(77))));
    gate.on(SECOND, FromKeeper::Lease(Lease { contract: 99, ..lease(7, 9, Some(1)) }));
    assert_eq!(4 * UNIT, gate.units(SECOND, CONTRACT));
}

#[test]
fn a_push_shrinks_never_lasts_longer_and_is_acknowledged_at_once() {
    let mut gate = gate_with(4, SECOND, SECOND, |counter| lease(1, 4, Some(counter)));
    let reply = sent(&gate.on(2 * SECOND, FromKeeper::Lease(lease(2, 3, None))));
    assert_eq!((1, 2), (reply.len(), reply[0].seq));
    assert_eq!([3 * UNIT, 0], [2 * SECOND, 3 * SECOND].map(|at| gate.units(at, CONTRACT)));
    gate.on(2 * SECOND, FromKeeper::Lease(lease(3, 9, None)));
    assert_eq!(3 * UNIT, gate.units(2 * SECOND, CONTRACT));
}

#[test]
fn a_gate_that_leaves_says_goodbye_once_nothing_is_in_flight() {
    let mut gate = gate_with(4, SECOND, SECOND, |counter| lease(1, 4, Some(counter)));
    assert!(gate.door(CONTRACT).unwrap().take(SECOND, UNIT));
    let last = sent(&gate.close(SECOND));
    assert_eq!((0, true, UNIT), (last[0].want, last[0].lapsed, last[0].in_flight));
    assert!(!gate.door(CONTRACT).unwrap().take(SECOND, UNIT));
    gate.door(CONTRACT).unwrap().give_back(UNIT);
    assert_eq!(vec![GateEffect::Send(FromGate::Bye)], gate.tick(SECOND));
    assert!(gate.tick(2 * SECOND).is_empty());
}

#[test]
fn a_holder_that_claims_more_than_can_be_counted_frees_nothing_of_others_when_it_takes_that_back() {
    let house = slots(10);
    let mut keeper = keeper_of(&house, &[]);
    assert!(house.path.try_now(&Stands(0), 4, None).is_ok());
    assert_eq!(vec![3], ask(&mut keeper, 0, A, renew(1, 3)));
    for (counter, holder) in [(1, 11), (1, 12), (1, 13), (1, 14), (1, 15), (1, 16)] {
        ask(&mut keeper, 0, Holder(holder), Renew { in_flight: u64::MAX, ..renew(counter, 0) });
    }
    for holder in [11, 12, 13, 14, 15, 16] {
        ask(&mut keeper, 0, Holder(holder), renew(2, 0));
    }
    assert!(house.path.try_now(&Stands(0), 4, None).is_err(), "four here and three there are in flight of ten");
    assert!(house.path.try_now(&Stands(0), 3, None).is_ok());
}

proptest! {
    #[test]
    fn grants_sum_to_the_limit_at_most_and_none_is_above_its_want(
        asks in prop::collection::vec((0u128..5, 0u64..15), 1..60), limit in 0u64..20,
    ) {
        let mut keeper = keeper(limit);
        let mut held = [(0u64, 0u64); 5];
        for (i, &(who, want)) in asks.iter().enumerate() {
            let counter = i as u64 + 1;
            let message = Renew { epoch: 3, seq: held[who as usize].1, lapsed: false, ..renew(counter, want) };
            let effects = keeper.on(0, Holder(who), FromGate::Renew(message));
            for (_, lease) in carry_out(&mut keeper, 0, effects) {
                prop_assert_eq!(Some(counter), lease.in_reply_to);
                prop_assert!(lease.units <= want * UNIT);
                held[who as usize] = (lease.units / UNIT, lease.seq);
            }
            prop_assert!(held.iter().map(|h| h.0).sum::<u64>() <= limit, "{held:?} of {limit}");
        }
    }

    #[test]
    fn a_gate_never_has_more_in_flight_than_it_was_granted(
        units in 0u64..10, demands in prop::collection::vec((1u64..4, any::<bool>()), 1..40),
    ) {
        let gate = gate_with(10, SECOND, SECOND, |counter| lease(1, units, Some(counter)));
        let mut held = vec![];
        for (n, ends) in demands {
            if ends && let Some(n) = held.pop() {
                gate.door(CONTRACT).unwrap().give_back(n);
            } else if gate.door(CONTRACT).unwrap().take(SECOND, n * UNIT) {
                held.push(n * UNIT);
            }
            prop_assert_eq!(held.iter().sum::<u64>(), gate.in_flight(CONTRACT));
            prop_assert!(gate.in_flight(CONTRACT) <= units * UNIT);
        }
    }
}
