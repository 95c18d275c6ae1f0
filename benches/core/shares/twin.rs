//! The allocator's slow twin: exact rationals, and the level found by trying everything.
//!
//! Each of those who share a priority stands on its floor, at its cap, or between; all combinations are tried, and those
//! that some level explains have to agree on everybody's part. Nothing of the allocator is used but its types.

use std::num::NonZeroU32;

use headway_core::allocator::{Asks, Party, Priority, Terms, divide};

/// A non-negative fraction.
#[derive(Debug, Clone, Copy)]
struct Ratio {
    over: i128,
    under: i128,
}

impl Ratio {
    fn whole(number: i128) -> Ratio {
        Ratio { over: number, under: 1 }
    }

    fn at_most(self, other: Ratio) -> bool {
        self.over * other.under <= other.over * self.under
    }

    fn equals(self, other: Ratio) -> bool {
        self.at_most(other) && other.at_most(self)
    }

    /// Whether a whole number is less than one away.
    fn is_within_one_of(self, number: i128) -> bool {
        (number * self.under - self.over).abs() < self.under
    }
}

#[derive(Debug, Clone, Copy)]
struct Ask {
    floor: i128,
    cap: i128,
    weight: i128,
    priority: Priority,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stands {
    OnFloor,
    AtCap,
    Between,
}

/// What was compared, and the first case in which allocator and twin part.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cases: u64,
    pub(crate) parties: u64,
    pub(crate) levels: u64,
    pub(crate) guarantees_beyond: u64,
    pub(crate) fewer_units_than_parties: u64,
    pub(crate) difference: Option<String>,
}

/// Compares so many random divisions, from a seed on; stops at the first difference.
pub(crate) fn play(seed: u64, cases: u64) -> Tally {
    let mut tally = Tally::default();
    while tally.cases < cases && tally.difference.is_none() {
        let mut random = Random(seed.wrapping_mul(1 << 40).wrapping_add(tally.cases));
        let parties = random.parties(0);
        let amount = if random.one_in(4) { random.below(1 + parties.len() as u64) } else { random.amount() };
        let turn = random.next();
        let grants = divide(amount, &parties, turn);
        let mut left: &[u64] = &grants;
        let compared = compare(amount.into(), &parties, &mut left, &mut tally)
            .and_then(|_| if left.is_empty() { Ok(()) } else { Err(format!("{} grants too many", left.len())) });
        tally.difference = compared
            .err()
            .map(|what| format!("case {}: {what}: {amount} among {parties:?} in turn {turn}", tally.cases));
        tally.cases += 1;
    }
    tally
}

/// Compares one level and those below it, taking its grants off the front of `grants`. Returns what the level got.
fn compare(amount: i128, parties: &[Party], grants: &mut &[u64], tally: &mut Tally) -> Result<i128, String> {
    let asks: Vec<Ask> = parties.iter().map(ask).collect();
    let exact = exact(amount, &asks);
    tally.levels += 1;
    tally.guarantees_beyond += u64::from(asks.iter().map(|ask| ask.floor).sum::<i128>() > amount);
    tally.fewer_units_than_parties += u64::from(0 < amount && amount < asks.len() as i128);
    let mut total = 0;
    for ((party, ask), share) in parties.iter().zip(&asks).zip(exact) {
        let grant = match &party.asks {
            Asks::Want(_) => {
                tally.parties += 1;
                let (first, others) = grants.split_first().ok_or("too few grants")?;
                *grants = others;
                i128::from(*first)
            }
            Asks::Members(members) => {
                // A group gets what its members get; its part of the level is seen in their sum.
                let size = leaves(members);
                let granted = grants.iter().take(size).map(|grant| i128::from(*grant)).sum();
                compare(granted, members, grants, tally)?
            }
        };
        if !share.is_within_one_of(grant) {
            return Err(format!("{grant} where the exact share is {}/{}", share.over, share.under));
        }
        if grant > ask.cap {
            return Err(format!("{grant} where {} can be used", ask.cap));
        }
        total += grant;
    }
    let due = amount.min(asks.iter().map(|ask| ask.cap).sum());
    if total == due { Ok(total) } else { Err(format!("{total} handed out where {due} are due")) }
}

fn leaves(parties: &[Party]) -> usize {
    let below = |party: &Party| match &party.asks {
        Asks::Want(_) => 1,
        Asks::Members(members) => leaves(members),
    };
    parties.iter().map(below).sum()
}

fn ask(party: &Party) -> Ask {
    let terms = party.terms;
    let (wanted, promised) = match &party.asks {
        Asks::Want(want) => (i128::from(*want), 0),
        Asks::Members(members) => members
            .iter()
            .map(ask)
            .fold((0, 0), |(wanted, promised), member| (wanted + member.cap, promised + member.floor)),
    };
    let cap = terms.ceiling.map_or(wanted, |ceiling| wanted.min(ceiling.into()));
    let floor = i128::from(terms.guarantee).max(promised).min(cap);
    Ask { floor, cap, weight: terms.weight.get().into(), priority: terms.priority }
}

