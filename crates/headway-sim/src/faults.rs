//! What goes wrong, and what is decided anew.

use crate::clock::Clock;
use crate::setting::Temper;
use crate::world::{Event, World};

impl World {
    /// One fault or move, and the next one's time.
    pub(crate) fn fault(&mut self) {
        if self.peace {
            return;
        }
        let next = self.random.around(self.setting.fault_ns);
        self.after(next, Event::Fault);
        self.outcome.faults += 1;
        let gate = self.random.between(0, self.setting.gates as i64 - 1) as usize;
        let drain = self.setting.drain_ns;
        let target = if self.random.per_mille(300) { Temper::Everybody } else { self.setting.temper };
        let kind = match target {
            Temper::Everybody => self.random.between(0, 13),
            Temper::Limits => 0,
            Temper::Keepers => self.random.between(5, 8),
            Temper::Gates => self.random.between(8, 13),
        };
        match kind {
            0..=4 => {
                self.publish();
            }
            5 => self.kill_keeper(),
            6 | 7 => self.freeze_keeper(),
            8 => {
                let until = (self.t + self.random.between(0, 2 * drain)).min(self.setting.peace_at);
                self.store.busy_until = self.store.busy_until.max(until);
            }
            9 => self.crash_if_up(gate),
            10 => self.freeze_gate(gate),
            11 => {
                let node = &mut self.gates[gate];
                let long =
                    if self.setting.floor.is_empty() { drain } else { drain * self.random.one_of(&[1, 1, 2, 6]) };
                node.cut_until = self.t + self.random.around(long);
                node.is_only_deaf = self.random.per_mille(500);
            }
            12 => self.step_a_wall(gate),
            _ => self.leave_for_a_while(gate),
        }
    }

    /// From here on nothing fails, and everybody wants everything.
    pub(crate) fn make_peace(&mut self) {
        self.peace = true;
        for gate in 0..self.setting.gates {
            self.after(0, Event::Restart { gate });
        }
        let newest = self.newest();
        if self.keepers.get(newest).is_none_or(|k| k.is_dead) {
            self.after(0, Event::Spawn);
        }
        if self.publish() {
            self.end_soon();
        } else {
            self.after(self.setting.drain_ns / 50, Event::Peace);
        }
    }

    fn crash_if_up(&mut self, gate: usize) {
        if self.gates[gate].is_up {
            self.crash(gate);
        }
    }

    fn freeze_gate(&mut self, gate: usize) {
        let until = self.t + self.random.between(0, 2 * self.setting.drain_ns);
        self.gates[gate].frozen_until = until.min(self.setting.peace_at);
    }

    fn kill_keeper(&mut self) {
        let newest = self.newest();
        if let Some(node) = self.keepers.get_mut(newest) {
            node.is_dead = true;
        }
        let notices = self.random.around(self.setting.drain_ns / 10);
        self.after(notices, Event::Spawn);
    }

    /// Freezes it, or only cuts it off from the store, and at times starts a second one: the first is a zombie then.
    fn freeze_keeper(&mut self) {
        let newest = self.newest();
        let until = self.t + self.random.between(0, self.setting.drain_ns);
        let without_store = self.t + self.random.one_of(&[0, 1, 2, 4]) * self.setting.drain_ns / 2;
        if let Some(node) = self.keepers.get_mut(newest) {
            if self.random.per_mille(600) {
                node.frozen_until = until.min(self.setting.peace_at);
            }
            node.storeless_until = without_store.min(self.setting.peace_at);
        }
        if self.random.per_mille(700) {
            let notices = self.random.around(self.setting.mandate_ns / 4);
            self.after(notices, Event::Spawn);
        }
    }

    /// A wall clock is set: leases must not care.
    fn step_a_wall(&mut self, gate: usize) {
        let by = self.random.between(-2 * self.setting.drain_ns, 2 * self.setting.drain_ns);
        let step = |clock: &mut Clock| clock.stepped += by;
        let newest = self.newest();
        match self.keepers.get_mut(newest) {
            Some(node) if self.random.per_mille(500) => step(&mut node.clock),
            _ => step(&mut self.gates[gate].clock),
        }
    }

    fn leave_for_a_while(&mut self, gate: usize) {
        if self.gates[gate].is_up && self.gates[gate].frozen_until <= self.t {
            self.leave(gate);
            let back = self.random.around(self.setting.drain_ns);
            self.after(back, Event::Restart { gate });
        }
    }
}
