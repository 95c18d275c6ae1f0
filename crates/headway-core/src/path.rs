//! One limiter's way through its meters: all or nothing.
//!
//! Meters are charged in the order given; on a refusal the earlier ones are undone by the rule of giving back.

mod afterwards;
mod decide;
mod lending;
mod together;

use std::sync::{Arc, PoisonError};

use crate::atomics::Ordering;
use crate::counts::Counts;
use crate::curve::Measure;
use crate::earliest::may_ever_fit;
use crate::error::Error;
use crate::grain::{Charge, PPM_MAX};
use crate::hot::Look;
use crate::meter::{Meter, Stop, Taken};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::time::Clock;
use crate::waiting::Queue;
use crate::why::Why;

pub use lending::{Booked, Lending, Loan};
pub use together::{Demand, try_together};

/// The most meters on one path.
pub(crate) const STEPS_MAX: usize = 16;

/// What a limiter does with its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Enforce,
    /// Decides and counts, and admits.
    Observe,
    /// Charges what fits, counts and admits: the limit is enforced elsewhere.
    Record,
}

/// See the binding's stub for the fields.
#[derive(Debug, Clone)]
pub struct PathSpec {
    pub contract: String,
    pub workload: String,
    /// (meter, factor in ppm, keyed).
    pub steps: Vec<(String, u64, bool)>,
    pub mode: Mode,
    pub cost_ppm: u64,
    pub units_max: u64,
    pub settle_max_micro: u64,
    pub wait_ns: u64,
}

impl PathSpec {
    /// Errors: no steps or too many, a meter twice, factors out of bounds.
    pub fn checked(self) -> Result<PathSpec, Error> {
        let fail = |text: String| Err(Error::Invalid(format!("path {:?}/{:?}: {text}", self.contract, self.workload)));
        if self.steps.is_empty() || self.steps.len() > STEPS_MAX {
            return fail(format!("a path has 1 to {STEPS_MAX} meters, not {}", self.steps.len()));
        }
        if self.steps.iter().any(|(_, factor, _)| *factor > PPM_MAX) || self.cost_ppm > PPM_MAX || self.cost_ppm == 0 {
            return fail("a cost is above 0, a cost or factor at most a million".into());
        }
        for (i, (name, ..)) in self.steps.iter().enumerate() {
            if self.steps[..i].iter().any(|(other, ..)| other == name) {
                return fail(format!("meter {name:?} is on it twice"));
            }
        }
        Ok(self)
    }
}

/// A key of a demand: the hash that stands for it, and its text for what people read.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    pub hash: u64,
    pub text: &'a str,
}

/// A meter and what a demand costs on it.
#[derive(Clone)]
pub(crate) struct Toll {
    pub(crate) meter: Arc<Meter>,
    pub(crate) charge: Charge,
}

impl Toll {
    fn new(meter: &Arc<Meter>, cost_ppm: u64, factor_ppm: u64) -> Toll {
        let charge = match meter.spec.measure {
            Measure::Rate => Charge::grains(meter.grains.log2, cost_ppm, factor_ppm),
            _ => Charge::micro(meter.shift, cost_ppm, factor_ppm),
        };
        Toll { meter: Arc::clone(meter), charge }
    }
}

pub(crate) struct Step {
    toll: Toll,
    keyed: bool,
    /// Keys with a limit of their own, by hash.
    scaled: Vec<(u64, Toll)>,
}

impl Step {
    /// The meter a demand with this key is charged on, and the key to charge there.
    #[inline]
    pub(crate) fn toll(&self, key: Option<u64>) -> (&Toll, Option<u64>) {
        if !self.keyed {
            return (&self.toll, None);
        }
        if !self.scaled.is_empty()
            && let Some((_, toll)) = self.scaled.iter().find(|(hash, _)| Some(*hash) == key)
        {
            return (toll, None);
        }
        (&self.toll, key)
    }

    /// Whether a demand may fit on this meter's curve, and whether a fall lies ahead on it. Without a curve it may.
    fn outlook(&self, now: i64, key: Option<u64>, units: u64) -> (bool, bool) {
        let (Toll { meter, charge }, _) = self.toll(key);
        if let Some(look) = meter.look(now)
            && charge.of(units) <= look.limit
        {
            return (true, look.falls);
        }
        let curve = meter.installed();
        curve.map_or((true, false), |curve| {
            (may_ever_fit(&curve, now, charge.of(units), meter.shift), curve.falls_after(now))
        })
    }
}

#[expect(clippy::struct_excessive_bools, reason = "what the steps are, read on every way through them")]
pub struct Path {
    pub(crate) spec: PathSpec,
    pub(crate) steps: Vec<Step>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) shared: Arc<Shared>,
    has_slots: bool,
    needs_key: bool,
    has_durable: bool,
    /// One step, a rate without durable draws.
    is_plain: bool,
}

/// What stopped a demand: why, on which step, and what was seen there.
#[derive(Debug, Clone, Copy)]
pub struct Stopped {
    /// When it was decided.
    pub(crate) at: i64,
    pub(crate) why: Why,
    pub(crate) step: usize,
    pub(crate) stop: Option<Stop>,
}

impl Stopped {
    /// Stopped by what stands before every meter, at `at`: the process is closed, or there was no time to decide.
    pub fn by(why: Why, at: i64) -> Stopped {
        Stopped { at, why, step: 0, stop: None }
    }

