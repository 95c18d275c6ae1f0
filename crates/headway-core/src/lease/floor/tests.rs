//! Parts of floors, message by message. Faults are the simulation's.

use std::sync::Arc;

use super::*;
use crate::curve::Measure;
use crate::lease::house::{House, SECOND, UNIT};
use crate::lease::{Effect, FromGate, Gate, GateEffect, Inheritance, Left, Outcome, WriteKind};

const C: ContractId = 1;
const A: Holder = Holder(1);
const A_AGAIN: Holder = Holder(11);
const B: Holder = Holder(2);
const HOUR: i64 = 3_600 * SECOND;

fn terms() -> Terms {
    Terms::new(20 * SECOND, 10 * SECOND, 10 * SECOND, 1_000).unwrap()
}

fn slots(units: u64) -> Share {
    Share { units: units * UNIT, per_ns: 0, most: 0 }
}

fn spec(named: Named, parts: &[u64]) -> FloorSpec {
    FloorSpec { named, parts: parts.iter().map(|&units| slots(units)).collect(), lasts_ms: 3_600_000 }
}

fn two() -> FloorSpec {
    spec(Named::Gates(vec!["a".into(), "b".into()]), &[2, 1])
}

/// A keeper from 0 on with this floor, and what earlier ones left.
fn keeper(spec: FloorSpec, rows: &[PartRow]) -> Keeper {
    let from = Inheritance { epoch: 3, asked_at: 0, predecessor_may_live: false };
    let mut keeper = Keeper::take_over(0, from, terms());
    keeper.divide_floor(C, terms(), spec, rows).unwrap();
    keeper
}

/// What a holder is told, and which rows are written, with a store that answers at once.
fn ask(
    keeper: &mut Keeper,
    now: i64,
    holder: Holder,
    name: &str,
    counter: u64,
) -> (Vec<u64>, Vec<(String, u128, bool)>) {
    // The lock that proves its mandate is looked at all the time.
    for at in (0..=now).step_by(3 * SECOND as usize).filter(|at| now - at < 20 * SECOND) {
        let due = keeper.tick(at);
        carry_out(keeper, at, due);
    }
    let effects = keeper.claim(now, holder, name, &Claim { contract: C, counter });
    carry_out(keeper, now, effects)
}

fn carry_out(keeper: &mut Keeper, now: i64, effects: Vec<Effect>) -> (Vec<u64>, Vec<(String, u128, bool)>) {
    let (mut told, mut rows) = (vec![], vec![]);
    for effect in effects {
        match effect {
            Effect::Send { message: FromKeeper::Part(part), .. } => told.push(part.units / UNIT),
            Effect::Durable(write) => {
                if let WriteKind::Part { name, holder, has, .. } = write.kind {
                    rows.push((name, holder.0, has));
                }
                let next = keeper.durable(now, write.id, Outcome::Granted);
                let (more, others) = carry_out(keeper, now, next);
                told.extend(more);
                rows.extend(others);
            }
            _ => {}
        }
    }
    (told, rows)
}

#[test]
fn a_part_is_told_once_its_row_is_durable() {
    let mut keeper = keeper(two(), &[]);
    let effects = keeper.claim(0, A, "a", &Claim { contract: C, counter: 1 });
    assert!(effects.iter().all(|effect| !matches!(effect, Effect::Send { .. })));
    assert_eq!(vec![2], carry_out(&mut keeper, 0, effects).0);
    assert_eq!((vec![2], vec![]), ask(&mut keeper, SECOND, A, "a", 2), "a renewal writes nothing");
    assert_eq!((vec![], vec![]), ask(&mut keeper, SECOND, A, "a", 2), "what comes twice is answered once");
    assert_eq!((vec![1], vec![("b".into(), 2, true)]), ask(&mut keeper, SECOND, B, "b", 1));
}

#[test]
fn a_row_that_the_store_does_not_take_is_no_part() {
    let mut keeper = keeper(two(), &[]);
    for effect in keeper.claim(0, A, "a", &Claim { contract: C, counter: 1 }) {
        if let Effect::Durable(write) = effect {
            let after = keeper.durable(0, write.id, Outcome::NoRoom);
            assert!(after.iter().all(|effect| !matches!(effect, Effect::Send { .. })));
        }
    }
    assert_eq!(vec![2], ask(&mut keeper, SECOND, A, "a", 2).0, "it may ask again");
}

