//! A contract's limit as one workload meets it.

mod asking;
mod ending;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use headway_core::{Answer, Clock as _, Key, Path, Recall};
use headway_wire::{rate_limit_fields, told};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyInt;

pub(crate) use ending::set_ending;

use crate::clock::{Clock, Time};
use crate::errors::{raised, refused};
use crate::guarded;
use crate::permit::Permit;
use crate::ready;
use crate::recalls::Recalls;
use crate::refusal::{Refusal, Spares};
use crate::serve::tell_of;
use crate::ticket::{Ticket, checked};

/// How long a coroutine waits for a first durable draw where it would not wait at all.
const DRAW_WAIT_S: f64 = 2.0;

static WAITING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Tells `acquire_async` how to wait where a demand does not fit at once. The first one told stays.
#[pyfunction]
#[pyo3(signature = (wait, /))]
pub(crate) fn set_waiting(py: Python<'_>, wait: Py<PyAny>) {
    WAITING.get_or_init(py, || wait);
}

/// Units of a demand: what does not fit a u64 is a ValueError, like zero.
pub(crate) struct Units(u64);

impl FromPyObject<'_, '_> for Units {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Units> {
        if let Ok(units) = object.extract::<u64>() {
            return Ok(Units(units));
        }
        if object.cast::<PyInt>().is_ok() {
            return Err(PyValueError::new_err(format!("a demand has 1 to 2^64 - 1 units, not {}", object.str()?)));
        }
        object.extract::<u64>().map(Units)
    }
}

/// A contract's limit as one workload meets it. Thread-safe, lock-free, shared freely.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Limiter {
    pub(crate) path: Arc<Path>,
    pub(crate) time: Time,
    /// The key it is bound to, with the hash that stands for it.
    pub(crate) bound: Option<(u64, Arc<str>)>,
    /// What admitted demands that hold nothing are answered with.
    shared: Py<PyAny>,
    ready: Py<PyAny>,
    /// A limiter as a scope (`with`, decorator): slots are given back by the scope's end, so its permits hold nothing.
    is_scope: bool,
    /// Scopes that were let in without slots, because the contract only looks on. Scopes are interchangeable: as many
    /// ends give nothing back.
    unheld: Arc<AtomicU64>,
    /// Its permits that are out, where slots may be asked back; shared with those that are bound.
    pub(crate) recalls: Arc<Recalls>,
    /// Whether a scope of a coroutine was entered that may be ended: its end is not like that of others.
    may_end: AtomicBool,
    pub(crate) spares: Spares,
}

impl Limiter {
    pub(crate) fn new(py: Python<'_>, path: Arc<Path>, time: Time) -> PyResult<Limiter> {
        let (shared, ready) = (Permit::shared(py)?.into_any(), ready::shared(py)?);
        let (unheld, recalls, spares) = (Arc::default(), Arc::default(), Spares::default());
        Ok(Limiter {
            path,
            time,
            bound: None,
            shared,
            ready,
            is_scope: false,
            unheld,
            recalls,
            may_end: AtomicBool::default(),
            spares,
        })
    }

    /// The same limiter; its key and its place among scopes are the caller's choice.
    fn like(&self, py: Python<'_>, bound: Option<(u64, Arc<str>)>, is_scope: bool, unheld: Arc<AtomicU64>) -> Limiter {
        let (path, time) = (Arc::clone(&self.path), self.time.clone());
        let (shared, ready) = (self.shared.clone_ref(py), self.ready.clone_ref(py));
        let recalls = Arc::clone(&self.recalls);
        Limiter {
            path,
            time,
            bound,
            shared,
            ready,
            is_scope,
            unheld,
            recalls,
            may_end: AtomicBool::default(),
            spares: Spares::default(),
        }
    }

    #[cold]
    fn as_scope(&self, py: Python<'_>) -> PyResult<Py<Limiter>> {
        Py::new(py, self.like(py, self.bound.clone(), true, Arc::clone(&self.unheld)))
    }

