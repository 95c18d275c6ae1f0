//! What streams may use, whatever they were told since: bookings that end when what was sent has ended for certain.

use super::Bucket;

/// Old assignments of one stream that are kept apart; more are merged into what is at least as much.
const OLD_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Booking {
    pub(super) bucket: Bucket,
    /// From then on it is used no more.
    pub(super) until: i64,
}

/// The bookings of one stream: the present assignment and those it replaced.
#[derive(Debug, Default)]
pub(super) struct Book {
    present: Option<Booking>,
    old: Vec<Booking>,
}

impl Book {
    /// Tokens a second that may be in use: a stream has one bucket at a time, and which is not known.
    pub(super) fn per_s(&self, now: i64) -> u64 {
        let all = self.present.iter().chain(&self.old).filter(|booking| booking.until > now);
        all.map(|booking| u64::from(booking.bucket.per_s)).max().unwrap_or(0)
    }

    /// Tokens that buckets can hold. Those of a replaced one count as well: threads of a proxy may draw on both.
    pub(super) fn tokens(&self) -> u64 {
        tokens(self.present.iter().chain(&self.old))
    }

    /// The end of the last one.
    pub(super) fn until(&self) -> i64 {
        self.present.iter().chain(&self.old).map(|booking| booking.until).max().unwrap_or(i64::MIN)
    }

    pub(super) fn has_present(&self) -> bool {
        self.present.is_some()
    }

    pub(super) fn present_tokens(&self) -> u32 {
        self.present.map_or(0, |booking| booking.bucket.tokens)
    }

    /// The present assignment is about to be replaced: it is not what will be there when old ones have ended.
    pub(super) fn retire(&mut self) {
        let Some(replaced) = self.present.take() else { return };
        if self.old.len() == OLD_MAX {
            let (a, b) = (self.old.remove(0), self.old.remove(0));
            self.old.insert(0, a.merged(b));
        }
        self.old.push(replaced);
    }

    /// Something else is sent; None: nothing may pass.
    pub(super) fn replace(&mut self, bucket: Option<Bucket>, until: i64) {
        self.retire();
        self.present = bucket.map(|bucket| Booking { bucket, until });
    }

    /// The same is sent again.
    pub(super) fn extend(&mut self, until: i64) {
        if let Some(present) = &mut self.present {
            present.until = present.until.max(until);
        }
    }

    pub(super) fn forget_ended(&mut self, now: i64) {
        self.old.retain(|booking| booking.until > now);
        self.present = self.present.filter(|booking| booking.until > now);
    }

    pub(super) fn leave_to(self, gone: &mut Vec<Booking>) {
        // One stream used one bucket at a time; left behind, its bookings would count side by side.
        let all: Vec<Booking> = self.present.into_iter().chain(self.old).collect();
        gone.extend(all.into_iter().reduce(Booking::merged));
    }
}

impl Booking {
    /// At least as much as both of one stream, for as long as either.
    fn merged(self, other: Booking) -> Booking {
        let bucket = Bucket {
            tokens: self.bucket.tokens.saturating_add(other.bucket.tokens),
            per_s: self.bucket.per_s.max(other.bucket.per_s),
        };
        Booking { bucket, until: self.until.max(other.until) }
    }
}

/// Tokens a second of bookings side by side.
pub(super) fn per_s(bookings: &[Booking], now: i64) -> u64 {
    bookings.iter().filter(|booking| booking.until > now).map(|booking| u64::from(booking.bucket.per_s)).sum()
}

pub(super) fn tokens<'a>(bookings: impl IntoIterator<Item = &'a Booking>) -> u64 {
    bookings.into_iter().map(|booking| u64::from(booking.bucket.tokens)).sum()
}
