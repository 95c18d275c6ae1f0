//! One meter: a curve, and the use counted against it, for all demands or for each key.
//!
//! A decision reads the seqlock and exchanges one word; only climbs, the past and publishing take the lock, and nobody
//! holds it across a decision.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::atomics::{AtomicI64, AtomicU64, Ordering};
use crate::bell::Bell;
use crate::counts::Counts;
use crate::curve::{Curve, LEVEL_MAX, Measure, QUOTA_MAX};
use crate::error::Error;
use crate::grain::{Grains, MICRO, PPM_MAX, grains_log2};
use crate::growth::{Draws, Growths};
use crate::hot::{Hot, Look, look_at};
use crate::installed::{Birth, Installed, RENEW_AT, Resumed, highest};
use crate::keys::Keys;
use crate::level::{self, LevelStop};
use crate::rate::{self, Gives, GivesByKey, Marked, RateStop};
use crate::saved::Kept;
use crate::sip::SipKey;
use crate::time::Clock;
use crate::word::{AMOUNT_MAX, Tagged, Word};

/// Texts of refused keys that are remembered for listings.
const TEXTS_MAX: usize = 1_024;
/// Curves that are kept after others took their place, for refusals whose numbers are asked for a moment later.
const EARLIER_MAX: usize = 16;
/// A scaled key counts in the meter's own grains as long as its marks then last for more than a year.
const SCALED_FINER: u32 = 4;
/// The most keys a meter may hold: their tables then stay within a few GiB.
const KEYS_MAX: u64 = 100_000_000;

/// What a meter is, for as long as the process lives. See the binding's stub for the fields.
#[derive(Debug, Clone)]
pub struct MeterSpec {
    pub name: String,
    pub measure: Measure,
    pub ceiling_micro: u64,
    /// Of a rate; 0 else.
    pub per_ns: u64,
    pub unit: String,
    pub keys_max: Option<u64>,
    pub scale_ppm: Vec<(String, u64)>,
    pub born_empty: bool,
    pub durable: bool,
    pub chunk_micro: u64,
}

impl MeterSpec {
    /// Errors: a ceiling no meter holds, scales without keys, durable draws where there are none.
    pub fn checked(self) -> Result<MeterSpec, Error> {
        let name = &self.name;
        let fail = |text: &str| Err(Error::Invalid(format!("meter {name:?}: {text}")));
        if self.name.is_empty() || self.name.len() > 1_024 || self.unit.is_empty() || self.unit.len() > 256 {
            return fail("a name has 1 to 1,024 bytes, a unit 1 to 256");
        }
        match self.measure {
            Measure::Rate => {
                grains_log2(self.ceiling_micro, self.per_ns)?;
            }
            _ if self.per_ns != 0 => return fail("`per_ns` belongs to rates"),
            Measure::Concurrency if self.ceiling_micro > LEVEL_MAX => {
                return fail("the ceiling is over 2^46 micro-units");
            }
            Measure::Quota if self.ceiling_micro > QUOTA_MAX => return fail("the ceiling is over 2^60 micro-units"),
            _ => {}
        }
        if self.keys_max.is_none() && !self.scale_ppm.is_empty() {
            return fail("`scale_ppm` needs keys: set `keys_max`");
        }
        if self.keys_max.is_some_and(|most| most == 0 || most > KEYS_MAX || most < self.scale_ppm.len() as u64) {
            return fail("`keys_max` is 1 to 100,000,000, and at least the number of scaled keys");
        }
        if self.scale_ppm.iter().any(|(_, ppm)| *ppm == 0 || *ppm > PPM_MAX) {
            return fail("a scale is 1 ppm to a million times");
        }
        let mut texts: Vec<&str> = self.scale_ppm.iter().map(|(text, _)| text.as_str()).collect();
        texts.sort_unstable();
        if texts.windows(2).any(|pair| pair[0] == pair[1]) {
            return fail("a key is scaled twice");
        }
        if self.born_empty && self.measure != Measure::Rate {
            return fail(
                "only a rate is born empty: a concurrency holds nothing after a start, a quota restores its count",
            );
        }
        if self.durable
            && (self.measure == Measure::Concurrency || self.measure == Measure::Rate && self.keys_max.is_some())
        {
            return fail("only quotas, and rates without keys, draw from the durable count");
        }
        Ok(self)
    }
}

