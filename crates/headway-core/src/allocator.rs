//! Who gets how much: exact weighted max-min, for workloads within a gate and for gates of a keeper alike.
//!
//! Everybody who wants less than a fair share gets what they want; the rest is divided by weight among those who want
//! more. Asking for more than one gets never helps. `demand` says what somebody wants, `steady` keeps what hardly
//! changed; all are functions of their arguments, and none of them decides on a demand: a grant is an upper end, and
//! the book of the keeper stands above it.
//!
//! Source: design, section 3, *Who gets it*; Bertsekas and Gallager, *Data Networks*, 6.5.2 (max-min by filling up).

mod demand;
mod fill;
mod steady;

use std::num::NonZeroU32;

pub use demand::Demand;
pub use steady::{Holding, steady};

use fill::{Claim, fill};

/// Who goes first. What a higher one wants is met before a lower one has more than its guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    Background,
    Normal,
    Critical,
}

/// What was agreed with one party. Amounts are in whole indivisible units (tokens, slots).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Met before anything else is divided, as far as it is wanted.
    pub guarantee: u64,
    /// Its part of what is divided, beside the weights of its neighbours of the same priority.
    pub weight: NonZeroU32,
    /// The most it ever gets; None where nothing was agreed.
    pub ceiling: Option<u64>,
    pub priority: Priority,
}

/// What a party wants: an amount of its own, or what its members want together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    Want(u64),
    Members(Vec<Party>),
}

/// One that asks, with what was agreed: a workload, a gate, or a group of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub terms: Terms,
    pub asks: Asks,
}

impl Party {
    /// The most it can use: what is wanted below it, within every ceiling on the way. Stops at `u64::MAX`.
    pub fn usable(&self) -> u64 {
        let wanted = match &self.asks {
            Asks::Want(want) => *want,
            Asks::Members(members) => members.iter().map(Party::usable).fold(0, u64::saturating_add),
        };
        self.terms.ceiling.map_or(wanted, |ceiling| wanted.min(ceiling))
    }

    /// What it is guaranteed of what it can use: its own guarantee, or its members' where they come to more. A
    /// guarantee holds wherever it stands.
    pub fn guaranteed(&self) -> u64 {
        let within = match &self.asks {
            Asks::Want(_) => 0,
            Asks::Members(members) => members.iter().map(Party::guaranteed).fold(0, u64::saturating_add),
        };
        self.terms.guarantee.max(within).min(self.usable())
    }
}

/// Divides an amount.
///
/// Level by level: guarantees first, then priority by priority, within a priority by weight: each gets
/// `clamp(weight × λ, guaranteed, usable)` with the one λ at which that comes to what there is. Whole units are handed
/// out by largest remainder, the earlier party first among equals; where fewer units are contested than parties
/// contest them, they go round with `turn`, so that over as many turns as the weights' sum each has exactly its part.
/// Where the guarantees alone are more than there is, they are what is divided, by the same rule.
///
/// Args: `parties`, nested as deep as a document is at most; `turn`, any number that grows by 1 from one division to
/// the next.
/// Returns the grants of all parties without members, in the order of a walk from the first to the last. None is above
/// what its party can use, all are within a unit of the exact share of what their level has, and together they are
/// exactly `amount`, or what can be used where that is less.
pub fn divide(amount: u64, parties: &[Party], turn: u64) -> Vec<u64> {
    let mut grants = Vec::new();
    divide_into(&mut grants, amount, parties, turn);
    grants
}

