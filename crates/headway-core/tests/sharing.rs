//! Workloads that share a meter from many threads: the limit never bends, and nothing of a guarantee is lost for good.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use headway_core::allocator::Priority;
use headway_core::{Clock, Curve, Measure, MeterSpec, Meters, Part, Path, PathSpec, Segment, ShareSpec};

const MICRO: u64 = 1_000_000;
const LIMIT: u64 = 20;

struct Machine;

impl Clock for Machine {
    fn boot_ns(&self) -> i64 {
        headway_clock::boot_ns()
    }
}

fn share(workload: &str, priority: Priority, guarantee: Option<Part>, ceiling: Option<Part>) -> ShareSpec {
    ShareSpec { guarantee, ceiling, ..ShareSpec::plain(workload, priority) }
}

fn shares() -> Vec<ShareSpec> {
    vec![
        share("checkout", Priority::Critical, Some(Part::Micro(4 * MICRO)), None),
        share("search", Priority::Normal, Some(Part::Ppm(400_000)), None),
        share("reports", Priority::Background, None, Some(Part::Ppm(500_000))),
    ]
}

/// 20 slots: checkout goes first and has 4 sure ones, search has 8, reports leave 4 and have at most 10.
fn house() -> Meters {
    house_of(shares(), None)
}

fn house_of(shares: Vec<ShareSpec>, keys_max: Option<u64>) -> Meters {
    let meters = Meters::default();
    let spec = MeterSpec { shares, keys_max, ..MeterSpec::plain("db", Measure::Concurrency, LIMIT * MICRO, 0) };
    meters.declare(vec![spec]).unwrap();
    publish(&meters, 1, LIMIT);
    meters
}

fn publish(meters: &Meters, version: u64, level: u64) {
    let segments = vec![Segment::new(0, None, (level * MICRO) as i64, (level * MICRO) as i64).unwrap()];
    let (stage, window, raises_when) = ("now".to_owned(), vec![], String::new());
    let (measure, per_ns, burst_ns) = (Measure::Concurrency, 0, 0);
    let curve = Curve { measure, version, stage, segments, per_ns, burst_ns, window, raises_when };
    meters.publish(vec![("db".into(), Arc::new(curve.checked().unwrap()))], 0, Machine.boot_ns()).unwrap();
}

fn path(meters: &Meters, workload: &str) -> Arc<Path> {
    path_of(meters, workload, false)
}

fn path_of(meters: &Meters, workload: &str, keyed: bool) -> Arc<Path> {
    let steps = vec![("db".to_owned(), MICRO, keyed)];
    meters.path(PathSpec::plain("db", workload, steps)).unwrap()
}

/// How many slots it gets, one by one; they are given back.
fn room(path: &Path) -> u64 {
    let got = (0..=LIMIT).take_while(|_| path.try_now(&Machine, 1, None).is_ok()).count() as u64;
    (0..got).for_each(|_| path.release(&Machine, 1, None));
    got
}

