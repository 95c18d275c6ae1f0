//! What a proxy asks: `RateLimitRequest`, read with bounds.
//!
//! A limit override in a descriptor is passed over like every field that is not ours: what a caller says of its own limit
//! is no limit. Source: envoy.service.ratelimit.v3, envoy.extensions.common.ratelimit.v3; protocols/envoy.md.

use std::ops::Range;

use smallvec::SmallVec;

use crate::protobuf::{Fields, Unreadable, Value};

/// How much of a request is read. One more of anything is `Unreadable::Oversize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub descriptors: usize,
    /// Of one descriptor.
    pub entries: usize,
    /// Bytes of an entry's key, of its value, and of the domain, each.
    pub text_bytes: usize,
    /// Bytes of the whole message; fields that are passed over count here alone.
    pub message_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { descriptors: 16, entries: 8, text_bytes: 256, message_bytes: 96 * 1_024 }
    }
}

/// What a descriptor asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hits {
    /// At least 1.
    Charge(u64),
    /// Whether the state as it is be within the limit; nothing is charged.
    Probe,
    /// At least 1.
    GiveBack(u64),
}

/// One descriptor of an `Ask`: where its entries stand, and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    entries: Range<usize>,
    pub hits: Hits,
}

/// A request, borrowed from the message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ask<'a> {
    pub domain: &'a str,
    pub descriptors: SmallVec<[Descriptor; USUAL]>,
    entries: Entries<'a>,
}

/// As many descriptors as most requests have, and of entries twice as many: they are read without an allocation.
const USUAL: usize = 2;

type Entries<'a> = SmallVec<[(&'a str, &'a str); 2 * USUAL]>;

impl<'a> Ask<'a> {
    /// The entries of one of its descriptors, as (key, value), in the order they were sent.
    pub fn entries(&self, descriptor: &Descriptor) -> &[(&'a str, &'a str)] {
        &self.entries[descriptor.entries.clone()]
    }
}

/// Reads a `RateLimitRequest`. Errors: malformed, or over one of the bounds.
pub fn read<'a>(message: &'a [u8], bounds: &Bounds) -> Result<Ask<'a>, Unreadable> {
    if message.len() > bounds.message_bytes {
        return Err(Unreadable::Oversize("bytes", bounds.message_bytes));
    }
    let mut ask = Ask::default();
    let mut said = SmallVec::<[Said; USUAL]>::new();
    let mut hits_addend = 0;
    for field in Fields::of(message) {
        match field? {
            (1, value) => ask.domain = bounded(value, bounds, "bytes of domain")?,
            (2, value) => {
                if said.len() == bounds.descriptors {
                    return Err(Unreadable::Oversize("descriptors", bounds.descriptors));
                }
                said.push(read_descriptor(value.bytes()?, &mut ask.entries, bounds)?);
            }
            // As every uint32: what is beyond 32 bits is cut off.
            (3, value) => hits_addend = u64::from(value.number()? as u32),
            _ => {}
        }
    }
    // The request's own hits stand for descriptors that say none, wherever in the message they came; 0 is not said.
    ask.descriptors = said.into_iter().map(|said| said.descriptor(hits_addend.max(1))).collect();
    Ok(ask)
}

/// A descriptor before the request's own hits are known.
struct Said {
    entries: Range<usize>,
    hits_addend: Option<u64>,
    is_negative: bool,
}

impl Said {
    fn descriptor(self, of_request: u64) -> Descriptor {
        let hits = match (self.hits_addend.unwrap_or(of_request), self.is_negative) {
            (0, _) => Hits::Probe,
            (hits, false) => Hits::Charge(hits),
            (hits, true) => Hits::GiveBack(hits),
        };
        Descriptor { entries: self.entries, hits }
    }
}

