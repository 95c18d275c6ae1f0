//! A refused demand, and everything there is to say about it. Numbers are computed when they are asked for.

mod sentence;

use std::sync::{Arc, OnceLock};

use crate::curve::Measure;
use crate::earliest::{Retry, Stood, earliest};
use crate::far::Told;
use crate::grain::{MICRO, micro_of_grains};
use crate::hot::Look;
use crate::installed::Installed;
use crate::meter::Meter;
use crate::path::{Key, Parted, Path, Stopped};
use crate::why::Why;
use crate::word::Tagged;

#[derive(Clone)]
pub struct Refusal {
    path: Arc<Path>,
    step: usize,
    pub why: Why,
    pub units: u64,
    key: Option<(u64, Arc<str>)>,
    /// When it was refused, on the meters' clock.
    pub at: i64,
    /// What was seen on the meter that refused: its mark or amount, at this look.
    amount: u64,
    look: Option<Look>,
    /// The curve of that look, fetched when somebody asks: most refusals are only counted.
    curve: OnceLock<Option<Arc<Installed>>>,
    /// Units of slots that the workload held then.
    yours: u64,
    reference: OnceLock<u32>,
    /// Its part by weight, where that stood in the way.
    parted: Option<Parted>,
    /// What a keeper said of it; the numbers above are then of no use.
    told: Option<Arc<Told>>,
}

impl Refusal {
    pub(crate) fn new(path: &Arc<Path>, units: u64, key: Option<Key<'_>>, stopped: Stopped) -> Refusal {
        let (at, hash) = (stopped.at, key.map(|k| k.hash));
        let key = key.map(|k| (k.hash, Arc::<str>::from(k.text)));
        let toll = path.steps.get(stopped.step).map(|step| step.toll(hash));
        if let (Some((toll, Some(hash))), Some((_, text))) = (toll, &key) {
            toll.meter.remember(hash, text);
        }
        let (amount, look) = stopped.seen().unwrap_or_else(|| {
            let Some((toll, own)) = toll else { return (0, None) };
            let look = toll.meter.look(at);
            (look.map_or(0, |look| toll.meter.amount(own, &look)), look)
        });
        let parted = stopped.parted(path, units, hash);
        let yours = if path.has_slots() { path.counts.held_units() } else { 0 };
        let (path, step, why) = (Arc::clone(path), stopped.step, stopped.why);
        let (curve, reference) = (OnceLock::new(), OnceLock::new());
        Refusal { path, step, why, units, key, at, amount, look, curve, yours, reference, parted, told: None }
    }

    /// What a keeper refused.
    pub(crate) fn told(path: &Arc<Path>, units: u64, key: Option<Key<'_>>, at: i64, told: Arc<Told>) -> Refusal {
        let stopped = Stopped::by(told.why, at);
        Refusal { told: Some(told), ..Refusal::new(path, units, key, stopped) }
    }

    /// Says a later refusal of the same limiter in the place of this one, which nobody reads any more; false, with nothing
    /// changed, where that takes more than a few numbers.
    pub fn overwrite(&mut self, path: &Arc<Path>, units: u64, key: Option<u64>, stopped: &Stopped) -> bool {
        let Some((amount, look)) = stopped.seen() else { return false };
        let is_same = Arc::ptr_eq(path, &self.path) && self.key.as_ref().map(|(hash, _)| *hash) == key;
        if !is_same || path.has_slots() || self.told.is_some() {
            return false;
        }
        (self.step, self.why, self.units, self.at) = (stopped.step, stopped.why, units, stopped.at);
        (self.amount, self.look) = (amount, look);
        self.parted = stopped.parted(path, units, key);
        self.curve.take();
        self.reference.take();
        true
    }

    /// The curve that the demand met.
    fn curve(&self) -> Option<&Arc<Installed>> {
        let fetch = || match self.look {
            Some(look) => self.meter()?.installed_at(look.seq),
            None => self.meter()?.installed(),
        };
        self.curve.get_or_init(fetch).as_ref()
    }

