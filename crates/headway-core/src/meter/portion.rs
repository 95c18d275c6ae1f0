//! What its weight gives one workload of a meter now, and how much of that it has used.
//!
//! All of it is counted beside the meter, which alone holds the limit: what threads miss of each other here bends who goes
//! first for an instant, and nothing else.

use super::{Held, Meter, Taken};
use crate::atomics::{AtomicU64, Ordering};
use crate::curve::Measure;
use crate::hot::Look;
use crate::level::in_window;
use crate::shares::ShareSpec;
use crate::word::{AMOUNT_MAX, Tagged};

/// All of a rate, in the parts that portions of it are counted in.
pub(super) const PARTS: u64 = 1 << 32;

/// One workload's part of a meter by weight.
pub(crate) struct Portion {
    pub(crate) spec: ShareSpec,
    /// Of a rate in `PARTS`, of slots and of a quota in counts.
    part: AtomicU64,
    /// Of a quota: how much of the part it is on course to use.
    kept: AtomicU64,
    /// 1 where it asks for more than its part.
    wants_more: AtomicU64,
    /// Of a rate the entitlement, over all renewals of its base, up to which the part is used. Of slots how many it holds.
    /// Of a quota what it used, with the window's tag.
    spent: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
}

impl Portion {
    pub(super) fn new(spec: ShareSpec) -> Portion {
        let [part, kept, wants_more, spent, taken, refused] = [(); 6].map(|()| AtomicU64::new(0));
        Portion { spec, part, kept, wants_more, spent, taken, refused }
    }

    pub(super) fn give(&self, part: u64, wants_more: bool) {
        self.part.store(part, Ordering::Relaxed);
        self.wants_more.store(u64::from(wants_more), Ordering::Relaxed);
    }

    /// Of a quota: what it is on course to use of it, beside the part.
    pub(super) fn keep(&self, kept: u64) {
        self.kept.store(kept, Ordering::Relaxed);
    }

    /// Of a rate in parts of `PARTS`, else in counts.
    pub(crate) fn part(&self) -> u64 {
        self.part.load(Ordering::Relaxed)
    }

    /// The part of a level, in micro-units.
    pub(crate) fn part_micro(&self, meter: &Meter, level_micro: u64) -> u64 {
        match meter.spec.measure {
            Measure::Rate => (u128::from(self.part()) * u128::from(level_micro) / u128::from(PARTS)) as u64,
            _ => self.part().saturating_mul(1 << meter.shift).min(level_micro),
        }
    }

    /// Whether it is seen to ask for anything.
    pub(crate) fn asks(&self, meter: &Meter) -> bool {
        let given = if meter.spec.measure == Measure::Quota { &self.kept } else { &self.part };
        given.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn wants_more(&self) -> bool {
        self.wants_more.load(Ordering::Relaxed) != 0
    }

    pub(super) fn held(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    /// Of a quota: what it used of the window.
    pub(super) fn used(&self, look: &Look) -> u64 {
        in_window(self.spent.load(Ordering::Relaxed), look).amount
    }

    /// Counts taken and refused so far.
    pub(super) fn asked(&self) -> (u64, u64) {
        (self.taken.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    pub(crate) fn refuse(&self, n: u64) {
        self.refused.fetch_add(n, Ordering::Relaxed);
    }

    /// How much of its part it has not used, in the meter's counts.
    pub(crate) fn unused(&self, meter: &Meter, look: &Look) -> u64 {
        let (part, spent) = (self.part(), self.spent.load(Ordering::Relaxed));
        match meter.spec.measure {
            Measure::Rate => (u128::from(behind(spent, look)) * u128::from(part) / u128::from(PARTS)) as u64,
            Measure::Concurrency => part.saturating_sub(spent),
            Measure::Quota => part.saturating_sub(self.used(look)),
        }
    }

    /// Of a quota: what it is on course to use of its part yet.
    pub(crate) fn still_kept(&self, look: &Look) -> u64 {
        self.kept.load(Ordering::Relaxed).saturating_sub(self.used(look))
    }

    /// Of a rate: E at the instant at which `n` of the part are unused, if nothing else is asked meanwhile.
    pub(crate) fn due(&self, look: &Look, n: u64) -> Option<u64> {
        let behind = behind(self.spent.load(Ordering::Relaxed), look);
        entitled(n, self.part()).map(|cost| look.e.saturating_add(cost.saturating_sub(behind)))
    }

    /// Counts what it took. What it took above its part of a rate is no debt to it: it was free.
    pub(crate) fn charge(&self, meter: &Meter, now: i64, n: u64) {
        self.taken.fetch_add(n, Ordering::Relaxed);
        self.hold(meter, now, n);
    }

    /// The same for what nobody was asked for here.
    pub(crate) fn hold(&self, meter: &Meter, now: i64, n: u64) {
        match meter.spec.measure {
            Measure::Rate => {
                let cost = entitled(n, self.part()).unwrap_or(u64::MAX);
                self.move_mark(meter, now, |behind, _| behind.saturating_sub(cost));
            }
            Measure::Concurrency => {
                self.spent.fetch_add(n, Ordering::Relaxed);
            }
            Measure::Quota => {
                // Before the first curve nothing was taken.
                let Some(look) = meter.look(now) else { return };
                let next = |spent| {
                    let Tagged { tag, amount } = in_window(spent, &look);
                    Some(Tagged { tag, amount: amount.saturating_add(n).min(AMOUNT_MAX) }.value())
                };
                self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(0);
            }
        }
    }

    /// Counts `r` of what was `taken` as unused again.
    pub(crate) fn give_back(&self, meter: &Meter, now: i64, taken: &Taken, r: u64) {
        let less = |from: &dyn Fn(u64) -> Option<u64>| {
            self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, from).unwrap_or(0);
        };
        match taken.held {
            Held::Rate(_) => {
                let cost = entitled(r, self.part()).unwrap_or(0);
                self.move_mark(meter, now, |behind, burst| behind.saturating_add(cost).min(burst));
            }
            Held::Slots => less(&|held| Some(held.saturating_sub(r))),
            // To its own window alone, as its meter does.
            Held::Used(tag) => less(&|spent| {
                let used = Tagged::of(spent);
                let rest = Tagged { amount: used.amount.saturating_sub(r), ..used };
                (used.tag == tag).then(|| rest.value())
            }),
        }
    }

    fn move_mark(&self, meter: &Meter, now: i64, to: impl Fn(u64, u64) -> u64) {
        // Before the first curve nothing was taken.
        let Some(look) = meter.look(now) else { return };
        let next = |spent| Some(entitlement(&look).wrapping_sub(to(behind(spent, &look), look.limit)));
        self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(0);
    }
}

/// E over all renewals of the base.
fn entitlement(look: &Look) -> u64 {
    look.e.wrapping_add(look.base)
}

/// How far a mark is behind E: at most a burst.
fn behind(spent: u64, look: &Look) -> u64 {
    let behind = entitlement(look).wrapping_sub(spent);
    if behind > i64::MAX as u64 { 0 } else { behind.min(look.limit) }
}

/// The entitlement of all of whose part `n` is, rounded up; None where there is no part.
fn entitled(n: u64, part: u64) -> Option<u64> {
    let cost = (u128::from(n) * u128::from(PARTS)).div_ceil(u128::from(part).max(1));
    (part > 0).then(|| u64::try_from(cost).unwrap_or(u64::MAX))
}
