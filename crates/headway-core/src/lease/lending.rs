//! What a keeper lends of a rate, message by message. Faults are the simulation's.

use proptest::prelude::*;

use crate::curve::Measure;
use crate::error::Error;
use crate::lease::house::{House, SECOND, UNIT};
use crate::lease::{
    Block, Draw, Effect, FromGate, FromKeeper, Holder, Inheritance, Keeper, Left, Outcome, Terms, Used, WriteKind,
};
use crate::time::Clock;

const A: Holder = Holder(1);
const B: Holder = Holder(2);

fn terms() -> Terms {
    Terms::new(20 * SECOND, 10 * SECOND, 0, 1_000).unwrap()
}

struct Stands(i64);

impl Clock for Stands {
    fn boot_ns(&self) -> i64 {
        self.0
    }
}

/// A keeper of 8 a second with a burst of a second, and the house that it lends from.
fn keeper_after(ceiling: u64, predecessor_may_live: bool) -> (Keeper, House) {
    let from = Inheritance { epoch: 3, asked_at: 0, predecessor_may_live };
    let mut keeper = Keeper::take_over(0, from, terms());
    let house = House::after_a_crash(8);
    keeper.keep(0, 1, terms(), &house.path, Left::Ceiling(ceiling * UNIT)).unwrap();
    (keeper, house)
}

fn draw(counter: u64, want: u64, blocks: Vec<Used>) -> Draw {
    Draw { contract: 1, want: want * UNIT, counter, blocks }
}

fn used(block: &Block, spent: u64, closed: bool) -> Used {
    Used { epoch: block.epoch, seq: block.seq, spent: spent * UNIT, closed }
}

fn carry_out(keeper: &mut Keeper, now: i64, effects: Vec<Effect>) -> Vec<Block> {
    let mut blocks = vec![];
    for effect in effects {
        match effect {
            Effect::Send { message: FromKeeper::Block(block), .. } => blocks.push(block),
            Effect::Durable(write) => {
                let next = keeper.durable(now, write.id, Outcome::Granted);
                blocks.extend(carry_out(keeper, now, next));
            }
            Effect::Send { .. } | Effect::WakeAt(_) => {}
        }
    }
    blocks
}

fn ask(keeper: &mut Keeper, now: i64, holder: Holder, draw: Draw) -> Vec<Block> {
    let effects = keeper.on(now, holder, FromGate::Draw(draw));
    carry_out(keeper, now, effects)
}

#[test]
fn a_keeper_lends_what_the_meters_have() {
    let (mut keeper, _house) = keeper_after(0, false);
    assert_eq!(0, ask(&mut keeper, 0, A, draw(1, 2, vec![]))[0].units);
    assert_eq!(2 * UNIT, ask(&mut keeper, SECOND / 2, A, draw(2, 2, vec![]))[0].units);
    let (mut keeper, house) = (keeper_after(0, false).0, House::new(Measure::Rate, 8, None));
    keeper.keep(0, 2, terms(), &house.path, Left::Ceiling(0)).unwrap();
    let full = Draw { contract: 2, ..draw(1, 4, vec![]) };
    assert_eq!(4 * UNIT, ask(&mut keeper, 0, A, full)[0].units, "its marks were kept, or it is new");
}

#[test]
fn where_a_keeper_before_may_answer_all_that_came_in_until_it_does_no_more_is_gone() {
    let from = Inheritance { epoch: 3, asked_at: 0, predecessor_may_live: true };
    let mut keeper = Keeper::take_over(0, from, terms());
    let house = House::new(Measure::Rate, 8, None);
    keeper.keep(0, 1, terms(), &house.path, Left::Ceiling(0)).unwrap();
    assert!([0, 10].iter().all(|s| house.path.try_now(&Stands(s * SECOND), 1, None).is_err()));
    assert!(house.path.try_now(&Stands(11 * SECOND), 7, None).is_ok());
}

#[test]
fn the_ceiling_is_raised_before_a_block_leaves() {
    let (mut keeper, _house) = keeper_after(0, false);
    let effects = keeper.on(SECOND, A, FromGate::Draw(draw(1, 2, vec![])));
    assert!(effects.iter().all(|e| !matches!(e, Effect::Send { .. })));
    let is_enough = |kind: &WriteKind| matches!(kind, WriteKind::LoanCeiling { to, .. } if *to >= 2 * UNIT);
    assert!(effects.iter().any(|e| matches!(e, Effect::Durable(write) if is_enough(&write.kind))));
    assert_eq!(2 * UNIT, carry_out(&mut keeper, SECOND, effects)[0].units);
}

#[test]
fn a_draw_that_comes_twice_is_answered_once() {
    let (mut keeper, _house) = keeper_after(0, false);
    assert_eq!(1, ask(&mut keeper, SECOND, A, draw(1, 2, vec![])).len());
    assert!(ask(&mut keeper, SECOND, A, draw(1, 2, vec![])).is_empty());
}

