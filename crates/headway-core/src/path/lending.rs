//! What a path has out at other processes: blocks of its rates and quotas, which are spent there, and slots of its
//! concurrencies, which are held there. Every step takes part or none does.
//!
//! Amounts are micro-units of demands on the path: a millionth of what a demand of one unit costs. Source: docs/leases.md.

use std::sync::Arc;

use super::{Path, Step, Stopped, Toll};
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
    spent: Vec<usize>,
    held: Vec<usize>,
}

impl Path {
    /// Errors: a step with keys, which are asked demand by demand, for what is lent would be some key's; a path that another
    /// process decides on.
    pub fn lending(self: &Arc<Self>) -> Result<Lending, Error> {
        if self.needs_key || self.is_distant() {
            let contract = &self.spec.contract;
            return Err(Error::Invalid(format!(
                "{contract} has keys, or another process decides on it: it is not lent"
            )));
        }
        let costs = (0..self.steps.len()).filter(|&i| !self.steps[i].toll.charge.is_free());
        let (held, spent) = costs.partition(|&i| self.steps[i].toll.meter.spec.measure == Measure::Concurrency);
        Ok(Lending { path: Arc::clone(self), spent, held })
    }

    /// Counts demands that others decided by what is lent to them: no more than a count, for what they took is on loan.
    pub fn count_elsewhere(&self, admitted: u64, refused: u64) {
        self.counts.admitted_elsewhere.fetch_add(admitted, Ordering::Relaxed);
        self.counts.refused_elsewhere.fetch_add(refused, Ordering::Relaxed);
    }

    /// Counts demands that a gate admitted while it was cut off, because its contract is open then.
    pub fn count_unguaranteed(&self, admitted: u64) {
        self.counts.admitted_elsewhere.fetch_add(admitted, Ordering::Relaxed);
        self.counts.unguaranteed.fetch_add(admitted, Ordering::Relaxed);
    }

    /// Whether its workload's part is divided by weight, anew all the time: what is lent would not follow that.
    pub fn is_weighed(&self) -> bool {
        self.steps.iter().any(|step| step.sharing.as_ref().is_some_and(|sharing| sharing.weighed.is_some()))
    }

    /// The versions of the curves on the path; another answer later says that one of them changed.
    pub fn versions(&self) -> Vec<u64> {
        self.steps.iter().map(|step| step.toll.meter.installed().map_or(0, |curve| curve.curve.version)).collect()
    }

    /// Boot ns from which the newest curve on the path has been in force; `i64::MIN` where there is none.
    pub fn in_force_since(&self) -> i64 {
        let since = self.steps.iter().filter_map(|step| step.toll.meter.installed()).map(|curve| curve.since);
        since.max().unwrap_or(i64::MIN)
    }

    /// The least that any meter of the path holds at once at `now` (a rate's burst, slots, a window's quota), in
    /// micro-units of demands.
    pub fn least_limit_micro(&self, now: i64) -> u64 {
        let costs = self.steps.iter().map(|step| &step.toll).filter(|toll| !toll.charge.is_free());
        let limits = costs.map(|toll| toll.meter.look(now).map_or(0, |look| toll.charge.micro_in(look.limit)));
        limits.min().unwrap_or(0)
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
        let rooms = self.steps().map(|step| step.toll.charge.micro_in(step.lendable(now, until)));
        rooms.min().unwrap_or(0)
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.spent.iter().map(|&i| &self.path.steps[i])
    }

    /// Lends so many micro-units; whoever has them spends nothing at `until` or later. All of it counts from now on.
    ///
    /// A `Stopped` with `is_draw` may pass once the store has answered: `Path::ask_draw`.
    pub fn lend(&self, now: i64, micro: u64, until: i64) -> Result<Loan, Stopped> {
        let stopped = |why, step, stop| Stopped { at: now, why, step, stop, is_far: false };
        if !self.path.decides(now) {
            return Err(stopped(self.path.shared.standing.why(), 0, None));
        }
        let parts = Vec::with_capacity(self.spent.len());
        let mut loan = Loan { path: Arc::clone(&self.path), spent: 0, left: micro, until, parts };
        for (&i, step) in self.spent.iter().zip(self.steps()) {
            let n = step.toll.charge.of_micro(micro);
            match step.lend(&At(now), now, n, until) {
                Ok(taken) => loan.parts.push(Part { step: i, taken, out: n }),
                Err(stop) => {
                    for part in loan.parts.iter_mut().rev() {
                        part.drop(&self.path, now, part.out, until);
                    }
                    let why = match stop {
                        Stop::Full { .. } => Why::Full,
                        Stop::Draw { .. } => Why::Drawing,
                        Stop::TooManyKeys => Why::TooManyKeys,
                        Stop::NotPublished => Why::NotPublished,
                    };
                    return Err(stopped(why, i, Some(stop)));
                }
            }
        }
        for part in &loan.parts {
            part.step(&self.path).toll.meter.charged.fetch_add(part.out as i64, Ordering::Relaxed);
        }
        self.path.counts.on_loan.fetch_add(micro, Ordering::Relaxed);
        Ok(loan)
    }

