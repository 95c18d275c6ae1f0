//! Every bound of the data plane, and what happens where it is reached.

use std::time::Duration;

use headway_wire::{rlqs, rls};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Threads that answer.
    pub threads: usize,
    /// Connections at once; one more is closed as soon as it is taken.
    pub connections: usize,
    /// Of these, from one peer: an IPv4 address or a /64 of IPv6, loopback too. One more is closed as soon as it is taken.
    pub per_peer: usize,
    /// Requests under way on one HTTP/2 connection; the peer is told, and one more is refused by the protocol.
    pub streams: u32,
    /// Of these, streams that last (gates', health watches'); one more is RESOURCE_EXHAUSTED. A gate has one.
    pub lasting: usize,
    /// Bytes of a request's headers: 431, or the stream is reset.
    pub header_bytes: u32,
    /// Requests under way at once; more are refused as `overloaded` by contracts that enforce.
    pub in_flight: usize,
    /// From a request's first sight to its decision over RLS; later, nothing is charged and it is `overloaded`. Envoy gives
    /// up after 20 ms, so what is decided later is decided for nobody.
    pub deadline: Duration,
    /// The same for a check, which only waits for a durable draw.
    pub check_deadline: Duration,
    /// How long a body may take; then the call ends with DEADLINE_EXCEEDED.
    pub body: Duration,
    /// A connection that has not sent its first request in this time is closed.
    pub first: Duration,
    /// One on which no request began or ended in this time is closed, those included whose peer does not read.
    pub idle: Duration,
    /// How long requests under way may go on once a connection or the plane closes.
    pub closing: Duration,
    /// What is read of a rate-limit request; more is INVALID_ARGUMENT.
    pub rls: rls::Bounds,
    /// What is read of a report of usage; more ends its stream.
    pub rlqs: rlqs::Bounds,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            threads: 2,
            connections: 1_024,
            per_peer: 256,
            streams: 1_000,
            lasting: 64,
            header_bytes: 16 * 1_024,
            in_flight: 4_096,
            deadline: Duration::from_millis(10),
            check_deadline: Duration::from_secs(1),
            body: Duration::from_secs(5),
            first: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            closing: Duration::from_secs(5),
            rls: rls::Bounds::default(),
            rlqs: rlqs::Bounds::default(),
        }
    }
}