#[test]
fn what_is_given_up_is_lent_again_and_what_is_spent_is_not() {
    let (mut keeper, _house) = keeper_after(0, false);
    let first = ask(&mut keeper, SECOND, A, draw(1, 4, vec![])).remove(0);
    let second = ask(&mut keeper, SECOND, A, draw(2, 4, vec![])).remove(0);
    assert_eq!((4 * UNIT, 4 * UNIT), (first.units, second.units));
    assert_eq!(0, ask(&mut keeper, SECOND, B, draw(1, 1, vec![]))[0].units);
    let reports = vec![used(&first, 4, true), used(&second, 3, true)];
    assert_eq!(UNIT, ask(&mut keeper, SECOND, A, draw(3, 1, reports))[0].units);
    assert_eq!(0, ask(&mut keeper, SECOND, B, draw(2, 1, vec![]))[0].units);
}

#[test]
fn a_successor_counts_the_whole_ceiling_as_lent_and_waits_the_old_mandate_out() {
    let (mut keeper, _house) = keeper_after(8, true);
    assert_eq!(0, ask(&mut keeper, 9 * SECOND, A, draw(1, 1, vec![]))[0].units);
    let effects = keeper.tick(9 * SECOND);
    carry_out(&mut keeper, 9 * SECOND, effects);
    let old = Used { epoch: 2, seq: 1, spent: 0, closed: true };
    assert_eq!(0, ask(&mut keeper, 12 * SECOND, A, draw(2, 1, vec![old]))[0].units, "the old keeper's blocks are out");
}

#[test]
fn a_fall_of_the_burst_calls_blocks_back_and_a_raise_does_not() {
    let (mut keeper, mut house) = keeper_after(0, false);
    ask(&mut keeper, SECOND, A, draw(1, 4, vec![]));
    let called = Effect::Send { holder: A, message: FromKeeper::Surrender { contract: 1 } };
    house.publish(SECOND, 9, None);
    assert!(!keeper.published(SECOND, 1).unwrap().contains(&called));
    house.publish(SECOND, 2, None);
    assert!(keeper.published(SECOND, 1).unwrap().contains(&called));
}

#[test]
fn a_keeper_that_ends_calls_blocks_back_and_counts_what_was_not_spent_as_free() {
    let (mut keeper, house) = keeper_after(0, false);
    let block = ask(&mut keeper, SECOND, A, draw(1, 4, vec![])).remove(0);
    let effects = keeper.call_back(SECOND);
    assert!(effects.contains(&Effect::Send { holder: A, message: FromKeeper::Surrender { contract: 1 } }));
    assert_eq!(4 * UNIT, keeper.on_loan());
    ask(&mut keeper, SECOND, A, draw(2, 0, vec![used(&block, 1, true)]));
    assert_eq!(0, keeper.on_loan());
    assert!(house.path.try_now(&Stands(SECOND), 7, None).is_ok());
}

#[test]
fn what_a_holder_has_is_what_is_not_spent_of_its_blocks_and_the_oldest_is_named() {
    let (mut keeper, _house) = keeper_after(0, false);
    let first = ask(&mut keeper, SECOND, A, draw(1, 4, vec![])).remove(0);
    let second = ask(&mut keeper, SECOND, A, draw(2, 9, vec![used(&first, 1, false)])).remove(0);
    let held = |keeper: &Keeper| {
        let held = keeper.held(SECOND, 1)[0];
        (held.on_loan / UNIT, held.oldest_block, held.is_short)
    };
    assert_eq!((3 + 4, Some(first.seq), true), held(&keeper), "four of nine came");
    ask(&mut keeper, SECOND, A, draw(3, 0, vec![used(&first, 4, true)]));
    assert_eq!((4, Some(second.seq), false), held(&keeper));
    ask(&mut keeper, SECOND, A, draw(4, 0, vec![used(&second, 0, true)]));
    assert_eq!((0, None, false), held(&keeper));
}

#[test]
fn what_a_rate_was_not_left_is_an_error() {
    let (mut keeper, house) = keeper_after(0, false);
    assert!(matches!(keeper.keep(0, 2, terms(), &house.path, Left::Rows(&[])), Err(Error::Invalid(_))));
}

#[test]
fn what_this_process_spends_is_not_lent_and_what_is_lent_is_not_there_for_it() {
    let (mut keeper, house) = keeper_after(0, false);
    let here = |now, units| house.path.try_now(&Stands(now), units, None).is_ok();
    assert!(!here(0, 1), "a keeper begins empty");
    assert!(here(SECOND, 5));
    assert_eq!(3 * UNIT, ask(&mut keeper, SECOND, A, draw(1, 3, vec![]))[0].units);
    assert!(!here(SECOND, 1));
    // A second later the burst is full but for what is on loan.
    assert!(here(2 * SECOND, 5) && !here(2 * SECOND, 1));
}

#[test]
fn while_the_old_mandate_may_last_this_process_is_refused_as_well() {
    let (_keeper, house) = keeper_after(0, true);
    let here = |now| house.path.try_now(&Stands(now), 1, None).is_ok();
    assert_eq!([false, true], [10 * SECOND, 11 * SECOND].map(here));
}

