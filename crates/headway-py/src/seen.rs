//! What a data plane sees of its gates, as named tuples.

use headway_serve::{GateReading, GateUse, LentReading, Seen, Spans};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::tuples::class;

static GATE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static USE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static LENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static SPANS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

const GATE_FIELDS: &[&str] = &["gate", "connected", "silent_ms"];
const USE_FIELDS: &[&str] =
    &["gate", "contract", "workload", "admitted", "refused_by", "in_use_micro", "on_loan_micro", "draining_micro"];
const LENT_FIELDS: &[&str] = &["contract", "workload", "renewals", "draws", "round_trips", "cuts", "raises"];
const SPANS_FIELDS: &[&str] = &["within", "total", "sum_us"];

pub(crate) type Lists<'py> = (Vec<Bound<'py, PyAny>>, Vec<Bound<'py, PyAny>>, Vec<Bound<'py, PyAny>>);

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("GateReading", class(py, &GATE, "GateReading", GATE_FIELDS)?)?;
    module.add("GateUse", class(py, &USE, "GateUse", USE_FIELDS)?)?;
    module.add("LentReading", class(py, &LENT, "LentReading", LENT_FIELDS)?)?;
    module.add("Spans", class(py, &SPANS, "Spans", SPANS_FIELDS)?)
}

pub(crate) fn lists(py: Python<'_>, seen: Seen) -> PyResult<Lists<'_>> {
    let gates = seen.gates.into_iter().map(|one| gate(py, one)).collect::<PyResult<_>>()?;
    let uses = seen.uses.into_iter().map(|one| gate_use(py, one)).collect::<PyResult<_>>()?;
    let lent = seen.lent.into_iter().map(|one| lent(py, one)).collect::<PyResult<_>>()?;
    Ok((gates, uses, lent))
}

fn gate(py: Python<'_>, one: GateReading) -> PyResult<Bound<'_, PyAny>> {
    class(py, &GATE, "GateReading", GATE_FIELDS)?.call1((one.gate, one.connected, one.silent_ms))
}

fn gate_use(py: Python<'_>, one: GateUse) -> PyResult<Bound<'_, PyAny>> {
    let refused_by = PyDict::new(py);
    for (why, count) in one.refused {
        refused_by.set_item(why, count)?;
    }
    let GateUse { gate, contract, workload, admitted, in_use_micro, on_loan_micro, draining_micro, .. } = one;
    let fields = (gate, contract, workload, admitted, refused_by, in_use_micro, on_loan_micro, draining_micro);
    class(py, &USE, "GateUse", USE_FIELDS)?.call1(fields)
}

fn lent(py: Python<'_>, one: LentReading) -> PyResult<Bound<'_, PyAny>> {
    let [round_trips, cuts, raises] = [&one.round_trips, &one.cuts, &one.raises].map(|all| spans(py, all));
    let fields = (one.contract, one.workload, one.renewals, one.draws, round_trips?, cuts?, raises?);
    class(py, &LENT, "LentReading", LENT_FIELDS)?.call1(fields)
}

fn spans<'py>(py: Python<'py>, all: &Spans) -> PyResult<Bound<'py, PyAny>> {
    let within: Vec<(u64, u64)> = all.within().collect();
    class(py, &SPANS, "Spans", SPANS_FIELDS)?.call1((within, all.count, all.sum_us))
}