    /// The meter that refused; None where a keeper decides.
    fn meter(&self) -> Option<&Meter> {
        let step = self.path.steps.get(self.step)?;
        Some(&step.toll(self.key.as_ref().map(|(hash, _)| *hash)).0.meter)
    }

    pub fn contract(&self) -> &str {
        &self.path.spec.contract
    }

    pub fn workload(&self) -> &str {
        &self.path.spec.workload
    }

    pub fn meter_name(&self) -> &str {
        let own = || self.meter().map_or(self.contract(), |meter| &meter.spec.name);
        self.told.as_ref().map_or_else(own, |told| &told.meter)
    }

    pub fn unit(&self) -> &str {
        let own = || self.meter().map_or("unit", |meter| &meter.spec.unit);
        self.told.as_ref().map_or_else(own, |told| &told.unit)
    }

    pub fn key(&self) -> Option<&str> {
        self.key.as_ref().map(|(_, text)| &**text)
    }

    pub fn version(&self) -> u64 {
        let own = || self.curve().map_or(0, |c| c.curve.version);
        self.told.as_ref().map_or_else(own, |told| told.version)
    }

    pub fn stage(&self) -> &str {
        let own = || self.curve().map_or("", |c| &c.curve.stage);
        self.told.as_ref().map_or_else(own, |told| &told.stage)
    }

    pub fn raises_when(&self) -> &str {
        let own = || self.curve().map_or("", |c| &c.curve.raises_when);
        self.told.as_ref().map_or_else(own, |told| &told.raises_when)
    }

    /// The level at the refusal in micro-units, for a rate over its `per`.
    pub fn limit_micro(&self) -> u64 {
        let own = || self.curve().map_or(0, |c| c.piece(self.at).level(self.at, &c.grains));
        self.told.as_ref().map_or_else(own, |told| told.limit_micro)
    }

    /// Rate: spent of the burst, above it debt. Concurrency: in flight. Quota: used in the window.
    pub fn use_micro(&self) -> i64 {
        if let Some(told) = &self.told {
            return told.use_micro;
        }
        let (Some(curve), Some(look), Some(meter)) = (self.curve(), self.look, self.meter()) else { return 0 };
        match meter.spec.measure {
            Measure::Rate => {
                let headroom = i128::from(look.e) - i128::from(self.amount.max(look.k));
                micro_of_grains(
                    i128::from(curve.piece(self.at).burst(self.at, &curve.grains)) - headroom,
                    curve.grains.log2,
                )
            }
            _ => i64::try_from(self.amount << meter.shift).unwrap_or(i64::MAX),
        }
    }

    /// The burst of a rate in micro-units.
    fn burst_micro(&self) -> i64 {
        let Some(curve) = self.curve() else { return 0 };
        micro_of_grains(i128::from(curve.piece(self.at).burst(self.at, &curve.grains)), curve.grains.log2)
    }

    /// The limit in units; of a rate over its `per`.
    pub fn limit(&self) -> f64 {
        self.limit_micro() as f64 / MICRO as f64
    }

    pub fn use_units(&self) -> f64 {
        self.use_micro() as f64 / MICRO as f64
    }

    /// Units the demand weighs, cost included.
    pub fn weight(&self) -> f64 {
        self.units as f64 * self.path.cost_ppm() as f64 / MICRO as f64
    }

    /// The earliest instant at which the whole path has room: on the meter that refused from what was seen there, on the
    /// others from what they hold now.
    pub fn retry(&self) -> Retry {
        if let Some(told) = &self.told {
            return told.retry;
        }
        if !self.why.is_retryable() {
            return Retry::Never;
        }
        let is_unknown =
            matches!(self.why, Why::NotPublished | Why::TooManyKeys | Why::Drawing | Why::NotDurable | Why::Overloaded);
        if is_unknown || self.path.is_distant() {
            return Retry::Unknown;
        }
        let hash = self.key.as_ref().map(|(hash, _)| *hash);
        let (tag, on_loan) = self.look.map_or((0, 0), |look| (look.tag, look.on_loan));
        let seen = Stood { held: Tagged { amount: self.amount, tag }, on_loan };
        self.path.earliest(hash, self.units, self.at, Some((self.step, seen)))
    }

