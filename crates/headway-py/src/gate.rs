//! The gate of a process, as Python makes, asks and ends it.

use std::sync::Arc;

use headway_gate::{Settings, Trust};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::clock::Time;
use crate::errors::raised;
use crate::limiter::Limiter;
use crate::matches::Matches;

/// A process' way to one keeper. Nothing is dialled before the first limiter.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Gate(headway_gate::Gate);

#[pymethods]
impl Gate {
    #[new]
    #[pyo3(signature = (address, token, trusted = None, /))]
    fn new(py: Python<'_>, address: String, token: String, trusted: Option<Vec<Vec<u8>>>) -> PyResult<Gate> {
        let tls = trusted.map(Trust::of).transpose().map_err(PyValueError::new_err)?;
        headway_gate::Gate::new(Settings { address, token, tls }).map(Gate).map_err(|error| raised(py, &error))
    }

    /// A limiter whose demands the keeper decides. Does not wait for it.
    #[pyo3(signature = (contract, workload = None, /))]
    fn limiter(&self, py: Python<'_>, contract: &str, workload: Option<&str>) -> PyResult<Limiter> {
        let path = self.0.limiter(contract, workload).map_err(|error| raised(py, &error))?;
        Limiter::new(py, path, Time::machine())
    }

    /// A contract's matches, its workloads, and whether refusals over HTTP say all; None while its keeper has not said.
    #[pyo3(signature = (contract, /))]
    fn told(&self, py: Python<'_>, contract: &str) -> PyResult<Option<(Matches, Vec<String>, bool)>> {
        let told = py.detach(|| self.0.told(contract)).map_err(|error| raised(py, &error))?;
        Ok(told.map(|told| (Matches(Arc::clone(&told.matches)), told.workloads.clone(), told.tells_all)))
    }

    /// Counts of every limiter's decisions in this process.
    fn paths<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.0.meters().paths().into_iter().map(|reading| crate::tuples::path_reading(py, reading)).collect()
    }

    /// Refuses what is asked later as `closed`, and says goodbye where nothing is held. Again: nothing.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

/// In a forked child, before anything else: every gate begins anew there.
#[pyfunction]
pub(crate) fn forked() {
    headway_gate::forked();
}
