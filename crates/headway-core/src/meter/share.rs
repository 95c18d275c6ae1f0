//! What one workload is guaranteed of a meter, and may have at most: counts of their own beside the meter's.
//!
//! The meter alone holds the limit. A guarantee's count only says how much of it nobody else may take: it is read by the
//! others before they take and written by its workload after it took, so that between the two too much is left, never too
//! little. A release goes the other way round. Threads that decide in the same instant may bend a guarantee by what they
//! take in it, and never the limit.

use std::sync::Arc;

use super::{Held, Meter, MeterSpec, Taken};
use crate::curve::{Curve, Measure};
use crate::error::Error;
use crate::grain::MICRO;
use crate::growth::Growths;
use crate::hot::Look;
use crate::level;
use crate::rate;
use crate::shares::{Part, ShareSpec};

/// One workload's share of a meter.
pub(crate) struct Share {
    pub(crate) spec: ShareSpec,
    pub(crate) guarantee: Option<Arc<Guarantee>>,
    /// A meter of its own that its demands pass first.
    pub(crate) ceiling: Option<Arc<Meter>>,
}

/// What is guaranteed to one workload, and how much of it is used.
///
/// Its meter's curve is the guaranteed part of the limit. Of a rate the burst is that part of the limit's, counted in whole
/// units: a guarantee of less than one unit keeps nothing back, or a small limit would admit nobody but its workload.
pub(crate) struct Guarantee {
    pub(crate) workload: String,
    part: Part,
    meter: Meter,
}

impl Share {
    /// `log2` and `renew_at` as the meter has them, so that all count alike.
    pub(super) fn new(
        spec: &ShareSpec,
        of: &MeterSpec,
        log2: u32,
        growths: &Arc<Growths>,
        renew_at: u64,
    ) -> Result<Share, Error> {
        let own = |tail: &str, durable: bool| -> Result<Meter, Error> {
            let name = format!("{}@{}{tail}", of.name, spec.workload);
            let own = MeterSpec { name, durable, chunk_micro: 0, shares: vec![], ..of.clone() };
            Meter::with(own, log2, MICRO, None, growths, renew_at)
        };
        // A rate's ceiling starts empty after a crash, as the rate does; only a quota's has to be counted durably. What is
        // guaranteed is then kept back anew as far as it is there: that is less for others, and never more for anybody.
        let is_counted = of.durable && of.measure == Measure::Quota;
        let guarantee = match spec.guarantee {
            Some(part) => {
                let mut meter = own("#guarantee", false)?;
                meter.grains.least = 0;
                Some(Arc::new(Guarantee { workload: spec.workload.clone(), part, meter }))
            }
            None => None,
        };
        let ceiling = spec.ceiling.map(|_| own("", is_counted).map(Arc::new)).transpose()?;
        Ok(Share { spec: spec.clone(), guarantee, ceiling })
    }

    pub(super) fn install(&self, curve: &Curve, anchor: i64, now: i64) {
        for (part, meter) in self.parts() {
            meter.install(&Arc::new(part.of_curve(curve)), anchor, now);
        }
    }

    fn parts(&self) -> impl Iterator<Item = (Part, &Meter)> {
        let guarantee = self.guarantee.iter().map(|guarantee| (guarantee.part, &guarantee.meter));
        guarantee.chain(self.spec.ceiling.zip(self.ceiling.as_deref()))
    }

    /// The meters that count for it.
    pub(crate) fn meters(&self) -> impl Iterator<Item = &Meter> {
        self.parts().map(|(_, meter)| meter)
    }
}

impl Guarantee {
    /// How much of it is unused, in the meter's counts.
    pub(crate) fn unused(&self, now: i64) -> u64 {
        let Some(look) = self.meter.look(now) else { return 0 };
        let most = self.meter.whole(look.limit);
        match self.meter.spec.measure {
            Measure::Rate => look.e.saturating_sub(self.meter.value(None).max(look.k)).min(most),
            _ => most.saturating_sub(self.meter.amount(None, &look)),
        }
    }

    /// Counts what its workload took. Of a rate what is over the guarantee is no debt to it: it was free.
    pub(crate) fn charge(&self, now: i64, n: u64) {
        let meter = &self.meter;
        let done = meter.on_word(None, now, |word, _| match meter.spec.measure {
            Measure::Rate => rate::use_up(word, n, |_| meter.look(now), |look| meter.whole(look.limit)),
            // No more than its meter counted, and that fitted.
            Measure::Concurrency => level::add(word, n).map(drop),
            Measure::Quota => level::charge(word, n, |_| meter.look(now)),
        });
        // Before the first curve nothing was taken.
        done.unwrap_or(());
    }

    /// Counts `r` of what was `taken` as unused again.
    pub(crate) fn give_back(&self, now: i64, taken: &Taken, r: u64) {
        let meter = &self.meter;
        let done = meter.on_word(None, now, |word, _| match taken.held {
            Held::Rate(_) => rate::use_less(word, r, |_| meter.look(now)),
            Held::Slots => level::let_go(word, r).then_some(()),
            Held::Used(tag) => level::give_back(word, tag, r),
        });
        done.unwrap_or(());
    }
}

impl Meter {
    /// It, and the meters that count for its workloads.
    pub(crate) fn with_shares(&self) -> impl Iterator<Item = &Meter> {
        std::iter::once(self).chain(self.shares.iter().flat_map(Share::meters))
    }

    /// One unit in its counts.
    pub(crate) fn unit(&self) -> u64 {
        if self.spec.measure == Measure::Rate { 1 << self.grains.log2 } else { MICRO >> self.shift }
    }

    /// Whole units of a part of the level, of a rate of the burst.
    pub(crate) fn whole_part(&self, look: &Look, ppm: u64) -> u64 {
        self.whole((u128::from(look.limit) * u128::from(ppm) / u128::from(MICRO)) as u64)
    }

    /// Whole units, of counts: what is left for others is counted in those.
    pub(crate) fn whole(&self, counts: u64) -> u64 {
        if self.spec.measure == Measure::Rate {
            return counts >> self.grains.log2 << self.grains.log2;
        }
        let micro = counts << self.shift;
        (micro - micro % MICRO) >> self.shift
    }
}
