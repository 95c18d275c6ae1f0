//! What a path leaves for other workloads of its contract, and what it counts as used of its own guarantee.

use std::sync::Arc;

use super::Step;
use super::weighed::Weighed;
use crate::curve::Measure;
use crate::hot::Look;
use crate::meter::{Guarantee, Held, Meter, Stop, Taken};
use crate::rate::Marked;
use crate::time::Clock;

/// What stands between a path and one of its meters, beside the limit. Absent where nothing does.
pub(crate) struct Sharing {
    /// Of the level, for whoever goes first.
    room_ppm: u64,
    own: Option<Arc<Guarantee>>,
    /// Guarantees of who goes first, and of everybody else.
    higher: Vec<Arc<Guarantee>>,
    others: Vec<Arc<Guarantee>>,
    /// A workload that room is left for, for what people read.
    pub(crate) first: Option<String>,
    pub(super) weighed: Option<Weighed>,
}

impl Sharing {
    /// Of a path as `workload` on one of its contract's meters; on another contract's (None) it has no place of its own
    /// and leaves every guarantee.
    pub(super) fn of(meter: &Meter, workload: Option<&str>) -> Option<Box<Sharing>> {
        let own = meter.shares.iter().find(|share| Some(share.spec.workload.as_str()) == workload);
        let goes_first = |share: &&crate::meter::Share| own.is_some_and(|own| share.spec.priority > own.spec.priority);
        let first = meter.shares.iter().filter(goes_first).max_by_key(|share| share.spec.priority);
        let (mut higher, mut others) = (vec![], vec![]);
        for share in &meter.shares {
            let is_own = own.is_some_and(|own| own.spec.workload == share.spec.workload);
            match &share.guarantee {
                Some(guarantee) if !is_own => {
                    (if goes_first(&share) { &mut higher } else { &mut others }).push(Arc::clone(guarantee));
                }
                _ => {}
            }
        }
        let sharing = Sharing {
            room_ppm: own.filter(|_| first.is_some()).map_or(0, |own| own.spec.priority.leaves_ppm()),
            own: own.and_then(|own| own.guarantee.clone()),
            first: first.map(|share| &share.spec.workload).or(others.first().map(|other| &other.workload)).cloned(),
            higher,
            others,
            weighed: own.and_then(|own| Weighed::of(meter, &own.spec.workload)),
        };
        (sharing.first.is_some() || sharing.own.is_some() || sharing.weighed.is_some()).then(|| Box::new(sharing))
    }

    /// What is left whoever asks: the room for who goes first, as far as the demand is not within a guarantee.
    fn room(&self, meter: &Meter, look: &Look) -> u64 {
        meter.whole_part(look, self.room_ppm)
    }

    /// What has to fit beside a demand of `n`. Nothing where it is within its own guarantee. Else what was agreed, and what
    /// is left to equals that have less than their part.
    fn leaves(&self, meter: &Meter, now: i64, key: Option<u64>, n: u64, look: &Look) -> u64 {
        if self.own.as_ref().is_some_and(|own| n <= own.unused(now, key)) {
            return 0;
        }
        let agreed = self.agreed(meter, now, key, look);
        agreed.saturating_add(self.weighed.as_ref().map_or(0, |weighed| weighed.leaves(meter, now, n, look, agreed)))
    }

    /// What is unused of the others' guarantees, and the room for who goes first, in which their guarantees are counted.
    pub(super) fn agreed(&self, meter: &Meter, now: i64, key: Option<u64>, look: &Look) -> u64 {
        let unused = |all: &[Arc<Guarantee>]| all.iter().map(|one| one.unused(now, key)).fold(0, u64::saturating_add);
        unused(&self.others).saturating_add(unused(&self.higher).max(self.room(meter, look)))
    }
}

impl Step {
    #[inline]
    pub(super) fn take(&self, clock: &impl Clock, now: i64, key: Option<u64>, units: u64) -> Result<Taken, Stop> {
        let (toll, own) = self.toll(key);
        let n = toll.charge.of(units);
        match &self.sharing {
            None => toll.meter.take(clock, now, own, n),
            Some(sharing) => sharing.take(&toll.meter, clock, now, (key, own), n),
        }
    }

