//! A path's place among its equals in a division by weight: what it leaves to those that have less than their part.

use std::sync::Arc;

use super::{Path, Step, Stopped};
use crate::curve::Measure;
use crate::hot::Look;
use crate::installed::Installed;
use crate::meter::{Division, Guarantee, Meter, Portion};
use crate::why::Why;

/// Its place in a division by weight.
pub(crate) struct Weighed {
    pub(super) division: Arc<Division>,
    own: usize,
    /// Who has the same priority, with what is left to each as its guarantee already.
    equals: Vec<(usize, Option<Arc<Guarantee>>)>,
}

impl Step {
    /// What its part by weight is now, where that, and neither the limit nor what was agreed, stands in the way of `n`
    /// counts beside a mark or an amount.
    fn parted(&self, meter: &Meter, now: i64, key: Option<u64>, amount: u64, n: u64, look: &Look) -> Option<Parted> {
        let sharing = self.sharing.as_ref()?;
        let weighed = sharing.weighed.as_ref().filter(|one| one.division.binds(now))?;
        let is_rate = meter.spec.measure == Measure::Rate;
        let (floor, most) = if is_rate { (look.k, look.e) } else { (0, look.limit) };
        let agreed = sharing.agreed(meter, now, key, look);
        let needed = amount.max(floor).saturating_add(n).saturating_add(agreed);
        (needed <= most).then(|| weighed.parted(meter))
    }

    /// Of a rate: the instant at which `n` counts are within its part, where parts bind.
    pub(crate) fn part_due(&self, meter: &Meter, curve: &Installed, now: i64, n: u64) -> Option<i64> {
        let weighed = self.sharing.as_ref()?.weighed.as_ref().filter(|one| one.division.binds(now))?;
        let look = meter.look(now).filter(|_| meter.spec.measure == Measure::Rate)?;
        curve.reached(weighed.portion().due(&look, n)?)
    }
}

impl Stopped {
    /// What the part by weight is of who was stopped, where that is what stopped it.
    pub(crate) fn parted(&self, path: &Path, units: u64, key: Option<u64>) -> Option<Parted> {
        let (amount, look) = self.seen().filter(|_| self.why == Why::Full)?;
        let step = path.steps.get(self.step)?;
        let toll = step.toll(key).0;
        step.parted(&toll.meter, self.at, key, amount, toll.charge.of(units), &look?)
    }
}

/// The part of one workload, for what people read.
#[derive(Clone)]
pub(crate) struct Parted {
    division: Arc<Division>,
    own: usize,
    pub(crate) weight: u64,
    /// The weights of its equals that ask, its own among them.
    pub(crate) of: u64,
}

impl Parted {
    /// Of a level, in micro-units.
    pub(crate) fn micro(&self, meter: &Meter, level_micro: u64) -> u64 {
        self.division.portions[self.own].part_micro(meter, level_micro)
    }
}

impl Weighed {
    pub(super) fn of(meter: &Meter, workload: &str) -> Option<Weighed> {
        let division = Arc::clone(meter.division.as_ref()?);
        let own = meter.shares.iter().position(|share| share.spec.workload == workload)?;
        let equals = meter.shares.iter().enumerate();
        let equals = equals.filter(|(at, share)| *at != own && share.spec.priority == meter.shares[own].spec.priority);
        let equals = equals.map(|(at, share)| (at, share.guarantee.clone())).collect();
        Some(Weighed { division, own, equals })
    }

    pub(super) fn portion(&self) -> &Portion {
        &self.division.portions[self.own]
    }

    /// Beside what was agreed: a little of what equals have not used of their parts, as long as somebody is refused. Who is
    /// within its part leaves less, and only to those who ask for no more than theirs, so that their demands, which come
    /// unevenly, find something whenever they come. A meter that is all unused refuses nobody for this: what is free is
    /// never lost by it.
    pub(super) fn leaves(&self, meter: &Meter, now: i64, n: u64, look: &Look, agreed: u64) -> u64 {
        if !self.division.binds(now) {
            return 0;
        }
        let (own, unit) = (self.portion(), meter.unit());
        if meter.spec.measure == Measure::Quota {
            let is_within = n <= own.unused(meter, look);
            let left = if is_within { 0 } else { self.kept_for_equals(meter, now, look) };
            return left.min(look.limit.saturating_sub(agreed).saturating_sub(n));
        }
        let is_within = n <= own.unused(meter, look);
        if is_within && !own.wants_more() {
            return 0;
        }
        // A few units are enough for who asks for no more than its part: whoever has to leave them lets them come in again
        // first. Slots that are left stand idle, so they are fewer; but who wants more asks for its own at once.
        let is_rate = meter.spec.measure == Measure::Rate;
        let most = match (is_rate, is_within) {
            (true, true) => (look.limit / 16).min(8 * unit),
            (true, false) => (look.limit / 8).clamp(unit, 16 * unit),
            (false, true) => (look.limit / 50).min(8 * unit),
            (false, false) => (look.limit / 50).clamp(unit, 8 * unit),
        };
        let (mut few, mut all) = (0u64, 0u64);
        for (at, guarantee) in &self.equals {
            let portion = &self.division.portions[*at];
            if is_within && portion.wants_more() {
                continue;
            }
            let sure = guarantee.as_ref().map_or(0, |guarantee| guarantee.unused(now, None));
            let left = portion.unused(meter, look).saturating_sub(sure);
            let sum = if !is_rate && portion.wants_more() { &mut all } else { &mut few };
            *sum = sum.saturating_add(left);
        }
        let left = few.min(most).saturating_add(all);
        meter.whole(left).min(look.limit.saturating_sub(agreed).saturating_sub(n))
    }

    /// Of a quota: what its equals are on course to use of their parts, beside what they are guaranteed.
    fn kept_for_equals(&self, meter: &Meter, now: i64, look: &Look) -> u64 {
        let kept = self.equals.iter().map(|(at, guarantee)| {
            let sure = guarantee.as_ref().map_or(0, |guarantee| guarantee.unused(now, None));
            self.division.portions[*at].still_kept(look).saturating_sub(sure)
        });
        meter.whole(kept.fold(0, u64::saturating_add))
    }

    /// Of `free` counts beside what was agreed, those that it may take.
    pub(super) fn free_for_it(&self, meter: &Meter, now: i64, free: u64, look: &Look, agreed: u64) -> u64 {
        if meter.spec.measure != Measure::Quota {
            return free.saturating_sub(self.leaves(meter, now, meter.unit(), look, agreed));
        }
        if !self.division.binds(now) {
            return free;
        }
        let part = self.portion().unused(meter, look).min(free);
        free.saturating_sub(self.kept_for_equals(meter, now, look)).max(part)
    }

    fn parted(&self, meter: &Meter) -> Parted {
        let weight = u64::from(self.portion().weight().get());
        let asking = self.equals.iter().map(|(at, _)| &self.division.portions[*at]).filter(|one| one.asks(meter));
        let of = weight + asking.map(|one| u64::from(one.weight().get())).sum::<u64>();
        Parted { division: Arc::clone(&self.division), own: self.own, weight, of }
    }
}
