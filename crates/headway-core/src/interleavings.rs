//! Every interleaving of the steps that share a word, by loom.
//!
//! `make loom` runs them.

mod weighed;

use std::sync::Arc as Shared;

use loom::sync::Arc;
use loom::thread;

use crate::atomics::AtomicU64;
use crate::curve::{Curve, Measure, Segment};
use crate::grain::Grains;
use crate::growth::Growths;
use crate::hot::{Hot, Look};
use crate::installed::{Birth, Installed};
use crate::keys::Keys;
use crate::lease::door::{Door, SlotDoor, TokenDoor};
use crate::level::{self, LevelStop};
use crate::meter::{Meter, MeterSpec};
use crate::rate::{self, Gives, Marked};
use crate::sip::SipKey;
use crate::time::Clock;
use crate::word::{Seen, Tagged, Word};

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Three preemptions: with two, a give-back that is counted in the middle of another goes unseen.
    builder.preemption_bound = Some(3);
    builder.check(check);
}

/// E of `e` grains, nothing spent so far.
fn look(e: u64) -> impl FnMut(Seen) -> Option<Look> {
    move |_| Some(Look { seq: 2, e, k: 0, on_loan: 0, base: 0, limit: e, tag: 0, falls: false })
}

fn endless() -> AtomicU64 {
    AtomicU64::new(u64::MAX)
}

fn take(word: &Word, gives: &Gives, e: u64) -> Option<Marked> {
    rate::take(word, gives, 1, &endless(), look(e), |_| 0).ok()
}

#[test]
fn two_demands_for_the_last_grain_never_both_pass() {
    model(|| {
        let (word, gives) = (Arc::new(Word::unset()), Arc::new(Gives::default()));
        let asks = [(); 2].map(|()| {
            let (word, gives) = (Arc::clone(&word), Arc::clone(&gives));
            thread::spawn(move || u64::from(take(&word, &gives, 1).is_some()))
        });
        let passed: u64 = asks.into_iter().map(|ask| ask.join().unwrap()).sum();
        assert_eq!((1, 1), (passed, word.load().value()));
    });
}

#[test]
fn a_path_that_is_undone_beside_a_demand_leaves_the_mark_of_the_demand_alone() {
    model(|| {
        let (word, gives) = (Arc::new(Word::unset()), Arc::new(Gives::default()));
        let undone = {
            let (word, gives) = (Arc::clone(&word), Arc::clone(&gives));
            thread::spawn(move || {
                if let Some(taken) = take(&word, &gives, 2) {
                    rate::give_back(&word, &gives, taken, 1, &mut None, look(2)).unwrap();
                }
            })
        };
        let kept = u64::from(take(&word, &gives, 2).is_some());
        undone.join().unwrap();
        assert_eq!((1, 1), (kept, word.load().value()));
    });
}

#[test]
fn two_that_give_back_at_once_lower_the_mark_by_no_more_than_they_took() {
    model(|| {
        let (word, gives) = (Arc::new(Word::unset()), Arc::new(Gives::default()));
        let kept = take(&word, &gives, 3).unwrap();
        let both = [(); 2].map(|()| {
            let (word, gives) = (Arc::clone(&word), Arc::clone(&gives));
            thread::spawn(move || {
                let taken = take(&word, &gives, 3).unwrap();
                rate::give_back(&word, &gives, taken, 1, &mut None, look(3)).unwrap();
            })
        });
        for one in both {
            one.join().unwrap();
        }
        assert!(word.load().value() >= kept.mark, "the grain that was kept is there twice");
    });
}

#[test]
fn what_is_given_back_below_a_reservation_shifts_what_is_left_of_it() {
    // One grain each: `other` is given back at once; `mine` when K has passed it; `kept` lies above and stays.
    model(|| {
        let (word, gives) = (Arc::new(Word::unset()), Arc::new(Gives::default()));
        let other = {
            let (word, gives) = (Arc::clone(&word), Arc::clone(&gives));
            thread::spawn(move || {
                let taken = take(&word, &gives, 9).unwrap();
                rate::give_back(&word, &gives, taken, 1, &mut None, look(9)).unwrap();
            })
        };
        let mine = take(&word, &gives, 9).unwrap();
        take(&word, &gives, 9).unwrap();
        let later = |_| look(9)(word.load()).map(|look| Look { k: 1, ..look });
        rate::give_back(&word, &gives, mine, 1, &mut None, later).unwrap();
        other.join().unwrap();
        assert!(word.load().value() >= 2, "the grain that was kept above K is there twice");
    });
}

