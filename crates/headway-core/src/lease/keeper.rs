//! The keeper: the one that lends what its contracts allow, for as long as its mandate lasts.
//!
//! The epoch fences its writes, the mandate its answers: a keeper that was frozen and wakes would go on renewing, for a
//! renewal writes nothing. Source: docs/leases.md.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Error;
use crate::lease::floor::Floor;
use crate::lease::kept::{Kept, Left};
use crate::lease::messages::{ContractId, FromGate, FromKeeper, Held, Holder};
use crate::lease::mutant;
use crate::lease::terms::Terms;
use crate::path::Path;

/// What has to happen outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Send {
        holder: Holder,
        message: FromKeeper,
    },
    /// To the store, in the order of their making; each is answered through `Keeper::durable`.
    Durable(Write),
    /// Call `tick` then, if nothing calls before. The latest one stands.
    WakeAt(i64),
}

/// A conditional write: done if the store's epoch is still `epoch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub id: u64,
    pub epoch: u64,
    pub kind: WriteKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteKind {
    /// This keeper goes on: a successor waits the mandate out.
    Mandate,
    /// Adds micro-units to a holder's row, if the contract's rows then sum to at most its highest decided limit. Below
    /// zero: takes off, always.
    Booking { contract: ContractId, holder: Holder, by: i64 },
    /// Sets how many micro-units of a rate may be on loan.
    LoanCeiling { contract: ContractId, to: u64 },
    /// A holder has the part of the floor that is a name's, or has it no more.
    Part { contract: ContractId, name: String, holder: Holder, has: bool },
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Granted,
    NoRoom,
    /// Another keeper took over.
    Fenced,
}

/// What the store knows of one holder of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub holder: Holder,
    pub units: u64,
}

/// What a keeper starts from: the answer to the one transaction that made it keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inheritance {
    /// This keeper's epoch, one above the one before.
    pub epoch: u64,
    /// When the transaction was sent, on this keeper's clock: its mandate counts from there.
    pub asked_at: i64,
    /// Whether a keeper before may still be answering: false only where there was none, where it let go of its mandate,
    /// or where its death is proven by the lock it held.
    pub predecessor_may_live: bool,
}

/// Where answers and writes gather during one call.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) epoch: u64,
    last_seq: u64,
    last_write: u64,
    /// Who waits for which write.
    waiting: BTreeMap<u64, (ContractId, Option<Holder>)>,
    effects: Vec<Effect>,
}

impl Desk {
    pub(crate) fn next_seq(&mut self) -> u64 {
        self.last_seq += 1;
        self.last_seq
    }

    pub(crate) fn send(&mut self, holder: Holder, message: FromKeeper) {
        self.effects.push(Effect::Send { holder, message });
    }

    /// Writes to a holder's row; returns the write's id.
    pub(crate) fn write(&mut self, contract: ContractId, holder: Holder, by: i64) -> u64 {
        let id = self.put(WriteKind::Booking { contract, holder, by });
        self.waiting.insert(id, (contract, Some(holder)));
        id
    }

    /// Writes a contract's loan ceiling; returns the write's id.
    pub(crate) fn write_ceiling(&mut self, contract: ContractId, to: u64) -> u64 {
        let id = self.put(WriteKind::LoanCeiling { contract, to });
        self.waiting.insert(id, (contract, None));
        id
    }

    /// Writes who has a part of a floor; returns the write's id.
    pub(crate) fn write_part(&mut self, contract: ContractId, name: &str, holder: Holder, has: bool) -> u64 {
        let id = self.put(WriteKind::Part { contract, name: name.to_owned(), holder, has });
        self.waiting.insert(id, (contract, None));
        id
    }

    fn put(&mut self, kind: WriteKind) -> u64 {
        self.last_write += 1;
        let (id, epoch) = (self.last_write, self.epoch);
        self.effects.push(Effect::Durable(Write { id, epoch, kind }));
        id
    }
}

