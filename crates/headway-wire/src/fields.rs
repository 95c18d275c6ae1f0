//! `RateLimit`, `RateLimit-Policy`, `Retry-After`: the same fields as the ASGI middleware gives.
//!
//! Source: draft-ietf-httpapi-ratelimit-headers-11, RFC 9651 (structured fields), RFC 9110 section 10.2.3.

use headway_core::{Path, Refusal, Standing};

use crate::json::push_decimal;

/// How much is said of a contract to its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    Full,
    /// Nothing of other callers, upstreams or plans; a `ref` leads those who may look to the whole story.
    Public,
}

/// The largest integer of a structured field (RFC 9651, 3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// Where the meters of a path stand of which a caller with this key may be told.
pub fn told(path: &Path, now: i64, key: Option<u64>, tell: Tell) -> Vec<Standing<'_>> {
    seen(path, now, key, tell).collect()
}

/// The same, one by one.
pub fn seen(path: &Path, now: i64, key: Option<u64>, tell: Tell) -> impl Iterator<Item = Standing<'_>> {
    let contract = &path.spec().contract;
    path.standings(now, key).filter(move |s| tell == Tell::Full || concerns_the_caller(s.meter, contract))
}

/// Whether a meter is the contract's own and none that others share with this caller's key.
pub(crate) fn concerns_the_caller(meter: &str, contract: &str) -> bool {
    let own = meter.strip_prefix(contract).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '#']));
    own && !meter.ends_with("#total")
}

/// The values of `RateLimit-Policy` and `RateLimit` for meters as they stand: the same names in the same order. Where
/// several demands meet one meter, the one with the least remaining speaks for it. None where there is nothing to say.
pub fn rate_limit_fields(standings: &[Standing<'_>]) -> Option<(String, String)> {
    let (mut policies, mut states) = (String::with_capacity(96), String::with_capacity(96));
    for (i, standing) in standings.iter().enumerate() {
        let is_said_elsewhere = standings
            .iter()
            .enumerate()
            .any(|(j, other)| other.meter == standing.meter && (other.remaining, j) < (standing.remaining, i));
        if is_said_elsewhere {
            continue;
        }
        if !policies.is_empty() {
            policies.push_str(", ");
            states.push_str(", ");
        }
        push_string(&mut policies, standing.meter);
        push_string(&mut states, standing.meter);
        push_integer(&mut policies, "q", standing.quota);
        if standing.window_ns > 0 {
            push_integer(&mut policies, "w", standing.window_s());
        } else {
            policies.push_str(";qu=\"concurrent-requests\"");
        }
        push_integer(&mut states, "r", standing.remaining);
        // A slot comes back when somebody leaves, which nobody knows: then there is no `t`.
        if standing.more_in_ns > 0 {
            push_integer(&mut states, "t", standing.more_in_s());
        }
    }
    (!policies.is_empty()).then_some((policies, states))
}

/// `Retry-After` in whole seconds, rounded up, at least 1; None where it never fits or nobody knows.
pub fn retry_after(refusal: &Refusal) -> Option<u64> {
    refusal.retry_after_s().map(whole_seconds)
}

fn whole_seconds(seconds: f64) -> u64 {
    (seconds.ceil() as u64).max(1)
}

/// An sf-string. Meter names are ASCII by the documents' grammar; other characters become `?`, as none may pass.
fn push_string(field: &mut String, text: &str) {
    field.push('"');
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        field.push_str(text);
        field.push('"');
        return;
    }
    for character in text.chars() {
        match character {
            '"' | '\\' => field.extend(['\\', character]),
            ' '..='~' => field.push(character),
            _ => field.push('?'),
        }
    }
    field.push('"');
}

fn push_integer(field: &mut String, name: &str, number: u64) {
    field.push(';');
    field.push_str(name);
    field.push('=');
    push_decimal(field, number.min(INTEGER_MAX));
}

#[cfg(test)]
mod tests {
    use super::*;
    use headway_core::{Curve, Measure, Segment};
    use std::sync::Arc;

    fn standing(meter: &str, remaining: u64, window_ns: u64, more_in_ns: u64) -> Standing<'_> {
        let segments = vec![Segment::new(0, None, 0, 0).unwrap()];
        let (stage, window, raises_when) = (String::new(), vec![], String::new());
        let measure = Measure::Concurrency;
        let curve = Curve { measure, version: 1, stage, segments, per_ns: 0, burst_ns: 0, window, raises_when };
        Standing { meter, curve: Arc::new(curve), quota: 10, window_ns, remaining, more_in_ns }
    }

    #[test]
    fn who_is_told_to_wait_waits_at_least_a_second() {
        assert_eq!([1, 1, 1, 2], [0.0, 1e-9, 1.0, 1.000_001].map(whole_seconds));
    }

    #[test]
    fn both_fields_have_the_same_names_in_the_same_order() {
        let said = rate_limit_fields(&[standing("api", 3, 1_000_000_000, 100_000_000), standing("slots", 0, 0, 0)]);
        let policies = r#""api";q=10;w=1, "slots";q=10;qu="concurrent-requests""#.to_owned();
        assert_eq!(Some((policies, r#""api";r=3;t=1, "slots";r=0"#.to_owned())), said);
    }

    #[test]
    fn a_meter_that_several_demands_meet_is_said_once_with_the_least_remaining() {
        let (three, two) = (standing("api", 3, 1, 0), standing("api", 2, 1, 0));
        let least = Some((r#""api";q=10;w=1"#.to_owned(), r#""api";r=2"#.to_owned()));
        assert_eq!(least, rate_limit_fields(&[three.clone(), two.clone()]));
        assert_eq!(least, rate_limit_fields(&[two.clone(), two, three]));
        assert_eq!(None, rate_limit_fields(&[]));
    }

    #[test]
    fn names_and_numbers_stay_within_a_structured_field() {
        let said = rate_limit_fields(&[standing("a\"\\é", u64::MAX, 1, 0)]).unwrap().1;
        assert_eq!(r#""a\"\\?";r=999999999999999"#, said);
    }

    #[test]
    fn totals_upstreams_and_namesakes_do_not_concern_the_caller() {
        let concerned = ["api", "api.tokens", "api#total", "api.tokens#total", "api2", "db", ""]
            .map(|meter| concerns_the_caller(meter, "api"));
        assert_eq!([true, true, false, false, false, false, false], concerned);
    }
}
