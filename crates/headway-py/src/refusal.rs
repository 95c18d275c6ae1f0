//! Refusals, and the two answers that are no instant.

use headway_core::Retry;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// `retry_at_ns` of a demand that does not fit under any burst of the curve. One instance, `NEVER`.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Never;

#[pymethods]
impl Never {
    fn __bool__(&self) -> bool {
        false
    }

    fn __repr__(&self) -> &'static str {
        "NEVER"
    }
}

/// `retry_at_ns` of a demand that waits for something the curve does not know. `UNKNOWN`.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Unknown;

#[pymethods]
impl Unknown {
    fn __bool__(&self) -> bool {
        false
    }

    fn __repr__(&self) -> &'static str {
        "UNKNOWN"
    }
}

pub(crate) fn never(py: Python<'_>) -> PyResult<Py<PyAny>> {
    static ONE: PyOnceLock<Py<Never>> = PyOnceLock::new();
    Ok(ONE.get_or_try_init(py, || Py::new(py, Never))?.clone_ref(py).into_any())
}

pub(crate) fn unknown(py: Python<'_>) -> PyResult<Py<PyAny>> {
    static ONE: PyOnceLock<Py<Unknown>> = PyOnceLock::new();
    Ok(ONE.get_or_try_init(py, || Py::new(py, Unknown))?.clone_ref(py).into_any())
}

/// A refused demand; false. Everything to say about it; numbers are computed when asked for.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Refusal(pub(crate) headway_core::Refusal);

impl Refusal {
    pub(crate) fn sentence(&self) -> String {
        self.0.sentence()
    }

    /// All that is known, for `Meters.story`.
    pub(crate) fn story<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let story = PyDict::new(py);
        story.set_item("ref", self.r#ref())?;
        story.set_item("contract", self.contract())?;
        story.set_item("workload", self.workload())?;
        story.set_item("meter", self.meter())?;
        story.set_item("key", self.key())?;
        story.set_item("why", self.why())?;
        story.set_item("retryable", self.retryable())?;
        story.set_item("at_ns", self.0.at)?;
        story.set_item("units", self.units())?;
        story.set_item("unit", self.unit())?;
        story.set_item("limit", self.limit())?;
        story.set_item("use", self.r#use())?;
        story.set_item("limit_micro", self.limit_micro())?;
        story.set_item("use_micro", self.use_micro())?;
        story.set_item("version", self.version())?;
        story.set_item("stage", self.stage())?;
        match self.0.retry() {
            Retry::At(at) => story.set_item("retry_at_ns", at)?,
            Retry::Never => story.set_item("retry_at_ns", "never")?,
            Retry::Unknown => story.set_item("retry_at_ns", "unknown")?,
        }
        story.set_item("retry_after_s", self.retry_after_s())?;
        story.set_item("raises_when", self.raises_when())?;
        story.set_item("sentence", self.sentence())?;
        Ok(story)
    }
}

#[pymethods]
impl Refusal {
    fn __bool__(&self) -> bool {
        false
    }

    #[getter]
    fn contract(&self) -> &str {
        self.0.contract()
    }

    #[getter]
    fn workload(&self) -> &str {
        self.0.workload()
    }

    #[getter]
    fn meter(&self) -> &str {
        self.0.meter_name()
    }

    #[getter]
    fn key(&self) -> Option<&str> {
        self.0.key()
    }

    #[getter]
    fn why(&self) -> &'static str {
        self.0.why.name()
    }

    #[getter]
    fn retryable(&self) -> bool {
        self.0.why.is_retryable()
    }

    /// Units the demand weighs, its workload's cost included.
    #[getter]
    fn units(&self) -> f64 {
        self.0.weight()
    }

    #[getter]
    fn limit(&self) -> f64 {
        self.0.limit()
    }

    #[getter]
    fn r#use(&self) -> f64 {
        self.0.use_units()
    }

    #[getter]
    fn limit_micro(&self) -> u64 {
        self.0.limit_micro()
    }

    #[getter]
    fn use_micro(&self) -> i64 {
        self.0.use_micro()
    }

    #[getter]
    fn version(&self) -> u64 {
        self.0.version()
    }

    #[getter]
    fn stage(&self) -> &str {
        self.0.stage()
    }

    #[getter]
    fn unit(&self) -> &str {
        self.0.unit()
    }

    #[getter]
    fn retry_at_ns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self.0.retry() {
            Retry::At(at) => at.into_pyobject(py)?.into_any(),
            Retry::Never => never(py)?.into_bound(py),
            Retry::Unknown => unknown(py)?.into_bound(py),
        })
    }

    #[getter]
    fn retry_after_s(&self) -> Option<f64> {
        self.0.retry_after_s()
    }

    #[getter]
    fn raises_when(&self) -> &str {
        self.0.raises_when()
    }

    #[getter]
    fn r#ref(&self) -> String {
        self.0.reference()
    }

    fn __str__(&self) -> String {
        self.sentence()
    }

    fn __repr__(&self) -> String {
        format!("<Refusal {}/{}: {}>", self.contract(), self.workload(), self.why())
    }
}
