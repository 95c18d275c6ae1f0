//! What a demand does to a meter: taking, giving back, being charged more.

use super::{Held, Meter, Stop, Taken};
use crate::curve::Measure;
use crate::hot::Look;
use crate::level::{self, LevelStop};
use crate::rate::{self, Gives, RateStop};
use crate::time::Clock;
use crate::word::{Tagged, Word};

impl Meter {
    fn gives(&self, key: Option<u64>) -> &Gives {
        self.gives_by_key.as_ref().zip(key).map_or(&self.gives, |(by_key, hash)| by_key.of(hash))
    }

    /// Whether a key with this value still differs from a new one.
    pub(super) fn is_alive(&self, value: u64, now: i64) -> bool {
        match self.spec.measure {
            Measure::Rate => self.look(now).is_none_or(|look| value > look.k),
            Measure::Concurrency => Tagged::of(value).amount > 0,
            Measure::Quota => {
                let held = Tagged::of(value);
                held.amount > 0 && self.look(now).is_none_or(|look| held.tag == look.tag || held.is_after(look.tag))
            }
        }
    }

    /// Runs `act` on the key's word, or on the only one, until it is not moved away underneath.
    #[inline]
    pub(super) fn on_word<R>(
        &self,
        key: Option<u64>,
        now: i64,
        mut act: impl FnMut(&Word, u64) -> Option<R>,
    ) -> Result<R, Stop> {
        if self.hot.seq() == 0 {
            return Err(Stop::NotPublished);
        }
        if let (Some(keys), Some(hash)) = (&self.keys, key) {
            return keys.with(hash, &|value| self.is_alive(value, now), act).map_err(|_| Stop::TooManyKeys);
        }
        loop {
            // An unkeyed word's base is always that of the curve: it is frozen while the two change.
            if let Some(result) = act(&self.one, u64::MAX) {
                return Ok(result);
            }
            crate::atomics::pause();
        }
    }

    /// The curve at `now`, where marks are in this base; None: a renewal is under way, find the word anew. An unkeyed word's,
    /// `u64::MAX`, always is the curve's.
    pub(super) fn look_in(&self, now: i64, base: u64) -> Option<Look> {
        self.look(now).filter(|look| base == u64::MAX || look.base == base)
    }

    /// Takes `n` counts at `now`; `clock` is read again only where a fall lies ahead.
    #[inline]
    pub(crate) fn take(&self, clock: &impl Clock, now: i64, key: Option<u64>, n: u64) -> Result<Taken, Stop> {
        match self.spec.measure {
            Measure::Rate => self.take_rate(now, key, n),
            Measure::Concurrency => self.take_slots(clock, now, key, n),
            Measure::Quota => self.take_quota(now, key, n, |_| 0),
        }
    }

    /// The same where `leaves` has to fit beside it, for others. A function of its own: who leaves nothing pays nothing.
    pub(crate) fn take_leaving(
        &self,
        clock: &impl Clock,
        now: i64,
        key: Option<u64>,
        n: u64,
        leaves: impl Fn(&Look) -> u64,
    ) -> Result<Taken, Stop> {
        match self.spec.measure {
            Measure::Rate => self.take_rate_carefully(now, key, n, leaves),
            Measure::Concurrency => self.take_slots_carefully(clock, now, key, n, leaves),
            Measure::Quota => self.take_quota(now, key, n, leaves),
        }
    }

    /// One try on a rate without durable draws: admitted, or over a limit that it fits under at another time. None for
    /// everything that takes more than a look and an exchange.
    #[inline]
    pub(crate) fn take_plainly(&self, now: i64, key: Option<u64>, n: u64) -> Option<Result<(), Stop>> {
        let look = || self.hot.look(Measure::Rate, now);
        let took = if let (Some(keys), Some(hash)) = (&self.keys, key) {
            keys.with_known(hash, |word, base| {
                let look = || look().filter(|look| look.base == base);
                rate::take_at_once(word, &self.gives, n, &self.durable_to, look)
            })?
        } else {
            let look = || look().map(|look| self.lifted(look));
            rate::take_at_once(&self.one, &self.gives, n, &self.durable_to, look)?
        };
        match took {
            Ok(_) => Some(Ok(())),
            Err(RateStop::Full { mark, look }) if n <= look.limit => Some(Err(Stop::Full { amount: mark, look })),
            Err(_) => None,
        }
    }

