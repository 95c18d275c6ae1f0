//! Keepers in the world: how they come to be, what they say and write.

use std::sync::Arc;

use headway_core::lease::{Effect, FromGate, Holder, Inheritance, Keeper, Left, Outcome, Write};
use headway_core::{Measure, MeterSpec, Meters, Path, PathSpec};

use crate::clock::{Clock, mutant};
use crate::setting::UNIT;
use crate::store::Taken;
use crate::world::{Event, World};

/// The only contract there is, and its meter.
pub(crate) const CONTRACT: u64 = 1;
const METER: &str = "m";

/// The meters of a keeper's process, on which it lends and decides itself.
pub(crate) struct House {
    meters: Meters,
    path: Arc<Path>,
}

impl House {
    /// `per_ns`: a rate's; None: a concurrency. A rate starts full where it is new, and else empty: no mark is kept.
    fn new(per_ns: Option<i64>, is_first: bool) -> House {
        let meters = Meters::default();
        let measure = if per_ns.is_some() { Measure::Rate } else { Measure::Concurrency };
        let plain = MeterSpec::plain(METER, measure, 32 * UNIT, per_ns.unwrap_or(0) as u64);
        let spec = MeterSpec { born_empty: per_ns.is_some() && !is_first, ..plain };
        meters.declare(vec![spec]).expect("a meter that can be counted");
        let spec = PathSpec::plain(METER, METER, vec![(METER.to_owned(), UNIT, false)]);
        let path = meters.path(spec).expect("a path over its only meter");
        House { meters, path }
    }
}

/// A clock that shows what it was asked for.
struct Shows(i64);

impl headway_core::Clock for Shows {
    fn boot_ns(&self) -> i64 {
        self.0
    }
}

pub(crate) struct KeeperNode {
    pub(crate) clock: Clock,
    /// None until its take-over is through.
    pub(crate) keeper: Option<Keeper>,
    house: House,
    pub(crate) epoch: u64,
    pub(crate) is_dead: bool,
    pub(crate) frozen_until: i64,
    /// Its way to the store is gone until then; what it writes arrives after that, in order.
    pub(crate) storeless_until: i64,
    asked_at: i64,
    wake: i64,
}

impl KeeperNode {
    pub(crate) fn runs(&self, t: i64) -> bool {
        !self.is_dead && self.frozen_until <= t && self.keeper.is_some()
    }
}

impl World {
    /// The one that gates look for, and the engine publishes through.
    pub(crate) fn newest(&self) -> usize {
        (0..self.keepers.len())
            .filter(|&i| self.keepers[i].keeper.is_some())
            .max_by_key(|&i| self.keepers[i].epoch)
            .unwrap_or(0)
    }

    pub(crate) fn spawn(&mut self) {
        let clock = self.setting.keepers_clock(&mut self.random);
        let asked_at = clock.at(self.t);
        let (keeper, epoch, is_dead, frozen_until, storeless_until, wake) = (None, 0, false, 0, 0, 0);
        let house = House::new(self.setting.rate.map(|(per_ns, _)| per_ns), self.keepers.is_empty());
        self.keepers.push(KeeperNode {
            clock,
            keeper,
            house,
            epoch,
            is_dead,
            frozen_until,
            storeless_until,
            asked_at,
            wake,
        });
        let commits = self.random.around(self.setting.delay_ns);
        self.after(commits, Event::TakeOver { keeper: self.keepers.len() - 1 });
    }

    pub(crate) fn take_over(&mut self, keeper: usize) {
        if self.keepers[keeper].is_dead {
            return;
        }
        let (epoch, taken) = self.store.take_over();
        let others_live = self.keepers.iter().enumerate().any(|(i, k)| i != keeper && !k.is_dead);
        // Death is proven by a lock at times; where it is not, the mandate is waited out.
        let may_live = epoch > 1 && (others_live || self.random.per_mille(500));
        let answers = self.random.around(self.setting.delay_ns);
        self.after(answers, Event::Began { keeper, epoch, may_live, taken });
    }

    pub(crate) fn keeper_begins(&mut self, i: usize, epoch: u64, may_live: bool, taken: &Taken) {
        let (t, curve, terms) = (self.t, self.limits.curve(), self.setting.terms);
        let node = &mut self.keepers[i];
        if node.is_dead {
            return;
        }
        let now = node.clock.at(t);
        let from = Inheritance { epoch, asked_at: node.asked_at, predecessor_may_live: may_live };
        let mut keeper = Keeper::take_over(now, from, terms);
        node.house.meters.publish(vec![(METER.to_owned(), curve)], t, now).expect("a first curve");
        let left = if self.setting.rate.is_some() { Left::Ceiling(taken.loans) } else { Left::Rows(&taken.rows) };
        keeper.keep(now, CONTRACT, terms, &node.house.path, left).expect("a contract that can be kept");
        if let Some(spec) = self.setting.floor_spec() {
            keeper.divide_floor(CONTRACT, terms, spec, &taken.parts).expect("a floor that can be divided");
        }
        (node.keeper, node.epoch) = (Some(keeper), epoch);
        self.keeper_ticks(i);
        if self.setting.rate.is_some() {
            self.keeper_demands(i);
        }
        if !self.peace && self.random.per_mille(200) {
            self.publish();
        }
    }

