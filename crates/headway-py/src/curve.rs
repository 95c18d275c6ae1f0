//! Segments and curves: frozen values that Python publishes.

use std::sync::Arc;

use headway_core::Measure;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::errors::raised;

/// A half-open stretch of a curve in UTC: constant where `from_micro == to_micro`, else linear.
#[pyclass(frozen, eq, module = "headway._core")]
#[derive(Clone, PartialEq)]
pub(crate) struct Segment(headway_core::Segment);

#[pymethods]
impl Segment {
    #[new]
    fn new(py: Python<'_>, start_ns: i64, end_ns: Option<i64>, from_micro: i64, to_micro: i64) -> PyResult<Segment> {
        headway_core::Segment::new(start_ns, end_ns, from_micro, to_micro).map(Segment).map_err(|e| raised(py, &e))
    }

    #[getter]
    fn start_ns(&self) -> i64 {
        self.0.start_ns
    }

    #[getter]
    fn end_ns(&self) -> Option<i64> {
        self.0.end_ns
    }

    #[getter]
    #[allow(clippy::wrong_self_convention)] // The field's name in Python.
    fn from_micro(&self) -> u64 {
        self.0.from_micro
    }

    #[getter]
    fn to_micro(&self) -> u64 {
        self.0.to_micro
    }

    fn __repr__(&self) -> String {
        let end = self.0.end_ns.map_or("None".to_owned(), |end| end.to_string());
        format!("Segment({}, {end}, {}, {})", self.0.start_ns, self.0.from_micro, self.0.to_micro)
    }
}

/// The limit as decided, for one meter. Frozen.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Curve(pub(crate) Arc<headway_core::Curve>);

#[pymethods]
impl Curve {
    #[new]
    #[pyo3(
        signature = (measure, version, stage, segments, per_ns = 0, burst_ns = 0, window = vec![], raises_when = String::new()),
        text_signature = "(measure, version, stage, segments, per_ns=0, burst_ns=0, window=(), raises_when='')"
    )]
    #[allow(clippy::too_many_arguments)] // It is the settings object: named fields, checked once.
    fn new(
        py: Python<'_>,
        measure: &str,
        version: u64,
        stage: String,
        segments: Vec<PyRef<'_, Segment>>,
        per_ns: u64,
        burst_ns: u64,
        window: Vec<i64>,
        raises_when: String,
    ) -> PyResult<Curve> {
        let segments = segments.iter().map(|segment| segment.0).collect();
        let curve = Measure::named(measure).and_then(|measure| {
            headway_core::Curve { measure, version, stage, segments, per_ns, burst_ns, window, raises_when }.checked()
        });
        curve.map(|curve| Curve(Arc::new(curve))).map_err(|e| raised(py, &e))
    }

    #[getter]
    fn measure(&self) -> &'static str {
        self.0.measure.name()
    }

    #[getter]
    fn version(&self) -> u64 {
        self.0.version
    }

    #[getter]
    fn stage(&self) -> &str {
        &self.0.stage
    }

    #[getter]
    fn segments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.segments.iter().map(|segment| Segment(*segment)).collect::<Vec<_>>())
    }

    #[getter]
    fn per_ns(&self) -> u64 {
        self.0.per_ns
    }

    #[getter]
    fn burst_ns(&self) -> u64 {
        self.0.burst_ns
    }

    #[getter]
    fn window<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.0.window)
    }

    #[getter]
    fn raises_when(&self) -> &str {
        &self.0.raises_when
    }

    /// The level at an instant, rounded down.
    #[pyo3(signature = (utc_ns, /))]
    fn limit_micro(&self, utc_ns: i64) -> u64 {
        self.0.limit_micro(utc_ns)
    }
}

/// The grain of a rate's meter: marks count 2^-g units, so that a u64 lasts for decades at the ceiling.
#[pyfunction]
#[pyo3(signature = (ceiling_micro, per_ns, /))]
pub(crate) fn grains_log2(py: Python<'_>, ceiling_micro: u64, per_ns: u64) -> PyResult<u32> {
    headway_core::grains_log2(ceiling_micro, per_ns).map_err(|e| raised(py, &e))
}
