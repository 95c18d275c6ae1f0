//! What bytes on the data plane mean: messages in, messages out. No sockets and no clock, so that all of it fuzzes.
//!
//! `rls` is Envoy's rate-limit service, `rlqs` its quota service, `hold` the stream of gates, `grpc` the framing of all
//! three, `health` the standard health check, `reflection` what
//! is served, `check` the HTTP check.
//! `fields` and `problem` say a decision over HTTP, for both alike. What is read is bounded while it is read; what is
//! written was decided by us and is not.

pub mod check;
mod fields;
pub mod grpc;
pub mod health;
pub mod hold;
mod json;
mod message;
mod problem;
mod protobuf;
pub mod reflection;
pub mod rlqs;
pub mod rls;

pub use fields::{Tell, rate_limit_fields, retry_after, seen, told};
pub use problem::{Problem, cannot_decide, refused, sentence};
pub use protobuf::Unreadable;
