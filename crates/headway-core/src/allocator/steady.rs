//! Leaving well alone: a share that hardly changed is not moved, since each move is a message and a wait.

/// One division's outcome for somebody who already holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    pub held: u64,
    /// What `divide` says now, between `least` and `most`.
    pub fair: u64,
    /// What is guaranteed, as far as it is wanted: it is never kept below this.
    pub least: u64,
    /// What can be used: it is never kept above this.
    pub most: u64,
}

/// A move is worth it from this part of what is held on: one in 20, 5 %. Under 20 units that is one unit.
const WORTH_ONE_IN: u64 = 20;

/// What everybody holds next: what they hold where the fair share is less than 5 % or one unit away, else the fair share.
///
/// Args: `amount`, what there is; the fair shares come to no more than that.
/// Returns amounts that come to no more than `amount`, each between its `least` and its `most`. Who holds more than the
/// fair share keeps it only if all such keepings fit: a cut reaches everybody, however small each one's part of it.
pub fn steady(amount: u64, holdings: &[Holding]) -> Vec<u64> {
    let kept: Vec<u64> = holdings.iter().map(Holding::kept).collect();
    if kept.iter().map(|units| u128::from(*units)).sum::<u128>() <= u128::from(amount) {
        return kept;
    }
    holdings.iter().zip(kept).map(|(holding, units)| units.min(holding.fair)).collect()
}

impl Holding {
    fn kept(&self) -> u64 {
        let near = u128::from(self.held.abs_diff(self.fair)) * u128::from(WORTH_ONE_IN) < u128::from(self.held);
        if near && (self.least..=self.most).contains(&self.held) { self.held } else { self.fair }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(held: u64, fair: u64) -> Holding {
        Holding { held, fair, least: 0, most: 1_000 }
    }

    #[test]
    fn less_than_five_percent_is_left_alone_and_five_are_moved() {
        assert_eq!(vec![100, 105], steady(1_000, &[holds(100, 104), holds(100, 105)]));
        assert_eq!(vec![100, 95], steady(1_000, &[holds(100, 96), holds(100, 95)]));
    }

    #[test]
    fn one_unit_of_few_is_moved() {
        assert_eq!(vec![20, 0, 1], steady(1_000, &[holds(19, 20), holds(1, 0), holds(0, 1)]));
    }

    /// 100 cut to 97 with two who hold 50 each: 48 and 49 are near 50, and two times 50 is over.
    #[test]
    fn a_small_cut_reaches_everybody() {
        assert_eq!(vec![49, 48], steady(97, &[holds(50, 49), holds(50, 48)]));
    }

    #[test]
    fn a_guarantee_is_paid_to_the_last_unit() {
        let sure = Holding { least: 100, ..holds(98, 100) };
        assert_eq!(vec![100], steady(1_000, &[sure]));
    }

    #[test]
    fn nobody_keeps_what_it_cannot_use() {
        let full = Holding { most: 99, ..holds(100, 99) };
        assert_eq!(vec![99], steady(1_000, &[full]));
    }

    proptest! {
        #[test]
        fn what_is_held_next_fits_and_stays_within_everybodys_bounds(
            all in prop::collection::vec((0u64..200, 0u64..100, 0u64..10, 0u64..10), 0..12), spare in 0u64..20,
        ) {
            let holdings: Vec<Holding> = all
                .iter()
                .map(|(held, fair, under, over)| Holding {
                    held: *held, fair: *fair, least: fair.saturating_sub(*under), most: fair + over,
                })
                .collect();
            let amount = holdings.iter().map(|holding| holding.fair).sum::<u64>() + spare;
            let next = steady(amount, &holdings);
            prop_assert!(next.iter().sum::<u64>() <= amount);
            for (units, holding) in next.iter().zip(&holdings) {
                prop_assert!((holding.least..=holding.most).contains(units));
                prop_assert!([holding.held, holding.fair].contains(units));
            }
        }
    }
}
