//! `Limiter.try_acquire` by Python's own calling convention, for the calls that everybody makes: without arguments, with
//! units, with a key.
//!
//! PyO3's wrapper parses arguments and counts attachments before it gets here, which costs as much as the decision. This
//! method answers itself where the arguments are what they should be and nothing has to be waited for, and hands every
//! other call to the wrapped one.
//! On its way no Python object is dropped: PyO3 would put it off until it counts an attachment.

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

use headway_core::Answer;
use pyo3::ffi;
use pyo3::intern;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyString, PyType};

use crate::limiter::Limiter;
use crate::permit::Permit;
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
    // SAFETY: `arguments` holds `count` positional ones and one for each of `names`, all alive during the call.
    if let Some((units, key)) = unsafe { parsed(py, arguments, count, names) } {
        match catch_unwind(AssertUnwindSafe(|| answer(py, limiter, units, key))) {
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

/// (units, key) of a call as it should be: an int, a str, both by position, or the str as `key=`. None for all else.
///
/// # Safety
/// `arguments` holds `count` objects, and one more for each of `names`, that live as long as the answer is used.
#[inline]
unsafe fn parsed(
    py: Python<'_>,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> Option<(u64, Option<&str>)> {
    if count == 0 && names.is_null() {
        return Some((1, None));
    }
    // SAFETY: the caller's promise; a tuple of names is a tuple.
    unsafe {
        let argument = |at: ffi::Py_ssize_t| Borrowed::<PyAny>::from_ptr(py, *arguments.offset(at));
        let key_at = if names.is_null() {
            (count == 2).then_some(1)
        } else {
            let is_key =
                ffi::PyTuple_GET_SIZE(names) == 1 && ffi::PyTuple_GET_ITEM(names, 0) == intern!(py, "key").as_ptr();
            if !is_key || count > 1 {
                return None;
            }
            Some(count)
        };
        if count > 2 {
            return None;
        }
        let units = if count == 0 {
            1
        } else {
            let units = ffi::PyLong_AsLong(argument(0).cast_exact::<PyInt>().ok()?.as_ptr());
            if units < 1 {
                // Too large for a long, or no demand at all: the wrapped method says what is wrong.
                ffi::PyErr_Clear();
                return None;
            }
            units as u64
        };
        let Some(at) = key_at else { return Some((units, None)) };
        let (text, mut length) = (argument(at).cast_exact::<PyString>().ok()?, 0);
        let bytes = ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &raw mut length);
        if bytes.is_null() {
            // Half a surrogate has no UTF-8.
            ffi::PyErr_Clear();
            return None;
        }
        // Python keeps these bytes, which are UTF-8, as long as the str.
        let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), length as usize);
        Some((units, Some(std::str::from_utf8_unchecked(bytes))))
    }
}

/// A new reference to the answer; None where the wrapped method has to say it.
#[inline]
fn answer(
    py: Python<'_>,
    own: Borrowed<'_, '_, Limiter>,
    units: u64,
    told: Option<&str>,
) -> Option<*mut ffi::PyObject> {
    let limiter = own.get();
    let path = &limiter.path;
    let key = match (limiter.bound_key(), told) {
        (bound, None) => bound,
        (None, Some(text)) => Some(path.key(text)),
        (Some(_), Some(_)) => return None,
    };
    if path.check(units, key.map(|k| k.text)).is_err() {
        return None;
    }
    let holds = match path.try_in_turn(&limiter.time, units, key) {
        Ok(()) => path.has_slots(),
        Err(stopped) if stopped.is_draw() || path.is_forked() => return None,
        Err(stopped) if path.count_refused_in_turn(units, &stopped) => {
            return limiter.spares.say(py, path, units, key, stopped);
        }
        Err(stopped) => match path.conclude(&limiter.time, units, key, stopped) {
            Answer::Admitted { holds } => holds,
            Answer::Refused(refusal) => {
                return Py::new(py, Refusal::new(refusal)).ok().map(|made| made.into_any().into_ptr());
            }
        },
    };
    if !holds {
        return Some(limiter.shared(py).into_ptr());
    }
    let permit = Permit::new(own.to_owned().unbind(), units, key.map(|k| k.hash), true, None);
    match Py::new(py, permit) {
        Ok(made) => Some(made.into_any().into_ptr()),
        Err(error) => {
            // No memory for the permit; it was dropped, and gave its slots back.
            error.restore(py);
            Some(std::ptr::null_mut())
        }
    }
}
