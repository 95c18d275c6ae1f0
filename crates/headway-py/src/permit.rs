//! Admissions.

use std::sync::atomic::{AtomicU8, Ordering};

use headway_core::{Clock as _, Reserved};
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
    /// Its place among those that may be asked back.
    place: Option<(Option<u64>, u64)>,
    /// A child that is forked holds nothing of what its parent holds.
    forks: u64,
}

impl Held {
    fn is_here(&self) -> bool {
        self.forks == headway_gate::forks()
    }

    fn end_recall(&self) {
        if let Some(place) = self.place {
            self.limiter.get().recalls.end(place);
        }
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
        let path = &limiter.get().path;
        // What is asked back of another process is asked of all keys together.
        let line = if path.is_distant() { None } else { key };
        let place = (has_slots && path.recall().asks()).then(|| limiter.get().recalls.begin(line, units));
        let (reserved, forks) = (reserved.map(Box::new), headway_gate::forks());
        let held = Held { limiter, units, key, has_slots, reserved, place, forks };
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

    /// Whether its slots are asked back: they are above a cut, and the newest that come to what is above it.
    #[getter]
    fn recalled(&self) -> bool {
        let Some((held, place)) = self.held.as_ref().and_then(|held| Some((held, held.place?))) else { return false };
        if !held.is_here() || self.done.load(Ordering::Acquire) & RELEASED != 0 {
            return false;
        }
        let limiter = held.limiter.get();
        let units = limiter.path.recalled(limiter.time.boot_ns(), held.key);
        units > 0 && limiter.recalls.is_among_newest(place, units)
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
            held.end_recall();
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
            held.end_recall();
            let limiter = held.limiter.get();
            limiter.path.count_dropped();
            limiter.path.release(&limiter.time, held.units, held.key);
        }
    }
}
