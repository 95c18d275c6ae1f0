//! What a decision costs in the core, beside the clock read it contains: CPU ns, median of seven rounds.
//!
//! `cargo bench -p headway-core --bench decisions`

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;

use headway_core::allocator::Priority;
use headway_core::lease::{Block, Draw, FromGate, FromKeeper, Gate, GateEffect, Lease, Renew, Terms};
use headway_core::{Clock, Curve, Measure, MeterSpec, Meters, Part, Path, PathSpec, Segment, ShareSpec};

const SECOND: u64 = 1_000_000_000;
const UNIT: u64 = 1_000_000;
/// A limit that no loop here reaches.
const PLENTY: u64 = 1_000_000_000 * UNIT;

struct Boot;

impl Clock for Boot {
    fn boot_ns(&self) -> i64 {
        headway_clock::boot_ns()
    }
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of ours.
    assert_eq!(0, unsafe { libc::clock_gettime(clock, &raw mut time) });
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn spec(name: &str, measure: Measure, keys_max: Option<u64>) -> MeterSpec {
    let per_ns = if measure == Measure::Rate { SECOND } else { 0 };
    let ceiling_micro = if measure == Measure::Rate { PLENTY } else { 1_000 * UNIT };
    MeterSpec { keys_max, ..MeterSpec::plain(name, measure, ceiling_micro, per_ns) }
}

fn curve(measure: Measure, from: u64, to: u64) -> Arc<Curve> {
    let span = 3_600 * SECOND as i64;
    let segments = vec![Segment { start_ns: 0, end_ns: Some(span), from_micro: from, to_micro: to }];
    let per_ns = if measure == Measure::Rate { SECOND } else { 0 };
    let (stage, window, raises_when) = (String::new(), vec![], String::new());
    let curve = Curve { measure, version: 1, stage, segments, per_ns, burst_ns: per_ns, window, raises_when };
    Arc::new(curve.checked().expect("a curve"))
}

/// A limit under which a key stays alive for seconds after each demand: what a full table is.
fn slow_keys() -> Arc<Curve> {
    let fast = curve(Measure::Rate, UNIT, UNIT);
    Arc::new(Curve { burst_ns: 20_000_000 * SECOND, ..(*fast).clone() }.checked().expect("a curve"))
}

fn path(meters: &Meters, steps: &[(&str, bool)]) -> Arc<Path> {
    path_of(meters, "bench", "other", steps)
}

fn path_of(meters: &Meters, contract: &str, workload: &str, steps: &[(&str, bool)]) -> Arc<Path> {
    let steps = steps.iter().map(|(name, keyed)| ((*name).to_owned(), UNIT, *keyed)).collect();
    meters.path(PathSpec::plain(contract, workload, steps)).expect("a path")
}

/// A meter that three workloads share: one goes first, one has a guarantee, one has a ceiling and leaves both.
fn shared(name: &str, measure: Measure) -> MeterSpec {
    let share = |workload: &str, priority, guarantee, ceiling| ShareSpec {
        guarantee,
        ceiling,
        ..ShareSpec::plain(workload, priority)
    };
    let shares = vec![
        share("first", Priority::Critical, None, None),
        share("sure", Priority::Normal, Some(Part::Ppm(400_000)), None),
        share("last", Priority::Background, None, None),
        share("capped", Priority::Critical, None, Some(Part::Ppm(900_000))),
    ];
    MeterSpec { shares, ..spec(name, measure, None) }
}

/// A meter that ten workloads divide by weight.
fn weighed(name: &str, measure: Measure) -> MeterSpec {
    let weight = |number: u32| NonZeroU32::new(number + 1);
    let share =
        |number: u32| ShareSpec { weight: weight(number), ..ShareSpec::plain(&format!("w{number}"), Priority::Normal) };
    MeterSpec { shares: (0..10).map(share).collect(), ..spec(name, measure, None) }
}

/// CPU ns a call, the median of seven rounds.
fn measure(name: &str, mut call: impl FnMut(usize)) {
    const CALLS: usize = 500_000;
    let mut rounds: Vec<i64> = (0..7)
        .map(|_| {
            let before = read(libc::CLOCK_PROCESS_CPUTIME_ID);
            for i in 0..CALLS {
                call(i);
            }
            read(libc::CLOCK_PROCESS_CPUTIME_ID) - before
        })
        .collect();
    rounds.sort_unstable();
    println!("{name:44} {:7.1} ns", rounds[3] as f64 / CALLS as f64);
}

/// A gate that holds a lease of slots and a block of tokens: what a demand costs at its doors, without a clock read.
fn doors() {
    let (second, plenty) = (SECOND as i64, 1 << 45);
    let terms = Terms::new(20 * second, 5 * second, 0, 1_000).expect("terms");
    let mut gate = Gate::new();
    gate.demand(0, 1, terms, plenty);
    gate.demand_tokens(0, 2, terms, plenty);
    for effect in gate.tick(second) {
        let lease = |renew: Renew| Lease {
            contract: 1,
            epoch: 1,
            seq: 1,
            units: plenty,
            term_ms: 10_000,
            in_reply_to: Some(renew.counter),
        };
        let block = |draw: Draw| Block {
            contract: 2,
            epoch: 1,
            seq: 1,
            units: plenty,
            term_ms: 10_000,
            in_reply_to: draw.counter,
        };
        match effect {
            GateEffect::Send(FromGate::Renew(renew)) => gate.on(second, FromKeeper::Lease(lease(renew))),
            GateEffect::Send(FromGate::Draw(draw)) => gate.on(second, FromKeeper::Block(block(draw))),
            _ => vec![],
        };
    }
    let (slots, tokens) = (gate.door(1).expect("slots"), gate.door(2).expect("tokens"));
    measure("a door of tokens", |_| assert!(tokens.take(second, 1)));
    measure("a door of slots", |_| assert!(slots.take(second, 1)));
    measure("a slot given back at its door", |_| slots.give_back(1));
    measure("a refusal at a door", |_| assert!(!black_box(&tokens).take(second, 1 << 47)));
}

fn main() {
    let meters = Meters::default();
    let rates = ["a", "b", "c", "d"];
    let mut specs: Vec<MeterSpec> = rates.iter().map(|name| spec(name, Measure::Rate, None)).collect();
    specs.push(spec("climb", Measure::Rate, None));
    specs.push(spec("keys", Measure::Rate, Some(100_000_000)));
    specs.push(spec("shut", Measure::Rate, None));
    specs.push(spec("slots", Measure::Concurrency, None));
    specs.push(shared("sharedrate", Measure::Rate));
    specs.push(shared("sharedslots", Measure::Concurrency));
    specs.push(weighed("weighedrate", Measure::Rate));
    specs.push(weighed("weighedslots", Measure::Concurrency));
    meters.declare(specs).expect("meters");
    let rate = |from, to| curve(Measure::Rate, from, to);
    let mut curves: Vec<(String, Arc<Curve>)> =
        rates.iter().map(|name| ((*name).to_owned(), rate(PLENTY, PLENTY))).collect();
    curves.push(("climb".to_owned(), rate(PLENTY / 2, PLENTY)));
    curves.push(("keys".to_owned(), slow_keys()));
    curves.push(("shut".to_owned(), rate(0, 0)));
    curves.push(("slots".to_owned(), curve(Measure::Concurrency, 1_000 * UNIT, 1_000 * UNIT)));
    curves.push(("sharedrate".to_owned(), rate(PLENTY, PLENTY)));
    curves.push(("sharedslots".to_owned(), curve(Measure::Concurrency, 1_000 * UNIT, 1_000 * UNIT)));
    curves.push(("weighedrate".to_owned(), rate(PLENTY, PLENTY)));
    curves.push(("weighedslots".to_owned(), curve(Measure::Concurrency, 1_000 * UNIT, 1_000 * UNIT)));
    meters.publish(curves, 0, Boot.boot_ns()).expect("published");

    measure("clock_gettime(CLOCK_BOOTTIME)", |_| {
        black_box(read(libc::CLOCK_BOOTTIME));
    });
    measure("the clock of decisions", |_| {
        black_box(Boot.boot_ns());
    });
    let one = path(&meters, &[("a", false)]);
    measure("one rate, clock included", |_| assert!(one.try_now(&Boot, 1, None).is_ok()));
    measure("one rate, by callers that take turns", |_| assert!(one.try_in_turn(&Boot, 1, None).is_ok()));
    let four = path(&meters, &rates.map(|name| (name, false)));
    measure("four rates, clock included", |_| assert!(four.try_now(&Boot, 1, None).is_ok()));
    let climb = path(&meters, &[("climb", false)]);
    measure("one rate on a climb", |_| assert!(climb.try_now(&Boot, 1, None).is_ok()));
    let shut = path(&meters, &[("shut", false)]);
    assert!(shut.try_now(&Boot, 1, None).is_ok(), "a burst has one unit at least");
    measure("a refusal", |_| {
        let stopped = shut.try_now(&Boot, 1, None).expect_err("a limit of 0");
        black_box(shut.conclude(&Boot, 1, None, stopped));
    });
    doors();
    let slots = path(&meters, &[("slots", false)]);
    measure("a slot taken and given back (two clock reads)", |_| {
        assert!(slots.try_now(&Boot, 1, None).is_ok());
        slots.release(&Boot, 1, None);
    });
    for (name, says) in [
        ("first", "goes first, beside a guarantee"),
        ("sure", "within its guarantee"),
        ("last", "leaves room and a guarantee"),
        ("capped", "goes first under a ceiling"),
    ] {
        let one = path_of(&meters, "sharedrate", name, &[("sharedrate", false)]);
        measure(&format!("a rate: {says}"), |_| assert!(one.try_now(&Boot, 1, None).is_ok()));
        let one = path_of(&meters, "sharedslots", name, &[("sharedslots", false)]);
        measure(&format!("a slot, taken and given: {says}"), |_| {
            assert!(one.try_now(&Boot, 1, None).is_ok());
            one.release(&Boot, 1, None);
        });
    }
    for (refuses, says) in [(false, "nobody was refused"), (true, "while somebody is refused")] {
        let paths = ["weighedrate", "weighedslots"].map(|name| path_of(&meters, name, "w3", &[(name, false)]));
        if refuses {
            assert!(paths.iter().all(|path| path.try_now(&Boot, u64::MAX, None).is_err()));
        }
        measure(&format!("a rate, one of ten by weight, {says}"), |_| {
            assert!(paths[0].try_now(&Boot, 1, None).is_ok());
        });
        measure(&format!("a slot, one of ten by weight, {says}"), |_| {
            assert!(paths[1].try_now(&Boot, 1, None).is_ok());
            paths[1].release(&Boot, 1, None);
        });
    }
    let keys = path(&meters, &[("keys", true)]);
    let hot = keys.key("tenant");
    measure("one key, hot", |_| assert!(keys.try_now(&Boot, 1, Some(hot)).is_ok()));
    for count in [100_000, 1_000_000] {
        let texts: Vec<String> = (0..count).map(|i| format!("tenant-{:x}", (i * 7_919) % count)).collect();
        for text in &texts {
            assert!(keys.try_now(&Boot, 1, Some(keys.key(text))).is_ok());
        }
        measure(&format!("{count} keys, scattered"), |i| {
            let key = keys.key(&texts[i % count]);
            assert!(keys.try_now(&Boot, 1, Some(key)).is_ok());
        });
        let bytes = meters.key_bytes("keys").expect("a meter");
        println!("{:44} {:7.1} bytes", format!("a key, of {count}"), bytes as f64 / count as f64);
    }
}