struct Stands;

impl Clock for Stands {
    fn boot_ns(&self) -> i64 {
        0
    }
}

/// A rate with a burst of so many units, at an instant at which all of it is free; and the grains of a unit.
fn rate_of(burst: u64) -> (Arc<Meter>, u64) {
    let second = 1_000_000_000;
    let spec = MeterSpec::plain("m", Measure::Rate, 1_000_000, second);
    let meter = Meter::new(spec, SipKey(1, 2), &Shared::new(Growths::default())).unwrap();
    let segments = vec![Segment { start_ns: 0, end_ns: None, from_micro: 1_000_000, to_micro: 1_000_000 }];
    let (stage, window, raises_when) = (String::new(), vec![], String::new());
    let (measure, burst_ns) = (Measure::Rate, burst * second);
    let curve = Curve { measure, version: 1, stage, segments, per_ns: second, burst_ns, window, raises_when };
    meter.install(&Shared::new(curve), 0, 0);
    let unit = 1 << meter.grains.log2;
    (Arc::new(meter), unit)
}

#[test]
fn a_loan_and_demands_never_take_more_than_there_is() {
    model(|| {
        let (meter, unit) = rate_of(2);
        let lender = {
            let meter = Arc::clone(&meter);
            thread::spawn(move || {
                let lent = meter.lend(0, unit, 1, |_| 0).is_ok();
                meter.loan_spent(0, unit, 1);
                u64::from(lent)
            })
        };
        let took: u64 = [(); 2].map(|()| u64::from(meter.take(&Stands, 0, None, unit).is_ok())).iter().sum();
        let lent = lender.join().unwrap();
        assert!(took + lent <= 2);
        assert!(meter.value(None) >= (took + lent) * unit, "what was taken or lent is free again");
    });
}

#[test]
fn a_loan_that_is_dropped_beside_a_demand_leaves_the_mark_of_the_demand_alone() {
    model(|| {
        let (meter, unit) = rate_of(3);
        let lender = {
            let meter = Arc::clone(&meter);
            thread::spawn(move || {
                if meter.lend(0, unit, 1, |_| 0).is_ok() {
                    meter.loan_dropped(0, unit, 1);
                }
            })
        };
        let kept = meter.take(&Stands, 0, None, unit).is_ok();
        let undone = meter.take(&Stands, 0, None, unit);
        if let Ok(taken) = undone {
            meter.give_back(0, None, &taken, unit);
        }
        lender.join().unwrap();
        assert!(kept, "three fit");
        assert!(meter.value(None) >= unit, "what was kept is free again");
    });
}

fn slots(version: u64, level: u64) -> Installed {
    let segments = vec![Segment { start_ns: 0, end_ns: None, from_micro: level, to_micro: level }];
    let (stage, window, raises_when) = (String::new(), vec![], String::new());
    let measure = Measure::Concurrency;
    let curve = Curve { measure, version, stage, segments, per_ns: 0, burst_ns: 0, window, raises_when };
    Installed::first(Shared::new(curve), Grains::of_level(1_000_000), 0, 0, Birth::Full)
}

#[test]
fn nothing_enters_after_a_cut_was_published() {
    model(|| {
        let (word, hot) = (Arc::new(Word::unset()), Arc::new(Hot::default()));
        hot.compile(&slots(1, 5), 0, 0);
        level::stamp(&word, 1);
        let asker = {
            let (word, hot) = (Arc::clone(&word), Arc::clone(&hot));
            thread::spawn(move || {
                let look = |_| hot.look(Measure::Concurrency, 0);
                // One try: a look of another version than the word starts anew, which may refuse or be tried again.
                level::hold(&word, 1, true, look, |_| None, |_| 0).is_ok()
            })
        };
        hot.compile(&slots(2, 0), 0, 0);
        level::stamp(&word, 2);
        let at_the_cut = Tagged::of(word.load().value()).amount;
        let entered = asker.join().unwrap();
        assert_eq!(u64::from(entered), Tagged::of(word.load().value()).amount);
        assert_eq!(at_the_cut, Tagged::of(word.load().value()).amount, "somebody entered on the limit of before");
    });
}

