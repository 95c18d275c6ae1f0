//! All meters and curves of a process.

use std::sync::Arc;

use headway_core::Clock as _;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::clock::{Clock, Time};
use crate::curve::Curve;
use crate::errors::raised;
use crate::growth::GrowthQueue;
use crate::limiter::Limiter;
use crate::refusal::Refusal;
use crate::specs::{MeterSpec, PathSpec};

/// All meters and curves of a process. Publishing and declaring are rare; decisions take no lock of it.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Meters {
    pub(crate) inner: Arc<headway_core::Meters>,
    pub(crate) time: Time,
}

#[pymethods]
impl Meters {
    #[new]
    #[pyo3(signature = (clock = None))]
    fn new(clock: Option<&Clock>) -> Meters {
        let (inner, time) = (Arc::default(), clock.map_or_else(Time::machine, |clock| clock.0.clone()));
        time.tell(&inner);
        Meters { inner, time }
    }

    #[getter]
    fn clock(&self) -> Clock {
        Clock(self.time.clone())
    }

    #[getter]
    fn growth(&self) -> GrowthQueue {
        GrowthQueue(Arc::clone(self.inner.growths()))
    }

    /// Adds meters; a name declared before is a ValueError. A meter without a curve refuses as `not_published`.
    #[pyo3(signature = (specs, /))]
    fn declare(&self, py: Python<'_>, specs: Vec<PyRef<'_, MeterSpec>>) -> PyResult<()> {
        self.inner.declare(specs.iter().map(|spec| spec.0.clone()).collect()).map_err(|e| raised(py, &e))
    }

    /// Installs curves, all or none. Returns the boot_ns at which they came into force.
    #[pyo3(signature = (curves, utc_ns, /))]
    fn publish(&self, py: Python<'_>, curves: Vec<(String, PyRef<'_, Curve>)>, utc_ns: i64) -> PyResult<i64> {
        let curves = curves.into_iter().map(|(name, curve)| (name, Arc::clone(&curve.0))).collect();
        self.inner.publish(curves, utc_ns, self.time.boot_ns()).map_err(|e| raised(py, &e))
    }

    /// Takes up what `save` wrote, before the first `publish`.
    #[pyo3(signature = (saved, /))]
    fn restore(&self, py: Python<'_>, saved: &[u8]) -> PyResult<()> {
        self.inner.restore(saved).map_err(|e| raised(py, &e))
    }

    /// All marks, keys too, for a clean stop. Call after `close()`.
    fn save(&self) -> Vec<u8> {
        self.inner.save(self.time.boot_ns())
    }

    /// (meter, key, window_start_ns, drawn_micro): what the durable count says.
    #[pyo3(signature = (rows, /))]
    fn restore_drawn(&self, py: Python<'_>, rows: Vec<(String, String, i64, i64)>) -> PyResult<()> {
        self.inner.restore_drawn(&rows).map_err(|e| raised(py, &e))
    }

    /// KeyError for a meter that was not declared.
    #[pyo3(signature = (spec, /))]
    fn limiter(&self, py: Python<'_>, spec: &PathSpec) -> PyResult<Limiter> {
        let path = self.inner.path(spec.0.clone()).map_err(|e| raised(py, &e))?;
        Limiter::new(py, path, self.time.clone())
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let readings = py.detach(|| self.inner.snapshot(self.time.boot_ns()));
        readings.into_iter().map(|reading| crate::tuples::meter_reading(py, reading)).collect()
    }

    fn paths<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.inner.paths().into_iter().map(|reading| crate::tuples::path_reading(py, reading)).collect()
    }

    /// The keys that press: (key, use_micro, limit_micro), most used first.
    #[pyo3(signature = (meter, most = 10, /))]
    fn keys(&self, py: Python<'_>, meter: &str, most: usize) -> PyResult<Vec<(String, i64, i64)>> {
        self.inner.keys(meter, self.time.boot_ns(), most).map_err(|e| raised(py, &e))
    }

    /// What was behind a refusal's `ref`; None when it is not, or no longer, known.
    #[pyo3(signature = (r#ref, /))]
    fn story<'py>(&self, py: Python<'py>, r#ref: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.inner.shared().story(r#ref).map(|refusal| Refusal::new(refusal).story(py)).transpose()
    }

    /// Every later demand is refused as `closed`; waiters wake.
    fn close(&self) {
        self.inner.close();
    }

    /// This process decides before that `boot_ns`, and refuses as `cut_off` from then on.
    #[pyo3(signature = (boot_ns, /))]
    fn decide_until(&self, boot_ns: i64) {
        self.inner.decide_until(boot_ns);
    }

    /// In a forked child: every demand raises `Forked`; permits that crossed the fork release nothing.
    fn mark_forked(&self) {
        self.inner.mark_forked();
    }
}
