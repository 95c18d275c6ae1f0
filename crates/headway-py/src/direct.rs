//! `Limiter.try_acquire` by Python's own calling convention, for the call that everybody makes: no arguments.
//!
//! PyO3's wrapper parses arguments and counts attachments before it gets here, which costs as much as the decision. This
//! method answers `try_acquire()` itself, where nothing has to be waited for, and hands every other call to the wrapped one.
//! On its way no Python object is dropped: PyO3 would put it off until it counts an attachment.

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

use headway_core::Answer;
use pyo3::ffi;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::limiter::Limiter;
use crate::refusal::Refusal;

/// The method that PyO3 made, which takes all arguments.
static WRAPPED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

const NAME: &std::ffi::CStr = c"try_acquire";
const DOC: &std::ffi::CStr = c"try_acquire($self, units=1, key=None)
--

Decides now. Never waits for room (a first draw from a durable quota may take one commit).";

struct Method(ffi::PyMethodDef);

// SAFETY: nothing writes it after it is made.
unsafe impl Sync for Method {}

static METHOD: Method = Method(ffi::PyMethodDef {
    ml_name: NAME.as_ptr().cast::<c_char>(),
    ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: try_acquire },
    ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
    ml_doc: DOC.as_ptr().cast::<c_char>(),
});

/// Puts the direct method in the place of the wrapped one.
pub(crate) fn install(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    WRAPPED.get_or_try_init(py, || class.getattr("try_acquire").map(Bound::unbind))?;
    // SAFETY: `class` is the type whose instances the method casts to; the definition lives for ever and is not written.
    let method = unsafe {
        let made = ffi::PyDescr_NewMethod(class.as_type_ptr(), (&raw const METHOD.0).cast_mut());
        Bound::from_owned_ptr_or_err(py, made)?
    };
    class.setattr("try_acquire", method)
}

unsafe extern "C" fn try_acquire(
    object: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python calls methods with the interpreter attached, and only with instances of the type they belong to.
    let (py, limiter) = unsafe {
        let py = Python::assume_attached();
        (py, Borrowed::from_ptr(py, object).cast_unchecked::<Limiter>())
    };
    if count == 0 && names.is_null() {
        match catch_unwind(AssertUnwindSafe(|| answer(py, limiter.get()))) {
            Ok(Some(answer)) => return answer,
            Ok(None) => {}
            Err(_) => {
                PanicException::new_err(("a decision panicked: this is a bug in Headway",)).restore(py);
                return std::ptr::null_mut();
            }
        }
    }
    let wrapped = WRAPPED.get(py).expect("installed before it is called");
    let mut all = vec![object];
    // SAFETY: `arguments` holds `count` positional ones and one for each of `names`; `all` lives through the call.
    unsafe {
        let named = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) };
        all.extend_from_slice(std::slice::from_raw_parts(arguments, (count + named) as usize));
        ffi::PyObject_Vectorcall(wrapped.as_ptr(), all.as_ptr(), count as usize + 1, names)
    }
}

/// A new reference to the answer for one unit; None where the wrapped method has to say it.
#[inline]
fn answer(py: Python<'_>, limiter: &Limiter) -> Option<*mut ffi::PyObject> {
    let key = limiter.bound_key();
    // A slot wants a permit of its own, a missing key an error.
    if limiter.path.has_slots() || limiter.path.check(1, key.map(|k| k.text)).is_err() {
        return None;
    }
    match limiter.path.try_now(&limiter.time, 1, key) {
        Ok(()) => Some(limiter.shared(py).into_ptr()),
        Err(stopped) if stopped.is_draw() || limiter.path.is_forked() => None,
        Err(stopped) => match limiter.path.conclude(&limiter.time, 1, key, stopped) {
            Answer::Admitted { .. } => Some(limiter.shared(py).into_ptr()),
            Answer::Refused(refusal) => Py::new(py, Refusal(refusal)).ok().map(|made| made.into_any().into_ptr()),
        },
    }
}
