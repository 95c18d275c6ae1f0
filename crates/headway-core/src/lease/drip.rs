//! A part of a rate's floor, where demands take from it: a meter of its own that holds one demand and is born empty.
//!
//! After a demand of `n` nothing passes for as long as `n` takes to come in. So in any window it admits at most its largest
//! demand and what came in.

use crate::atomics::{AtomicI64, AtomicU64, Ordering};
use crate::lease::mutant;

#[derive(Debug)]
pub(crate) struct Drip {
    /// When the next demand may pass; far ahead where there is no part.
    next: AtomicI64,
    /// When the part ends.
    until: AtomicI64,
    /// What a micro-unit takes to come in, in ns over `PER`, and the largest demand. Both stand before `next` does.
    each: AtomicU64,
    most: AtomicU64,
}

/// The grain of `each`.
const PER: u128 = 1 << 20;

impl Drip {
    pub(crate) fn new() -> Drip {
        let (next, until) = (AtomicI64::new(i64::MAX), AtomicI64::new(i64::MIN));
        Drip { next, until, each: AtomicU64::new(0), most: AtomicU64::new(0) }
    }

    /// Admits `n` micro-units at `now`, if that has come in.
    #[inline]
    pub(crate) fn take(&self, now: i64, n: u64) -> bool {
        let mut next = self.next.load(Ordering::Acquire);
        while now >= next {
            if now >= self.until.load(Ordering::Acquire) || n > self.most.load(Ordering::Acquire) {
                return false;
            }
            let after = now.saturating_add(self.comes_in(n));
            match self.next.compare_exchange_weak(next, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(other) => next = other,
            }
        }
        false
    }

    /// How long `n` micro-units take, rounded up.
    fn comes_in(&self, n: u64) -> i64 {
        let each = u128::from(self.each.load(Ordering::Acquire));
        i64::try_from((u128::from(n) * each).div_ceil(PER)).unwrap_or(i64::MAX)
    }

    /// A part of `units` in so many ns, with demands of at most `most`, until an instant. One that is there goes on.
    pub(crate) fn set(&self, now: i64, units: u64, in_ns: i64, most: u64, until: i64) {
        let each = (u128::from(in_ns.max(1).unsigned_abs()) * PER).div_ceil(u128::from(units.max(1)));
        let is_new = self.next.load(Ordering::Acquire) == i64::MAX || mutant!(PartToldFull);
        if is_new {
            self.each.store(u64::try_from(each).unwrap_or(u64::MAX), Ordering::Release);
            self.most.store(most, Ordering::Release);
        }
        self.until.fetch_max(until, Ordering::AcqRel);
        if is_new && units > 0 {
            // Whoever had the part before may have spent it just now.
            let full = if mutant!(PartToldFull) { 0 } else { self.comes_in(most) };
            self.next.store(now.saturating_add(full), Ordering::Release);
        }
    }

    /// Ends the part.
    pub(crate) fn end(&self) {
        self.until.store(i64::MIN, Ordering::SeqCst);
        self.next.store(i64::MAX, Ordering::SeqCst);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const UNIT: u64 = 1_000_000;
    const SECOND: i64 = 1_000_000_000;

    /// Four units a second, demands of at most two, until 100 s.
    fn drip() -> Drip {
        let drip = Drip::new();
        drip.set(0, 4 * UNIT, SECOND, 2 * UNIT, 100 * SECOND);
        drip
    }

    #[test]
    fn it_is_born_empty_and_holds_one_demand() {
        let drip = drip();
        let at = |now, units| drip.take(now, units * UNIT);
        assert!(!at(SECOND / 2 - 1, 1), "its largest demand has to come in first");
        assert!(at(SECOND / 2, 1) && !at(SECOND / 2, 1) && !at(SECOND * 3 / 4 - 1, 1));
        assert!(at(SECOND * 3 / 4, 2) && !at(SECOND * 5 / 4 - 1, 1) && at(9 * SECOND, 2) && !at(9 * SECOND, 1));
    }

    #[test]
    fn larger_demands_and_late_ones_are_not_its_own() {
        let drip = drip();
        assert!(!drip.take(SECOND, 2 * UNIT + 1) && !drip.take(SECOND, u64::MAX));
        assert!(!drip.take(100 * SECOND, UNIT));
        drip.set(99 * SECOND, 4 * UNIT, SECOND, 2 * UNIT, 200 * SECOND);
        assert!(drip.take(100 * SECOND, UNIT), "one that is told again goes on, and is not born again");
        drip.end();
        assert!(!drip.take(101 * SECOND, UNIT));
        assert!(!Drip::new().take(i64::MAX, UNIT), "there is no part");
    }

    #[test]
    fn no_window_has_more_than_the_largest_demand_and_what_came_in() {
        let drip = drip();
        let mut took = 0;
        for now in (0..10 * SECOND).step_by(1_000_000) {
            took += if drip.take(now, UNIT) { UNIT } else { 0 };
            assert!(u128::from(took) * SECOND as u128 <= u128::from(4 * UNIT) * now as u128);
        }
        assert!(took >= 37 * UNIT, "{took}");
    }
}
