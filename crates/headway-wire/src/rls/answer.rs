//! What a proxy is told: `RateLimitResponse`, written straight into its frame.
//!
//! Source: envoy.service.ratelimit.v3, envoy.config.core.v3.HeaderValue, google.protobuf.Struct and Duration.

use headway_core::{Refusal, Standing};

use crate::message::Message;

#[cfg(test)]
mod derived;

/// Never UNKNOWN, which Envoy takes for a yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    Ok = 1,
    OverLimit = 2,
}

/// The unit of an answer's limit; that of an override in a request has no week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// A contract that was asked, as a proxy may log it or route by it; version and stage where a curve is in force.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub contract: &'a str,
    pub workload: &'a str,
    pub version: Option<(u64, &'a str)>,
}

/// As long as most answers are.
const USUAL_BYTES: usize = 1_024;

/// An answer under way. Its parts are written in the order of these functions.
pub struct Answer(Message);

impl Answer {
    pub fn new(overall: Code) -> Answer {
        let mut message = Message::in_frame(USUAL_BYTES);
        message.number(1, overall as u64);
        Answer(message)
    }

    /// The status of the next descriptor: what it says of a limit is of the meter that stands like this.
    pub fn status(&mut self, code: Code, standing: Option<&Standing<'_>>) {
        self.0.nested(2, |status| {
            status.number(1, code as u64);
            let Some(standing) = standing else { return };
            status.nested(2, |limit| {
                limit.number(1, saturated(standing.quota));
                limit.number(2, Unit::of_window_ns(standing.window_ns) as u64);
                limit.nested(3, |name| {
                    name.part(standing.meter);
                    name.part(":");
                    name.part(&standing.curve.stage);
                });
            });
            status.number(3, saturated(standing.remaining));
            status.nested(4, |duration| {
                duration.number(1, standing.more_in_ns / 1_000_000_000);
                duration.number(2, standing.more_in_ns % 1_000_000_000);
            });
        });
    }

    /// A header of the answer that the proxy gives its client.
    pub fn header(&mut self, key: &str, value: &str) {
        self.0.nested(3, |header| {
            header.bytes(1, key.as_bytes());
            header.bytes(2, value.as_bytes());
        });
    }

    pub fn raw_body(&mut self, body: &[u8]) {
        self.0.bytes(5, body);
    }

    /// What a proxy may log or route by: who was asked under which version, and why it was refused.
    pub fn metadata<'a>(&mut self, asked: impl Iterator<Item = Asked<'a>>, refusal: Option<&Refusal>) {
        // The fields of a Struct stand in the order of their names.
        self.0.nested(6, |fields| {
            field(fields, "contracts", |value| {
                value.nested(6, |list| {
                    asked.for_each(|one| list.nested(1, |value| value.nested(5, |fields| one.write(fields))));
                });
            });
            if let Some(refusal) = refusal {
                text(fields, "ref", &refusal.reference());
                text(fields, "why", refusal.why.name());
            }
        });
    }

    pub fn framed(self) -> Vec<u8> {
        self.0.framed()
    }
}

impl Asked<'_> {
    fn write(&self, fields: &mut Message) {
        text(fields, "contract", self.contract);
        if let Some((version, stage)) = self.version {
            text(fields, "stage", stage);
            // A number of JSON: exact to 2^53.
            field(fields, "version", |value| value.double(2, version as f64));
        }
        text(fields, "workload", self.workload);
    }
}

/// An entry of a Struct: its name, and what its Value holds.
fn field(fields: &mut Message, name: &str, write: impl FnOnce(&mut Message)) {
    fields.nested(1, |entry| {
        entry.bytes(1, name.as_bytes());
        entry.nested(2, write);
    });
}

fn text(fields: &mut Message, name: &str, text: &str) {
    field(fields, name, |value| value.kind_of_bytes(3, text.as_bytes()));
}

