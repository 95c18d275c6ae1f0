//! Slots above a cut: how much is asked back of those who hold them.
//!
//! A cut closes nothing. Unless a contract says `recall: wait`, holders hear how many units are in flight above the limit, for
//! as long as that is so; what they do about it is theirs. The number is worked out from the meters where it is read, so that planned falls
//! and limits that climb down count without anybody being told.

use super::{Mode, Path};
use crate::curve::Measure;
use crate::grain::MICRO;

/// What happens to slots above a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recall {
    /// Nothing: what is above drains by itself.
    #[default]
    Wait,
    /// They are asked back of who holds them.
    Ask,
    /// And of what holds some and does nothing they are taken.
    Idle,
    /// And what can be ended is, so long after it was asked.
    End { within_ns: u64 },
}

impl Recall {
    /// As contracts say it.
    pub fn name(self) -> &'static str {
        match self {
            Recall::Wait => "wait",
            Recall::Ask => "ask",
            Recall::Idle => "idle",
            Recall::End { .. } => "end",
        }
    }

    /// Whether whoever holds slots above a cut hears of it.
    pub fn asks(self) -> bool {
        self != Recall::Wait
    }
}

/// What is in flight of a path at an instant, in whole units, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// Above the limit that leaves least.
    pub over: u64,
    /// Of all that hold of it, here and elsewhere.
    pub in_flight: u64,
}

impl Excess {
    /// The part of somebody who holds so many units: all parts together come to what is over at least.
    pub fn part(&self, units: u64) -> u64 {
        let units = units.min(self.in_flight);
        let part = u128::from(self.over) * u128::from(units);
        u64::try_from(part.div_ceil(u128::from(self.in_flight.max(1)))).unwrap_or(units)
    }
}

impl Path {
    /// Units that are asked back now of those who hold slots of this path: of everybody together where its meters are here, of
    /// this process where they are elsewhere. 0 under `recall: wait`.
    pub fn recalled(&self, now: i64, key: Option<u64>) -> u64 {
        match &self.far {
            Some(far) => far.recalled(now),
            None => self.excess(now, key).over,
        }
    }

    /// What happens to slots above a cut; nothing as long as a keeper has not said so.
    pub fn recall(&self) -> Recall {
        match &self.far {
            Some(far) => far.facts().map_or(Recall::Wait, |facts| facts.recall),
            None => self.spec.recall,
        }
    }

    /// Whether scopes above a cut are ended. Asked by each scope of a coroutine: a load.
    #[inline]
    pub fn ends(&self) -> bool {
        match &self.far {
            Some(far) => far.ends(),
            None => matches!(self.spec.recall, Recall::End { .. }),
        }
    }

    /// What is in flight above the limit; nothing where that is not asked back, or not enforced.
    pub fn excess(&self, now: i64, key: Option<u64>) -> Excess {
        let nothing = Excess { over: 0, in_flight: 0 };
        if !self.spec.recall.asks() || self.spec.mode != Mode::Enforce {
            return nothing;
        }
        let slots = self.steps.iter().filter_map(|step| {
            let (toll, own) = step.toll(key);
            let is_held = toll.meter.spec.measure == Measure::Concurrency && !toll.charge.is_free();
            let look = is_held.then(|| toll.meter.look(now)).flatten()?;
            let amount = toll.meter.amount(own, &look);
            let units = |counts: u64| toll.charge.micro_in(counts).div_ceil(MICRO);
            Some(Excess { over: units(amount.saturating_sub(look.limit)), in_flight: units(amount) })
        });
        slots.max_by_key(|excess| excess.over).unwrap_or(nothing)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_come_to_what_is_over_at_least_and_nobody_is_asked_for_more_than_it_holds(
            held in prop::collection::vec(1u64..1_000, 1..20), over in 0u64..5_000,
        ) {
            let in_flight = held.iter().sum();
            let excess = Excess { over: over.min(in_flight), in_flight };
            let parts: Vec<u64> = held.iter().map(|&units| excess.part(units)).collect();
            prop_assert!(parts.iter().zip(&held).all(|(part, units)| part <= units));
            prop_assert!(parts.iter().sum::<u64>() >= excess.over);
            prop_assert!(parts.iter().sum::<u64>() < excess.over + held.len() as u64);
        }
    }

    #[test]
    fn where_nothing_is_in_flight_nobody_is_asked() {
        assert_eq!(0, Excess { over: 0, in_flight: 0 }.part(7));
    }
}