    #[inline]
    fn take_rate(&self, now: i64, key: Option<u64>, n: u64) -> Result<Taken, Stop> {
        if self.keys.is_none() {
            let look = || self.hot.look(Measure::Rate, now).map(|look| self.lifted(look));
            match rate::take_at_once(&self.one, &self.gives, n, &self.durable_to, look) {
                Some(Ok(marked)) => return Ok(Taken { n, held: Held::Rate(marked) }),
                Some(Err(RateStop::Full { mark, look })) => return Err(Stop::Full { amount: mark, look }),
                _ => {}
            }
        }
        self.take_rate_carefully(now, key, n, |_| 0)
    }

    fn take_rate_carefully(
        &self,
        now: i64,
        key: Option<u64>,
        n: u64,
        leaves: impl Fn(&Look) -> u64,
    ) -> Result<Taken, Stop> {
        let gives = self.gives(key);
        let result = self.on_word(key, now, |word, base| {
            let look = |_| self.look_in(now, base);
            match rate::take(word, gives, n, &self.durable_to, look, &leaves) {
                Err(RateStop::Frozen) => None,
                other => Some(other),
            }
        })?;
        match result {
            Ok(marked) => Ok(Taken { n, held: Held::Rate(marked) }),
            Err(RateStop::Draw { mark, look }) => {
                Err(Stop::Draw { amount: mark, want: mark.max(look.k).saturating_add(n), look })
            }
            Err(RateStop::Full { mark, look }) => Err(Stop::Full { amount: mark, look }),
            Err(RateStop::Frozen) => Err(Stop::NotPublished),
        }
    }

    #[inline]
    fn take_slots(&self, clock: &impl Clock, now: i64, key: Option<u64>, n: u64) -> Result<Taken, Stop> {
        if self.keys.is_none() && level::hold_at_once(&self.one, n, || self.hot.look(Measure::Concurrency, now)) {
            return Ok(Taken { n, held: Held::Slots });
        }
        self.take_slots_carefully(clock, now, key, n, |_| 0)
    }

    fn take_slots_carefully(
        &self,
        clock: &impl Clock,
        now: i64,
        key: Option<u64>,
        n: u64,
        leaves: impl Fn(&Look) -> u64,
    ) -> Result<Taken, Stop> {
        let keyed = self.keys.is_some();
        let result = self.on_word(key, now, |word, _| {
            let again = |look: &Look| {
                let old = look.falls || keyed && !self.hot.is_unchanged(look);
                if old { self.look(clock.boot_ns()) } else { None }
            };
            match level::hold(word, n, !keyed, |_| self.look(now), again, &leaves) {
                Err(LevelStop::Frozen) => None,
                other => Some(other),
            }
        })?;
        match result {
            Ok(()) => Ok(Taken { n, held: Held::Slots }),
            Err(LevelStop::Fell { amount, look }) => {
                self.let_go(now, key, n);
                Err(Stop::Full { amount, look })
            }
            Err(LevelStop::Full { amount, look }) => Err(Stop::Full { amount, look }),
            Err(LevelStop::Draw { .. } | LevelStop::Frozen) => Err(Stop::NotPublished),
        }
    }

    fn take_quota(&self, now: i64, key: Option<u64>, n: u64, leaves: impl Fn(&Look) -> u64) -> Result<Taken, Stop> {
        let granted = |tag| self.draws.as_ref().map_or(u64::MAX, |draws| draws.granted(key, tag));
        let result =
            self.on_word(key, now, |word, _| match level::spend(word, granted, n, |_| self.look(now), &leaves) {
                Err(LevelStop::Frozen) => None,
                other => Some(other),
            })?;
        match result {
            Ok(spent) => Ok(Taken { n, held: Held::Used(spent.tag) }),
            Err(LevelStop::Draw { amount, look }) => Err(Stop::Draw { amount, want: amount.saturating_add(n), look }),
            Err(LevelStop::Full { amount, look } | LevelStop::Fell { amount, look }) => {
                Err(Stop::Full { amount, look })
            }
            Err(LevelStop::Frozen) => Err(Stop::NotPublished),
        }
    }

