//! The gate: holds what demands are decided from, and keeps holding it. They are decided at its doors.
//!
//! Whether a lease has ended is asked at each demand, by the clock of that demand: a gate that was frozen past its end
//! refuses its first one. Source: docs/leases.md.

use std::collections::BTreeMap;

use crate::lease::door::Door;
use crate::lease::holding::Holding;
use crate::lease::messages::{ContractId, FromGate, FromKeeper, Part};
use crate::lease::mutant;
use crate::lease::part::Claiming;
use crate::lease::terms::Terms;
use crate::lease::tokens::Tokens;

/// What has to happen outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateEffect {
    Send(FromGate),
    /// Find the keeper that followed, then call `reconnected`.
    Redial,
    /// Call `tick` then, if nothing calls before. The latest one stands.
    WakeAt(i64),
}

/// Holds leases of contracts. Its identity is its edge's; a process that starts again is a new gate.
#[derive(Debug, Default)]
pub struct Gate {
    held: BTreeMap<ContractId, Holding>,
    tokens: BTreeMap<ContractId, Tokens>,
    claims: BTreeMap<ContractId, Claiming>,
    closed: bool,
    wake: i64,
}

impl Gate {
    pub fn new() -> Gate {
        Gate { wake: i64::MAX, ..Gate::default() }
    }

    /// Says how many micro-units of a contract would be of use, those in flight included: admitted and refused demand.
    pub fn demand(&mut self, now: i64, contract: ContractId, terms: Terms, want: u64) -> Vec<GateEffect> {
        self.held.entry(contract).or_insert_with(|| Holding::new(contract, terms)).demand(now, want);
        self.done(vec![])
    }

    /// Says how many micro-units of a rate it would be good to have at hand.
    pub fn demand_tokens(&mut self, now: i64, contract: ContractId, terms: Terms, want: u64) -> Vec<GateEffect> {
        self.tokens.entry(contract).or_insert_with(|| Tokens::new(contract, terms)).demand(now, want);
        self.done(vec![])
    }

    /// Asks for the part of a contract's floor that is this gate's, and goes on saying that it has it. Something of the
    /// contract has been wanted before.
    pub fn claim(&mut self, now: i64, contract: ContractId, terms: Terms) -> Vec<GateEffect> {
        self.claims.entry(contract).or_insert_with(|| Claiming::new(now, contract, terms));
        self.done(vec![])
    }

    /// Demands of a contract go without: its next message is sent soon, not when it is due.
    pub fn hurry(&mut self, now: i64, contract: ContractId) -> Vec<GateEffect> {
        if let Some(held) = self.held.get_mut(&contract) {
            held.hurry(now);
        }
        if let Some(tokens) = self.tokens.get_mut(&contract) {
            tokens.hurry(now);
        }
        self.done(vec![])
    }

    /// Where demands of a contract are decided; None before anything of it was wanted. Where a door runs low is seen at the
    /// next `tick`.
    pub fn door(&self, contract: ContractId) -> Option<Door> {
        let tokens = || self.tokens.get(&contract).map(Tokens::door);
        self.held.get(&contract).map(Holding::door).or_else(tokens)
    }

    /// Micro-units in flight.
    pub fn in_flight(&self, contract: ContractId) -> u64 {
        self.held.get(&contract).map_or(0, Holding::in_flight)
    }

    /// Micro-units up to which demands are admitted at `now`.
    pub fn units(&self, now: i64, contract: ContractId) -> u64 {
        let tokens = self.tokens.get(&contract).map_or(0, |tokens| tokens.units(now));
        self.held.get(&contract).map_or(tokens, |held| held.allowed(now))
    }

    /// When the lease ends on this clock: what was admitted has to end `max_hold` after it, unless it was renewed by then.
    pub fn ends_at(&self, contract: ContractId) -> i64 {
        self.held.get(&contract).map_or(i64::MIN, Holding::ends_at)
    }

    /// When the part of the floor ends on this clock: what was admitted on it alone has to end `max_hold` after it.
    pub fn part_ends_at(&self, contract: ContractId) -> i64 {
        self.held.get(&contract).map_or(i64::MIN, Holding::part_ends_at)
    }

    /// When `tick` has something to do, if nothing happens before.
    pub fn wake_at(&self) -> i64 {
        self.wake
    }

    pub fn is_leaving(&self) -> bool {
        self.closed
    }

