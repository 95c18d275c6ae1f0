//! Durable draws, for the ledger's one writer thread.

use std::sync::Arc;
use std::time::Duration;

use headway_core::Growths;
use pyo3::prelude::*;

use crate::errors::raised;

/// The longest a `take` waits: an hour.
const WAIT_MS_MAX: u64 = 3_600_000;

/// Durable draws, for the ledger's one writer thread.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct GrowthQueue(pub(crate) Arc<Growths>);

#[pymethods]
impl GrowthQueue {
    /// The next batch (all with one `batch_id`), or [] after `wait_ms`.
    #[pyo3(signature = (max_items = 1000, wait_ms = 50, /))]
    fn take<'py>(&self, py: Python<'py>, max_items: usize, wait_ms: u64) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let wait = Duration::from_millis(wait_ms.min(WAIT_MS_MAX));
        let batch = py.detach(|| self.0.take(max_items, wait));
        batch.into_iter().map(|growth| crate::tuples::growth(py, growth)).collect()
    }

    /// One byte an item: 1 granted, 0 no room, 2 fenced. ValueError for an unknown batch or wrong length.
    #[pyo3(signature = (batch_id, ok, /))]
    fn answer(&self, py: Python<'_>, batch_id: u64, ok: &[u8]) -> PyResult<()> {
        self.0.answer(batch_id, ok).map_err(|e| raised(py, &e))
    }

    /// Every pending and later draw is refused as `not_durable`.
    #[pyo3(signature = (reason, /))]
    fn close(&self, reason: &str) {
        self.0.close(reason);
    }

    fn reopen(&self) {
        self.0.reopen();
    }
}
