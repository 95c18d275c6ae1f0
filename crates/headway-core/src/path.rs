//! One limiter's way through its meters: all or nothing.
//!
//! Meters are charged in the order given; on a refusal the earlier ones are undone by the rule of giving back.

mod afterwards;
mod decide;
mod lending;
mod recalled;
mod sharing;
mod together;
mod weighed;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::atomics::Ordering;
use crate::counts::Counts;
use crate::curve::Measure;
use crate::earliest::may_ever_fit;
use crate::error::Error;
use crate::far::Far;
use crate::grain::{Charge, MICRO, PPM_MAX};
use crate::hot::Look;
use crate::meter::{Meter, Stop, Taken};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::time::Clock;
use crate::waiting::Queue;
use crate::why::Why;

pub use lending::{Lending, Loan, SlotsOut};
pub use recalled::{Excess, Recall};
use sharing::Sharing;
pub use together::{Demand, try_together};
pub(crate) use weighed::Parted;

/// Whether a meter is one of a contract's own.
pub(crate) fn is_own(contract: &str, meter: &str) -> bool {
    meter.strip_prefix(contract).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '#', '@']))
}

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
    /// The workload as which it shares its contract's meters; another name than its own where `other` takes it.
    pub shares_as: String,
    /// What happens to slots above a cut.
    pub recall: Recall,
}

impl PathSpec {
    /// A path like most: enforced, at a unit a demand, shared as its own workload, and nobody waits.
    pub fn plain(contract: &str, workload: &str, steps: Vec<(String, u64, bool)>) -> PathSpec {
        PathSpec {
            contract: contract.to_owned(),
            workload: workload.to_owned(),
            steps,
            mode: Mode::Enforce,
            cost_ppm: MICRO,
            units_max: 0,
            settle_max_micro: 0,
            wait_ns: 0,
            shares_as: workload.to_owned(),
            recall: Recall::Wait,
        }
    }

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
    pub(crate) sharing: Option<Box<Sharing>>,
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
        let mut needed = charge.of(units);
        if let Some(look) = meter.look(now) {
            needed = needed.saturating_add(self.leaves_always(meter, &look));
            if needed <= look.limit {
                return (true, look.falls);
            }
        }
        let curve = meter.installed();
        curve.map_or((true, false), |curve| (may_ever_fit(&curve, now, needed, meter.shift), curve.falls_after(now)))
    }
}

#[expect(clippy::struct_excessive_bools, reason = "what the steps are, read on every way through them")]
pub struct Path {
    pub(crate) spec: PathSpec,
    pub(crate) steps: Vec<Step>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) shared: Arc<Shared>,
    /// Who decides where there are no steps.
    pub(crate) far: Option<Arc<dyn Far>>,
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
    /// What is here does not decide it: its keeper does.
    pub(crate) is_far: bool,
}

impl Stopped {
    /// Stopped by what stands before every meter, at `at`: the process is closed, or there was no time to decide.
    pub fn by(why: Why, at: i64) -> Stopped {
        Stopped { at, why, step: 0, stop: None, is_far: false }
    }

    pub(crate) fn far(at: i64) -> Stopped {
        Stopped { is_far: true, ..Stopped::by(Why::Drawing, at) }
    }

