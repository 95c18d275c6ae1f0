//! Admissions.

use std::sync::atomic::{AtomicU8, Ordering};

use headway_core::Reserved;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::limiter::Limiter;

const RELEASED: u8 = 1;
const SETTLED: u8 = 2;

/// An admission; true. For rates and quotas one shared object; for concurrency it holds a slot until released.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Permit {
    /// None: holds nothing.
    held: Option<Held>,
    done: AtomicU8,
}

struct Held {
    limiter: Py<Limiter>,
    units: u64,
    key: Option<u64>,
    /// Slots have to be released.
    has_slots: bool,
    reserved: Option<Box<Reserved>>,
    /// A child that is forked holds nothing of what its parent holds.
    forks: u64,
}

impl Held {
    fn is_here(&self) -> bool {
        self.forks == headway_gate::forks()
    }
}

impl Permit {
    /// The one permit of everything that holds nothing.
    pub(crate) fn shared(py: Python<'_>) -> PyResult<Py<Permit>> {
        static ONE: PyOnceLock<Py<Permit>> = PyOnceLock::new();
        let make = || Py::new(py, Permit { held: None, done: AtomicU8::new(0) });
        Ok(ONE.get_or_try_init(py, make)?.clone_ref(py))
    }

    pub(crate) fn new(
        limiter: Py<Limiter>,
        units: u64,
        key: Option<u64>,
        has_slots: bool,
        reserved: Option<Reserved>,
    ) -> Permit {
        let held =
            Held { limiter, units, key, has_slots, reserved: reserved.map(Box::new), forks: headway_gate::forks() };
        Permit { held: Some(held), done: AtomicU8::new(0) }
    }
}

#[pymethods]
impl Permit {
    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(&self, kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, trace: &Bound<'_, PyAny>) {
        let _: [&Bound<'_, PyAny>; 3] = [kind, error, trace];
        self.release();
    }

    /// Whether what it held was taken back meanwhile. Always False in one process.
    #[getter]
    fn lost(&self) -> bool {
        false
    }

    /// Gives a slot back. A second time does nothing and is counted; for rates and quotas it does nothing.
    fn release(&self) {
        let Some(held) = self.held.as_ref().filter(|held| held.has_slots) else { return };
        let limiter = held.limiter.get();
        if self.done.fetch_or(RELEASED, Ordering::AcqRel) & RELEASED == 0 {
            if held.is_here() {
                limiter.path.release(&limiter.time, held.units, held.key);
            }
        } else {
            limiter.path.count_double();
        }
    }

    /// Sets what a reservation really cost, in units, once.
    #[pyo3(signature = (actual, /))]
    fn settle(&self, actual: i64) -> PyResult<()> {
        let actual = u64::try_from(actual)
            .map_err(|_| PyValueError::new_err(format!("a demand cannot have cost {actual} units")))?;
        let Some((held, reserved)) = self.held.as_ref().and_then(|held| Some((held, held.reserved.as_ref()?))) else {
            return Err(PyRuntimeError::new_err("only what `reserve` admitted can be settled"));
        };
        if self.done.fetch_or(SETTLED, Ordering::AcqRel) & SETTLED != 0 {
            return Err(PyRuntimeError::new_err("this reservation was settled before"));
        }
        let limiter = held.limiter.get();
        limiter.path.settle(&limiter.time, reserved, held.key, actual);
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((held, reserved)) = self.held.as_ref().and_then(|held| Some((held, held.reserved.as_ref()?)))
            && *self.done.get_mut() & SETTLED == 0
            && held.is_here()
            && held.limiter.get().path.is_distant()
        {
            // Its keeper need not remember it any longer: it cost what was estimated.
            let limiter = held.limiter.get();
            limiter.path.settle(&limiter.time, reserved, held.key, held.units);
        }
        let Some(held) = self.held.as_ref().filter(|held| held.has_slots) else { return };
        if *self.done.get_mut() & RELEASED == 0 && held.is_here() {
            let limiter = held.limiter.get();
            limiter.path.count_dropped();
            limiter.path.release(&limiter.time, held.units, held.key);
        }
    }
}
