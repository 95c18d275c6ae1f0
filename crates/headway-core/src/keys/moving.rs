//! How a table is moved on: who helps, when the next one takes its place, when the old one is freed.

use std::sync::TryLockError;

use super::table::Table;
use super::{Inside, Keys, Retired, STRIPES, taken};
use crate::atomics::Ordering;

/// At the ceiling of keys one operation looks this far for a dead one before it refuses a new key, unless it meets too many
/// others before.
const LOOKED_AT_MOST: usize = 4_096;

impl Keys {
    /// One step of the move; `keys` counts down by what was carried.
    pub(super) fn help(&self, present: &Table, next: &Table, keys: &mut usize, is_alive: &dyn Fn(u64) -> bool) {
        if present.carry_step(next, keys, is_alive) {
            self.promote(present, next);
        }
    }

    /// Makes the next table the present one, once: whoever comes second finds it done.
    pub(super) fn promote(&self, present: &Table, next: &Table) {
        let (old, new) = (std::ptr::from_ref(present).cast_mut(), std::ptr::from_ref(next).cast_mut());
        if self.present.compare_exchange(old, new, Ordering::SeqCst, Ordering::Acquire).is_ok() {
            let mut retired = self.retired.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            retired.push(Retired { table: old, seen_empty: [false; STRIPES] });
            self.has_retired.store(true, Ordering::SeqCst);
        }
    }

    /// Hangs a next table on: twice as large where most keys live, the same where most are dead.
    pub(super) fn start_move(&self, present: &Table, base: u64, is_alive: &dyn Fn(u64) -> bool) {
        let occupied = present.occupied.load(Ordering::SeqCst).max(1);
        let alive = (occupied as f64 * present.share_alive(is_alive)) as usize;
        // The next table has to hold all that is here even if the sample misjudged it.
        let capacity = if alive * 2 > present.slots.len() { present.slots.len() * 2 } else { present.slots.len() };
        self.hang(present, Table::new(capacity, base));
    }

    pub(super) fn hang(&self, present: &Table, next: Table) {
        let next = Box::into_raw(Box::new(next));
        let hung = present.next.compare_exchange(std::ptr::null_mut(), next, Ordering::SeqCst, Ordering::Acquire);
        if hung.is_err() {
            // SAFETY: nobody else has seen this table; another thread hung its own first.
            drop(unsafe { Box::from_raw(next) });
        }
    }

    /// Moves on, dropping dead keys, until a new key finds a slot. At the ceiling of keys one step has to do: false where
    /// this operation has found no dead one within its bound: `keys` is how many others it may still carry.
    pub(super) fn make_room(
        &self,
        inside: &Inside<'_>,
        most: usize,
        keys: &mut usize,
        is_alive: &dyn Fn(u64) -> bool,
    ) -> bool {
        loop {
            // SAFETY: the references end with the round, `inside` does not.
            let (present, next) = unsafe { self.tables(inside) };
            let is_at_ceiling = taken(present, next) >= most;
            match next {
                // The table would grow at every refused key if it were judged by how full it is here.
                None if is_at_ceiling => self.hang(present, Table::new(present.slots.len(), present.base)),
                None => self.start_move(present, present.base, is_alive),
                Some(next) if present.cursor.load(Ordering::SeqCst) < present.slots.len() => {
                    if !is_at_ceiling {
                        self.help(present, next, keys, is_alive);
                    } else if present.carry_some(next, LOOKED_AT_MOST, keys, is_alive) {
                        self.promote(present, next);
                    }
                }
                Some(next) => {
                    // All steps were handed out, and one has not come back: its thread sleeps. Do its work for it.
                    present.carry_range(next, 0, present.slots.len(), is_alive);
                    self.promote(present, next);
                }
            }
            // SAFETY: as above.
            let (present, next) = unsafe { self.tables(inside) };
            let taken = taken(present, next);
            if taken < most && taken < next.unwrap_or(present).fill() {
                return true;
            }
            if is_at_ceiling && next.is_none_or(|_| present.cursor.load(Ordering::SeqCst) > 0) {
                return false;
            }
        }
    }

    /// Renews the base of every mark by moving all keys into a table of the new base.
    pub(crate) fn renew(&self, base: u64, is_alive: &dyn Fn(u64) -> bool) {
        let inside = self.enter();
        loop {
            // SAFETY: `inside` outlives the references.
            let (present, next) = unsafe { self.tables(&inside) };
            match next {
                Some(next) => {
                    // Whoever publishes may take as long as that needs.
                    self.help(present, next, &mut { usize::MAX }, is_alive);
                    crate::atomics::pause();
                }
                None if present.base == base => return,
                None => self.hang(present, Table::new(present.slots.len(), base)),
            }
        }
    }

    /// Begins a move to a table of the same size, for the model checker.
    #[cfg(all(test, loom))]
    pub(crate) fn begin_move(&self) {
        let inside = self.enter();
        // SAFETY: `inside` outlives the references.
        let (present, _) = unsafe { self.tables(&inside) };
        self.hang(present, Table::new(present.slots.len(), present.base));
    }

    pub(super) fn free_retired(&self) {
        let mut retired = match self.retired.try_lock() {
            Ok(retired) => retired,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let empty: [bool; STRIPES] = std::array::from_fn(|i| self.inside[i].0.load(Ordering::SeqCst) == 0);
        retired.retain_mut(|old| {
            for (seen, now) in old.seen_empty.iter_mut().zip(empty) {
                *seen |= now;
            }
            let free = old.seen_empty.iter().all(|seen| *seen);
            if free {
                // SAFETY: the table left `present` before any stripe was looked at, and each stripe was empty since: a
                // reader that could hold it has gone, later ones cannot reach it.
                drop(unsafe { Box::from_raw(old.table) });
            }
            !free
        });
        self.has_retired.store(!retired.is_empty(), Ordering::SeqCst);
    }
}