#[test]
fn a_key_that_looks_again_does_not_stay_over_a_cut() {
    model(|| {
        let (word, hot) = (Arc::new(Word::unset()), Arc::new(Hot::default()));
        hot.compile(&slots(1, 5), 0, 0);
        let asker = {
            let (word, hot) = (Arc::clone(&word), Arc::clone(&hot));
            thread::spawn(move || {
                let look = |_| hot.look(Measure::Concurrency, 0);
                let again = |look: &Look| if hot.is_unchanged(look) { None } else { hot.look(Measure::Concurrency, 0) };
                if let Err(LevelStop::Fell { .. }) = level::hold(&word, 1, false, look, again, |_| 0) {
                    assert!(level::let_go(&word, 1));
                }
            })
        };
        hot.compile(&slots(2, 0), 0, 0);
        let at_the_cut = Tagged::of(word.load().value()).amount;
        asker.join().unwrap();
        assert!(Tagged::of(word.load().value()).amount <= at_the_cut, "somebody entered on the limit of before");
    });
}

fn add(keys: &Keys, hash: u64) {
    let act = |word: &Word, _| {
        let seen = word.load();
        if seen.is_frozen() {
            return None;
        }
        word.replace(seen, seen.value() + 1).ok()
    };
    keys.with(hash, &|value| value > 0, act).unwrap();
}

#[test]
fn a_key_that_is_used_while_its_table_moves_keeps_every_use() {
    model(|| {
        let keys = Arc::new(Keys::with_capacity(100, 4));
        add(&keys, 10);
        let other = {
            let keys = Arc::clone(&keys);
            thread::spawn(move || add(&keys, 10))
        };
        // A renewal moves the table whatever it holds; one of a grain's worth is taken off each mark.
        keys.renew(1, &|value| value > 0);
        other.join().unwrap();
        assert_eq!(1, keys.value(10).value());
    });
}

/// The short way to a known key, which falls back to the long one.
fn add_known(keys: &Keys, hash: u64) {
    let known = keys.with_known(hash, |word, _| {
        let seen = word.load();
        (!seen.is_frozen() && word.replace(seen, seen.value() + 1).is_ok()).then_some(())
    });
    if known.is_none() {
        add(keys, hash);
    }
}

#[test]
fn a_known_key_that_is_used_while_its_table_moves_keeps_every_use() {
    model(|| {
        let keys = Arc::new(Keys::with_capacity(100, 4));
        add(&keys, 10);
        let other = {
            let keys = Arc::clone(&keys);
            thread::spawn(move || add_known(&keys, 10))
        };
        keys.begin_move();
        add_known(&keys, 10);
        other.join().unwrap();
        assert_eq!(3, keys.value(10).value());
    });
}

#[test]
fn a_new_key_that_comes_while_its_table_moves_is_one_key() {
    model(|| {
        let keys = Arc::new(Keys::with_capacity(100, 4));
        let other = {
            let keys = Arc::clone(&keys);
            thread::spawn(move || add(&keys, 11))
        };
        keys.begin_move();
        add(&keys, 11);
        other.join().unwrap();
        assert_eq!(2, keys.value(11).value());
    });
}

#[test]
fn two_new_keys_at_once_find_a_place_each() {
    model(|| {
        let keys = Arc::new(Keys::with_capacity(100, 4));
        let other = {
            let keys = Arc::clone(&keys);
            thread::spawn(move || add(&keys, 10))
        };
        add(&keys, 14);
        other.join().unwrap();
        assert_eq!((1, 1), (keys.value(10).value(), keys.value(14).value()));
    });
}

