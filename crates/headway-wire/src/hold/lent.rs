//! What is lent to a gate, as it stands on the stream: leases of slots, blocks of tokens, and what became of them.
//!
//! Amounts are micro-units of demands, durations milliseconds; what each message means stands in the core's `lease`, whose
//! contracts are paths here.

use headway_core::lease as core;
use prost::Message;

/// Blocks that one message tells of; a gate of ours holds no more.
pub const BLOCKS_MAX: usize = 64;
/// Round trips that one message tells of; a gate of ours has no more draws on their way.
pub const ROUND_TRIPS_MAX: usize = 16;

/// What a gate holds of a path's slots, and what it would like to.
#[derive(Clone, PartialEq, Message)]
pub struct Renew {
    #[prost(uint64, tag = "1")]
    pub path: u64,
    #[prost(uint64, tag = "2")]
    pub want: u64,
    /// The lease that was installed last.
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
    #[prost(uint64, tag = "4")]
    pub seq: u64,
    #[prost(uint64, tag = "5")]
    pub counter: u64,
    /// That lease had ended.
    #[prost(bool, tag = "6")]
    pub lapsed: bool,
    #[prost(uint64, tag = "7")]
    pub in_flight: u64,
    /// Demands of the path that this gate has admitted by itself, and refused by what it was told a moment before.
    #[prost(uint64, tag = "8")]
    pub admitted: u64,
    #[prost(uint64, tag = "9")]
    pub refused: u64,
}

/// What became of a gate's blocks, and how much more it could use.
#[derive(Clone, PartialEq, Message)]
pub struct Draw {
    #[prost(uint64, tag = "1")]
    pub path: u64,
    #[prost(uint64, tag = "2")]
    pub want: u64,
    #[prost(uint64, tag = "5")]
    pub counter: u64,
    #[prost(message, repeated, tag = "8")]
    pub blocks: Vec<Used>,
    /// As of a `Renew`.
    #[prost(uint64, tag = "9")]
    pub admitted: u64,
    #[prost(uint64, tag = "10")]
    pub refused: u64,
    /// Since the last message: how long each draw was on its way until it was answered, as the gate's clock has it.
    #[prost(uint32, repeated, tag = "11")]
    pub round_trips_us: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Used {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    #[prost(uint64, tag = "2")]
    pub seq: u64,
    #[prost(uint64, tag = "3")]
    pub spent: u64,
    #[prost(bool, tag = "4")]
    pub closed: bool,
}

/// Slots that a gate may have in flight.
#[derive(Clone, PartialEq, Message)]
pub struct Lease {
    #[prost(uint64, tag = "1")]
    pub path: u64,
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
    #[prost(uint64, tag = "4")]
    pub seq: u64,
    #[prost(uint64, tag = "5")]
    pub units: u64,
    #[prost(uint32, tag = "6")]
    pub term_ms: u32,
    /// None: pushed, to shrink what is held.
    #[prost(uint64, optional, tag = "8")]
    pub in_reply_to: Option<u64>,
}

/// Tokens that a gate may spend beside what it has.
#[derive(Clone, PartialEq, Message)]
pub struct Block {
    #[prost(uint64, tag = "1")]
    pub path: u64,
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
    #[prost(uint64, tag = "4")]
    pub seq: u64,
    #[prost(uint64, tag = "5")]
    pub units: u64,
    #[prost(uint32, tag = "6")]
    pub term_ms: u32,
    #[prost(uint64, tag = "8")]
    pub in_reply_to: u64,
}

/// All blocks of a path end here and now.
#[derive(Clone, PartialEq, Message)]
pub struct Surrender {
    #[prost(uint64, tag = "1")]
    pub path: u64,
}

impl Renew {
    pub fn of(path: u64, renew: &core::Renew) -> Renew {
        let core::Renew { contract: _, want, epoch, seq, lapsed, counter, in_flight } = *renew;
        Renew { path, want, epoch, seq, counter, lapsed, in_flight, admitted: 0, refused: 0 }
    }

    pub fn for_contract(&self, contract: core::ContractId) -> core::Renew {
        let Renew { want, epoch, seq, counter, lapsed, in_flight, .. } = *self;
        core::Renew { contract, want, epoch, seq, lapsed, counter, in_flight }
    }
}

impl Draw {
    pub fn of(path: u64, draw: &core::Draw) -> Draw {
        let used = |u: &core::Used| Used { epoch: u.epoch, seq: u.seq, spent: u.spent, closed: u.closed };
        let blocks = draw.blocks.iter().map(used).collect();
        Draw { path, want: draw.want, counter: draw.counter, blocks, ..Draw::default() }
    }

    pub fn for_contract(&self, contract: core::ContractId) -> core::Draw {
        let used = |u: &Used| core::Used { epoch: u.epoch, seq: u.seq, spent: u.spent, closed: u.closed };
        let blocks = self.blocks.iter().map(used).collect();
        core::Draw { contract, want: self.want, counter: self.counter, blocks }
    }
}

impl Lease {
    pub fn of(path: u64, lease: &core::Lease) -> Lease {
        let core::Lease { contract: _, epoch, seq, units, term_ms, in_reply_to } = *lease;
        Lease { path, epoch, seq, units, term_ms, in_reply_to }
    }

    pub fn for_contract(&self, contract: core::ContractId) -> core::Lease {
        let Lease { path: _, epoch, seq, units, term_ms, in_reply_to } = *self;
        core::Lease { contract, epoch, seq, units, term_ms, in_reply_to }
    }
}

impl Block {
    pub fn of(path: u64, block: &core::Block) -> Block {
        let core::Block { contract: _, epoch, seq, units, term_ms, in_reply_to } = *block;
        Block { path, epoch, seq, units, term_ms, in_reply_to }
    }

    pub fn for_contract(&self, contract: core::ContractId) -> core::Block {
        let Block { path: _, epoch, seq, units, term_ms, in_reply_to } = *self;
        core::Block { contract, epoch, seq, units, term_ms, in_reply_to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_comes_over_as_it_was_said() {
        let renew = core::Renew { contract: 1, want: 2, epoch: 3, seq: 4, lapsed: true, counter: 5, in_flight: 6 };
        assert_eq!(renew, Renew::of(9, &renew).for_contract(1));
        let blocks = vec![core::Used { epoch: 1, seq: 2, spent: 3, closed: true }];
        let draw = core::Draw { contract: 1, want: 2, counter: 3, blocks };
        assert_eq!(draw, Draw::of(9, &draw).for_contract(1));
        for in_reply_to in [None, Some(0), Some(7)] {
            let lease = core::Lease { contract: 1, epoch: 2, seq: 3, units: 4, term_ms: 5, in_reply_to };
            assert_eq!(lease, Lease::of(9, &lease).for_contract(1));
        }
        let block = core::Block { contract: 1, epoch: 2, seq: 3, units: 4, term_ms: 5, in_reply_to: 6 };
        assert_eq!(block, Block::of(9, &block).for_contract(1));
    }
}
