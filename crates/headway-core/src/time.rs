//! The clock that decisions read, as the core sees it.

/// A clock that runs through suspend, in nanoseconds. The machine's and the manual one live in the binding.
pub trait Clock {
    fn boot_ns(&self) -> i64;
}
