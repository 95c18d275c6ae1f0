//! A place in a limiter's queue.

use std::sync::Arc;
use std::time::Duration;

use headway_core::Polled;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::raised;
use crate::limiter::Limiter;
use crate::refusal::Refusal;

/// A place in a limiter's FIFO of waiters. Leaving is idempotent.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Ticket {
    pub(crate) inner: headway_core::Ticket,
    pub(crate) limiter: Py<Limiter>,
    pub(crate) units: u64,
    pub(crate) key: Option<u64>,
}

impl Ticket {
    /// Sleeps until rung, at most `at_most`; without the interpreter.
    pub(crate) fn sleep(&self, py: Python<'_>, at_most: Duration) {
        py.detach(|| self.inner.sleep(at_most));
    }
}

#[pymethods]
impl Ticket {
    /// A permit if this ticket is at the head and the demand fits; None to wait on; a refusal that waiting cannot mend.
    pub(crate) fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let limiter = self.limiter.get();
        limiter.check_fork(py)?;
        match self.inner.poll(&limiter.time) {
            Polled::Waiting => Ok(None),
            Polled::Admitted { holds } => limiter.permit(py, &self.limiter, self.units, self.key, holds).map(Some),
            Polled::Refused(refusal) => Ok(Some(Py::new(py, Refusal::new(refusal))?.into_any())),
        }
    }

    /// For the head: the earliest instant at which polling again may help; None: wait for a wake-up.
    #[getter]
    pub(crate) fn wake_at_ns(&self) -> Option<i64> {
        self.inner.wake_at()
    }

    /// Called from any thread that releases or publishes, with the interpreter's lock held and none of ours.
    #[pyo3(signature = (wake, /))]
    fn on_wake(&self, wake: Py<PyAny>) {
        self.inner.on_wake(Arc::new(move || {
            Python::attach(|py| {
                if let Err(error) = wake.call0(py) {
                    error.write_unraisable(py, Some(wake.bind(py)));
                }
            });
        }));
    }

    fn leave(&self) {
        self.inner.leave();
    }

    /// Leaves without a permit: the refusal (`timeout`, counted) that says what stood in the way.
    pub(crate) fn give_up(&self, py: Python<'_>) -> PyResult<Py<Refusal>> {
        let limiter = self.limiter.get();
        match self.inner.give_up(&limiter.time) {
            Some(refusal) => Py::new(py, Refusal::new(refusal)),
            None => Err(PyRuntimeError::new_err("this ticket has its permit")),
        }
    }
}

/// What the core says is wrong, raised.
pub(crate) fn checked(py: Python<'_>, result: Result<(), headway_core::Error>) -> PyResult<()> {
    result.map_err(|error| raised(py, &error))
}
