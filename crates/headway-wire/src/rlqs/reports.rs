//! What a proxy reports: `RateLimitQuotaUsageReports`, read with bounds.
//!
//! `time_elapsed` is passed over: Envoy's first report says 0, and demand is timed by our own clock. Source:
//! envoy.service.rate_limit_quota.v3; protocols/envoy.md.

use std::collections::BTreeMap;

use crate::protobuf::{Fields, Unreadable, Value};

/// How much of a report is read. One more of anything is `Unreadable::Oversize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub usages: usize,
    /// Of one bucket's id.
    pub entries: usize,
    /// Bytes of an entry's key, of its value, and of the domain, each.
    pub text_bytes: usize,
    /// Bytes of the whole message; fields that are passed over count here alone.
    pub message_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { usages: 256, entries: 8, text_bytes: 256, message_bytes: 256 * 1_024 }
    }
}

/// What one bucket let through and refused since it was last reported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage<'a> {
    pub bucket: BTreeMap<&'a str, &'a str>,
    pub allowed: u64,
    pub denied: u64,
}

/// A report, borrowed from the message. A domain that is not said is the stream's: every report but the first may leave
/// it out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reports<'a> {
    pub domain: &'a str,
    pub usages: Vec<Usage<'a>>,
}

/// Reads a `RateLimitQuotaUsageReports`. Errors: malformed, or over one of the bounds.
pub fn read<'a>(message: &'a [u8], bounds: &Bounds) -> Result<Reports<'a>, Unreadable> {
    if message.len() > bounds.message_bytes {
        return Err(Unreadable::Oversize("bytes", bounds.message_bytes));
    }
    let mut reports = Reports::default();
    for field in Fields::of(message) {
        match field? {
            (1, value) => reports.domain = bounded(value, bounds, "bytes of domain")?,
            (2, value) => {
                if reports.usages.len() == bounds.usages {
                    return Err(Unreadable::Oversize("usages", bounds.usages));
                }
                reports.usages.push(read_usage(value.bytes()?, bounds)?);
            }
            _ => {}
        }
    }
    Ok(reports)
}

fn read_usage<'a>(message: &'a [u8], bounds: &Bounds) -> Result<Usage<'a>, Unreadable> {
    let mut usage = Usage::default();
    for field in Fields::of(message) {
        match field? {
            // A message that comes twice is merged.
            (1, value) => read_bucket(value.bytes()?, &mut usage.bucket, bounds)?,
            (3, value) => usage.allowed = value.number()?,
            (4, value) => usage.denied = value.number()?,
            _ => {}
        }
    }
    Ok(usage)
}

fn read_bucket<'a>(
    message: &'a [u8],
    bucket: &mut BTreeMap<&'a str, &'a str>,
    bounds: &Bounds,
) -> Result<(), Unreadable> {
    for field in Fields::of(message) {
        let (1, value) = field? else { continue };
        let mut entry = ("", "");
        for field in Fields::of(value.bytes()?) {
            match field? {
                (1, value) => entry.0 = bounded(value, bounds, "bytes in an entry's key")?,
                (2, value) => entry.1 = bounded(value, bounds, "bytes in an entry's value")?,
                _ => {}
            }
        }
        if bucket.len() == bounds.entries && !bucket.contains_key(entry.0) {
            return Err(Unreadable::Oversize("entries in a bucket's id", bounds.entries));
        }
        bucket.insert(entry.0, entry.1);
    }
    Ok(())
}

fn bounded<'a>(value: Value<'a>, bounds: &Bounds, what: &'static str) -> Result<&'a str, Unreadable> {
    let text = value.text()?;
    if text.len() > bounds.text_bytes { Err(Unreadable::Oversize(what, bounds.text_bytes)) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message;

    /// The messages as the protocol declares them, derived: what the reader by hand is held against.
    #[derive(Clone, PartialEq, Message)]
    struct UsageReports {
        #[prost(string, tag = "1")]
        domain: String,
        #[prost(message, repeated, tag = "2")]
        usages: Vec<One>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct One {
        #[prost(message, optional, tag = "1")]
        bucket_id: Option<Id>,
        #[prost(bytes = "vec", tag = "2")]
        time_elapsed: Vec<u8>,
        #[prost(uint64, tag = "3")]
        allowed: u64,
        #[prost(uint64, tag = "4")]
        denied: u64,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Id {
        #[prost(btree_map = "string, string", tag = "1")]
        bucket: BTreeMap<String, String>,
    }

    fn one(entries: &[(&str, &str)], allowed: u64, denied: u64) -> One {
        let bucket = entries.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        One { bucket_id: Some(Id { bucket }), time_elapsed: vec![], allowed, denied }
    }

    fn reports(usages: Vec<One>) -> Vec<u8> {
        UsageReports { domain: "edge".into(), usages }.encode_to_vec()
    }

    #[test]
    fn a_first_report_says_one_request_and_no_time() {
        let message = reports(vec![one(&[("name", "checkout")], 1, 0)]);
        let read = read(&message, &Bounds::default()).unwrap();
        assert_eq!(("edge", 1), (read.domain, read.usages.len()));
        let expected = Usage { bucket: BTreeMap::from([("name", "checkout")]), allowed: 1, denied: 0 };
        assert_eq!(expected, read.usages[0]);
    }

    #[test]
    fn one_more_than_a_bound_is_oversize() {
        let bounds = Bounds::default();
        let over = |message: Vec<u8>, what, most| {
            assert_eq!(Err(Unreadable::Oversize(what, most)), read(&message, &bounds));
        };
        assert_eq!(256, read(&reports(vec![one(&[], 1, 0); 256]), &bounds).unwrap().usages.len());
        over(reports(vec![one(&[], 1, 0); 257]), "usages", 256);
        let names: Vec<String> = (0..9).map(|i| i.to_string()).collect();
        let nine: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        over(reports(vec![one(&nine, 1, 0)]), "entries in a bucket's id", 8);
        let long = "x".repeat(257);
        over(reports(vec![one(&[("a", &long)], 1, 0)]), "bytes in an entry's value", 256);
        over(reports(vec![one(&[(&long, "b")], 1, 0)]), "bytes in an entry's key", 256);
        over(UsageReports { domain: long, usages: vec![] }.encode_to_vec(), "bytes of domain", 256);
        over(vec![0; 256 * 1_024 + 1], "bytes", 256 * 1_024);
    }

    fn usages() -> impl Strategy<Value = Vec<One>> {
        let bucket = prop::collection::btree_map("\\PC{0,8}", "\\PC{0,8}", 0..8);
        let one = (bucket, any::<u64>(), any::<u64>(), any::<[u8; 2]>()).prop_map(|(bucket, allowed, denied, time)| {
            One { bucket_id: Some(Id { bucket }), time_elapsed: time.to_vec(), allowed, denied }
        });
        prop::collection::vec(one, 0..6)
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_derived_messages_say(usages in usages()) {
            let message = reports(usages.clone());
            let read = read(&message, &Bounds::default()).unwrap();
            prop_assert_eq!(usages.len(), read.usages.len());
            for (told, read) in usages.iter().zip(&read.usages) {
                let bucket = &told.bucket_id.as_ref().unwrap().bucket;
                let bucket: BTreeMap<&str, &str> = bucket.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                prop_assert_eq!((&bucket, told.allowed, told.denied), (&read.bucket, read.allowed, read.denied));
            }
        }

        #[test]
        fn noise_never_panics(message in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(reports) = read(&message, &Bounds::default()) {
                prop_assert!(reports.usages.len() <= 256);
            }
        }
    }
}
