//! What becomes of slots when gates speak, fall silent, end, and come back.

use super::holder::longer;
use super::*;
use headway_core::{Clock, Curve, Measure, MeterSpec, Meters, PathSpec, Segment};
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::runtime::Builder;

const SECOND: i64 = 1_000_000_000;
const MICRO: i64 = 1_000_000;
const A: Name = [1; HOLDER_BYTES];

struct Still(AtomicI64);

impl Clock for Still {
    fn boot_ns(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A concurrency of five, kept for a minute beyond a term.
struct Pool {
    meters: Meters,
    kept: Kept,
    holders: Arc<Holders>,
    clock: Arc<Ticking>,
}

impl Pool {
    fn new() -> Pool {
        let meters = Meters::default();
        let spec = MeterSpec::plain("db", Measure::Concurrency, 5_000_000, 0);
        meters.declare(vec![spec]).unwrap();
        let segments = vec![Segment { start_ns: 0, end_ns: None, from_micro: 5_000_000, to_micro: 5_000_000 }];
        let curve = Curve {
            measure: Measure::Concurrency,
            version: 1,
            stage: "now".into(),
            segments,
            per_ns: 0,
            burst_ns: 0,
            window: vec![],
            raises_when: String::new(),
        };
        meters.publish(vec![("db".into(), Arc::new(curve))], 0, 0).unwrap();
        let spec = PathSpec::plain("db", "other", vec![("db".into(), 1_000_000, false)]);
        let kept = Kept {
            path: meters.path(spec).unwrap(),
            max_hold_ns: 60 * SECOND,
            drain_within_ns: 5 * SECOND,
            tell_http: Tell::Public,
            opens: false,
            floor: None,
        };
        let clock = Arc::new(Ticking(Arc::new(Still(AtomicI64::new(0)))));
        let runtime = Builder::new_current_thread().build().unwrap();
        let keeping = Arc::new(Keeping::new(&meters, Arc::clone(&clock), 1, runtime.handle().clone()));
        let holders = Arc::new(Holders::new(Arc::clone(meters.growths()), Arc::clone(&clock), keeping));
        Pool { meters, kept, holders, clock }
    }

    fn in_use(&self) -> i64 {
        self.meters.snapshot(0)[0].use_micro / MICRO
    }

    fn attach(&self, now: i64, held: Vec<Held>) -> (Arc<Holder>, u64) {
        let held: Vec<(Held, Kept)> = held.into_iter().map(|one| (one, self.kept.clone())).collect();
        self.holders.attach(now, A, "gate", held).unwrap()
    }

    /// Answers what is asked of the ledger, from another thread, until one batch came.
    fn ledger(&self, answer: u8) -> std::thread::JoinHandle<Vec<headway_core::Growth>> {
        let growths = Arc::clone(self.meters.growths());
        std::thread::spawn(move || {
            let batch = growths.take(100, Duration::from_secs(10));
            growths.answer(batch[0].batch_id, &vec![answer; batch.len()]).unwrap();
            batch
        })
    }

    fn take(&self, holder: &Holder, stream: u64, id: u64, units: u64) -> bool {
        self.kept.path.try_now(&*self.clock, units, None).unwrap();
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(holder.keep_slots(stream, id, self.kept.clone(), units, None, None))
    }
}

fn held(id: u64, units: u64) -> Held {
    Held { id, path: 1, units, key: None, is_reserved: false }
}

#[test]
fn a_slot_is_durable_before_its_gate_hears_of_it_and_its_row_covers_the_next_ones() {
    let pool = Pool::new();
    let (holder, stream) = pool.attach(0, vec![]);
    let ledger = pool.ledger(1);
    assert!(pool.take(&holder, stream, 1, 4));
    let batch = ledger.join().unwrap();
    assert_eq!(("booking", 4 * MICRO), (batch[0].kind, batch[0].by_micro));
    holder.settle(stream, 1, None);
    assert!(batch[0].key.starts_with("other\n0101"));
    for id in 2..6 {
        assert!(pool.take(&holder, stream, id, 1), "the row covers it");
    }
    assert_eq!(4, pool.in_use());
}

#[test]
fn what_the_ledger_does_not_take_is_given_back() {
    let pool = Pool::new();
    let (holder, stream) = pool.attach(0, vec![]);
    let ledger = pool.ledger(2);
    assert!(!pool.take(&holder, stream, 1, 3));
    ledger.join().unwrap();
    assert_eq!(0, pool.in_use());
}

#[test]
fn a_closed_stream_is_a_silent_one_and_its_slots_outlive_its_term_by_max_hold() {
    let pool = Pool::new();
    let (holder, stream) = pool.attach(0, vec![held(1, 2)]);
    holder.detach(stream);
    drop(holder);
    let until = longer(TERM.as_nanos() as i64) + longer(60 * SECOND);
    pool.holders.sweep(until - 1);
    assert_eq!(2, pool.in_use());
    pool.holders.sweep(until);
    assert_eq!((0, 0), (pool.in_use(), pool.holders.len()));
}

#[test]
fn a_gate_that_is_frozen_on_an_open_stream_keeps_its_slots_no_longer() {
    let pool = Pool::new();
    let (holder, stream) = pool.attach(0, vec![held(1, 2)]);
    assert!(holder.heard(10 * SECOND, stream));
    pool.holders.sweep(10 * SECOND + longer(TERM.as_nanos() as i64));
    assert_eq!(2, pool.in_use());
    pool.holders.sweep(10 * SECOND + longer(TERM.as_nanos() as i64) + longer(60 * SECOND));
    assert_eq!(0, pool.in_use());
}

#[test]
fn a_goodbye_and_a_death_return_slots_at_once_and_the_dead_are_not_heard() {
    let pool = Pool::new();
    let (holder, stream) = pool.attach(0, vec![held(1, 2), held(2, 1)]);
    assert_eq!(3, pool.in_use());
    holder.end();
    assert_eq!((0, false), (pool.in_use(), holder.heard(1, stream)));
}

#[test]
fn what_a_gate_does_not_restate_it_does_not_hold_and_what_it_restates_it_does_over_the_limit_too() {
    let pool = Pool::new();
    pool.attach(0, vec![held(1, 2), held(2, 1)]);
    let (holder, stream) = pool.attach(1, vec![held(2, 1), held(9, 7)]);
    assert_eq!(8, pool.in_use(), "what is in flight is in flight");
    holder.settle(stream, 9, None);
    holder.settle(stream, 9, None);
    holder.settle(stream - 1, 2, None);
    assert_eq!(1, pool.in_use(), "a second time, or from a stream before, is none");
}

#[test]
fn a_gate_that_claims_more_than_can_be_counted_holds_none_of_it_and_takes_nothing_from_others() {
    let pool = Pool::new();
    pool.attach(0, vec![held(1, 3)]);
    let liar = |now, held: Vec<Held>| {
        let held: Vec<(Held, Kept)> = held.into_iter().map(|one| (one, pool.kept.clone())).collect();
        pool.holders.attach(now, [2; HOLDER_BYTES], "gate", held).unwrap()
    };
    let most = ((1 << 48) - 1) / MICRO as u64 - 3;

    liar(0, vec![held(1, u64::MAX), held(2, u64::MAX), held(3, most), held(4, most), held(5, 1)]);
    assert_eq!((3 + most) as i64, pool.in_use());
    liar(1, vec![]);

    assert_eq!(3, pool.in_use(), "what another gate holds is held still");
}

#[test]
fn an_id_stands_for_one_demand_however_often_it_is_said() {
    let pool = Pool::new();
    let (holder, stream) = pool.attach(0, vec![held(1, 2), held(1, 1)]);
    assert_eq!(2, pool.in_use());
    let ledger = pool.ledger(1);

    assert!(!pool.take(&holder, stream, 1, 1), "under an id that holds already");
    ledger.join().unwrap();

    assert_eq!(2, pool.in_use());
    holder.settle(stream, 1, None);
    assert_eq!(0, pool.in_use(), "and nothing is left that nobody can let go");
}

#[test]
fn who_is_about_to_hold_something_is_not_forgotten() {
    let pool = Pool::new();
    let leases = pool.holders.leases("edge");
    pool.holders.sweep(10 * SECOND);
    assert_eq!(1, pool.holders.len(), "somebody has it in hand");

    pool.kept.path.try_now(&*pool.clock, 1, None).unwrap();
    let (kept, until) = (pool.kept.clone(), 100 * SECOND);
    let keeping = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(leases.keep_lease(Lease { id: 1, kept, units: 1, ends_at: until }, None))
    });
    let growths = Arc::clone(pool.meters.growths());
    let batch = growths.take(100, Duration::from_secs(10));
    pool.holders.sweep(10 * SECOND);
    growths.answer(batch[0].batch_id, &[1]).unwrap();

