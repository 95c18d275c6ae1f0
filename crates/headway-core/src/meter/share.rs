//! What one workload is guaranteed of a meter, and may have at most: counts of their own beside the meter's.
//!
//! The meter alone holds the limit. A guarantee's count only says how much of it nobody else may take: it is read by the
//! others before they take and written by its workload after it took, so that between the two too much is left, never too
//! little. A release goes the other way round. Threads that decide in the same instant may bend a guarantee by what they
//! take in it, and never the limit.

use std::sync::Arc;

use super::{Held, Meter, MeterSpec, Stop, Taken};
use crate::curve::{Curve, Measure};
use crate::error::Error;
use crate::grain::MICRO;
use crate::growth::Growths;
use crate::hot::Look;
use crate::level;
use crate::rate;
use crate::shares::{Part, ShareSpec};
use crate::sip::SipKey;

/// One workload's share of a meter; with keys of the limit of each.
pub(crate) struct Share {
    pub(crate) spec: ShareSpec,
    pub(crate) guarantee: Option<Arc<Guarantee>>,
    /// A meter of its own that its demands pass first.
    pub(crate) ceiling: Option<Arc<Meter>>,
}

/// What is guaranteed to one workload, and how much of it is used.
///
/// Its meter's curve is the guaranteed part of the limit. Of a rate the burst is that part of the limit's, counted in whole
/// units: a guarantee of less than one unit keeps nothing back, or a small limit would admit nobody but its workload. With
/// keys it has those that its workload uses: a key that it does not know has all of its guarantee unused.
pub(crate) struct Guarantee {
    pub(crate) workload: String,
    part: Part,
    meter: Meter,
}

impl Share {
    /// All but the first two as the meter has them, so that all count alike.
    pub(super) fn new(
        spec: &ShareSpec,
        of: &MeterSpec,
        log2: u32,
        sip: SipKey,
        growths: &Arc<Growths>,
        renew_at: u64,
    ) -> Result<Share, Error> {
        let own = |tail: &str, durable: bool| -> MeterSpec {
            let name = format!("{}@{}{tail}", of.name, spec.workload);
            MeterSpec { name, durable, chunk_micro: 0, shares: vec![], ..of.clone() }
        };
        // A rate's ceiling starts empty after a crash, as the rate does; only a quota's has to be counted durably. What is
        // guaranteed is then kept back anew as far as it is there: that is less for others, and never more for anybody.
        let is_counted = of.durable && of.measure == Measure::Quota;
        let guarantee = match spec.guarantee {
            Some(part) => {
                let mut own = own("#guarantee", false);
                if of.measure != Measure::Rate {
                    // A key that holds or used something of its guarantee does so of the limit, which bounds its keys.
                    own.keys_max = of.keys_max.map(|_| u64::MAX);
                }
                let meter = Meter::of_keys(own, log2, Some(0), sip, growths, renew_at)?;
                Some(Arc::new(Guarantee { workload: spec.workload.clone(), part, meter }))
            }
            None => None,
        };
        let ceiling = match spec.ceiling {
            Some(_) => Some(Arc::new(Meter::of_keys(own("", is_counted), log2, None, sip, growths, renew_at)?)),
            None => None,
        };
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
    /// The meter that counts for a key, and the key to count there. `key`: of a demand, whether its meter has keys or not.
    fn of_key(&self, key: Option<u64>) -> (&Meter, Option<u64>) {
        let Some(hash) = key.filter(|_| self.meter.keys.is_some()) else { return (&self.meter, None) };
        let scaled = self.meter.scaled.iter().find(|scaled| scaled.hash == hash);
        scaled.map_or((&self.meter, Some(hash)), |scaled| (&*scaled.meter, None))
    }

    /// How much of it is unused, in the meter's counts.
    pub(crate) fn unused(&self, now: i64, key: Option<u64>) -> u64 {
        let (meter, key) = self.of_key(key);
        let Some(look) = meter.look(now) else { return 0 };
        let most = meter.whole(look.limit);
        match meter.spec.measure {
            Measure::Rate => look.e.saturating_sub(meter.value(key).max(look.k)).min(most),
            _ => most.saturating_sub(meter.amount(key, &look)),
        }
    }

    /// Counts what its workload took. Of a rate what is over the guarantee is no debt to it: it was free. An Err: it has no
    /// place for the key, which would seem to use nothing of it for ever.
    pub(crate) fn charge(&self, now: i64, key: Option<u64>, n: u64) -> Result<(), Stop> {
        let (meter, key) = self.of_key(key);
        meter.on_word(key, now, |word, base| match meter.spec.measure {
            Measure::Rate => rate::use_up(word, n, |_| meter.look_in(now, base), |look| meter.whole(look.limit)),
            // No more than its meter counted, and that fitted.
            Measure::Concurrency => level::add(word, n).map(drop),
            Measure::Quota => level::charge(word, n, |_| meter.look(now)),
        })
    }

    /// Counts `r` of what was `taken` as unused again.
    pub(crate) fn give_back(&self, now: i64, key: Option<u64>, taken: &Taken, r: u64) {
        let (meter, key) = self.of_key(key);
        let done = meter.on_word(key, now, |word, base| match taken.held {
            Held::Rate(_) => rate::use_less(word, r, |_| meter.look_in(now, base)),
            Held::Slots => level::let_go(word, r).then_some(()),
            Held::Used(tag) => level::give_back(word, tag, r),
        });
        // Before the first curve nothing was taken, and a key that is forgotten has used nothing of it.
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

    /// Whole units in so many of its counts, rounded down.
    pub(crate) fn units(&self, counts: u64) -> u64 {
        match self.spec.measure {
            Measure::Rate => counts >> self.grains.log2,
            _ => ((u128::from(counts) << self.shift) / u128::from(MICRO)) as u64,
        }
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