    /// A demand of the keeper's own process, on the meters from which it lends. Of rates: slots of a process that is gone
    /// are nobody's to count, and its operations may go on.
    pub(crate) fn keeper_demands(&mut self, i: usize) {
        let node = &self.keepers[i];
        if node.is_dead {
            return;
        }
        let (now, units) = (node.clock.at(self.t), self.random.one_of(&[1, 1, 2]));
        let may = node.keeper.as_ref().is_some_and(|keeper| keeper.may_answer(now) || mutant!(OwnAfterMandate));
        if may
            && node.house.path.try_now(&Shows(now), units, None).is_ok()
            && let Some(windows) = &mut self.windows
        {
            windows.admitted(self.t, units * UNIT);
        }
        let next = self.random.around(2 * self.setting.demand_ns);
        self.after(next, Event::OwnDemand { keeper: i });
    }

    pub(crate) fn tell_checkers(&mut self) {
        match &mut self.windows {
            Some(windows) => windows.published(self.t, self.limits.stretches().to_vec()),
            None => self.checker.published(self.t, self.limits.stretches().to_vec()),
        }
    }

    pub(crate) fn keeper_hears(&mut self, i: usize, holder: Holder, message: FromGate) {
        if !matches!(message, FromGate::Bye) {
            self.outcome.renewals += 1;
        }
        match message {
            FromGate::Claim(claim) => {
                let Some(name) = self.names.get(&holder).cloned() else { return };
                self.with_keeper(i, |keeper, now| keeper.claim(now, holder, &name, &claim));
            }
            message => self.with_keeper(i, |keeper, now| keeper.on(now, holder, message)),
        }
    }

    pub(crate) fn keeper_ticks(&mut self, i: usize) {
        let is_due = self.keepers[i].clock.at(self.t) >= self.keepers[i].wake;
        if is_due {
            self.with_keeper(i, Keeper::tick);
        }
    }

    pub(crate) fn keeper_answered(&mut self, i: usize, id: u64, outcome: Outcome) {
        self.with_keeper(i, |keeper, now| keeper.durable(now, id, outcome));
    }

    pub(crate) fn commit(&mut self, keeper: usize, write: &Write) {
        let outcome = self.store.commit(write);
        let is_slow = !self.peace && self.random.per_mille(self.setting.slow);
        let answers = if is_slow {
            self.random.between(0, 2 * self.setting.mandate_ns)
        } else {
            self.random.around(self.setting.delay_ns / 4 + 1)
        };
        let arrives = (self.t + answers).max(self.keepers[keeper].storeless_until);
        self.push(arrives, Event::Answered { keeper, id: write.id, outcome });
    }

    /// The engine publishes a change, if the one keeper that could is up.
    pub(crate) fn publish(&mut self) -> bool {
        let i = self.newest();
        let can = self.keepers.get(i).is_some_and(|k| k.runs(self.t) && k.epoch == self.store.epoch);
        if !can {
            return false;
        }
        if self.peace {
            self.limits.settle_at(self.t, 8 * UNIT + self.setting.floor_sum());
        } else {
            self.limits.move_at(self.t, self.setting.drain_ns, &mut self.random);
        }
        self.store.ceiling = self.limits.highest();
        self.tell_checkers();
        let (t, curve, node) = (self.t, self.limits.curve(), &self.keepers[i]);
        node.house
            .meters
            .publish(vec![(METER.to_owned(), curve)], t, node.clock.at(t))
            .expect("a version that follows");
        self.with_keeper(i, |keeper, now| keeper.published(now, CONTRACT).expect("a contract that is kept"));
        self.outcome.moves += 1;
        true
    }

    /// A stream of a holder was seen to close.
    pub(crate) fn stream_closed(&mut self, i: usize, holder: Holder) {
        if mutant!(CloseEndsHolder) && self.keepers.get(i).is_some_and(|k| k.runs(self.t)) {
            self.with_keeper(i, |keeper, now| keeper.dead(now, holder));
        }
    }

    fn with_keeper(&mut self, i: usize, does: impl FnOnce(&mut Keeper, i64) -> Vec<Effect>) {
        let node = &mut self.keepers[i];
        if node.is_dead {
            return;
        }
        let now = node.clock.at(self.t);
        let Some(keeper) = node.keeper.as_mut() else { return };
        for effect in does(keeper, now) {
            match effect {
                Effect::Send { holder, message } => {
                    if let Some((gate, life)) = self.gate_of(holder).filter(|g| self.gates[g.0].has_dialed(i)) {
                        self.send(gate, &Event::ToGate { gate, life, message });
                    }
                }
                Effect::Durable(write) => {
                    let takes = self.random.around(self.setting.delay_ns / 4 + 1);
                    self.store.busy_until = self.store.busy_until.max(self.t) + takes;
                    let arrives = self.store.busy_until.max(self.keepers[i].storeless_until);
                    self.push(arrives, Event::Commit { keeper: i, write });
                }
                Effect::WakeAt(local) => {
                    self.keepers[i].wake = local;
                    let at = self.keepers[i].clock.shows(local);
                    self.push(at, Event::KeeperTick { keeper: i });
                }
            }
        }
    }
}
