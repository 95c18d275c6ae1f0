//! Filling up: the one level at which everybody's part comes to what there is, and whole units from exact fractions.
//!
//! All comparisons are of products below 2^128: amounts are 64 bits, weights 32, and fewer than 2^31 parties ask.

use super::{Party, Priority};

/// One that asks, on one level of the hierarchy: `floor ≤ cap`, and nobody gets more than `cap`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) floor: u64,
    pub(super) cap: u64,
    pub(super) weight: u64,
    pub(super) priority: Priority,
}

impl Claim {
    pub(super) fn of(party: &Party) -> Claim {
        let (floor, cap) = (party.guaranteed(), party.usable());
        Claim { floor, cap, weight: u64::from(party.terms.weight.get()), priority: party.terms.priority }
    }
}

/// Divides one level; see `divide`. The grants stand in the order of the claims.
pub(super) fn fill(amount: u64, claims: &[Claim], turn: u64) -> Vec<u64> {
    let floors = sum(claims.iter().map(|claim| claim.floor));
    if floors > u128::from(amount) {
        let guarantees: Vec<Claim> =
            claims.iter().map(|claim| Claim { floor: 0, cap: claim.floor, ..*claim }).collect();
        return by_priority(amount, 0, &guarantees, turn);
    }
    by_priority(amount, floors as u64, claims, turn)
}

/// The highest priority first; each leaves the `floors` of those below it alone.
fn by_priority(amount: u64, floors: u64, claims: &[Claim], turn: u64) -> Vec<u64> {
    let mut grants = vec![0; claims.len()];
    let (mut left, mut below) = (amount, floors);
    for priority in [Priority::Critical, Priority::Normal, Priority::Background] {
        let places: Vec<usize> = (0..claims.len()).filter(|i| claims[*i].priority == priority).collect();
        let tier: Vec<Claim> = places.iter().map(|i| claims[*i]).collect();
        below -= tier.iter().map(|claim| claim.floor).sum::<u64>();
        for (place, grant) in places.iter().zip(within(left - below, &tier, turn)) {
            grants[*place] = grant;
            left -= grant;
        }
    }
    grants
}

/// Divides among equals in priority, whose floors fit.
fn within(amount: u64, tier: &[Claim], turn: u64) -> Vec<u64> {
    match level(amount, tier) {
        None => tier.iter().map(|claim| claim.cap).collect(),
        Some(level) => level.whole_units(tier, turn),
    }
}

/// The level λ = `rest / weight`: who is above its floor and below its cap has `its weight × λ`.
#[derive(Debug, Clone, Copy)]
struct Level {
    rest: u128,
    weight: u128,
}

/// Where, as λ rises, a claim leaves its floor (`rises`) or reaches its cap: at `at / weight`.
struct Edge {
    at: u64,
    weight: u64,
    rises: bool,
}

/// Finds the level in one pass over all edges in order. None where all caps together fit.
fn level(amount: u64, tier: &[Claim]) -> Option<Level> {
    let mut edges: Vec<Edge> = tier
        .iter()
        .flat_map(|claim| [(claim.floor, true), (claim.cap, false)].map(|(at, rises)| (claim.weight, at, rises)))
        .map(|(weight, at, rises)| Edge { at, weight, rises })
        .collect();
    // A claim whose floor is its cap leaves the one before it reaches the other.
    edges.sort_unstable_by(|a, b| product(a.at, b.weight).cmp(&product(b.at, a.weight)).then(b.rises.cmp(&a.rises)));

    // At every λ the parts come to `fixed + weight × λ`; up to the edge at hand that is at most the amount.
    let (mut fixed, mut weight) = (sum(tier.iter().map(|claim| claim.floor)), 0u128);
    for edge in edges {
        let rest = u128::from(amount) - fixed;
        if weight * u128::from(edge.at) > rest * u128::from(edge.weight) {
            return Some(Level { rest, weight });
        }
        if edge.rises {
            fixed -= u128::from(edge.at);
            weight += u128::from(edge.weight);
        } else {
            fixed += u128::from(edge.at);
            weight -= u128::from(edge.weight);
        }
    }
    None
}

impl Level {
    /// The exact parts as whole units: floors, and one more for as many as the remainders come to.
    fn whole_units(self, tier: &[Claim], turn: u64) -> Vec<u64> {
        let mut grants: Vec<u64> = tier.iter().map(|claim| self.floor_of(claim)).collect();
        let contested: Vec<(usize, u128)> = (0..tier.len())
            .filter(|i| self.contests(&tier[*i]))
            .map(|i| (i, u128::from(tier[i].weight) * self.rest % self.weight))
            .collect();
        let whole = contested.iter().map(|(i, _)| u128::from(grants[*i])).sum::<u128>();
        let odd = contested.iter().map(|(_, remainder)| remainder).sum::<u128>() / self.weight;
        let few = whole + odd < contested.len() as u128;
        let winners = if few { self.in_turn(&contested, turn) } else { largest(contested, odd as usize) };
        for winner in winners {
            grants[winner] += 1;
        }
        grants
    }

    fn contests(self, claim: &Claim) -> bool {
        let part = u128::from(claim.weight) * self.rest;
        part > u128::from(claim.floor) * self.weight && part < u128::from(claim.cap) * self.weight
    }

    fn floor_of(self, claim: &Claim) -> u64 {
        let part = u128::from(claim.weight) * self.rest / self.weight;
        part.clamp(claim.floor.into(), claim.cap.into()) as u64
    }

