//! The messages as the protocol declares them, derived: what is written by hand is held against them.

use std::collections::BTreeMap;

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(in crate::rls::answer) struct RateLimitResponse {
    #[prost(int32, tag = "1")]
    pub(in crate::rls::answer) overall_code: i32,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::rls::answer) statuses: Vec<DescriptorStatus>,
    #[prost(message, repeated, tag = "3")]
    pub(in crate::rls::answer) response_headers_to_add: Vec<HeaderValue>,
    #[prost(bytes = "vec", tag = "5")]
    pub(in crate::rls::answer) raw_body: Vec<u8>,
    #[prost(message, optional, tag = "6")]
    pub(in crate::rls::answer) dynamic_metadata: Option<Struct>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::rls::answer) struct DescriptorStatus {
    #[prost(int32, tag = "1")]
    pub(in crate::rls::answer) code: i32,
    #[prost(message, optional, tag = "2")]
    pub(in crate::rls::answer) current_limit: Option<RateLimit>,
    #[prost(uint32, tag = "3")]
    pub(in crate::rls::answer) limit_remaining: u32,
    #[prost(message, optional, tag = "4")]
    pub(in crate::rls::answer) duration_until_reset: Option<Duration>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::rls::answer) struct RateLimit {
    #[prost(uint32, tag = "1")]
    pub(in crate::rls::answer) requests_per_unit: u32,
    #[prost(int32, tag = "2")]
    pub(in crate::rls::answer) unit: i32,
    #[prost(string, tag = "3")]
    pub(in crate::rls::answer) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::rls::answer) struct HeaderValue {
    #[prost(string, tag = "1")]
    pub(in crate::rls::answer) key: String,
    #[prost(string, tag = "2")]
    pub(in crate::rls::answer) value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(in crate::rls::answer) struct Duration {
    #[prost(int64, tag = "1")]
    pub(in crate::rls::answer) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(in crate::rls::answer) nanos: i32,
}

impl Duration {
    pub(in crate::rls::answer) fn of_ns(ns: u64) -> Duration {
        Duration { seconds: (ns / 1_000_000_000) as i64, nanos: (ns % 1_000_000_000) as i32 }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::rls::answer) struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(in crate::rls::answer) fields: BTreeMap<String, Value>,
}

impl Struct {
    pub(in crate::rls::answer) fn of(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Struct {
        Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::rls::answer) struct Value {
    #[prost(oneof = "value::Kind", tags = "2, 3, 5, 6")]
    pub(in crate::rls::answer) kind: Option<value::Kind>,
}

/// What a `Value` may be here.
pub(in crate::rls::answer) mod value {
    use super::{Message, Oneof, Struct, Value};

    #[derive(Clone, PartialEq, Oneof)]
    pub(in crate::rls::answer) enum Kind {
        #[prost(double, tag = "2")]
        Number(f64),
        #[prost(string, tag = "3")]
        Text(String),
        #[prost(message, tag = "5")]
        Struct(Struct),
        #[prost(message, tag = "6")]
        List(List),
    }

    #[derive(Clone, PartialEq, Message)]
    pub(in crate::rls::answer) struct List {
        #[prost(message, repeated, tag = "1")]
        pub(in crate::rls::answer) values: Vec<Value>,
    }
}

impl Value {
    pub(in crate::rls::answer) fn text(text: impl Into<String>) -> Value {
        Value { kind: Some(value::Kind::Text(text.into())) }
    }

    /// A number of JSON: exact to 2^53.
    pub(in crate::rls::answer) fn number(number: u64) -> Value {
        Value { kind: Some(value::Kind::Number(number as f64)) }
    }

    pub(in crate::rls::answer) fn list(values: Vec<Struct>) -> Value {
        let of = |fields| Value { kind: Some(value::Kind::Struct(fields)) };
        Value { kind: Some(value::Kind::List(value::List { values: values.into_iter().map(of).collect() })) }
    }
}