fn divide_into(grants: &mut Vec<u64>, amount: u64, parties: &[Party], turn: u64) {
    let claims: Vec<Claim> = parties.iter().map(Claim::of).collect();
    for (party, grant) in parties.iter().zip(fill(amount, &claims, turn)) {
        match &party.asks {
            Asks::Want(_) => grants.push(grant),
            Asks::Members(members) => divide_into(grants, grant, members, turn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(want: u64, weight: u32) -> Party {
        let weight = NonZeroU32::new(weight).expect("a weight");
        let terms = Terms { guarantee: 0, weight, ceiling: None, priority: Priority::Normal };
        Party { terms, asks: Asks::Want(want) }
    }

    fn alike(wants: &[u64]) -> Vec<Party> {
        wants.iter().map(|want| party(*want, 1)).collect()
    }

    fn weighed(asks: &[(u64, u32)]) -> Vec<Party> {
        asks.iter().map(|(want, weight)| party(*want, *weight)).collect()
    }

    fn with(mut party: Party, change: impl FnOnce(&mut Terms)) -> Party {
        change(&mut party.terms);
        party
    }

    /// Source: the tests of Doorman (`fair_share_test`), the same capacities, wants and subclients.
    #[test]
    fn fair_shares_are_what_doormans_own_tests_expect() {
        assert_eq!(vec![55, 55, 10], divide(120, &alike(&[1000, 60, 10]), 0));
        assert_eq!(vec![60, 50, 10], divide(120, &alike(&[1000, 50, 10]), 0));
        assert_eq!(vec![60, 40, 20], divide(120, &weighed(&[(1000, 6), (500, 4), (200, 2)]), 0));
        assert_eq!(vec![200, 200, 600], divide(1000, &weighed(&[(2000, 10), (500, 10), (700, 30)]), 0));
        assert_eq!(vec![60, 40, 20], divide(120, &weighed(&[(65, 3), (45, 2), (20, 1)]), 0));
    }

    #[test]
    fn a_limit_of_one_with_one_workload_is_that_workloads() {
        assert_eq!(vec![1], divide(1, &alike(&[7]), 3));
    }

    #[test]
    fn nobody_asking_and_nothing_to_give_are_no_cases_of_their_own() {
        assert_eq!(Vec::<u64>::new(), divide(100, &[], 0));
        assert_eq!(vec![0, 0], divide(0, &alike(&[5, 5]), 0));
        assert_eq!(vec![0, 0], divide(100, &alike(&[0, 0]), 0));
    }

    #[test]
    fn more_than_enough_is_what_everybody_wants() {
        assert_eq!(vec![3, 0, 4], divide(100, &alike(&[3, 0, 4]), 0));
        assert_eq!(vec![u64::MAX, 0], divide(u64::MAX, &alike(&[u64::MAX, 0]), 0));
    }

    /// A capacity cut to 30 of three who want 40 each: Doorman's own code came to -50 here.
    #[test]
    fn after_a_cut_below_what_is_wanted_shares_are_small_and_never_negative() {
        assert_eq!(vec![10, 10, 10], divide(30, &alike(&[40, 40, 40]), 0));
    }

    #[test]
    fn a_ceiling_binds_and_what_it_leaves_goes_to_the_others() {
        let capped = with(party(100, 1), |terms| terms.ceiling = Some(10));
        assert_eq!(vec![10, 90], divide(100, &[capped, party(100, 1)], 0));
    }

    #[test]
    fn a_guarantee_counts_towards_the_share_and_is_not_paid_on_top() {
        let sure = with(party(100, 1), |terms| terms.guarantee = 40);
        assert_eq!(vec![50, 50], divide(100, &[sure.clone(), party(100, 1)], 0));
        assert_eq!(vec![40, 30, 30], divide(100, &[sure, party(100, 1), party(100, 1)], 0));
    }

    #[test]
    fn what_is_guaranteed_but_not_wanted_is_not_kept_idle() {
        let sure = with(party(5, 1), |terms| terms.guarantee = 40);
        assert_eq!(vec![5, 95], divide(100, &[sure, party(100, 1)], 0));
    }

    /// 12 times the limit from the background: critical has all it asks, background what is left or its guarantee.
    #[test]
    fn a_higher_priority_is_met_first_and_never_eats_a_guarantee() {
        let critical = with(party(60, 1), |terms| terms.priority = Priority::Critical);
        let background = with(party(1200, 1_000_000), |terms| terms.priority = Priority::Background);
        assert_eq!(vec![40, 60], divide(100, &[background.clone(), critical.clone()], 0));

        let sure = with(background, |terms| terms.guarantee = 5);
        let hungry = with(critical, |terms| terms.weight = NonZeroU32::MIN);
        let all = Party { asks: Asks::Want(500), ..hungry };
        assert_eq!(vec![5, 95, 0], divide(100, &[sure, all, party(9, 1)], 0));
    }

    #[test]
    fn guarantees_beyond_what_there_is_are_divided_by_the_same_rule() {
        let promised = |guarantee, priority| {
            with(party(100, 1), |terms| {
                terms.guarantee = guarantee;
                terms.priority = priority;
            })
        };
        let parties = [promised(30, Priority::Normal), promised(5, Priority::Normal), promised(10, Priority::Critical)];
        assert_eq!(vec![5, 5, 10], divide(20, &parties, 0));
        assert_eq!(vec![0, 0, 7], divide(7, &parties, 0));
    }

    #[test]
    fn one_indivisible_unit_goes_round() {
        let winners: Vec<usize> = (0..6)
            .map(|turn| divide(1, &alike(&[5, 5, 5]), turn).iter().position(|grant| *grant == 1).expect("a unit"))
            .collect();
        for seen in winners.chunks(3) {
            let mut seen = seen.to_vec();
            seen.sort_unstable();
            assert_eq!(vec![0, 1, 2], seen);
        }
    }

    #[test]
    fn over_as_many_turns_as_the_weights_sum_each_has_exactly_its_part() {
        let parties = weighed(&[(9, 5), (9, 1), (9, 4)]);
        let mut had = [0; 3];
        for turn in 1000..1010 {
            for (sum, grant) in had.iter_mut().zip(divide(2, &parties, turn)) {
                *sum += grant;
            }
        }
        assert_eq!([10, 2, 8], had);
    }

    #[test]
    fn the_turn_moves_nothing_where_there_is_enough_to_go_round() {
        let parties = alike(&[10, 10, 10]);
        assert_eq!(vec![4, 3, 3], divide(10, &parties, 0));
        assert_eq!(divide(10, &parties, 0), divide(10, &parties, 12_345));
    }

    #[test]
    fn the_odd_unit_goes_to_the_largest_remainder_in_every_turn() {
        for turn in 0..5 {
            assert_eq!(vec![4, 3], divide(7, &weighed(&[(9, 3), (9, 2)]), turn));
            assert_eq!(vec![1, 1], divide(2, &weighed(&[(9, 2), (9, 1)]), turn));
        }
    }

    /// Two organisations share 100 alike, though one has three members and the other one.
    #[test]
    fn a_group_counts_once_however_many_it_has() {
        let many = Party { asks: Asks::Members(alike(&[100, 100, 100])), ..party(0, 1) };
        let one = Party { asks: Asks::Members(alike(&[100])), ..party(0, 1) };
        assert_eq!(vec![17, 17, 16, 50], divide(100, &[many, one], 0));
    }

    #[test]
    fn a_guarantee_deep_in_a_group_holds_against_the_groups_neighbours() {
        let sure = with(party(80, 1), |terms| terms.guarantee = 70);
        let group = Party { asks: Asks::Members(vec![sure, party(80, 1)]), ..party(0, 1) };
        assert_eq!((160, 70), (group.usable(), group.guaranteed()));
        assert_eq!(vec![70, 0, 30], divide(100, &[group, party(100, 1)], 0));
    }

    #[test]
    fn a_groups_ceiling_binds_its_members_together() {
        let group = Party { asks: Asks::Members(alike(&[80, 10])), ..party(0, 1) };
        let capped = with(group, |terms| terms.ceiling = Some(30));
        assert_eq!(vec![20, 10, 70], divide(100, &[capped, party(100, 1)], 0));
    }

    #[test]
    fn wants_beyond_what_a_number_holds_are_only_large() {
        let group = Party { asks: Asks::Members(alike(&[u64::MAX, u64::MAX])), ..party(0, u32::MAX) };
        assert_eq!(u64::MAX, group.usable());
        let grants = divide(u64::MAX, &[group, party(u64::MAX, 1)], 0);
        assert_eq!(u128::from(u64::MAX), grants.iter().map(|grant| u128::from(*grant)).sum());
    }
}
