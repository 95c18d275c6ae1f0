//! What each holder of a concurrency may have beside what the others want: exact max-min in whole units, as one water level.
//!
//! Among equals that want different amounts the exact division is a level up to which everybody's want is met, and who gets
//! one of the units that do not divide. So a division of all is made now and then, and a renewal only compares with it. How
//! fresh it is decides who gets how much, never how much all get: a grant is held against the book as well.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use crate::allocator::{Asks, Party, Priority, Terms as Agreed, divide};
use crate::grain::MICRO;
use crate::lease::messages::Holder;

/// Up to so many holders a change of what anybody wants is divided at once.
const FEW: usize = 32;
/// For each one beyond, a division is good for so long: with 10,000 a tenth of a second.
const PAUSE_NS: i64 = 10_000;

/// A limit as it is divided, in micro-units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Divided {
    pub(crate) limit: u64,
    /// What this process holds: one more party, which wants what it has.
    pub(crate) own: u64,
    /// Grows by one with each lease's length: units that are too few for all go round with it.
    pub(crate) turn: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Fair {
    made: Option<(i64, Divided)>,
    /// Somebody wants something else than when it was made.
    is_stale: bool,
    /// Whole units; None: everybody has what it wants.
    level: Option<u64>,
    /// Who has a unit above the level.
    odd: BTreeSet<Holder>,
}

impl Fair {
    /// Somebody came, left, or wants something else.
    pub(crate) fn changed(&mut self) {
        self.is_stale = true;
    }

    /// The part of a holder that wants so many micro-units.
    pub(crate) fn part(&self, holder: Holder, want: u64) -> u64 {
        let Some(level) = self.level else { return want };
        let units = level + u64::from(self.odd.contains(&holder));
        want.min(units.saturating_mul(MICRO))
    }

    /// Divides anew where that changes something and the last time is long enough ago. `wants`: all holders' in micro-units,
    /// in their order.
    pub(crate) fn divide(
        &mut self,
        now: i64,
        what: Divided,
        holders: usize,
        wants: impl Iterator<Item = (Holder, u64)>,
    ) {
        let pause = PAUSE_NS * holders.saturating_sub(FEW) as i64;
        let is_due =
            self.made.is_none_or(|(at, before)| (self.is_stale || before != what) && now >= at.saturating_add(pause));
        if !is_due {
            return;
        }
        let agreed = Agreed { guarantee: 0, weight: NonZeroU32::MIN, ceiling: None, priority: Priority::Normal };
        let (names, mut wants): (Vec<Holder>, Vec<u64>) =
            wants.map(|(holder, want)| (holder, want.div_ceil(MICRO))).unzip();
        wants.extend((what.own > 0).then(|| what.own.div_ceil(MICRO)));
        let parties: Vec<Party> = wants.iter().map(|&want| Party { terms: agreed, asks: Asks::Want(want) }).collect();
        let parts = divide(what.limit / MICRO, &parties, what.turn);
        let unmet = parts.iter().zip(&wants).filter(|(part, want)| part < want);
        self.level = unmet.map(|(&part, _)| part).min();
        let above = |&(_, &part): &(&Holder, &u64)| self.level.is_some_and(|level| part > level);
        self.odd = names.iter().zip(&parts).filter(above).map(|(&holder, _)| holder).collect();
        (self.made, self.is_stale) = (Some((now, what)), false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(limit: u64) -> Divided {
        Divided { limit: limit * MICRO, own: 0, turn: 0 }
    }

    fn named(wants: &[u64]) -> impl Iterator<Item = (Holder, u64)> {
        wants.iter().enumerate().map(|(i, want)| (Holder(i as u128), want * MICRO))
    }

    fn parts(fair: &Fair, wants: &[u64]) -> Vec<u64> {
        named(wants).map(|(holder, want)| fair.part(holder, want) / MICRO).collect()
    }

    proptest! {
        #[test]
        fn a_level_and_odd_units_are_the_exact_division(
            wants in prop::collection::vec(0u64..30, 0..40), limit in 0u64..200, own in 0u64..20, turn: u64,
        ) {
            let mut fair = Fair::default();
            fair.divide(0, Divided { own: own * MICRO, turn, ..whole(limit) }, wants.len(), named(&wants));
            let agreed = Agreed { guarantee: 0, weight: NonZeroU32::MIN, ceiling: None, priority: Priority::Normal };
            let all = wants.iter().copied().chain((own > 0).then_some(own));
            let parties: Vec<Party> = all.map(|want| Party { terms: agreed, asks: Asks::Want(want) }).collect();
            let exact = divide(limit, &parties, turn);
            prop_assert_eq!(&exact[..wants.len()], parts(&fair, &wants));
        }
    }

    #[test]
    fn among_few_every_change_counts_at_once_and_among_many_a_moment_later() {
        let mut fair = Fair::default();
        fair.divide(0, whole(12), 2, named(&[9, 3]));
        fair.changed();
        fair.divide(0, whole(12), 2, named(&[9, 9]));
        assert_eq!(vec![6, 6], parts(&fair, &[9, 9]));
        let many = FEW + 100;
        fair.changed();
        fair.divide(PAUSE_NS, whole(12), many, named(&[2, 9]));
        assert_eq!(vec![2, 6], parts(&fair, &[2, 9]), "the level of before");
        fair.divide(100 * PAUSE_NS, whole(12), many, named(&[2, 9]));
        assert_eq!(vec![2, 9], parts(&fair, &[2, 9]));
    }
}
