//! The atomics of this crate: the standard ones, or loom's when a model is run.
//!
//! `make loom` explores the interleavings of the paths that use these (`interleavings.rs`); nothing else in the crate may
//! name an atomic.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

/// Waits a moment for another thread that is in the middle of a short, bounded step.
pub(crate) fn pause() {
    #[cfg(not(loom))]
    std::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}