fn read_descriptor<'a>(message: &'a [u8], entries: &mut Entries<'a>, bounds: &Bounds) -> Result<Said, Unreadable> {
    let start = entries.len();
    let mut said = Said { entries: start..start, hits_addend: None, is_negative: false };
    for field in Fields::of(message) {
        match field? {
            (1, value) => {
                if entries.len() - start == bounds.entries {
                    return Err(Unreadable::Oversize("entries in a descriptor", bounds.entries));
                }
                entries.push(read_entry(value.bytes()?, bounds)?);
            }
            (3, value) => {
                // A message that comes twice is merged: the last number of either stands.
                let wrapped = said.hits_addend.get_or_insert(0);
                for field in Fields::of(value.bytes()?) {
                    if let (1, value) = field? {
                        *wrapped = value.number()?;
                    }
                }
            }
            (4, value) => said.is_negative = value.number()? != 0,
            _ => {}
        }
    }
    said.entries.end = entries.len();
    Ok(said)
}

fn read_entry<'a>(message: &'a [u8], bounds: &Bounds) -> Result<(&'a str, &'a str), Unreadable> {
    let mut entry = ("", "");
    for field in Fields::of(message) {
        match field? {
            (1, value) => entry.0 = bounded(value, bounds, "bytes in an entry's key")?,
            (2, value) => entry.1 = bounded(value, bounds, "bytes in an entry's value")?,
            _ => {}
        }
    }
    Ok(entry)
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
    struct Request {
        #[prost(string, tag = "1")]
        domain: String,
        #[prost(message, repeated, tag = "2")]
        descriptors: Vec<One>,
        #[prost(uint32, tag = "3")]
        hits_addend: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    struct One {
        #[prost(message, repeated, tag = "1")]
        entries: Vec<Entry>,
        #[prost(message, optional, tag = "2")]
        limit: Option<Override>,
        #[prost(message, optional, tag = "3")]
        hits_addend: Option<UInt64Value>,
        #[prost(bool, tag = "4")]
        is_negative_hits: bool,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Entry {
        #[prost(string, tag = "1")]
        key: String,
        #[prost(string, tag = "2")]
        value: String,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Override {
        #[prost(uint32, tag = "1")]
        requests_per_unit: u32,
        #[prost(int32, tag = "2")]
        unit: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    struct UInt64Value {
        #[prost(uint64, tag = "1")]
        value: u64,
    }

    fn one(entries: &[(&str, &str)]) -> One {
        let entry = |(key, value): &(&str, &str)| Entry { key: (*key).into(), value: (*value).into() };
        One { entries: entries.iter().map(entry).collect(), ..One::default() }
    }

    fn request(descriptors: Vec<One>) -> Request {
        Request { domain: "edge".into(), descriptors, hits_addend: 0 }
    }

    fn hits(one: One, of_request: u32) -> Hits {
        let message = Request { hits_addend: of_request, ..request(vec![one]) }.encode_to_vec();
        read(&message, &Bounds::default()).unwrap().descriptors[0].hits
    }

    #[test]
    fn hits_of_a_descriptor_stand_over_those_of_the_request() {
        let says = |value| One { hits_addend: Some(UInt64Value { value }), ..one(&[("a", "b")]) };
        assert_eq!((Hits::Charge(1), Hits::Charge(7)), (hits(one(&[]), 0), hits(one(&[]), 7)));
        assert_eq!((Hits::Charge(3), Hits::Probe), (hits(says(3), 7), hits(says(0), 7)));
        assert_eq!(Hits::Charge(u64::MAX), hits(says(u64::MAX), 0));
        let back = |one| One { is_negative_hits: true, ..one };
        assert_eq!((Hits::GiveBack(3), Hits::GiveBack(7)), (hits(back(says(3)), 0), hits(back(one(&[])), 7)));
        assert_eq!(Hits::Probe, hits(back(says(0)), 7));
    }

    #[test]
    fn an_override_of_the_limit_is_passed_over() {
        let with = One { limit: Some(Override { requests_per_unit: 1_000_000, unit: 1 }), ..one(&[("a", "b")]) };
        let (message, bare) = (request(vec![with]).encode_to_vec(), request(vec![one(&[("a", "b")])]).encode_to_vec());
        assert_eq!(read(&bare, &Bounds::default()), read(&message, &Bounds::default()));
    }

    #[test]
    fn an_empty_request_is_one_without_descriptors() {
        assert_eq!(Ok(Ask::default()), read(b"", &Bounds::default()));
    }

    #[test]
    fn one_more_than_a_bound_is_oversize() {
        let bounds = Bounds::default();
        let over = |request: &Request, what, most| {
            let message = request.encode_to_vec();
            assert_eq!(Err(Unreadable::Oversize(what, most)), read(&message, &bounds));
        };
        assert_eq!(16, read(&request(vec![one(&[]); 16]).encode_to_vec(), &bounds).unwrap().descriptors.len());
        over(&request(vec![one(&[]); 17]), "descriptors", 16);
        over(&request(vec![one(&[("a", "b"); 9])]), "entries in a descriptor", 8);
        let long = "x".repeat(257);
        over(&request(vec![one(&[("a", &long)])]), "bytes in an entry's value", 256);
        over(&request(vec![one(&[(&long, "b")])]), "bytes in an entry's key", 256);
        over(&Request { domain: long, ..Request::default() }, "bytes of domain", 256);
        let huge = vec![0u8; 96 * 1_024 + 1];
        assert_eq!(Err(Unreadable::Oversize("bytes", 96 * 1_024)), read(&huge, &bounds));
    }

    #[test]
    fn a_text_that_is_no_utf_8_is_malformed() {
        assert!(matches!(read(b"\x0a\x01\xff", &Bounds::default()), Err(Unreadable::Malformed(_))));
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let entry = ("\\PC{0,12}", "\\PC{0,12}").prop_map(|(key, value)| Entry { key, value });
        prop::collection::vec(entry, 0..9)
    }

    fn requests() -> impl Strategy<Value = Request> {
        let hits = prop::option::of(any::<u64>().prop_map(|value| UInt64Value { value }));
        let limit = prop::option::of(
            (any::<u32>(), any::<i32>()).prop_map(|(requests_per_unit, unit)| Override { requests_per_unit, unit }),
        );
        let one =
            (entries(), limit, hits, any::<bool>()).prop_map(|(entries, limit, hits_addend, is_negative_hits)| One {
                entries,
                limit,
                hits_addend,
                is_negative_hits,
            });
        ("\\PC{0,12}", prop::collection::vec(one, 0..17), any::<u32>())
            .prop_map(|(domain, descriptors, hits_addend)| Request { domain, descriptors, hits_addend })
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_derived_messages_say(request in requests()) {
            let message = request.encode_to_vec();
            let bounds = Bounds { text_bytes: 1_024, ..Bounds::default() };
            let ask = read(&message, &bounds).unwrap();
            prop_assert_eq!(&request.domain, ask.domain);
            prop_assert_eq!(request.descriptors.len(), ask.descriptors.len());
            for (told, read) in request.descriptors.iter().zip(&ask.descriptors) {
                let entries: Vec<_> = told.entries.iter().map(|e| (e.key.as_str(), e.value.as_str())).collect();
                prop_assert_eq!(entries, ask.entries(read));
                let hits = told.hits_addend.as_ref().map_or(u64::from(request.hits_addend.max(1)), |hits| hits.value);
                let (amount, is_back) = match read.hits {
                    Hits::Charge(n) => (n, false),
                    Hits::GiveBack(n) => (n, true),
                    Hits::Probe => (0, told.is_negative_hits),
                };
                prop_assert_eq!((hits, told.is_negative_hits), (amount, is_back));
            }
        }

        /// Whatever arrives: both readers take it, or this one refuses. Never the other way round but for what it bounds.
        #[test]
        fn what_is_read_of_noise_the_derived_messages_read_too(
            mut message in requests().prop_map(|r| r.encode_to_vec()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            for (at, byte) in changes {
                if !message.is_empty() {
                    let at = at.index(message.len());
                    message[at] = byte;
                }
            }
            let bounds = Bounds { text_bytes: 1_024, ..Bounds::default() };
            if let Ok(ask) = read(&message, &bounds)
                && let Ok(derived) = Request::decode(&message[..])
            {
                prop_assert_eq!((&*derived.domain, derived.descriptors.len()), (ask.domain, ask.descriptors.len()));
            }
        }

        #[test]
        fn noise_never_panics(message in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(ask) = read(&message, &Bounds::default()) {
                prop_assert!(ask.descriptors.len() <= 16);
            }
        }
    }
}
