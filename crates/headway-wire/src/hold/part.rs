//! Parts of a floor, as they stand on the stream: a gate's own, connected or not.
//!
//! Amounts are micro-units of demands. Whose part it is the stream's credential says, so no message names a gate.

use headway_core::lease as core;
use prost::Message;

/// A gate would have its part of a path's floor, or has it still.
#[derive(Clone, PartialEq, Message)]
pub struct Claim {
    #[prost(uint64, tag = "1")]
    pub path: u64,
    #[prost(uint64, tag = "2")]
    pub counter: u64,
    /// Of its tokens; else of its slots.
    #[prost(bool, tag = "3")]
    pub of_tokens: bool,
    /// As of a `Renew`.
    #[prost(uint64, tag = "4")]
    pub admitted: u64,
    #[prost(uint64, tag = "5")]
    pub refused: u64,
}

/// A part of a path's floor.
#[derive(Clone, PartialEq, Message)]
pub struct Part {
    #[prost(uint64, tag = "1")]
    pub path: u64,
    /// Of slots what may be in flight beside a lease, of tokens what comes in `per_ns`.
    #[prost(uint64, tag = "2")]
    pub units: u64,
    /// 0: slots.
    #[prost(uint64, tag = "3")]
    pub per_ns: u64,
    /// The largest demand that a part of tokens admits.
    #[prost(uint64, tag = "4")]
    pub most: u64,
    /// For how long it is the gate's, from the sending of what is answered.
    #[prost(uint32, tag = "5")]
    pub term_ms: u32,
    #[prost(uint64, tag = "6")]
    pub in_reply_to: u64,
}

impl Claim {
    pub fn of(path: u64, of_tokens: bool, claim: &core::Claim) -> Claim {
        Claim { path, counter: claim.counter, of_tokens, admitted: 0, refused: 0 }
    }

    pub fn for_contract(&self, contract: core::ContractId) -> core::Claim {
        core::Claim { contract, counter: self.counter }
    }
}

impl Part {
    pub fn of(path: u64, part: &core::Part) -> Part {
        let core::Part { contract: _, units, per_ns, most, term_ms, in_reply_to } = *part;
        Part { path, units, per_ns, most, term_ms, in_reply_to }
    }

    pub fn for_contract(&self, contract: core::ContractId) -> core::Part {
        let Part { path: _, units, per_ns, most, term_ms, in_reply_to } = *self;
        core::Part { contract, units, per_ns, most, term_ms, in_reply_to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_comes_over_as_it_was_said() {
        let claim = core::Claim { contract: 1, counter: 2 };
        assert_eq!(claim, Claim::of(9, true, &claim).for_contract(1));
        let part = core::Part { contract: 1, units: 2, per_ns: 3, most: 4, term_ms: 5, in_reply_to: 6 };
        assert_eq!(part, Part::of(9, &part).for_contract(1));
    }
}
