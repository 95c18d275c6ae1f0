//! The data plane: the check and Envoy's rate-limit service, on sockets and threads of its own.
//!
//! `plane` starts and ends it, `accept` holds the connections, `streams` their requests, `service` takes a request to what answers it: `check`,
//! `rls`, `health`, `reflection`, `rlqs` with its `divisions`, or `hold` for gates, whose slots are `holders`' as those of `leases` over HTTP,
//! and who are lent to by `keeping`, through `routes`, which the engine swaps as a whole. `gates` names them where they are counted, and `seen` reads that. A decision is the core's; nothing here counts.
//! Time is read from the machine's clock for deadlines, and decisions read the meters' own.

mod accept;
mod access;
mod bounds;
mod check;
mod collected;
mod death;
mod descriptors;
mod divisions;
mod gates;
mod health;
mod hold;
mod holders;
mod keeping;
mod leases;
mod matched;
mod peers;
mod plane;
mod reader;
mod receipts;
mod reflection;
mod reply;
mod rlqs;
mod rls;
mod routes;
mod seen;
mod service;
mod spans;
mod streams;
mod tls;
mod unguaranteed;

pub use access::{Access, Credential, Role, TOKEN_MAX};
pub use bounds::Bounds;
pub use divisions::DELAY;
pub use headway_wire::Tell;
pub use keeping::LentReading;
pub use plane::{DataPlane, Left, Start, Ticking};
pub use routes::{CheckRoute, Floor, HoldRoute, RlqsRoute, RlsRoute, Routes};
pub use seen::{GateReading, GateUse, Seen};
pub use spans::Spans;
pub use tls::Tls;
