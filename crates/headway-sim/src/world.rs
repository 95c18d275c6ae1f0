//! One history: events in the order of true time, and the network between gates and keepers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use headway_core::lease::{FromGate, FromKeeper, Holder, Outcome as Written, Write};

use crate::check::Checker;
use crate::gates::GateNode;
use crate::keepers::KeeperNode;
use crate::limits::Limits;
use crate::random::Random;
use crate::setting::{Kind, Setting, UNIT};
use crate::store::{Store, Taken};
use crate::windows::Windows;

/// What one history came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub simulated_ns: i64,
    pub events: u64,
    /// Faults and moves of the limit.
    pub faults: u64,
    pub moves: u64,
    pub renewals: u64,
    pub admitted: u64,
    pub violations: Vec<String>,
    /// In peace, with twice as much demand as limit, in parts per thousand of the limit: what gates held of a
    /// concurrency, what they admitted of a rate or have at hand.
    pub reached_per_mille: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Event {
    ToKeeper { keeper: usize, holder: Holder, message: FromGate },
    ToGate { gate: usize, life: u64, message: FromKeeper },
    KeeperTick { keeper: usize },
    GateTick { gate: usize, life: u64 },
    Commit { keeper: usize, write: Write },
    Answered { keeper: usize, id: u64, outcome: Written },
    Spawn,
    TakeOver { keeper: usize },
    Began { keeper: usize, epoch: u64, may_live: bool, taken: Taken },
    Demand { gate: usize, life: u64 },
    OwnDemand { keeper: usize },
    Ended { operation: u64 },
    Given { gate: usize, life: u64, units: u64 },
    Reap { gate: usize, life: u64 },
    Redial { gate: usize, life: u64 },
    Restart { gate: usize },
    Fault,
    Peace,
    Measure,
}

impl Event {
    /// The node that has to be awake for it.
    fn needs(&self) -> Option<Node> {
        match *self {
            Event::ToKeeper { keeper, .. }
            | Event::KeeperTick { keeper }
            | Event::OwnDemand { keeper }
            | Event::Answered { keeper, .. }
            | Event::Began { keeper, .. } => Some(Node::Keeper(keeper)),
            Event::ToGate { gate, .. }
            | Event::GateTick { gate, .. }
            | Event::Demand { gate, .. }
            | Event::Given { gate, .. }
            | Event::Redial { gate, .. } => Some(Node::Gate(gate)),
            _ => None,
        }
    }
}

/// A history that has more events is stuck.
const EVENTS_MAX: u64 = 2_000_000;

/// How long a rate is measured in peace.
const MEASURED_DRAINS: i64 = 6;

enum Node {
    Keeper(usize),
    Gate(usize),
}

pub(crate) struct World {
    pub(crate) t: i64,
    pub(crate) random: Random,
    pub(crate) setting: Setting,
    pub(crate) store: Store,
    pub(crate) limits: Limits,
    pub(crate) checker: Checker,
    /// The checker of a rate, where the contract is one.
    pub(crate) windows: Option<Windows>,
    pub(crate) gates: Vec<GateNode>,
    pub(crate) keepers: Vec<KeeperNode>,
    /// What the credential of each process says.
    pub(crate) names: BTreeMap<Holder, String>,
    pub(crate) peace: bool,
    had_by_measuring: u64,
    pub(crate) outcome: Outcome,
    queue: BinaryHeap<Reverse<(i64, u64, Queued)>>,
    queued: u64,
}

/// An event in the queue; its place is decided by time and number alone.
struct Queued(Event);

impl PartialEq for Queued {
    fn eq(&self, _: &Queued) -> bool {
        true
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Queued) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, _: &Queued) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// Runs the history of one seed; `only` of one kind, where that is asked for.
pub fn run(seed: u64, only: Option<Kind>) -> Outcome {
    let mut random = Random::new(seed);
    let setting = Setting::draw(&mut random, only);
    let mut world = World {
        t: 0,
        store: Store::default(),
        limits: Limits::new(8 * UNIT, setting.rate, setting.floor_sum()),
        windows: setting.rate.map(|(per, burst)| Windows::new(setting.drain_ns, per, burst)),
        had_by_measuring: 0,
        checker: Checker::new(setting.drain_ns, if setting.rate.is_some() { &[] } else { &setting.floor }),
        gates: vec![],
        keepers: vec![],
        names: BTreeMap::new(),
        peace: false,
        outcome: Outcome::default(),
        queue: BinaryHeap::new(),
        queued: 0,
        random,
        setting,
    };
    world.begin();
    world.go_on();
    world.outcome
}

impl World {
    fn begin(&mut self) {
        self.tell_checkers();
        self.store.ceiling = self.limits.highest();
        self.after(0, Event::Spawn);
        for gate in 0..self.setting.gates {
            self.add_gate(gate);
        }
        let first = self.random.around(self.setting.fault_ns);
        self.after(first, Event::Fault);
        self.push(self.setting.peace_at, Event::Peace);
        self.push(self.setting.end_at - MEASURED_DRAINS * self.setting.drain_ns, Event::Measure);
    }

