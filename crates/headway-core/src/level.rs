//! Concurrency and quota: an amount held or used against a level.
//!
//! Concurrency: in flight + n ≤ L(t); a cut revokes nothing, what is over drains and nothing enters until it has. Quota:
//! used + n ≤ L(t) in a window, and *used* is what is kept over changes of the limit. Source: design, section 3.

use crate::atomics::{Ordering, fence, pause};
use crate::hot::Look;
use crate::word::{AMOUNT_MAX, Seen, Tagged, Word};

/// Why an amount did not take a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LevelStop {
    /// In flight or used at the look.
    Full { amount: u64, look: Look },
    /// Under the limit, but past what the store has granted.
    Draw { amount: u64, look: Look },
    /// The slots were taken, but the limit fell meanwhile: the caller gives them back, then it is `Full` at this look.
    Fell { amount: u64, look: Look },
    /// The word is being moved, or the look was of another version than the word; start anew.
    Frozen,
}

/// Takes `n` slots. `versioned`: the word carries the curve's version and a publish bumps it, so that an exchange decided
/// under a limit that was cut meanwhile fails by itself. Keys have too many words for that; they look again instead.
///
/// `again` looks at the curve with the clock of after the exchange: where it fell meanwhile (a planned cut, a climb down,
/// or a publish that a key cannot see in its word) and all in flight is over it, the slots go back. `leaves`: how much of
/// the level has to be left for others.
#[inline]
pub(crate) fn hold(
    word: &Word,
    n: u64,
    versioned: bool,
    mut look: impl FnMut(Seen) -> Option<Look>,
    mut again: impl FnMut(&Look) -> Option<Look>,
    leaves: impl Fn(&Look) -> u64,
) -> Result<(), LevelStop> {
    loop {
        let seen = word.load();
        if seen.is_frozen() {
            return Err(LevelStop::Frozen);
        }
        let Some(look) = look(seen) else { return Err(LevelStop::Frozen) };
        let held = Tagged::of(seen.value());
        if versioned && held.tag != look.tag {
            return Err(LevelStop::Frozen);
        }
        let wanted = match held.amount.checked_add(n) {
            Some(wanted) if wanted <= look.limit.saturating_sub(leaves(&look)) => wanted,
            _ => return Err(LevelStop::Full { amount: held.amount, look }),
        };
        if word.replace(seen, Tagged { amount: wanted, ..held }.value()).is_err() {
            pause();
            continue;
        }
        // The exchange, then the look: a publish that this one missed has not seen the slots either.
        fence(Ordering::SeqCst);
        match again(&look) {
            Some(later) if wanted > later.limit => return Err(LevelStop::Fell { amount: held.amount, look: later }),
            _ => return Ok(()),
        }
    }
}

/// One try of `hold` on a versioned word, where no fall lies ahead; false for everything else.
#[inline]
pub(crate) fn hold_at_once(word: &Word, n: u64, look: impl FnOnce() -> Option<Look>) -> bool {
    let seen = word.load();
    let Some(look) = look() else { return false };
    let held = Tagged::of(seen.value());
    let Some(wanted) = held.amount.checked_add(n) else { return false };
    let fits = wanted <= look.limit && held.tag == look.tag && !look.falls && !seen.is_frozen();
    fits && word.replace(seen, Tagged { amount: wanted, ..held }.value()).is_ok()
}

/// Gives `n` slots back; false where the word is being moved and nothing was given.
pub(crate) fn let_go(word: &Word, n: u64) -> bool {
    loop {
        let seen = word.load();
        if seen.is_frozen() {
            return false;
        }
        let held = Tagged::of(seen.value());
        debug_assert!(held.amount >= n, "more was given back than was held");
        let rest = held.amount.saturating_sub(n);
        if word.replace(seen, Tagged { amount: rest, ..held }.value()).is_ok() {
            return true;
        }
        pause();
    }
}

