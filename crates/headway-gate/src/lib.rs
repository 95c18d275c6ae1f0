//! A gate: the end of a stream to a keeper, in the process whose demands are decided.
//!
//! `gate` is what a process has of it, `distant` a path as the core asks it, `desk` all that is open and held, `lent` what
//! needs no asking and `doors` where that is decided, `stream` the connection, on a thread of its own that starts with the first limiter. A forked child has a gate of its own under a new
//! name: whatever its parent held stays with the parent.

mod desk;
mod distant;
mod doors;
mod gate;
mod identity;
mod lent;
mod stream;
mod tls;
mod trips;

pub use distant::Contract;
pub use gate::{Gate, Settings, forked, forks};
pub use tls::Trust;
