//! Awaitables that are already done: no coroutine, no future.

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::errors::refused;
use crate::permit::Permit;
use crate::refusal::Refusal;

enum Outcome {
    Done(Py<PyAny>),
    Refused(Py<Refusal>),
}

/// An awaitable that is already done.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Ready(Outcome);

impl Ready {
    /// Done with the one permit that holds nothing: one object for all.
    pub(crate) fn shared(py: Python<'_>) -> PyResult<Py<Ready>> {
        static ONE: PyOnceLock<Py<Ready>> = PyOnceLock::new();
        let make = || Py::new(py, Ready(Outcome::Done(Permit::shared(py)?.into_any())));
        Ok(ONE.get_or_try_init(py, make)?.clone_ref(py))
    }

    /// Done with None, for `__aexit__`.
    pub(crate) fn nothing(py: Python<'_>) -> PyResult<Py<Ready>> {
        static ONE: PyOnceLock<Py<Ready>> = PyOnceLock::new();
        Ok(ONE.get_or_try_init(py, || Py::new(py, Ready(Outcome::Done(py.None()))))?.clone_ref(py))
    }

    pub(crate) fn with(py: Python<'_>, permit: Py<PyAny>) -> PyResult<Py<Ready>> {
        Py::new(py, Ready(Outcome::Done(permit)))
    }

    pub(crate) fn refused(py: Python<'_>, refusal: Py<Refusal>) -> PyResult<Py<Ready>> {
        Py::new(py, Ready(Outcome::Refused(refusal)))
    }
}

#[pymethods]
impl Ready {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<()> {
        Err(match &self.0 {
            Outcome::Done(value) => PyStopIteration::new_err((value.clone_ref(py),)),
            Outcome::Refused(refusal) => refused(py, refusal.clone_ref(py)),
        })
    }
}
