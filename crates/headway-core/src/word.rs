//! The one atomic word in which a meter, or one key of it, keeps its state.
//!
//! Bit 0: the word was set (a word that is all zero was never written, which for every measure equals new). Bit 1: frozen,
//! being moved elsewhere: nobody may change it any more. Above them 62 bits of value, whose meaning is the measure's:
//! a rate's mark; a concurrency's curve version (14 bits) and units in flight (48); a quota's window tag (14) and use (48).

use crate::atomics::{AtomicU64, Ordering};

const SET: u64 = 1;
const FROZEN: u64 = 2;

/// Bits of the tag beside an amount, and of the amount.
pub(crate) const TAG_MASK: u16 = (1 << 14) - 1;
const AMOUNT_BITS: u32 = 48;
pub(crate) const AMOUNT_MAX: u64 = (1 << AMOUNT_BITS) - 1;

/// What a word held at one load; handed back to change it only if it still holds that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen(u64);

impl Seen {
    #[inline]
    pub(crate) fn value(self) -> u64 {
        self.0 >> 2
    }

    #[inline]
    pub(crate) fn is_frozen(self) -> bool {
        self.0 & FROZEN != 0
    }

    pub(crate) fn is_set(self) -> bool {
        self.0 & SET != 0
    }
}

#[derive(Debug, Default)]
pub(crate) struct Word(AtomicU64);

impl Word {
    #[cfg(test)]
    pub(crate) fn new(value: u64) -> Word {
        Word(AtomicU64::new(value << 2 | SET))
    }

    /// Never written: what fresh memory holds.
    #[cfg(loom)]
    pub(crate) fn unset() -> Word {
        Word(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn load(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    /// Writes `value` if the word still holds what was seen. SeqCst: a reader that looks at the curve again after this
    /// must not have that load moved before it.
    #[inline]
    pub(crate) fn replace(&self, seen: Seen, value: u64) -> Result<(), Seen> {
        debug_assert!(!seen.is_frozen());
        self.0.compare_exchange(seen.0, value << 2 | SET, Ordering::SeqCst, Ordering::Acquire).map(|_| ()).map_err(Seen)
    }

    /// Forbids every later change and says what is to be moved.
    pub(crate) fn freeze(&self) -> Seen {
        Seen(self.0.fetch_or(FROZEN, Ordering::SeqCst))
    }

    /// Ends a freeze with a new value; only for the thread that froze a word that is not being moved elsewhere.
    pub(crate) fn thaw(&self, value: u64) {
        self.0.store(value << 2 | SET, Ordering::SeqCst);
    }

    /// Carries a value into a word that nobody has written; where somebody has, theirs is newer and stays.
    pub(crate) fn carry(&self, value: u64) {
        // Failure means that another thread carried the same frozen value first, and the key may have been used since.
        self.0.compare_exchange(0, value << 2 | SET, Ordering::SeqCst, Ordering::Acquire).unwrap_or(0);
    }
}

/// A tag and an amount in one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tagged {
    pub(crate) tag: u16,
    pub(crate) amount: u64,
}

impl Tagged {
    #[inline]
    pub(crate) fn of(value: u64) -> Tagged {
        Tagged { tag: (value >> AMOUNT_BITS) as u16 & TAG_MASK, amount: value & AMOUNT_MAX }
    }

    #[inline]
    pub(crate) fn value(self) -> u64 {
        debug_assert!(self.amount <= AMOUNT_MAX && self.tag <= TAG_MASK);
        u64::from(self.tag) << AMOUNT_BITS | self.amount
    }

    /// Whether `self.tag` was handed out after `tag`; tags wrap, half the circle counts as later.
    #[inline]
    pub(crate) fn is_after(self, tag: u16) -> bool {
        let ahead = self.tag.wrapping_sub(tag) & TAG_MASK;
        ahead != 0 && ahead < (TAG_MASK >> 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_and_an_amount_come_back_as_they_went_in() {
        for both in [Tagged { tag: TAG_MASK, amount: 0 }, Tagged { tag: 1, amount: AMOUNT_MAX }] {
            assert_eq!(both, Tagged::of(both.value()));
        }
    }

    #[test]
    fn tags_that_wrapped_are_still_later() {
        assert!(Tagged { tag: 2, amount: 0 }.is_after(TAG_MASK - 1));
        assert!(!Tagged { tag: TAG_MASK - 1, amount: 0 }.is_after(2));
        assert!(!Tagged { tag: 7, amount: 0 }.is_after(7));
    }

    #[test]
    fn a_frozen_word_cannot_be_replaced_and_a_used_one_not_carried_over() {
        let word = Word::new(5);
        let seen = word.load();
        assert_eq!(5, word.freeze().value());
        assert!(word.replace(seen, 6).unwrap_err().is_frozen());
        word.thaw(7);
        word.carry(1);
        assert_eq!(7, word.load().value());
    }
}
