//! Decorated functions: a native callable, and for coroutine functions a coroutine function.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::limiter::Limiter;

/// Python needs a real coroutine function here: frameworks ask `inspect.iscoroutinefunction`.
const COROUTINES: &std::ffi::CStr = c"
import functools
import inspect

is_coroutine_function = inspect.iscoroutinefunction
update_wrapper = functools.update_wrapper


def guard(limiter, function):
    @functools.wraps(function)
    async def guarded(*args, **kwargs):
        async with limiter:
            return await function(*args, **kwargs)

    return guarded
";

fn coroutines(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let make = || PyModule::from_code(py, COROUTINES, c"guarded.py", c"headway._guarded").map(Bound::unbind);
    Ok(MODULE.get_or_try_init(py, make)?.bind(py))
}

/// A function whose every call holds a permit.
#[pyclass(frozen, dict, weakref, module = "headway._core")]
pub(crate) struct Guarded {
    limiter: Py<Limiter>,
    function: Py<PyAny>,
}

pub(crate) fn guard(limiter: &Bound<'_, Limiter>, function: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let py = limiter.py();
    let coroutines = coroutines(py)?;
    if coroutines.getattr("is_coroutine_function")?.call1((function,))?.is_truthy()? {
        return Ok(coroutines.getattr("guard")?.call1((limiter, function))?.unbind());
    }
    let guarded = Guarded { limiter: limiter.clone().unbind(), function: function.clone().unbind() };
    let guarded = Bound::new(py, guarded)?;
    coroutines.getattr("update_wrapper")?.call1((&guarded, function))?;
    Ok(guarded.into_any().unbind())
}

/// Ends the scope on every way out of the call.
struct Scope<'a>(&'a Limiter);

impl Drop for Scope<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[pymethods]
impl Guarded {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let limiter = self.limiter.get();
        limiter.enter(args.py())?;
        let _scope = Scope(limiter);
        self.function.bind(args.py()).call(args, kwargs)
    }

    /// As a method it binds like the function it wraps.
    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        instance: Option<&Bound<'py, PyAny>>,
        owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, _) = (slf.py(), owner);
        match instance {
            None => Ok(slf.clone().into_any()),
            Some(instance) => py.import("types")?.getattr("MethodType")?.call1((slf, instance)),
        }
    }
}
