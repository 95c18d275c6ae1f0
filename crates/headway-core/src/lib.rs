//! Headway's decision on every demand: curves, meters, keys, paths. Without a clock of its own, without Python.
//!
//! `Meters` holds all; `Path` is one limiter's way through them; `Curve` is the limit as it was decided. What a decision
//! touches is `hot` (the curve), `word` (the state) and `rate` or `level` (the rule).

pub mod allocator;
mod atomics;
mod bell;
mod counts;
mod curve;
pub mod divide;
mod earliest;
mod error;
mod far;
mod grain;
mod growth;
#[cfg(all(test, not(loom)))]
mod histories;
mod hot;
mod installed;
#[cfg(all(test, loom))]
mod interleavings;
mod keys;
pub mod lease;
mod level;
mod line;
mod listeners;
mod matches;
mod meter;
mod meters;
mod path;
mod rate;
mod reading;
mod refusal;
mod saved;
mod shared;
mod shares;
mod sip;
mod standing;
mod ticket;
mod time;
mod waiting;
mod why;
mod wide;
mod word;

pub use curve::{Curve, Measure, Segment};
pub use earliest::Retry;
pub use error::Error;
pub use far::{ANSWER_WAIT, Facts, Far, Kind, Outcome, Question, Told, Wanted};
pub use grain::grains_log2;
pub use growth::{Booked, Growth, Growths};
pub use matches::{ATTRIBUTE_BYTES_MAX, MatchRule, Matches, VALUE_BYTES_MAX};
pub use meter::MeterSpec;
pub use meters::Meters;
pub use path::{
    Answer, Demand, Excess, Key, Lending, Loan, Mode, Path, PathSpec, Recall, Reserved, SlotsOut, Stopped, try_together,
};
pub use reading::{MeterReading, PathReading, Standing};
pub use refusal::Refusal;
pub use shared::{STORIES_MAX, Shared};
pub use shares::{Part, ShareSpec};
pub use ticket::{Polled, Ticket};
pub use time::Clock;
pub use waiting::{WAITERS_MAX, Wake};
pub use why::Why;
