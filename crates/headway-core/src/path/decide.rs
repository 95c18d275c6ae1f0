//! The decision on a demand: every meter of the path or none.

use std::sync::Arc;
use std::time::Duration;

use super::{Answer, Key, Mode, Path, Reserved, STEPS_MAX, Stopped};
use crate::atomics::Ordering;
use crate::earliest::{Retry, Stood};
use crate::far::{ANSWER_WAIT, Kind, Outcome, Wanted};
use crate::grain::MICRO;
use crate::growth::{Closed, Draw, Drawn};
use crate::hot::Look;
use crate::meter::{Stop, Taken};
use crate::refusal::Refusal;
use crate::time::Clock;
use crate::why::Why;
use crate::word::Tagged;

/// The usual path; its marks fit on a short stretch of the stack.
const STEPS_FEW: usize = 4;
/// How long a demand waits for its first durable draw.
const DRAW_WAIT: Duration = Duration::from_secs(2);

impl Path {
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
        if units == 1 && self.is_plain && self.shared.standing.decides(now) {
            // Loads and one exchange, and no result wider than a register as long as it is admitted.
            let (toll, own) = self.steps[0].toll(key.map(|k| k.hash));
            match toll.meter.take_plainly(now, own, toll.charge.of(1)) {
                Some(Ok(())) => return Ok(()),
                Some(Err(stop)) => {
                    return Err(Stopped { at: now, why: Why::Full, step: 0, stop: Some(stop), is_far: false });
                }
                None => {}
            }
        }
        self.attempt(clock, now, units, key, None)
    }

    /// Admits an estimate that can be settled later; as `try_now`. `conclude_reserve` ends what was stopped.
    pub fn try_reserve(&self, clock: &impl Clock, units: u64, key: Option<Key<'_>>) -> Result<Reserved, Stopped> {
        if self.far.is_some() {
            return Err(Stopped::far(clock.boot_ns()));
        }
        let mut reserved = self.nothing_reserved(units);
        self.attempt(clock, clock.boot_ns(), units, key, Some(&mut reserved.taken))?;
        self.counts.admit(units);
        Ok(reserved)
    }

    pub(super) fn nothing_reserved(&self, units: u64) -> Reserved {
        let most = self.spec.settle_max_micro / MICRO;
        Reserved { at_most: most.max(units), units, taken: Vec::with_capacity(self.steps.len()), far: None }
    }

    /// Whether stopped demands are refused, and so may wait; a contract that only looks on admits them at once.
    pub fn is_enforced(&self) -> bool {
        self.spec.mode == Mode::Enforce
    }

    /// What `try_acquire` would answer, charging nothing. 0 units ask whether what is used is within the limit as it is;
    /// under a limit of 0 it never is.
    pub fn probe(self: &Arc<Self>, clock: &impl Clock, units: u64, key: Option<Key<'_>>) -> Answer {
        if self.far.is_some() {
            return self.ask_far(clock, units, key, Kind::Probe).0;
        }
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
        if !self.shared.standing.decides(now) {
            return Some(Stopped::by(self.shared.standing.why(), now));
        }
        self.steps.iter().enumerate().find_map(|(i, step)| {
            let (toll, own) = step.toll(key.map(|k| k.hash));
            let n = if units == 0 { 0 } else { toll.charge.of(units) };
            let stop = match step.probe(now, key.map(|k| k.hash), n) {
                Ok(()) if units == 0 => toll.meter.shut(now, own)?,
                Ok(()) => return None,
                Err(stop) => stop,
            };
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
        Err(self.ask_draw(clock, key, stopped).err().unwrap_or(stopped))
    }

    /// Asks for the draw that stopped a demand and does not wait for it: Ok, the same demand may fit once the store has
    /// answered; an Err stays stopped.
    pub fn ask_draw(&self, clock: &impl Clock, key: Option<Key<'_>>, stopped: Stopped) -> Result<(), Stopped> {
        let Some(Stop::Draw { want, look, .. }) = stopped.stop else { return Err(stopped) };
        match self.ask(clock.boot_ns(), key, stopped.step, want, &look) {
            Ok(_) => Ok(()),
            Err(why) => Err(Stopped { why, ..stopped }),
        }
    }

    /// Takes on every step or on none; counting is the caller's.
    pub(super) fn attempt(
        &self,
        clock: &impl Clock,
        now: i64,
        units: u64,
        key: Option<Key<'_>>,
        keep: Option<&mut Vec<Taken>>,
    ) -> Result<(), Stopped> {
        if !self.shared.standing.decides(now) {
            return Err(Stopped::by(self.shared.standing.why(), now));
        }
        if let Some(far) = &self.far {
            let is_lent = key.is_none() && keep.is_none() && far.take(now, units);
            return if is_lent { Ok(()) } else { Err(Stopped::far(now)) };
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
            step.take(clock, now, key, units).map_err(|stop| self.why(now, key, 0, units, stop))?;
            if units != 1 {
                let toll = step.toll(key).0;
                toll.meter.charged.fetch_add(toll.charge.of(units) as i64, Ordering::Relaxed);
            }
            return Ok(());
        }
        let mut taken = [Taken::NOTHING; N];
        for (i, step) in self.steps.iter().enumerate() {
            match step.take(clock, now, key, units) {
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
    pub(super) fn undo(&self, now: i64, key: Option<u64>, taken: &[Taken]) {
        for (step, one) in self.steps.iter().zip(taken).rev() {
            step.give_back(now, key, one, one.n);
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
                let own = &self.steps[step];
                let toll = own.toll(key).0;
                let needed = toll.charge.of(units).saturating_add(own.leaves_always(&toll.meter, &look));
                let fits_here = needed <= look.limit;
                let is_simple = fits_here && self.steps.len() == 1;
                if !is_simple
                    && self.never_fits(
                        now,
                        key,
                        units,
                        (step, Stood { held: Tagged { amount, tag: look.tag }, on_loan: look.on_loan }),
                    )
                {
                    Why::NeverFits
                } else {
                    Why::Full
                }
            }
        };
        Stopped { at: now, why, step, stop: Some(stop), is_far: false }
    }

    /// On one meter, what is under a burst or level ahead fits once. On several a fall may close one before another opens:
    /// then only the search for the instant can tell.
    fn never_fits(&self, now: i64, key: Option<u64>, units: u64, seen: (usize, Stood)) -> bool {
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
    pub(super) fn ask_ahead(&self, now: i64, key: Option<Key<'_>>) {
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
        if stopped.is_far {
            return self.ask_far(clock, units, key, Kind::Acquire).0;
        }
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
        if stopped.is_far {
            let (answer, id) = self.ask_far(clock, units, key, Kind::Reserve);
            return (answer, Reserved { far: id, ..reserved });
        }
        let answer = self.conclude_keeping(clock, units, key, stopped, Some(&mut reserved.taken));
        (answer, reserved)
    }

    /// Asks the keeper, which decides at once, and waits for its answer; the keeper's name of what it granted, beside it.
    #[cold]
    fn ask_far(
        self: &Arc<Self>,
        clock: &impl Clock,
        units: u64,
        key: Option<Key<'_>>,
        kind: Kind,
    ) -> (Answer, Option<u64>) {
        let now = clock.boot_ns();
        let Some(far) = &self.far else { return (self.refuse(units, key, Stopped::by(Why::CutOff, now)), None) };
        if !self.shared.standing.decides(now) {
            return (self.refuse(units, key, Stopped::by(self.shared.standing.why(), now)), None);
        }
        let question = far.ask(&Wanted { units, key, wait: Duration::ZERO, kind });
        let Some(outcome) = question.wait(ANSWER_WAIT) else {
            far.give_up(&question);
            return (self.refuse(units, key, Stopped::by(Why::CutOff, clock.boot_ns())), None);
        };
        let id = matches!(outcome, Outcome::Granted { .. }).then_some(question.id);
        (self.answered(clock.boot_ns(), units, key, outcome, kind), id)
    }

    /// A keeper's answer, counted.
    pub(crate) fn answered(
        self: &Arc<Self>,
        now: i64,
        units: u64,
        key: Option<Key<'_>>,
        outcome: Outcome,
        kind: Kind,
    ) -> Answer {
        match outcome {
            Outcome::Granted { holds } => {
                if kind != Kind::Probe {
                    self.counts.admit(units);
                }
                Answer::Admitted { holds }
            }
            Outcome::Unasked(why) => self.refuse(units, key, Stopped::by(why, now)),
            Outcome::Refused(told) => {
                if kind != Kind::Probe {
                    self.counts.refuse(told.why, units);
                }
                Answer::Refused(Refusal::told(self, units, key, now, told))
            }
        }
    }

    fn conclude_keeping(
        self: &Arc<Self>,
        clock: &impl Clock,
        units: u64,
        key: Option<Key<'_>>,
        mut stopped: Stopped,
        mut keep: Option<&mut Vec<Taken>>,
    ) -> Answer {
        // One draw a meter answers a demand as a rule; another is needed where others used one up.
        for _ in 0..self.steps.len() + 2 {
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

    /// Counts a refusal that a probe found and that was acted upon.
    pub fn count_probed(&self, refusal: &Refusal) {
        self.counts.refuse(refusal.why, refusal.units);
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
    pub fn refuse(self: &Arc<Self>, units: u64, key: Option<Key<'_>>, stopped: Stopped) -> Answer {
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
}
