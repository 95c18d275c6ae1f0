//! Envoy's rate-limit service: `envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`.

mod answer;
mod ask;

pub use answer::{Answer, Asked, Code, Unit};
pub use ask::{Ask, Bounds, Descriptor, Hits, read};

/// The path of the one call.
pub const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
/// The service as the health check names it.
pub const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
