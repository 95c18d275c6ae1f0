//! What a demand costs in the end: settling a reservation, giving a part of it back, charging what was used unasked.

use super::{Path, Reserved};
use crate::atomics::Ordering;
use crate::curve::Measure;
use crate::grain::MICRO;
use crate::meter::{Held, Taken};
use crate::rate::Marked;
use crate::time::Clock;
use crate::why::Why;

impl Path {
    /// Sets what a reservation really cost. Less is given back without minting, more is charged as debt, at most what
    /// the path's `settle_max_micro` allows.
    pub fn settle(&self, clock: &impl Clock, reserved: &Reserved, key: Option<u64>, actual: u64) {
        if let (Some(far), Some(id)) = (&self.far, reserved.far) {
            return far.settle(id, actual);
        }
        if self.shared.is_forked() {
            return;
        }
        if actual > reserved.at_most {
            self.counts.settled_above_max.fetch_add(1, Ordering::Relaxed);
        }
        let (actual, now) = (actual.min(reserved.at_most), clock.boot_ns());
        for (step, taken) in self.steps.iter().zip(&reserved.taken) {
            let toll = step.toll(key).0;
            if matches!(taken.held, Held::Slots) {
                continue;
            }
            let cost = if actual == 0 { 0 } else { toll.charge.of(actual) };
            let changed = if cost < taken.n {
                -(step.give_back(now, key, taken, taken.n - cost) as i64)
            } else {
                let more = cost - taken.n;
                if more > 0 {
                    step.charge_more(now, key, taken, more);
                }
                more as i64
            };
            toll.meter.charged.fetch_add(changed, Ordering::Relaxed);
        }
    }

    /// Gives `units` of a reservation back, at most what is left of it, without minting. Returns how many were.
    pub fn give_back(&self, clock: &impl Clock, reserved: &mut Reserved, key: Option<u64>, units: u64) -> u64 {
        let units = units.min(reserved.units);
        if units == 0 || self.shared.is_forked() {
            return 0;
        }
        let (left, now) = (reserved.units - units, clock.boot_ns());
        for (step, taken) in self.steps.iter().zip(&mut reserved.taken) {
            let toll = step.toll(key).0;
            let cost = if left == 0 { 0 } else { toll.charge.of(left) };
            let r = taken.n.saturating_sub(cost);
            if matches!(taken.held, Held::Slots) || r == 0 {
                continue;
            }
            let given = step.give_back(now, key, taken, r);
            taken.n -= r;
            toll.meter.charged.fetch_sub(given as i64, Ordering::Relaxed);
        }
        reserved.units = left;
        units
    }

    /// Holds the slots of demands that are in flight already, whatever the limit says: a gate's word, or the ledger's, for
    /// what this process did not admit itself. `release` gives them back.
    ///
    /// False, and nothing is held or to be given back: the path has no slots, or a meter on it cannot count so many.
    pub fn hold_over(&self, clock: &impl Clock, units: u64, key: Option<u64>) -> bool {
        if !self.has_slots || self.shared.is_forked() {
            return false;
        }
        let now = clock.boot_ns();
        let counts_slots = |step: &&super::Step| step.toll(key).0.meter.spec.measure == Measure::Concurrency;
        for (i, step) in self.steps.iter().filter(counts_slots).enumerate() {
            if !step.hold_over(now, key, units) {
                for done in self.steps.iter().filter(counts_slots).take(i) {
                    done.let_go(now, key, units);
                }
                return false;
            }
        }
        self.counts.admit(units);
        true
    }

    /// Charges what was used already, whatever the limit says: debt, at most what the path's `settle_max_micro` allows for
    /// one demand. More is cut to it and counted. Returns the units charged.
    pub fn charge(&self, clock: &impl Clock, units: u64, key: Option<super::Key<'_>>) -> u64 {
        let at_most = self.spec.settle_max_micro / MICRO;
        if units > at_most {
            self.counts.settled_above_max.fetch_add(1, Ordering::Relaxed);
        }
        let units = units.min(at_most);
        if units == 0 || self.shared.is_forked() {
            return 0;
        }
        self.charge_all(clock, units, key);
        units
    }

    /// Counts what was decided elsewhere, under a part of this limit: charged as it was let through, whatever the limit says.
    pub fn account(&self, clock: &impl Clock, admitted: u64, refused: u64) {
        if self.shared.is_forked() {
            return;
        }
        if admitted > 0 {
            self.charge_all(clock, admitted, None);
        }
        if refused > 0 {
            self.counts.refuse(Why::Full, refused);
        }
    }

    fn charge_all(&self, clock: &impl Clock, units: u64, key: Option<super::Key<'_>>) {
        let (now, hash) = (clock.boot_ns(), key.map(|k| k.hash));
        for step in &self.steps {
            let toll = step.toll(hash).0;
            let n = toll.charge.of(units);
            let held = match toll.meter.spec.measure {
                Measure::Rate => Held::Rate(Marked::NONE),
                Measure::Concurrency => continue,
                Measure::Quota => Held::Used(0),
            };
            step.charge_more(now, hash, &Taken { n: 0, held }, n);
            if units != 1 {
                toll.meter.charged.fetch_add(n as i64, Ordering::Relaxed);
            }
        }
        self.counts.admit(units);
        if self.has_durable {
            self.ask_ahead(now, key);
        }
    }
}
