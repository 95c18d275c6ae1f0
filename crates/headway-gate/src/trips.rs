//! How long draws are on their way until they are answered, for the keeper to count.

use std::collections::VecDeque;

use headway_wire::hold::ROUND_TRIPS_MAX;

/// Draws of one path. More than `ROUND_TRIPS_MAX` on their way, or answered and not yet told of, are forgotten, the oldest
/// first.
#[derive(Debug, Default)]
pub(crate) struct Trips {
    sent: VecDeque<(u64, i64)>,
    took_us: VecDeque<u32>,
}

impl Trips {
    /// A draw of that number leaves.
    pub(crate) fn begin(&mut self, counter: u64, now: i64) {
        push(&mut self.sent, (counter, now));
    }

    /// It was answered. Each is answered once; what is answered twice, or was never sent, is nothing.
    pub(crate) fn end(&mut self, counter: u64, now: i64) {
        let Some(place) = self.sent.iter().position(|&(sent, _)| sent == counter) else { return };
        let Some((_, at)) = self.sent.remove(place) else { return };
        let us = now.saturating_sub(at).max(0) / 1_000;
        push(&mut self.took_us, u32::try_from(us).unwrap_or(u32::MAX));
    }

    /// What has not been told of yet, in µs; told with what is sent next.
    pub(crate) fn take(&mut self) -> Vec<u32> {
        self.took_us.drain(..).collect()
    }
}

fn push<T>(queue: &mut VecDeque<T>, one: T) {
    if queue.len() == ROUND_TRIPS_MAX {
        queue.pop_front();
    }
    queue.push_back(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trip_is_from_a_draws_sending_to_its_answer_and_is_told_once() {
        let mut trips = Trips::default();
        trips.begin(1, 0);
        trips.begin(2, 1_000_000);
        trips.end(2, 1_700_000);
        trips.end(2, 9_000_000);
        trips.end(7, 9_000_000);
        trips.end(1, 2_000_000);
        assert_eq!((vec![700, 2_000], vec![]), (trips.take(), trips.take()));
    }

    #[test]
    fn what_is_not_answered_or_not_told_of_is_bounded() {
        let mut trips = Trips::default();
        for counter in 0..100 {
            trips.begin(counter, 0);
        }
        for counter in 0..100 {
            trips.end(counter, i64::MAX);
        }
        assert_eq!(vec![u32::MAX; ROUND_TRIPS_MAX], trips.take());
    }
}