/// Lends the contracts of one component. Bounds: 10,000 holders a contract.
#[derive(Debug)]
pub struct Keeper {
    terms: Terms,
    kept: BTreeMap<ContractId, Kept>,
    pub(crate) floors: BTreeMap<ContractId, Floor>,
    pub(crate) desk: Desk,
    /// A keeper before this one may answer until then.
    pub(crate) old_ends: i64,
    mandate_until: i64,
    /// Renewals of the mandate on their way: id, and when they were sent.
    renewals: Vec<(u64, i64)>,
    next_renewal: i64,
    fenced: bool,
    wake: i64,
}

/// Renewals of the mandate on their way at once; beyond that the oldest is given up.
const RENEWALS_MAX: usize = 8;

impl Keeper {
    /// Begins. `terms` are those of the contract with the shortest `drain_within`: the mandate is theirs.
    ///
    /// A predecessor that may live answers until its mandate ends; what it grants then lasts a whole lease more.
    pub fn take_over(now: i64, from: Inheritance, terms: Terms) -> Keeper {
        let waits = from.predecessor_may_live && !mutant!(OldMandateIgnored);
        let old_ends = if waits { now.saturating_add(terms.longer(terms.mandate_ns)) } else { now };
        let desk = Desk { epoch: from.epoch, last_seq: 0, last_write: 0, waiting: BTreeMap::new(), effects: vec![] };
        Keeper {
            terms,
            kept: BTreeMap::new(),
            floors: BTreeMap::new(),
            desk,
            old_ends,
            mandate_until: from.asked_at.saturating_add(terms.shorter(terms.mandate_ns)),
            renewals: vec![],
            next_renewal: from.asked_at.saturating_add(terms.mandate_ns / 3),
            fenced: false,
            wake: i64::MIN,
        }
    }

    /// Keeps a contract from now on, with what the store has of it: its slots, or what is spent of its rates and quotas. A
    /// path that has both is kept as two contracts. Its meters have their curves already, and no demand of this process is
    /// decided on them before.
    ///
    /// Errors: keys, which are asked; a path that does not go with `left`; a contract that is kept already; terms with a
    /// shorter mandate.
    pub fn keep(
        &mut self,
        now: i64,
        contract: ContractId,
        terms: Terms,
        path: &Arc<Path>,
        left: Left<'_>,
    ) -> Result<(), Error> {
        if terms.mandate_ns < self.terms.mandate_ns {
            return Err(Error::invalid("a contract's mandate is shorter than its keeper's"));
        }
        if self.kept.contains_key(&contract) {
            return Err(Error::invalid(format!("contract {contract} is kept already")));
        }
        self.kept.insert(contract, Kept::open(now, contract, terms, path.lending()?, left, self.old_ends)?);
        Ok(())
    }

    /// The meters of a contract have new curves: in the ledger already, in force from now. Cuts are pushed, raises wait
    /// for renewals.
    ///
    /// Errors: an unknown contract.
    pub fn published(&mut self, now: i64, contract: ContractId) -> Result<Vec<Effect>, Error> {
        let may_answer = self.may_answer(now);
        let Some(kept) = self.kept.get_mut(&contract) else {
            return Err(Error::invalid(format!("contract {contract} is not kept here")));
        };
        kept.published(now, may_answer.then_some(&mut self.desk));
        Ok(self.done(now))
    }

    /// A gate's message. `holder` is who the stream's credential says it is.
    pub fn on(&mut self, now: i64, holder: Holder, message: FromGate) -> Vec<Effect> {
        if self.fenced {
            return vec![Effect::Send { holder, message: FromKeeper::Retire }];
        }
        if !self.may_answer(now) {
            return self.done(now);
        }
        let contract = match &message {
            FromGate::Renew(renew) => renew.contract,
            FromGate::Draw(draw) => draw.contract,
            // Whose part it is says the stream: `claim`.
            FromGate::Claim(_) => return self.done(now),
            FromGate::Bye => {
                self.end_everywhere(now, holder);
                return self.done(now);
            }
        };
        self.renew_part(now, holder, contract);
        if let Some(kept) = self.kept.get_mut(&contract) {
            kept.hear(now, holder, &message, &mut self.desk);
        }
        self.done(now)
    }

