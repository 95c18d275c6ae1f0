//! What a proxy is told: `RateLimitQuotaResponse`.
//!
//! Only what Envoy 1.40 does as it is meant: a token bucket that is filled every second, or DENY_ALL, each with a life in
//! whole seconds; or to abandon the bucket. Source: envoy.service.rate_limit_quota.v3, envoy.type.v3.RateLimitStrategy;
//! protocols/envoy.md, *What Envoy 1.40.0 really does*.

use std::collections::BTreeMap;

use headway_core::divide::Told;
use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub struct RateLimitQuotaResponse {
    #[prost(message, repeated, tag = "1")]
    pub bucket_action: Vec<Action>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Action {
    #[prost(message, optional, tag = "1")]
    bucket_id: Option<BucketId>,
    #[prost(oneof = "Kind", tags = "2, 3")]
    kind: Option<Kind>,
}

impl Action {
    /// What a bucket is told; `ttl_s` whole seconds, at least 2.
    pub fn of(bucket: &BTreeMap<String, String>, told: Told, ttl_s: u32) -> Action {
        let strategy = match told {
            Told::Abandon => None,
            Told::Deny => Some(strategy::Kind::Blanket(DENY_ALL)),
            Told::Bucket(bucket) => Some(strategy::Kind::TokenBucket(TokenBucket {
                max_tokens: bucket.tokens,
                tokens_per_fill: Some(UInt32Value { value: bucket.per_s }),
                fill_interval: Some(Seconds { seconds: 1 }),
            })),
        };
        let kind = match strategy {
            None => Kind::Abandon(Abandon {}),
            kind => Kind::Assign(Assignment {
                time_to_live: Some(Seconds { seconds: ttl_s.max(2).into() }),
                strategy: Some(Strategy { kind }),
            }),
        };
        Action { bucket_id: Some(BucketId { bucket: bucket.clone() }), kind: Some(kind) }
    }
}

#[derive(Clone, PartialEq, Message)]
struct BucketId {
    #[prost(btree_map = "string, string", tag = "1")]
    bucket: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Kind {
    #[prost(message, tag = "2")]
    Assign(Assignment),
    #[prost(message, tag = "3")]
    Abandon(Abandon),
}

#[derive(Clone, PartialEq, Message)]
struct Assignment {
    #[prost(message, optional, tag = "2")]
    time_to_live: Option<Seconds>,
    #[prost(message, optional, tag = "3")]
    strategy: Option<Strategy>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Abandon {}

#[derive(Clone, PartialEq, Message)]
struct Strategy {
    #[prost(oneof = "strategy::Kind", tags = "1, 3")]
    kind: Option<strategy::Kind>,
}

mod strategy {
    use super::{Oneof, TokenBucket};

    #[derive(Clone, PartialEq, Oneof)]
    pub(super) enum Kind {
        #[prost(int32, tag = "1")]
        Blanket(i32),
        #[prost(message, tag = "3")]
        TokenBucket(TokenBucket),
    }
}

/// `BlanketRule.DENY_ALL`; 0 would allow all.
const DENY_ALL: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct TokenBucket {
    #[prost(uint32, tag = "1")]
    max_tokens: u32,
    #[prost(message, optional, tag = "2")]
    tokens_per_fill: Option<UInt32Value>,
    #[prost(message, optional, tag = "3")]
    fill_interval: Option<Seconds>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct UInt32Value {
    #[prost(uint32, tag = "1")]
    value: u32,
}

/// A `google.protobuf.Duration` of whole seconds.
#[derive(Clone, Copy, PartialEq, Message)]
struct Seconds {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use headway_core::divide::Bucket;

    fn bytes(told: Told, ttl_s: u32) -> Vec<u8> {
        let id = BTreeMap::from([("n".to_owned(), "c".to_owned())]);
        RateLimitQuotaResponse { bucket_action: vec![Action::of(&id, told, ttl_s)] }.encode_to_vec()
    }

    /// By hand from the protocol's field numbers: the id, then `{ttl 2: 4 s, strategy 3: {token_bucket 3: …}}`.
    #[test]
    fn a_bucket_is_filled_every_second_and_lives_whole_seconds() {
        let id = b"\x0a\x08\x0a\x06\x0a\x01n\x12\x01c";
        let bucket = b"\x08\x05\x12\x02\x08\x14\x1a\x02\x08\x01";
        let mut assign = vec![0x12, 18, 0x12, 2, 8, 4, 0x1a, 12, 0x1a, 10];
        assign.extend_from_slice(bucket);
        let mut expected = vec![0x0a, (id.len() + assign.len()) as u8];
        expected.extend_from_slice(id);
        expected.extend_from_slice(&assign);
        assert_eq!(expected, bytes(Told::Bucket(Bucket { tokens: 5, per_s: 20 }), 4));
    }

    #[test]
    fn deny_all_is_said_and_never_left_out() {
        let ends = |told: Vec<u8>, with: &[u8]| assert!(told.ends_with(with), "{told:?}");
        ends(bytes(Told::Deny, 4), &[0x12, 8, 0x12, 2, 8, 4, 0x1a, 2, 8, 1]);
        ends(bytes(Told::Abandon, 4), &[0x1a, 0]);
    }

    /// Envoy cuts lives to whole seconds, and takes none for at once.
    #[test]
    fn no_life_is_shorter_than_two_seconds() {
        assert_eq!(bytes(Told::Deny, 2), bytes(Told::Deny, 0));
    }
}
