//! What one run is made of: durations, clocks, how bad the network is.

use headway_core::lease::Terms;

use crate::clock::Clock;
use crate::random::Random;

pub(crate) const SECOND: i64 = 1_000_000_000;
/// Micro-units of one unit.
pub(crate) const UNIT: u64 = 1_000_000;
/// How wrong a clock's rate may be, here twenty times what a machine's usually is.
const EPS_PPM: i64 = 10_000;

/// What a contract bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Concurrency,
    Rate,
}

/// Whom chance has it in for in a run. Where everything fails alike, two keepers at once are too rare to tell much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temper {
    Everybody,
    Keepers,
    Gates,
    Limits,
}

#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) gates: usize,
    pub(crate) drain_ns: i64,
    pub(crate) mandate_ns: i64,
    pub(crate) max_hold_ns: i64,
    pub(crate) terms: Terms,
    /// Chances in a thousand.
    pub(crate) loss: u64,
    pub(crate) twice: u64,
    pub(crate) slow: u64,
    pub(crate) delay_ns: i64,
    /// Between faults and moves, on average.
    pub(crate) fault_ns: i64,
    /// Between demands at one gate, on average.
    pub(crate) demand_ns: i64,
    /// A rate's `per` and burst as a span, ns; None: the contract is a concurrency.
    pub(crate) rate: Option<(i64, i64)>,
    /// What goes wrong most of the time.
    pub(crate) temper: Temper,
    /// Until here faults happen; then there is peace.
    pub(crate) peace_at: i64,
    pub(crate) end_at: i64,
}

impl Setting {
    pub(crate) fn draw(random: &mut Random, only: Option<Kind>) -> Setting {
        let drain_ns = random.one_of(&[5, 5, 20, 60]) * SECOND;
        let mandate_ns = drain_ns / 4;
        let max_hold_ns = drain_ns * random.one_of(&[0, 1, 2, 8, 20]) / 4;
        let terms = Terms::new(drain_ns, mandate_ns, max_hold_ns, EPS_PPM).expect("terms within bounds");
        let per_ns = drain_ns / 5;
        let is_rate = random.per_mille(400);
        let rate = only
            .map_or(is_rate, |kind| kind == Kind::Rate)
            .then(|| (per_ns, per_ns * random.one_of(&[1, 2, 6, 14]) / 2));
        let peace_at = drain_ns * random.between(20, 60);
        Setting {
            gates: random.between(2, 6) as usize,
            drain_ns,
            mandate_ns,
            max_hold_ns,
            terms,
            loss: random.one_of(&[0, 0, 50, 300]),
            twice: random.one_of(&[0, 100]),
            slow: random.one_of(&[0, 20, 100]),
            delay_ns: random.one_of(&[1, 10, 50]) * drain_ns / 5_000,
            fault_ns: drain_ns * random.one_of(&[1, 2, 4]) / 2,
            demand_ns: drain_ns / random.one_of(&[10, 25]),
            rate,
            temper: random.one_of(&[Temper::Everybody, Temper::Keepers, Temper::Gates, Temper::Limits]),
            peace_at,
            end_at: peace_at + (if rate.is_some() { 9 } else { 4 }) * drain_ns + 2 * max_hold_ns,
        }
    }

    /// A keeper's clock. A rate runs on it, so there it is right; a gate's may be wrong all the same.
    pub(crate) fn keepers_clock(&self, random: &mut Random) -> Clock {
        let clock = Setting::clock(random);
        if self.rate.is_some() { Clock { drift_ppm: 0, ..clock } } else { clock }
    }

    /// A machine's clock: often as wrong as it may be.
    pub(crate) fn clock(random: &mut Random) -> Clock {
        let drift_ppm = random.one_of(&[-EPS_PPM, -EPS_PPM, EPS_PPM, EPS_PPM, 0, 77]);
        Clock { offset: random.between(1, 1_000_000) * SECOND, drift_ppm, stepped: 0 }
    }
}