    /// Whose remainders a point of this turn falls into, when all are laid end to end and the points are a unit apart.
    ///
    /// The points of `weight` consecutive turns meet each place of a unit once, so that everybody wins as often as its
    /// remainder is long. Successive turns are a golden section apart, which spreads one party's turns over the round.
    fn in_turn(self, contested: &[(usize, u128)], turn: u64) -> Vec<usize> {
        let point = u128::from(turn) % self.weight * stride(self.weight) % self.weight;
        let points_before = |end: u128| (end + self.weight - 1 - point) / self.weight;
        let mut end = 0;
        let mut winners = Vec::new();
        for (place, remainder) in contested {
            let start = end;
            end += remainder;
            if points_before(end) > points_before(start) {
                winners.push(*place);
            }
        }
        winners
    }
}

/// The places of the `odd` largest remainders, the earlier place first among equals.
fn largest(mut contested: Vec<(usize, u128)>, odd: usize) -> Vec<usize> {
    contested.sort_by_key(|(place, remainder)| (std::cmp::Reverse(*remainder), *place));
    contested.truncate(odd);
    contested.into_iter().map(|(place, _)| place).collect()
}

/// The first number from a golden section of `whole` on that has no divisor in common with it.
fn stride(whole: u128) -> u128 {
    let golden = whole * 618_034 / 1_000_000;
    (golden.max(1)..=whole).find(|step| gcd(*step, whole) == 1).unwrap_or(1)
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

fn sum(amounts: impl Iterator<Item = u64>) -> u128 {
    amounts.map(u128::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claims() -> impl Strategy<Value = Vec<Claim>> {
        let amount = prop_oneof![0u64..10, 0u64..10_000, any::<u64>(), Just(u64::MAX)];
        let weight = prop_oneof![1u64..4, 1u64..1_000_001, Just(u64::from(u32::MAX))];
        let priority = prop_oneof![Just(Priority::Background), Just(Priority::Normal), Just(Priority::Critical)];
        let claim = (amount.clone(), amount, weight, priority).prop_map(|(one, other, weight, priority)| Claim {
            floor: one.min(other),
            cap: one.max(other),
            weight,
            priority,
        });
        prop::collection::vec(claim, 0..40)
    }

    proptest! {
        #[test]
        fn grants_come_to_all_there_is_or_all_that_can_be_used_and_nobody_has_more_than_that(
            claims in claims(), amount: u64, turn: u64,
        ) {
            let grants = fill(amount, &claims, turn);
            let caps = sum(claims.iter().map(|claim| claim.cap));
            prop_assert_eq!(u128::from(amount).min(caps), sum(grants.iter().copied()));
            let floors = sum(claims.iter().map(|claim| claim.floor));
            for (grant, claim) in grants.iter().zip(&claims) {
                prop_assert!(*grant <= claim.cap);
                prop_assert!(floors > u128::from(amount) || *grant >= claim.floor);
            }
        }

        /// Within a priority nobody is a whole unit better off, by weight, than one who could use more, unless it
        /// stands on its floor: the condition that defines max-min.
        #[test]
        fn nobody_has_more_by_weight_than_one_who_could_use_more(claims in claims(), spare: u64, turn: u64) {
            // Floors that always fit: forty sixty-fourths at most.
            let claims: Vec<Claim> = claims.into_iter().map(|claim| Claim { floor: claim.floor / 64, ..claim }).collect();
            let amount = (sum(claims.iter().map(|claim| claim.floor)) as u64).saturating_add(spare);
            let grants = fill(amount, &claims, turn);
            for (rich, a) in grants.iter().zip(&claims).filter(|(grant, claim)| **grant > claim.floor) {
                for (poor, b) in grants.iter().zip(&claims).filter(|(grant, claim)| **grant < claim.cap) {
                    prop_assert!(a.priority >= b.priority);
                    let fair = (u128::from(*rich) - 1) * u128::from(b.weight) < (u128::from(*poor) + 1) * u128::from(a.weight);
                    prop_assert!(a.priority > b.priority || fair, "{} of {:?}, {} of {:?}", rich, a, poor, b);
                }
            }
        }

        #[test]
        fn asking_for_more_never_brings_more_to_one_who_had_less_than_it_wanted(
            claims in claims(), amount: u64, turn: u64, more: u64,
        ) {
            let before = fill(amount, &claims, turn);
            for place in 0..claims.len() {
                if before[place] >= claims[place].cap {
                    continue;
                }
                let mut louder = claims.clone();
                louder[place].cap = louder[place].cap.saturating_add(more);
                prop_assert_eq!(before[place], fill(amount, &louder, turn)[place]);
            }
        }
    }

    proptest! {
        #[test]
        fn what_goes_round_comes_to_everybodys_exact_part(
            weights in prop::collection::vec(1u64..20, 2..8), amount in 0u64..8, from: u32,
        ) {
            let amount = amount % weights.len() as u64;
            let claims: Vec<Claim> = weights
                .iter()
                .map(|weight| Claim { floor: 0, cap: u64::MAX, weight: *weight, priority: Priority::Normal })
                .collect();
            let round = weights.iter().sum::<u64>();
            let mut had = vec![0; weights.len()];
            for turn in 0..round {
                for (sum, grant) in had.iter_mut().zip(fill(amount, &claims, u64::from(from) + turn)) {
                    *sum += grant;
                }
            }
            prop_assert_eq!(weights.iter().map(|weight| weight * amount).collect::<Vec<_>>(), had);
        }
    }

    #[test]
    fn every_turn_of_a_round_meets_another_place() {
        for whole in 1..200u128 {
            let mut met: Vec<u128> = (0..whole).map(|turn| turn * stride(whole) % whole).collect();
            met.sort_unstable();
            assert_eq!((0..whole).collect::<Vec<_>>(), met);
        }
    }
}