#[test]
fn a_word_that_is_frozen_is_carried_once() {
    model(|| {
        let (from, to) = (Arc::new(Word::unset()), Arc::new(Word::unset()));
        from.carry(7);
        let helpers = [(); 2].map(|()| {
            let (from, to) = (Arc::clone(&from), Arc::clone(&to));
            thread::spawn(move || {
                let frozen = from.freeze();
                to.carry(frozen.value());
                let seen = to.load();
                to.replace(seen, seen.value() + 1).is_ok()
            })
        });
        let added: u64 = helpers.into_iter().map(|helper| u64::from(helper.join().unwrap())).sum();
        assert_eq!(7 + added, to.load().value());
    });
}

#[test]
fn two_demands_for_the_last_slot_of_a_door_never_both_pass() {
    model(|| {
        let slots = Shared::new(SlotDoor::new());
        slots.set(0, 1, 100);
        let asks = [(); 2].map(|()| {
            let door = Door::Slots(Shared::clone(&slots));
            thread::spawn(move || u64::from(door.take(0, 1)))
        });
        let passed: u64 = asks.into_iter().map(|ask| ask.join().unwrap()).sum();
        assert_eq!((1, 0), (passed, slots.free()));
    });
}

#[test]
fn nothing_enters_a_door_after_what_is_in_flight_was_told_with_the_end_of_the_lease() {
    model(|| {
        let slots = Shared::new(SlotDoor::new());
        slots.set(0, 2, 100);
        let door = Door::Slots(Shared::clone(&slots));
        // It looked at its clock before the end.
        let demand = thread::spawn(move || u64::from(door.take(99, 1)));
        slots.set(2, 0, 100);
        let told = -slots.free();
        let entered = demand.join().unwrap();
        assert_eq!(told, entered.cast_signed());
    });
}

#[test]
fn of_two_leases_neither_is_in_force_with_the_end_of_the_other() {
    model(|| {
        let slots = Shared::new(SlotDoor::new());
        slots.set(0, 1, 100);
        let door = Door::Slots(Shared::clone(&slots));
        // At 100 only the one unit of the second lease may be admitted, at 50 only what one of them has.
        let demand = thread::spawn(move || (door.take(100, 2), door.take(50, 3)));
        slots.set(1, 2, 60);
        slots.set(2, 1, 200);
        assert_eq!((false, false), demand.join().unwrap());
    });
}

#[test]
fn what_is_taken_out_of_a_door_of_tokens_is_not_spent_as_well() {
    model(|| {
        let tokens = Shared::new(TokenDoor::new());
        tokens.open(2, 100);
        let door = Door::Tokens(Shared::clone(&tokens));
        let demand = thread::spawn(move || u64::from(door.take(99, 2)));
        let left = tokens.close();
        tokens.open(2, 200);
        let spent = demand.join().unwrap() * 2;
        // From the first two, or from those that came after them: four in all, and none twice.
        assert_eq!(4, left + spent + tokens.left());
    });
}

#[test]
fn tokens_that_come_beside_others_are_all_there_but_for_what_was_spent() {
    model(|| {
        let tokens = Shared::new(TokenDoor::new());
        tokens.open(1, 100);
        let door = Door::Tokens(Shared::clone(&tokens));
        let demand = thread::spawn(move || u64::from(door.take(0, 1)) + u64::from(door.take(0, 1)));
        tokens.add(1, 50);
        let spent = demand.join().unwrap();
        assert!(spent >= 1, "one was there all along");
        assert_eq!(2 - spent, tokens.left());
    });
}

#[test]
fn an_emptied_door_admits_nothing_that_begins_after_it() {
    model(|| {
        let (slots, tokens) = (Shared::new(SlotDoor::new()), Shared::new(TokenDoor::new()));
        slots.set(0, 1, 100);
        tokens.open(1, 100);
        let doors = [Door::Slots(Shared::clone(&slots)), Door::Tokens(Shared::clone(&tokens))];
        let other = doors.clone();
        let returns = thread::spawn(move || {
            for door in other {
                if door.take(0, 1) {
                    door.give_back(1);
                }
            }
        });
        doors.iter().for_each(Door::empty);
        assert!(doors.iter().all(|door| !door.take(0, 1)));
        returns.join().unwrap();
        assert!(doors.iter().all(|door| !door.take(0, 1)));
    });
}
