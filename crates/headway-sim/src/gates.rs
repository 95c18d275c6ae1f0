//! Gates in the world: their demands, what they let in, and how long that lasts.

use std::collections::{BTreeMap, BTreeSet};

use headway_core::lease::{FromGate, FromKeeper, Gate, GateEffect, Holder};

use crate::clock::{Clock, mutant};
use crate::keepers::CONTRACT;
use crate::setting::{Setting, UNIT};
use crate::world::{Event, World};

pub(crate) struct GateNode {
    pub(crate) clock: Clock,
    pub(crate) gate: Gate,
    pub(crate) holder: Holder,
    /// Counts the processes that this gate has had.
    pub(crate) life: u64,
    pub(crate) is_up: bool,
    pub(crate) frozen_until: i64,
    /// Its network is gone until then: both ways, or only what comes in.
    pub(crate) cut_until: i64,
    pub(crate) is_only_deaf: bool,
    keeper: usize,
    /// Keepers to which this process has had a stream; half of it may be open still.
    dialed: BTreeSet<usize>,
    wake: i64,
    /// What is in flight upstream, of this process and those before.
    operations: BTreeMap<u64, Operation>,
    /// When lease and part of a process that is gone ended, in true time.
    graves: BTreeMap<u64, (i64, i64)>,
    is_reaped: bool,
}

/// Something in flight upstream.
struct Operation {
    life: u64,
    units: u64,
    /// It was let in when the lease had ended, on the part of the floor alone.
    is_on_part: bool,
}

impl GateNode {
    /// When the present process' lease ends, and its part, in true time.
    fn ends(&self, t: i64) -> (i64, i64) {
        let shows = |local| if local == i64::MIN { t } else { self.clock.shows(local) };
        (shows(self.gate.ends_at(CONTRACT)), shows(self.gate.part_ends_at(CONTRACT)))
    }

    pub(crate) fn has_dialed(&self, keeper: usize) -> bool {
        self.dialed.contains(&keeper)
    }

    fn dial(&mut self, keeper: usize) {
        self.keeper = keeper;
        self.dialed.insert(keeper);
    }
}

impl World {
    pub(crate) fn add_gate(&mut self, gate: usize) {
        let clock = Setting::clock(&mut self.random);
        let holder = self.new_holder();
        self.gates.push(GateNode {
            clock,
            gate: Gate::new(),
            holder,
            life: 0,
            is_up: true,
            frozen_until: 0,
            cut_until: 0,
            is_only_deaf: false,
            keeper: 0,
            dialed: BTreeSet::from([0]),
            wake: i64::MAX,
            operations: BTreeMap::new(),
            graves: BTreeMap::new(),
            is_reaped: false,
        });
        self.names.extend(self.setting.name_of(gate).map(|name| (holder, name)));
        self.claims(gate, 0);
        let first = self.random.around(self.setting.demand_ns);
        self.after(first, Event::Demand { gate, life: 0 });
        self.after(self.setting.drain_ns / 5, Event::Redial { gate, life: 0 });
    }

    /// Asks for the part of the floor that is its name's.
    fn claims(&mut self, i: usize, life: u64) {
        if self.setting.floor.is_empty() {
            return;
        }
        let (terms, is_rate) = (self.setting.terms, self.setting.rate.is_some());
        self.with_gate(i, life, |gate, now| {
            if is_rate {
                gate.demand_tokens(now, CONTRACT, terms, 0);
            } else {
                gate.demand(now, CONTRACT, terms, 0);
            }
            gate.claim(now, CONTRACT, terms)
        });
    }

    /// Micro-units of the floor that processes have.
    pub(crate) fn parts_held(&self) -> u64 {
        let has = |g: &GateNode| g.is_up && g.clock.at(self.t) < g.gate.part_ends_at(CONTRACT);
        let held = self.gates.iter().enumerate().filter(|(_, g)| has(g));
        held.filter_map(|(i, _)| i.checked_rem(self.setting.floor.len())).map(|part| self.setting.floor[part]).sum()
    }

    pub(crate) fn gate_of(&self, holder: Holder) -> Option<(usize, u64)> {
        self.gates.iter().position(|g| g.holder == holder && g.is_up).map(|i| (i, self.gates[i].life))
    }

    pub(crate) fn gate_hears(&mut self, i: usize, life: u64, message: FromKeeper) {
        self.with_gate(i, life, |gate, now| gate.on(now, message));
    }

    pub(crate) fn gate_ticks(&mut self, i: usize, life: u64) {
        if self.gates[i].clock.at(self.t) >= self.gates[i].wake {
            self.with_gate(i, life, Gate::tick);
        }
    }