    /// Whether somebody else has yet to grant it, the store or the keeper: `conclude` then waits for one answer.
    pub fn is_draw(&self) -> bool {
        self.is_far || matches!(self.stop, Some(Stop::Draw { .. }))
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
    /// The keeper's name for it, where there is one.
    far: Option<u64>,
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
            let toll = |meter: &Arc<Meter>| Toll::new(meter, spec.cost_ppm, *factor);
            let of = |meter: &Arc<Meter>| Step {
                toll: toll(meter),
                keyed: *keyed,
                scaled: meter.scaled.iter().map(|own| (own.hash, toll(&own.meter))).collect(),
                sharing: None,
            };
            let mut payers = meter.payers.lock().unwrap_or_else(PoisonError::into_inner);
            payers.push((Arc::clone(&counts), toll(meter).charge.of(1)));
            let own = is_own(&spec.contract, name).then_some(spec.shares_as.as_str());
            let share = meter.shares.iter().find(|share| Some(share.spec.workload.as_str()) == own);
            if let Some(ceiling) = share.and_then(|share| share.ceiling.as_ref()) {
                steps.push(of(ceiling));
            }
            steps.push(Step { sharing: Sharing::of(meter, own), ..of(meter) });
        }
        if steps.len() > STEPS_MAX {
            let text = format!("a path has at most {STEPS_MAX} meters, its ceilings included, not {}", steps.len());
            return Err(Error::Invalid(format!("path {:?}/{:?}: {text}", spec.contract, spec.workload)));
        }
        Ok(Path {
            is_plain: matches!(&steps[..], [one] if one.sharing.is_none())
                && matches!(meters, [meter] if meter.spec.measure == Measure::Rate && !meter.spec.durable),
            has_slots: meters.iter().any(|meter| meter.spec.measure == Measure::Concurrency),
            needs_key: spec.steps.iter().any(|(.., keyed)| *keyed),
            has_durable: meters.iter().any(|meter| meter.spec.durable),
            far: None,
            queue: Arc::default(),
            spec,
            steps,
            counts,
            shared,
        })
    }

    /// A path whose demands are decided by `far`, as the workload of a contract that it knows.
    pub fn distant(contract: &str, workload: &str, far: Arc<dyn Far>, shared: Arc<Shared>) -> Path {
        let spec = PathSpec::plain(contract, workload, vec![]);
        Path {
            is_plain: false,
            has_slots: false,
            needs_key: false,
            has_durable: false,
            far: Some(far),
            queue: Arc::default(),
            counts: Arc::default(),
            steps: vec![],
            spec,
            shared,
        }
    }

    /// Whether its demands are decided elsewhere.
    pub fn is_distant(&self) -> bool {
        self.far.is_some()
    }

    /// Waits a moment for what its keeper says of it, where that is not known yet. Errors: there is no such path.
    pub fn learn(&self) -> Result<(), Error> {
        match &self.far {
            Some(far) if far.facts().is_none() => far.learn(),
            _ => Ok(()),
        }
    }

    /// How long a demand queues unless it is told otherwise.
    pub fn wait(&self) -> Duration {
        let facts = self.far.as_ref().and_then(|far| far.facts());
        Duration::from_nanos(facts.map_or(self.spec.wait_ns, |facts| facts.wait_ns))
    }

    /// Units that one unit of a demand weighs, ppm.
    pub(crate) fn cost_ppm(&self) -> u64 {
        let facts = self.far.as_ref().and_then(|far| far.facts());
        facts.map_or(self.spec.cost_ppm, |facts| facts.cost_ppm)
    }

    pub fn spec(&self) -> &PathSpec {
        &self.spec
    }

    /// Whether its limit can be divided among streams: a rate on one meter, without keys, a unit a unit.
    pub fn may_divide(&self) -> bool {
        self.only_meter().is_some_and(|meter| meter.spec.measure == Measure::Rate)
    }

    /// The meter of a path over one, charged one unit a unit and without keys; None for any other.
    pub(crate) fn only_meter(&self) -> Option<&Meter> {
        let [step] = &self.steps[..] else { return None };
        let is_plain = self.spec.cost_ppm == MICRO && self.spec.steps[0].1 == MICRO && !step.keyed;
        is_plain.then_some(&*step.toll.meter)
    }

    /// Whether a demand has to name its key, or may not.
    pub fn needs_key(&self) -> bool {
        self.needs_key
    }

    /// Whether an admitted demand holds slots that have to be released.
    #[inline]
    pub fn has_slots(&self) -> bool {
        self.has_slots || self.far.as_ref().is_some_and(|far| far.has_slots())
    }

    /// Whether this process was forked from the one that holds the engine.
    #[inline]
    /// Whether demands are decided at `now`: this process is open, and its mandate lasts.
    pub fn decides(&self, now: i64) -> bool {
        self.shared.standing.decides(now)
    }

    pub fn is_forked(&self) -> bool {
        self.shared.is_forked()
    }

    pub fn key<'a>(&self, text: &'a str) -> Key<'a> {
        Key { hash: self.shared.sip.hash(text.as_bytes()), text }
    }

    /// Errors: no units, more than `units_max`, a key missing or too long, a forked process.
    #[inline]
    pub fn check(&self, units: u64, key: Option<&str>) -> Result<(), Error> {
        if let Some(far) = &self.far {
            return match far.facts() {
                Some(facts) => self.check_by(units, key, facts.units_max, facts.needs_key),
                None => Ok(()),
            };
        }
        self.check_by(units, key, self.spec.units_max, self.needs_key)
    }

    #[inline]
    fn check_by(&self, units: u64, key: Option<&str>, units_max: u64, needs_key: bool) -> Result<(), Error> {
        if units == 0 || (units > units_max && units_max > 0) {
            return Err(self.wrong_units(units, units_max));
        }
        if needs_key != key.is_some() || key.is_some_and(|text| text.len() > 4_096) {
            return Err(self.wrong_key(key, needs_key));
        }
        Ok(())
    }

    #[cold]
    fn wrong_units(&self, units: u64, units_max: u64) -> Error {
        let most = if units_max == 0 { u64::MAX } else { units_max };
        Error::Invalid(format!("a demand of {:?} has 1 to {most} units, not {units}", self.spec.contract))
    }

    #[cold]
    fn wrong_key(&self, key: Option<&str>, needs_key: bool) -> Error {
        let contract = &self.spec.contract;
        Error::Invalid(match key {
            None => format!("{contract} has a limit for each key: pass `key`, or use `bind`"),
            Some(_) if !needs_key => format!("{contract} has no keys: leave `key` out"),
            Some(text) => format!("a key has at most 4,096 bytes, not {}", text.len()),
        })
    }

    // --- giving back ------------------------------------------------------------------------------------------------

    /// Gives the slots of an admitted demand back. Nothing where the process was forked from the one that holds them.
    pub fn release(&self, clock: &impl Clock, units: u64, key: Option<u64>) {
        if !self.has_slots() || self.shared.is_forked() {
            return;
        }
        if let Some(far) = &self.far {
            self.counts.released_units.fetch_add(units, Ordering::Relaxed);
            return far.let_go(units, key);
        }
        let now = clock.boot_ns();
        self.counts.released_units.fetch_add(units, Ordering::Relaxed);
        for step in &self.steps {
            if step.toll(key).0.meter.spec.measure == Measure::Concurrency {
                step.let_go(now, key, units);
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