/// What stood in the way of a demand on one meter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stop {
    /// The limit, with the mark or amount there was and the curve as it was looked at.
    Full {
        amount: u64,
        look: Look,
    },
    /// Room under the limit, but not yet granted by the durable store; `want`: the amount or mark asked for.
    Draw {
        amount: u64,
        want: u64,
        look: Look,
    },
    TooManyKeys,
    NotPublished,
}

/// What a demand took, as needed to give it back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// In the meter's counts.
    pub(crate) n: u64,
    pub(crate) held: Held,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Held {
    Rate(Marked),
    Slots,
    Used(u16),
}

impl Taken {
    pub(crate) const NOTHING: Taken = Taken { n: 0, held: Held::Slots };
}

pub(crate) struct Scaled {
    pub(crate) hash: u64,
    pub(crate) text: Arc<str>,
    pub(crate) meter: Arc<Meter>,
}

struct State {
    curve: Option<Arc<Installed>>,
    /// The sequence from which the present curve is looked at, and the curves before it with theirs, the oldest first.
    seq: u64,
    earlier: VecDeque<(u64, Arc<Installed>)>,
    /// The seqlock holds the piece of this instant; a reader with an older clock does not turn it back.
    compiled_at: i64,
    /// What was restored, until the first curve comes.
    kept: Option<Kept>,
    published_utc: i64,
}

