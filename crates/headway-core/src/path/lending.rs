//! What a path has out at other processes: blocks of its rates and quotas, which are spent there, and slots of its
//! concurrencies, which are held there. Every step takes part or none does.
//!
//! Amounts are micro-units of demands on the path: a millionth of what a demand of one unit costs. Source: docs/leases.md.

use std::sync::Arc;

use super::{Path, Stopped, Toll};
use crate::atomics::Ordering;
use crate::curve::Measure;
use crate::error::Error;
use crate::grain::MICRO;
use crate::installed::Installed;
use crate::meter::{Stop, Taken};
use crate::time::Clock;
use crate::why::Why;

/// The instant of a decision that somebody else has looked at the clock for.
struct At(i64);

impl Clock for At {
    fn boot_ns(&self) -> i64 {
        self.0
    }
}

/// A path as it is lent from.
#[derive(Clone)]
pub struct Lending {
    path: Arc<Path>,
    /// Steps that demands spend, and steps that they hold.
    spent: Vec<Toll>,
    held: Vec<Toll>,
}

impl Path {
    /// Errors: a step with keys. Those are asked demand by demand: what is lent would be some key's.
    pub fn lending(self: &Arc<Self>) -> Result<Lending, Error> {
        if self.needs_key {
            let contract = &self.spec.contract;
            return Err(Error::Invalid(format!("{contract} has a limit for each key: it is asked, not lent")));
        }
        let tolls = self.steps.iter().map(|step| step.toll.clone()).filter(|toll| !toll.charge.is_free());
        let (held, spent) = tolls.partition(|toll| toll.meter.spec.measure == Measure::Concurrency);
        Ok(Lending { path: Arc::clone(self), spent, held })
    }
}

impl Lending {
    /// Whether demands spend something, so that blocks can be lent.
    pub fn has_blocks(&self) -> bool {
        !self.spent.is_empty()
    }

    /// Whether demands hold something, so that slots can be booked.
    pub fn has_slots(&self) -> bool {
        !self.held.is_empty()
    }

    /// Micro-units that a block until `until` may have at `now`: what every step has room for. Of a rate no more is on loan
    /// than its lowest burst until all blocks have ended.
    pub fn lendable(&self, now: i64, until: i64) -> u64 {
        let rooms = self.spent.iter().map(|toll| {
            let meter = &toll.meter;
            let counts = match (meter.spec.measure, meter.look(now)) {
                (Measure::Rate, _) => meter.lendable(now, until),
                (_, Some(look)) => look.limit.saturating_sub(meter.amount(None, &look)),
                (_, None) => 0,
            };
            toll.charge.micro_in(counts)
        });
        rooms.min().unwrap_or(0)
    }

    /// Lends so many micro-units; whoever has them spends nothing at `until` or later. All of it counts from now on.
    ///
    /// A `Stopped` with `is_draw` may pass once the store has answered: `Path::ask_draw`.
    pub fn lend(&self, now: i64, micro: u64, until: i64) -> Result<Loan, Stopped> {
        let stopped = |why, step, stop| Stopped { at: now, why, step, stop };
        if self.path.shared.is_closed() {
            return Err(stopped(Why::Closed, 0, None));
        }
        let mut loan = Loan {
            path: Arc::clone(&self.path),
            spent: 0,
            left: micro,
            until,
            parts: Vec::with_capacity(self.spent.len()),
        };
        for toll in &self.spent {
            let n = toll.charge.of_micro(micro);
            let lent = match toll.meter.spec.measure {
                Measure::Rate => toll.meter.lend(now, n, until).map(|()| None),
                _ => toll.meter.take_quota(now, None, n).map(Some),
            };
            match lent {
                Ok(taken) => loan.parts.push(Part { toll: toll.clone(), taken, out: n }),
                Err(stop) => {
                    for part in loan.parts.iter_mut().rev() {
                        part.drop(now, part.out, until);
                    }
                    let why = match stop {
                        Stop::Full { .. } => Why::Full,
                        Stop::Draw { .. } => Why::Drawing,
                        Stop::TooManyKeys => Why::TooManyKeys,
                        Stop::NotPublished => Why::NotPublished,
                    };
                    let is_it = |step: &super::Step| Arc::ptr_eq(&step.toll.meter, &toll.meter);
                    let step = self.path.steps.iter().position(is_it).unwrap_or(0);
                    return Err(stopped(why, step, Some(stop)));
                }
            }
        }
        for part in &loan.parts {
            part.toll.meter.charged.fetch_add(part.out as i64, Ordering::Relaxed);
        }
        self.path.counts.on_loan.fetch_add(micro, Ordering::Relaxed);
        Ok(loan)
    }

