//! One history: events in the order of true time, and the network between gates and keepers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use headway_core::lease::{FromGate, FromKeeper, Holder, Outcome as Written, Row, Write};

use crate::check::Checker;
use crate::gates::GateNode;
use crate::keepers::KeeperNode;
use crate::limits::Limits;
use crate::random::Random;
use crate::setting::{Setting, UNIT};
use crate::store::Store;

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
    /// In peace, with more demand than limit: what gates held of the limit, in parts per thousand.
    pub held_per_mille: u64,
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
    Began { keeper: usize, epoch: u64, may_live: bool, rows: Vec<Row> },
    Demand { gate: usize, life: u64 },
    Ended { operation: u64 },
    Given { gate: usize, life: u64, units: u64 },
    Reap { gate: usize, life: u64 },
    Redial { gate: usize, life: u64 },
    Restart { gate: usize },
    Fault,
    Peace,
}

impl Event {
    /// The node that has to be awake for it.
    fn needs(&self) -> Option<Node> {
        match *self {
            Event::ToKeeper { keeper, .. }
            | Event::KeeperTick { keeper }
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
    pub(crate) gates: Vec<GateNode>,
    pub(crate) keepers: Vec<KeeperNode>,
    pub(crate) peace: bool,
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

/// Runs the history of one seed.
pub fn run(seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let setting = Setting::draw(&mut random);
    let mut world = World {
        t: 0,
        store: Store::default(),
        limits: Limits::new(8 * UNIT),
        checker: Checker::new(setting.drain_ns),
        gates: vec![],
        keepers: vec![],
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
        self.checker.published(0, self.limits.stretches().to_vec());
        self.store.ceiling = self.limits.highest();
        self.after(0, Event::Spawn);
        for gate in 0..self.setting.gates {
            self.add_gate(gate);
        }
        let first = self.random.around(self.setting.fault_ns);
        self.after(first, Event::Fault);
        self.push(self.setting.peace_at, Event::Peace);
    }

    fn go_on(&mut self) {
        while let Some(Reverse((t, _, Queued(event)))) = self.queue.pop() {
            if t >= self.setting.end_at || !self.checker.violations.is_empty() {
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
        self.outcome.admitted = self.checker.admitted;
        self.outcome.violations.append(&mut self.checker.violations);
        self.outcome.held_per_mille = self.held() * 1_000 / self.limits.highest().max(1);
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
            Event::Began { keeper, epoch, may_live, rows } => self.keeper_begins(keeper, epoch, may_live, &rows),
            Event::Demand { gate, life } => self.demand(gate, life),
            Event::Ended { operation } => self.operation_ends(operation),
            Event::Given { gate, life, units } => self.given(gate, life, units),
            Event::Reap { gate, life } => self.reap(gate, life),
            Event::Redial { gate, life } => self.redial(gate, life),
            Event::Restart { gate } => self.restart(gate),
            Event::Fault => self.fault(),
            Event::Peace => self.make_peace(),
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
