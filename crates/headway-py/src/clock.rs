//! The clock that decisions read: the machine's, which runs through suspend, or one that tests move.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Whatever has waiters on this clock: told when a manual clock moves.
type Listener = Weak<headway_core::Meters>;

pub(crate) enum Source {
    Machine,
    Manual { now: AtomicI64, listeners: Mutex<Vec<Listener>> },
}

/// The clock as the core reads it; cheap to clone.
#[derive(Clone)]
pub(crate) struct Time(pub(crate) Arc<Source>);

impl Time {
    pub(crate) fn machine() -> Time {
        Time(Arc::new(Source::Machine))
    }

    pub(crate) fn is_manual(&self) -> bool {
        matches!(*self.0, Source::Manual { .. })
    }

    /// `meters` hears of every move of a manual clock.
    pub(crate) fn tell(&self, meters: &Arc<headway_core::Meters>) {
        if let Source::Manual { listeners, .. } = &*self.0 {
            let mut listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.retain(|listener| listener.strong_count() > 0);
            listeners.push(Arc::downgrade(meters));
        }
    }
}

impl headway_core::Clock for Time {
    #[inline]
    fn boot_ns(&self) -> i64 {
        match &*self.0 {
            Source::Machine => headway_clock::boot_ns(),
            Source::Manual { now, .. } => now.load(Ordering::SeqCst),
        }
    }
}

/// The one clock decisions read. `Clock()` is the machine's; `Clock.manual(...)` stands still until moved.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Clock(pub(crate) Time);

#[pymethods]
impl Clock {
    #[new]
    fn new() -> Clock {
        Clock(Time::machine())
    }

    /// A clock for tests and simulations; it only moves by `advance`.
    #[staticmethod]
    #[pyo3(signature = (boot_ns = 0))]
    fn manual(boot_ns: i64) -> PyResult<Clock> {
        if boot_ns < 0 {
            return Err(PyValueError::new_err(format!("a boot clock is never below zero: {boot_ns}")));
        }
        let (now, listeners) = (AtomicI64::new(boot_ns), Mutex::new(vec![]));
        Ok(Clock(Time(Arc::new(Source::Manual { now, listeners }))))
    }

    #[getter]
    fn is_manual(&self) -> bool {
        self.0.is_manual()
    }

    /// Nanoseconds on the clock that runs through suspend.
    fn boot_ns(&self) -> i64 {
        headway_core::Clock::boot_ns(&self.0)
    }

    /// Moves a manual clock forward (or back), and wakes the head of every queue of waiters on it.
    #[pyo3(signature = (by_ns, /))]
    fn advance(&self, by_ns: i64) -> PyResult<()> {
        let Source::Manual { now, listeners } = &*self.0.0 else {
            return Err(PyValueError::new_err("the machine's clock cannot be moved; use Clock.manual()"));
        };
        let moved =
            now.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |at| at.checked_add(by_ns).filter(|at| *at >= 0));
        moved.map_err(|at| PyValueError::new_err(format!("{at} ns cannot be moved by {by_ns} ns: out of range")))?;
        let told: Vec<_> = {
            let listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.iter().filter_map(Weak::upgrade).collect()
        };
        for meters in told {
            meters.ring_all();
        }
        Ok(())
    }
}
