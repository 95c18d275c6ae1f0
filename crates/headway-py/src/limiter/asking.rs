//! How a limiter is asked: at once, in its queue, as a scope.

use std::sync::atomic::Ordering;
use std::time::Duration;

use headway_core::{ANSWER_WAIT, Answer, Clock as _, Key, Stopped};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::Limiter;
use crate::errors::refused;
use crate::refusal::Refusal;
use crate::ticket::Ticket;

/// The longest sleep before signals are looked at.
const NAP: Duration = Duration::from_millis(50);
/// The longest wait that is kept track of: a year.
const WAIT_S_MAX: f64 = 366.0 * 86_400.0;

impl Limiter {
    /// Ends a demand that did not fit at once: waits for its draw without the interpreter, then answers.
    #[cold]
    pub(super) fn conclude(
        &self,
        py: Python<'_>,
        units: u64,
        key: Option<Key<'_>>,
        stopped: Stopped,
    ) -> PyResult<Answer> {
        self.check_fork(py)?;
        Ok(if stopped.is_draw() {
            py.detach(|| self.path.conclude(&self.time, units, key, stopped))
        } else {
            self.path.conclude(&self.time, units, key, stopped)
        })
    }

    pub(super) fn patience(&self, timeout: Option<f64>) -> PyResult<f64> {
        match timeout {
            None => Ok(self.wait_s()),
            Some(seconds) if seconds.is_nan() => Err(PyValueError::new_err("`timeout` is not a number")),
            Some(seconds) => Ok(seconds.clamp(0.0, WAIT_S_MAX)),
        }
    }

    /// Decides at once where nobody waits; Ok(None): waiting may help.
    pub(super) fn at_once(
        &self,
        py: Python<'_>,
        own: &Py<Limiter>,
        units: u64,
        key: Option<Key<'_>>,
        patience_s: f64,
    ) -> PyResult<Option<Result<Py<PyAny>, Py<Refusal>>>> {
        let hash = key.map(|k| k.hash);
        let may_wait = patience_s > 0.0 && self.path.is_enforced();
        if may_wait && !self.path.is_free(hash) {
            self.check_fork(py)?;
            return Ok(None);
        }
        let stopped = match self.path.try_in_turn(&self.time, units, key) {
            Ok(()) => return self.permit(py, own, units, hash, self.path.has_slots()).map(|permit| Some(Ok(permit))),
            Err(stopped) => stopped,
        };
        if may_wait && stopped.may_wait() {
            self.check_fork(py)?;
            return Ok(None);
        }
        let answer = self.conclude(py, units, key, stopped)?;
        self.told(py, own, units, hash, answer).map(Some)
    }

    /// Waits its turn in the queue, looking at signals between naps.
    pub(super) fn queue(
        &self,
        py: Python<'_>,
        own: &Py<Limiter>,
        units: u64,
        key: Option<Key<'_>>,
        patience_s: f64,
    ) -> PyResult<Py<PyAny>> {
        // A keeper ends a wait itself, and has to be heard.
        let answer_s = if self.path.is_distant() { ANSWER_WAIT.as_secs_f64() } else { 0.0 };
        let deadline = self.time.boot_ns().saturating_add(((patience_s + answer_s) * 1e9) as i64);
        let patience = Some(Duration::from_secs_f64(patience_s));
        let ticket = match self.path.ticket(&self.time, units, key, patience) {
            Ok(ticket) => Ticket { inner: ticket, limiter: own.clone_ref(py), units, key: key.map(|k| k.hash) },
            Err(answer) => {
                return self.told(py, own, units, key.map(|k| k.hash), answer)?.map_err(|refusal| refused(py, refusal));
            }
        };
        loop {
            if let Some(answer) = ticket.poll(py)? {
                return match answer.bind(py).cast::<Refusal>() {
                    Ok(refusal) => Err(refused(py, refusal.clone().unbind())),
                    Err(_) => Ok(answer),
                };
            }
            let now = self.time.boot_ns();
            if now >= deadline {
                return Err(refused(py, ticket.give_up(py)?));
            }
            let until = ticket.wake_at_ns().map_or(deadline, |at| at.min(deadline));
            let nap =
                if self.time.is_manual() { NAP } else { NAP.min(Duration::from_nanos((until - now).max(0) as u64)) };
            ticket.sleep(py, nap);
            py.check_signals()?;
        }
    }

    /// What the core answered, as Python has it: a permit, or the refusal.
    pub(super) fn told(
        &self,
        py: Python<'_>,
        own: &Py<Limiter>,
        units: u64,
        key: Option<u64>,
        answer: Answer,
    ) -> PyResult<Result<Py<PyAny>, Py<Refusal>>> {
        match answer {
            Answer::Admitted { holds } => self.permit(py, own, units, key, holds).map(Ok),
            Answer::Refused(refusal) => Py::new(py, Refusal::new(refusal)).map(Err),
        }
    }

    /// One unit for a scope, waiting as the contract says: what `with` and decorators do. `leave` ends it.
    #[inline]
    pub(crate) fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let key = self.key(py, 1, None)?;
        if self.path.is_free(key.map(|k| k.hash)) && self.path.try_in_turn(&self.time, 1, key).is_ok() {
            return Ok(());
        }
        self.enter_slowly(py, key)
    }

    #[cold]
    pub(super) fn enter_slowly(&self, py: Python<'_>, key: Option<Key<'_>>) -> PyResult<()> {
        let (scope, patience_s) = (self.as_scope(py)?, self.wait_s());
        match scope.get().at_once(py, &scope, 1, key, patience_s)? {
            Some(Ok(_)) => Ok(()),
            Some(Err(refusal)) => Err(refused(py, refusal)),
            None => scope.get().queue(py, &scope, 1, key, patience_s).map(drop),
        }
    }

    /// Ends a scope.
    #[inline]
    pub(crate) fn leave(&self) {
        if !self.path.has_slots() {
            return;
        }
        let was_unheld = self.unheld.load(Ordering::Relaxed) > 0
            && self.unheld.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok();
        if !was_unheld {
            self.path.release(&self.time, 1, self.bound.as_ref().map(|(hash, _)| *hash));
        }
    }
}
