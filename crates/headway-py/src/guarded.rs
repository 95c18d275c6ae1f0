//! Decorated functions: a native callable, and for coroutine functions a coroutine function.
//!
//! The callable's type is made with the C API: a call then passes its arguments on as it got them. PyO3's `__call__` packs
//! them into a tuple first, which costs as much as the decision.

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyReferenceError;
use pyo3::ffi;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::limiter::Limiter;

unsafe extern "C" {
    /// Part of CPython's API that `pyo3::ffi` leaves out: a method of `function`, bound to `instance`.
    fn PyMethod_New(function: *mut ffi::PyObject, instance: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

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
#[repr(C)]
struct Guarded {
    head: ffi::PyObject,
    call: ffi::vectorcallfunc,
    /// Owned: a `Limiter`, and what it guards. Null once the collector has cleared them.
    limiter: *mut ffi::PyObject,
    function: *mut ffi::PyObject,
    /// Owned by Python: what `functools.update_wrapper` sets, and weak references.
    dict: *mut ffi::PyObject,
    weak: *mut ffi::PyObject,
}

pub(crate) fn guard(limiter: &Bound<'_, Limiter>, function: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let py = limiter.py();
    let coroutines = coroutines(py)?;
    if coroutines.getattr("is_coroutine_function")?.call1((function,))?.is_truthy()? {
        return Ok(coroutines.getattr("guard")?.call1((limiter, function))?.unbind());
    }
    let class = class(py)?.as_ptr().cast::<ffi::PyTypeObject>();
    // SAFETY: `class` is our heap type; the allocation is zeroed, has its size, and is tracked by the collector, which
    // takes null fields for nothing.
    let guarded = unsafe {
        let guarded = Bound::from_owned_ptr_or_err(py, ffi::PyType_GenericAlloc(class, 0))?;
        let fields = guarded.as_ptr().cast::<Guarded>();
        (*fields).call = call;
        (*fields).limiter = ffi::Py_NewRef(limiter.as_ptr());
        (*fields).function = ffi::Py_NewRef(function.as_ptr());
        guarded
    };
    coroutines.getattr("update_wrapper")?.call1((&guarded, function))?;
    Ok(guarded.unbind())
}

fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.get_or_try_init(py, || make_class(py)).map(|class| class.bind(py))
}

fn make_class(py: Python<'_>) -> PyResult<Py<PyType>> {
    let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let member = |name: &'static std::ffi::CStr, offset: usize| ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: std::ptr::null(),
    };
    let end = ffi::PyMemberDef { name: std::ptr::null(), type_code: 0, offset: 0, flags: 0, doc: std::ptr::null() };
    let mut members = [
        member(c"__vectorcalloffset__", std::mem::offset_of!(Guarded, call)),
        member(c"__dictoffset__", std::mem::offset_of!(Guarded, dict)),
        member(c"__weaklistoffset__", std::mem::offset_of!(Guarded, weak)),
        end,
    ];
    // Python keeps a pointer to these as long as the type lives, which is for ever.
    let attributes: &'static mut [ffi::PyGetSetDef] = Box::leak(Box::new([
        ffi::PyGetSetDef {
            name: c"__dict__".as_ptr(),
            get: Some(ffi::PyObject_GenericGetDict),
            set: Some(ffi::PyObject_GenericSetDict),
            doc: std::ptr::null(),
            closure: std::ptr::null_mut(),
        },
        ffi::PyGetSetDef::default(),
    ]));
    let mut slots = [
        slot(ffi::Py_tp_doc, c"A function whose every call holds a permit.".as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as ffi::ternaryfunc as *mut c_void),
        slot(ffi::Py_tp_descr_get, bind as ffi::descrgetfunc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as ffi::traverseproc as *mut c_void),
        slot(ffi::Py_tp_clear, clear as ffi::inquiry as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as ffi::destructor as *mut c_void),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(ffi::Py_tp_getset, attributes.as_mut_ptr().cast()),
        slot(0, std::ptr::null_mut()),
    ];
    // A method descriptor: Python then calls it with the instance in front, without a bound method in between.
    let flags: c_ulong = ffi::Py_TPFLAGS_DEFAULT
        | ffi::Py_TPFLAGS_HAVE_GC
        | ffi::Py_TPFLAGS_HAVE_VECTORCALL
        | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR
        | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: c"headway._core.Guarded".as_ptr(),
        basicsize: size_of::<Guarded>() as c_int,
        itemsize: 0,
        flags: flags as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec, its slots and members live through the call, which copies them; the functions have the slots'
    // signatures.
    let made = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec)) }?;
    Ok(made.cast_into::<PyType>()?.unbind())
}

/// Ends the scope on every way out of the call.
struct Scope<'a>(&'a Limiter);

impl Drop for Scope<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

unsafe extern "C" fn call(
    object: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python calls this with the interpreter attached and an object of our type, alive during the call; so are its
    // limiter and function, which only the collector takes, from objects that nobody else reaches. The function gets the
    // arguments exactly as they came.
    unsafe {
        let py = Python::assume_attached();
        let guarded = object.cast::<Guarded>();
        if (*guarded).function.is_null() {
            PyReferenceError::new_err("this function is being collected").restore(py);
            return std::ptr::null_mut();
        }
        let limiter = Borrowed::from_ptr(py, (*guarded).limiter).cast_unchecked::<Limiter>();
        let function = (*guarded).function;
        let held = catch_unwind(AssertUnwindSafe(|| {
            limiter.get().enter(py)?;
            let _scope = Scope(limiter.get());
            Ok::<_, PyErr>(ffi::PyObject_Vectorcall(function, arguments, count, names))
        }));
        match held {
            Ok(Ok(result)) => return result,
            Ok(Err(error)) => error.restore(py),
            Err(_) => {
                PanicException::new_err(("a decision panicked: this is a bug in Headway",)).restore(py);
            }
        }
    }
    std::ptr::null_mut()
}

/// As a method it binds like the function it wraps.
unsafe extern "C" fn bind(
    object: *mut ffi::PyObject,
    instance: *mut ffi::PyObject,
    _owner: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: a live object of our type; a new reference is what the slot returns.
    unsafe {
        if instance.is_null() || instance == ffi::Py_None() {
            return ffi::Py_NewRef(object);
        }
        PyMethod_New(object, instance)
    }
}

unsafe extern "C" fn traverse(object: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: a live object of our type; its fields are null or owned by it. Instances own their heap type.
    unsafe {
        let guarded = object.cast::<Guarded>();
        let class = ffi::Py_TYPE(object).cast();
        for held in [class, (*guarded).limiter, (*guarded).function, (*guarded).dict] {
            if !held.is_null() {
                let found = visit(held, arg);
                if found != 0 {
                    return found;
                }
            }
        }
    }
    0
}

unsafe extern "C" fn clear(object: *mut ffi::PyObject) -> c_int {
    // SAFETY: a live object of our type. A field is nulled before its object goes, whose end may come back here.
    unsafe {
        let guarded = object.cast::<Guarded>();
        for field in [&raw mut (*guarded).limiter, &raw mut (*guarded).function, &raw mut (*guarded).dict] {
            ffi::Py_XDECREF(field.replace(std::ptr::null_mut()));
        }
    }
    0
}

unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: Python calls this once, on an object of our type that nobody holds.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        if !(*object.cast::<Guarded>()).weak.is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        clear(object);
        let class = ffi::Py_TYPE(object);
        if let Some(free) = (*class).tp_free {
            free(object.cast());
        }
        ffi::Py_DECREF(class.cast());
    }
}
