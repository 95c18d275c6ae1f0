//! The clock that decisions read: nanoseconds since the machine started, suspend included.
//!
//! `boot_ns` asks the kernel (`CLOCK_BOOTTIME`; `CLOCK_MONOTONIC` where there is none), which is half of what a decision
//! costs. Between two such readings, for 50 µs at most, it continues the last one by the processor's time-stamp counter:
//! never ahead of the kernel's clock, and less than 100 ns behind it. Where the counter may not be trusted, or the kernel
//! itself does not use it, every reading is the kernel's.

mod counter;
mod line;
mod machine;

pub use machine::boot_ns;

/// How far behind the kernel's clock a reading may be, in ns, beside the time that the reading itself takes.
pub const LAG_NS: i64 = 100;
