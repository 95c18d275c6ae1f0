//! One path's blocks at its keeper: `n` is lent iff `max(M, K) + on loan + n ≤ E` on every rate, and all on loan is at most
//! the lowest burst until every block has ended; of a quota what is lent is used. So in every window what gates and this
//! process spend is at most a burst and what the limit allowed. Marks and curves are the meters' own.
//!
//! Durable is one number, the ceiling of what is on loan: raised before it is exceeded, lowered at leisure. A keeper that
//! takes over counts all of it as lent, and lends nothing until the mandate before it has ended: until then the entitlement
//! is the old one's. A quota needs none of that: what was lent is used. Source: docs/leases.md.

use std::collections::{BTreeMap, BTreeSet};

use crate::curve::LEVEL_MAX;
use crate::grain::MICRO;
use crate::lease::course::next_end;
use crate::lease::keeper::Desk;
use crate::lease::loans::Loans;
use crate::lease::messages::{Block, ContractId, Draw, FromKeeper, Held, Holder};
use crate::lease::mutant;
use crate::lease::terms::{Terms, ns_of};
use crate::path::{Lending, Loan};

/// Holders that a contract has at once, and blocks that one has; more are lent nothing.
const HOLDERS_MAX: usize = 10_000;
const BLOCKS_MAX: usize = 64;

#[derive(Debug, Default)]
struct Drawer {
    counter: u64,
    want: u64,
    heard_at: i64,
    /// It was lent less than it wanted.
    is_short: bool,
}

/// Amounts are micro-units.
#[derive(Debug)]
pub(crate) struct Lender {
    contract: ContractId,
    terms: Terms,
    lending: Lending,
    loans: Loans,
    drawers: BTreeMap<Holder, Drawer>,
    /// Of these, who waits for the ceiling to be raised.
    waiting: BTreeSet<Holder>,
    /// When silent ones were forgotten last: looking at all of them is worth it now and then only.
    swept_at: i64,
    /// The store refused a write of the ceiling: until then it is not asked again.
    refused_until: i64,
    /// What the store lets be on loan, and what it was asked to; endless where nothing has to be durable.
    ceiling: u64,
    pending: Option<(u64, u64)>,
    /// Nothing is lent before.
    lends_from: i64,
    /// What keepers before this one may lend up to there is counted as gone.
    has_begun: bool,
}

impl Lender {
    /// `ceiling` may be on loan from keepers before, until a whole block after `lends_from`. Where a keeper before may still
    /// answer, what the path's rates entitle to until it does no more counts as gone, for demands of this process as well.
    /// Where none may, the meters know what is left: what was spent before is in their marks, or they were born empty.
    pub(crate) fn open(
        now: i64,
        contract: ContractId,
        terms: Terms,
        lending: Lending,
        ceiling: u64,
        lends_from: i64,
    ) -> Lender {
        let mut loans = Loans::default();
        let is_durable = lending.has_rates();
        if is_durable && ceiling > 0 && !mutant!(LoansForgotten) {
            let until = lends_from.saturating_add(terms.longer(terms.lease_ns));
            loans.add(now, None, 0, lending.inherit(ceiling, until));
        }
        let ceiling = if is_durable { ceiling } else { u64::MAX };
        let mut lender = Lender {
            contract,
            terms,
            lending,
            loans,
            drawers: BTreeMap::new(),
            waiting: BTreeSet::new(),
            swept_at: now,
            refused_until: i64::MIN,
            ceiling,
            pending: None,
            lends_from,
            has_begun: now >= lends_from,
        };
        lender.settle(now);
        lender
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
        for used in draw.blocks.iter().filter(|u| u.epoch == epoch).take(BLOCKS_MAX) {
            self.loans.report(now, holder, used);
        }
        self.lend(now, holder, desk);
    }

    /// The store answered a write of the ceiling; all who waited are answered.
    pub(crate) fn durable(&mut self, now: i64, write: u64, granted: bool, answers: bool, desk: &mut Desk) {
        let Some((_, to)) = self.pending.take_if(|p| p.0 == write) else { return };
        if granted {
            self.ceiling = to;
        } else {
            self.refused_until = now.saturating_add(self.terms.lease_ns / 16);
        }
        if answers {
            self.settle(now);
            for holder in std::mem::take(&mut self.waiting) {
                self.lend(now, holder, desk);
            }
        }
    }

    /// The meters have new curves. Where more is on loan than the burst allows, blocks are called back.
    pub(crate) fn published(&mut self, now: i64, desk: Option<&mut Desk>) {
        self.settle(now);
        let Some(desk) = desk else { return };
        let lowest = self.lending.lowest_burst(now, self.loans.lent_until().max(now));
        if self.lending.has_rates() && self.loans.on_loan() > lowest {
            self.call_back(desk);
        }
    }

    pub(crate) fn call_back(&self, desk: &mut Desk) {
        for holder in self.loans.holders() {
            desk.send(holder, FromKeeper::Surrender { contract: self.contract });
        }
    }

    pub(crate) fn on_loan(&self) -> u64 {
        self.loans.on_loan()
    }

    /// What each holder has.
    pub(crate) fn held(&self) -> Vec<Held> {
        let of = |(&holder, drawer): (&Holder, &Drawer)| {
            let (on_loan, oldest_block) = self.loans.of(holder);
            Held { holder, on_loan, in_flight: 0, draining: 0, is_short: drawer.is_short, oldest_block }
        };
        self.drawers.iter().map(of).collect()
    }

