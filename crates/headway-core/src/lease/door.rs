//! What decisions of a gate touch: one word and the end of what is in it, by shared reference from many threads.
//!
//! The machines (`holding`, `tokens`) put leases and blocks in behind a lock, and read what was used. A demand takes from
//! the word in one exchange, so that whatever was taken out of it first is gone for that demand: before a machine says that
//! a lease lapsed or a block is closed it empties the word. After a fork `empty` needs no lock. Source: docs/leases.md.

use std::sync::Arc;

use crate::atomics::{AtomicI64, AtomicU64, Ordering, pause};
use crate::lease::drip::Drip;
use crate::lease::mutant;

/// Demands so far, for an estimate of what is wanted: counted without a locked addition, which would double what a demand
/// costs. Two in the same instant may count as one.
#[derive(Debug, Default)]
struct Demands {
    admitted: AtomicU64,
    refused: AtomicU64,
}

impl Demands {
    #[inline]
    fn count(&self, is_admitted: bool) -> bool {
        let count = if is_admitted { &self.admitted } else { &self.refused };
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        is_admitted
    }
}

/// A door: of slots, which come back, or of tokens, which do not.
#[derive(Debug, Clone)]
pub enum Door {
    Slots(Arc<SlotDoor>),
    Tokens(Arc<TokenDoor>),
}

impl Door {
    /// Admits `n` micro-units at `now`, on the clock of the gate. False: what is held does not cover it, or has ended.
    #[inline]
    pub fn take(&self, now: i64, n: u64) -> bool {
        match self {
            Door::Slots(slots) => slots.take(now, n),
            Door::Tokens(tokens) => tokens.take(now, n),
        }
    }

    /// Gives back what was taken; slots only, and after the end of a lease as well.
    #[inline]
    pub fn give_back(&self, n: u64) {
        if let Door::Slots(slots) = self {
            slots.free.fetch_add(i64::try_from(n).unwrap_or(i64::MAX), Ordering::AcqRel);
        }
    }

    /// Micro-units that a demand may have now.
    pub fn left(&self, now: i64) -> u64 {
        match self {
            Door::Slots(slots) => slots.left(now).max(0).unsigned_abs(),
            Door::Tokens(tokens) if now < tokens.end.load(Ordering::Acquire) => tokens.left(),
            Door::Tokens(_) => 0,
        }
    }

    /// Micro-units in flight above what is lent now; once that has ended nobody has asked for any back.
    pub fn over(&self, now: i64) -> u64 {
        match self {
            Door::Slots(slots) if now < slots.expires.load(Ordering::Acquire) => (-slots.free()).max(0).unsigned_abs(),
            _ => 0,
        }
    }

    /// Demands admitted and refused so far, nearly: what the gate's want is estimated from.
    pub fn demands(&self) -> (u64, u64) {
        let demands = match self {
            Door::Slots(slots) => &slots.demands,
            Door::Tokens(tokens) => &tokens.demands,
        };
        (demands.admitted.load(Ordering::Relaxed), demands.refused.load(Ordering::Relaxed))
    }

    /// Admits nothing from here on, in a process that was forked from the one that holds this. Stores alone: the lock of
    /// whoever puts something in may be held by a thread that does not exist here.
    pub fn empty(&self) {
        match self {
            Door::Slots(slots) => {
                slots.expires.store(i64::MIN, Ordering::SeqCst);
                slots.part_until.store(i64::MIN, Ordering::SeqCst);
                slots.free.store(i64::MIN / 2, Ordering::SeqCst);
            }
            Door::Tokens(tokens) => {
                tokens.end.store(i64::MIN, Ordering::SeqCst);
                tokens.part.end();
                tokens.word.store(0, Ordering::SeqCst);
            }
        }
    }
}

/// A concurrency: `free` is what lease and part of the floor allow less what is in flight, below zero after a cut. Where the
/// lease has ended it is the part that a demand finds, `free` less what the lease allowed.
#[derive(Debug)]
#[repr(align(64))]
pub struct SlotDoor {
    free: AtomicI64,
    expires: AtomicI64,
    leased: AtomicI64,
    part_until: AtomicI64,
    demands: Demands,
}