#[test]
fn a_name_that_is_not_among_the_gates_has_no_part() {
    let mut keeper = keeper(two(), &[]);
    assert_eq!((vec![], vec![]), ask(&mut keeper, 0, A, "c", 1));
    assert_eq!((vec![], vec![]), ask(&mut keeper, 0, A, "", 1));
}

#[test]
fn a_second_process_of_a_name_has_its_part_when_the_first_is_gone_for_certain() {
    let mut keeper = keeper(two(), &[]);
    assert_eq!(vec![2], ask(&mut keeper, 0, A, "a", 1).0);
    assert!(ask(&mut keeper, SECOND, A_AGAIN, "a", 1).0.is_empty());
    let effects = keeper.dead(2 * SECOND, A);
    assert_eq!(vec![("a".to_owned(), 1, false)], carry_out(&mut keeper, 2 * SECOND, effects).1);
    assert_eq!(vec![2], ask(&mut keeper, 2 * SECOND, A_AGAIN, "a", 2).0);
    let effects = keeper.on(3 * SECOND, A_AGAIN, FromGate::Bye);
    carry_out(&mut keeper, 3 * SECOND, effects);
    assert_eq!(vec![2], ask(&mut keeper, 3 * SECOND, A, "a", 1).0, "a goodbye says as much");
}

#[test]
fn a_silent_process_keeps_its_part_for_as_long_as_it_lasts_and_what_it_admitted_may_last() {
    let mut keeper = keeper(two(), &[]);
    ask(&mut keeper, 0, A, "a", 1);
    let mut at = |now, counter| ask(&mut keeper, now, A_AGAIN, "a", counter);
    assert!(at(HOUR + 13 * SECOND, 1).0.is_empty(), "an hour, ten seconds of `max_hold`, a thousandth of both");
    let after = at(HOUR + 14 * SECOND, 2);
    assert_eq!((vec![2], vec![("a".into(), 1, false), ("a".into(), 11, true)]), after);
}

#[test]
fn a_successor_knows_who_has_a_part_and_gives_it_to_nobody_else() {
    let row = |holder| PartRow { name: "a".into(), holder };
    let mut one = keeper(two(), &[row(A)]);
    assert!(ask(&mut one, SECOND, A_AGAIN, "a", 1).0.is_empty());
    assert_eq!(vec![2], ask(&mut one, SECOND, A, "a", 1).0, "its holder goes on");
    let mut torn = keeper(two(), &[row(A), row(A_AGAIN)]);
    assert!(ask(&mut torn, SECOND, A, "a", 1).0.is_empty() && ask(&mut torn, SECOND, A_AGAIN, "a", 1).0.is_empty());
    for holder in [A, A_AGAIN] {
        let effects = torn.dead(2 * SECOND, holder);
        carry_out(&mut torn, 2 * SECOND, effects);
    }
    assert_eq!(vec![2], ask(&mut torn, 3 * SECOND, Holder(12), "a", 1).0);
}

#[test]
fn whoever_comes_first_has_a_part_where_no_names_are_given_and_a_name_keeps_its_own() {
    let mut keeper = keeper(spec(Named::First, &[2, 1]), &[PartRow { name: "y".into(), holder: B }]);
    assert_eq!(vec![1], ask(&mut keeper, 0, A, "x", 1).0, "the first is what y had");
    assert!(ask(&mut keeper, 0, Holder(3), "z", 1).0.is_empty(), "there are two");
    assert_eq!(vec![2], ask(&mut keeper, 0, B, "y", 1).0);
    let effects = keeper.dead(SECOND, A);
    carry_out(&mut keeper, SECOND, effects);
    assert_eq!(vec![1], ask(&mut keeper, SECOND, Holder(3), "z", 2).0);
}

#[test]
fn floors_that_no_contract_means_are_errors() {
    let from = Inheritance { epoch: 3, asked_at: 0, predecessor_may_live: false };
    let mut keeper = Keeper::take_over(0, from, terms());
    for wrong in [spec(Named::First, &[]), spec(Named::Gates(vec!["a".into()]), &[1, 1])] {
        assert!(matches!(keeper.divide_floor(C, terms(), wrong, &[]), Err(Error::Invalid(_))));
    }
    assert!(keeper.divide_floor(C, terms(), two(), &[]).is_ok());
    assert!(matches!(keeper.divide_floor(C, terms(), two(), &[]), Err(Error::Invalid(_))));
}

