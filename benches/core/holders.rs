//! What a renewal costs a keeper beside so many other holders: one line of JSON.
//!
//! `cargo bench -p headway-core --bench holders -- SEED`; `make bench-holders` writes the result down. Each holder renews
//! once a third of its lease, as gates do, and acknowledges what it got. *steady*: everybody wants what it has.
//! *contended*: twice as much is wanted as there is, and every want changes from one renewal to the next.

use std::process::ExitCode;
use std::sync::Arc;

use headway_core::lease::{
    Effect, FromGate, FromKeeper, Holder, Inheritance, Keeper, Left, Outcome, Renew, Terms, WriteKind,
};
use headway_core::{Curve, Measure, MeterSpec, Meters, Path, PathSpec, Segment};

const UNIT: u64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
const CONTRACT: u64 = 0;
/// Of each holder, in the mean.
const UNITS_EACH: u64 = 8;

fn cpu_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of ours.
    assert_eq!(0, unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) });
    time.tv_sec * SECOND + time.tv_nsec
}

fn path(units: u64) -> Arc<Path> {
    let meters = Meters::default();
    let spec = MeterSpec::plain("m", Measure::Concurrency, units * UNIT, 0);
    meters.declare(vec![spec]).expect("a meter");
    let segments = vec![Segment { start_ns: 0, end_ns: None, from_micro: units * UNIT, to_micro: units * UNIT }];
    let (stage, raises_when, window) = (String::new(), String::new(), vec![]);
    let measure = Measure::Concurrency;
    let curve = Curve { measure, version: 1, stage, segments, per_ns: 0, burst_ns: 0, window, raises_when };
    meters.publish(vec![("m".into(), Arc::new(curve.checked().expect("a curve")))], 0, 0).expect("published");
    meters.path(PathSpec::plain("c", "w", vec![("m".to_owned(), UNIT, false)])).expect("a path")
}

struct House {
    keeper: Keeper,
    /// What each holder was told last: counter, epoch, number.
    told: Vec<(u64, u64, u64)>,
    writes: u64,
}

impl House {
    /// Carries out what a keeper asks for, over a store that grants everything at once.
    fn act(&mut self, now: i64, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { holder, message: FromKeeper::Lease(lease) } => {
                    let told = &mut self.told[holder.0 as usize];
                    (told.1, told.2) = (lease.epoch, lease.seq);
                }
                Effect::Durable(write) => {
                    self.writes += u64::from(matches!(write.kind, WriteKind::Booking { .. }));
                    let next = self.keeper.durable(now, write.id, Outcome::Granted);
                    self.act(now, next);
                }
                Effect::Send { .. } | Effect::WakeAt(_) => {}
            }
        }
    }

    fn renew(&mut self, now: i64, who: usize, units: u64) {
        let due = self.keeper.tick(now);
        self.act(now, due);
        self.told[who].0 += 1;
        let (counter, epoch, seq) = self.told[who];
        let (want, in_flight) = (units * UNIT, units * UNIT / 2);
        let renew = Renew { contract: CONTRACT, want, epoch, seq, lapsed: false, counter, in_flight };
        let effects = self.keeper.on(now, Holder(who as u128), FromGate::Renew(renew));
        self.act(now, effects);
    }
}

/// CPU ns a renewal, and writes of rows among all of them.
fn cost(holders: usize, seed: u64, is_contended: bool) -> (i64, u64) {
    let terms = Terms::usual(5 * SECOND, 5 * SECOND).expect("terms");
    let units = holders as u64 * UNITS_EACH;
    let path = path(if is_contended { units / 2 } else { units });
    let from = Inheritance { epoch: 1, asked_at: 0, predecessor_may_live: false };
    let mut keeper = Keeper::take_over(0, from, terms);
    keeper.keep(0, CONTRACT, terms, &path, Left::Rows(&[])).expect("kept");
    let mut house = House { keeper, told: vec![(0, 0, 0); holders], writes: 0 };
    let (mut random, mut now) = (seed | 1, 0);
    let between = terms.lease_ns() / 3 / holders as i64;
    let mut round = |house: &mut House| {
        for who in 0..holders {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            now += between;
            let units = if is_contended { random % (2 * UNITS_EACH) } else { UNITS_EACH };
            house.renew(now, who, units);
        }
    };
    for _ in 0..3 {
        round(&mut house);
    }
    let (rounds, writes, before) = ((200_000 / holders).clamp(3, 2_000), house.writes, cpu_ns());
    for _ in 0..rounds {
        round(&mut house);
    }
    ((cpu_ns() - before) / (rounds * holders) as i64, house.writes - writes)
}

fn main() -> ExitCode {
    // Cargo adds a word of its own.
    let Some(seed) = std::env::args().skip(1).find_map(|word| word.parse().ok()) else {
        eprintln!("say from which seed: holders SEED");
        return ExitCode::from(2);
    };
    let rows: Vec<String> = [10, 100, 1_000, 10_000]
        .iter()
        .map(|&holders| {
            let ((steady, writes), (contended, _)) = (cost(holders, seed, false), cost(holders, seed, true));
            format!(
                "{{\"holders\": {holders}, \"steady_cpu_ns\": {steady}, \"steady_writes\": {writes}, \
                 \"contended_cpu_ns\": {contended}}}"
            )
        })
        .collect();
    println!("{{\"seed\": {seed}, \"rows\": [{}]}}", rows.join(", "));
    ExitCode::SUCCESS
}