    /// Seconds from the refusal to the retry.
    pub fn retry_after_s(&self) -> Option<f64> {
        match self.retry() {
            Retry::At(at) => Some(at.saturating_sub(self.at).max(0) as f64 / 1e9),
            Retry::Never | Retry::Unknown => None,
        }
    }

    /// A short name under which the story is kept from now on.
    pub fn reference(&self) -> String {
        if let Some(told) = self.told.as_ref().filter(|told| told.reference.starts_with("hw:")) {
            return told.reference.clone();
        }
        // A story may be read long after many other curves: it keeps its own.
        self.curve();
        spelled(*self.reference.get_or_init(|| self.path.shared.tell(self.clone())))
    }

    /// The name it is kept under, told by whoever keeps it.
    pub(crate) fn named(self, name: u32) -> Refusal {
        Refusal { reference: OnceLock::from(name), ..self }
    }
}

/// `hw:` and six hexadecimal digits; what formats any number takes several times as long.
fn spelled(name: u32) -> String {
    let mut text = String::with_capacity(9);
    text.push_str("hw:");
    for place in (0..6).rev() {
        text.push(char::from_digit(name >> (4 * place) & 0xf, 16).unwrap_or('0'));
    }
    text
}

impl Path {
    /// The first instant from `from` at which all meters have room at once. `seen`: the amount to take for one step.
    pub(crate) fn earliest(&self, key: Option<u64>, units: u64, from: i64, seen: Option<(usize, Stood)>) -> Retry {
        let mut at = from;
        // Each round moves on to where the slowest meter has room; a fall may close another one meanwhile.
        for _ in 0..64 {
            let (mut latest, mut is_known) = (at, true);
            for (i, step) in self.steps.iter().enumerate() {
                let (toll, own) = step.toll(key);
                let Some(curve) = toll.meter.installed() else { return Retry::Unknown };
                let Some(look) = toll.meter.look(from) else { return Retry::Unknown };
                let seen = seen.filter(|(step, _)| *step == i).map(|(_, stood)| stood);
                let now = || Stood { held: toll.meter.standing(own, &look), on_loan: look.on_loan };
                let stood = seen.unwrap_or_else(now);
                let n = toll.charge.of(units);
                let (always, left) = toll.meter.look(at).map_or((0, 0), |look| {
                    (step.leaves_always(&toll.meter, &look), step.leaves(&toll.meter, at, key, n, &look))
                });
                let agreed = toll.meter.look(at).map_or(0, |look| step.leaves_agreed(&toll.meter, at, key, n, &look));
                let due = step.part_due(&toll.meter, &curve, at, n).filter(|_| left > agreed);
                let fits = |left: u64| earliest(&curve, at, stood, n.saturating_add(left), toll.meter.shift);
                // What a guarantee keeps back changes with what its workload does: it may fit when nobody can say.
                let found = match fits(left) {
                    Retry::Never if left > always && fits(always) != Retry::Never => Retry::Unknown,
                    found => found,
                };
                // Within its part it leaves less to its equals, and that may be sooner.
                let found = match due.map(|due| (due, fits(agreed))) {
                    Some((due, Retry::At(fits))) => found.sooner(Retry::At(fits.max(due))),
                    _ => found,
                };
                match found {
                    Retry::At(fits) => latest = latest.max(fits),
                    Retry::Never => return Retry::Never,
                    Retry::Unknown => is_known = false,
                }
            }
            if !is_known {
                return Retry::Unknown;
            }
            if latest == at {
                return Retry::At(at);
            }
            at = latest;
        }
        Retry::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_six_digits() {
        for name in [0, 0xf, 0xab_cdef, 0xff_ffff] {
            assert_eq!(format!("hw:{name:06x}"), spelled(name));
        }
    }
}
