//! What keeper and gate tell each other, once the stream has said who is who.
//!
//! Durations and counters only, never instants. The stream's greeting carries no state: a gate that comes back restates
//! what it holds by renewing at once. Source: interfaces, 4.

/// A contract's number on one stream.
pub type ContractId = u64;

/// Who holds a lease: one process of one gate, drawn at random at its start and tied to a credential by the edge. A
/// process that starts again, and a forked child, are holders of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder(pub u128);

/// What one holder has of a contract, for those who look. Amounts are micro-units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub holder: Holder,
    /// What counts as out at it: booked slots, or what is not known to be spent of its blocks.
    pub on_loan: u64,
    /// Of slots: as it last reported.
    pub in_flight: u64,
    /// Of slots: booked beyond what it may admit up to now, after a cut or an end.
    pub draining: u64,
    /// It has less than it last said it could use.
    pub is_short: bool,
    /// The number of the oldest of its blocks that are out.
    pub oldest_block: Option<u64>,
}

/// From a gate to its keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromGate {
    Renew(Renew),
    Draw(Draw),
    Claim(Claim),
    /// Nothing is in flight and nothing will be admitted any more, on any contract.
    Bye,
}

/// What a gate holds, and what it would like to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renew {
    pub contract: ContractId,
    /// Micro-units that would be of use, those in flight included.
    pub want: u64,
    /// The lease that was installed last; 0, 0 before the first. It acknowledges all before it: they will be refused.
    pub epoch: u64,
    pub seq: u64,
    /// That lease had ended when this was sent.
    pub lapsed: bool,
    /// Grows with every message of this holder on this contract; older ones are ignored.
    pub counter: u64,
    /// Micro-units in flight.
    pub in_flight: u64,
}

/// What a gate did with its blocks of a rate, and how many tokens more it could use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    pub contract: ContractId,
    /// Micro-units.
    pub want: u64,
    /// Grows with every message of this holder on this contract; older ones are ignored.
    pub counter: u64,
    pub blocks: Vec<Used>,
}

/// What became of one block, in micro-units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    pub epoch: u64,
    pub seq: u64,
    /// Since it was lent.
    pub spent: u64,
    /// Nothing more will be spent of it: the rest can be lent again.
    pub closed: bool,
}

/// A gate would have its part of the floor, or has it still. Whose part that is its credential says, not the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub contract: ContractId,
    /// Grows with every message of this holder on this contract; older ones are ignored.
    pub counter: u64,
}

/// From the keeper to a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromKeeper {
    Lease(Lease),
    Block(Block),
    Part(Part),
    /// The burst of a rate fell: blocks end here and now.
    Surrender {
        contract: ContractId,
    },
    /// This keeper answers no more: look for its successor, and use what is held to its end.
    Retire,
}

/// What a gate may admit, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub contract: ContractId,
    /// Leases are ordered by (epoch, seq).
    pub epoch: u64,
    pub seq: u64,
    /// Micro-units in flight up to which the gate may admit.
    pub units: u64,
    /// How long, counted from the sending of the message that `in_reply_to` names.
    pub term_ms: u32,
    /// The counter of a `Renew`. None: pushed, which can only shrink what is held and never makes it last longer.
    pub in_reply_to: Option<u64>,
}

/// Tokens of a rate, prepaid, beside those that a gate has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub contract: ContractId,
    pub epoch: u64,
    pub seq: u64,
    /// Micro-units; 0 where nothing can be lent now.
    pub units: u64,
    /// How long, counted from the sending of the message that `in_reply_to` names.
    pub term_ms: u32,
    /// The counter of a `Draw`. Each is answered once at most.
    pub in_reply_to: u64,
}

/// A part of the floor: a gate's own, connected or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub contract: ContractId,
    /// Micro-units: of slots what may be in flight beside what is lent, of tokens what comes in `per_ns`.
    pub units: u64,
    /// 0: slots.
    pub per_ns: u64,
    /// The largest demand that a part of tokens admits, in micro-units.
    pub most: u64,
    /// How long it is the gate's without another word, counted from the sending of the message that `in_reply_to` names.
    pub term_ms: u32,
    /// The counter of a `Claim`.
    pub in_reply_to: u64,
}