#[test]
fn threads_that_share_are_never_over_the_limit_and_leave_every_count_as_it_was() {
    let meters = house();
    let paths = ["checkout", "search", "reports", "checkout", "search", "reports"].map(|name| path(&meters, name));
    let (in_use, most, admitted) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for (number, path) in paths.iter().enumerate() {
            let (in_use, most, admitted) = (&in_use, &most, &admitted);
            scope.spawn(move || {
                let mut held = 0;
                for turn in 0..20_000u64 {
                    // Counted after the take and before the release: less than what is in use, never more.
                    if (turn * 7 + number as u64) % 5 < 3 && path.try_now(&Machine, 1, None).is_ok() {
                        held += 1;
                        admitted.fetch_add(1, Ordering::Relaxed);
                        most.fetch_max(in_use.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    } else if held > 0 {
                        held -= 1;
                        in_use.fetch_sub(1, Ordering::SeqCst);
                        path.release(&Machine, 1, None);
                    }
                }
                for _ in 0..held {
                    in_use.fetch_sub(1, Ordering::SeqCst);
                    path.release(&Machine, 1, None);
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= LIMIT);
    assert!(admitted.load(Ordering::SeqCst) > 10_000);
    // Checkout leaves search's 8. Search leaves checkout's 4, which is more than its room of 1. Reports leave 4 and 8, and
    // of the other 8 their ceiling of 10 takes nothing.
    assert_eq!([12, 16, 8], ["checkout", "search", "reports"].map(|name| room(&path(&meters, name))));
}

#[test]
fn a_cut_and_a_raise_under_threads_leave_the_counts_too() {
    let meters = house();
    let paths = ["checkout", "search", "reports"].map(|name| path(&meters, name));
    thread::scope(|scope| {
        for path in &paths {
            scope.spawn(move || {
                for _ in 0..20_000 {
                    if path.try_now(&Machine, 1, None).is_ok() {
                        path.release(&Machine, 1, None);
                    }
                }
            });
        }
        for version in 2..200 {
            publish(&meters, version, if version % 2 == 0 { 5 } else { LIMIT });
        }
    });
    assert_eq!([12, 16, 8], ["checkout", "search", "reports"].map(|name| room(&path(&meters, name))));
}

/// How many slots it gets of a key; they are given back.
fn room_of(path: &Path, text: &str) -> u64 {
    let key = path.key(text);
    let got = (0..=LIMIT).take_while(|_| path.try_now(&Machine, 1, Some(key)).is_ok()).count() as u64;
    (0..got).for_each(|_| path.release(&Machine, 1, Some(key.hash)));
    got
}

#[test]
fn threads_that_share_keys_are_never_over_any_keys_limit_and_leave_every_count_as_it_was() {
    // Six threads on 200 keys of which 64 may live: tables move and forget all the time, in the limit's and in all shares'.
    let meters = house_of(shares(), Some(64));
    let names = ["checkout", "search", "reports", "checkout", "search", "reports"];
    let paths = names.map(|name| path_of(&meters, name, true));
    let in_use: Vec<AtomicU64> = (0..200).map(|_| AtomicU64::new(0)).collect();
    let (most, admitted) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for (number, path) in paths.iter().enumerate() {
            let (in_use, most, admitted) = (&in_use, &most, &admitted);
            scope.spawn(move || {
                let mut held: Vec<(usize, u64)> = vec![];
                for turn in 0..60_000usize {
                    // Bursts of some turns on a few keys, so that these are contended; then others.
                    let at = (turn / 600 * 8 + turn * (number + 3) % 4) % in_use.len();
                    let text = format!("team {at}");
                    let key = path.key(&text);
                    if (turn * 7 + number) % 8 < 5 && path.try_now(&Machine, 1, Some(key)).is_ok() {
                        held.push((at, key.hash));
                        admitted.fetch_add(1, Ordering::Relaxed);
                        most.fetch_max(in_use[at].fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    } else if let Some((at, hash)) = held.pop() {
                        in_use[at].fetch_sub(1, Ordering::SeqCst);
                        path.release(&Machine, 1, Some(hash));
                    }
                }
                for (at, hash) in held {
                    in_use[at].fetch_sub(1, Ordering::SeqCst);
                    path.release(&Machine, 1, Some(hash));
                }
            });
        }
    });
    assert!((2..=LIMIT).contains(&most.load(Ordering::SeqCst)));
    assert!(admitted.load(Ordering::SeqCst) > 10_000);
    for at in [0, 7, 100, 199] {
        let text = format!("team {at}");
        let rooms = ["checkout", "search", "reports"].map(|name| room_of(&path_of(&meters, name, true), &text));
        assert_eq!([12, 16, 8], rooms, "{text}");
    }
}

#[test]
fn keys_cost_what_they_did_where_nothing_is_guaranteed_and_once_more_for_each_share_that_uses_them() {
    let bytes = |shares: Vec<ShareSpec>| {
        let meters = house_of(shares, Some(100_000));
        let search = path_of(&meters, "search", true);
        (0..50_000)
            .for_each(|number| assert!(search.try_now(&Machine, 1, Some(search.key(&format!("k{number}")))).is_ok()));
        meters.key_bytes("db").unwrap()
    };
    let plain = bytes(vec![]);
    let room =
        bytes(vec![ShareSpec::plain("checkout", Priority::Critical), ShareSpec::plain("search", Priority::Normal)]);
    let theirs = bytes(vec![share("checkout", Priority::Critical, Some(Part::Ppm(100_000)), None)]);
    let own = bytes(vec![share("search", Priority::Normal, Some(Part::Ppm(100_000)), None)]);
    assert_eq!(plain, room);
    // A table of 128 slots that nobody was put into.
    assert_eq!(plain + 128 * 16, theirs);
    assert!(own <= 2 * plain, "{own} of {plain}");
}

/// A meter that two workloads share by weight, 3 to 1, and their paths; a quota's window is an hour.
fn by_weight(measure: Measure, limit: u64) -> (Meters, [Arc<Path>; 2]) {
    let weigh =
        |name: &str, weight| ShareSpec { weight: NonZeroU32::new(weight), ..ShareSpec::plain(name, Priority::Normal) };
    let meters = Meters::default();
    let shares = vec![weigh("web", 3), weigh("reports", 1)];
    meters.declare(vec![MeterSpec { shares, ..MeterSpec::plain("db", measure, limit * MICRO, 0) }]).unwrap();
    let segments = vec![Segment::new(0, None, (limit * MICRO) as i64, (limit * MICRO) as i64).unwrap()];
    let (stage, raises_when, (per_ns, burst_ns)) = ("now".to_owned(), String::new(), (0, 0));
    let window = if measure == Measure::Quota { vec![0, 3_600_000_000_000] } else { vec![] };
    let curve = Curve { measure, version: 1, stage, segments, per_ns, burst_ns, window, raises_when };
    meters.publish(vec![("db".into(), Arc::new(curve.checked().unwrap()))], 0, Machine.boot_ns()).unwrap();
    let paths = ["web", "reports"].map(|name| path(&meters, name));
    (meters, paths)
}

#[test]
fn threads_of_weighed_workloads_never_hold_more_slots_than_there_are() {
    let (meters, paths) = by_weight(Measure::Concurrency, LIMIT);
    let (in_use, most, admitted) = (AtomicU64::new(0), AtomicU64::new(0), [AtomicU64::new(0), AtomicU64::new(0)]);
    thread::scope(|scope| {
        for number in 0..4 {
            let (path, admitted) = (&paths[number % 2], &admitted[number % 2]);
            let (in_use, most) = (&in_use, &most);
            scope.spawn(move || {
                for turn in 0..30_000usize {
                    let asks = 1 + (turn + number) % 12;
                    let got = (0..asks).filter(|_| path.try_now(&Machine, 1, None).is_ok()).count() as u64;
                    most.fetch_max(in_use.fetch_add(got, Ordering::SeqCst) + got, Ordering::SeqCst);
                    admitted.fetch_add(got, Ordering::Relaxed);
                    in_use.fetch_sub(got, Ordering::SeqCst);
                    (0..got).for_each(|_| path.release(&Machine, 1, None));
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= LIMIT);
    assert!(admitted.iter().all(|one| one.load(Ordering::Relaxed) > 10_000));
    assert_eq!(0, meters.snapshot(Machine.boot_ns())[0].use_micro);
}

#[test]
fn threads_of_weighed_workloads_use_exactly_the_window_that_there_is() {
    let limit = 50_000;
    let (meters, paths) = by_weight(Measure::Quota, limit);
    let used: u64 = thread::scope(|scope| {
        let asking = [0, 1, 0, 1].map(|whose: usize| {
            let path = &paths[whose];
            scope.spawn(move || (0..60_000).filter(|_| path.try_now(&Machine, 1, None).is_ok()).count() as u64)
        });
        asking.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert!((1..=limit).contains(&used), "{used} of {limit}");
    assert_eq!((used * MICRO) as i64, meters.snapshot(Machine.boot_ns())[0].use_micro);
}