    /// Counts so many micro-units as lent until `until`, whatever the limits say: somebody before had lent them. Of rates;
    /// what a quota lent is used.
    pub(crate) fn inherit(&self, micro: u64, until: i64) -> Loan {
        let rates = self.rates().map(|toll| {
            let n = toll.charge.of_micro(micro);
            toll.meter.inherit(n, until);
            Part { toll: toll.clone(), taken: None, out: n }
        });
        self.path.counts.on_loan.fetch_add(micro, Ordering::Relaxed);
        Loan { path: Arc::clone(&self.path), spent: 0, left: micro, until, parts: rates.collect() }
    }

    /// Counts all that rates entitle to up to `at` as gone; what is on loan is of it.
    pub(crate) fn burn(&self, at: i64) {
        self.rates().for_each(|toll| toll.meter.burn(at));
    }

    /// Whether a rate is on the path, which knows of no window before: what is on loan of it has to be durable.
    pub(crate) fn has_rates(&self) -> bool {
        self.rates().next().is_some()
    }

    fn rates(&self) -> impl Iterator<Item = &Toll> {
        self.spent.iter().filter(|toll| toll.meter.spec.measure == Measure::Rate)
    }

    /// The lowest burst of any rate from `from` to `to`, in micro-units; 0 where there is none.
    pub(crate) fn lowest_burst(&self, from: i64, to: i64) -> u64 {
        let lows = self.rates().map(|toll| {
            let burst = toll.meter.installed().map_or(0, |curve| curve.lowest_burst(from, to));
            toll.charge.micro_in(burst)
        });
        lows.min().unwrap_or(0)
    }

    /// How much one of so many holders takes at a time at most, one unit at least: of a rate half of its even part of the
    /// lowest burst, of a quota a quarter of its even part of what is left, so that little is stranded near its end.
    pub(crate) fn part(&self, from: i64, to: i64, holders: u64) -> u64 {
        let parts = self.spent.iter().map(|toll| {
            let (Some(curve), Some(look)) = (toll.meter.installed(), toll.meter.look(from)) else { return 0 };
            let (counts, over) = match toll.meter.spec.measure {
                Measure::Rate => (curve.lowest_burst(from, to), 2),
                _ => (look.limit.saturating_sub(toll.meter.amount(None, &look)), 4),
            };
            toll.charge.micro_in(counts) / (over * holders.max(1))
        });
        parts.min().unwrap_or(0).max(MICRO)
    }

    /// The earliest instant that `of` tells of any curve that blocks are spent under.
    pub(crate) fn earliest_end(&self, of: impl Fn(&Installed) -> Option<i64>) -> Option<i64> {
        self.spent.iter().filter_map(|toll| of(&*toll.meter.installed()?)).min()
    }

    /// Asks for the draw that stopped a loan, for the next one; whether the store can be asked changes nothing here.
    pub(crate) fn ask_draw(&self, now: i64, stopped: Stopped) {
        let _: Result<(), Stopped> = self.path.ask_draw(&At(now), None, stopped);
    }

    /// No slots are booked yet.
    pub fn booked(&self) -> Booked {
        Booked { path: Arc::clone(&self.path), tolls: self.held.clone(), micro: 0 }
    }
}

struct Part {
    toll: Toll,
    /// Of a quota what was used; None: of a rate.
    taken: Option<Taken>,
    /// Counts that are still out.
    out: u64,
}

impl Part {
    fn spend(&mut self, at: i64, n: u64, until: i64) {
        let n = n.min(self.out);
        self.out -= n;
        if self.taken.is_none() {
            self.toll.meter.loan_spent(at, n, until);
        }
    }

    fn drop(&mut self, now: i64, n: u64, until: i64) {
        let n = n.min(self.out);
        self.out -= n;
        match &self.taken {
            None => self.toll.meter.loan_dropped(now, n, until),
            Some(taken) => {
                self.toll.meter.give_back(now, None, taken, n);
                self.toll.meter.bell.ring();
            }
        }
    }
}

/// A block that is out. It stays on loan until what became of it was said: `end` says the rest.
#[must_use]
pub struct Loan {
    path: Arc<Path>,
    /// Micro-units reported spent, and those that nothing was said of.
    spent: u64,
    left: u64,
    until: i64,
    parts: Vec<Part>,
}

impl Loan {
    /// When it has ended for certain.
    pub fn until(&self) -> i64 {
        self.until
    }

    /// Micro-units that are out.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// So many more micro-units were spent by `at`; at most what is left counts.
    pub fn spent(&mut self, at: i64, micro: u64) {
        let micro = self.take_off(micro);
        let (before, after) = (self.spent, self.spent + micro);
        for part in &mut self.parts {
            part.spend(at, part.toll.charge.of_micro(after) - part.toll.charge.of_micro(before), self.until);
        }
        self.spent = after;
    }

