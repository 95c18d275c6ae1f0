//! What a gate did while its keeper could not be heard.

use prost::Message;

/// Demands of a path that were admitted because its contract is `open` to whoever is cut off: nobody guaranteed them. Said on
/// every stream until it was noted.
#[derive(Clone, PartialEq, Message)]
pub struct Unguaranteed {
    #[prost(uint64, tag = "1")]
    pub path: u64,
    /// Since the process started, and how many of these were noted already.
    #[prost(uint64, tag = "2")]
    pub admitted: u64,
    #[prost(uint64, tag = "3")]
    pub told: u64,
}

/// So many demands of a path that nobody guaranteed are noted.
#[derive(Clone, PartialEq, Message)]
pub struct Noted {
    #[prost(uint64, tag = "1")]
    pub path: u64,
    #[prost(uint64, tag = "2")]
    pub admitted: u64,
}
