//! Keys of a meter: a lock-free table of (hash, word), 16 bytes a key, that grows and forgets by moving on.
//!
//! Open addressing, linear probing; a hash once written never leaves its table. To grow, or to drop dead keys, a next
//! table is hung onto the present one and every operation carries a few slots over, never more than 64 keys. A slot is carried by freezing its
//! word, writing the value into the next table only if nobody has, and leaving the frozen word behind. An empty slot is
//! sealed: a key that finds a sealed slot in its probe knows that it is not in this table and never will be. When all
//! slots are carried the next table becomes the present one, and the old one is freed when no reader can hold it.
//!
//! Dead keys (no different from new ones) are dropped by being carried nowhere. No sweeps, no timers.

mod moving;
mod table;

use std::sync::Mutex;

use crate::atomics::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use crate::word::{Seen, Word};

use table::{CARRIED_MAX, Claim, SEALED, STEP, Slot, Table};

const SMALLEST: usize = 128;
/// The counters of readers are spread over this many cache lines.
const STRIPES: usize = if cfg!(loom) { 1 } else { 16 };

/// A count on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(AtomicUsize);

/// No slot for a new key: as many as may live are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyKeys;

/// The table of a meter's keys.
pub(crate) struct Keys {
    present: AtomicPtr<Table>,
    most: usize,
    /// Readers inside, by stripe: a retired table is freed once each stripe was seen empty.
    inside: [Stripe; STRIPES],
    retired: Mutex<Vec<Retired>>,
    has_retired: AtomicBool,
}

struct Retired {
    table: *mut Table,
    seen_empty: [bool; STRIPES],
}

// SAFETY: a retired table is reached only through the mutex, by whoever frees it.
unsafe impl Send for Retired {}

