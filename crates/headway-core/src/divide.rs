//! One rate divided among streams whose ends decide for themselves: each is assigned a token bucket for a short time.
//!
//! An assignment is trusted until it has ended for certain, `Terms::life_ns` after it was sent: neither its replacement
//! nor the stream's end is believed before. With that, in every window `(s, t]` at most `B(s) + ∫ L` is admitted: what is
//! booked fills by at most the limit at every instant, each new bucket's first fill is paid from `slack`, and slack is
//! kept below the burst less all that buckets can hold.
//!
//! That is: admitted ≤ stock(s) + first fills + ∫ booked; the slack pays `first fills + ∫ booked ≤ slack(s) + ∫ L`; and
//! `stock(s) + slack(s) ≤ B(s)`. A limit that falls unplanned is pushed at once, and all above it ends within
//! `Terms::life_ns`. `book` is what is trusted, `rounds` what is decided. No clock, no socket: time is an argument.
//!
//! Source: protocols/envoy.md, *What Envoy 1.40.0 really does, and the rule for our server*.

mod book;
mod course;
mod rounds;
#[cfg(test)]
mod together;

use std::collections::BTreeMap;

pub use course::Course;

use crate::allocator::Demand;
use book::{Book, Booking};

/// Streams that share one rate; one more is told to deny.
pub const STREAMS_MAX: usize = 256;

/// A stream that asked for nothing for so long is let go, and what it held is divided anew.
const IDLE_NS: i64 = 15_000_000_000;
/// How fast the past fades from a demand: half of it in a second.
const HALF_LIFE_NS: u64 = 1_000_000_000;

/// How long assignments live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whole seconds from when an assignment is received; at least 2.
    pub ttl_s: u32,
    /// Within that after it was sent an assignment has been received, or never is.
    pub delay_ns: i64,
}

impl Terms {
    /// The longest life that ends within `within_ns` after an assignment was sent, at most `TTL_MAX_S` and the delay. None:
    /// that is too short, for an assignment lives two seconds at least.
    pub fn within(within_ns: i64, delay_ns: i64) -> Option<Terms> {
        let ttl_s = within_ns.saturating_sub(delay_ns) / SECOND;
        let ttl_s = u32::try_from(ttl_s.min(TTL_MAX_S)).ok().filter(|ttl| *ttl >= 2)?;
        Some(Terms { ttl_s, delay_ns })
    }

    fn ttl_ns(self) -> i64 {
        i64::from(self.ttl_s) * SECOND
    }

    /// After so long nothing is left of what was sent.
    fn life_ns(self) -> i64 {
        self.ttl_ns() + self.delay_ns
    }
}

const SECOND: i64 = 1_000_000_000;
/// A longer life gains nothing, and keeps what a dead stream held from others.
const TTL_MAX_S: i64 = 4;

/// A token bucket: at most `tokens`, `per_s` more each second. Both at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    pub tokens: u32,
    pub per_s: u32,
}

/// What a stream is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Told {
    Deny,
    Bucket(Bucket),
    /// Forget the bucket: nobody asked for a while, and the next who asks begins anew.
    Abandon,
}

/// What a division is like at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Divided {
    pub streams: u64,
    /// Streams that may let nothing through.
    pub denied: u64,
    /// Tokens a second that streams are assigned, and those that may still be in use, old assignments included.
    pub assigned_per_s: u64,
    pub booked_per_s: u64,
}

/// One stream's part.
#[derive(Debug)]
struct Part {
    demand: Demand,
    /// When it last asked for anything.
    asked_at: i64,
    /// None: it was told nothing yet.
    told: Option<Told>,
    sent_at: i64,
    book: Book,
}

impl Part {
    /// What it is assigned now, in tokens a second.
    fn held(&self) -> u64 {
        if let Some(Told::Bucket(bucket)) = self.told { bucket.per_s.into() } else { 0 }
    }

    /// An assignment that nobody renewed in time (the machine stood still) is none any more.
    fn forget_ended(&mut self, now: i64) {
        self.book.forget_ended(now);
        if self.held() > 0 && !self.book.has_present() {
            self.told = None;
        }
    }
}

/// The division of one rate. Streams are known by numbers that are never used again.
#[derive(Debug)]
pub struct Divider {
    terms: Terms,
    parts: BTreeMap<u64, Part>,
    /// What streams held that are gone.
    gone: Vec<Booking>,
    /// Micro-tokens that may be handed out at once; below zero after a limit fell unplanned.
    slack: i128,
    /// When, and at what entitlement, slack was last counted.
    counted: Option<(i64, i128)>,
    /// Before that whatever an earlier life of this process assigned may be in use.
    quiet_until: i64,
    divided_at: i64,
    turn: u64,
}

impl Divider {
    /// Begins empty, and assigns nothing until all that may have been assigned before has ended.
    pub fn new(terms: Terms, now: i64) -> Divider {
        // Under whatever terms that was.
        let quiet_until = now.saturating_add(terms.ttl_ns().max(TTL_MAX_S * SECOND) + terms.delay_ns);
        Divider {
            terms,
            parts: BTreeMap::new(),
            gone: vec![],
            slack: 0,
            counted: None,
            quiet_until,
            divided_at: i64::MIN,
            turn: 0,
        }
    }

    /// Other terms from now on; what is booked stays booked.
    pub fn amend(&mut self, terms: Terms) {
        self.terms = terms;
    }

    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// A stream reports what it let through and refused since it last did. The first report that asks for anything is the
    /// stream's beginning. False: there are too many already, and it is not one of them: it is to deny.
    pub fn report(&mut self, stream: u64, now: i64, allowed: u64, denied: u64) -> bool {
        if !self.parts.contains_key(&stream) {
            if allowed == 0 && denied == 0 {
                return true;
            }
            if self.parts.len() == STREAMS_MAX {
                return false;
            }
        }
        let part = self.parts.entry(stream).or_insert_with(|| Part {
            demand: Demand::none(now),
            asked_at: now,
            told: None,
            sent_at: now,
            book: Book::default(),
        });
        part.demand = part.demand.after(now, allowed, denied, HALF_LIFE_NS);
        if allowed > 0 || denied > 0 {
            part.asked_at = part.asked_at.max(now);
        }
        true
    }

    /// A stream is gone. What it held stays booked to its end.
    pub fn end(&mut self, stream: u64) {
        if let Some(part) = self.parts.remove(&stream) {
            part.book.leave_to(&mut self.gone);
        }
    }

    pub fn reading(&self, now: i64) -> Divided {
        let gone = book::per_s(&self.gone, now);
        Divided {
            streams: self.parts.len() as u64,
            denied: self.parts.values().filter(|part| part.held() == 0).count() as u64,
            assigned_per_s: self.parts.values().map(Part::held).sum(),
            booked_per_s: gone + self.parts.values().map(|part| part.book.per_s(now)).sum::<u64>(),
        }
    }
}