    /// What `take` would answer, charging nothing.
    pub(super) fn probe(&self, now: i64, key: Option<u64>, n: u64) -> Result<(), Stop> {
        let (toll, own) = self.toll(key);
        toll.meter.probe(now, own, n, |look| self.leaves(&toll.meter, now, key, n, look))
    }

    /// What has to fit beside a demand of `n` counts, as things stand at `now`.
    pub(crate) fn leaves(&self, meter: &Meter, now: i64, key: Option<u64>, n: u64, look: &Look) -> u64 {
        self.sharing.as_ref().map_or(0, |sharing| sharing.leaves(meter, now, key, n, look))
    }

    /// What has to fit beside it however little the others use: a demand above the limit less this never fits. Within a
    /// guarantee that is nothing, and how large a guarantee may become is not looked ahead to.
    pub(crate) fn leaves_always(&self, meter: &Meter, look: &Look) -> u64 {
        self.sharing.as_ref().filter(|sharing| sharing.own.is_none()).map_or(0, |sharing| sharing.room(meter, look))
    }

    /// Of `free` counts, what this path may take: what is left beside what it leaves, or its own guarantee.
    pub(crate) fn free_for_it(&self, meter: &Meter, now: i64, key: Option<u64>, free: u64, look: &Look) -> u64 {
        let Some(sharing) = &self.sharing else { return free };
        let agreed = sharing.agreed(meter, now, key, look);
        let sure = sharing.own.as_ref().map_or(0, |own| own.unused(now, key)).min(free);
        let left = free.saturating_sub(agreed);
        sharing.weighed.as_ref().map_or(left, |one| one.free_for_it(meter, now, left, look, agreed)).max(sure)
    }

    /// Gives `r` counts of what was taken back; how many were.
    pub(super) fn give_back(&self, now: i64, key: Option<u64>, taken: &Taken, r: u64) -> u64 {
        let (toll, own) = self.toll(key);
        let given = toll.meter.give_back(now, own, taken, r);
        self.count_less(&toll.meter, now, key, taken, given);
        toll.meter.bell.ring();
        given
    }

    /// Holds slots that are in use already; false, and none is, where they cannot be counted.
    pub(super) fn hold_over(&self, now: i64, key: Option<u64>, units: u64) -> bool {
        let (toll, own) = self.toll(key);
        let n = toll.charge.of(units);
        let is_held = toll.meter.hold_over(now, own, n);
        if is_held {
            self.count_more(&toll.meter, now, key, n);
        }
        is_held
    }

    /// Gives slots back, to the guarantee first: what is free again is never anybody's in between.
    pub(super) fn let_go(&self, now: i64, key: Option<u64>, units: u64) {
        let (toll, own) = self.toll(key);
        let n = toll.charge.of(units);
        self.count_less(&toll.meter, now, key, &Taken { n, ..Taken::NOTHING }, n);
        toll.meter.let_go(now, own, n);
        toll.meter.bell.ring();
    }

    /// Charges `n` counts more than was taken, over the limit if need be.
    pub(super) fn charge_more(&self, now: i64, key: Option<u64>, taken: &Taken, n: u64) {
        let (toll, own) = self.toll(key);
        toll.meter.charge_more(now, own, taken, n);
        self.count_more(&toll.meter, now, key, n);
    }

    // --- what is lent: steps without keys, in counts ----------------------------------------------------------------

    /// Counts that may be lent at `now`, until `until`.
    pub(super) fn lendable(&self, now: i64, until: i64) -> u64 {
        let meter = &self.toll.meter;
        let for_it = |free: u64, look: &Look| self.free_for_it(meter, now, None, free, look);
        match (meter.spec.measure, meter.look(now)) {
            (Measure::Rate, _) => meter.lendable(now, until, for_it),
            (_, Some(look)) => for_it(look.limit.saturating_sub(meter.amount(None, &look)), &look),
            (_, None) => 0,
        }
    }

    /// Lends `n` counts until `until`, of a rate; uses or holds them of anything else. None: of a rate.
    pub(super) fn lend(&self, clock: &impl Clock, now: i64, n: u64, until: i64) -> Result<Option<Taken>, Stop> {
        let meter = &self.toll.meter;
        if meter.spec.measure != Measure::Rate {
            let taken = match &self.sharing {
                None => meter.take(clock, now, None, n),
                Some(sharing) => sharing.take(meter, clock, now, (None, None), n),
            };
            return taken.map(Some);
        }
        let lend = || meter.lend(now, n, until, |look| self.leaves(meter, now, None, n, look));
        match &self.sharing {
            Some(sharing) => sharing.counted(meter, now, n, || {
                lend()?;
                sharing.use_own(now, None, n)
            })?,
            None => lend()?,
        }
        Ok(None)
    }

