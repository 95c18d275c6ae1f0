//! The floor of a contract at its keeper: which gate has which part of it.
//!
//! A part is set aside whether its gate is connected or not: the limit that is lent from and decided on is the contract's
//! less its floor, always. So a gate that is cut off may go on with its part, and nothing depends on when it was last heard.
//! A part is one process' at a time. Who has it is durable before it is told, and another process of the same name has it
//! only when the one before is gone for certain, or has not been heard for as long as a part lasts. Source: docs/leases.md.

use crate::error::Error;
use crate::lease::keeper::{Desk, Keeper};
use crate::lease::messages::{Claim, ContractId, FromKeeper, Holder, Part};
use crate::lease::mutant;
use crate::lease::terms::{Terms, ns_of};

/// Parts of one floor.
pub const PARTS_MAX: usize = 10_000;
/// Processes that had a part, by a keeper's rows before this one, and have not been seen to end.
const ROWS_MAX: usize = 2 * PARTS_MAX;

/// Who may have parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// The gates of these names, a part each, in this order.
    Gates(Vec<String>),
    /// Whoever comes first under a name, as long as there are parts.
    First,
}

/// A floor as it is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloorSpec {
    pub named: Named,
    pub parts: Vec<Share>,
    /// For how long a gate has its part from its last word that was answered, in ms of its clock.
    pub lasts_ms: u32,
}

/// One part, in micro-units of demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Of slots what may be in flight, of tokens what comes in `per_ns`.
    pub units: u64,
    /// 0: slots.
    pub per_ns: u64,
    /// The largest demand that a part of tokens admits.
    pub most: u64,
}

/// Who had a part at a keeper before this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRow {
    pub name: String,
    pub holder: Holder,
}

#[derive(Debug)]
struct Tenure {
    name: String,
    holder: Holder,
    /// No other process has the part before.
    until: i64,
    counter: u64,
    /// It waits for this write.
    pending: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Floor {
    contract: ContractId,
    terms: Terms,
    spec: FloorSpec,
    /// By part.
    held: Vec<Option<Tenure>>,
    /// Processes of the same name that may have had the same part, by rows that were not taken off yet.
    others: Vec<Tenure>,
}

impl Floor {
    /// `rows`: who had parts at keepers before, which may have told them so until `old_ends`.
    fn open(contract: ContractId, terms: Terms, spec: FloorSpec, rows: &[PartRow], old_ends: i64) -> Floor {
        let held = spec.parts.iter().map(|_| None).collect();
        let mut floor = Floor { contract, terms, spec, held, others: vec![] };
        let rows = if mutant!(PartRowsForgotten) { &[] } else { rows };
        let until = floor.free_at(old_ends);
        for PartRow { name, holder } in rows.iter().take(ROWS_MAX) {
            let tenure = Tenure { name: name.clone(), holder: *holder, until, counter: 0, pending: None };
            match floor.place_of(name, until - 1) {
                Some(place) if floor.held[place].is_none() => floor.held[place] = Some(tenure),
                // Two rows of one name, or more than there are parts: none of them is given anew before all have ended.
                _ => floor.others.push(tenure),
            }
        }
        floor
    }

    /// When a part that was told at `now` is surely used no more, and what was admitted on it has ended.
    fn free_at(&self, now: i64) -> i64 {
        let lasts = self.terms.longer(ns_of(self.spec.lasts_ms));
        now.saturating_add(lasts).saturating_add(self.terms.longer(self.terms.max_hold_ns))
    }

    /// The part that a name has, or may have: its own, or the first that nobody has.
    fn place_of(&self, name: &str, now: i64) -> Option<usize> {
        let is_its = |one: &Option<Tenure>| one.as_ref().is_some_and(|t| t.name == name);
        match &self.spec.named {
            Named::Gates(names) => names.iter().position(|one| one == name),
            Named::First => self.held.iter().position(is_its).or_else(|| {
                let is_free = |one: &Option<Tenure>| one.as_ref().is_none_or(|t| now >= t.until);
                self.held.iter().position(is_free)
            }),
        }
    }

    /// A process asks for the part of its name, or says that it has it still.
    fn claim(&mut self, now: i64, holder: Holder, name: &str, counter: u64, desk: &mut Desk) {
        self.others.retain(|t| now < t.until);
        let Some(place) = self.place_of(name, now) else { return };
        if self.others.iter().any(|t| t.name == name) {
            return;
        }
        let until = self.free_at(now);
        let of_another = |t: &Tenure| t.holder != holder && !mutant!(PartOfTwo);
        if let Some(other) = self.held[place].take_if(|t| of_another(t) && now >= t.until) {
            desk.write_part(self.contract, &other.name, other.holder, false);
        }
        match &mut self.held[place] {
            None => {
                let pending = Some(desk.write_part(self.contract, name, holder, true));
                self.held[place] = Some(Tenure { name: name.to_owned(), holder, until, counter, pending });
            }
            Some(tenure) if of_another(tenure) || tenure.holder == holder && counter <= tenure.counter => {}
            Some(tenure) => {
                (tenure.counter, tenure.until) = (counter, until.max(tenure.until));
                if tenure.pending.is_none() {
                    self.tell(place, holder, counter, desk);
                }
            }
        }
    }

