//! What a limiter has decided so far, counted; all relaxed, for readings.

use crate::atomics::{AtomicU64, Ordering};
use crate::why::Why;

/// A count that callers who take turns (under an interpreter's lock) raise without a locked addition, and all others with
/// one. Each kind has a word of its own, so that neither loses what the other counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    in_turn: AtomicU64,
    at_once: AtomicU64,
}

impl Tally {
    #[inline]
    fn add(&self, n: u64) {
        self.at_once.fetch_add(n, Ordering::Relaxed);
    }

    #[inline]
    fn add_in_turn(&self, n: u64) {
        self.in_turn.store(self.in_turn.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.in_turn.load(Ordering::Relaxed) + self.at_once.load(Ordering::Relaxed)
    }
}

/// The counts of one limiter's decisions since the process started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Admitted demands of one unit, and the others with their units: one addition on the usual way.
    pub(crate) ones: Tally,
    pub(crate) others: AtomicU64,
    pub(crate) other_units: AtomicU64,
    pub(crate) refused: [Tally; Why::COUNT],
    /// Units of refused demands beyond one each.
    pub(crate) refused_more: AtomicU64,
    /// Units of slots given back.
    pub(crate) released_units: AtomicU64,
    pub(crate) dropped_unreleased: AtomicU64,
    pub(crate) double_released: AtomicU64,
    pub(crate) settled_above_max: AtomicU64,
    /// Micro-units of demands on loan, or booked for others.
    pub(crate) on_loan: AtomicU64,
    /// Demands that others decided by what is lent to them, as far as they have told.
    pub(crate) admitted_elsewhere: AtomicU64,
    pub(crate) refused_elsewhere: AtomicU64,
    /// Of the former, those that nobody guaranteed: their gate was cut off, and its contract is open then.
    pub(crate) unguaranteed: AtomicU64,
}

impl Counts {
    #[inline]
    pub(crate) fn admit(&self, units: u64) {
        if units == 1 { self.ones.add(1) } else { self.admit_more(units) }
    }

    #[inline]
    pub(crate) fn admit_in_turn(&self, units: u64) {
        if units == 1 { self.ones.add_in_turn(1) } else { self.admit_more(units) }
    }

    fn admit_more(&self, units: u64) {
        self.others.fetch_add(1, Ordering::Relaxed);
        self.other_units.fetch_add(units, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, why: Why, units: u64) {
        self.refused[why as usize].add(1);
        self.refuse_more(units);
    }

    #[inline]
    pub(crate) fn refuse_in_turn(&self, why: Why, units: u64) {
        self.refused[why as usize].add_in_turn(1);
        self.refuse_more(units);
    }

    #[inline]
    fn refuse_more(&self, units: u64) {
        if units > 1 {
            self.refused_more.fetch_add(units - 1, Ordering::Relaxed);
        }
    }

    /// Units of slots that are held: admitted and not given back.
    pub(crate) fn held_units(&self) -> u64 {
        self.admitted_units().saturating_sub(self.released_units.load(Ordering::Relaxed))
    }

    pub(crate) fn admitted(&self) -> u64 {
        self.ones.read() + self.others.load(Ordering::Relaxed)
    }

    pub(crate) fn admitted_units(&self) -> u64 {
        self.ones.read() + self.other_units.load(Ordering::Relaxed)
    }
}