    /// The key it is bound to, as a demand has it.
    #[inline]
    pub(crate) fn bound_key(&self) -> Option<Key<'_>> {
        self.bound.as_ref().map(|(hash, text)| Key { hash: *hash, text })
    }

    /// What admitted demands that hold nothing are answered with.
    #[inline]
    pub(crate) fn shared(&self, py: Python<'_>) -> Py<PyAny> {
        self.shared.clone_ref(py)
    }

    /// The key of a demand: the bound one, or the one told.
    #[inline]
    fn key<'a>(&'a self, py: Python<'_>, units: u64, told: Option<&'a str>) -> PyResult<Option<Key<'a>>> {
        let key = match (&self.bound, told) {
            (Some(_), None) => self.bound_key(),
            (None, told) => told.map(|text| self.path.key(text)),
            (Some(_), Some(_)) => return Err(PyValueError::new_err("this limiter is bound to a key: leave `key` out")),
        };
        self.learn(py)?;
        checked(py, self.path.check(units, key.map(|k| k.text)))?;
        Ok(key)
    }

    /// Waits a moment for what a keeper says of this limit, before the first demand.
    #[inline]
    fn learn(&self, py: Python<'_>) -> PyResult<()> {
        if self.path.is_distant() { checked(py, py.detach(|| self.path.learn())) } else { Ok(()) }
    }

    #[cold]
    fn forked(py: Python<'_>) -> PyErr {
        raised(py, &headway_core::Error::Forked)
    }

    #[inline]
    pub(crate) fn check_fork(&self, py: Python<'_>) -> PyResult<()> {
        if self.path.is_forked() { Err(Self::forked(py)) } else { Ok(()) }
    }

    pub(crate) fn permit(
        &self,
        py: Python<'_>,
        own: &Py<Limiter>,
        units: u64,
        key: Option<u64>,
        holds: bool,
    ) -> PyResult<Py<PyAny>> {
        if self.is_scope && !holds && self.path.has_slots() {
            self.unheld.fetch_add(1, Ordering::AcqRel);
        }
        if self.is_scope || !holds {
            return Ok(self.shared.clone_ref(py));
        }
        Ok(Py::new(py, Permit::new(own.clone_ref(py), units, key, true, None))?.into_any())
    }
}

/// A permit or a refusal, where Python takes both.
fn either(told: Result<Py<PyAny>, Py<Refusal>>) -> Py<PyAny> {
    told.unwrap_or_else(Py::into_any)
}

#[pymethods]
impl Limiter {
    #[getter]
    fn contract(&self) -> &str {
        &self.path.spec().contract
    }

    #[getter]
    fn workload(&self) -> &str {
        &self.path.spec().workload
    }

    #[getter]
    #[pyo3(name = "key")]
    fn key_text(&self) -> Option<&str> {
        self.bound.as_ref().map(|(_, text)| &**text)
    }

    #[getter]
    fn wait_s(&self) -> f64 {
        self.path.wait().as_secs_f64()
    }

    /// Units that are asked back now of those who hold slots: of everybody in this process, for they are above a cut. Of a
    /// limiter with keys: of its key.
    #[getter]
    fn recalled(&self) -> u64 {
        self.path.recalled(self.time.boot_ns(), self.bound.as_ref().map(|(hash, _)| *hash))
    }