impl SlotDoor {
    pub(crate) fn new() -> SlotDoor {
        let never = || AtomicI64::new(i64::MIN);
        let (free, leased, demands) = (AtomicI64::new(0), AtomicI64::new(0), Demands::default());
        SlotDoor { free, expires: never(), leased, part_until: never(), demands }
    }

    #[inline]
    fn take(&self, now: i64, n: u64) -> bool {
        let Ok(n) = i64::try_from(n) else { return self.demands.count(false) };
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            // The end is read after the word: an end that came with other units finds another word below.
            if self.of(free, now) < n {
                return self.demands.count(false);
            }
            match self.free.compare_exchange_weak(free, free - n, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return self.demands.count(true),
                Err(other) => free = other,
            }
            pause();
        }
    }

    /// What of a word a demand may have at `now`.
    #[inline]
    fn of(&self, free: i64, now: i64) -> i64 {
        if now < self.expires.load(Ordering::Acquire) || mutant!(EndUnasked) {
            return free;
        }
        if now >= self.part_until.load(Ordering::Acquire) && !mutant!(PartWithoutEnd) {
            return 0;
        }
        let leased = if mutant!(PartBesideLease) { 0 } else { self.leased.load(Ordering::Acquire) };
        free.saturating_sub(leased)
    }

    fn left(&self, now: i64) -> i64 {
        self.of(self.free(), now)
    }

    pub(crate) fn free(&self) -> i64 {
        self.free.load(Ordering::Acquire)
    }

    /// Changes what a lease allows from `from` to `to` micro-units, until `expires`. In between neither is in force for
    /// longer than it says: of two ends the earlier stands, and of what is the lease's the larger.
    pub(crate) fn set(&self, from: u64, to: u64, expires: i64) {
        self.expires.fetch_min(expires, Ordering::AcqRel);
        self.leased.fetch_max(to.cast_signed(), Ordering::AcqRel);
        self.free.fetch_add(to.cast_signed() - from.cast_signed(), Ordering::AcqRel);
        self.leased.store(to.cast_signed(), Ordering::Release);
        self.expires.store(expires, Ordering::Release);
    }

    /// Changes the part of the floor from `from` to `to` micro-units, until an instant.
    pub(crate) fn set_part(&self, from: u64, to: u64, until: i64) {
        self.free.fetch_add(to.cast_signed() - from.cast_signed(), Ordering::AcqRel);
        self.part_until.store(until, Ordering::Release);
    }
}

/// A rate or quota: what is left of all blocks that demands may spend now, until the first of them ends.
#[derive(Debug)]
#[repr(align(64))]
pub struct TokenDoor {
    /// Micro-units in the low 48 bits; above them a number that grows whenever something is put in or taken out, so that no
    /// demand spends what it saw in there before. It comes round after 65,536 of those.
    word: AtomicU64,
    end: AtomicI64,
    demands: Demands,
    /// The part of the floor: what comes in there and is not taken is nobody's, so it is asked first.
    pub(crate) part: Drip,
}

const LEFT_BITS: u32 = 48;
/// The most micro-units that are in at once.
pub(crate) const LEFT_MAX: u64 = (1 << LEFT_BITS) - 1;

/// The word after this one, with so much left.
fn next(word: u64, left: u64) -> u64 {
    ((word >> LEFT_BITS).wrapping_add(1) << LEFT_BITS) | left
}

impl TokenDoor {
    pub(crate) fn new() -> TokenDoor {
        let (word, end, part) = (AtomicU64::new(0), AtomicI64::new(i64::MIN), Drip::new());
        TokenDoor { word, end, demands: Demands::default(), part }
    }

