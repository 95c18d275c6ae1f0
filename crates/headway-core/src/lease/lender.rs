//! One rate at its keeper: `n` is lent iff `max(M, K) + on loan + n ≤ E`, and all on loan is at most the lowest burst until
//! every block has ended. So in every window what gates spend is at most a burst and what the limit allowed.
//!
//! Durable is one number, the ceiling of what is on loan: raised before it is exceeded, lowered at leisure. A keeper that
//! takes over counts all of it as lent, and lends nothing until the mandate before it has ended: until then the entitlement
//! is the old one's. Source: docs/leases.md.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::curve::{Curve, LEVEL_MAX};
use crate::error::Error;
use crate::grain::{Grains, MICRO, grains_log2};
use crate::lease::course::Course;
use crate::lease::keeper::Desk;
use crate::lease::loans::Loans;
use crate::lease::messages::{Block, ContractId, Draw, FromKeeper, Holder};
use crate::lease::mutant;
use crate::lease::terms::{Terms, ns_of};

/// Holders that a contract has at once, and blocks that one has; more are lent nothing.
const HOLDERS_MAX: usize = 10_000;
const BLOCKS_MAX: usize = 64;

#[derive(Debug, Default)]
struct Drawer {
    counter: u64,
    want: u64,
    heard_at: i64,
    /// It waits for the ceiling to be raised.
    waits: bool,
}

#[derive(Debug)]
pub(crate) struct Lender {
    contract: ContractId,
    terms: Terms,
    per_ns: u64,
    log2: u32,
    course: Course,
    loans: Loans,
    drawers: BTreeMap<Holder, Drawer>,
    /// What the store lets be on loan, in grains, and what it was asked to.
    ceiling: u64,
    pending: Option<(u64, u64)>,
    /// Nothing is lent before.
    lends_from: i64,
    has_begun: bool,
}

impl Lender {
    /// Opens empty; `ceiling` micro-units may be on loan from keepers before, until a whole block after `lends_from`.
    ///
    /// Errors: a rate that cannot be counted.
    pub(crate) fn open(
        now: i64,
        contract: ContractId,
        terms: Terms,
        curve: Arc<Curve>,
        anchor: i64,
        ceiling: u64,
        lends_from: i64,
    ) -> Result<Lender, Error> {
        // A raise of the limit must not change the grain: there is room for eight times the highest level, and for a
        // million units.
        let (per_ns, highest) = (curve.per_ns, highest(&curve));
        let roomy = highest.saturating_mul(8).max(MICRO * MICRO);
        let log2 = grains_log2(roomy, per_ns).or_else(|_| grains_log2(highest, per_ns))?;
        let grains = Grains::of_rate(log2, per_ns, MICRO)?;
        let mut loans = Loans::new(log2);
        let ceiling = loans.grains(ceiling);
        let block_ns = terms.longer(terms.lease_ns);
        if ceiling > 0 && !mutant!(LoansForgotten) {
            loans.inherit(ceiling, lends_from.saturating_add(block_ns));
        }
        let course = Course::of_rate(curve, grains, anchor, now, ceiling);
        let (drawers, pending, has_begun) = (BTreeMap::new(), None, false);
        Ok(Lender { contract, terms, per_ns, log2, course, loans, drawers, ceiling, pending, lends_from, has_begun })
    }

    pub(crate) fn version(&self) -> u64 {
        self.course.version()
    }

    pub(crate) fn hear(&mut self, now: i64, holder: Holder, draw: &Draw, desk: &mut Desk) {
        self.settle(now);
        let epoch = desk.epoch;
        if self.drawers.len() >= HOLDERS_MAX && !self.drawers.contains_key(&holder) {
            return;
        }
        let drawer = self.drawers.entry(holder).or_default();
        if draw.counter <= drawer.counter {
            return;
        }
        (drawer.counter, drawer.want, drawer.heard_at) = (draw.counter, draw.want.min(LEVEL_MAX), now);
        let floor = self.course.floor(now);
        for used in draw.blocks.iter().filter(|u| u.epoch == epoch).take(BLOCKS_MAX) {
            self.loans.report(holder, used, floor);
        }
        self.lend(now, holder, desk);
    }

    /// The store answered a write of the ceiling; all who waited are answered.
    pub(crate) fn durable(&mut self, now: i64, write: u64, granted: bool, answers: bool, desk: &mut Desk) {
        let Some((_, to)) = self.pending.take_if(|p| p.0 == write) else { return };
        if granted {
            self.ceiling = to;
        }
        let waiting: Vec<Holder> = self.drawers.iter().filter(|(_, d)| d.waits).map(|(&h, _)| h).collect();
        if answers {
            self.settle(now);
            for holder in waiting {
                self.lend(now, holder, desk);
            }
        }
    }