    /// Of what was lent until `until`, `n` counts come back.
    pub(super) fn lent_back(&self, now: i64, taken: Option<&Taken>, n: u64, until: i64) {
        if let Some(taken) = taken {
            self.give_back(now, None, taken, n);
            return;
        }
        self.toll.meter.loan_dropped(now, n, until);
        self.count_less(&self.toll.meter, now, None, &Taken { n, held: Held::Rate(Marked::NONE) }, n);
    }

    /// Changes what others hold of its slots by what lies between `from` and `to` counts, whatever the limit says. False,
    /// and nothing changes: no meter can count so many.
    pub(super) fn shift_held(&self, now: i64, from: u64, to: u64) -> bool {
        let meter = &self.toll.meter;
        if to >= from {
            let is_held = meter.hold_over(now, None, to - from);
            if is_held {
                self.count_more(meter, now, None, to - from);
            }
            return is_held;
        }
        self.count_less(meter, now, None, &Taken { n: from - to, ..Taken::NOTHING }, from - to);
        meter.let_go(now, None, from - to);
        meter.bell.ring();
        true
    }

    /// Counts what was charged unasked as used of what is the workload's own.
    fn count_more(&self, meter: &Meter, now: i64, key: Option<u64>, n: u64) {
        let Some(sharing) = &self.sharing else { return };
        // A key that finds no place there is charged on the limit all the same: what is guaranteed is then left once more.
        sharing.use_own(now, key, n).unwrap_or(());
        if let Some(weighed) = &sharing.weighed {
            weighed.portion().hold(meter, now, n);
        }
    }

    fn count_less(&self, meter: &Meter, now: i64, key: Option<u64>, taken: &Taken, r: u64) {
        let Some(sharing) = &self.sharing else { return };
        if let Some(guarantee) = &sharing.own {
            guarantee.give_back(now, key, taken, r);
        }
        if let Some(weighed) = &sharing.weighed {
            weighed.portion().give_back(meter, now, taken, r);
        }
    }

    /// What has to fit beside it whatever its part is.
    pub(crate) fn leaves_agreed(&self, meter: &Meter, now: i64, key: Option<u64>, n: u64, look: &Look) -> u64 {
        let beside = |sharing: &Sharing| match &sharing.own {
            Some(own) if n <= own.unused(now, key) => 0,
            _ => sharing.agreed(meter, now, key, look),
        };
        self.sharing.as_deref().map_or(0, beside)
    }
}

impl Sharing {
    /// `key`: of the demand, and to charge on the meter.
    #[inline(never)]
    fn take(
        &self,
        meter: &Meter,
        clock: &impl Clock,
        now: i64,
        (key, own): (Option<u64>, Option<u64>),
        n: u64,
    ) -> Result<Taken, Stop> {
        self.counted(meter, now, n, || {
            let taken = meter.take_leaving(clock, now, own, n, |look| self.leaves(meter, now, key, n, look))?;
            match self.use_own(now, key, n) {
                Ok(()) => Ok(taken),
                Err(stop) => {
                    meter.give_back(now, own, &taken, n);
                    Err(stop)
                }
            }
        })
    }

    /// Counts what was taken as used of its own guarantee. An Err: that has no place for one more key.
    fn use_own(&self, now: i64, key: Option<u64>, n: u64) -> Result<(), Stop> {
        self.own.as_ref().map_or(Ok(()), |own| own.charge(now, key, n))
    }

    /// Counts what is taken as used of its part, and what is refused as asked for.
    fn counted<T>(&self, meter: &Meter, now: i64, n: u64, take: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
        if let Some(weighed) = &self.weighed {
            weighed.division.renew(meter, now);
        }
        let answer = take();
        match (&answer, &self.weighed) {
            (Ok(_), Some(weighed)) => weighed.portion().charge(meter, now, n),
            (Err(Stop::Full { .. }), Some(weighed)) => {
                weighed.portion().refuse(n);
                weighed.division.refused(meter, now);
            }
            _ => {}
        }
        answer
    }
}
