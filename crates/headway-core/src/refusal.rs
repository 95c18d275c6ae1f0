//! A refused demand, and everything there is to say about it. Numbers are computed when they are asked for.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use crate::curve::Measure;
use crate::earliest::{Retry, Stood, earliest};
use crate::far::Told;
use crate::grain::{MICRO, micro_of_grains};
use crate::hot::Look;
use crate::installed::Installed;
use crate::meter::Meter;
use crate::path::{Key, Parted, Path, Stopped, is_own};
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

    // --- the sentence -----------------------------------------------------------------------------------------------

    /// What people read, number first. Source: design, section 6.
    pub fn sentence(&self) -> String {
        if let Some(told) = &self.told {
            return told.sentence.clone();
        }
        let contract = self.contract();
        let mut text = match self.why {
            Why::NotPublished => format!("{contract} has no limit in force yet, so nothing is admitted."),
            Why::Closed => format!("{contract} is closed: this process is shutting down."),
            Why::Overloaded => format!("{contract} could not be asked in time: too much is asked at once."),
            Why::CutOff => format!("{contract} cannot be asked: its keeper does not answer."),
            Why::TooManyKeys => {
                let most = self.meter().and_then(|meter| meter.spec.keys_max).unwrap_or(0);
                format!("{contract} has {} live keys, which is all it may have.", grouped(most as f64))
            }
            Why::Drawing => format!("{contract} waits for its ledger to count what it hands out."),
            Why::NotDurable => format!("{contract} cannot count durably now, so it hands out nothing more."),
            Why::QueueFull => {
                let most = crate::waiting::WAITERS_MAX as f64;
                format!("{contract} is full, and {} wait already.", grouped(most))
            }
            Why::NeverFits => {
                format!("{contract} never admits {} at once: {}.", self.amount_of(self.weight()), self.bound())
            }
            Why::Full | Why::Timeout if self.is_shut() => {
                let name = if self.is_upstream() { self.meter_name() } else { contract };
                format!("{name} admits nothing now: the limit is {}.", self.amount_of(0.0))
            }
            Why::Full | Why::Timeout if self.is_upstream() => {
                format!("{} is full, and {contract} spends it: {}.", self.meter_name(), self.numbers())
            }
            Why::Full | Why::Timeout if self.is_ceiling() => {
                format!("{} has all it may have of {contract}: {}.", self.workload(), self.numbers())
            }
            Why::Full | Why::Timeout if let Some(parted) = &self.parted => {
                let (whole, part) = (self.numbers(), self.part_of_limit(parted));
                let (workload, Parted { weight, of, .. }) = (self.workload(), parted);
                format!(
                    "{contract} is full for {workload}: {whole}. Its part is {part} for now: weight {weight} of {of}."
                )
            }
            Why::Full | Why::Timeout => match self.goes_first() {
                Some(first) => {
                    format!("{contract} is full for {}: {}. {first} goes first.", self.workload(), self.numbers())
                }
                None => format!("{contract} is full: {}.", self.numbers()),
            },
        };
        match self.retry_after_s() {
            Some(seconds) if self.why != Why::Closed => {
                write!(text, " Try again in about {}.", span(seconds)).expect("a String takes every text");
            }
            _ => {}
        }
        write!(text, " [{}]", self.reference()).expect("a String takes every text");
        text
    }

    /// Whether the level was 0: not full, but shut.
    fn is_shut(&self) -> bool {
        self.curve().is_some() && self.limit_micro() == 0
    }

    /// Whether another contract's meter stood in the way: one that this contract spends. Those come first on a path.
    fn is_upstream(&self) -> bool {
        !is_own(self.contract(), self.meter_name()) && self.step + 1 < self.path.steps.len()
    }

    /// Whether it was not the limit that stood in the way, but what the workload may have of it.
    fn is_ceiling(&self) -> bool {
        self.meter_name().strip_prefix(self.contract()).is_some_and(|rest| rest.contains('@'))
    }

    /// The workload for which what is free is left; None where too little is free for anybody.
    fn goes_first(&self) -> Option<&str> {
        let step = &self.path.steps[self.step];
        let (sharing, look) = (step.sharing.as_ref()?, self.look?);
        let toll = step.toll(self.key.as_ref().map(|(hash, _)| *hash)).0;
        let is_rate = toll.meter.spec.measure == Measure::Rate;
        let (floor, most) = if is_rate { (look.k, look.e) } else { (0, look.limit) };
        let would_fit = self.amount.max(floor).saturating_add(toll.charge.of(self.units)) <= most;
        sharing.first.as_deref().filter(|_| would_fit)
    }

    /// `25 of 100 connections`, `25 of 100 requests a second`.
    fn part_of_limit(&self, parted: &Parted) -> String {
        let micro = self.meter().map_or(0, |meter| parted.micro(meter, self.limit_micro()));
        let (part, limit) = (grouped(micro as f64 / MICRO as f64), self.amount_of(self.limit()));
        match self.meter().map_or(Measure::Quota, |meter| meter.spec.measure) {
            Measure::Rate => format!("{part} of {limit} {}", self.over()),
            _ => format!("{part} of {limit}"),
        }
    }

    fn numbers(&self) -> String {
        let (limit, used) = (self.limit(), self.use_units());
        match self.meter().map_or(Measure::Quota, |meter| meter.spec.measure) {
            Measure::Rate => {
                let burst = self.burst_micro() as f64 / MICRO as f64;
                let over = self.over();
                if (burst - limit).abs() < 1e-6 {
                    format!("{} of {} {over}", grouped(used), self.amount_of(limit))
                } else {
                    let (spent, burst) = (grouped(used), grouped(burst));
                    format!("{} {over}, {spent} of a burst of {burst} spent", self.amount_of(limit))
                }
            }
            Measure::Concurrency if self.is_upstream() || self.is_ceiling() => {
                format!("{} of {}", grouped(used), self.amount_of(limit))
            }
            Measure::Concurrency => {
                let yours = self.yours as f64 * self.path.spec.cost_ppm as f64 / MICRO as f64;
                let (used, limit) = (grouped(used), self.amount_of(limit));
                format!("{used} of {limit}, {} of them yours ({})", grouped(yours), self.workload())
            }
            Measure::Quota => format!("{} of {} in this window", grouped(used), self.amount_of(limit)),
        }
    }

    /// What a demand that never fits is over.
    fn bound(&self) -> String {
        match self.meter().map_or(Measure::Quota, |meter| meter.spec.measure) {
            Measure::Rate => {
                let burst = self.burst_micro() as f64 / MICRO as f64;
                format!("{} {}, in bursts of at most {}", self.amount_of(self.limit()), self.over(), grouped(burst))
            }
            _ => format!("the limit is {}", self.amount_of(self.limit())),
        }
    }

    /// `a second`, `a minute`, `in 90 s`.
    fn over(&self) -> String {
        let per_ns = self.curve().map_or(0, |c| c.curve.per_ns);
        match per_ns / 1_000_000_000 {
            1 => "a second".into(),
            60 => "a minute".into(),
            3_600 => "an hour".into(),
            86_400 => "a day".into(),
            _ => format!("in {}", span(per_ns as f64 / 1e9)),
        }
    }

    fn amount_of(&self, units: f64) -> String {
        let unit = self.unit();
        if (units - 1.0).abs() < 1e-9 { format!("1 {unit}") } else { format!("{} {}", grouped(units), plural(unit)) }
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

/// English plurals of the units people name: request, query, box, address.
fn plural(unit: &str) -> String {
    let ends = |tails: &[&str]| tails.iter().any(|tail| unit.ends_with(tail));
    match unit.strip_suffix('y') {
        Some(stem) if !ends(&["ay", "ey", "oy", "uy"]) => format!("{stem}ies"),
        _ if ends(&["s", "x", "z", "ch", "sh"]) => format!("{unit}es"),
        _ => format!("{unit}s"),
    }
}

/// `1,234` or `2.5`: at most two decimals, none where they say nothing.
fn grouped(number: f64) -> String {
    let text = format!("{number:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(part) = part {
        out.push('.');
        out.push_str(part);
    }
    out
}

/// `1 ms`, `4 s`, `3 min`, `2 h`, `5 d`: rounded up, so that who waits that long is not too early.
fn span(seconds: f64) -> String {
    let (number, unit) = match seconds {
        s if s < 1.0 => (s * 1e3, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7_200.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3_600.0, "h"),
        s => (s / 86_400.0, "d"),
    };
    format!("{} {unit}", grouped(number.ceil().max(1.0)))
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
                let found = match (due, fits(agreed)) {
                    (Some(due), Retry::At(fits)) => found.sooner(Retry::At(fits.max(due))),
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

    #[test]
    fn units_are_said_in_the_plural() {
        let said = ["request", "query", "box", "day", "address", "batch"].map(plural);
        assert_eq!(["requests", "queries", "boxes", "days", "addresses", "batches"].map(str::to_owned), said);
    }

    #[test]
    fn numbers_are_grouped_and_keep_what_matters() {
        assert_eq!(
            ["1,234,567", "12.5", "0", "-1,000", "100"],
            [1_234_567.0, 12.5, 0.0, -1000.0, 100.001].map(grouped).each_ref().map(String::as_str)
        );
    }

    #[test]
    fn spans_are_rounded_up() {
        assert_eq!(["1 ms", "4 s", "3 min", "1 s"], [0.0001, 3.2, 121.0, 1.0].map(span).each_ref().map(String::as_str));
    }
}