    /// One more demand: what is wanted changes at times, and the demand is let in or not.
    pub(crate) fn demand(&mut self, i: usize, life: u64) {
        let node = &self.gates[i];
        if node.life != life || !node.is_up {
            return;
        }
        if self.setting.rate.is_some() {
            self.demand_tokens(i, life);
            return;
        }
        let in_flight = node.gate.in_flight(CONTRACT);
        let want = if self.peace { 8 * UNIT } else { self.random.between(0, 8) as u64 * UNIT };
        let changes = self.peace || self.random.per_mille(300);
        let terms = self.setting.terms;
        if changes {
            self.with_gate(i, life, |gate, now| gate.demand(now, CONTRACT, terms, want.max(in_flight)));
        }
        let units = if self.peace { UNIT } else { self.random.one_of(&[UNIT, UNIT, UNIT, 2 * UNIT, UNIT / 2]) };
        let node = &mut self.gates[i];
        let now = node.clock.at(self.t);
        if node.gate.door(CONTRACT).is_some_and(|door| door.take(now, units)) {
            let is_on_part = now >= self.gates[i].gate.ends_at(CONTRACT);
            self.begin_operation(i, Operation { life, units, is_on_part });
        }
        let next = self.random.around(self.setting.demand_ns);
        self.after(next, Event::Demand { gate: i, life });
    }

    fn demand_tokens(&mut self, i: usize, life: u64) {
        let terms = self.setting.terms;
        if self.peace || self.random.per_mille(300) {
            let most = if self.peace { 4 } else { self.random.between(0, 6) };
            self.with_gate(i, life, |gate, now| gate.demand_tokens(now, CONTRACT, terms, most as u64 * UNIT));
        }
        let units = if self.peace { UNIT } else { self.random.one_of(&[UNIT, UNIT, UNIT, 2 * UNIT, UNIT / 2]) };
        let node = &mut self.gates[i];
        let now = node.clock.at(self.t);
        if node.gate.door(CONTRACT).is_some_and(|door| door.take(now, units))
            && let Some(windows) = &mut self.windows
        {
            windows.admitted(self.t, units);
        }
        self.with_gate(i, life, Gate::tick);
        let mean =
            if self.peace { self.setting.drain_ns * self.setting.gates as i64 / 80 } else { self.setting.demand_ns };
        let next = self.random.around(mean);
        self.after(next, Event::Demand { gate: i, life });
    }

    fn begin_operation(&mut self, i: usize, begun: Operation) {
        let operation = self.checker.admitted + 1;
        let life = begun.life;
        self.checker.admitted(self.t, (i, life), operation, begun.units);
        self.gates[i].operations.insert(operation, begun);
        let typical = self.setting.drain_ns / 8;
        let lasts = match self.random.between(0, 9) {
            _ if self.peace => self.random.around(typical),
            0 | 1 => 40 * self.setting.drain_ns,
            2 | 3 => self.random.around(self.setting.max_hold_ns + typical),
            _ => self.random.around(typical),
        };
        self.after(lasts, Event::Ended { operation });
        if !self.gates[i].is_reaped {
            self.gates[i].is_reaped = true;
            self.push(self.t, Event::Reap { gate: i, life });
        }
    }

    /// An operation has ended upstream; its gate hears of it when it is awake.
    pub(crate) fn operation_ends(&mut self, operation: u64) {
        self.checker.ended(operation);
        let found =
            self.gates.iter_mut().enumerate().find_map(|(i, g)| g.operations.remove(&operation).map(|o| (i, o)));
        if let Some((gate, Operation { life, units, .. })) = found {
            self.push(self.t, Event::Given { gate, life, units });
        }
    }

    pub(crate) fn given(&mut self, i: usize, life: u64, units: u64) {
        self.with_gate(i, life, |gate, now| {
            if let Some(door) = gate.door(CONTRACT) {
                door.give_back(units);
            }
            if gate.is_leaving() { gate.tick(now) } else { vec![] }
        });
    }

    /// Operations end by `max_hold` after the lease under which their gate goes on: that is what contracts say.
    pub(crate) fn reap(&mut self, i: usize, life: u64) {
        let node = &self.gates[i];
        let lives = node.life == life;
        let (lease, part) =
            if lives { node.ends(self.t) } else { node.graves.get(&life).copied().unwrap_or((self.t, self.t)) };
        let hold = self.setting.max_hold_ns;
        let due = |one: &Operation| if one.is_on_part { lease.max(part) + hold } else { lease + hold };
        let own: Vec<(u64, i64)> =
            node.operations.iter().filter(|(_, o)| o.life == life).map(|(&id, o)| (id, due(o))).collect();
        let t = self.t;
        for &(operation, _) in own.iter().filter(|(_, due)| *due <= t) {
            self.operation_ends(operation);
        }
        let next = own.iter().map(|&(_, due)| due).filter(|&due| due > t).min();
        if lease + hold > t {
            self.push(next.unwrap_or(lease + hold).min(lease + hold), Event::Reap { gate: i, life });
            return;
        }
        if let Some(due) = next {
            self.push(due, Event::Reap { gate: i, life });
        }
        // What comes in under a later lease is looked at by an event of its own.
        let node = &mut self.gates[i];
        if next.is_none() {
            node.graves.remove(&life);
        }
        if lives {
            node.is_reaped = false;
        }
    }

