//! Leases: how many gates keep one limit without asking each time, as machines without clocks, sockets or threads.
//!
//! `Keeper` lends, `Gate` holds. Both take the time as an argument (ns of a monotonic clock of the machine they run on;
//! the two clocks are never compared) and answer with effects that an edge carries out. The rules, and what the
//! simulation found about each, are in docs/leases.md.

mod book;
mod booking;
mod course;
pub(crate) mod door;
pub(crate) mod drip;
mod fair;
mod floor;
mod gate;
mod holding;
#[cfg(all(test, not(loom)))]
mod house;
mod keeper;
mod kept;
mod lender;
#[cfg(all(test, not(loom)))]
mod lending;
mod loans;
mod messages;
#[cfg(feature = "mutants")]
mod mutation;
mod part;
mod sent;
mod tally;
mod terms;
#[cfg(all(test, not(loom)))]
mod together;
mod tokens;

pub use door::Door;
pub use floor::{FloorSpec, Named, PARTS_MAX, PartRow, Share};
pub use gate::{Gate, GateEffect};
pub use keeper::{Effect, Inheritance, Keeper, Outcome, Row, Write, WriteKind};
pub use kept::Left;
pub use messages::{Block, Claim, ContractId, Draw, FromGate, FromKeeper, Held, Holder, Lease, Part, Renew, Used};
#[cfg(feature = "mutants")]
pub use mutation::Mutation;
pub use terms::Terms;

/// Whether the simulation has broken this rule on purpose. Without the feature `mutants` there is nothing to ask.
macro_rules! mutant {
    ($name:ident) => {{
        #[cfg(feature = "mutants")]
        let broken = crate::lease::Mutation::$name.is_on();
        #[cfg(not(feature = "mutants"))]
        let broken = false;
        broken
    }};
}
pub(crate) use mutant;
