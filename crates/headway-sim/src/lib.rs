//! The simulation of leases: the real keeper and gate, and everything around them made of chance.
//!
//! One seed, one history. `world` drives, `faults` breaks, `store` and `clock` are what the machines stand on, `check`
//! decides. The checker knows nothing of the machines: it sees what was admitted when, and what was published when.

mod check;
mod clock;
mod faults;
mod gates;
mod keepers;
mod limits;
mod random;
mod setting;
mod store;
mod windows;
mod world;

pub use setting::Kind;
pub use world::{Outcome, run};