    /// Looks whether there is a newer keeper to talk to; noticed sooner or later.
    pub(crate) fn redial(&mut self, i: usize, life: u64) {
        let newest = self.newest();
        if self.gates[i].life != life {
            return;
        }
        let (old, holder) = (self.gates[i].keeper, self.gates[i].holder);
        let moves = old != newest && self.random.per_mille(300);
        if moves || self.random.per_mille(20) {
            self.stream_closed(old, holder);
            self.gates[i].dial(newest);
            self.with_gate(i, life, Gate::reconnected);
        }
        self.after(self.setting.drain_ns / 5, Event::Redial { gate: i, life });
    }

    /// The process is gone; what it let in goes on upstream.
    pub(crate) fn crash(&mut self, i: usize) {
        self.bury(i);
        let down = self.random.around(self.setting.drain_ns / 3);
        self.after(down, Event::Restart { gate: i });
    }

    fn bury(&mut self, i: usize) {
        let node = &mut self.gates[i];
        let ends = node.ends(self.t);
        let life = node.life;
        node.graves.insert(life, ends);
        (node.is_up, node.frozen_until) = (false, 0);
        self.push(self.t, Event::Reap { gate: i, life });
    }

    /// A new process, where the one before crashed or was asked to leave.
    pub(crate) fn restart(&mut self, i: usize) {
        if self.gates[i].is_up && !self.gates[i].gate.is_leaving() {
            return;
        }
        if self.gates[i].is_up {
            self.bury(i);
        }
        let holder = if mutant!(HolderReturns) { self.gates[i].holder } else { self.new_holder() };
        let keeper = self.newest();
        let node = &mut self.gates[i];
        node.life += 1;
        (node.gate, node.holder, node.is_up, node.is_reaped) = (Gate::new(), holder, true, false);
        node.dialed.clear();
        node.dial(keeper);
        node.wake = i64::MAX;
        let life = node.life;
        self.names.extend(self.setting.name_of(i).map(|name| (holder, name)));
        self.claims(i, life);
        self.push(self.t, Event::Demand { gate: i, life });
        self.after(self.setting.drain_ns / 5, Event::Redial { gate: i, life });
    }

    /// Leaves in order, and comes back later as another.
    pub(crate) fn leave(&mut self, i: usize) {
        let life = self.gates[i].life;
        self.with_gate(i, life, Gate::close);
    }

    /// Operations come to an end: what is held then shows what is possible.
    pub(crate) fn end_soon(&mut self) {
        let all: Vec<u64> = self.gates.iter().flat_map(|g| g.operations.keys().copied()).collect();
        for operation in all {
            let ends = self.random.around(self.setting.drain_ns / 8);
            self.after(ends, Event::Ended { operation });
        }
    }

    /// What gates may admit now, in micro-units.
    pub(crate) fn held(&self) -> u64 {
        self.gates.iter().map(|g| g.gate.units(g.clock.at(self.t), CONTRACT)).sum()
    }

    fn new_holder(&mut self) -> Holder {
        Holder(u128::from(self.random.next()) << 64 | u128::from(self.random.next()))
    }

    fn with_gate(&mut self, i: usize, life: u64, does: impl FnOnce(&mut Gate, i64) -> Vec<GateEffect>) {
        let node = &mut self.gates[i];
        if node.life != life || !node.is_up {
            return;
        }
        let now = node.clock.at(self.t);
        for effect in does(&mut node.gate, now) {
            match effect {
                GateEffect::Send(message) => self.send_to_keeper(i, message),
                GateEffect::Redial => {
                    let soon = self.random.around(self.setting.drain_ns / 20);
                    let newest = self.newest();
                    self.gates[i].dial(newest);
                    self.after(soon, Event::Redial { gate: i, life });
                }
                GateEffect::WakeAt(local) => {
                    self.gates[i].wake = local;
                    let at = self.gates[i].clock.shows(local);
                    self.push(at, Event::GateTick { gate: i, life });
                }
            }
        }
    }

    fn send_to_keeper(&mut self, i: usize, message: FromGate) {
        let (keeper, holder) = (self.gates[i].keeper, self.gates[i].holder);
        if keeper < self.keepers.len() && !self.keepers[keeper].is_dead {
            self.send(i, &Event::ToKeeper { keeper, holder, message });
        }
    }
}
