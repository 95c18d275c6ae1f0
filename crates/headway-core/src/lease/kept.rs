//! A contract at its keeper, whatever it measures.

use crate::error::Error;
use crate::lease::book::Book;
use crate::lease::keeper::{Desk, Row};
use crate::lease::lender::Lender;
use crate::lease::messages::{ContractId, FromGate, Held, Holder};
use crate::lease::mutant;
use crate::lease::terms::Terms;
use crate::path::Lending;

/// What the store has of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left<'a> {
    /// Of slots: a row for each holder.
    Rows(&'a [Row]),
    /// Of blocks: micro-units that may be on loan; 0 where all that is spent is quotas.
    Ceiling(u64),
}

#[derive(Debug)]
pub(crate) enum Kept {
    Slots(Book),
    Tokens(Lender),
}

impl Kept {
    /// Opens a contract; what was granted before may be granted still until `old_ends`, and lasts a whole lease more.
    pub(crate) fn open(
        now: i64,
        contract: ContractId,
        terms: Terms,
        lending: Lending,
        left: Left<'_>,
        old_ends: i64,
    ) -> Result<Kept, Error> {
        match left {
            Left::Rows(rows) if lending.has_slots() => {
                let whole_lease = if mutant!(InheritedEndsAtOnce) { 0 } else { terms.longer(terms.lease_ns) };
                let until = old_ends.saturating_add(whole_lease);
                Ok(Kept::Slots(Book::open(now, contract, terms, lending.booked(), rows, until)))
            }
            Left::Ceiling(ceiling) if lending.has_blocks() => {
                let lends_from = if mutant!(LentAtOnce) { now } else { old_ends };
                Ok(Kept::Tokens(Lender::open(now, contract, terms, lending, ceiling, lends_from)))
            }
            Left::Rows(_) => Err(Error::invalid("rows are of slots, and the path has no concurrency")),
            Left::Ceiling(_) => Err(Error::invalid("a ceiling is of blocks, and the path has no rate or quota")),
        }
    }

    pub(crate) fn hear(&mut self, now: i64, holder: Holder, message: &FromGate, desk: &mut Desk) {
        match (self, message) {
            (Kept::Slots(book), FromGate::Renew(renew)) => book.hear(now, holder, renew, desk),
            (Kept::Tokens(lender), FromGate::Draw(draw)) => lender.hear(now, holder, draw, desk),
            // A gate that takes one measure for another is told nothing, and so holds nothing.
            _ => {}
        }
    }

    pub(crate) fn published(&mut self, now: i64, desk: Option<&mut Desk>) {
        match self {
            Kept::Slots(book) => book.published(now, desk),
            Kept::Tokens(lender) => lender.published(now, desk),
        }
    }

    /// The store answered a write of a holder's row, or of the ceiling.
    pub(crate) fn durable(
        &mut self,
        now: i64,
        holder: Option<Holder>,
        write: u64,
        granted: bool,
        answers: bool,
        desk: &mut Desk,
    ) {
        match (self, holder) {
            (Kept::Slots(book), Some(holder)) => {
                if book.durable(now, holder, write, granted) && answers {
                    book.answer(now, holder, false, desk);
                }
            }
            (Kept::Tokens(lender), _) => lender.durable(now, write, granted, answers, desk),
            (Kept::Slots(_), None) => {}
        }
    }

    pub(crate) fn end(&mut self, now: i64, holder: Holder, desk: &mut Desk) {
        match self {
            Kept::Slots(book) => book.end(now, holder, desk),
            // What was lent may be spent to the last token: a death is not a report.
            Kept::Tokens(lender) => lender.sweep(now, desk),
        }
    }

    pub(crate) fn sweep(&mut self, now: i64, desk: &mut Desk) {
        match self {
            Kept::Slots(book) => book.sweep(now, desk),
            Kept::Tokens(lender) => lender.sweep(now, desk),
        }
    }

    pub(crate) fn call_back(&self, desk: &mut Desk) {
        if let Kept::Tokens(lender) = self {
            lender.call_back(desk);
        }
    }

    /// Micro-units in blocks that are out; slots are none.
    pub(crate) fn on_loan(&self) -> u64 {
        if let Kept::Tokens(lender) = self { lender.on_loan() } else { 0 }
    }

    /// What each holder has.
    pub(crate) fn held(&self, now: i64) -> Vec<Held> {
        match self {
            Kept::Slots(book) => book.held(now),
            Kept::Tokens(lender) => lender.held(),
        }
    }

    /// When `sweep` has something to do, if nothing is heard before.
    pub(crate) fn next_sweep(&self) -> Option<i64> {
        match self {
            Kept::Slots(book) => book.next_sweep(),
            Kept::Tokens(lender) => lender.next_sweep(),
        }
    }
}
