//! How long something took, counted in buckets whose ends never change.

/// Upper ends in µs.
const ENDS_US: [u64; 14] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000];

/// Spans of time since the process started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans {
    /// How many ended in each bucket, and in none before.
    ended: [u64; ENDS_US.len()],
    pub count: u64,
    pub sum_us: u64,
}

impl Spans {
    pub(crate) fn add(&mut self, us: u64) {
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        if let Some(place) = ENDS_US.iter().position(|&end| us <= end) {
            self.ended[place] += 1;
        }
    }

    /// Upper ends in µs, each with how many took no longer. What took longer than the last is in `count` alone.
    pub fn within(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        ENDS_US.iter().zip(&self.ended).scan(0, |sum, (&end, &more)| {
            *sum += more;
            Some((end, *sum))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_counts_all_that_took_no_longer() {
        let mut spans = Spans::default();
        for us in [0, 250, 251, 100_000, 5_000_001, u64::MAX] {
            spans.add(us);
        }
        let within: Vec<(u64, u64)> = spans.within().collect();
        assert_eq!([(250, 2), (500, 3)], within[..2]);
        assert_eq!([(50_000, 3), (100_000, 4)], within[7..9]);
        assert_eq!((Some(&(5_000_000, 4)), 6, u64::MAX), (within.last(), spans.count, spans.sum_us));
    }
}