    /// A new curve. Where more is on loan than its burst allows, blocks are called back.
    ///
    /// Errors: another `per`, or a level that the contract's grain cannot count.
    pub(crate) fn publish(
        &mut self,
        now: i64,
        curve: Arc<Curve>,
        anchor: i64,
        desk: Option<&mut Desk>,
    ) -> Result<(), Error> {
        if curve.per_ns != self.per_ns || grains_log2(highest(&curve), curve.per_ns)? < self.log2 {
            return Err(Error::invalid("a lent rate keeps its `per`, and rises eightfold at most"));
        }
        self.settle(now);
        self.course.publish(curve, anchor, now);
        let Some(desk) = desk else { return Ok(()) };
        if self.loans.on_loan() > self.course.lowest_burst(now, self.loans.lent_until().max(now)) {
            for holder in self.loans.holders() {
                desk.send(holder, FromKeeper::Surrender { contract: self.contract });
            }
        }
        Ok(())
    }

    /// Forgets gates that say nothing, and lowers the ceiling where far less is on loan.
    pub(crate) fn sweep(&mut self, now: i64, desk: &mut Desk) {
        self.settle(now);
        let quiet_since = now.saturating_sub(4 * self.terms.lease_ns);
        let loans = &self.loans;
        self.drawers.retain(|&holder, d| d.waits || d.heard_at > quiet_since || loans.blocks_of(holder) > 0);
        let on_loan = self.loans.on_loan();
        if self.pending.is_none() && self.ceiling > on_loan.saturating_mul(2).saturating_add(self.chunk(now)) {
            let to = on_loan + self.chunk(now) / 2;
            self.pending = Some((desk.write_ceiling(self.contract, self.loans.micro(to)), to));
        }
    }

    fn settle(&mut self, now: i64) {
        let course = &self.course;
        if now >= self.lends_from && !self.has_begun {
            // What was entitled up to here was the old keeper's to lend.
            self.has_begun = true;
            let burnt = course.entitlement(self.lends_from).saturating_sub(self.loans.on_loan());
            let burnt = if mutant!(EntitlementKept) { 0 } else { burnt };
            self.loans.mark = self.loans.mark.max(burnt);
        }
        self.loans.end(now, |at| course.floor(at));
    }

    /// Answers the holder's latest message with a block, or has the ceiling raised first.
    fn lend(&mut self, now: i64, holder: Holder, desk: &mut Desk) {
        let (units, term_ms) = self.decide(now, holder);
        let cost = self.loans.grains(units);
        let allowed = match self.pending {
            Some((_, to)) => to.min(self.ceiling),
            None => self.ceiling,
        };
        let over = self.loans.on_loan().saturating_add(cost) > allowed;
        let chunk = self.chunk(now);
        let Some(drawer) = self.drawers.get_mut(&holder) else { return };
        if over && !mutant!(LentBeforeDurable) {
            drawer.waits = true;
            if self.pending.is_none() {
                let to = self.loans.on_loan().saturating_add(cost).saturating_add(chunk);
                // Rounded up to the micro-units that the store counts in.
                let micro = self.loans.micro(to) + 1;
                self.pending = Some((desk.write_ceiling(self.contract, micro), self.loans.grains(micro)));
            }
            return;
        }
        drawer.waits = false;
        let (contract, epoch, seq, in_reply_to) = (self.contract, desk.epoch, desk.next_seq(), drawer.counter);
        if units > 0 {
            let deadline = now.saturating_add(self.terms.longer(ns_of(term_ms)));
            self.loans.lend(Some(holder), seq, units, deadline);
        }
        desk.send(holder, FromKeeper::Block(Block { contract, epoch, seq, units, term_ms, in_reply_to }));
    }

    /// Micro-units to lend, and for how long. A block ends at a planned fall, so that up to it the whole burst is of use.
    fn decide(&self, now: i64, holder: Holder) -> (u64, u32) {
        let Some(drawer) = self.drawers.get(&holder) else { return (0, 0) };
        let fall = self.course.next_step_down(&self.terms, now);
        let whole = (self.terms.lease_ns / 1_000_000) as u32;
        let term_ms = fall.map_or(whole, |at| self.terms.term_ms_within(at - now).min(whole));
        if term_ms == 0 || now < self.lends_from || self.loans.blocks_of(holder) >= BLOCKS_MAX {
            return (0, 0);
        }
        let end = now.saturating_add(self.terms.longer(ns_of(term_ms))).max(self.loans.lent_until());
        let (burst, on_loan) = (self.course.lowest_burst(now, end), self.loans.on_loan());
        let counted = if mutant!(LoansUncounted) { 0 } else { on_loan };
        let spent = self.loans.mark.max(self.course.floor(now));
        let free = self.course.entitlement(now).saturating_sub(spent.saturating_add(counted));
        let below_burst = if mutant!(BurstOfNow) { u64::MAX } else { burst.saturating_sub(on_loan) };
        // A holder takes half of its even part at a time, or one unit where that is more.
        let part = (burst / (2 * self.drawers.len().max(1) as u64)).max(self.loans.grains(MICRO));
        let units = drawer.want.min(self.loans.micro(free.min(below_burst).min(part)));
        if units < drawer.want.min(MICRO) { (0, term_ms) } else { (units, term_ms) }
    }

    /// By how much the ceiling is raised ahead.
    fn chunk(&self, now: i64) -> u64 {
        self.course.lowest_burst(now, now) / 4
    }
}

fn highest(curve: &Curve) -> u64 {
    crate::installed::highest(curve, MICRO)
}
