//! What a rate has on loan: grains that others may spend, counted from the moment of lending.
//!
//! `max(M, K) + on loan + n ≤ E`. What is on loan lifts the floor, so that K never forgives it; what was spent of it stays
//! in the mark, what can no longer be spent leaves both. One lock orders loans; decisions only read their sum. Loans are
//! added to the sum before the mark, and leave it after: in between decisions see too little room, never too much.
//! Source: docs/leases.md.

use std::collections::BTreeMap;

use super::{Meter, Stop, lock};
use crate::atomics::Ordering;
use crate::hot::Look;
use crate::rate::{self, RateStop};

/// Grains on loan by the instant at which they have ended for certain.
#[derive(Debug, Default)]
pub(crate) struct Lent(BTreeMap<i64, u64>);

impl Lent {
    fn until(&self) -> i64 {
        self.0.last_key_value().map_or(i64::MIN, |(&until, _)| until)
    }

    fn add(&mut self, until: i64, n: u64) {
        *self.0.entry(until).or_default() += n;
    }

    /// Takes at most `n` of what ends at `until` off; how many that were.
    fn remove(&mut self, until: i64, n: u64) -> u64 {
        let Some(out) = self.0.get_mut(&until) else { return 0 };
        let n = n.min(*out);
        *out -= n;
        if *out == 0 {
            self.0.remove(&until);
        }
        n
    }
}

/// Of rates without keys.
impl Meter {
    /// Grains on loan.
    pub(crate) fn on_loan(&self) -> u64 {
        self.on_loan.load(Ordering::Acquire)
    }

    /// Grains that may be lent at `now`, until `until`: what is free, of which `for_it` says how much, and no more on loan
    /// than the lowest burst until all of it has ended.
    pub(crate) fn lendable(&self, now: i64, until: i64, for_it: impl Fn(u64, &Look) -> u64) -> u64 {
        let lent = lock(&self.lent);
        let (Some(curve), Some(look)) = (self.installed(), self.look(now)) else { return 0 };
        let free = look.e.saturating_sub(self.amount(None, &look).max(look.k));
        let below_burst = curve.lowest_burst(now, until.max(lent.until()).max(now)).saturating_sub(look.on_loan);
        for_it(free, &look).min(below_burst)
    }

    /// Puts `n` grains on loan where `leaves` fits beside them; whoever has them spends nothing at `until` or later.
    pub(crate) fn lend(&self, now: i64, n: u64, until: i64, leaves: impl Fn(&Look) -> u64) -> Result<(), Stop> {
        let mut lent = lock(&self.lent);
        let on_loan = self.on_loan();
        let (Some(curve), Some(look)) = (self.installed(), self.look(now)) else { return Err(Stop::NotPublished) };
        let lowest = curve.lowest_burst(now, until.max(lent.until()).max(now));
        if on_loan.checked_add(n).is_none_or(|all| all > lowest) {
            return Err(Stop::Full { amount: self.amount(None, &look), look });
        }
        // A loan that does not fit anyhow must not lift the floor under others, not even for a moment.
        self.probe(now, None, n, &leaves)?;
        self.on_loan.fetch_add(n, Ordering::SeqCst);
        let taken = self.on_word(None, now, |word, _| {
            let look = |_| self.bare_look(now).map(|look| look.lifted(on_loan));
            match rate::take(word, &self.gives, n, &self.durable_to, look, &leaves) {
                Err(RateStop::Frozen) => None,
                other => Some(other),
            }
        })?;
        let stop = match taken {
            Ok(_) => {
                lent.add(until, n);
                return Ok(());
            }
            Err(RateStop::Draw { mark, look }) => {
                Stop::Draw { amount: mark, want: mark.max(look.k).saturating_add(n), look }
            }
            Err(RateStop::Full { mark, look }) => Stop::Full { amount: mark, look },
            Err(RateStop::Frozen) => Stop::NotPublished,
        };
        self.on_loan.fetch_sub(n, Ordering::SeqCst);
        Err(stop)
    }

    /// Counts `n` grains as lent until `until`, whatever the limit says: somebody before had lent them.
    pub(crate) fn inherit(&self, n: u64, until: i64) {
        let mut lent = lock(&self.lent);
        self.on_loan.fetch_add(n, Ordering::SeqCst);
        lent.add(until, n);
    }

    /// Counts all that is entitled up to `at`, which may lie ahead, as gone: what is on loan is of it. Before the first
    /// curve nothing is.
    pub(crate) fn burn(&self, at: i64) {
        // While the curve stands still nobody renews the base, and so nobody freezes the word.
        let state = lock(&self.state);
        let Some(curve) = &state.curve else { return };
        let entitled = curve.entitlement(at);
        loop {
            let seen = self.one.load();
            if seen.value() >= entitled || self.one.replace(seen, entitled).is_ok() {
                return;
            }
            crate::atomics::pause();
        }
    }

    /// Of what was lent until `until`, `n` grains were spent by `at`: they move from loan to mark.
    pub(crate) fn loan_spent(&self, at: i64, n: u64, until: i64) {
        self.leave_loan(at, n, until, false);
    }

    /// Of what was lent until `until`, `n` grains can no longer be spent: they are free again.
    pub(crate) fn loan_dropped(&self, now: i64, n: u64, until: i64) {
        self.leave_loan(now, n, until, true);
    }

    /// Takes at most `n` grains off the loan; off the word as well where they were not spent.
    fn leave_loan(&self, at: i64, n: u64, until: i64, is_dropped: bool) {
        let mut lent = lock(&self.lent);
        let n = lent.remove(until, n);
        let dropped = if is_dropped { n } else { 0 };
        if n > 0 {
            // Whatever is on loan was lent under a curve; without one there is no word to settle.
            self.on_word(None, at, |word, _| rate::settle(word, dropped, |_| self.look(at))).unwrap_or(());
            self.on_loan.fetch_sub(n, Ordering::SeqCst);
            // Spent or not: what is on loan was in the way of whoever waits for more than was left of the burst.
            self.bell.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loans_of_one_end_are_one_sum() {
        let mut lent = Lent::default();
        lent.add(7, 2);
        lent.add(7, 3);
        lent.add(9, 1);
        assert_eq!((9, 1, 0), (lent.until(), lent.remove(9, 5), lent.remove(9, 5)));
        assert_eq!((7, 5, i64::MIN), (lent.until(), lent.remove(7, 6), lent.until()));
    }
}
