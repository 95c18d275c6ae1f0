//! Refusals, and the two answers that are no instant.
//!
//! A caller that is turned away a million times a second reads few of those refusals. A limiter therefore keeps its last
//! two, and says the next one in one of them if nobody else holds it any more: no memory is asked for, nothing is freed.
//! That is sound under the interpreter's lock, which the module asks for where Python can do without.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use headway_core::{Key, Path, Retry, Stopped};
use headway_wire::{cannot_decide, refused, retry_after, sentence};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};

use crate::serve::tell_of;

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
pub(crate) struct Refusal(UnsafeCell<headway_core::Refusal>);

// SAFETY: written only by `Spares::say`, through the one reference there is, by a thread that holds the interpreter's
// lock; everything else only reads.
unsafe impl Sync for Refusal {}

impl Refusal {
    pub(crate) fn new(refusal: headway_core::Refusal) -> Refusal {
        Refusal(UnsafeCell::new(refusal))
    }

    fn said(&self) -> &headway_core::Refusal {
        // SAFETY: whoever has `self` has a reference to the object, and with one the object is not written.
        unsafe { &*self.0.get() }
    }

    pub(crate) fn sentence(&self) -> String {
        self.said().sentence()
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
        story.set_item("at_ns", self.said().at)?;
        story.set_item("units", self.units())?;
        story.set_item("unit", self.unit())?;
        story.set_item("limit", self.limit())?;
        story.set_item("use", self.r#use())?;
        story.set_item("limit_micro", self.limit_micro())?;
        story.set_item("use_micro", self.use_micro())?;
        story.set_item("version", self.version())?;
        story.set_item("stage", self.stage())?;
        match self.said().retry() {
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

/// The last refusals of a limiter, to be written over when nobody reads them.
#[derive(Default)]
pub(crate) struct Spares([AtomicPtr<ffi::PyObject>; 2]);

impl Spares {
    /// A new reference to the refusal of a demand that was counted as refused; None without memory for it.
    pub(crate) fn say(
        &self,
        py: Python<'_>,
        path: &Arc<Path>,
        units: u64,
        key: Option<Key<'_>>,
        stopped: Stopped,
    ) -> Option<*mut ffi::PyObject> {
        let hash = key.map(|k| k.hash);
        for spare in &self.0 {
            let object = spare.load(Ordering::Relaxed);
            // SAFETY: a spare is null or owned by us; `py` says that the lock is held, so with a count of one nobody else
            // has it, nor can get it before this is done.
            unsafe {
                if !object.is_null() && ffi::Py_REFCNT(object) == 1 {
                    let refusal = Borrowed::from_ptr(py, object).cast_unchecked::<Refusal>();
                    if (*refusal.get().0.get()).overwrite(path, units, hash, &stopped) {
                        return Some(ffi::Py_NewRef(object));
                    }
                }
            }
        }
        let made = Py::new(py, Refusal::new(path.refusal(units, key, stopped))).ok()?.into_ptr();
        let [first, second] = &self.0;
        let place = if first.load(Ordering::Relaxed).is_null() { first } else { second };
        // SAFETY: `made` is a live object of ours, what stood in its place is null or owned by us; the lock is held.
        unsafe {
            ffi::Py_INCREF(made);
            let before = place.load(Ordering::Relaxed);
            place.store(made, Ordering::Relaxed);
            ffi::Py_XDECREF(before);
        }
        Some(made)
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        for spare in &mut self.0 {
            let object = std::mem::replace(spare.get_mut(), std::ptr::null_mut());
            if !object.is_null() {
                // SAFETY: owned by us; `Py` gives the reference back when the lock is held.
                drop(unsafe { Python::attach(|py| Bound::from_owned_ptr(py, object).unbind()) });
            }
        }
    }
}

#[pymethods]
impl Refusal {
    fn __bool__(&self) -> bool {
        false
    }

    #[getter]
    fn contract(&self) -> &str {
        self.said().contract()
    }

    #[getter]
    fn workload(&self) -> &str {
        self.said().workload()
    }

    #[getter]
    fn meter(&self) -> &str {
        self.said().meter_name()
    }

    #[getter]
    fn key(&self) -> Option<&str> {
        self.said().key()
    }

    #[getter]
    fn why(&self) -> &'static str {
        self.said().why.name()
    }

    #[getter]
    fn retryable(&self) -> bool {
        self.said().why.is_retryable()
    }

    /// Units the demand weighs, its workload's cost included.
    #[getter]
    fn units(&self) -> f64 {
        self.said().weight()
    }

    #[getter]
    fn limit(&self) -> f64 {
        self.said().limit()
    }

    #[getter]
    fn r#use(&self) -> f64 {
        self.said().use_units()
    }

    #[getter]
    fn limit_micro(&self) -> u64 {
        self.said().limit_micro()
    }

    #[getter]
    fn use_micro(&self) -> i64 {
        self.said().use_micro()
    }

    #[getter]
    fn version(&self) -> u64 {
        self.said().version()
    }

    #[getter]
    fn stage(&self) -> &str {
        self.said().stage()
    }

    #[getter]
    fn unit(&self) -> &str {
        self.said().unit()
    }

    #[getter]
    fn retry_at_ns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self.said().retry() {
            Retry::At(at) => at.into_pyobject(py)?.into_any(),
            Retry::Never => never(py)?.into_bound(py),
            Retry::Unknown => unknown(py)?.into_bound(py),
        })
    }

    #[getter]
    fn retry_after_s(&self) -> Option<f64> {
        self.said().retry_after_s()
    }

    #[getter]
    fn raises_when(&self) -> &str {
        self.said().raises_when()
    }

    #[getter]
    fn r#ref(&self) -> String {
        self.said().reference()
    }

    /// Whether the limit could not be asked, which is never a yes.
    #[getter]
    fn undecided(&self) -> bool {
        cannot_decide(self.said().why)
    }

    /// The sentence, as much of it as `tell` lets out.
    #[pyo3(name = "sentence", signature = (tell, /))]
    fn sentence_for(&self, tell: &str) -> PyResult<String> {
        Ok(sentence(self.said(), tell_of(tell)?))
    }

    /// Over HTTP: status, whole seconds of `Retry-After`, the `application/problem+json` document.
    #[pyo3(signature = (tell, /))]
    fn answer<'py>(&self, py: Python<'py>, tell: &str) -> PyResult<(u16, Option<u64>, Bound<'py, PyBytes>)> {
        let again = retry_after(self.said());
        let (status, document) = refused(self.said(), again, tell_of(tell)?);
        Ok((status, again, PyBytes::new(py, document.as_bytes())))
    }

    fn __str__(&self) -> String {
        self.sentence()
    }

    fn __repr__(&self) -> String {
        format!("<Refusal {}/{}: {}>", self.contract(), self.workload(), self.why())
    }
}