struct Inside<'a>(&'a Stripe);

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Which stripe this thread counts in: threads take turns.
#[inline]
fn stripe() -> usize {
    #[cfg(not(loom))]
    {
        use std::sync::atomic::AtomicUsize as Counter;
        static NEXT: Counter = Counter::new(0);
        thread_local!(static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        MINE.with(|mine| *mine)
    }
    #[cfg(loom)]
    0
}

impl Keys {
    pub(crate) fn new(most: usize) -> Keys {
        Keys::with_capacity(most, SMALLEST)
    }

    /// Starts with room for `capacity` slots, a power of two; small ones are for tests that want many moves.
    pub(crate) fn with_capacity(most: usize, capacity: usize) -> Keys {
        Keys {
            present: AtomicPtr::new(Box::into_raw(Box::new(Table::new(capacity, 0)))),
            most,
            inside: std::array::from_fn(|_| Stripe::default()),
            retired: Mutex::new(vec![]),
            has_retired: AtomicBool::new(false),
        }
    }

    #[inline]
    fn enter(&self) -> Inside<'_> {
        let stripe = &self.inside[stripe()];
        stripe.0.fetch_add(1, Ordering::SeqCst);
        Inside(stripe)
    }

    /// The present table and, while it is moved, the next.
    ///
    /// # Safety
    /// Only while `_inside` lives: that is what keeps both from being freed.
    #[inline]
    unsafe fn tables<'a>(&self, _inside: &'a Inside<'_>) -> (&'a Table, Option<&'a Table>) {
        // SAFETY: the pointer is a Box of ours that is retired before it is freed, and freed when no reader is inside.
        let present = unsafe { &*self.present.load(Ordering::SeqCst) };
        // SAFETY: as above; a next table is freed only after it became present and was retired.
        let next = unsafe { present.next.load(Ordering::SeqCst).as_ref() };
        (present, next)
    }

    /// Runs `act` on the word of a key (claimed if it is new) with the base its marks are in, until it does not ask for
    /// the word anew by returning None.
    ///
    /// `is_alive` says of a value whether its key still differs from a new one.
    #[inline]
    pub(crate) fn with<R>(
        &self,
        hash: u64,
        is_alive: &dyn Fn(u64) -> bool,
        act: impl FnMut(&Word, u64) -> Option<R>,
    ) -> Result<R, TooManyKeys> {
        self.with_at_most(self.most, hash, is_alive, act)
    }

    /// Runs `act` once on the word of a key that is in the table, with the base its marks are in; None where the key is new,
    /// or there is housekeeping to do that `with` does.
    #[inline]
    pub(crate) fn with_known<R>(&self, hash: u64, act: impl FnOnce(&Word, u64) -> Option<R>) -> Option<R> {
        if hash <= SEALED || self.has_retired.load(Ordering::Relaxed) {
            return None;
        }
        let inside = self.enter();
        // SAFETY: `inside` outlives the references.
        let (present, next) = unsafe { self.tables(&inside) };
        if next.is_some() {
            return None;
        }
        // Should the table start to move now, the word is frozen before it is carried, and `act` finds it so.
        act(&present.find(hash)?.word, present.base)
    }

    /// Takes up a key of an earlier run, over the ceiling if need be: what was used is never forgotten for want of room.
    pub(crate) fn take_up(&self, hash: u64, value: u64) {
        let carry = |word: &Word, _| {
            word.carry(value);
            Some(())
        };
        let taken = self.with_at_most(usize::MAX, hash, &|_| true, carry);
        assert!(taken.is_ok(), "a table that may grow always has a slot");
    }

    #[inline]
    fn with_at_most<R>(
        &self,
        most: usize,
        hash: u64,
        is_alive: &dyn Fn(u64) -> bool,
        mut act: impl FnMut(&Word, u64) -> Option<R>,
    ) -> Result<R, TooManyKeys> {
        let hash = if hash <= SEALED { hash + 2 } else { hash };
        let result = {
            let inside = self.enter();
            // Its own key is the one that may come on top.
            let mut keys = CARRIED_MAX - 1;
            loop {
                // SAFETY: `inside` outlives the references.
                let (present, next) = unsafe { self.tables(&inside) };
                let target = match next {
                    None => present,
                    Some(next) => {
                        // Once an operation, as a rule: what it may still carry then is for the ceiling.
                        if keys >= STEP {
                            self.help(present, next, &mut keys, is_alive);
                        }
                        present.evict(next, hash, is_alive);
                        next
                    }
                };
                let room = || {
                    let taken = taken(present, next);
                    taken <= most && taken <= target.fill()
                };
                match target.claim(hash, room) {
                    Claim::At(slot) => {
                        if let Some(result) = act(&slot.word, target.base) {
                            if next.is_none() && target.occupied.load(Ordering::Relaxed) > target.slots.len() / 4 * 3 {
                                self.start_move(present, target.base, is_alive);
                            }
                            break Ok(result);
                        }
                        crate::atomics::pause();
                    }
                    Claim::Moving => crate::atomics::pause(),
                    Claim::NoRoom => {
                        if !self.make_room(&inside, most, &mut keys, is_alive) {
                            break Err(TooManyKeys);
                        }
                    }
                }
            }
        };
        if self.has_retired.load(Ordering::Relaxed) {
            self.free_retired();
        }
        result
    }

    /// The value of a key; 0, as of a new one, where there is none.
    pub(crate) fn value(&self, hash: u64) -> Seen {
        let hash = if hash <= SEALED { hash + 2 } else { hash };
        let unset = Word::default().load();
        let inside = self.enter();
        // SAFETY: `inside` outlives the references.
        let (present, next) = unsafe { self.tables(&inside) };
        // The next table has the newer word, if it has one that was written.
        let newer = next.and_then(|next| next.find(hash)).map(|slot| slot.word.load()).filter(|seen| seen.is_set());
        newer.or_else(|| present.find(hash).map(|slot| slot.word.load())).unwrap_or(unset)
    }

    /// How many keys differ from new ones: exact up to 65,536 slots, above that estimated from as many.
    pub(crate) fn live(&self, is_alive: &dyn Fn(u64) -> bool) -> usize {
        let inside = self.enter();
        // SAFETY: `inside` outlives the references.
        let (present, next) = unsafe { self.tables(&inside) };
        [Some(present), next].into_iter().flatten().map(|t| t.live(is_alive)).sum()
    }

    /// The largest value, by `of`, among at most 1,024 slots.
    pub(crate) fn largest(&self, of: impl Fn(u64) -> u64) -> u64 {
        let inside = self.enter();
        // SAFETY: `inside` outlives the references.
        let (present, next) = unsafe { self.tables(&inside) };
        let tables = [Some(present), next].into_iter().flatten();
        let seen = tables.flat_map(|t| t.sample(1_024)).map(|slot| slot.word.load());
        seen.filter(|seen| seen.is_set() && !seen.is_frozen()).map(|seen| of(seen.value())).max().unwrap_or(0)
    }

    /// Every key's hash and value, for saving; after `close`, when nobody changes them.
    pub(crate) fn all(&self, is_alive: &dyn Fn(u64) -> bool) -> Vec<(u64, u64)> {
        let inside = self.enter();
        // SAFETY: `inside` outlives the references.
        let (present, next) = unsafe { self.tables(&inside) };
        let tables = [Some(present), next].into_iter().flatten();
        tables
            .flat_map(|t| t.slots.iter())
            .filter_map(|slot| {
                let (hash, seen) = (slot.hash.load(Ordering::Acquire), slot.word.load());
                let lives = hash > SEALED && seen.is_set() && !seen.is_frozen() && is_alive(seen.value());
                lives.then(|| (hash, seen.value()))
            })
            .collect()
    }

    /// Bytes of the tables that are in use.
    pub(crate) fn bytes(&self) -> usize {
        let inside = self.enter();
        // SAFETY: `inside` outlives the references.
        let (present, next) = unsafe { self.tables(&inside) };
        (present.slots.len() + next.map_or(0, |n| n.slots.len())) * size_of::<Slot>()
    }
}

