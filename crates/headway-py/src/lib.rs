//! `headway._core`: what Python sees of `headway-core`. Only a list; rules live one crate down.

mod clock;
mod curve;
mod direct;
mod errors;
mod gate;
mod growth;
mod guarded;
mod limiter;
mod matches;
mod meters;
mod permit;
mod ready;
mod recalls;
mod refusal;
mod seen;
mod serve;
mod specs;
mod ticket;
mod tuples;

use pyo3::prelude::*;

// Counts and refusals rely on the interpreter's lock: decisions take turns under it.
#[pymodule(gil_used = true)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::clock::Clock;
    #[pymodule_export]
    use crate::curve::{Curve, Segment, grains_log2};
    #[pymodule_export]
    use crate::errors::{Forked, Refused};
    #[pymodule_export]
    use crate::gate::{Gate, forked};
    #[pymodule_export]
    use crate::growth::GrowthQueue;
    #[pymodule_export]
    use crate::limiter::{Limiter, set_ending, set_waiting};
    #[pymodule_export]
    use crate::matches::Matches;
    #[pymodule_export]
    use crate::meters::Meters;
    #[pymodule_export]
    use crate::permit::Permit;
    #[pymodule_export]
    use crate::refusal::{Never, Refusal, Unknown};
    #[pymodule_export]
    use crate::serve::{CheckRoute, DataPlane, HoldRoute, RlqsRoute, RlsRoute};
    #[pymodule_export]
    use crate::specs::{MeterSpec, PathSpec, ShareSpec};
    #[pymodule_export]
    use crate::ticket::Ticket;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        crate::direct::install(&py.get_type::<Limiter>())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("Ready", crate::ready::class(py)?)?;
        module.add("NEVER", crate::refusal::never(py)?)?;
        module.add("UNKNOWN", crate::refusal::unknown(py)?)?;
        crate::seen::add_to(module)?;
        crate::tuples::add_to(module)
    }
}