    assert!(keeping.join().unwrap(), "a look at the silent ones takes no row from under it");
    pool.holders.sweep(until - 1);
    assert_eq!((1, 1), (pool.in_use(), pool.holders.len()));
    pool.holders.sweep(until);
    assert_eq!((0, 0), (pool.in_use(), pool.holders.len()));
}

#[test]
fn no_gate_comes_under_the_name_of_leases_over_http() {
    let pool = Pool::new();
    let name = pool.holders.leases("edge").name;
    assert_eq!(Some(Turned::NotYours), pool.holders.attach(0, name, "edge", []).err());
    assert_eq!(Some(Turned::NotYours), pool.holders.attach(0, *b"leases\0\0of-whom?", "eve", []).err());
}

#[test]
fn slots_of_the_keeper_before_stay_until_their_gate_restates_them_or_is_silent_for_too_long() {
    let pool = Pool::new();
    pool.holders.inherit(0, A, &pool.kept, None, 4);
    assert_eq!(4, pool.in_use());
    pool.attach(1, vec![held(1, 1)]);
    assert_eq!(1, pool.in_use());

    let pool = Pool::new();
    pool.holders.inherit(0, A, &pool.kept, None, 4);
    pool.holders.sweep(longer(TERM.as_nanos() as i64) + longer(60 * SECOND));
    assert_eq!((0, 0), (pool.in_use(), pool.holders.len()));
    let batch = pool.meters.growths().take(10, Duration::ZERO);
    assert_eq!(-4 * MICRO, batch[0].by_micro, "its row goes");
}

