//! A machine's clock: it started somewhere, and its rate is off.

/// Local time is `offset + t × (1 + drift)`, plus what the wall was stepped by, where that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) offset: i64,
    pub(crate) drift_ppm: i64,
    pub(crate) stepped: i64,
}

const PPM: i128 = 1_000_000;

impl Clock {
    /// What it shows at true time `t`.
    pub(crate) fn at(&self, t: i64) -> i64 {
        let rate = PPM + i128::from(self.drift_ppm);
        self.base() + (i128::from(t) * rate / PPM) as i64
    }

    /// The first true instant at which it shows `local` or more.
    pub(crate) fn shows(&self, local: i64) -> i64 {
        let rate = PPM + i128::from(self.drift_ppm);
        let since = i128::from(local.saturating_sub(self.base()));
        let mut t = (since * PPM / rate) as i64;
        while self.at(t) < local {
            t += 1;
        }
        t
    }

    fn base(&self) -> i64 {
        if mutant!(WallClock) { self.offset + self.stepped } else { self.offset }
    }
}

/// Whether the simulation has broken this rule on purpose.
macro_rules! mutant {
    ($name:ident) => {{
        #[cfg(feature = "mutants")]
        let broken = headway_core::lease::Mutation::$name.is_on();
        #[cfg(not(feature = "mutants"))]
        let broken = false;
        broken
    }};
}
pub(crate) use mutant;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_is_the_first_instant_that_shows_it() {
        for drift_ppm in [-10_000, 0, 10_000, 1] {
            let clock = Clock { offset: 5_000_000_000_123, drift_ppm, stepped: 0 };
            for local in [5_000_000_000_124, 5_000_000_777_777, 9_123_456_789_012] {
                let t = clock.shows(local);
                assert!(clock.at(t) >= local && clock.at(t - 1) < local);
            }
        }
    }
}