fn saturated(number: u64) -> u64 {
    number.min(u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::derived::{DescriptorStatus, Duration, HeaderValue, RateLimit, RateLimitResponse, Struct, Value};
    use super::*;
    use headway_core::{Curve, Measure, Segment};
    use proptest::prelude::*;
    use prost::Message as _;
    use std::sync::Arc;

    #[test]
    fn a_window_of_a_calendar_is_named_whatever_its_clocks_did() {
        let unit = |hours: u64| Unit::of_window_ns(hours * 3_600_000_000_000);
        assert_eq!([Unit::Hour, Unit::Day, Unit::Day, Unit::Day], [unit(1), unit(23), unit(24), unit(25)]);
        assert_eq!([Unit::Week, Unit::Month, Unit::Month, Unit::Year], [unit(168), unit(672), unit(743), unit(8_784)]);
        assert_eq!([Unit::Unknown, Unit::Unknown], [unit(2), Unit::of_window_ns(10_000_000_000)]);
        assert_eq!(Unit::Unknown, Unit::of_window_ns(0));
    }

    fn curve(version: u64, stage: &str) -> Arc<Curve> {
        let segments = vec![Segment::new(0, None, 0, 0).unwrap()];
        let (stage, window, raises_when) = (stage.to_owned(), vec![], String::new());
        let measure = Measure::Concurrency;
        Arc::new(Curve { measure, version, stage, segments, per_ns: 0, burst_ns: 0, window, raises_when })
    }

    /// Numbers of every length.
    fn numbers() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0u32..64).prop_map(|(number, bits)| number >> bits)
    }

    proptest! {
        #[test]
        fn an_answer_has_the_bytes_of_the_derived_messages(
            statuses in prop::collection::vec((any::<bool>(), any::<bool>(), numbers(), numbers(), numbers()), 0..4),
            (meter, stage) in ("\\PC{0,150}", "\\PC{0,150}"),
            headers in prop::collection::vec(("\\PC{0,9}", "\\PC{0,300}"), 0..4),
            body in prop::collection::vec(any::<u8>(), 0..600),
            asked in prop::option::of(prop::collection::vec(("\\PC{0,9}", prop::option::of(numbers())), 0..4)),
        ) {
            let curve = curve(3, &stage);
            let (mut answer, mut expected) = (Answer::new(Code::OverLimit), RateLimitResponse { overall_code: 2, ..RateLimitResponse::default() });
            for (is_over, is_told, quota, remaining, more_in_ns) in statuses {
                let code = if is_over { Code::OverLimit } else { Code::Ok };
                let standing = Standing { meter: &meter, curve: Arc::clone(&curve), quota, window_ns: 1_000_000_000, remaining, more_in_ns };
                answer.status(code, is_told.then_some(&standing));
                let mut status = DescriptorStatus { code: code as i32, ..DescriptorStatus::default() };
                if is_told {
                    let most = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
                    status.current_limit = Some(RateLimit { requests_per_unit: most(quota), unit: 1, name: format!("{meter}:{stage}") });
                    status.limit_remaining = most(remaining);
                    status.duration_until_reset = Some(Duration::of_ns(more_in_ns));
                }
                expected.statuses.push(status);
            }
            for (key, value) in headers {
                answer.header(&key, &value);
                expected.response_headers_to_add.push(HeaderValue { key, value });
            }
            answer.raw_body(&body);
            expected.raw_body = body;
            if let Some(asked) = asked {
                let told = |(contract, version): &(String, Option<u64>)| {
                    let mut fields = Struct::of([("contract", Value::text(contract)), ("workload", Value::text("w"))]);
                    if let Some(version) = version {
                        fields.fields.insert("version".to_owned(), Value::number(*version));
                        fields.fields.insert("stage".to_owned(), Value::text(&stage));
                    }
                    fields
                };
                expected.dynamic_metadata = Some(Struct::of([("contracts", Value::list(asked.iter().map(told).collect()))]));
                let of = |(contract, version): &'_ (String, Option<u64>)| (contract.clone(), version.map(|version| (version, stage.clone())));
                let asked: Vec<_> = asked.iter().map(of).collect();
                let each = asked.iter().map(|(contract, version)| Asked { contract, workload: "w", version: version.as_ref().map(|(v, s)| (*v, s.as_str())) });
                answer.metadata(each, None);
            }
            prop_assert_eq!(crate::grpc::framed(&expected), answer.framed());
        }
    }

    #[test]
    fn a_status_has_the_bytes_of_the_protocol() {
        // code 2, current_limit {10, SECOND, "api:"}, duration_until_reset {1 s}; limit_remaining 0 is not sent.
        let standing = Standing {
            meter: "api",
            curve: curve(1, ""),
            quota: 10,
            window_ns: 1_000_000_000,
            remaining: 0,
            more_in_ns: 1_000_000_000,
        };
        let mut answer = Answer::new(Code::OverLimit);
        answer.status(Code::OverLimit, Some(&standing));
        let expected = b"\x08\x02\x12\x12\x08\x02\x12\x0a\x08\x0a\x10\x01\x1a\x04api:\x22\x02\x08\x01";
        assert_eq!(expected, &answer.framed()[5..]);
        let derived = DescriptorStatus {
            code: 2,
            current_limit: Some(RateLimit { requests_per_unit: 10, unit: 1, name: "api:".into() }),
            limit_remaining: 0,
            duration_until_reset: Some(Duration::of_ns(1_000_000_000)),
        };
        assert_eq!(expected[4..], derived.encode_to_vec());
    }
}