#[test]
fn a_name_is_the_credentials_that_came_under_it_first() {
    let pool = Pool::new();
    pool.attach(0, vec![]);
    assert_eq!(Some(Turned::NotYours), pool.holders.attach(1, A, "another", []).err());
}

#[test]
fn what_a_holder_has_is_seen_under_its_name_and_drains_once_it_is_silent_for_its_term() {
    let pool = Pool::new();
    pool.holders.inherit(0, A, &pool.kept, None, 1);
    let nobody = pool.holders.all()[0].reading(0);
    assert_eq!((None, false), (nobody.name, nobody.is_connected));
    let (holder, stream) = pool.attach(0, vec![held(1, 2)]);
    let ledger = pool.ledger(1);
    ledger.join().unwrap();
    let term = longer(TERM.as_nanos() as i64);
    let seen = |now| {
        let reading = holder.reading(now);
        let asked = reading.asked[&("db".to_owned(), "other".to_owned())];
        (reading.is_connected, reading.silent_ns, asked.in_use_micro / 1_000_000, asked.draining_micro / 1_000_000)
    };
    assert_eq!(Some("gate/1"), holder.reading(0).name.as_deref());
    assert_eq!((true, SECOND, 2, 0), seen(SECOND));
    holder.detach(stream);
    assert_eq!((false, term, 2, 2), seen(term));
    let other = pool.holders.attach(0, [2; HOLDER_BYTES], "gate", vec![]).unwrap().0;
    assert_eq!(Some("gate/2"), other.reading(0).name.as_deref());
}
