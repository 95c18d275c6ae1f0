//! A gate's claims to parts of floors: when they are said, and until when what they brought is its own.

use crate::lease::messages::{Claim, ContractId, Part};
use crate::lease::sent::Sent;
use crate::lease::terms::{Terms, ns_of};

#[derive(Debug)]
pub(crate) struct Claiming {
    terms: Terms,
    contract: ContractId,
    counter: u64,
    sent: Sent,
    due_at: i64,
}

impl Claiming {
    pub(crate) fn new(now: i64, contract: ContractId, terms: Terms) -> Claiming {
        Claiming { terms, contract, counter: 0, sent: Sent::default(), due_at: now }
    }

    pub(crate) fn due_at(&self) -> i64 {
        self.due_at
    }

    pub(crate) fn due(&mut self, now: i64) -> Option<Claim> {
        (now >= self.due_at).then(|| self.claim(now))
    }

    /// Asks for the part, or says that it is still had.
    pub(crate) fn claim(&mut self, now: i64) -> Claim {
        self.counter += 1;
        self.sent.note(self.counter, now);
        self.due_at = now.saturating_add(self.terms.lease_ns);
        Claim { contract: self.contract, counter: self.counter }
    }

    /// From when on a part is this gate's, and how long; None: it answers nothing that was asked.
    pub(crate) fn lasts(&self, part: &Part) -> Option<(i64, i64)> {
        Some((self.sent.at(part.in_reply_to)?, self.terms.shorter(ns_of(part.term_ms))))
    }
}
