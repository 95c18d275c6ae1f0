//! Chance that can be repeated: SplitMix64. Source: Steele, Lea, Flood 2014.

#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `from..=to`.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        let span = to.abs_diff(from) + 1;
        from + (self.next() % span) as i64
    }

    /// True with this many chances in a thousand.
    pub(crate) fn per_mille(&mut self, chances: u64) -> bool {
        self.next() % 1_000 < chances
    }

    pub(crate) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.next() % of.len() as u64) as usize]
    }

    /// Exponential around `mean`, at least 1, at most twenty times the mean.
    pub(crate) fn around(&mut self, mean: i64) -> i64 {
        let unit = ((self.next() >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        ((mean as f64 * -unit.ln()) as i64).clamp(1, mean.saturating_mul(20))
    }
}
