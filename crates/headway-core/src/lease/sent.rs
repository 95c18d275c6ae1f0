//! When each of the last messages of a gate was sent: what their replies bring counts from there.

use std::collections::VecDeque;

/// Messages whose sending is remembered; the reply to an older one is ignored.
const SENT_MAX: usize = 16;

/// Counters and instants, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Sent(VecDeque<(u64, i64)>);

impl Sent {
    pub(crate) fn note(&mut self, counter: u64, now: i64) {
        if self.0.len() == SENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((counter, now));
    }

    /// When the message of this number was sent; None: it was not, or so long ago that it is forgotten.
    pub(crate) fn at(&self, counter: u64) -> Option<i64> {
        self.0.iter().rev().find(|&&(one, _)| one == counter).map(|&(_, at)| at)
    }

    /// The same once only: a message is answered once.
    pub(crate) fn take(&mut self, counter: u64) -> Option<i64> {
        let place = self.0.iter().position(|&(one, _)| one == counter)?;
        self.0.remove(place).map(|(_, at)| at)
    }

    /// When the last one was sent.
    pub(crate) fn last(&self) -> Option<i64> {
        self.0.back().map(|&(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first_and_what_is_taken_is_taken_once() {
        let mut sent = Sent::default();
        for counter in 1..=SENT_MAX as u64 + 1 {
            sent.note(counter, counter.cast_signed() * 10);
        }
        assert_eq!((None, Some(20), Some(170)), (sent.at(1), sent.at(2), sent.last()));
        assert_eq!((Some(30), None, None), (sent.take(3), sent.take(3), sent.at(3)));
    }
}
