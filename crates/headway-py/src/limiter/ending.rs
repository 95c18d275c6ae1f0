//! Scopes of coroutines that may be ended (`recall: end`): Python keeps them, for it knows whose they are.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::Limiter;

static ENDING: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();

/// Tells `async with` how a scope that may be ended begins and ends. The first ones told stay.
#[pyfunction]
#[pyo3(signature = (enter, leave, /))]
pub(crate) fn set_ending(py: Python<'_>, enter: Py<PyAny>, leave: Py<PyAny>) {
    ENDING.get_or_init(py, || (enter, leave));
}

fn told(py: Python<'_>) -> PyResult<&(Py<PyAny>, Py<PyAny>)> {
    ENDING.get(py).ok_or_else(|| PyRuntimeError::new_err("nobody told how scopes end: import headway.enforce first"))
}

/// What `__aenter__` answers.
#[cold]
pub(super) fn enter(limiter: &Bound<'_, Limiter>, may_end: &AtomicBool) -> PyResult<Py<PyAny>> {
    let (enter, _) = told(limiter.py())?;
    may_end.store(true, Ordering::Relaxed);
    enter.call1(limiter.py(), (limiter,))
}

/// Ends a scope; false where there is none that may be ended. Raises `Recalled` in place of the cancellation it was.
#[cold]
pub(super) fn leave(limiter: &Bound<'_, Limiter>, error: &Bound<'_, PyAny>) -> PyResult<bool> {
    let (_, leave) = told(limiter.py())?;
    leave.call1(limiter.py(), (limiter, error))?.extract(limiter.py())
}