    /// Counts so many micro-units as lent until `until`, whatever the limits say: somebody before had lent them. Of rates;
    /// what a quota lent is used.
    pub(crate) fn inherit(&self, micro: u64, until: i64) -> Loan {
        let is_rate = |&&i: &&usize| self.path.steps[i].toll.meter.spec.measure == Measure::Rate;
        let rates = self.spent.iter().filter(is_rate).map(|&step| {
            let toll = &self.path.steps[step].toll;
            let n = toll.charge.of_micro(micro);
            toll.meter.inherit(n, until);
            Part { step, taken: None, out: n }
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
        self.steps().map(|step| &step.toll).filter(|toll| toll.meter.spec.measure == Measure::Rate)
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
        let parts = self.steps().map(|step| {
            let toll = &step.toll;
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
        self.steps().filter_map(|step| of(&*step.toll.meter.installed()?)).min()
    }

    /// Asks for the draw that stopped a loan, for the next one; whether the store can be asked changes nothing here.
    pub(crate) fn ask_draw(&self, now: i64, stopped: Stopped) {
        let _: Result<(), Stopped> = self.path.ask_draw(&At(now), None, stopped);
    }

    /// No slots are booked yet.
    pub fn booked(&self) -> SlotsOut {
        SlotsOut { path: Arc::clone(&self.path), held: self.held.clone(), micro: 0 }
    }
}

struct Part {
    /// Of the path.
    step: usize,
    /// Of a quota what was used; None: of a rate.
    taken: Option<Taken>,
    /// Counts that are still out.
    out: u64,
}

impl Part {
    fn step<'a>(&self, path: &'a Path) -> &'a Step {
        &path.steps[self.step]
    }

    fn spend(&mut self, path: &Path, at: i64, n: u64, until: i64) {
        let n = n.min(self.out);
        self.out -= n;
        if self.taken.is_none() {
            self.step(path).toll.meter.loan_spent(at, n, until);
        }
    }

    fn drop(&mut self, path: &Path, now: i64, n: u64, until: i64) {
        let n = n.min(self.out);
        self.out -= n;
        self.step(path).lent_back(now, self.taken.as_ref(), n, until);
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
            let charge = part.step(&self.path).toll.charge;
            part.spend(&self.path, at, charge.of_micro(after) - charge.of_micro(before), self.until);
        }
        self.spent = after;
    }

    /// So many micro-units will not be spent any more, and can be lent again; at most what is left counts.
    pub fn dropped(&mut self, now: i64, micro: u64) {
        self.take_off(micro);
        for part in &mut self.parts {
            let toll = &part.step(&self.path).toll;
            let n = part.out.saturating_sub(toll.charge.of_micro(self.left));
            part.drop(&self.path, now, n, self.until);
            toll.meter.charged.fetch_sub(n as i64, Ordering::Relaxed);
        }
    }

    /// Ends the loan: what nothing was said of counts as spent, as of its end at the latest.
    pub fn end(mut self, now: i64) {
        let left = self.left;
        self.spent(now.min(self.until), left);
        for part in &mut self.parts {
            part.spend(&self.path, now.min(self.until), part.out, self.until);
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
pub struct SlotsOut {
    path: Arc<Path>,
    held: Vec<usize>,
    micro: u64,
}

impl SlotsOut {
    /// Micro-units that are booked.
    pub fn micro(&self) -> u64 {
        self.micro
    }

    /// Books `micro` in all from now on. False, and nothing changes, where a limit has no room for the growth; less is
    /// always possible.
    pub fn resize(&mut self, now: i64, micro: u64) -> bool {
        if micro > self.micro && !self.path.decides(now) {
            return false;
        }
        if micro > self.micro {
            for (done, step) in self.steps().enumerate() {
                let by = step.toll.charge.of_micro(micro) - step.toll.charge.of_micro(self.micro);
                if step.lend(&At(now), now, by, i64::MAX).is_err() {
                    self.shift(now, done, micro, self.micro);
                    return false;
                }
            }
        } else {
            self.shift(now, self.held.len(), self.micro, micro);
        }
        self.count(micro);
        true
    }

    /// Books `micro` in all, whatever the limits say: others hold them. What no meter can count nobody holds: then all stays
    /// as it is, for what was not taken must never be given back.
    pub(crate) fn force(&mut self, now: i64, micro: u64) {
        let done = self.shift(now, self.held.len(), self.micro, micro);
        if done < self.held.len() {
            self.shift(now, done, micro, self.micro);
            return;
        }
        self.count(micro);
    }

    /// On the first so many steps; on how many it was done.
    fn shift(&self, now: i64, steps: usize, from: u64, to: u64) -> usize {
        let shifts =
            |step: &&Step| step.shift_held(now, step.toll.charge.of_micro(from), step.toll.charge.of_micro(to));
        self.steps().take(steps).take_while(shifts).count()
    }

    fn count(&mut self, micro: u64) {
        self.path.counts.on_loan.fetch_add(micro.wrapping_sub(self.micro), Ordering::Relaxed);
        self.micro = micro;
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.held.iter().map(|&i| &self.path.steps[i])
    }

    /// Of the step that leaves least to others: what `limit` says of its curve, and what is in flight beside what is booked
    /// here, in micro-units.
    pub(crate) fn tightest(&self, now: i64, limit: impl Fn(&Installed) -> u64) -> (u64, u64) {
        let steps = self.steps().map(|step| {
            let toll = &step.toll;
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
        self.steps().filter_map(|step| of(&*step.toll.meter.installed()?)).min()
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
    SlotsOut: micro;
}