/// Counts `n` more slots as held, whatever the level says: what one workload holds of a level, or what is in use already.
/// None where the word is being moved; false, with nothing added, where it cannot count that many. Counting as many as fit
/// would be wrong: given back whole, they would take those of others with them.
pub(crate) fn add(word: &Word, n: u64) -> Option<bool> {
    loop {
        let seen = word.load();
        if seen.is_frozen() {
            return None;
        }
        let held = Tagged::of(seen.value());
        let Some(amount) = held.amount.checked_add(n).filter(|amount| *amount <= AMOUNT_MAX) else {
            return Some(false);
        };
        if word.replace(seen, Tagged { amount, ..held }.value()).is_ok() {
            return Some(true);
        }
        pause();
    }
}

/// Marks the word with a new curve's version; the amount in flight stays.
pub(crate) fn stamp(word: &Word, tag: u16) {
    loop {
        let seen = word.load();
        let held = Tagged::of(seen.value());
        if word.replace(seen, Tagged { tag, ..held }.value()).is_ok() {
            return;
        }
        pause();
    }
}

/// Uses `n` of a quota's window; the window's tag and what is used with it. `granted`: what the store has granted for the
/// window with a tag, `u64::MAX` where nothing is durable. `leaves`: how much of the level has to be left for others.
#[inline]
pub(crate) fn spend(
    word: &Word,
    granted: impl Fn(u16) -> u64,
    n: u64,
    mut look: impl FnMut(Seen) -> Option<Look>,
    leaves: impl Fn(&Look) -> u64,
) -> Result<Tagged, LevelStop> {
    loop {
        let seen = word.load();
        if seen.is_frozen() {
            return Err(LevelStop::Frozen);
        }
        let Some(look) = look(seen) else { return Err(LevelStop::Frozen) };
        let Tagged { tag, amount: used } = in_window(seen.value(), &look);
        let wanted = match used.checked_add(n) {
            Some(wanted) if wanted <= look.limit.saturating_sub(leaves(&look)) => wanted,
            _ => return Err(LevelStop::Full { amount: used, look: Look { tag, ..look } }),
        };
        if wanted > granted(tag) {
            return Err(LevelStop::Draw { amount: used, look: Look { tag, ..look } });
        }
        let spent = Tagged { tag, amount: wanted };
        if word.replace(seen, spent.value()).is_ok() {
            return Ok(spent);
        }
        pause();
    }
}

/// What counts as used at a look: nothing where the word is of a window before. A word of a later window than the look's
/// (a clock that went back, or a thread that looked just before the boundary) stays there, and is charged there: nothing
/// is forgotten, and neither window is over.
#[inline]
pub(crate) fn in_window(value: u64, look: &Look) -> Tagged {
    let held = Tagged::of(value);
    if held.tag == look.tag || held.is_after(look.tag) { held } else { Tagged { tag: look.tag, amount: 0 } }
}

/// Charges `n` more to the present window whatever the limit says: debt is never forgiven with the window it came from.
/// None: find the word anew.
pub(crate) fn charge(word: &Word, n: u64, mut look: impl FnMut(Seen) -> Option<Look>) -> Option<()> {
    loop {
        let seen = word.load();
        if seen.is_frozen() {
            return None;
        }
        let look = look(seen)?;
        let Tagged { tag, amount: used } = in_window(seen.value(), &look);
        let amount = used.saturating_add(n).min(AMOUNT_MAX);
        if word.replace(seen, Tagged { tag, amount }.value()).is_ok() {
            return Some(());
        }
        pause();
    }
}

/// Gives `n` back to window `tag`, to that window alone: one that has ended since is over, and the present one was never
/// charged. None: find the word anew.
pub(crate) fn give_back(word: &Word, tag: u16, n: u64) -> Option<()> {
    loop {
        let seen = word.load();
        if seen.is_frozen() {
            return None;
        }
        let held = Tagged::of(seen.value());
        if held.tag != tag {
            return Some(());
        }
        debug_assert!(held.amount >= n, "more was given back than was used");
        if word.replace(seen, Tagged { tag, amount: held.amount.saturating_sub(n) }.value()).is_ok() {
            return Some(());
        }
        pause();
    }
}
