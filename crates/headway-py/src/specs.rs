//! What meters and limiters are: frozen settings.

use std::num::NonZeroU32;

use headway_core::allocator::Priority;
use headway_core::{Measure, Mode, Part, Recall};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::raised;

/// What a meter is, for as long as the process lives.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct MeterSpec(pub(crate) headway_core::MeterSpec);

#[pymethods]
impl MeterSpec {
    #[new]
    #[pyo3(
        signature = (
            name, measure, *, ceiling_micro, per_ns = 0, unit = "unit".to_owned(), keys_max = None, scale_ppm = vec![],
            born = "full", durable = false, chunk_micro = 0, shares = vec![]
        ),
        text_signature = "(name, measure, *, ceiling_micro, per_ns=0, unit='unit', keys_max=None, scale_ppm=(), born='full', durable=False, chunk_micro=0, shares=())"
    )]
    #[allow(clippy::too_many_arguments)] // It is the settings object: named fields, checked once.
    fn new(
        py: Python<'_>,
        name: String,
        measure: &str,
        ceiling_micro: u64,
        per_ns: u64,
        unit: String,
        keys_max: Option<u64>,
        scale_ppm: Vec<(String, u64)>,
        born: &str,
        durable: bool,
        chunk_micro: u64,
        shares: Vec<PyRef<'_, ShareSpec>>,
    ) -> PyResult<MeterSpec> {
        let born_empty = match born {
            "full" => false,
            "empty" => true,
            other => return Err(PyValueError::new_err(format!("a meter is born full or empty, not {other:?}"))),
        };
        let spec = Measure::named(measure).and_then(|measure| {
            headway_core::MeterSpec {
                name,
                measure,
                ceiling_micro,
                per_ns,
                unit,
                keys_max,
                scale_ppm,
                born_empty,
                durable,
                chunk_micro,
                shares: shares.iter().map(|share| share.0.clone()).collect(),
            }
            .checked()
        });
        spec.map(MeterSpec).map_err(|e| raised(py, &e))
    }

    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }
}

/// What was agreed with one workload of a meter's contract.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct ShareSpec(headway_core::ShareSpec);

#[pymethods]
impl ShareSpec {
    #[new]
    #[pyo3(signature = (
        workload, priority = "normal", *, guarantee_ppm = None, guarantee_micro = None, ceiling_ppm = None,
        ceiling_micro = None, weight = None
    ))]
    #[allow(clippy::too_many_arguments)] // It is the settings object: named fields, checked once.
    fn new(
        py: Python<'_>,
        workload: String,
        priority: &str,
        guarantee_ppm: Option<u64>,
        guarantee_micro: Option<u64>,
        ceiling_ppm: Option<u64>,
        ceiling_micro: Option<u64>,
        weight: Option<u32>,
    ) -> PyResult<ShareSpec> {
        let priority = Priority::named(priority).map_err(|e| raised(py, &e))?;
        let (guarantee, ceiling) = (part(guarantee_ppm, guarantee_micro)?, part(ceiling_ppm, ceiling_micro)?);
        let weight = weight.map(NonZeroU32::try_from).transpose();
        let weight = weight.map_err(|_| PyValueError::new_err("a weight is 1 or more"))?;
        Ok(ShareSpec(headway_core::ShareSpec { workload, priority, guarantee, ceiling, weight }))
    }

    #[getter]
    fn workload(&self) -> &str {
        &self.0.workload
    }
}

fn part(ppm: Option<u64>, micro: Option<u64>) -> PyResult<Option<Part>> {
    match (ppm, micro) {
        (Some(_), Some(_)) => Err(PyValueError::new_err("a part is a share or an amount, not both")),
        (ppm, micro) => Ok(ppm.map(Part::Ppm).or(micro.map(Part::Micro))),
    }
}

/// One limiter's way through the meters: all or nothing.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct PathSpec(pub(crate) headway_core::PathSpec);

#[pymethods]
impl PathSpec {
    #[new]
    #[pyo3(signature = (
        contract, workload, steps, *, mode = "enforce", cost_ppm = 1_000_000, units_max = 0, settle_max_micro = 0,
        wait_ns = 0, shares_as = None, recall = "wait", ends_within_ns = 0
    ))]
    #[allow(clippy::too_many_arguments)] // It is the settings object: named fields, checked once.
    fn new(
        py: Python<'_>,
        contract: String,
        workload: String,
        steps: Vec<(String, u64, bool)>,
        mode: &str,
        cost_ppm: u64,
        units_max: u64,
        settle_max_micro: u64,
        wait_ns: u64,
        shares_as: Option<String>,
        recall: &str,
        ends_within_ns: u64,
    ) -> PyResult<PathSpec> {
        let mode = match mode {
            "enforce" => Mode::Enforce,
            "observe" => Mode::Observe,
            "record" => Mode::Record,
            other => return Err(PyValueError::new_err(format!("{other:?} is no mode: enforce, observe or record"))),
        };
        let recall = match recall {
            "wait" => Recall::Wait,
            "ask" => Recall::Ask,
            "idle" => Recall::Idle,
            "end" => Recall::End { within_ns: ends_within_ns },
            other => return Err(PyValueError::new_err(format!("{other:?} is no recall: wait, ask, idle or end"))),
        };
        let shares_as = shares_as.unwrap_or_else(|| workload.clone());
        let spec = headway_core::PathSpec {
            contract,
            workload,
            steps,
            mode,
            cost_ppm,
            units_max,
            settle_max_micro,
            wait_ns,
            shares_as,
            recall,
        };
        spec.checked().map(PathSpec).map_err(|e| raised(py, &e))
    }

    #[getter]
    fn contract(&self) -> &str {
        &self.0.contract
    }

    #[getter]
    fn workload(&self) -> &str {
        &self.0.workload
    }
}