    #[inline]
    fn take(&self, now: i64, n: u64) -> bool {
        if self.part.take(now, n) {
            return self.demands.count(true);
        }
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let has_ended = now >= self.end.load(Ordering::Acquire) && !mutant!(BlockWithoutEnd);
            if word & LEFT_MAX < n || has_ended {
                return self.demands.count(false);
            }
            match self.word.compare_exchange_weak(word, word - n, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return self.demands.count(true),
                Err(other) => word = other,
            }
            pause();
        }
    }

    pub(crate) fn left(&self) -> u64 {
        self.word.load(Ordering::Acquire) & LEFT_MAX
    }

    /// Puts `n` in beside what is there; all of it ends at `end` or with what is there, whichever is first.
    pub(crate) fn add(&self, n: u64, end: i64) {
        self.end.fetch_min(end, Ordering::AcqRel);
        let mut word = self.word.load(Ordering::Acquire);
        while let Err(other) = self.word.compare_exchange_weak(
            word,
            next(word, (word & LEFT_MAX) + n),
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            word = other;
            pause();
        }
    }

    /// All that is left is of blocks that last until `end`, which is not before the end that it has.
    pub(crate) fn extend(&self, end: i64) {
        self.end.fetch_max(end, Ordering::AcqRel);
    }

    /// Takes out all that is left, and says how much that was.
    pub(crate) fn close(&self) -> u64 {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            match self.word.compare_exchange_weak(word, next(word, 0), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return word & LEFT_MAX,
                Err(other) => word = other,
            }
            pause();
        }
    }

    /// Puts `n` into a door that is closed, until `end`.
    pub(crate) fn open(&self, n: u64, end: i64) {
        self.end.store(end, Ordering::Release);
        self.add(n, end);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn slots() -> (Arc<SlotDoor>, Door) {
        let slots = Arc::new(SlotDoor::new());
        (Arc::clone(&slots), Door::Slots(slots))
    }

    fn tokens() -> (Arc<TokenDoor>, Door) {
        let tokens = Arc::new(TokenDoor::new());
        (Arc::clone(&tokens), Door::Tokens(tokens))
    }

    #[test]
    fn slots_are_taken_up_to_the_lease_and_come_back_after_its_end() {
        let (slots, door) = slots();
        assert!(!door.take(0, 1), "nothing is held yet");
        slots.set(0, 3, 100);
        assert!(door.take(99, 2) && !door.take(99, 2) && !door.take(100, 1));
        door.give_back(2);
        assert_eq!((3, 0), (door.left(99), door.left(100)));
        assert_eq!((1, 3), door.demands());
    }

    #[test]
    fn after_a_cut_what_is_over_has_to_come_back_before_anything_enters() {
        let (slots, door) = slots();
        slots.set(0, 3, 100);
        assert!(door.take(0, 3));
        slots.set(3, 1, 100);
        assert_eq!((-2, 0), (slots.free(), door.left(0)));
        door.give_back(2);
        assert!(!door.take(0, 1));
        door.give_back(1);
        assert!(door.take(0, 1));
    }

    #[test]
    fn tokens_are_spent_until_the_first_end_and_what_is_left_is_taken_out() {
        let (tokens, door) = tokens();
        tokens.open(3, 100);
        tokens.add(2, 150);
        assert!(door.take(99, 4) && !door.take(99, 2) && !door.take(100, 1));
        assert_eq!((1, 0), (tokens.close(), tokens.left()));
        assert!(!door.take(0, 1));
        tokens.open(1, 150);
        assert!(door.take(149, 1) && !door.take(149, 1));
        door.give_back(1);
        assert!(!door.take(149, 1), "tokens do not come back");
    }

    #[test]
    fn an_emptied_door_admits_nothing_whatever_comes_back() {
        let ((slots, a), (tokens, b)) = (slots(), tokens());
        slots.set(0, 3, 100);
        tokens.open(3, 100);
        for door in [a, b] {
            assert!(door.take(0, 1));
            door.empty();
            door.give_back(1);
            assert!(!door.take(0, 1) && !door.take(i64::MIN, 1));
            assert_eq!(0, door.left(0));
        }
    }

    #[test]
    fn amounts_that_no_lease_has_are_refused() {
        let ((slots, a), (tokens, b)) = (slots(), tokens());
        slots.set(0, 3, 100);
        tokens.open(3, 100);
        for door in [a, b] {
            assert!(!door.take(0, u64::MAX) && !door.take(0, 1 << 48) && !door.take(0, 4));
            assert_eq!(3, door.left(0));
        }
    }
}