/// Everybody's exact part of one level, guarantees first, then the priorities from the top.
fn exact(amount: i128, asks: &[Ask]) -> Vec<Ratio> {
    let floors: i128 = asks.iter().map(|ask| ask.floor).sum();
    let asks: Vec<Ask> = if floors > amount {
        asks.iter().map(|ask| Ask { floor: 0, cap: ask.floor, ..*ask }).collect()
    } else {
        asks.to_vec()
    };
    let mut shares = vec![Ratio::whole(0); asks.len()];
    let mut left = amount;
    for priority in [Priority::Critical, Priority::Normal, Priority::Background] {
        let kept: i128 = asks.iter().filter(|ask| ask.priority < priority).map(|ask| ask.floor).sum();
        let tier: Vec<Ask> = asks.iter().copied().filter(|ask| ask.priority == priority).collect();
        let mut parts = tier_shares(left - kept, &tier).into_iter();
        for (share, _) in shares.iter_mut().zip(&asks).filter(|(_, ask)| ask.priority == priority) {
            *share = parts.next().expect("a part for each");
        }
        left -= (left - kept).min(tier.iter().map(|ask| ask.cap).sum());
    }
    shares
}

fn tier_shares(amount: i128, tier: &[Ask]) -> Vec<Ratio> {
    if tier.iter().map(|ask| ask.cap).sum::<i128>() <= amount {
        return tier.iter().map(|ask| Ratio::whole(ask.cap)).collect();
    }
    let mut found: Option<Vec<Ratio>> = None;
    for combination in 0..3usize.pow(tier.len() as u32) {
        let stands = |place: usize| match combination / 3usize.pow(place as u32) % 3 {
            0 => Stands::OnFloor,
            1 => Stands::AtCap,
            _ => Stands::Between,
        };
        if let Some(shares) = explained(amount, tier, stands) {
            if let Some(before) = &found {
                assert!(before.iter().zip(&shares).all(|(a, b)| a.equals(*b)), "two answers: {before:?}, {shares:?}");
            }
            found = Some(shares);
        }
    }
    found.expect("some level comes to the amount")
}

/// The parts in one combination, if there is a level at which everybody stands so and all comes to the amount.
fn explained(amount: i128, tier: &[Ask], stands: impl Fn(usize) -> Stands) -> Option<Vec<Ratio>> {
    let (mut fixed, mut weight) = (0, 0);
    for (place, ask) in tier.iter().enumerate() {
        match stands(place) {
            Stands::OnFloor => fixed += ask.floor,
            Stands::AtCap => fixed += ask.cap,
            Stands::Between => weight += ask.weight,
        }
    }
    // The levels at which those on their floors and at their caps stand there.
    let edge = |place: usize, amount: i128| Ratio { over: amount, under: tier[place].weight };
    let (mut least, mut most) = (Ratio::whole(0), None::<Ratio>);
    for (place, ask) in tier.iter().enumerate() {
        let (from, until) = match stands(place) {
            Stands::OnFloor => (None, Some(edge(place, ask.floor))),
            Stands::AtCap => (Some(edge(place, ask.cap)), None),
            Stands::Between => (Some(edge(place, ask.floor)), Some(edge(place, ask.cap))),
        };
        least = from.filter(|from| least.at_most(*from)).unwrap_or(least);
        most = match (most, until) {
            (Some(most), Some(until)) => Some(if most.at_most(until) { most } else { until }),
            (most, until) => most.or(until),
        };
    }
    if most.is_some_and(|most| !least.at_most(most)) {
        return None;
    }
    let level = if weight == 0 { least } else { Ratio { over: amount - fixed, under: weight } };
    let comes_to_it = if weight == 0 { fixed == amount } else { fixed <= amount };
    if !comes_to_it || !least.at_most(level) || most.is_some_and(|most| !level.at_most(most)) {
        return None;
    }
    let part = |(place, ask): (usize, &Ask)| match stands(place) {
        Stands::OnFloor => Ratio::whole(ask.floor),
        Stands::AtCap => Ratio::whole(ask.cap),
        Stands::Between => Ratio { over: ask.weight * level.over, under: level.under },
    };
    Some(tier.iter().enumerate().map(part).collect())
}

/// SplitMix64. Source: Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, 2014.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    /// Often tiny, so that units are indivisible and edges meet; sometimes as large as amounts get.
    fn amount(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX >> self.below(20),
            2 | 3 => self.below(10_000),
            _ => self.below(25),
        }
    }

    fn parties(&mut self, depth: u32) -> Vec<Party> {
        let size = if depth == 0 { self.below(7) } else { self.below(4) };
        (0..size).map(|_| self.party(depth)).collect()
    }

    fn party(&mut self, depth: u32) -> Party {
        let weight = match self.below(4) {
            0 | 1 => 1,
            2 => 1 + self.below(5) as u32,
            _ => 1 + self.below(1_000_000) as u32,
        };
        let terms = Terms {
            guarantee: if self.one_in(3) { self.amount() } else { 0 },
            weight: NonZeroU32::new(weight).expect("at least 1"),
            ceiling: if self.one_in(3) { Some(self.amount()) } else { None },
            priority: match self.below(5) {
                0 => Priority::Background,
                1 => Priority::Critical,
                _ => Priority::Normal,
            },
        };
        let asks = if depth < 2 && self.one_in(5) {
            Asks::Members(self.parties(depth + 1))
        } else {
            Asks::Want(self.amount())
        };
        Party { terms, asks }
    }
}
