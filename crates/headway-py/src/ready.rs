//! Awaitables that are already done: no coroutine, no future, and on the way of `await` no exception either.
//!
//! The type is made with the C API, because `await` asks for the slot `am_send` first, which returns a value without
//! raising `StopIteration`; PyO3's classes cannot fill it. Done is the value, or a refusal that is raised as `Refused`.

use std::ffi::{c_int, c_uint, c_void};

use pyo3::exceptions::PyStopIteration;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::errors::refused;
use crate::permit::Permit;
use crate::refusal::Refusal;

#[repr(C)]
struct Done {
    head: ffi::PyObject,
    /// Owned: a value or a `Refusal`. Never null once made.
    outcome: *mut ffi::PyObject,
    /// Whether `outcome` is raised instead of returned.
    is_refused: bool,
}

/// `headway._core.Ready`.
pub(crate) fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.get_or_try_init(py, || make_class(py)).map(|class| class.bind(py))
}

fn make_class(py: Python<'_>) -> PyResult<Py<PyType>> {
    let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let doc = c"An awaitable that is already done.".as_ptr();
    let mut slots = [
        slot(ffi::Py_tp_doc, doc.cast_mut().cast()),
        slot(ffi::Py_tp_dealloc, dealloc as ffi::destructor as *mut c_void),
        slot(ffi::Py_am_await, itself as ffi::unaryfunc as *mut c_void),
        slot(ffi::Py_tp_iter, itself as ffi::unaryfunc as *mut c_void),
        slot(ffi::Py_tp_iternext, next as ffi::unaryfunc as *mut c_void),
        slot(ffi::Py_am_send, send as ffi::sendfunc as *mut c_void),
        slot(0, std::ptr::null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: c"headway._core.Ready".as_ptr(),
        basicsize: size_of::<Done>() as c_int,
        itemsize: 0,
        flags: flags as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec and its slots live through the call, which copies them; the functions have the slots' signatures.
    let made = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec)) }?;
    Ok(made.cast_into::<PyType>()?.unbind())
}

fn make(py: Python<'_>, outcome: Py<PyAny>, is_refused: bool) -> PyResult<Py<PyAny>> {
    let class = class(py)?.as_ptr().cast::<ffi::PyTypeObject>();
    // SAFETY: `class` is our heap type; the allocation has its size, and every field is written before anyone sees it.
    unsafe {
        let made = ffi::PyType_GenericAlloc(class, 0);
        let owned = Bound::from_owned_ptr_or_err(py, made)?;
        (*made.cast::<Done>()).outcome = outcome.into_ptr();
        (*made.cast::<Done>()).is_refused = is_refused;
        Ok(owned.unbind())
    }
}

/// Done with the one permit that holds nothing: one object for all.
pub(crate) fn shared(py: Python<'_>) -> PyResult<Py<PyAny>> {
    static ONE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(ONE.get_or_try_init(py, || make(py, Permit::shared(py)?.into_any(), false))?.clone_ref(py))
}

/// Done with None, for `__aexit__`.
pub(crate) fn nothing(py: Python<'_>) -> PyResult<Py<PyAny>> {
    static ONE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(ONE.get_or_try_init(py, || make(py, py.None(), false))?.clone_ref(py))
}

pub(crate) fn with(py: Python<'_>, permit: Py<PyAny>) -> PyResult<Py<PyAny>> {
    make(py, permit, false)
}

/// Raises `Refused` when it is awaited.
pub(crate) fn refusing(py: Python<'_>, refusal: Py<Refusal>) -> PyResult<Py<PyAny>> {
    make(py, refusal.into_any(), true)
}

unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: Python calls this once, on an object of our type that nobody holds; heap types are owned by instances.
    unsafe {
        let class = ffi::Py_TYPE(object);
        ffi::Py_XDECREF((*object.cast::<Done>()).outcome);
        if let Some(free) = (*class).tp_free {
            free(object.cast());
        }
        ffi::Py_DECREF(class.cast());
    }
}

unsafe extern "C" fn itself(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: a live object of our type; a new reference is what the slot returns.
    unsafe { ffi::Py_NewRef(object) }
}

/// The outcome as a new reference; null with `Refused` raised.
unsafe fn outcome(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: a live object of our type, the interpreter attached; `outcome` lives as long as the object.
    unsafe {
        let done = object.cast::<Done>();
        if !(*done).is_refused {
            return ffi::Py_NewRef((*done).outcome);
        }
        let py = Python::assume_attached();
        let refusal = Bound::from_borrowed_ptr(py, (*done).outcome);
        match refusal.cast_into::<Refusal>() {
            Ok(refusal) => refused(py, refusal.unbind()).restore(py),
            Err(error) => PyErr::from(error).restore(py),
        }
        std::ptr::null_mut()
    }
}

/// What `await` calls: done at the first send.
unsafe extern "C" fn send(
    object: *mut ffi::PyObject,
    _sent: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: as for `outcome`; `result` is Python's to be written.
    unsafe {
        *result = outcome(object);
        if (*result).is_null() { ffi::PySendResult::PYGEN_ERROR } else { ffi::PySendResult::PYGEN_RETURN }
    }
}

/// What `yield from` and tasks call.
unsafe extern "C" fn next(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as for `outcome`; the new reference is handed on to the exception.
    unsafe {
        let value = outcome(object);
        if !value.is_null() {
            let py = Python::assume_attached();
            let value = Bound::from_owned_ptr(py, value).unbind();
            PyStopIteration::new_err((value,)).restore(py);
        }
        std::ptr::null_mut()
    }
}