pub(crate) struct Meter {
    pub(crate) spec: MeterSpec,
    /// How levels become counts, the scale of a key's own limit included.
    pub(crate) grains: Grains,
    /// Quota: counts of 2^shift micro-units, where the ceiling asks for it. Else 0.
    pub(crate) shift: u32,
    hot: Hot,
    state: Mutex<State>,
    one: Word,
    pub(crate) keys: Option<Keys>,
    gives: Gives,
    gives_by_key: Option<GivesByKey>,
    pub(crate) scaled: Vec<Scaled>,
    /// The key this is the meter of, where it is a scaled key's own: its draws are booked under it.
    pub(crate) own_key: Option<Arc<str>>,
    /// The highest mark (rate) the store knows of; `u64::MAX` where nothing is durable.
    pub(crate) durable_to: AtomicU64,
    pub(crate) draws: Option<Draws>,
    pub(crate) bell: Bell,
    /// Charges of demands of other than one unit, less give-backs, in counts; those of one unit are counted by the paths.
    pub(crate) charged: AtomicI64,
    pub(crate) payers: Mutex<Vec<(Arc<Counts>, u64)>>,
    texts: Mutex<VecDeque<(u64, Arc<str>)>>,
    renew_at: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meter {
    pub(crate) fn new(spec: MeterSpec, sip: SipKey, growths: &Arc<Growths>) -> Result<Meter, Error> {
        Meter::renewed_at(spec, sip, growths, RENEW_AT)
    }

    /// `renew_at`: the E at which a publish renews the base; tests set it low.
    pub(crate) fn renewed_at(
        spec: MeterSpec,
        sip: SipKey,
        growths: &Arc<Growths>,
        renew_at: u64,
    ) -> Result<Meter, Error> {
        let spec = spec.checked()?;
        let log2 = if spec.measure == Measure::Rate { grains_log2(spec.ceiling_micro, spec.per_ns)? } else { 0 };
        let mut scaled = vec![];
        for (text, ppm) in &spec.scale_ppm {
            let ceiling = u128::from(spec.ceiling_micro) * u128::from(*ppm) / u128::from(MICRO);
            let ceiling_micro = u64::try_from(ceiling).unwrap_or(u64::MAX);
            let own = MeterSpec { ceiling_micro, keys_max: None, scale_ppm: vec![], ..spec.clone() }.checked()?;
            let log2 = if spec.measure == Measure::Rate {
                log2.min(grains_log2(ceiling_micro, spec.per_ns)? + SCALED_FINER)
            } else {
                0
            };
            let name: Arc<str> = text.as_str().into();
            let meter =
                Meter { own_key: Some(Arc::clone(&name)), ..Meter::with(own, log2, *ppm, None, growths, renew_at)? };
            scaled.push(Scaled { hash: sip.hash(text.as_bytes()), text: name, meter: Arc::new(meter) });
        }
        let most = spec.keys_max.map(|most| usize::try_from(most).unwrap_or(usize::MAX) - scaled.len());
        let meter = Meter::with(spec, log2, MICRO, most, growths, renew_at)?;
        Ok(Meter { scaled, ..meter })
    }

    /// One meter whose levels are multiplied by `ppm`, without scaled keys of its own.
    fn with(
        spec: MeterSpec,
        log2: u32,
        ppm: u64,
        most: Option<usize>,
        growths: &Arc<Growths>,
        renew_at: u64,
    ) -> Result<Meter, Error> {
        let is_rate = spec.measure == Measure::Rate;
        let grains = if is_rate { Grains::of_rate(log2, spec.per_ns, ppm)? } else { Grains::of_level(ppm) };
        let bits = u64::BITS - spec.ceiling_micro.leading_zeros();
        let shift = if spec.measure == Measure::Quota { bits.saturating_sub(46) } else { 0 };
        Ok(Meter {
            grains,
            shift,
            hot: Hot::default(),
            state: Mutex::new(State {
                curve: None,
                seq: 0,
                earlier: VecDeque::new(),
                compiled_at: i64::MIN,
                kept: None,
                published_utc: 0,
            }),
            one: Word::default(),
            keys: most.map(Keys::new),
            gives: Gives::default(),
            gives_by_key: (is_rate && most.is_some()).then(GivesByKey::new),
            scaled: vec![],
            own_key: None,
            durable_to: AtomicU64::new(if spec.durable && is_rate { 0 } else { u64::MAX }),
            draws: spec.durable.then(|| Draws::new(Arc::clone(growths), most)),
            bell: Bell::default(),
            charged: AtomicI64::new(0),
            payers: Mutex::new(vec![]),
            texts: Mutex::new(VecDeque::new()),
            renew_at,
            spec,
        })
    }

    // --- the curve --------------------------------------------------------------------------------------------------

    /// The curve at `now`; None before the first publish.
    #[inline]
    pub(crate) fn look(&self, now: i64) -> Option<Look> {
        match self.hot.look(self.spec.measure, now) {
            Some(look) => Some(look),
            None => self.look_slowly(now),
        }
    }

    #[cold]
    fn look_slowly(&self, now: i64) -> Option<Look> {
        let mut state = lock(&self.state);
        let curve = Arc::clone(state.curve.as_ref()?);
        if now > state.compiled_at && curve.piece(now).line.is_flat() {
            self.hot.compile(&curve, now, self.shift);
            state.compiled_at = now;
        }
        Some(look_at(&curve, now, self.shift, self.hot.seq()))
    }

    /// The installed curve, for refusals and readings.
    pub(crate) fn installed(&self) -> Option<Arc<Installed>> {
        lock(&self.state).curve.clone()
    }

    /// The curve that a look with this sequence was at; past `EARLIER_MAX` later ones the oldest that is kept.
    pub(crate) fn installed_at(&self, seq: u64) -> Option<Arc<Installed>> {
        let state = lock(&self.state);
        if seq >= state.seq {
            return state.curve.clone();
        }
        let known = state.earlier.iter().rev().find(|(since, _)| *since <= seq).or(state.earlier.front());
        known.map(|(_, curve)| Arc::clone(curve)).or_else(|| state.curve.clone())
    }

    pub(crate) fn published_utc(&self) -> i64 {
        lock(&self.state).published_utc
    }

    /// Errors: another measure, no newer version, a level that this meter cannot hold.
    pub(crate) fn may_install(&self, curve: &Curve) -> Result<(), Error> {
        let name = &self.spec.name;
        if curve.measure != self.spec.measure {
            let (own, other) = (self.spec.measure.name(), curve.measure.name());
            return Err(Error::Invalid(format!("meter {name:?} is a {own}, the curve is of a {other}")));
        }
        if let Some(old) = &lock(&self.state).curve
            && curve.version <= old.curve.version
        {
            let (new, old) = (curve.version, old.curve.version);
            return Err(Error::Invalid(format!("meter {name:?} has version {old}; version {new} is not newer")));
        }
        if curve.per_ns != self.spec.per_ns {
            let (own, other) = (self.spec.per_ns, curve.per_ns);
            return Err(Error::Invalid(format!("meter {name:?} counts in {own} ns, the curve in {other} ns")));
        }
        let (highest, ceiling) = (highest(curve, self.grains.ppm), self.spec.ceiling_micro);
        let most = if self.spec.measure == Measure::Concurrency { LEVEL_MAX } else { QUOTA_MAX };
        if highest > ceiling.saturating_mul(4).max(4).min(most) {
            return Err(Error::Invalid(format!(
                "meter {name:?}: a level of {highest} micro-units is over four times the declared ceiling of {ceiling}"
            )));
        }
        self.scaled.iter().try_for_each(|scaled| scaled.meter.may_install(curve))
    }

    /// Installs a curve that `may_install` found right. In force when this returns.
    pub(crate) fn install(&self, curve: &Arc<Curve>, anchor: i64, now: i64) {
        for scaled in &self.scaled {
            scaled.meter.install(curve, anchor, now);
        }
        let mut state = lock(&self.state);
        let kept = state.kept.take();
        let mut new = if let Some(old) = &state.curve {
            old.joined(Arc::clone(curve), anchor, now)
        } else {
            let birth = match &kept {
                Some(kept) if self.spec.measure == Measure::Rate => {
                    Birth::Resumed(Resumed { utc_ns: kept.utc_ns, k_from_e: kept.k_from_e(self.grains.log2) })
                }
                _ if self.spec.born_empty => Birth::Empty,
                _ => Birth::Full,
            };
            Installed::first(Arc::clone(curve), self.grains, anchor, now, birth)
        };
        let now = new.since;
        if let Some(kept) = kept {
            self.take_up(&kept, &new);
        }
        let renewed = new.entitlement(now) > self.renew_at && new.pieces[0].k > 0;
        let frozen = if renewed { self.renew(&mut new) } else { None };
        if let Some(draws) = &self.draws
            && self.spec.measure == Measure::Rate
        {
            self.durable_to.store(
                draws.known_until().map_or(0, |utc| new.entitlement(utc.saturating_sub(anchor))),
                Ordering::SeqCst,
            );
        }
        let new = Arc::new(new);
        self.hot.compile(&new, now, self.shift);
        if let Some(mark) = frozen {
            self.one.thaw(mark);
        }
        if let (true, Some(keys)) = (renewed, &self.keys) {
            keys.renew(new.base, &|mark| mark > new.floor(now));
        }
        if self.spec.measure == Measure::Concurrency && self.keys.is_none() {
            level::stamp(&self.one, curve.version as u16 & crate::word::TAG_MASK);
        }
        state.compiled_at = now;
        state.published_utc = now.saturating_add(anchor);
        let since = std::mem::replace(&mut state.seq, self.hot.seq());
        if let Some(old) = state.curve.replace(new) {
            state.earlier.push_back((since, old));
            if state.earlier.len() > EARLIER_MAX {
                state.earlier.pop_front();
            }
        }
    }

    /// Renews the base: as much is taken off E, K and every mark as the oldest kept K says is spent by all. An unkeyed
    /// mark stays frozen until the seqlock is written; decisions spin for that long.
    fn renew(&self, new: &mut Installed) -> Option<u64> {
        let delta = new.pieces[0].k;
        let frozen = self.keys.is_none().then(|| self.one.freeze().value().saturating_sub(delta));
        new.renew(delta);
        frozen
    }

    // --- decisions --------------------------------------------------------------------------------------------------

    fn gives(&self, key: Option<u64>) -> &Gives {
        self.gives_by_key.as_ref().zip(key).map_or(&self.gives, |(by_key, hash)| by_key.of(hash))
    }

    /// Whether a key with this value still differs from a new one.
    fn is_alive(&self, value: u64, now: i64) -> bool {
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
    fn on_word<R>(&self, key: Option<u64>, now: i64, mut act: impl FnMut(&Word, u64) -> Option<R>) -> Result<R, Stop> {
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

    /// Takes `n` counts at `now`; `clock` is read again only where a fall lies ahead.
    #[inline]
    pub(crate) fn take(&self, clock: &impl Clock, now: i64, key: Option<u64>, n: u64) -> Result<Taken, Stop> {
        match self.spec.measure {
            Measure::Rate => self.take_rate(now, key, n),
            Measure::Concurrency => self.take_slots(clock, now, key, n),
            Measure::Quota => self.take_quota(now, key, n),
        }
    }

    /// One try on a rate without durable draws: admitted, or over a limit that it fits under at another time. None for
    /// everything that takes more than a look and an exchange.
    #[inline]
    pub(crate) fn take_plainly(&self, now: i64, key: Option<u64>, n: u64) -> Option<Result<(), Stop>> {
        let look = || self.hot.look(Measure::Rate, now);
        let took = match (&self.keys, key) {
            (Some(keys), Some(hash)) => keys.with_known(hash, |word, base| {
                let look = || look().filter(|look| look.base == base);
                rate::take_at_once(word, &self.gives, n, &self.durable_to, look)
            })?,
            _ => rate::take_at_once(&self.one, &self.gives, n, &self.durable_to, look)?,
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
            let look = || self.hot.look(Measure::Rate, now);
            match rate::take_at_once(&self.one, &self.gives, n, &self.durable_to, look) {
                Some(Ok(marked)) => return Ok(Taken { n, held: Held::Rate(marked) }),
                Some(Err(RateStop::Full { mark, look })) => return Err(Stop::Full { amount: mark, look }),
                _ => {}
            }
        }
        self.take_rate_carefully(now, key, n)
    }

    fn take_rate_carefully(&self, now: i64, key: Option<u64>, n: u64) -> Result<Taken, Stop> {
        let gives = self.gives(key);
        let result = self.on_word(key, now, |word, base| {
            let look = |_| self.look(now).filter(|look| base == u64::MAX || look.base == base);
            match rate::take(word, gives, n, &self.durable_to, look) {
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
        self.take_slots_carefully(clock, now, key, n)
    }

    fn take_slots_carefully(&self, clock: &impl Clock, now: i64, key: Option<u64>, n: u64) -> Result<Taken, Stop> {
        let keyed = self.keys.is_some();
        let result = self.on_word(key, now, |word, _| {
            let again = |look: &Look| {
                let old = look.falls || keyed && !self.hot.is_unchanged(look);
                if old { self.look(clock.boot_ns()) } else { None }
            };
            match level::hold(word, n, !keyed, |_| self.look(now), again) {
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

    fn take_quota(&self, now: i64, key: Option<u64>, n: u64) -> Result<Taken, Stop> {
        let granted = |tag| self.draws.as_ref().map_or(u64::MAX, |draws| draws.granted(key, tag));
        let result = self.on_word(key, now, |word, _| match level::spend(word, granted, n, |_| self.look(now)) {
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
                    let look = |_| self.look(now).filter(|look| base == u64::MAX || look.base == base);
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

    /// Gives slots back. A key in flight is alive, so its word is always found.
    pub(crate) fn let_go(&self, now: i64, key: Option<u64>, n: u64) {
        self.on_word(key, now, |word, _| level::let_go(word, n).then_some(())).unwrap_or(());
    }

    /// Charges `n` counts more for a demand that was admitted, over the limit if need be: debt.
    pub(crate) fn charge_more(&self, now: i64, key: Option<u64>, taken: &Taken, n: u64) {
        let done = match taken.held {
            Held::Rate(_) => self.on_word(key, now, |word, base| {
                rate::charge(word, n, |_| self.look(now).filter(|look| base == u64::MAX || look.base == base))
            }),
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

    /// What `take` would answer, charging and claiming nothing.
    pub(crate) fn probe(&self, now: i64, key: Option<u64>, n: u64) -> Result<(), Stop> {
        let look = self.look(now).ok_or(Stop::NotPublished)?;
        let Tagged { amount, tag } = self.standing(key, &look);
        let (floor, limit) = if self.spec.measure == Measure::Rate { (look.k, look.e) } else { (0, look.limit) };
        match amount.max(floor).checked_add(n) {
            Some(wanted) if wanted <= limit => Ok(()),
            _ => Err(Stop::Full { amount, look: Look { tag, ..look } }),
        }
    }

    // --- what is known of keys --------------------------------------------------------------------------------------

    /// Remembers the text of a key that was refused, for `keys`; the last 1,024 differing ones.
    pub(crate) fn remember(&self, hash: u64, text: &Arc<str>) {
        let mut texts = lock(&self.texts);
        if texts.iter().rev().take(8).any(|(known, _)| *known == hash) {
            return;
        }
        texts.retain(|(known, _)| *known != hash);
        texts.push_back((hash, Arc::clone(text)));
        if texts.len() > TEXTS_MAX {
            texts.pop_front();
        }
    }

    pub(crate) fn texts(&self) -> Vec<(u64, Arc<str>)> {
        lock(&self.texts).iter().cloned().collect()
    }

    pub(crate) fn keys_live(&self, now: i64) -> usize {
        let scaled = self.scaled.iter().filter(|s| s.meter.is_alive(s.meter.value(None), now)).count();
        self.keys.as_ref().map_or(0, |keys| keys.live(&|value| self.is_alive(value, now)) + scaled)
    }

    /// The largest use of a key in counts, sampled; for a meter without keys its own.
    pub(crate) fn largest(&self, look: &Look) -> u64 {
        match &self.keys {
            None => self.amount(None, look),
            Some(keys) => keys.largest(|value| match self.spec.measure {
                Measure::Rate => value,
                Measure::Concurrency => Tagged::of(value).amount,
                Measure::Quota => level::in_window(value, look).amount,
            }),
        }
    }

    // --- saving -----------------------------------------------------------------------------------------------------

    /// What a clean stop keeps; None for what starts anew anyway, or before the first publish.
    pub(crate) fn kept(&self, now: i64, utc_ns: i64) -> Option<Kept> {
        let curve = self.installed()?;
        let look = self.look(now)?;
        if self.spec.measure == Measure::Concurrency {
            return None;
        }
        let relative = |value: u64| match self.spec.measure {
            Measure::Rate => (value.max(look.k) as i64).wrapping_sub(look.e as i64),
            _ => (Tagged::of(value).amount << self.shift) as i64,
        };
        let keys = self.keys.as_ref().map_or_else(Vec::new, |keys| keys.all(&|value| self.is_alive(value, now)));
        let used = self.one.load().value();
        let is_rate = self.spec.measure == Measure::Rate;
        // A window that was used before the clock went back is ahead now: what was used is kept for that one, and what was
        // used since goes with it.
        let mut tag = look.tag;
        if self.spec.measure == Measure::Quota {
            for value in keys.iter().map(|(_, value)| *value).chain([used]).map(Tagged::of) {
                tag = if value.amount > 0 && value.is_after(tag) { value.tag } else { tag };
            }
        }
        let window = curve.windows.iter().find(|w| w.tag == tag).copied().or_else(|| curve.window_at(now));
        let one = if is_rate || self.is_alive(used, now) { relative(used) } else { 0 };
        Some(Kept {
            utc_ns,
            log2: self.grains.log2,
            k: if is_rate { look.k as i64 - look.e as i64 } else { 0 },
            window_start_utc: window.map_or(0, |w| w.start_utc),
            one,
            drawn: self.draws.as_ref().map_or(0, |d| d.granted(None, tag)) << self.shift,
            keys: keys
                .into_iter()
                .map(|(hash, value)| {
                    let drawn = self.draws.as_ref().map_or(0, |d| d.granted(Some(hash), tag)) << self.shift;
                    (hash, relative(value), drawn)
                })
                .collect(),
            scaled: self.scaled.iter().filter_map(|s| Some((s.text.to_string(), s.meter.kept(now, utc_ns)?))).collect(),
        })
    }

    /// Errors: a curve was published already.
    pub(crate) fn restore(&self, kept: Kept) -> Result<(), Error> {
        for (text, own) in &kept.scaled {
            if let Some(scaled) = self.scaled.iter().find(|s| *s.text == **text) {
                scaled.meter.restore(own.clone())?;
            }
        }
        let mut state = lock(&self.state);
        if state.curve.is_some() {
            return Err(Error::Invalid(format!(
                "meter {:?} has a curve already; restore before publish",
                self.spec.name
            )));
        }
        if let Some(draws) = &self.draws
            && self.spec.measure == Measure::Rate
        {
            // After a clean stop the mark itself is known; the store's mark ahead of it is drawn anew.
            draws.forget_until();
        }
        state.kept = Some(kept);
        Ok(())
    }

    /// A row of the durable count: all that was drawn counts as used (quota); use is certain up to the UTC instant `drawn`
    /// (rate). Beside what `restore` brought, which knows what was used, only the amount drawn is news.
    pub(crate) fn restore_drawn(&self, hash: Option<u64>, window_start_utc: i64, drawn: i64) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if state.curve.is_some() {
            return Err(Error::Invalid(format!(
                "meter {:?} has a curve already; restore before publish",
                self.spec.name
            )));
        }
        if self.spec.measure == Measure::Rate {
            if state.kept.is_none() {
                // Everything up to that instant is spent, nothing after it: K = M = E there.
                state.kept = Some(Kept { utc_ns: drawn, log2: self.grains.log2, ..Kept::default() });
                if let Some(draws) = &self.draws {
                    draws.know_until(drawn);
                }
            }
            return Ok(());
        }
        let used = u64::try_from(drawn).map_err(|_| Error::invalid("a drawn amount is not below zero"))?;
        let (used, saved) = ((used as i64), state.kept.is_some());
        let kept = state.kept.get_or_insert_with(|| Kept { window_start_utc, ..Kept::default() });
        if kept.window_start_utc != window_start_utc {
            if window_start_utc < kept.window_start_utc {
                return Ok(());
            }
            *kept = Kept { window_start_utc, ..Kept::default() };
        }
        match hash {
            None if saved && kept.one > 0 => kept.drawn = used as u64,
            None => (kept.one, kept.drawn) = (used, used as u64),
            Some(hash) => match kept.keys.iter_mut().find(|(known, ..)| *known == hash) {
                Some(row) if saved => row.2 = used as u64,
                Some(row) => (row.1, row.2) = (used, used as u64),
                None => kept.keys.push((hash, used, used as u64)),
            },
        }
        Ok(())
    }

    fn take_up(&self, kept: &Kept, new: &Installed) {
        let now = new.since;
        if self.spec.measure == Measure::Rate {
            let e = i128::from(new.entitlement(kept.utc_ns.saturating_sub(new.anchor)));
            let mark =
                |from_e: i64| (e + i128::from(kept.to_grains(from_e, self.grains.log2))).clamp(0, 1 << 61) as u64;
            self.one.carry(mark(kept.one));
            if let Some(keys) = &self.keys {
                for (hash, from_e, _) in &kept.keys {
                    keys.take_up(*hash, mark(*from_e));
                }
            }
            return;
        }
        // The window that was saved is the present one, one ahead, or one that was seen anew since; else it is over.
        let Some(present) = new.window_at(now) else { return };
        if kept.window_start_utc < present.start_utc {
            return;
        }
        let count = |micro: u64| (micro.div_ceil(1 << self.shift)).min(AMOUNT_MAX);
        let tag = new.windows.iter().find(|w| w.start_utc == kept.window_start_utc).map_or(present.tag, |w| w.tag);
        let tagged = |amount: u64| Tagged { tag, amount };
        self.one.carry(tagged(count(kept.one.max(0) as u64)).value());
        if let Some(draws) = &self.draws {
            draws.grant(None, tagged(kept.drawn >> self.shift));
        }
        if let Some(keys) = &self.keys {
            for (hash, used, drawn) in kept.keys.iter().filter(|(_, used, drawn)| *used > 0 || *drawn > 0) {
                keys.take_up(*hash, tagged(count((*used).max(0) as u64)).value());
                if let Some(draws) = &self.draws {
                    draws.grant(Some(*hash), tagged(*drawn >> self.shift));
                }
            }
        }
    }
}
