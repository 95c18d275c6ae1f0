//! What one run is made of: durations, clocks, how bad the network is.

use headway_core::lease::{FloorSpec, Named, Share, Terms};

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
    /// Parts of a floor, in micro-units (a rate's: each `per`), and the largest demand that a part of a rate admits; empty
    /// where there is none. A gate's name is its number over theirs, so that several come under one name.
    pub(crate) floor: Vec<u64>,
    pub(crate) most: u64,
    /// How long a part lasts.
    pub(crate) part_lasts_ms: u32,
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
        let (floor, most) = Setting::draw_floor(random, rate);
        let part_lasts_ms = (drain_ns / 1_000_000 * random.one_of(&[2, 3, 6])) as u32;
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
            floor,
            most,
            part_lasts_ms,
            temper: random.one_of(&[Temper::Everybody, Temper::Keepers, Temper::Gates, Temper::Limits]),
            peace_at,
            end_at: peace_at + (if rate.is_some() { 9 } else { 4 }) * drain_ns + 2 * max_hold_ns,
        }
    }

    /// One part or two of a unit or more. Of a rate their bursts come off the floor's, all but the unit that a meter always
    /// holds.
    fn draw_floor(random: &mut Random, rate: Option<(i64, i64)>) -> (Vec<u64>, u64) {
        let many = random.one_of(&[0, 0, 1, 2]);
        let floor: Vec<u64> = (0..many).map(|_| random.between(1, 2) as u64 * UNIT).collect();
        let Some((per_ns, burst_ns)) = rate.filter(|_| many > 0) else { return (floor, 0) };
        let burst = u128::from(floor.iter().sum::<u64>()) * burst_ns as u128 / per_ns as u128;
        let most = (burst as u64).saturating_sub(UNIT) / many as u64;
        if most < UNIT { (vec![], 0) } else { (floor, most) }
    }

    /// All parts together.
    pub(crate) fn floor_sum(&self) -> u64 {
        self.floor.iter().sum()
    }

    /// The name under which a gate comes, if there is a floor.
    pub(crate) fn name_of(&self, gate: usize) -> Option<String> {
        gate.checked_rem(self.floor.len()).map(|part| format!("gate-{part}"))
    }

    /// The floor as keepers divide it.
    pub(crate) fn floor_spec(&self) -> Option<FloorSpec> {
        let per_ns = self.rate.map_or(0, |(per_ns, _)| per_ns.unsigned_abs());
        let parts: Vec<Share> = self.floor.iter().map(|&units| Share { units, per_ns, most: self.most }).collect();
        let names = (0..parts.len()).filter_map(|part| self.name_of(part)).collect();
        (!parts.is_empty()).then_some(FloorSpec { named: Named::Gates(names), parts, lasts_ms: self.part_lasts_ms })
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
