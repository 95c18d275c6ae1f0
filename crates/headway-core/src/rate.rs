//! A rate's mark: taking, giving back without minting, debt.
//!
//! `M' = max(M, K) + n ≤ E`, one compare-exchange. What is on loan lifts the floor, and the word counts it: it holds
//! `M + on loan` wherever that is above `K + on loan`. Source: design, section 3; docs/meters.md.

use crate::atomics::{AtomicU64, Ordering, pause};
use crate::hot::Look;
use crate::word::{Seen, Word};

/// What a reservation on a rate remembers so that a part of it can be given back later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marked {
    /// The mark after the reservation, M1; without what was on loan.
    pub(crate) mark: u64,
    /// The running sum of give-backs that were complete before it, R1.
    pub(crate) gives: u64,
    /// What renewals had taken off marks by then.
    pub(crate) base: u64,
}

impl Marked {
    /// Of what was charged without a reservation: nothing of it can be given back.
    pub(crate) const NONE: Marked = Marked { mark: 0, gives: 0, base: 0 };
}

/// The running sum of give-backs, R, of one mark.
///
/// Kept twice, because a give-back is two steps (count it, lower the mark) and reservations run between them: `begun` grows
/// before the mark falls, `ended` after. A reservation reads `ended` before its exchange, a give-back counts from
/// `begun`: so `begun − ended` never misses a lowering that came after the reservation, and without threads it is R' − R1.
#[derive(Debug, Default)]
pub(crate) struct Gives {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// Sums for keys. A key gets one of its own as long as there is one near its hash; later ones share, which only gives
/// back less: a sum that another key raised makes more of a reservation look given back already.
#[derive(Debug)]
pub(crate) struct GivesByKey(Box<[(AtomicU64, Gives)]>);

/// Sums of a keyed meter, 24 KiB, and how far from its hash a key looks for one.
const SUMS: usize = 1_024;
const NEAR: usize = 16;

impl GivesByKey {
    pub(crate) fn new() -> GivesByKey {
        GivesByKey((0..SUMS).map(|_| (AtomicU64::new(0), Gives::default())).collect())
    }

    /// The sum of a key: the same at every call, for an owner never changes.
    pub(crate) fn of(&self, hash: u64) -> &Gives {
        let hash = hash.max(1);
        for step in 0..NEAR {
            let (owner, gives) = &self.0[(hash as usize + step) % SUMS];
            let mut known = owner.load(Ordering::Acquire);
            if known == 0 {
                known = match owner.compare_exchange(0, hash, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => hash,
                    Err(other) => other,
                };
            }
            if known == hash {
                return gives;
            }
        }
        &self.0[hash as usize % SUMS].1
    }
}

/// Why a rate did not take a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateStop {
    /// Over the limit now: with this mark, at this look.
    Full { mark: u64, look: Look },
    /// Under the limit, but past what is durable.
    Draw { mark: u64, look: Look },
    /// The word is being moved; find it anew.
    Frozen,
}

/// Takes `n` grains. `durable_to`: the highest mark that the store knows of, `u64::MAX` where nothing is durable. `leaves`:
/// how much has to be left for others.
///
/// The word is loaded before the curve, and what is on loan, are looked at: after a renewal of the base or a loan the
/// exchange then fails on an old mark, and a new mark is never held against an old curve.
#[inline]
pub(crate) fn take(
    word: &Word,
    gives: &Gives,
    n: u64,
    durable_to: &AtomicU64,
    mut look: impl FnMut(Seen) -> Option<Look>,
    leaves: impl Fn(&Look) -> u64,
) -> Result<Marked, RateStop> {
    loop {
        let given = gives.ended.load(Ordering::Acquire);
        let seen = word.load();
        if seen.is_frozen() {
            return Err(RateStop::Frozen);
        }
        let Some(look) = look(seen) else { return Err(RateStop::Frozen) };
        let mark = seen.value();
        let wanted = match mark.max(look.k).checked_add(n) {
            Some(wanted) if wanted <= look.e.saturating_sub(leaves(&look)) => wanted,
            _ => return Err(RateStop::Full { mark, look }),
        };
        if wanted > durable_to.load(Ordering::Acquire) {
            return Err(RateStop::Draw { mark, look });
        }
        match word.replace(seen, wanted) {
            Ok(()) => return Ok(marked(wanted, given, &look)),
            Err(_) => pause(),
        }
    }
}

