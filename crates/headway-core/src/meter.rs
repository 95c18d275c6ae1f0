//! One meter: a curve, and the use counted against it, for all demands or for each key.
//!
//! A decision reads the seqlock and exchanges one word; only climbs, the past and publishing take the lock, and nobody
//! holds it across a decision.

#[cfg(all(test, not(loom)))]
mod apart;
mod division;
mod keep;
mod lend;
mod portion;
mod share;
mod spec;
mod take;
mod window;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::atomics::{AtomicI64, AtomicU64, Ordering};
use crate::bell::Bell;
use crate::counts::Counts;
use crate::curve::{Curve, LEVEL_MAX, Measure, QUOTA_MAX};
use crate::error::Error;
use crate::grain::{Grains, MICRO, grains_log2};
use crate::growth::{Draws, Growths};
use crate::hot::{Hot, Look, look_at};
use crate::installed::{Birth, Installed, RENEW_AT, Resumed, highest};
use crate::keys::Keys;
use crate::level;
use crate::rate::{Gives, GivesByKey, Marked};
use crate::saved::Kept;
use crate::sip::SipKey;
use crate::word::{Tagged, Word};

pub(crate) use division::Division;
use lend::Lent;
pub(crate) use portion::Portion;
pub(crate) use share::{Guarantee, Share};
pub use spec::MeterSpec;

/// Texts of refused keys that are remembered for listings.
const TEXTS_MAX: usize = 1_024;
/// Curves that are kept after others took their place, for refusals whose numbers are asked for a moment later.
const EARLIER_MAX: usize = 16;
/// A scaled key counts in the meter's own grains as long as its marks then last for more than a year.
const SCALED_FINER: u32 = 4;

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
    /// Grains of `one` that are on loan: they lift the floor of every decision. Of rates without keys.
    on_loan: AtomicU64,
    lent: Mutex<Lent>,
    pub(crate) keys: Option<Keys>,
    gives: Gives,
    gives_by_key: Option<GivesByKey>,
    pub(crate) scaled: Vec<Scaled>,
    pub(crate) shares: Vec<Share>,
    /// Where its workloads have weights.
    pub(crate) division: Option<Arc<Division>>,
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
        let mut shares = vec![];
        for share in &spec.shares {
            shares.push(Share::new(share, &spec, log2, sip, growths, renew_at)?);
        }
        let meter = Meter::of_keys(spec, log2, None, sip, growths, renew_at)?;
        let division = Division::of(&shares).map(Arc::new);
        Ok(Meter { shares, division, ..meter })
    }

    /// A meter with those of its keys that have a limit of their own. `least`: of a rate the least burst, in grains; None: a
    /// unit.
    fn of_keys(
        spec: MeterSpec,
        log2: u32,
        least: Option<u64>,
        sip: SipKey,
        growths: &Arc<Growths>,
        renew_at: u64,
    ) -> Result<Meter, Error> {
        let with = |spec: MeterSpec, log2: u32, ppm: u64, most: Option<usize>| -> Result<Meter, Error> {
            let meter = Meter::with(spec, log2, ppm, most, growths, renew_at)?;
            let grains = Grains { least: least.unwrap_or(meter.grains.least), ..meter.grains };
            Ok(Meter { grains, ..meter })
        };
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
            let meter = Meter { own_key: Some(Arc::clone(&name)), ..with(own, log2, *ppm, None)? };
            scaled.push(Scaled { hash: sip.hash(text.as_bytes()), text: name, meter: Arc::new(meter) });
        }
        let most = spec.keys_max.map(|most| usize::try_from(most).unwrap_or(usize::MAX) - scaled.len());
        Ok(Meter { scaled, ..with(spec, log2, MICRO, most)? })
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
            on_loan: AtomicU64::new(0),
            lent: Mutex::default(),
            keys: most.map(Keys::new),
            gives: Gives::default(),
            gives_by_key: (is_rate && most.is_some()).then(GivesByKey::new),
            scaled: vec![],
            shares: vec![],
            division: None,
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

    /// The curve at `now`, the floor lifted by what is on loan; None before the first publish.
    #[inline]
    pub(crate) fn look(&self, now: i64) -> Option<Look> {
        self.bare_look(now).map(|look| self.lifted(look))
    }

    /// Only K and what is on loan are read: whoever holds it against a word has loaded that before.
    #[inline]
    fn lifted(&self, look: Look) -> Look {
        look.lifted(self.on_loan.load(Ordering::Acquire))
    }

    #[inline]
    fn bare_look(&self, now: i64) -> Option<Look> {
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
        for share in &self.shares {
            share.install(curve, anchor, now);
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
}