    /// A holder lives and was answered, so its gate goes on with its part.
    fn renew(&mut self, now: i64, holder: Holder) {
        let until = self.free_at(now);
        let all = self.held.iter_mut().flatten().chain(&mut self.others);
        for tenure in all.filter(|t| t.holder == holder && !mutant!(PartUnrenewed)) {
            tenure.until = tenure.until.max(until);
        }
    }

    fn tell(&self, place: usize, holder: Holder, in_reply_to: u64, desk: &mut Desk) {
        let (Share { units, per_ns, most }, term_ms) = (self.spec.parts[place], self.spec.lasts_ms);
        let part = Part { contract: self.contract, units, per_ns, most, term_ms, in_reply_to };
        desk.send(holder, FromKeeper::Part(part));
    }

    /// The store answered: who waits for it is told, unless it does not have the row.
    fn durable(&mut self, now: i64, write: u64, granted: bool, answers: bool, desk: &mut Desk) {
        let waits = |one: &Option<Tenure>| one.as_ref().is_some_and(|t| t.pending == Some(write));
        let Some(place) = self.held.iter().position(waits) else { return };
        let until = self.free_at(now);
        let Some(tenure) = self.held[place].as_mut() else { return };
        tenure.pending = None;
        let (holder, counter) = (tenure.holder, tenure.counter);
        if !granted {
            self.held[place] = None;
        } else if answers {
            tenure.until = until;
            self.tell(place, holder, counter, desk);
        }
    }

    /// A holder is gone for certain, with all it had in flight.
    fn end(&mut self, holder: Holder, desk: &mut Desk) {
        let gone = self.held.iter_mut().filter_map(|one| one.take_if(|t| t.holder == holder));
        let others = self.others.extract_if(.., |t| t.holder == holder);
        for tenure in gone.chain(others) {
            desk.write_part(self.contract, &tenure.name, holder, false);
        }
    }
}

impl Keeper {
    /// Divides a contract's floor among gates from now on; its meters are published without it.
    ///
    /// Errors: no parts or too many, as many names as parts where names are given, a floor that is divided already.
    pub fn divide_floor(
        &mut self,
        contract: ContractId,
        terms: Terms,
        spec: FloorSpec,
        rows: &[PartRow],
    ) -> Result<(), Error> {
        let named_otherwise = matches!(&spec.named, Named::Gates(names) if names.len() != spec.parts.len());
        if spec.parts.is_empty() || spec.parts.len() > PARTS_MAX || named_otherwise {
            return Err(Error::invalid(format!("a floor has 1 to {PARTS_MAX} parts, one for each name")));
        }
        if self.floors.contains_key(&contract) {
            return Err(Error::invalid(format!("the floor of contract {contract} is divided already")));
        }
        self.floors.insert(contract, Floor::open(contract, terms, spec, rows, self.old_ends));
        Ok(())
    }

    /// A gate asks for its part, or says that it has it still. `holder` and `name` are what the stream's credential says.
    pub fn claim(&mut self, now: i64, holder: Holder, name: &str, claim: &Claim) -> Vec<crate::lease::Effect> {
        if self.may_answer(now)
            && let Some(floor) = self.floors.get_mut(&claim.contract)
        {
            floor.claim(now, holder, name, claim.counter, &mut self.desk);
        }
        self.done(now)
    }

    /// A renewal of a lease says as much as a claim: it is heard before it is answered.
    pub(crate) fn renew_part(&mut self, now: i64, holder: Holder, contract: ContractId) {
        if let Some(floor) = self.floors.get_mut(&contract) {
            floor.renew(now, holder);
        }
    }

    /// The store answered a write of a part's row.
    pub(crate) fn part_durable(&mut self, now: i64, contract: ContractId, id: u64, granted: bool, answers: bool) {
        if let Some(floor) = self.floors.get_mut(&contract) {
            floor.durable(now, id, granted, answers, &mut self.desk);
        }
    }

    pub(crate) fn end_parts(&mut self, holder: Holder) {
        for floor in self.floors.values_mut() {
            floor.end(holder, &mut self.desk);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