    /// A holder whose process has ended for certain, on this machine: a pidfd or a lock says so. A closed stream does not.
    pub fn dead(&mut self, now: i64, holder: Holder) -> Vec<Effect> {
        if self.may_answer(now) {
            self.end_everywhere(now, holder);
        }
        self.done(now)
    }

    /// The store's answer to a write.
    pub fn durable(&mut self, now: i64, id: u64, outcome: Outcome) -> Vec<Effect> {
        if outcome == Outcome::Fenced {
            self.fenced = true;
            self.mandate_until = i64::MIN;
        }
        if let Some(place) = self.renewals.iter().position(|&(renewal, _)| renewal == id) {
            let (_, sent) = self.renewals.remove(place);
            if outcome == Outcome::Granted {
                let from = if mutant!(MandateFromAnswer) { now } else { sent };
                let until = from.saturating_add(self.terms.shorter(self.terms.mandate_ns));
                self.mandate_until = self.mandate_until.max(until);
            }
        }
        let answers = self.may_answer(now);
        if let Some((contract, holder)) = self.desk.waiting.remove(&id) {
            let is_granted = outcome == Outcome::Granted;
            self.part_durable(now, contract, id, is_granted, answers);
            if let Some(kept) = self.kept.get_mut(&contract) {
                kept.durable(now, holder, id, is_granted, answers, &mut self.desk);
            }
        }
        self.done(now)
    }

    /// What is due by itself: the mandate's renewal, forgetting who is gone.
    pub fn tick(&mut self, now: i64) -> Vec<Effect> {
        if self.fenced {
            return vec![];
        }
        if now >= self.next_renewal {
            let id = self.desk.put(WriteKind::Mandate);
            if self.renewals.len() == RENEWALS_MAX {
                self.renewals.remove(0);
            }
            self.renewals.push((id, now));
            self.next_renewal = now.saturating_add(self.terms.mandate_ns / 3);
        }
        if self.may_answer(now) {
            for kept in self.kept.values_mut() {
                kept.sweep(now, &mut self.desk);
            }
        }
        self.done(now)
    }

    /// Calls all blocks back, for this keeper ends. What is not told closed before it has ended counts as spent.
    pub fn call_back(&mut self, now: i64) -> Vec<Effect> {
        for kept in self.kept.values() {
            kept.call_back(&mut self.desk);
        }
        self.done(now)
    }

    /// Micro-units in blocks that are out.
    pub fn on_loan(&self) -> u64 {
        self.kept.values().map(Kept::on_loan).sum()
    }

    /// What each holder has of a contract; nothing where it is not kept here.
    pub fn held(&self, now: i64, contract: ContractId) -> Vec<Held> {
        self.kept.get(&contract).map_or_else(Vec::new, |kept| kept.held(now))
    }

    /// Whether its mandate lasts: after its end another keeper may lend the same limits, so that this process decides no
    /// more by itself either.
    pub fn may_answer(&self, now: i64) -> bool {
        !self.fenced && (now < self.mandate_until || mutant!(NoMandate))
    }

    fn end_everywhere(&mut self, now: i64, holder: Holder) {
        for kept in self.kept.values_mut() {
            kept.end(now, holder, &mut self.desk);
        }
        self.end_parts(holder);
    }

    pub(crate) fn done(&mut self, now: i64) -> Vec<Effect> {
        let sweep = self.kept.values().filter_map(Kept::next_sweep).min().filter(|_| self.may_answer(now));
        let sweep = sweep.unwrap_or(i64::MAX);
        let wake = self.next_renewal.min(sweep.max(now + 1));
        let mut effects = std::mem::take(&mut self.desk.effects);
        if wake != self.wake && !self.fenced {
            self.wake = wake;
            effects.push(Effect::WakeAt(wake));
        }
        effects
    }
}