#[test]
fn of_a_quota_each_block_is_a_quarter_of_an_even_part_of_what_is_left_and_ends_with_the_window() {
    let mut keeper = Keeper::take_over(0, Inheritance { epoch: 3, asked_at: 0, predecessor_may_live: false }, terms());
    let house = House::new(Measure::Quota, 40, None);
    keeper.keep(0, 1, terms(), &house.path, Left::Ceiling(0)).unwrap();
    let first = ask(&mut keeper, 0, A, draw(1, 100, vec![])).remove(0);
    assert_eq!(10 * UNIT, first.units);
    assert_eq!(3 * UNIT, ask(&mut keeper, 0, B, draw(1, 100, vec![]))[0].units, "30 are left, of two holders");
    let closed = ask(&mut keeper, 0, A, draw(2, 100, vec![used(&first, 4, true)])).remove(0);
    assert_eq!(4 * UNIT, closed.units, "6 came back");
    assert!(house.path.try_now(&Stands(0), 29, None).is_ok() && house.path.try_now(&Stands(0), 1, None).is_err());
    let last = House::new(Measure::Quota, 2, None);
    let from = Inheritance { epoch: 3, asked_at: 95 * SECOND, predecessor_may_live: false };
    let mut keeper = Keeper::take_over(95 * SECOND, from, terms());
    keeper.keep(95 * SECOND, 1, terms(), &last.path, Left::Ceiling(0)).unwrap();
    let block = ask(&mut keeper, 95 * SECOND, A, draw(1, 100, vec![])).remove(0);
    assert_eq!(UNIT, block.units, "one at least");
    assert!((4_800..5_000).contains(&block.term_ms), "the window ends at 100 s: {} ms", block.term_ms);
}

#[test]
fn what_a_block_of_a_quota_had_out_at_its_end_is_used() {
    let from = Inheritance { epoch: 3, asked_at: 0, predecessor_may_live: false };
    let mut keeper = Keeper::take_over(0, from, terms());
    let house = House::new(Measure::Quota, 40, None);
    keeper.keep(0, 1, terms(), &house.path, Left::Ceiling(0)).unwrap();
    ask(&mut keeper, 0, A, draw(1, 100, vec![]));
    keeper.tick(90 * SECOND);
    let here = |units| house.path.try_now(&Stands(90 * SECOND), units, None).is_ok();
    assert!(here(30) && !here(1));
}

proptest! {
    #[test]
    fn blocks_are_never_above_want_and_never_sum_to_more_than_a_burst_and_what_came_in(
        asks in prop::collection::vec((1u128..4, 0u64..9, 0i64..400), 1..60),
    ) {
        let (mut keeper, _house) = keeper_after(0, false);
        let (mut now, mut lent) = (0, 0);
        for (i, &(who, want, ms)) in asks.iter().enumerate() {
            now += ms * 1_000_000;
            let effects = keeper.tick(now);
            carry_out(&mut keeper, now, effects);
            for block in ask(&mut keeper, now, Holder(who), draw(i as u64 + 1, want, vec![])) {
                prop_assert!(block.units <= want * UNIT);
                lent += block.units;
            }
            // Nothing is given up, so all of it counts; it began empty, so there is no burst on top.
            prop_assert!(u128::from(lent) * 1_000_000_000 <= u128::from(8 * UNIT) * now as u128);
        }
    }
}

#[test]
fn a_ceiling_that_the_store_refuses_is_not_asked_for_again_in_the_same_instant() {
    let (mut keeper, _house) = keeper_after(0, false);
    let mut effects = keeper.on(SECOND, A, FromGate::Draw(draw(1, 2, vec![])));
    // As `Lending::act` does where the queue is closed: each write is answered at once.
    let mut writes = 0;
    while writes < 1_000 {
        let Some(write) = effects.iter().find_map(|e| match e {
            Effect::Durable(w) if matches!(w.kind, WriteKind::LoanCeiling { .. }) => Some(w.id),
            _ => None,
        }) else {
            break;
        };
        writes += 1;
        effects = keeper.durable(SECOND, write, Outcome::NoRoom);
    }
    assert!(writes < 10, "{writes} writes in one instant");
}

#[test]
fn a_renewal_without_a_number_leaves_nothing_behind() {
    let from = Inheritance { epoch: 3, asked_at: 0, predecessor_may_live: false };
    let mut keeper = Keeper::take_over(0, from, terms());
    let house = House::new(Measure::Concurrency, 8, None);
    keeper.keep(0, 1, terms(), &house.path, Left::Rows(&[])).unwrap();
    for i in 0..100u128 {
        let renew =
            crate::lease::Renew { contract: 1, want: UNIT, epoch: 0, seq: 0, lapsed: true, counter: 0, in_flight: 0 };
        keeper.on(SECOND, Holder(i), FromGate::Renew(renew));
    }
    for s in (0..10_000).step_by(3) {
        let effects = keeper.tick(s * SECOND);
        carry_out(&mut keeper, s * SECOND, effects);
    }
    assert_eq!(0, keeper.held(10_000 * SECOND, 1).len());
}