    /// What happens to slots above a cut, as the contract says it.
    #[getter]
    fn recall(&self) -> &'static str {
        self.path.recall().name()
    }

    /// Under `recall: end`: how long after it was asked a coroutine's scope is ended.
    #[getter]
    fn ends_within_s(&self) -> Option<f64> {
        match self.path.recall() {
            Recall::End { within_ns } => Some(Duration::from_nanos(within_ns).as_secs_f64()),
            Recall::Wait | Recall::Ask | Recall::Idle => None,
        }
    }

    /// The clock its meters read.
    #[getter]
    fn clock(&self) -> Clock {
        Clock(self.time.clone())
    }

    /// The same limiter with a key of its own: no look-up on the way.
    #[pyo3(signature = (key, /))]
    fn bind(&self, py: Python<'_>, key: &str) -> PyResult<Limiter> {
        if self.bound.is_some() {
            return Err(PyValueError::new_err("this limiter is bound to a key already"));
        }
        self.learn(py)?;
        checked(py, self.path.check(1, Some(key)))?;
        Ok(self.like(py, Some((self.path.key(key).hash, Arc::from(key))), false, Arc::default()))
    }

    /// Decides now. Never waits for room (a first draw from a durable quota may take one commit).
    #[pyo3(signature = (units = Units(1), key = None), text_signature = "($self, units=1, key=None)")]
    fn try_acquire(slf: &Bound<'_, Self>, units: Units, key: Option<&str>) -> PyResult<Py<PyAny>> {
        let (py, me, Units(units)) = (slf.py(), slf.get(), units);
        let key = me.key(py, units, key)?;
        let answer = match me.path.try_in_turn(&me.time, units, key) {
            Ok(()) => Answer::Admitted { holds: me.path.has_slots() },
            Err(stopped) => me.conclude(py, units, key, stopped)?,
        };
        Ok(either(me.told(py, slf.as_unbound(), units, key.map(|k| k.hash), answer)?))
    }

    /// What `try_acquire` would answer, charging nothing. Its permit holds nothing.
    #[pyo3(signature = (units = Units(1), key = None), text_signature = "($self, units=1, key=None)")]
    fn probe(&self, py: Python<'_>, units: Units, key: Option<&str>) -> PyResult<Py<PyAny>> {
        let key = self.key(py, units.0, key)?;
        self.check_fork(py)?;
        let answer = if self.path.is_distant() {
            py.detach(|| self.path.probe(&self.time, units.0, key))
        } else {
            self.path.probe(&self.time, units.0, key)
        };
        Ok(match answer {
            Answer::Admitted { .. } => self.shared.clone_ref(py),
            Answer::Refused(refusal) => Py::new(py, Refusal::new(refusal))?.into_any(),
        })
    }

    /// Admits an estimate that `Permit.settle` corrects later.
    #[pyo3(signature = (estimate, key = None))]
    fn reserve(slf: &Bound<'_, Self>, estimate: Units, key: Option<&str>) -> PyResult<Py<PyAny>> {
        let (py, me, Units(units)) = (slf.py(), slf.get(), estimate);
        let key = me.key(py, units, key)?;
        let (answer, reserved) = match me.path.try_reserve(&me.time, units, key) {
            Ok(reserved) => (Answer::Admitted { holds: me.path.has_slots() }, reserved),
            Err(stopped) => {
                me.check_fork(py)?;
                py.detach(|| me.path.conclude_reserve(&me.time, units, key, stopped))
            }
        };
        let permit = match answer {
            Answer::Refused(refusal) => return Ok(Py::new(py, Refusal::new(refusal))?.into_any()),
            Answer::Admitted { holds } => {
                Permit::new(slf.clone().unbind(), units, key.map(|k| k.hash), holds, Some(reserved))
            }
        };
        Ok(Py::new(py, permit)?.into_any())
    }

    /// Waits its turn, at most `timeout` seconds (None: the contract's `enforce.wait`). Raises `Refused`.
    #[pyo3(signature = (units = Units(1), key = None, timeout = None), text_signature = "($self, units=1, key=None, timeout=None)")]
    fn acquire(slf: &Bound<'_, Self>, units: Units, key: Option<&str>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let (py, me, own, Units(units)) = (slf.py(), slf.get(), slf.as_unbound(), units);
        let key = me.key(py, units, key)?;
        let patience_s = me.patience(timeout)?;
        match me.at_once(py, own, units, key, patience_s)? {
            Some(Ok(permit)) => Ok(permit),
            Some(Err(refusal)) => Err(refused(py, refusal)),
            None => me.queue(py, own, units, key, patience_s),
        }
    }

    /// The same for coroutines; already done where it fits now. Raises `Refused`.
    #[pyo3(signature = (units = Units(1), key = None, timeout = None), text_signature = "($self, units=1, key=None, timeout=None)")]
    fn acquire_async(
        slf: &Bound<'_, Self>,
        units: Units,
        key: Option<&str>,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        let (py, me, own, Units(units)) = (slf.py(), slf.get(), slf.as_unbound(), units);
        let told = key;
        let key = me.key(py, units, key)?;
        let patience_s = me.patience(timeout)?;
        let hash = key.map(|k| k.hash);
        let may_wait = patience_s > 0.0 && me.path.is_enforced();
        let mut wait_s = patience_s;
        if !may_wait || me.path.is_free(hash) {
            match me.path.try_in_turn(&me.time, units, key) {
                Ok(()) if me.is_scope || !me.path.has_slots() => return Ok(me.ready.clone_ref(py)),
                Ok(()) => return ready::with(py, me.permit(py, own, units, hash, true)?),
                Err(stopped) if stopped.is_draw() && me.path.is_distant() => wait_s = patience_s + DRAW_WAIT_S,
                Err(stopped) if stopped.is_draw() => wait_s = patience_s.max(DRAW_WAIT_S),
                Err(stopped) if may_wait && stopped.may_wait() => {}
                Err(stopped) => {
                    let answer = me.conclude(py, units, key, stopped)?;
                    return match me.told(py, own, units, hash, answer)? {
                        Ok(permit) => ready::with(py, permit),
                        Err(refusal) => ready::refusing(py, refusal),
                    };
                }
            }
        }
        me.check_fork(py)?;
        let Some(wait) = WAITING.get(py) else {
            return Err(PyRuntimeError::new_err("nobody told how to wait: import headway.enforce first"));
        };
        wait.call1(py, (slf, units, told, wait_s, patience_s))
    }

    /// Queues behind the waiters there are; a refusal `queue_full` past 10,000. `timeout`: how long a keeper may let it queue.
    #[pyo3(signature = (units = Units(1), key = None, timeout = None), text_signature = "($self, units=1, key=None, timeout=None)")]
    fn ticket(slf: &Bound<'_, Self>, units: Units, key: Option<&str>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let (py, me, Units(units)) = (slf.py(), slf.get(), units);
        let key = me.key(py, units, key)?;
        me.check_fork(py)?;
        let hash = key.map(|k| k.hash);
        let patience = timeout.map(|_| me.patience(timeout)).transpose()?.map(Duration::from_secs_f64);
        match me.path.ticket(&me.time, units, key, patience) {
            Ok(inner) => Ok(Py::new(py, Ticket { inner, limiter: slf.clone().unbind(), units, key: hash })?.into_any()),
            Err(answer) => Ok(either(me.told(py, slf.as_unbound(), units, hash, answer)?)),
        }
    }

    fn reading<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        crate::tuples::path_reading(py, self.path.reading())
    }

    /// The values of `RateLimit-Policy` and `RateLimit` as they stand now; None where no meter may be told of.
    #[pyo3(signature = (key = None, *, tell = "public"))]
    fn rate_limit_fields(&self, py: Python<'_>, key: Option<&str>, tell: &str) -> PyResult<Option<(String, String)>> {
        let key = self.key(py, 1, key)?;
        let seen = told(&self.path, self.time.boot_ns(), key.map(|k| k.hash), tell_of(tell)?);
        Ok(rate_limit_fields(&seen))
    }

    fn __enter__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let me = slf.get();
        me.enter(slf.py())?;
        Ok(me.shared.clone_ref(slf.py()))
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(&self, kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, trace: &Bound<'_, PyAny>) {
        let _: [&Bound<'_, PyAny>; 3] = [kind, error, trace];
        self.leave();
    }

    fn __aenter__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let (py, me) = (slf.py(), slf.get());
        let key = me.key(py, 1, None)?;
        if me.path.ends() {
            return ending::enter(slf, &me.may_end);
        }
        if me.path.is_free(key.map(|k| k.hash)) && me.path.try_in_turn(&me.time, 1, key).is_ok() {
            return Ok(me.ready.clone_ref(py));
        }
        Self::acquire_async(me.as_scope(py)?.bind(py), Units(1), None, None)
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __aexit__(
        slf: &Bound<'_, Self>,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        trace: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let _: [&Bound<'_, PyAny>; 2] = [kind, trace];
        let (py, me) = (slf.py(), slf.get());
        if !me.may_end.load(Ordering::Relaxed) || !ending::leave(slf, error)? {
            me.leave();
        }
        ready::nothing(py)
    }

    /// Decorates a function or a coroutine function: each call holds a permit; raises `Refused`.
    #[pyo3(signature = (function, /))]
    fn __call__(slf: &Bound<'_, Self>, function: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        guarded::guard(slf, function)
    }

    fn __repr__(&self) -> String {
        format!("<Limiter {}/{}>", self.contract(), self.workload())
    }
}
