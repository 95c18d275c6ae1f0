//! One limiter's way through its meters: all or nothing.
//!
//! Meters are charged in the order given; on a refusal the earlier ones are undone by the rule of giving back.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::atomics::Ordering;
use crate::counts::Counts;
use crate::curve::Measure;
use crate::earliest::{Retry, may_ever_fit};
use crate::error::Error;
use crate::grain::{Charge, MICRO, PPM_MAX};
use crate::growth::{Closed, Draw, Drawn};
use crate::hot::Look;
use crate::meter::{Held, Meter, Stop, Taken};
use crate::refusal::{Refusal, Why};
use crate::shared::Shared;
use crate::time::Clock;
use crate::waiting::Queue;
use crate::word::Tagged;

/// The most meters on one path.
pub(crate) const STEPS_MAX: usize = 16;
/// The usual path; its marks fit on a short stretch of the stack.
const STEPS_FEW: usize = 4;
/// How long a demand waits for its first durable draw.
const DRAW_WAIT: Duration = Duration::from_secs(2);

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
    pub(crate) fn by(why: Why, at: i64) -> Stopped {
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

    // --- deciding ---------------------------------------------------------------------------------------------------

    /// Decides now and never waits. An Err is not counted yet: `conclude` does, or a ticket tries again.
    #[inline]
    pub fn try_now(&self, clock: &impl Clock, units: u64, key: Option<Key<'_>>) -> Result<(), Stopped> {
        self.take(clock, units, key)?;
        self.counts.admit(units);
        Ok(())
    }

    /// The same for callers of this process that take turns, as under an interpreter's lock: they count without a locked
    /// addition. Two at once would lose a count, and nothing else.
    #[inline]
    pub fn try_in_turn(&self, clock: &impl Clock, units: u64, key: Option<Key<'_>>) -> Result<(), Stopped> {
        self.take(clock, units, key)?;
        self.counts.admit_in_turn(units);
        Ok(())
    }

    /// Takes without keeping what was taken.
    #[inline]
    fn take(&self, clock: &impl Clock, units: u64, key: Option<Key<'_>>) -> Result<(), Stopped> {
        let now = clock.boot_ns();
        if units == 1 && self.is_plain && !self.shared.is_closed() {
            // Loads and one exchange, and no result wider than a register as long as it is admitted.
            let (toll, own) = self.steps[0].toll(key.map(|k| k.hash));
            match toll.meter.take_plainly(now, own, toll.charge.of(1)) {
                Some(Ok(())) => return Ok(()),
                Some(Err(stop)) => return Err(Stopped { at: now, why: Why::Full, step: 0, stop: Some(stop) }),
                None => {}
            }
        }
        self.attempt(clock, now, units, key, None)
    }

    /// Admits an estimate that can be settled later; as `try_now`. `conclude_reserve` ends what was stopped.
    pub fn try_reserve(&self, clock: &impl Clock, units: u64, key: Option<Key<'_>>) -> Result<Reserved, Stopped> {
        let mut reserved = self.nothing_reserved(units);
        self.attempt(clock, clock.boot_ns(), units, key, Some(&mut reserved.taken))?;
        self.counts.admit(units);
        Ok(reserved)
    }

    fn nothing_reserved(&self, units: u64) -> Reserved {
        let most = self.spec.settle_max_micro / MICRO;
        Reserved { at_most: most.max(units), taken: Vec::with_capacity(self.steps.len()) }
    }

    /// Whether stopped demands are refused, and so may wait; a contract that only looks on admits them at once.
    pub fn is_enforced(&self) -> bool {
        self.spec.mode == Mode::Enforce
    }

    /// What `try_acquire` would answer, charging nothing.
    pub fn probe(self: &Arc<Self>, clock: &impl Clock, units: u64, key: Option<Key<'_>>) -> Answer {
        match self.probe_stop(clock, units, key) {
            Some(stopped) if self.spec.mode == Mode::Enforce || stopped.why == Why::Closed => {
                Answer::Refused(Refusal::new(self, units, key, stopped))
            }
            _ => Answer::Admitted { holds: false },
        }
    }

    /// What would stop a demand now; nothing is charged, counted or claimed.
    pub(crate) fn probe_stop(&self, clock: &impl Clock, units: u64, key: Option<Key<'_>>) -> Option<Stopped> {
        let now = clock.boot_ns();
        if self.shared.is_closed() {
            return Some(Stopped::by(Why::Closed, now));
        }
        self.steps.iter().enumerate().find_map(|(i, step)| {
            let (toll, own) = step.toll(key.map(|k| k.hash));
            let stop = toll.meter.probe(now, own, toll.charge.of(units)).err()?;
            Some(self.why(now, key.map(|k| k.hash), i, units, stop))
        })
    }

    /// A waiter's try: as `try_now`, but the draw that is missing is asked for.
    pub(crate) fn poll(&self, clock: &impl Clock, units: u64, key: Option<Key<'_>>) -> Result<(), Stopped> {
        let now = clock.boot_ns();
        let stopped = match self.attempt(clock, now, units, key, None) {
            Ok(()) => {
                self.counts.admit(units);
                return Ok(());
            }
            Err(stopped) => stopped,
        };
        Err(match stopped.stop {
            Some(Stop::Draw { want, look, .. }) => match self.ask(now, key, stopped.step, want, &look) {
                Ok(_) => stopped,
                Err(why) => Stopped { why, ..stopped },
            },
            _ => stopped,
        })
    }

    /// Takes on every step or on none; counting is the caller's.
    fn attempt(
        &self,
        clock: &impl Clock,
        now: i64,
        units: u64,
        key: Option<Key<'_>>,
        keep: Option<&mut Vec<Taken>>,
    ) -> Result<(), Stopped> {
        if self.shared.is_closed() {
            return Err(Stopped::by(Why::Closed, now));
        }
        let hash = key.map(|k| k.hash);
        if self.steps.len() <= STEPS_FEW {
            self.take_all::<STEPS_FEW>(clock, now, units, hash, keep)?;
        } else {
            self.take_all::<STEPS_MAX>(clock, now, units, hash, keep)?;
        }
        if self.has_durable {
            self.ask_ahead(now, key);
        }
        Ok(())
    }

    #[inline]
    fn take_all<const N: usize>(
        &self,
        clock: &impl Clock,
        now: i64,
        units: u64,
        key: Option<u64>,
        keep: Option<&mut Vec<Taken>>,
    ) -> Result<(), Stopped> {
        if let ([step], None) = (&self.steps[..], &keep) {
            // The usual path has nothing to undo and nothing to keep.
            let (toll, own) = step.toll(key);
            let n = toll.charge.of(units);
            toll.meter.take(clock, now, own, n).map_err(|stop| self.why(now, key, 0, units, stop))?;
            if units != 1 {
                toll.meter.charged.fetch_add(n as i64, Ordering::Relaxed);
            }
            return Ok(());
        }
        let mut taken = [Taken::NOTHING; N];
        for (i, step) in self.steps.iter().enumerate() {
            let (toll, own) = step.toll(key);
            match toll.meter.take(clock, now, own, toll.charge.of(units)) {
                Ok(one) => taken[i] = one,
                Err(stop) => {
                    self.undo(now, key, &taken[..i]);
                    return Err(self.why(now, key, i, units, stop));
                }
            }
        }
        if units != 1 {
            for step in &self.steps {
                let (toll, _) = step.toll(key);
                toll.meter.charged.fetch_add(toll.charge.of(units) as i64, Ordering::Relaxed);
            }
        }
        if let Some(keep) = keep {
            keep.extend_from_slice(&taken[..self.steps.len()]);
        }
        Ok(())
    }

    /// Gives back what the first steps took; the last one first. Nothing of it was counted as charged yet.
    #[cold]
    fn undo(&self, now: i64, key: Option<u64>, taken: &[Taken]) {
        for (step, one) in self.steps.iter().zip(taken).rev() {
            let (toll, own) = step.toll(key);
            toll.meter.give_back(now, own, one, one.n);
            toll.meter.bell.ring();
        }
    }

    /// Names what stopped a demand: `never_fits` where it is over every burst or level, now and ahead on the curve, of
    /// any meter on the way.
    #[cold]
    fn why(&self, now: i64, key: Option<u64>, step: usize, units: u64, stop: Stop) -> Stopped {
        let why = match stop {
            Stop::TooManyKeys => Why::TooManyKeys,
            Stop::NotPublished => Why::NotPublished,
            Stop::Draw { .. } => Why::Drawing,
            Stop::Full { amount, look } => {
                // Under today's burst or level it fits once, on this meter.
                let fits_here = self.steps[step].toll(key).0.charge.of(units) <= look.limit;
                let is_simple = fits_here && self.steps.len() == 1;
                if !is_simple && self.never_fits(now, key, units, (step, Tagged { amount, tag: look.tag })) {
                    Why::NeverFits
                } else {
                    Why::Full
                }
            }
        };
        Stopped { at: now, why, step, stop: Some(stop) }
    }

    /// On one meter, what is under a burst or level ahead fits once. On several a fall may close one before another opens:
    /// then only the search for the instant can tell.
    fn never_fits(&self, now: i64, key: Option<u64>, units: u64, seen: (usize, Tagged)) -> bool {
        let mut may_close = false;
        for step in &self.steps {
            let (may_fit, falls) = step.outlook(now, key, units);
            if !may_fit {
                return true;
            }
            may_close |= falls;
        }
        may_close && self.steps.len() > 1 && self.earliest(key, units, now, Some(seen)) == Retry::Never
    }

    #[cold]
    fn ask(&self, now: i64, key: Option<Key<'_>>, step: usize, want: u64, look: &Look) -> Result<Arc<Draw>, Why> {
        let (toll, own) = self.steps[step].toll(key.map(|k| k.hash));
        let Some(draws) = &toll.meter.draws else { return Err(Why::Full) };
        let key = key.map(|k| (k.hash, k.text)).filter(|_| own.is_some());
        draws.ask(&toll.meter, key, want, look, now).map_err(|closed| match closed {
            Closed::NotDurable => Why::NotDurable,
            Closed::Full => Why::Drawing,
        })
    }

    #[cold]
    fn ask_ahead(&self, now: i64, key: Option<Key<'_>>) {
        for step in &self.steps {
            let (toll, own) = step.toll(key.map(|k| k.hash));
            if let Some(draws) = &toll.meter.draws {
                draws.ask_ahead(&toll.meter, key.map(|k| (k.hash, k.text)).filter(|_| own.is_some()), now);
            }
        }
    }

    /// Ends a demand that did not fit at once: waits for the draw that it needs, if that is what stopped it (two seconds at
    /// most), then counts the refusal.
    #[cold]
    pub fn conclude(
        self: &Arc<Self>,
        clock: &impl Clock,
        units: u64,
        key: Option<Key<'_>>,
        stopped: Stopped,
    ) -> Answer {
        self.conclude_keeping(clock, units, key, stopped, None)
    }

    /// The same for a reservation; what it holds, beside the answer.
    #[cold]
    pub fn conclude_reserve(
        self: &Arc<Self>,
        clock: &impl Clock,
        units: u64,
        key: Option<Key<'_>>,
        stopped: Stopped,
    ) -> (Answer, Reserved) {
        let mut reserved = self.nothing_reserved(units);
        let answer = self.conclude_keeping(clock, units, key, stopped, Some(&mut reserved.taken));
        (answer, reserved)
    }

    fn conclude_keeping(
        self: &Arc<Self>,
        clock: &impl Clock,
        units: u64,
        key: Option<Key<'_>>,
        mut stopped: Stopped,
        mut keep: Option<&mut Vec<Taken>>,
    ) -> Answer {
        // One draw answers a demand as a rule; a second is needed where others used the first one up.
        for _ in 0..3 {
            let Some(Stop::Draw { want, look, .. }) = stopped.stop else { break };
            stopped.why = match self.ask(clock.boot_ns(), key, stopped.step, want, &look) {
                Err(why) => why,
                Ok(draw) => match self.wait_for(&draw) {
                    Drawn::Pending => Why::Drawing,
                    Drawn::NoRoom => Why::Full,
                    Drawn::Fenced => Why::NotDurable,
                    Drawn::Granted => match self.attempt(clock, clock.boot_ns(), units, key, keep.as_deref_mut()) {
                        Ok(()) => {
                            self.counts.admit(units);
                            return Answer::Admitted { holds: self.has_slots };
                        }
                        Err(again) => {
                            stopped = again;
                            continue;
                        }
                    },
                },
            };
            break;
        }
        self.refuse(units, key, stopped)
    }

    /// Counts a plain refusal of a caller that takes turns; false, with nothing counted, for everything that `conclude` has
    /// to end.
    #[inline]
    pub fn count_refused_in_turn(&self, units: u64, stopped: &Stopped) -> bool {
        let is_plain = self.is_enforced() && matches!(stopped.stop, Some(Stop::Full { .. }));
        if is_plain {
            self.counts.refuse_in_turn(stopped.why, units);
        }
        is_plain
    }

    /// Everything there is to say about a demand that was stopped and counted.
    pub fn refusal(self: &Arc<Self>, units: u64, key: Option<Key<'_>>, stopped: Stopped) -> Refusal {
        Refusal::new(self, units, key, stopped)
    }

    fn wait_for(&self, draw: &Draw) -> Drawn {
        self.shared.growths.wait(draw, DRAW_WAIT)
    }

    /// Counts a refusal and says it, or admits it where the contract only looks on.
    #[cold]
    pub(crate) fn refuse(self: &Arc<Self>, units: u64, key: Option<Key<'_>>, stopped: Stopped) -> Answer {
        let looks_on = self.spec.mode != Mode::Enforce && stopped.why != Why::Closed;
        if self.spec.mode != Mode::Record {
            self.counts.refuse(stopped.why, units);
        }
        if looks_on {
            self.counts.admit(units);
            return Answer::Admitted { holds: false };
        }
        Answer::Refused(Refusal::new(self, units, key, stopped))
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

    /// Sets what a reservation really cost. Less is given back without minting, more is charged as debt, at most what
    /// the path's `settle_max_micro` allows.
    pub fn settle(&self, clock: &impl Clock, reserved: &Reserved, key: Option<u64>, actual: u64) {
        if self.shared.is_forked() {
            return;
        }
        if actual > reserved.at_most {
            self.counts.settled_above_max.fetch_add(1, Ordering::Relaxed);
        }
        let (actual, now) = (actual.min(reserved.at_most), clock.boot_ns());
        for (step, taken) in self.steps.iter().zip(&reserved.taken) {
            let (toll, own) = step.toll(key);
            if matches!(taken.held, Held::Slots) {
                continue;
            }
            let cost = if actual == 0 { 0 } else { toll.charge.of(actual) };
            let changed = if cost < taken.n {
                let given = toll.meter.give_back(now, own, taken, taken.n - cost);
                toll.meter.bell.ring();
                -(given as i64)
            } else {
                let more = cost - taken.n;
                if more > 0 {
                    toll.meter.charge_more(now, own, taken, more);
                }
                more as i64
            };
            toll.meter.charged.fetch_add(changed, Ordering::Relaxed);
        }
    }

    pub fn count_dropped(&self) {
        self.counts.dropped_unreleased.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_double(&self) {
        self.counts.double_released.fetch_add(1, Ordering::Relaxed);
    }
}