    /// Whether there is room that the store has yet to grant: `conclude` then waits for one commit.
    pub fn is_draw(&self) -> bool {
        matches!(self.stop, Some(Stop::Draw { .. }))
    }

    /// The mark or amount that stood in the way, and the look it was seen at.
    #[inline]
    pub(crate) fn seen(&self) -> Option<(u64, Option<Look>)> {
        match self.stop {
            Some(Stop::Full { amount, look } | Stop::Draw { amount, look, .. }) => Some((amount, Some(look))),
            _ => None,
        }
    }

    /// Whether queueing may mend it.
    pub fn may_wait(&self) -> bool {
        self.why.may_wait()
    }
}

/// The answer to a demand.
pub enum Answer {
    /// Admitted; `holds` says whether slots are held that have to be released.
    Admitted {
        holds: bool,
    },
    Refused(Refusal),
}

/// What a reservation keeps for its settlement: what it took on each step.
pub struct Reserved {
    at_most: u64,
    /// The units it is for, less what was given back of it.
    units: u64,
    taken: Vec<Taken>,
}

impl Path {
    pub(crate) fn new(spec: PathSpec, meters: &[Arc<Meter>], shared: Arc<Shared>) -> Result<Path, Error> {
        let spec = spec.checked()?;
        let counts = Arc::new(Counts::default());
        let mut steps = vec![];
        for ((name, factor, keyed), meter) in spec.steps.iter().zip(meters) {
            if *keyed != meter.spec.keys_max.is_some() {
                let (is, says) = if *keyed { ("has no keys", "keyed") } else { ("has keys", "without a key") };
                return Err(Error::Invalid(format!("meter {name:?} {is}, the step is {says}")));
            }
            let toll = Toll::new(meter, spec.cost_ppm, *factor);
            let scaled = meter.scaled.iter().map(|s| (s.hash, Toll::new(&s.meter, spec.cost_ppm, *factor))).collect();
            let mut payers = meter.payers.lock().unwrap_or_else(PoisonError::into_inner);
            payers.push((Arc::clone(&counts), toll.charge.of(1)));
            steps.push(Step { toll, keyed: *keyed, scaled });
        }
        Ok(Path {
            is_plain: matches!(meters, [meter] if meter.spec.measure == Measure::Rate && !meter.spec.durable),
            has_slots: meters.iter().any(|meter| meter.spec.measure == Measure::Concurrency),
            needs_key: spec.steps.iter().any(|(.., keyed)| *keyed),
            has_durable: meters.iter().any(|meter| meter.spec.durable),
            queue: Arc::default(),
            spec,
            steps,
            counts,
            shared,
        })
    }

    pub fn spec(&self) -> &PathSpec {
        &self.spec
    }

    /// Whether a demand has to name its key, or may not.
    pub fn needs_key(&self) -> bool {
        self.needs_key
    }

    /// Whether an admitted demand holds slots that have to be released.
    pub fn has_slots(&self) -> bool {
        self.has_slots
    }

    /// Whether this process was forked from the one that holds the engine.
    #[inline]
    pub fn is_forked(&self) -> bool {
        self.shared.is_forked()
    }

    pub fn key<'a>(&self, text: &'a str) -> Key<'a> {
        Key { hash: self.shared.sip.hash(text.as_bytes()), text }
    }

    /// Errors: no units, more than `units_max`, a key missing or too long, a forked process.
    #[inline]
    pub fn check(&self, units: u64, key: Option<&str>) -> Result<(), Error> {
        if units == 0 || (units > self.spec.units_max && self.spec.units_max > 0) {
            return Err(self.wrong_units(units));
        }
        if self.needs_key != key.is_some() || key.is_some_and(|text| text.len() > 4_096) {
            return Err(self.wrong_key(key));
        }
        Ok(())
    }

    #[cold]
    fn wrong_units(&self, units: u64) -> Error {
        let most = if self.spec.units_max == 0 { u64::MAX } else { self.spec.units_max };
        Error::Invalid(format!("a demand has 1 to {most} units here, not {units}"))
    }

    #[cold]
    fn wrong_key(&self, key: Option<&str>) -> Error {
        let contract = &self.spec.contract;
        Error::Invalid(match key {
            None => format!("{contract} has a limit for each key: pass `key`, or use `bind`"),
            Some(_) if !self.needs_key => format!("{contract} has no keys: leave `key` out"),
            Some(text) => format!("a key has at most 4,096 bytes, not {}", text.len()),
        })
    }

    // --- giving back ------------------------------------------------------------------------------------------------

    /// Gives the slots of an admitted demand back. Nothing where the process was forked from the one that holds them.
    pub fn release(&self, clock: &impl Clock, units: u64, key: Option<u64>) {
        if !self.has_slots || self.shared.is_forked() {
            return;
        }
        let now = clock.boot_ns();
        self.counts.released_units.fetch_add(units, Ordering::Relaxed);
        for step in &self.steps {
            let (toll, own) = step.toll(key);
            if toll.meter.spec.measure == Measure::Concurrency {
                toll.meter.let_go(now, own, toll.charge.of(units));
                toll.meter.bell.ring();
            }
        }
    }

    pub fn count_dropped(&self) {
        self.counts.dropped_unreleased.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_double(&self) {
        self.counts.double_released.fetch_add(1, Ordering::Relaxed);
    }
}
