//! Envoy's rate-limit quota service: `envoy.service.rate_limit_quota.v3.RateLimitQuotaService/StreamRateLimitQuotas`.

mod reports;
mod response;

pub use reports::{Bounds, Reports, Usage, read};
pub use response::{Action, RateLimitQuotaResponse};

/// The path of the one call.
pub const STREAM_RATE_LIMIT_QUOTAS: &str =
    "/envoy.service.rate_limit_quota.v3.RateLimitQuotaService/StreamRateLimitQuotas";
/// The service as the health check names it.
pub const SERVICE: &str = "envoy.service.rate_limit_quota.v3.RateLimitQuotaService";