    /// So many micro-units will not be spent any more, and can be lent again; at most what is left counts.
    pub fn dropped(&mut self, now: i64, micro: u64) {
        self.take_off(micro);
        for part in &mut self.parts {
            let n = part.out.saturating_sub(part.toll.charge.of_micro(self.left));
            part.drop(now, n, self.until);
            part.toll.meter.charged.fetch_sub(n as i64, Ordering::Relaxed);
        }
    }

    /// Ends the loan: what nothing was said of counts as spent, as of its end at the latest.
    pub fn end(mut self, now: i64) {
        let left = self.left;
        self.spent(now.min(self.until), left);
        for part in &mut self.parts {
            part.spend(now.min(self.until), part.out, self.until);
        }
    }

    fn take_off(&mut self, micro: u64) -> u64 {
        let micro = micro.min(self.left);
        self.left -= micro;
        self.path.counts.on_loan.fetch_sub(micro, Ordering::Relaxed);
        micro
    }
}

/// Slots that others hold of a path's concurrencies, as one sum.
pub struct Booked {
    path: Arc<Path>,
    tolls: Vec<Toll>,
    micro: u64,
}

impl Booked {
    /// Micro-units that are booked.
    pub fn micro(&self) -> u64 {
        self.micro
    }

    /// Books `micro` in all from now on. False, and nothing changes, where a limit has no room for the growth; less is
    /// always possible.
    pub fn resize(&mut self, now: i64, micro: u64) -> bool {
        if micro > self.micro {
            if self.path.shared.is_closed() {
                return false;
            }
            for (i, toll) in self.tolls.iter().enumerate() {
                let by = toll.charge.of_micro(micro) - toll.charge.of_micro(self.micro);
                if toll.meter.take_slots(&At(now), now, None, by).is_err() {
                    self.shrink(now, &self.tolls[..i], micro, self.micro);
                    return false;
                }
            }
            self.path.counts.on_loan.fetch_add(micro - self.micro, Ordering::Relaxed);
        } else {
            self.shrink(now, &self.tolls, self.micro, micro);
            self.path.counts.on_loan.fetch_sub(self.micro - micro, Ordering::Relaxed);
        }
        self.micro = micro;
        true
    }

    fn shrink(&self, now: i64, tolls: &[Toll], from: u64, to: u64) {
        for toll in tolls {
            toll.meter.let_go(now, None, toll.charge.of_micro(from) - toll.charge.of_micro(to));
            toll.meter.bell.ring();
        }
    }

    /// Books `micro` in all, whatever the limits say: others hold them.
    pub(crate) fn force(&mut self, now: i64, micro: u64) {
        if micro <= self.micro {
            self.resize(now, micro);
            return;
        }
        for toll in &self.tolls {
            toll.meter.occupy(now, toll.charge.of_micro(micro) - toll.charge.of_micro(self.micro));
        }
        self.path.counts.on_loan.fetch_add(micro - self.micro, Ordering::Relaxed);
        self.micro = micro;
    }

    /// Of the step that leaves least to others: what `limit` says of its curve, and what is in flight beside what is booked
    /// here, in micro-units.
    pub(crate) fn tightest(&self, now: i64, limit: impl Fn(&Installed) -> u64) -> (u64, u64) {
        let steps = self.tolls.iter().map(|toll| {
            let (Some(curve), Some(look)) = (toll.meter.installed(), toll.meter.look(now)) else { return (0, 0) };
            let counts = toll.meter.amount(None, &look).saturating_sub(toll.charge.of_micro(self.micro));
            let own = toll.charge.micro_in(counts);
            // Rounded up: what is in flight counts in full.
            let own = own + u64::from(toll.charge.of_micro(own) < counts);
            (toll.charge.micro_in(limit(&curve)), own)
        });
        steps.min_by_key(|&(limit, own)| limit.saturating_sub(own)).unwrap_or((0, 0))
    }

    /// The earliest instant that `of` tells of any curve that slots are held under.
    pub(crate) fn earliest_end(&self, of: impl Fn(&Installed) -> Option<i64>) -> Option<i64> {
        self.tolls.iter().filter_map(|toll| of(&*toll.meter.installed()?)).min()
    }
}

/// What is behind them is the path's and the meters'.
macro_rules! debug_as {
    ($($name:ident: $($field:ident),*;)+) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))$(.field(stringify!($field), &self.$field))*.finish_non_exhaustive()
            }
        }
    )+};
}
debug_as! {
    Lending: ;
    Loan: spent, left, until;
    Booked: micro;
}