/// Slots taken in the tables that are in use, keys on their way counted with both.
fn taken(present: &Table, next: Option<&Table>) -> usize {
    present.occupied.load(Ordering::SeqCst) + next.map_or(0, |next| next.occupied.load(Ordering::SeqCst))
}

impl Drop for Keys {
    fn drop(&mut self) {
        let mut tables = vec![self.present.load(Ordering::SeqCst)];
        // SAFETY: `&mut self`: nobody is inside. A next table is owned by the one it hangs on.
        tables.push(unsafe { &*tables[0] }.next.load(Ordering::SeqCst));
        let retired = self.retired.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        tables.extend(retired.drain(..).map(|old| old.table));
        for table in tables.into_iter().filter(|table| !table.is_null()) {
            // SAFETY: each pointer is a Box of ours that appears once: retired tables left `present` behind.
            drop(unsafe { Box::from_raw(table) });
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use table::CARRIED;

    /// How many keys the one operation on a key carried over, and whether the key has a place.
    fn carried(keys: &Keys, key: u64, is_alive: &dyn Fn(u64) -> bool) -> (usize, bool) {
        CARRIED.set(0);
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 2;
        let placed = keys.with(hash, is_alive, |word, _| {
            let seen = word.load();
            if seen.is_frozen() { None } else { word.replace(seen, seen.value() + 1 + key % 2).ok() }
        });
        (CARRIED.get(), placed.is_ok())
    }

    #[test]
    fn no_operation_carries_more_than_64_keys_while_tables_grow_and_at_the_ceiling() {
        let keys = Keys::with_capacity(20_000, SMALLEST);
        let (mut most, mut placed) = (0, 0);
        for key in 0..200_000 {
            let (moved, has_place) = carried(&keys, key, &|value| value > 0);
            (most, placed) = (most.max(moved), placed + usize::from(has_place));
        }
        assert!((1..=64).contains(&most), "one operation carried {most}");
        assert_eq!(20_000, placed);
        let of_known = (0..20_000).map(|key| carried(&keys, key, &|value| value > 0)).max().unwrap();
        assert!(of_known.0 <= 64 && of_known.1, "{of_known:?}");
    }

    #[test]
    fn no_operation_carries_more_than_64_keys_where_half_of_them_die() {
        let keys = Keys::with_capacity(20_000, SMALLEST);
        let mut most = 0;
        // Values of one are dead at once: those of every other key.
        let placed = (0..200_000).filter(|key| {
            let (moved, has_place) = carried(&keys, *key, &|value| value > 1);
            most = most.max(moved);
            has_place
        });
        let placed = placed.count();
        assert!((1..=64).contains(&most), "one operation carried {most}");
        assert!((35_000..=41_000).contains(&placed), "{placed} of 200,000 had a place");
    }

    #[test]
    fn threads_that_make_tables_grow_and_forget_lose_no_use() {
        // Four threads add one to 3,000 keys in turn, each key from all threads, while every other key they touch is dead
        // at once: tables grow, forget and are freed all the time.
        let keys = Keys::with_capacity(1 << 20, SMALLEST);
        let is_alive = |value: u64| value > 0;
        let add = |hash: u64| {
            let act = |word: &Word, _| {
                let seen = word.load();
                if seen.is_frozen() { None } else { word.replace(seen, seen.value() + 1).ok() }
            };
            keys.with(hash, &is_alive, act).expect("room");
        };
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (keys, add) = (&keys, &add);
                scope.spawn(move || {
                    for round in 0..40 {
                        for key in 0..3_000u64 {
                            add(key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 2);
                            let dead = (thread << 40 | round << 20 | key).wrapping_mul(0xc2b2_ae3d_27d4_eb4f) | 4;
                            keys.with(dead, &is_alive, |_, _| Some(())).expect("room");
                        }
                    }
                });
            }
        });
        let all: Vec<u64> = keys.all(&is_alive).into_iter().map(|(_, value)| value).collect();
        assert_eq!((3_000, 3_000 * 40 * 4), (all.len(), all.iter().sum::<u64>()));
        assert!(keys.bytes() <= 16 * 16_384, "{} bytes for 3,000 keys", keys.bytes());
    }
}
