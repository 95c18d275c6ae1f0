//! What is said of who asks, to the name of a workload.

use std::sync::Arc;

use headway_core::MatchRule;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::errors::raised;

/// Attributes, and the patterns of each.
type Wanted = Vec<(String, Vec<String>)>;

/// The matches of a contract's workloads, in the order they were declared in.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Matches(pub(crate) Arc<headway_core::Matches>);

#[pymethods]
impl Matches {
    #[new]
    #[pyo3(signature = (rules, /))]
    fn new(py: Python<'_>, rules: Vec<(String, Wanted)>) -> PyResult<Matches> {
        let rules = rules.into_iter().map(|(workload, wanted)| MatchRule { workload, wanted }).collect();
        let matches = headway_core::Matches::new(rules).map_err(|error| raised(py, &error))?;
        Ok(Matches(Arc::new(matches)))
    }

    #[getter]
    fn attributes(&self) -> Vec<String> {
        self.0.attributes().to_vec()
    }

    #[pyo3(signature = (said, /))]
    fn workload_of(&self, said: Vec<(PyBackedStr, PyBackedStr)>) -> Option<String> {
        let said: Vec<(&str, &str)> = said.iter().map(|(name, value)| (&**name, &**value)).collect();
        self.0.workload_of(&said).map(str::to_owned)
    }
}
