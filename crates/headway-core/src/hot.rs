//! What a decision reads of a curve: one seqlock of a few atomics for the piece in force.
//!
//! Constant pieces are compiled into it until they end (`until`); climbs, and what a moment-old or stepped clock asks of
//! the past, take the slow way through the installed curve. Writers are serialized by the meter's lock.

use crate::atomics::{AtomicI64, AtomicU64, Ordering, fence, pause};
use crate::curve::Measure;
use crate::installed::Installed;

/// The curve at one instant, as a decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// The sequence the numbers belong to; another one means that something was published since.
    pub(crate) seq: u64,
    /// Rate: entitlement E and mark floor K, grains. `base`: what renewals took off them so far.
    pub(crate) e: u64,
    /// The floor lies above K by what is on loan.
    pub(crate) k: u64,
    pub(crate) on_loan: u64,
    pub(crate) base: u64,
    /// The most that one demand may be now, in the meter's counts. Concurrency, quota: the level, 0 where a quota's window
    /// is shut. Rate: the burst.
    pub(crate) limit: u64,
    /// Concurrency: the curve's version, cut to a tag. Quota: the window's.
    pub(crate) tag: u16,
    /// A lower level lies ahead: look again after the exchange.
    pub(crate) falls: bool,
}

impl Look {
    /// With the floor lifted by what is on loan: the word then counts it as well.
    #[inline]
    pub(crate) fn lifted(self, on_loan: u64) -> Look {
        Look { k: self.k.saturating_add(on_loan), on_loan, ..self }
    }
}

const FALLS: u64 = 1 << 16;

/// The seqlock. `seq` is odd while it is written.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    seq: AtomicU64,
    start: AtomicI64,
    /// ns from `start` for which this holds; 0: nothing does, take the slow way.
    span: AtomicU64,
    e: AtomicU64,
    k: AtomicU64,
    burst: AtomicU64,
    base: AtomicU64,
    /// Grains per ns in 64.64, and exactly as a fraction.
    per_ns_whole: AtomicU64,
    per_ns_part: AtomicU64,
    numerator: AtomicU64,
    down: AtomicU64,
    limit: AtomicU64,
    /// Tag in the low 16 bits, `FALLS`.
    flags: AtomicU64,
}

impl Hot {
    /// The curve at `now`, or None where only the installed curve can tell.
    #[inline]
    pub(crate) fn look(&self, measure: Measure, now: i64) -> Option<Look> {
        loop {
            let seq = self.seq.load(Ordering::Acquire);
            if seq & 1 != 0 {
                pause();
                continue;
            }
            let x = now.wrapping_sub(self.start.load(Ordering::Relaxed)) as u64;
            let known = x < self.span.load(Ordering::Relaxed);
            let flags = self.flags.load(Ordering::Relaxed);
            let mut limit = self.limit.load(Ordering::Relaxed);
            let (mut e, mut k, mut base) = (0, 0, 0);
            if measure == Measure::Rate {
                base = self.base.load(Ordering::Relaxed);
                e = self.e.load(Ordering::Relaxed);
                k = self.k.load(Ordering::Relaxed);
                let burst = self.burst.load(Ordering::Relaxed);
                let whole = self.per_ns_whole.load(Ordering::Relaxed);
                let part = self.per_ns_part.load(Ordering::Relaxed);
                let numerator = self.numerator.load(Ordering::Relaxed);
                let down = self.down.load(Ordering::Relaxed);
                // Torn reads are thrown away below, so nothing here may panic on them.
                if known {
                    e = e.wrapping_add(elapsed(x, whole, part, numerator, down));
                    k = k.max(e.saturating_sub(burst));
                    limit = burst;
                }
            }
            fence(Ordering::Acquire);
            if self.seq.load(Ordering::Relaxed) != seq {
                pause();
                continue;
            }
            return known.then_some(Look {
                seq,
                e,
                k,
                on_loan: 0,
                base,
                limit,
                tag: flags as u16,
                falls: flags & FALLS != 0,
            });
        }
    }

    /// Whether nothing was published since `look`.
    #[inline]
    pub(crate) fn is_unchanged(&self, look: &Look) -> bool {
        self.seq.load(Ordering::SeqCst) == look.seq
    }

    pub(crate) fn seq(&self) -> u64 {
        self.seq.load(Ordering::Acquire)
    }

