//! One table of keys: slots, how they are found and claimed, how they are carried to the next table.

use crate::atomics::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::word::{Seen, Word};

pub(super) const EMPTY: u64 = 0;
pub(super) const SEALED: u64 = 1;

/// Slots that one operation carries over while a table moves; one alone where every interleaving is tried.
pub(super) const STEP: usize = if cfg!(loom) { 1 } else { 32 };
/// Keys that one operation carries over at most, whatever it does: its step, its own key, and what it looks for at the
/// ceiling.
pub(super) const CARRIED_MAX: usize = 64;
/// Slots of a step at the ceiling.
const STEP_AT_CEILING: usize = if cfg!(loom) { 1 } else { 8 };
/// Slots that are looked at to count live keys.
const COUNTED: usize = 65_536;

#[cfg(all(test, not(loom)))]
thread_local!(pub(super) static CARRIED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) hash: AtomicU64,
    pub(super) word: Word,
}

pub(super) struct Table {
    pub(super) slots: Box<[Slot]>,
    /// Slots claimed and not carried away.
    pub(super) occupied: AtomicUsize,
    pub(super) next: AtomicPtr<Table>,
    /// The next slot to carry, and how many are carried.
    pub(super) cursor: AtomicUsize,
    pub(super) carried: AtomicUsize,
    /// What renewals had taken off the marks in this table.
    pub(super) base: u64,
}

impl Table {
    pub(super) fn new(capacity: usize, base: u64) -> Table {
        debug_assert!(capacity.is_power_of_two());
        Table {
            slots: empty_slots(capacity),
            occupied: AtomicUsize::new(0),
            next: AtomicPtr::new(std::ptr::null_mut()),
            cursor: AtomicUsize::new(0),
            carried: AtomicUsize::new(0),
            base,
        }
    }

    #[inline]
    pub(super) fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    /// The slot of `hash`, without claiming one.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Option<&Slot> {
        let mut at = hash as usize & self.mask();
        for _ in 0..self.slots.len() {
            let slot = &self.slots[at];
            match slot.hash.load(Ordering::Acquire) {
                EMPTY | SEALED => return None,
                there if there == hash => return Some(slot),
                _ => at = (at + 1) & self.mask(),
            }
        }
        None
    }

    /// The slot of `hash`, claimed if need be.
    #[inline]
    pub(super) fn claim(&self, hash: u64, room: impl Fn() -> bool) -> Claim<'_> {
        let mut at = hash as usize & self.mask();
        for _ in 0..self.slots.len() {
            let slot = &self.slots[at];
            let mut there = slot.hash.load(Ordering::Acquire);
            if there == EMPTY {
                self.occupied.fetch_add(1, Ordering::SeqCst);
                if !room() {
                    self.occupied.fetch_sub(1, Ordering::SeqCst);
                    return Claim::NoRoom;
                }
                match slot.hash.compare_exchange(EMPTY, hash, Ordering::SeqCst, Ordering::Acquire) {
                    Ok(_) => return Claim::At(slot),
                    Err(taken) => {
                        self.occupied.fetch_sub(1, Ordering::SeqCst);
                        there = taken;
                    }
                }
            }
            if there == hash {
                return Claim::At(slot);
            }
            if there == SEALED {
                return Claim::Moving;
            }
            at = (at + 1) & self.mask();
        }
        Claim::NoRoom
    }

    /// Makes sure that `hash` is nowhere in this table any more but in its next one.
    pub(super) fn evict(&self, next: &Table, hash: u64, is_alive: &dyn Fn(u64) -> bool) {
        let mut at = hash as usize & self.mask();
        for _ in 0..self.slots.len() {
            let slot = &self.slots[at];
            let mut there = slot.hash.load(Ordering::Acquire);
            if there == EMPTY {
                match slot.hash.compare_exchange(EMPTY, SEALED, Ordering::SeqCst, Ordering::Acquire) {
                    Ok(_) => return,
                    Err(taken) => there = taken,
                }
            }
            if there == hash {
                self.carry(slot, next, hash, is_alive);
                return;
            }
            if there == SEALED {
                return;
            }
            at = (at + 1) & self.mask();
        }
    }

    /// Whether the key was alive, and so had to be written into the next table.
    pub(super) fn carry(&self, slot: &Slot, next: &Table, hash: u64, is_alive: &dyn Fn(u64) -> bool) -> bool {
        let frozen = slot.word.freeze();
        let has_to = frozen.is_set() && is_alive(frozen.value());
        if has_to {
            #[cfg(all(test, not(loom)))]
            CARRIED.with(|count| count.set(count.get() + 1));
            let renewed = next.base.wrapping_sub(self.base);
            // No slot means that `next` itself has moved on since: whoever moved this table for us carried the key too.
            if let Claim::At(there) = next.claim(hash, || true) {
                there.word.carry(frozen.value().saturating_sub(renewed));
            }
        }
        if !frozen.is_frozen() {
            self.occupied.fetch_sub(1, Ordering::SeqCst);
        }
        has_to
    }

    /// Carries one step of slots; true when this was the last step of all. `keys` counts down by the keys among them.
    pub(super) fn carry_step(&self, next: &Table, keys: &mut usize, is_alive: &dyn Fn(u64) -> bool) -> bool {
        self.carry_next(STEP, next, keys, is_alive).unwrap_or(false)
    }

    /// Looks through up to `most` slots for dead keys, and carries no more than `keys` others; true when this was the last
    /// step of all.
    pub(super) fn carry_some(
        &self,
        next: &Table,
        most: usize,
        keys: &mut usize,
        is_alive: &dyn Fn(u64) -> bool,
    ) -> bool {
        let mut left = most;
        while left > 0 && *keys >= STEP_AT_CEILING {
            match self.carry_next(STEP_AT_CEILING, next, keys, is_alive) {
                None => return false,
                Some(true) => return true,
                Some(false) => left = left.saturating_sub(STEP_AT_CEILING),
            }
        }
        false
    }

    /// Carries the next so many slots: whether they were the last of all. None where all are handed out.
    fn carry_next(&self, step: usize, next: &Table, keys: &mut usize, is_alive: &dyn Fn(u64) -> bool) -> Option<bool> {
        let from = self.cursor.fetch_add(step, Ordering::SeqCst);
        if from >= self.slots.len() {
            self.cursor.store(self.slots.len(), Ordering::SeqCst);
            return None;
        }
        let to = (from + step).min(self.slots.len());
        *keys = keys.saturating_sub(self.carry_range(next, from, to, is_alive));
        Some(self.carried.fetch_add(to - from, Ordering::SeqCst) + (to - from) == self.slots.len())
    }

    /// Carries or seals each slot of a range. Done twice it does nothing more: a word is frozen once, and carried into a
    /// word only as long as nobody has written that. How many keys there were.
    pub(super) fn carry_range(&self, next: &Table, from: usize, to: usize, is_alive: &dyn Fn(u64) -> bool) -> usize {
        let mut keys = 0;
        for slot in &self.slots[from..to] {
            let mut there = slot.hash.load(Ordering::Acquire);
            if there == EMPTY {
                match slot.hash.compare_exchange(EMPTY, SEALED, Ordering::SeqCst, Ordering::Acquire) {
                    Ok(_) => continue,
                    Err(taken) => there = taken,
                }
            }
            if there != SEALED {
                keys += usize::from(self.carry(slot, next, there, is_alive));
            }
        }
        keys
    }
}