    fn go_on(&mut self) {
        while let Some(Reverse((t, _, Queued(event)))) = self.queue.pop() {
            if t >= self.setting.end_at || self.is_over() {
                break;
            }
            self.t = t;
            let until = match event.needs() {
                Some(Node::Keeper(keeper)) => self.keepers[keeper].frozen_until,
                Some(Node::Gate(gate)) => self.gates[gate].frozen_until,
                None => t,
            };
            if until > t {
                self.push(until, event);
                continue;
            }
            self.outcome.events += 1;
            if self.outcome.events > EVENTS_MAX {
                self.checker.violations.push("events without end".to_owned());
            }
            self.happen(event);
        }
        self.t = self.setting.end_at;
        self.outcome.simulated_ns = self.t;
        self.outcome.admitted = self.checker.admitted + self.windows.as_ref().map_or(0, |w| w.admitted);
        self.outcome.violations.append(&mut self.checker.violations);
        let had = self.had();
        let (reached, possible) = match (&mut self.windows, self.setting.rate) {
            (Some(windows), Some((per_ns, burst_ns))) => {
                self.outcome.violations.append(&mut windows.violations);
                let periods = (MEASURED_DRAINS * self.setting.drain_ns / per_ns) as u64;
                let reached = had.saturating_sub(self.had_by_measuring);
                // A burst that is shorter than a block's life and the way to the keeper cannot carry the whole limit.
                let can = burst_ns >= self.setting.terms.lease_ns() + 4 * self.setting.delay_ns;
                // A part that holds one demand is not used up by demands that come when they come.
                if can { (reached, (self.limits.highest() - self.setting.floor_sum()) * periods) } else { (1, 1) }
            }
            // A part whose process is gone is nobody's for a while.
            _ => (self.held(), self.limits.highest() - self.setting.floor_sum() + self.parts_held()),
        };
        self.outcome.reached_per_mille = reached * 1_000 / possible.max(1);
    }

    /// Micro-units of a rate that were admitted, or are at hand to be.
    fn had(&self) -> u64 {
        self.windows.as_ref().map_or(0, Windows::spent) + self.held()
    }

    fn is_over(&self) -> bool {
        !self.checker.violations.is_empty() || self.windows.as_ref().is_some_and(|w| !w.violations.is_empty())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToKeeper { keeper, holder, message } => self.keeper_hears(keeper, holder, message),
            Event::ToGate { gate, life, message } => self.gate_hears(gate, life, message),
            Event::KeeperTick { keeper } => self.keeper_ticks(keeper),
            Event::GateTick { gate, life } => self.gate_ticks(gate, life),
            Event::Commit { keeper, write } => self.commit(keeper, &write),
            Event::Answered { keeper, id, outcome } => self.keeper_answered(keeper, id, outcome),
            Event::Spawn => self.spawn(),
            Event::TakeOver { keeper } => self.take_over(keeper),
            Event::Began { keeper, epoch, may_live, taken } => self.keeper_begins(keeper, epoch, may_live, &taken),
            Event::Demand { gate, life } => self.demand(gate, life),
            Event::OwnDemand { keeper } => self.keeper_demands(keeper),
            Event::Ended { operation } => self.operation_ends(operation),
            Event::Given { gate, life, units } => self.given(gate, life, units),
            Event::Reap { gate, life } => self.reap(gate, life),
            Event::Redial { gate, life } => self.redial(gate, life),
            Event::Restart { gate } => self.restart(gate),
            Event::Fault => self.fault(),
            Event::Peace => self.make_peace(),
            Event::Measure => self.had_by_measuring = self.had(),
        }
    }

    pub(crate) fn push(&mut self, t: i64, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse((t.max(self.t), self.queued, Queued(event))));
    }

    pub(crate) fn after(&mut self, ns: i64, event: Event) {
        self.push(self.t + ns, event);
    }

    /// Puts a message on the network: it may be lost, late, out of order, or come twice.
    pub(crate) fn send(&mut self, gate: usize, event: &Event) {
        let node = &self.gates[gate];
        let is_cut = node.cut_until > self.t && (!node.is_only_deaf || matches!(event, Event::ToGate { .. }));
        if !self.peace && (is_cut || self.random.per_mille(self.setting.loss)) {
            return;
        }
        let copies = if !self.peace && self.random.per_mille(self.setting.twice) { 2 } else { 1 };
        for _ in 0..copies {
            let is_slow = !self.peace && self.random.per_mille(self.setting.slow);
            let delay = if is_slow {
                self.random.between(0, 2 * self.setting.terms.lease_ns())
            } else {
                self.random.around(self.setting.delay_ns)
            };
            self.after(delay, event.clone());
        }
    }
}
