//! Readings as named tuples, made once.

use headway_core::{Growth, MeterReading, PathReading};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

static METER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static PATH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static GROWTH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

const METER_FIELDS: &[&str] = &[
    "meter",
    "measure",
    "version",
    "stage",
    "boot_ns",
    "utc_ns",
    "limit_micro",
    "use_micro",
    "burst_micro",
    "headroom_micro",
    "charged_micro",
    "entitled_micro",
    "keys_live",
    "window_start_ns",
    "published_ns",
];
const PATH_FIELDS: &[&str] = &[
    "contract",
    "workload",
    "admitted",
    "admitted_micro",
    "refused",
    "refused_micro",
    "refused_by",
    "waiting",
    "dropped_unreleased",
    "double_released",
    "settled_above_max",
    "on_loan_micro",
    "admitted_elsewhere",
    "refused_elsewhere",
    "unguaranteed",
];
const GROWTH_FIELDS: &[&str] = &["batch_id", "kind", "meter", "key", "by_micro", "window_start_ns"];

pub(crate) fn class<'py>(
    py: Python<'py>,
    made: &PyOnceLock<Py<PyAny>>,
    name: &str,
    fields: &[&str],
) -> PyResult<Bound<'py, PyAny>> {
    let make = || {
        let options = PyDict::new(py);
        options.set_item("module", "headway._core")?;
        let factory = py.import("collections")?.getattr("namedtuple")?;
        factory.call((name, PyTuple::new(py, fields)?), Some(&options)).map(Bound::unbind)
    };
    made.get_or_try_init(py, make).map(|class| class.bind(py).clone())
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("MeterReading", class(py, &METER, "MeterReading", METER_FIELDS)?)?;
    module.add("PathReading", class(py, &PATH, "PathReading", PATH_FIELDS)?)?;
    module.add("Growth", class(py, &GROWTH, "Growth", GROWTH_FIELDS)?)?;
    let typing = py.import("typing")?;
    // One literal each, as type checkers see them.
    let one_of = |words: &[&str]| -> PyResult<_> {
        let literal = typing.getattr("Literal")?;
        let each = words.iter().map(|word| literal.get_item(word)).collect::<PyResult<Vec<_>>>()?;
        typing.getattr("Union")?.get_item(PyTuple::new(py, each)?)
    };
    module.add("Measure", one_of(&["rate", "concurrency", "quota"])?)?;
    module.add("Mode", one_of(&["enforce", "observe", "record"])?)?;
    module.add("Recall", one_of(&["wait", "ask", "idle", "end"])?)
}

pub(crate) fn meter_reading(py: Python<'_>, r: MeterReading) -> PyResult<Bound<'_, PyAny>> {
    let counts = [r.charged_micro, r.entitled_micro, r.keys_live as i64, r.window_start_ns, r.published_ns];
    let levels = [r.boot_ns, r.utc_ns, r.limit_micro, r.use_micro, r.burst_micro, r.headroom_micro];
    let mut fields: Vec<Bound<'_, PyAny>> = vec![
        r.meter.into_pyobject(py)?.into_any(),
        r.measure.into_pyobject(py)?.into_any(),
        r.version.into_pyobject(py)?.into_any(),
        r.stage.into_pyobject(py)?.into_any(),
    ];
    for number in levels.into_iter().chain(counts) {
        fields.push(number.into_pyobject(py)?.into_any());
    }
    class(py, &METER, "MeterReading", METER_FIELDS)?.call1(PyTuple::new(py, fields)?)
}

pub(crate) fn path_reading(py: Python<'_>, r: PathReading) -> PyResult<Bound<'_, PyAny>> {
    let refused_by = PyDict::new(py);
    for (why, count) in r.refused_by {
        refused_by.set_item(why, count)?;
    }
    let names = [r.contract.into_pyobject(py)?.into_any(), r.workload.into_pyobject(py)?.into_any()];
    let number = |n: u64| n.into_pyobject(py).map(Bound::into_any);
    let first = [r.admitted, r.admitted_micro, r.refused, r.refused_micro].map(number);
    let rest = [
        r.waiting,
        r.dropped_unreleased,
        r.double_released,
        r.settled_above_max,
        r.on_loan_micro,
        r.admitted_elsewhere,
        r.refused_elsewhere,
        r.unguaranteed,
    ];
    let mut fields = Vec::from(names);
    for number in first {
        fields.push(number?);
    }
    fields.push(refused_by.into_any());
    for number in rest.map(number) {
        fields.push(number?);
    }
    class(py, &PATH, "PathReading", PATH_FIELDS)?.call1(PyTuple::new(py, fields)?)
}

pub(crate) fn growth(py: Python<'_>, g: Growth) -> PyResult<Bound<'_, PyAny>> {
    let fields = (g.batch_id, g.kind, g.meter, g.key, g.by_micro, g.window_start_ns);
    class(py, &GROWTH, "Growth", GROWTH_FIELDS)?.call1(fields)
}