    /// Gives `r` counts of what was taken back: exactly for slots and quotas, without minting for rates. Returns how many
    /// were given.
    pub(crate) fn give_back(&self, now: i64, key: Option<u64>, taken: &Taken, r: u64) -> u64 {
        match taken.held {
            Held::Rate(marked) => {
                let (gives, mut counted) = (self.gives(key), None);
                let given = self.on_word(key, now, |word, base| {
                    let look = |_| self.look_in(now, base);
                    rate::give_back(word, gives, marked, r, &mut counted, look)
                });
                // A key that cannot even be claimed anew is forgotten, and forgotten means full.
                given.unwrap_or(0)
            }
            Held::Slots => {
                self.let_go(now, key, r);
                r
            }
            Held::Used(tag) => {
                // As above: a key that is gone has nothing used.
                self.on_word(key, now, |word, _| level::give_back(word, tag, r)).unwrap_or(());
                r
            }
        }
    }

    /// Holds `n` slots that are in use already. False, and none is: more than can be counted, or a key that cannot be
    /// claimed any more, as others are at its limit.
    pub(crate) fn hold_over(&self, now: i64, key: Option<u64>, n: u64) -> bool {
        self.on_word(key, now, |word, _| level::add(word, n)).unwrap_or(false)
    }

    /// Gives slots back. A key in flight is alive, so its word is always found.
    pub(crate) fn let_go(&self, now: i64, key: Option<u64>, n: u64) {
        self.on_word(key, now, |word, _| level::let_go(word, n).then_some(())).unwrap_or(());
    }

    /// Charges `n` counts more for a demand that was admitted, over the limit if need be: debt.
    pub(crate) fn charge_more(&self, now: i64, key: Option<u64>, taken: &Taken, n: u64) {
        let done = match taken.held {
            Held::Rate(_) => self.on_word(key, now, |word, base| rate::charge(word, n, |_| self.look_in(now, base))),
            Held::Used(_) => self.on_word(key, now, |word, _| level::charge(word, n, |_| self.look(now))),
            // Slots are held, not spent: what is in flight does not change by what it cost.
            Held::Slots => Ok(()),
        };
        // The one way to fail is a key that was forgotten while more keys than allowed are alive; nothing to charge then.
        done.unwrap_or(());
    }

    /// The mark or amount now, without claiming a key.
    pub(crate) fn value(&self, key: Option<u64>) -> u64 {
        match (&self.keys, key) {
            (Some(keys), Some(hash)) => keys.value(hash).value(),
            _ => self.one.load().value(),
        }
    }

    /// The mark (rate), or what is in flight or used at a look.
    pub(crate) fn amount(&self, key: Option<u64>, look: &Look) -> u64 {
        self.standing(key, look).amount
    }

    /// The same with the window that it is used in, which is later than the look's where the clock went back.
    pub(crate) fn standing(&self, key: Option<u64>, look: &Look) -> Tagged {
        let value = self.value(key);
        match self.spec.measure {
            Measure::Rate => Tagged { amount: value, tag: look.tag },
            Measure::Concurrency => Tagged::of(value),
            Measure::Quota => level::in_window(value, look),
        }
    }

    /// What `take_leaving` would answer, charging and claiming nothing.
    pub(crate) fn probe(&self, now: i64, key: Option<u64>, n: u64, leaves: impl Fn(&Look) -> u64) -> Result<(), Stop> {
        let look = self.look(now).ok_or(Stop::NotPublished)?;
        let Tagged { amount, tag } = self.standing(key, &look);
        let (floor, limit) = if self.spec.measure == Measure::Rate { (look.k, look.e) } else { (0, look.limit) };
        match amount.max(floor).checked_add(n) {
            Some(wanted) if wanted <= limit.saturating_sub(leaves(&look)) => Ok(()),
            _ => Err(Stop::Full { amount, look: Look { tag, ..look } }),
        }
    }

    /// What stops everything where the level is 0 at `now`.
    pub(crate) fn shut(&self, now: i64, key: Option<u64>) -> Option<Stop> {
        let is_shut = self.installed()?.piece(now).level(now, &self.grains) == 0;
        let look = self.look(now).filter(|_| is_shut)?;
        let Tagged { amount, tag } = self.standing(key, &look);
        Some(Stop::Full { amount, look: Look { tag, ..look } })
    }
}