/// A gate with a part of two slots, told at 0 for an hour.
fn gate() -> (Gate, crate::lease::Door) {
    let mut gate = Gate::new();
    gate.demand(0, C, terms(), 0);
    gate.claim(0, C, terms());
    let claims = gate.tick(0).into_iter().filter(|e| matches!(e, GateEffect::Send(FromGate::Claim(_)))).count();
    assert_eq!(1, claims);
    gate.on(0, part(1));
    let door = gate.door(C).unwrap();
    (gate, door)
}

fn part(in_reply_to: u64) -> FromKeeper {
    FromKeeper::Part(Part { contract: C, units: 2 * UNIT, per_ns: 0, most: 0, term_ms: 3_600_000, in_reply_to })
}

fn lease(units: u64, in_reply_to: u64) -> FromKeeper {
    let (epoch, seq) = (3, in_reply_to);
    let units = units * UNIT;
    FromKeeper::Lease(crate::lease::Lease {
        contract: C,
        epoch,
        seq,
        units,
        term_ms: 5_000,
        in_reply_to: Some(in_reply_to),
    })
}

fn renewal(effects: &[GateEffect]) -> Option<(u64, u64)> {
    effects.iter().find_map(|effect| match effect {
        GateEffect::Send(FromGate::Renew(renew)) => Some((renew.counter, renew.in_flight / UNIT)),
        _ => None,
    })
}

#[test]
fn a_part_is_used_beside_a_lease_and_after_its_end_and_not_after_its_own() {
    let (mut gate, door) = gate();
    assert!(door.take(0, 2 * UNIT) && !door.take(0, 1));
    let (counter, in_flight) = renewal(&gate.reconnected(0)).unwrap();
    assert_eq!(0, in_flight, "what is in flight on the part is nobody's lease to cover");
    gate.on(0, lease(3, counter));
    assert!(door.take(SECOND, 3 * UNIT) && !door.take(SECOND, 1));
    assert_eq!(Some(3), renewal(&gate.reconnected(SECOND)).map(|r| r.1));
    door.give_back(4 * UNIT);
    assert!(!door.take(10 * SECOND, 2 * UNIT), "the lease has ended: one of two is in flight");
    assert!(door.take(10 * SECOND, UNIT) && !door.take(10 * SECOND, 1));
    assert_eq!(Some(0), renewal(&gate.reconnected(10 * SECOND)).map(|r| r.1));
    door.give_back(2 * UNIT);
    assert!(door.take(HOUR - 10 * SECOND, UNIT) && !door.take(HOUR, UNIT));
    assert_eq!(Some(1), renewal(&gate.reconnected(HOUR)).map(|r| r.1), "what is left of it then counts");
}

#[test]
fn a_part_that_is_told_again_is_the_same_and_lasts_from_the_word_that_was_answered() {
    let (mut gate, door) = gate();
    assert!(door.take(0, UNIT));
    gate.tick(HOUR / 2);
    gate.on(HOUR / 2, part(2));
    assert_eq!(UNIT, door.left(HOUR / 2));
    assert_eq!([UNIT, 0], [HOUR + HOUR / 4, HOUR * 3 / 2].map(|at| door.left(at)));
    gate.on(HOUR / 2, part(77));
    assert_eq!(0, door.left(HOUR * 3 / 2), "nothing that was not asked is installed");
}

#[test]
fn a_gate_that_leaves_has_no_part() {
    let (mut gate, door) = gate();
    assert!(door.take(0, UNIT));
    let effects = gate.close(SECOND);
    assert!(!effects.contains(&GateEffect::Send(FromGate::Bye)), "a slot is in flight");
    assert!(!door.take(SECOND, UNIT));
    door.give_back(UNIT);
    assert!(gate.tick(SECOND).contains(&GateEffect::Send(FromGate::Bye)));
}

struct Still;

impl crate::time::Clock for Still {
    fn boot_ns(&self) -> i64 {
        0
    }
}

#[test]
fn what_is_in_flight_on_parts_takes_no_room_from_others() {
    let (house, mut gate) = (House::new(Measure::Concurrency, 3, None), gate().0);
    let from = Inheritance { epoch: 3, asked_at: 0, predecessor_may_live: false };
    let mut keeper = Keeper::take_over(0, from, terms());
    keeper.keep(0, C, terms(), &house.path, Left::Rows(&[])).unwrap();
    assert!(gate.door(C).unwrap().take(0, 2 * UNIT));
    for effect in gate.reconnected(0) {
        if let GateEffect::Send(message) = effect {
            let effects = keeper.on(0, A, message);
            carry_out(&mut keeper, 0, effects);
        }
    }
    assert!(Arc::clone(&house.path).try_now(&Still, 3, None).is_ok());
}
