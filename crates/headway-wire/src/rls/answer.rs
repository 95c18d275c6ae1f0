//! What a proxy is told: `RateLimitResponse`.
//!
//! Source: envoy.service.ratelimit.v3, envoy.config.core.v3.HeaderValue, google.protobuf.Struct and Duration.

use std::collections::BTreeMap;

use prost::{Enumeration, Message, Oneof};

/// Never UNKNOWN, which Envoy takes for a yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Code {
    Unknown = 0,
    Ok = 1,
    OverLimit = 2,
}

#[derive(Clone, PartialEq, Message)]
pub struct RateLimitResponse {
    #[prost(enumeration = "Code", tag = "1")]
    pub overall_code: i32,
    #[prost(message, repeated, tag = "2")]
    pub statuses: Vec<DescriptorStatus>,
    #[prost(message, repeated, tag = "3")]
    pub response_headers_to_add: Vec<HeaderValue>,
    #[prost(bytes = "vec", tag = "5")]
    pub raw_body: Vec<u8>,
    #[prost(message, optional, tag = "6")]
    pub dynamic_metadata: Option<Struct>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DescriptorStatus {
    #[prost(enumeration = "Code", tag = "1")]
    pub code: i32,
    #[prost(message, optional, tag = "2")]
    pub current_limit: Option<RateLimit>,
    #[prost(uint32, tag = "3")]
    pub limit_remaining: u32,
    #[prost(message, optional, tag = "4")]
    pub duration_until_reset: Option<Duration>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RateLimit {
    #[prost(uint32, tag = "1")]
    pub requests_per_unit: u32,
    #[prost(enumeration = "Unit", tag = "2")]
    pub unit: i32,
    #[prost(string, tag = "3")]
    pub name: String,
}

/// The unit of an answer's limit; that of an override in a request has no week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Unit {
    Unknown = 0,
    Second = 1,
    Minute = 2,
    Hour = 3,
    Day = 4,
    Month = 5,
    Year = 6,
    Week = 7,
}

impl Unit {
    /// The unit that a window is; `Unknown` for all others, which Envoy then says no window of. A day may have an hour
    /// more or less, a month 28 to 31 days, and a window begins and ends where its zone's clocks do.
    pub fn of_window_ns(window_ns: u64) -> Unit {
        const HOUR_S: u64 = 3_600;
        const DAY_S: u64 = 24 * HOUR_S;
        if !window_ns.is_multiple_of(1_000_000_000) {
            return Unit::Unknown;
        }
        let seconds = window_ns / 1_000_000_000;
        let days = |from: u64, to: u64| (from * DAY_S - HOUR_S..=to * DAY_S + HOUR_S).contains(&seconds);
        match seconds {
            1 => Unit::Second,
            60 => Unit::Minute,
            HOUR_S => Unit::Hour,
            _ if days(1, 1) => Unit::Day,
            _ if days(7, 7) => Unit::Week,
            _ if days(28, 31) => Unit::Month,
            _ if days(365, 366) => Unit::Year,
            _ => Unit::Unknown,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct HeaderValue {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Duration {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Duration {
    pub fn of_ns(ns: u64) -> Duration {
        Duration { seconds: (ns / 1_000_000_000) as i64, nanos: (ns % 1_000_000_000) as i32 }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, Value>,
}

impl Struct {
    pub fn of(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Struct {
        Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(oneof = "value::Kind", tags = "2, 3, 5, 6")]
    pub kind: Option<value::Kind>,
}

/// What a `Value` may be here.
pub mod value {
    use super::{Message, Oneof, Struct, Value};

    #[derive(Clone, PartialEq, Oneof)]
    pub enum Kind {
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
    pub struct List {
        #[prost(message, repeated, tag = "1")]
        pub values: Vec<Value>,
    }
}

impl Value {
    pub fn text(text: impl Into<String>) -> Value {
        Value { kind: Some(value::Kind::Text(text.into())) }
    }

    /// A number of JSON: exact to 2^53.
    pub fn number(number: u64) -> Value {
        Value { kind: Some(value::Kind::Number(number as f64)) }
    }

    pub fn list(values: Vec<Struct>) -> Value {
        let of = |fields| Value { kind: Some(value::Kind::Struct(fields)) };
        Value { kind: Some(value::Kind::List(value::List { values: values.into_iter().map(of).collect() })) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_a_calendar_is_named_whatever_its_clocks_did() {
        let unit = |hours: u64| Unit::of_window_ns(hours * 3_600_000_000_000);
        assert_eq!([Unit::Hour, Unit::Day, Unit::Day, Unit::Day], [unit(1), unit(23), unit(24), unit(25)]);
        assert_eq!([Unit::Week, Unit::Month, Unit::Month, Unit::Year], [unit(168), unit(672), unit(743), unit(8_784)]);
        assert_eq!([Unit::Unknown, Unit::Unknown], [unit(2), Unit::of_window_ns(10_000_000_000)]);
        assert_eq!(Unit::Unknown, Unit::of_window_ns(0));
    }

    #[test]
    fn a_duration_is_split_into_seconds_and_the_rest() {
        assert_eq!(Duration { seconds: 2, nanos: 500_000_000 }, Duration::of_ns(2_500_000_000));
        assert!(Duration::of_ns(u64::MAX).seconds > 0);
    }

    #[test]
    fn a_status_has_the_bytes_of_the_protocol() {
        // code 2, current_limit {10, SECOND, "api"}, duration_until_reset {1 s}; limit_remaining 0 is not sent.
        let status = DescriptorStatus {
            code: Code::OverLimit.into(),
            current_limit: Some(RateLimit { requests_per_unit: 10, unit: Unit::Second.into(), name: "api".into() }),
            limit_remaining: 0,
            duration_until_reset: Some(Duration::of_ns(1_000_000_000)),
        };
        let expected = b"\x08\x02\x12\x09\x08\x0a\x10\x01\x1a\x03api\x22\x02\x08\x01";
        assert_eq!(expected.to_vec(), status.encode_to_vec());
    }
}
