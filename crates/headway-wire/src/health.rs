//! The standard health check of gRPC: `grpc.health.v1.Health/Check` and `Watch`.

use prost::{Enumeration, Message};

use crate::protobuf::{Fields, Unreadable};

/// The service.
pub const SERVICE: &str = "grpc.health.v1.Health";
/// The path of the call that is answered once.
pub const CHECK: &str = "/grpc.health.v1.Health/Check";
/// The path of the call that is answered at every change.
pub const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Bytes of a service's name.
const NAME_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Serving {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    /// Of a watch alone.
    ServiceUnknown = 3,
}

#[derive(Clone, PartialEq, Message)]
pub struct HealthCheckResponse {
    #[prost(enumeration = "Serving", tag = "1")]
    pub status: i32,
}

/// The service that is asked about; empty for the server as a whole. Errors: malformed, or a name longer than any.
pub fn read(message: &[u8]) -> Result<&str, Unreadable> {
    let mut service = "";
    for field in Fields::of(message) {
        if let (1, value) = field? {
            service = value.text()?;
        }
    }
    if service.len() > NAME_MAX { Err(Unreadable::Oversize("bytes of service name", NAME_MAX)) } else { Ok(service) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_that_is_asked_about_is_read() {
        assert_eq!((Ok(""), Ok("a.b")), (read(b""), read(b"\x0a\x03a.b")));
        assert!(matches!(read(b"\x0a\x05a"), Err(Unreadable::Malformed(_))));
        assert!(matches!(read(&[&b"\x0a\x81\x02"[..], &[b'x'; 257]].concat()), Err(Unreadable::Oversize(..))));
    }
}