/// One try of `take` on the usual way, nothing but loads and one exchange; None for everything but an admission or a plain
/// refusal, which `take` then tells apart.
#[inline]
pub(crate) fn take_at_once(
    word: &Word,
    gives: &Gives,
    n: u64,
    durable_to: &AtomicU64,
    look: impl FnOnce() -> Option<Look>,
) -> Option<Result<Marked, RateStop>> {
    let given = gives.ended.load(Ordering::Acquire);
    let seen = word.load();
    let look = look()?;
    if seen.is_frozen() {
        return None;
    }
    let mark = seen.value();
    let wanted = match mark.max(look.k).checked_add(n) {
        Some(wanted) if wanted <= look.e => wanted,
        _ => return Some(Err(RateStop::Full { mark, look })),
    };
    let is_durable = wanted <= durable_to.load(Ordering::Acquire);
    let took = is_durable && word.replace(seen, wanted).is_ok();
    took.then_some(Ok(marked(wanted, given, &look)))
}

#[inline]
fn marked(word: u64, gives: u64, look: &Look) -> Marked {
    Marked { mark: word - look.on_loan, gives, base: look.base }
}

/// Lifts the word to the floor, and takes `dropped` grains of what is on loan off it: the rest of what leaves the loan
/// after this stays in the mark. Until it has left, decisions see too little room, never too much. None: the word is being
/// moved, find it anew.
pub(crate) fn settle(word: &Word, dropped: u64, mut look: impl FnMut(Seen) -> Option<Look>) -> Option<()> {
    loop {
        let seen = word.load();
        if seen.is_frozen() {
            return None;
        }
        let look = look(seen)?;
        let settled = seen.value().max(look.k) - dropped.min(look.on_loan);
        // Also where nothing changes: a word of before a renewal must not be held against a curve of after it.
        if word.replace(seen, settled).is_ok() {
            return Some(());
        }
        pause();
    }
}

/// Gives `r` grains of a reservation back, as far as that mints nothing. Returns what was given.
///
/// What is below K is forgiven already, and what other give-backs took off the mark is not there twice:
/// `clamp(M1 − (R' − R1) − K, 0, r)`. None: the word is being moved, find it anew (R has counted it; pass `counted`).
pub(crate) fn give_back(
    word: &Word,
    gives: &Gives,
    taken: Marked,
    r: u64,
    counted: &mut Option<u64>,
    mut look: impl FnMut(Seen) -> Option<Look>,
) -> Option<u64> {
    let before = *counted.get_or_insert_with(|| gives.begun.fetch_add(r, Ordering::SeqCst));
    loop {
        let seen = word.load();
        if seen.is_frozen() {
            return None;
        }
        let look = look(seen)?;
        let renewed = look.base.wrapping_sub(taken.base);
        let since = before.wrapping_sub(taken.gives);
        let floor = look.k - look.on_loan;
        let due = taken.mark.saturating_sub(renewed).saturating_sub(since).saturating_sub(floor).min(r);
        // A mark behind its own give-back would be a mark below zero of the base: the clamp above forbids it.
        let lowered = seen.value().saturating_sub(due);
        if due == 0 || word.replace(seen, lowered).is_ok() {
            gives.ended.fetch_add(r, Ordering::SeqCst);
            return Some(due);
        }
        pause();
    }
}

/// Uses `n` grains of a guarantee up: what is left of it, at most what `most` says, is less by `n` and never below zero.
/// None: find the word anew.
pub(crate) fn use_up(
    word: &Word,
    n: u64,
    mut look: impl FnMut(Seen) -> Option<Look>,
    most: impl Fn(&Look) -> u64,
) -> Option<()> {
    loop {
        let seen = word.load();
        if seen.is_frozen() {
            return None;
        }
        let look = look(seen)?;
        let left = look.e.saturating_sub(seen.value().max(look.k)).min(most(&look));
        if word.replace(seen, look.e - left.saturating_sub(n)).is_ok() {
            return Some(());
        }
        pause();
    }
}

/// The other way round: `r` grains of a guarantee are unused again, as far as it holds them. None: find the word anew.
pub(crate) fn use_less(word: &Word, r: u64, mut look: impl FnMut(Seen) -> Option<Look>) -> Option<()> {
    loop {
        let seen = word.load();
        if seen.is_frozen() {
            return None;
        }
        let look = look(seen)?;
        if word.replace(seen, seen.value().saturating_sub(r).max(look.k)).is_ok() {
            return Some(());
        }
        pause();
    }
}

/// Charges `n` grains whatever the limit says: the debt drains before anything new is admitted. None: find it anew.
pub(crate) fn charge(word: &Word, n: u64, mut look: impl FnMut(Seen) -> Option<Look>) -> Option<()> {
    loop {
        let seen = word.load();
        if seen.is_frozen() {
            return None;
        }
        let look = look(seen)?;
        // A debt beyond 2^61 grains is decades of limit; it stays at that.
        let wanted = seen.value().max(look.k).saturating_add(n).min(1 << 61);
        if word.replace(seen, wanted.max(seen.value())).is_ok() {
            return Some(());
        }
        pause();
    }
}