pub(super) enum Claim<'a> {
    At(&'a Slot),
    /// The key may not be claimed here: the table is being moved.
    Moving,
    NoRoom,
}

#[cfg(not(loom))]
fn empty_slots(capacity: usize) -> Box<[Slot]> {
    // SAFETY: a Slot is two AtomicU64, for which all bits zero is a value; zeroed pages cost nothing until touched.
    unsafe { Box::new_zeroed_slice(capacity).assume_init() }
}

#[cfg(loom)]
fn empty_slots(capacity: usize) -> Box<[Slot]> {
    (0..capacity).map(|_| Slot { hash: AtomicU64::new(EMPTY), word: Word::unset() }).collect()
}

impl Table {
    /// Slots that may be taken: the last eighth stays free, so that probes end.
    pub(super) fn fill(&self) -> usize {
        self.slots.len() - self.slots.len() / 8
    }

    pub(super) fn sample(&self, most: usize) -> impl Iterator<Item = &Slot> {
        self.slots.iter().step_by((self.slots.len() / most).max(1))
    }

    pub(super) fn live(&self, is_alive: &dyn Fn(u64) -> bool) -> usize {
        let step = (self.slots.len() / COUNTED).max(1);
        let lives = |seen: Seen| seen.is_set() && !seen.is_frozen() && is_alive(seen.value());
        self.sample(COUNTED).filter(|slot| lives(slot.word.load())).count() * step
    }

    pub(super) fn share_alive(&self, is_alive: &dyn Fn(u64) -> bool) -> f64 {
        let claimed = || self.sample(1_024).filter(|slot| slot.hash.load(Ordering::Relaxed) > SEALED);
        let alive = claimed().filter(|slot| {
            let seen = slot.word.load();
            seen.is_set() && is_alive(seen.value())
        });
        alive.count() as f64 / claimed().count().max(1) as f64
    }
}