    /// Ends what has ended, forgets gates that say nothing, and lowers the ceiling where far less is on loan.
    pub(crate) fn sweep(&mut self, now: i64, desk: &mut Desk) {
        self.settle(now);
        if now >= self.swept_at.saturating_add(self.terms.lease_ns) {
            self.swept_at = now;
            let quiet_since = now.saturating_sub(4 * self.terms.lease_ns);
            let (loans, waiting) = (&self.loans, &self.waiting);
            let stays = |holder| waiting.contains(&holder) || loans.blocks_of(holder) > 0;
            self.drawers.retain(|&holder, drawer| drawer.heard_at > quiet_since || stays(holder));
        }
        let (on_loan, chunk) = (self.loans.on_loan(), self.chunk(now));
        let much = self.ceiling > on_loan.saturating_mul(2).saturating_add(chunk);
        if self.lending.has_rates() && self.pending.is_none() && much && now >= self.refused_until {
            let to = on_loan + chunk / 2;
            self.pending = Some((desk.write_ceiling(self.contract, to), to));
        }
    }

    /// When the next block ends.
    pub(crate) fn next_sweep(&self) -> Option<i64> {
        self.loans.next_end()
    }

    fn settle(&mut self, now: i64) {
        if !self.has_begun {
            // What is entitled up to here is the old keeper's to lend; a curve of before may have said less.
            if !mutant!(EntitlementKept) {
                self.lending.burn(self.lends_from);
            }
            self.has_begun = now >= self.lends_from;
        }
        self.loans.end(now);
    }

    /// Answers the holder's latest message with a block, or has the ceiling raised first; with an empty one where the store
    /// has just refused that.
    fn lend(&mut self, now: i64, holder: Holder, desk: &mut Desk) {
        let (mut units, term_ms) = self.decide(now, holder);
        let allowed = match self.pending {
            Some((_, to)) => to.min(self.ceiling),
            None => self.ceiling,
        };
        let over = self.loans.on_loan().saturating_add(units) > allowed;
        let chunk = self.chunk(now);
        let Some(drawer) = self.drawers.get(&holder) else { return };
        if over && !mutant!(LentBeforeDurable) && self.pending.is_none() && now < self.refused_until {
            units = 0;
        } else if over && !mutant!(LentBeforeDurable) {
            self.waiting.insert(holder);
            if self.pending.is_none() {
                let to = self.loans.on_loan().saturating_add(units).saturating_add(chunk);
                self.pending = Some((desk.write_ceiling(self.contract, to), to));
            }
            return;
        }
        self.waiting.remove(&holder);
        let (contract, epoch, seq, in_reply_to) = (self.contract, desk.epoch, desk.next_seq(), drawer.counter);
        let loan = if units > 0 { self.take(now, units, term_ms) } else { None };
        let units = loan.as_ref().map_or(0, Loan::left);
        if let Some(drawer) = self.drawers.get_mut(&holder) {
            drawer.is_short = units < drawer.want;
        }
        if let Some(loan) = loan {
            self.loans.add(now, Some(holder), seq, loan);
        }
        desk.send(holder, FromKeeper::Block(Block { contract, epoch, seq, units, term_ms, in_reply_to }));
    }

    /// None where somebody else took the room meanwhile, or where the durable count has to grow first: the gate asks again.
    fn take(&self, now: i64, units: u64, term_ms: u32) -> Option<Loan> {
        let until = now.saturating_add(self.terms.longer(ns_of(term_ms)));
        match self.lending.lend(now, units, if mutant!(BurstOfNow) { now } else { until }) {
            Ok(loan) => Some(loan),
            Err(stopped) => {
                self.lending.ask_draw(now, stopped);
                None
            }
        }
    }

    /// Micro-units to lend, and for how long. A block ends at a planned fall, so that up to it the whole burst is of use.
    fn decide(&self, now: i64, holder: Holder) -> (u64, u32) {
        let Some(drawer) = self.drawers.get(&holder) else { return (0, 0) };
        let fall = self.lending.earliest_end(|curve| next_end(curve, &self.terms, now));
        let whole = (self.terms.lease_ns / 1_000_000) as u32;
        let term_ms = fall.map_or(whole, |at| self.terms.term_ms_within(at - now).min(whole));
        if term_ms == 0 || now < self.lends_from || self.loans.blocks_of(holder) >= BLOCKS_MAX {
            return (0, 0);
        }
        let end = now.saturating_add(self.terms.longer(ns_of(term_ms)));
        let end = if mutant!(BurstOfNow) { now } else { end };
        let part = self.lending.part(now, end.max(self.loans.lent_until()), self.drawers.len() as u64);
        let units = drawer.want.min(self.lending.lendable(now, end)).min(part);
        // Whole ones: a part of a unit here and another there are of use to nobody.
        let units = if units >= MICRO { units - units % MICRO } else { units };
        if units < drawer.want.min(MICRO) { (0, term_ms) } else { (units, term_ms) }
    }

    /// By how much the ceiling is raised ahead.
    fn chunk(&self, now: i64) -> u64 {
        self.lending.lowest_burst(now, now) / 4
    }
}
