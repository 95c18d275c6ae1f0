//! The core's errors as Python's exceptions: one `match`.

use pyo3::exceptions::{PyException, PyKeyError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::refusal::Refusal;

/// Raised by `acquire`, `with`, decorators. `refusal` says everything.
#[pyclass(extends = PyException, frozen, subclass, module = "headway._core")]
pub(crate) struct Refused {
    #[pyo3(get)]
    refusal: Py<Refusal>,
}

#[pymethods]
impl Refused {
    #[new]
    fn new(refusal: Py<Refusal>) -> Refused {
        Refused { refusal }
    }

    #[getter]
    fn code(&self) -> &'static str {
        "HW531"
    }

    fn __str__(&self) -> String {
        self.refusal.get().sentence()
    }
}

/// HW501: this process was forked from the one that holds the engine.
#[pyclass(extends = PyRuntimeError, frozen, subclass, module = "headway._core")]
pub(crate) struct Forked;

#[pymethods]
impl Forked {
    #[new]
    #[pyo3(signature = (*args))]
    fn new(args: &Bound<'_, pyo3::types::PyTuple>) -> Forked {
        // RuntimeError keeps them; here they only have to be taken.
        let _: &Bound<'_, pyo3::types::PyTuple> = args;
        Forked
    }

    #[getter]
    fn code(&self) -> &'static str {
        "HW501"
    }
}

/// `Refused(refusal)`, to be raised.
pub(crate) fn refused(py: Python<'_>, refusal: Py<Refusal>) -> PyErr {
    match py.get_type::<Refused>().call1((refusal,)) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// What the core says is wrong, as Python says it.
#[cold]
pub(crate) fn raised(py: Python<'_>, error: &headway_core::Error) -> PyErr {
    let text = error.to_string();
    match error {
        headway_core::Error::Invalid(_) => PyValueError::new_err(text),
        headway_core::Error::UnknownMeter(_) => PyKeyError::new_err(text),
        headway_core::Error::Far { code, problem } => far(py, code, problem),
        headway_core::Error::Forked => match py.get_type::<Forked>().call1((text,)) {
            Ok(error) => PyErr::from_value(error),
            Err(error) => error,
        },
    }
}

/// What a keeper says is wrong, in the words of `headway.errors`.
fn far(py: Python<'_>, code: &str, problem: &str) -> PyErr {
    let made = py.import("headway.errors").and_then(|errors| errors.getattr("of_keeper")?.call1((code, problem)));
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
