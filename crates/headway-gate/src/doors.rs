//! Where demands of a path are decided by what is lent: words that many threads take from, and no lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use headway_core::lease::Door;

/// Micro-units of a unit.
pub(crate) const MICRO: u64 = 1_000_000;

/// Where demands of one path are decided, in the process that has made them.
#[derive(Debug)]
pub(crate) struct Doors {
    /// The forks that this process came out of when they were made: in a child they are its parent's.
    pub(crate) forks: u64,
    pub(crate) slots: Option<Door>,
    pub(crate) tokens: Option<Door>,
    /// Micro-units of slots taken here and not given back yet.
    pub(crate) taken: AtomicU64,
    /// Slots of this path that were asked for one by one.
    pub(crate) asked: AtomicUsize,
    /// Demands of this path that queue at the keeper.
    pub(crate) waiting: AtomicUsize,
    /// The most units that a demand had of late.
    pub(crate) largest: AtomicU64,
}

impl Doors {
    pub(crate) fn is_of(&self, forks: u64) -> bool {
        self.forks == forks
    }

    /// Whether what is taken has to be given back.
    pub(crate) fn has_slots(&self) -> bool {
        self.slots.is_some()
    }

    /// Takes what a demand costs, unless others wait for it.
    #[inline]
    pub(crate) fn take(&self, now: i64, units: u64) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0 && self.take_first(now, units)
    }

    /// The same for whoever is the first in line.
    pub(crate) fn take_first(&self, now: i64, units: u64) -> bool {
        if units > self.largest.load(Ordering::Relaxed) {
            self.largest.store(units, Ordering::Relaxed);
        }
        let Some(n) = units.checked_mul(MICRO) else { return false };
        if self.slots.as_ref().is_some_and(|slots| !slots.take(now, n)) {
            return false;
        }
        if self.tokens.as_ref().is_some_and(|tokens| !tokens.take(now, n)) {
            self.slots.iter().for_each(|slots| slots.give_back(n));
            return false;
        }
        if self.slots.is_some() {
            self.taken.fetch_add(n, Ordering::AcqRel);
        }
        true
    }

    /// Gives slots back; never more than were taken here, for what was open at a fork ends in the child as well.
    pub(crate) fn give_back(&self, units: u64) {
        let n = units.saturating_mul(MICRO);
        let was_taken = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| taken.checked_sub(n));
        if let (Ok(_), Some(slots)) = (was_taken, &self.slots) {
            slots.give_back(n);
        }
    }

    /// Demands so far: admitted, and those that went without.
    pub(crate) fn demands(&self) -> (u64, u64) {
        match (&self.slots, &self.tokens) {
            // Slots are asked first: what found no tokens has given them back, and counts as without.
            (Some(slots), Some(tokens)) => {
                let (admitted, without) = tokens.demands();
                (admitted, without.saturating_add(slots.demands().1))
            }
            (one, another) => one.as_ref().or(another.as_ref()).map_or((0, 0), Door::demands),
        }
    }
}