    /// The keeper's message.
    pub fn on(&mut self, now: i64, message: FromKeeper) -> Vec<GateEffect> {
        let mut effects = vec![];
        match message {
            FromKeeper::Lease(lease) if !self.closed => {
                let reply = self.held.get_mut(&lease.contract).and_then(|held| held.install(now, &lease));
                effects.extend(reply.map(|renew| GateEffect::Send(FromGate::Renew(renew))));
            }
            FromKeeper::Block(block) if !self.closed => {
                if let Some(tokens) = self.tokens.get_mut(&block.contract) {
                    tokens.install(now, &block);
                }
            }
            FromKeeper::Part(part) if !self.closed => self.install_part(now, &part),
            FromKeeper::Surrender { contract } if !self.closed => {
                let reply = self.tokens.get_mut(&contract).map(|tokens| tokens.surrender(now));
                effects.extend(reply.map(|draw| GateEffect::Send(FromGate::Draw(draw))));
            }
            FromKeeper::Lease(_) | FromKeeper::Block(_) | FromKeeper::Part(_) | FromKeeper::Surrender { .. } => {}
            FromKeeper::Retire => effects.push(GateEffect::Redial),
        }
        self.done(effects)
    }

    /// A new stream stands: everything is restated on it at once.
    pub fn reconnected(&mut self, now: i64) -> Vec<GateEffect> {
        let renewals = self.held.values_mut().map(|held| FromGate::Renew(held.renew(now)));
        let draws = self.tokens.values_mut().map(|tokens| FromGate::Draw(tokens.draw(now)));
        let claims = self.claims.values_mut().map(|claim| FromGate::Claim(claim.claim(now)));
        let restated = renewals.chain(draws).chain(claims).map(GateEffect::Send).collect();
        self.done(restated)
    }

    /// Renewals that are due; of a gate that is leaving the goodbye, once nothing is in flight.
    pub fn tick(&mut self, now: i64) -> Vec<GateEffect> {
        let drained = self.held.values().all(|held| held.in_flight() == 0) || mutant!(ByeInFlight);
        if self.closed && drained {
            let leaves = !self.held.is_empty() || !self.tokens.is_empty();
            let last = self.tokens.values_mut().map(|tokens| FromGate::Draw(tokens.draw(now)));
            let last: Vec<FromGate> = last.chain(leaves.then_some(FromGate::Bye)).collect();
            self.held.clear();
            self.tokens.clear();
            self.claims.clear();
            return self.done(last.into_iter().map(GateEffect::Send).collect());
        }
        let renewals = self.held.values_mut().filter_map(|held| held.due(now)).map(FromGate::Renew);
        let draws = self.tokens.values_mut().filter_map(|tokens| tokens.due(now)).map(FromGate::Draw);
        let claims = self.claims.values_mut().filter_map(|claim| claim.due(now)).map(FromGate::Claim);
        let due = renewals.chain(draws).chain(claims).map(GateEffect::Send).collect();
        self.done(due)
    }

    /// Leaves: nothing is admitted any more, what is in flight is reported until it has ended, then comes the goodbye.
    /// Call `tick` after each `give_back` from here on.
    pub fn close(&mut self, now: i64) -> Vec<GateEffect> {
        self.closed = true;
        self.claims.clear();
        for held in self.held.values_mut() {
            held.close(now);
        }
        for tokens in self.tokens.values_mut() {
            tokens.close(now);
        }
        self.tick(now)
    }

    fn install_part(&mut self, now: i64, part: &Part) {
        let told = self.claims.get(&part.contract).and_then(|claim| claim.lasts(part));
        let Some((sent, lasts)) = told.filter(|(sent, lasts)| now < sent + lasts) else { return };
        if let Some(held) = self.held.get_mut(&part.contract).filter(|_| part.per_ns == 0) {
            held.set_part(part.units, sent, lasts);
        }
        if let Some(tokens) = self.tokens.get_mut(&part.contract).filter(|_| part.per_ns > 0) {
            tokens.set_part(now, part, sent + lasts);
        }
    }

    fn done(&mut self, mut effects: Vec<GateEffect>) -> Vec<GateEffect> {
        let renewals = self.held.values().map(Holding::renew_at);
        let draws = self.tokens.values().map(Tokens::wake_at);
        let claims = self.claims.values().map(Claiming::due_at);
        let wake = renewals.chain(draws).chain(claims).min().unwrap_or(i64::MAX);
        if wake != self.wake {
            self.wake = wake;
            if wake < i64::MAX {
                effects.push(GateEffect::WakeAt(wake));
            }
        }
        effects
    }
}