    /// Compiles the piece in force at `now`; earlier looks are void.
    pub(crate) fn compile(&self, curve: &Installed, now: i64, shift: u32) {
        let piece = curve.piece(now);
        let flat = piece.line.is_flat() && now >= piece.start;
        let (mut start, mut end) = (piece.start, piece.end);
        if curve.curve.measure == Measure::Quota {
            // A window's start is an edge as much as a piece's end.
            start = start.max(curve.window_at(now).map_or(i64::MIN, |w| w.start));
            end = end.min(curve.window_after(now).map_or(i64::MAX, |w| w.start));
        }
        let (numerator, down) = (piece.line.numerator(&curve.grains), curve.grains.down);
        let (whole, part) = per_ns(numerator, down);
        let look = look_at(curve, now, shift, 0);
        let seq = self.seq.load(Ordering::Relaxed);
        self.seq.store(seq + 1, Ordering::SeqCst);
        fence(Ordering::Release);
        self.start.store(start, Ordering::Relaxed);
        self.span.store(if flat { end.wrapping_sub(start) as u64 } else { 0 }, Ordering::Relaxed);
        self.e.store(piece.entitlement(start, &curve.grains), Ordering::Relaxed);
        self.k.store(piece.k, Ordering::Relaxed);
        self.burst.store(piece.burst(start, &curve.grains), Ordering::Relaxed);
        self.base.store(curve.base, Ordering::Relaxed);
        self.per_ns_whole.store(whole, Ordering::Relaxed);
        self.per_ns_part.store(part, Ordering::Relaxed);
        self.numerator.store(numerator, Ordering::Relaxed);
        self.down.store(down, Ordering::Relaxed);
        self.limit.store(look.limit, Ordering::Relaxed);
        let falls = if look.falls { FALLS } else { 0 };
        self.flags.store(u64::from(look.tag) | falls, Ordering::Relaxed);
        self.seq.store(seq + 2, Ordering::SeqCst);
        // Whoever exchanges a word after this and looks again sees the new sequence; see `level::hold`.
        fence(Ordering::SeqCst);
    }
}

/// The curve at `now` by the slow way; exact for climbs and for the past.
pub(crate) fn look_at(curve: &Installed, now: i64, shift: u32, seq: u64) -> Look {
    let piece = curve.piece(now);
    let level = || piece.level(now, &curve.grains) >> shift;
    let falls = curve.falls_after(now);
    let base = curve.base;
    match curve.curve.measure {
        Measure::Rate => {
            let (e, burst) = (piece.entitlement(now, &curve.grains), piece.burst(now, &curve.grains));
            Look { seq, e, k: piece.k.max(e.saturating_sub(burst)), on_loan: 0, base, limit: burst, tag: 0, falls }
        }
        Measure::Concurrency => {
            let tag = curve.curve.version as u16 & crate::word::TAG_MASK;
            Look { seq, e: 0, k: 0, on_loan: 0, base, limit: level(), tag, falls }
        }
        Measure::Quota => {
            // Before the first window nothing is open.
            let (limit, tag) = curve.window_at(now).map_or((0, 0), |w| (level(), w.tag));
            Look { seq, e: 0, k: 0, on_loan: 0, base, limit, tag, falls }
        }
    }
}

/// `numerator / down` in 64.64 fixed point, rounded down.
fn per_ns(numerator: u64, down: u64) -> (u64, u64) {
    let (whole, rest) = (numerator / down, numerator % down);
    (whole, ((u128::from(rest) << 64) / u128::from(down)) as u64)
}

/// `⌊numerator × x / down⌋` without a division; down < 2^62, x < 2^63.
///
/// The reciprocal is short by less than 2^-64 grains a ns, so the product is short by less than `x × 2^-64` < 1: only
/// where its fraction is that close to the next integer may the floor be one more, and one multiplication tells.
#[inline]
fn elapsed(x: u64, whole: u64, part: u64, numerator: u64, down: u64) -> u64 {
    let product = u128::from(part) * u128::from(x);
    let candidate = whole.wrapping_mul(x).wrapping_add((product >> 64) as u64);
    if (product as u64).checked_add(x).is_some() {
        return candidate;
    }
    let next = u128::from(candidate.wrapping_add(1)).wrapping_mul(u128::from(down));
    candidate.wrapping_add(u64::from(next <= u128::from(numerator).wrapping_mul(u128::from(x))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_reciprocal_gives_the_exact_floor(numerator: u64, down in 1u64..1 << 62, x in 0u64..1 << 62) {
            let exact = u128::from(numerator) * u128::from(x) / u128::from(down);
            prop_assume!(exact < 1 << 62);
            let (whole, part) = per_ns(numerator, down);
            prop_assert_eq!(exact as u64, elapsed(x, whole, part, numerator, down));
        }

        #[test]
        fn the_reciprocal_is_exact_where_a_whole_grain_is_reached(
            numerator in 1u64..1 << 40, down in 1u64..1 << 50, grains in 1u64..1 << 30,
        ) {
            // The first ns at which `grains` are reached, and the one before: where a short reciprocal would show.
            let x = (u128::from(grains) * u128::from(down)).div_ceil(u128::from(numerator));
            prop_assume!(x < 1 << 62);
            let (whole, part) = per_ns(numerator, down);
            for x in [x as u64 - 1, x as u64] {
                let exact = u128::from(numerator) * u128::from(x) / u128::from(down);
                prop_assert_eq!(exact as u64, elapsed(x, whole, part, numerator, down));
            }
        }
    }
}
