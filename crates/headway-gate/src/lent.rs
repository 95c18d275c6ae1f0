//! What is lent to this process, path by path: the doors at which demands are decided, and how much would be of use.
//!
//! What a lease means and when it is renewed is the core's (`lease::Gate`); here is estimated what to want. Time is an
//! argument, and nothing waits. Source: docs/leases.md.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use headway_core::Told;
use headway_core::lease::{self, ContractId, FromGate, FromKeeper, GateEffect, Terms};
use headway_wire::hold::{Claim, Draw, Renew, ToGate, ToKeeper};

use crate::doors::{Doors, MICRO};
use crate::trips::Trips;

const SECOND: i64 = 1_000_000_000;
/// Between two estimates of what is wanted.
const LOOK_NS: i64 = 20_000_000;
/// Over which demand is smoothed.
const SMOOTH_NS: i64 = 500_000_000;
/// For how long tokens should last.
const AT_HAND_NS: i64 = 100_000_000;
/// Demands a second from which on a lease is worth it; fewer are asked one by one.
const WORTH: u64 = 32;
/// Demands a second from which on a keeper's no is remembered for a moment; before, each is asked.
const CROWD: u64 = 100;
/// Refused demands that a gate without any slot wants slots for at once.
const FIRST_MOST: u64 = 16;

/// A keeper's word that there is no room, good for a moment.
#[derive(Debug)]
struct NoRoom {
    until: i64,
    units: u64,
    told: Arc<Told>,
}

/// One path, and what its demands were like.
#[derive(Debug)]
struct Use {
    terms: Terms,
    doors: Arc<Doors>,
    looked_at: i64,
    seen: (u64, u64),
    /// Demands a second, in thousandths: admitted here, and all.
    admitted: u64,
    all: u64,
    want: u64,
    no_room: Option<NoRoom>,
    /// Demands that were refused by it.
    refused: u64,
    trips: Trips,
}

/// What a demand of a path uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) has_slots: bool,
    pub(crate) has_tokens: bool,
    /// Whether a part of its floor may be this gate's.
    pub(crate) has_parts: bool,
}

fn slots_of(path: u64) -> ContractId {
    2 * path
}

fn tokens_of(path: u64) -> ContractId {
    2 * path + 1
}

/// A keeper's word as the machine takes it; None: it is about something else.
pub(crate) fn on_path(path: u64, message: &ToGate) -> Option<FromKeeper> {
    match message {
        ToGate::Lease(lease) => Some(FromKeeper::Lease(lease.for_contract(slots_of(path)))),
        ToGate::Block(block) => Some(FromKeeper::Block(block.for_contract(tokens_of(path)))),
        ToGate::Part(part) if part.per_ns == 0 => Some(FromKeeper::Part(part.for_contract(slots_of(path)))),
        ToGate::Part(part) => Some(FromKeeper::Part(part.for_contract(tokens_of(path)))),
        ToGate::Surrender(_) => Some(FromKeeper::Surrender { contract: tokens_of(path) }),
        _ => None,
    }
}

/// What is lent, and the machine that holds it.
#[derive(Debug)]
pub(crate) struct Lent {
    gate: lease::Gate,
    paths: BTreeMap<u64, Use>,
    /// The one path of a contract's workload that is lent.
    by_place: HashMap<(String, String), u64>,
}

impl Default for Lent {
    fn default() -> Lent {
        Lent { gate: lease::Gate::new(), paths: BTreeMap::new(), by_place: HashMap::new() }
    }
}

impl Lent {
    /// Whether a path is the one that is lent of its contract and workload: the first that asks. A keeper books one lease for
    /// a holder, so two paths would hold it twice; what another one is asked for goes to the keeper.
    pub(crate) fn claim(&mut self, path: u64, contract: &str, workload: &str) -> bool {
        *self.by_place.entry((contract.to_owned(), workload.to_owned())).or_insert(path) == path
    }

    /// The doors of a path that is lent from now on, if it was not before. `asked` and `waiting`: what of it stands already.
    pub(crate) fn open(
        &mut self,
        now: i64,
        path: u64,
        terms: Terms,
        Spent { has_slots, has_tokens, has_parts }: Spent,
        forks: u64,
        (asked, waiting): (usize, usize),
    ) -> Arc<Doors> {
        if let Some(known) = self.paths.get(&path) {
            return Arc::clone(&known.doors);
        }
        // What is wanted of it is said later; its doors are there from now on.
        let slots = has_slots.then(|| self.gate.demand(now, slots_of(path), terms, 0));
        let tokens = has_tokens.then(|| self.gate.demand_tokens(now, tokens_of(path), terms, 0));
        for (contract, is_spent) in [(slots_of(path), has_slots), (tokens_of(path), has_tokens)] {
            if has_parts && is_spent {
                // When it is said is asked of the machine.
                self.gate.claim(now, contract, terms);
            }
        }
        let doors = Arc::new(Doors {
            forks,
            slots: slots.and_then(|_| self.gate.door(slots_of(path))),
            tokens: tokens.and_then(|_| self.gate.door(tokens_of(path))),
            taken: AtomicU64::new(0),
            asked: AtomicUsize::new(asked),
            waiting: AtomicUsize::new(waiting),
            largest: AtomicU64::new(1),
        });
        let kept = Arc::clone(&doors);
        let new = Use {
            terms,
            doors,
            looked_at: now,
            seen: (0, 0),
            admitted: 0,
            all: 0,
            want: 0,
            no_room: None,
            refused: 0,
            trips: Trips::default(),
        };
        self.paths.insert(path, new);
        kept
    }

    pub(crate) fn doors(&self, path: u64) -> Option<&Arc<Doors>> {
        self.paths.get(&path).map(|one| &one.doors)
    }

    /// When `tick` has something to do, if nothing happens before.
    pub(crate) fn wake_at(&self) -> i64 {
        self.gate.wake_at()
    }

    /// Whether slots are in flight under a lease.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.paths.keys().all(|&path| self.gate.in_flight(slots_of(path)) == 0)
    }

    /// Remembers that the keeper had no room for a demand of so many units at `now`.
    pub(crate) fn no_room(&mut self, path: u64, until: i64, units: u64, told: &Arc<Told>) {
        if let Some(one) = self.paths.get_mut(&path) {
            one.no_room = Some(NoRoom { until, units, told: Arc::clone(told) });
        }
    }

    /// What the keeper said a moment ago of demands as large as this one, if it holds still and there are too many to ask
    /// each.
    pub(crate) fn refused(&mut self, now: i64, path: u64, units: u64) -> Option<Arc<Told>> {
        let one = self.paths.get_mut(&path)?;
        let no_room = one.no_room.as_ref().filter(|_| of(one.all, SECOND) >= CROWD)?;
        let told = (now < no_room.until && units >= no_room.units).then(|| Arc::clone(&no_room.told))?;
        one.refused += 1;
        Some(told)
    }

    /// A demand went without: what is wanted is looked at again, and said soon.
    pub(crate) fn missed(&mut self, now: i64, path: u64) -> Vec<ToKeeper> {
        if !self.estimate(now, path) {
            return vec![];
        }
        self.gate.hurry(now, slots_of(path));
        self.gate.hurry(now, tokens_of(path));
        if self.wake_at() > now {
            return vec![];
        }
        let due = self.gate.tick(now);
        self.told(now, due)
    }

    /// What is due.
    pub(crate) fn tick(&mut self, now: i64) -> Vec<ToKeeper> {
        let paths: Vec<u64> = self.paths.keys().copied().collect();
        for path in paths {
            self.estimate(now, path);
        }
        let due = self.gate.tick(now);
        self.told(now, due)
    }

    /// The keeper's message about a path.
    pub(crate) fn on(&mut self, now: i64, path: u64, message: FromKeeper) -> Vec<ToKeeper> {
        if let Some(one) = self.paths.get_mut(&path) {
            one.no_room = None;
            if let FromKeeper::Block(block) = &message {
                one.trips.end(block.in_reply_to, now);
            }
        }
        let effects = self.gate.on(now, message);
        self.told(now, effects)
    }

    /// All that is held, restated on a new stream.
    pub(crate) fn restated(&mut self, now: i64) -> Vec<ToKeeper> {
        let effects = self.gate.reconnected(now);
        self.told(now, effects)
    }

    /// Admits nothing any more; what became of the blocks.
    pub(crate) fn close(&mut self, now: i64) -> Vec<ToKeeper> {
        let effects = self.gate.close(now);
        self.told(now, effects)
    }

    fn told(&mut self, now: i64, effects: Vec<GateEffect>) -> Vec<ToKeeper> {
        let mut messages = vec![];
        for effect in effects {
            match effect {
                GateEffect::Send(FromGate::Renew(renew)) => {
                    let path = renew.contract / 2;
                    let (admitted, refused) = self.decided(path);
                    messages.push(ToKeeper::Renew(Renew { admitted, refused, ..Renew::of(path, &renew) }));
                }
                GateEffect::Send(FromGate::Draw(draw)) => {
                    let path = draw.contract / 2;
                    let (admitted, refused) = self.decided(path);
                    let trips = self.paths.get_mut(&path).map(|one| &mut one.trips);
                    let round_trips_us = trips.map_or_else(Vec::new, |trips| {
                        trips.begin(draw.counter, now);
                        trips.take()
                    });
                    messages.push(ToKeeper::Draw(Draw { admitted, refused, round_trips_us, ..Draw::of(path, &draw) }));
                }
                GateEffect::Send(FromGate::Claim(claim)) => {
                    let (path, of_tokens) = (claim.contract / 2, claim.contract % 2 == 1);
                    let (admitted, refused) = self.decided(path);
                    messages.push(ToKeeper::Claim(Claim { admitted, refused, ..Claim::of(path, of_tokens, &claim) }));
                }
                // Goodbyes and redialling are the stream's, and when to wake is asked of the machine.
                GateEffect::Send(FromGate::Bye) | GateEffect::Redial | GateEffect::WakeAt(_) => {}
            }
        }
        messages
    }

    /// Demands that were admitted and refused here.
    fn decided(&self, path: u64) -> (u64, u64) {
        self.paths.get(&path).map_or((0, 0), |one| (one.doors.demands().0, one.refused))
    }

    /// Looks how much of a path would be of use now, and tells the machine. False: it was looked at a moment ago.
    fn estimate(&mut self, now: i64, path: u64) -> bool {
        let Some(one) = self.paths.get_mut(&path) else { return false };
        let dt = now.saturating_sub(one.looked_at);
        if dt < LOOK_NS {
            return false;
        }
        one.looked_at = now;
        let (admitted, refused) = one.doors.demands();
        // Counts of threads that count at once may fall back a little.
        let (more, without) = (admitted.saturating_sub(one.seen.0), refused.saturating_sub(one.seen.1));
        one.seen = (admitted, refused);
        one.admitted = smoothed(one.admitted, more, dt);
        one.all = smoothed(one.all, more.saturating_add(without), dt);
        let is_worth = of(one.all, SECOND) >= WORTH;
        let largest = one.doors.largest.load(Ordering::Relaxed).max(1);
        one.doors.largest.store(largest / 2, Ordering::Relaxed);
        if one.doors.slots.is_some() {
            let in_flight = self.gate.in_flight(slots_of(path));
            let held = in_flight + one.doors.asked.load(Ordering::Relaxed) as u64 * MICRO;
            // As many as are in flight for each that was admitted, for those that went without as well.
            let needed = if one.admitted > 0 {
                u64::try_from(u128::from(held) * u128::from(one.all) / u128::from(one.admitted)).unwrap_or(held)
            } else {
                held.saturating_add(without.min(FIRST_MOST) * largest * MICRO)
            };
            let spare = largest * MICRO + held / 8;
            let falling = one.want - scaled(one.want, dt.min(SECOND), SECOND);
            one.want = if is_worth { needed.saturating_add(spare).max(falling).max(held) } else { in_flight };
            let (terms, want) = (one.terms, one.want);
            // Nothing is sent by it: when it wakes is all that changes.
            self.gate.demand(now, slots_of(path), terms, want);
        }
        let Some(one) = self.paths.get(&path) else { return false };
        if one.doors.tokens.is_some() {
            let at_hand = of(one.all, AT_HAND_NS).max(2).saturating_mul(largest * MICRO);
            let (terms, want) = (one.terms, if is_worth { at_hand } else { 0 });
            self.gate.demand_tokens(now, tokens_of(path), terms, want);
        }
        true
    }
}

/// A rate, in thousandths a second, with `more` that came in `dt` ns.
fn smoothed(rate: u64, more: u64, dt: i64) -> u64 {
    let present = scaled(more.saturating_mul(1_000), SECOND, dt);
    let weight = dt.min(SMOOTH_NS);
    rate - scaled(rate, weight, SMOOTH_NS) + scaled(present, weight, SMOOTH_NS)
}

/// How many that rate, in thousandths a second, brings in so long.
fn of(rate: u64, ns: i64) -> u64 {
    scaled(rate, ns, SECOND) / 1_000
}

fn scaled(n: u64, by: i64, over: i64) -> u64 {
    let (by, over) = (by.max(0).unsigned_abs(), over.max(1).unsigned_abs());
    u64::try_from(u128::from(n) * u128::from(by) / u128::from(over)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use headway_core::lease::{Block, Lease};

    const MS: i64 = 1_000_000;

    fn terms() -> Terms {
        Terms::usual(5 * SECOND, SECOND).unwrap()
    }

    /// A path of slots, or of tokens.
    fn lent(has_slots: bool) -> (Lent, Arc<Doors>) {
        let mut lent = Lent::default();
        let spent = Spent { has_slots, has_tokens: !has_slots, has_parts: false };
        let doors = lent.open(0, 3, terms(), spent, 0, (0, 0));
        (lent, doors)
    }

    /// The counter of the last message, and what it wants in units.
    fn wanted(messages: &[ToKeeper]) -> Option<(u64, u64)> {
        messages.iter().rev().find_map(|message| match message {
            ToKeeper::Renew(renew) => Some((renew.counter, renew.want / MICRO)),
            ToKeeper::Draw(draw) => Some((draw.counter, draw.want / MICRO)),
            _ => None,
        })
    }

    /// Demands that go without, one each ms from `from` on, and what is said because of them.
    fn misses(lent: &mut Lent, doors: &Doors, from: i64, count: i64) -> Vec<ToKeeper> {
        let mut messages = vec![];
        for i in 0..count {
            let now = from + i * MS;
            if !doors.take(now, 1) {
                messages.extend(lent.missed(now, 3));
            }
            if lent.wake_at() <= now {
                messages.extend(lent.tick(now));
            }
        }
        messages
    }

    #[test]
    fn a_demand_now_and_then_wants_no_lease_and_many_want_one() {
        let (mut few, doors) = lent(true);
        assert!(!doors.take(0, 1));
        assert_eq!(None, wanted(&few.missed(SECOND, 3)).filter(|(_, want)| *want > 0));
        let (mut many, doors) = lent(true);
        assert!(wanted(&misses(&mut many, &doors, 0, 300)).unwrap().1 >= 1);
    }

    #[test]
    fn what_is_lent_is_taken_without_a_word_and_given_back_once() {
        let (mut lent, doors) = lent(true);
        let (counter, want) = wanted(&misses(&mut lent, &doors, 0, 300)).unwrap();
        assert!(want >= 2);
        let lease = Lease {
            contract: slots_of(3),
            epoch: 1,
            seq: 1,
            units: 2 * MICRO,
            term_ms: 3_000,
            in_reply_to: Some(counter),
        };
        lent.on(310 * MS, 3, FromKeeper::Lease(lease));
        let now = 320 * MS;
        assert_eq!([true, true, false], [(); 3].map(|()| doors.take(now, 1)));
        assert!(!lent.holds_nothing());
        doors.give_back(1);
        doors.give_back(1);
        doors.give_back(1);
        assert!(lent.holds_nothing());
        assert_eq!([true, true, false], [(); 3].map(|()| doors.take(now, 1)), "a third was never taken");
    }

    /// Two in flight, and a lease of one: one is over, once the lease has ended none is.
    #[test]
    fn what_is_in_flight_above_a_smaller_lease_is_over_until_that_has_ended() {
        let (mut lent, doors) = lent(true);
        let (counter, _) = wanted(&misses(&mut lent, &doors, 0, 300)).unwrap();
        let lease = |seq, units, in_reply_to| {
            let (contract, epoch, term_ms) = (slots_of(3), 1, 3_000);
            FromKeeper::Lease(Lease { contract, epoch, seq, units: units * MICRO, term_ms, in_reply_to })
        };
        lent.on(310 * MS, 3, lease(1, 2, Some(counter)));
        assert_eq!([true, true], [(); 2].map(|()| doors.take(320 * MS, 1)));
        let over = |now| doors.slots.as_ref().map_or(0, |slots| slots.over(now) / MICRO);
        assert_eq!(0, over(320 * MS));
        lent.on(330 * MS, 3, lease(2, 1, None));
        assert_eq!([1, 0], [340 * MS, 10 * SECOND].map(over));
    }

    #[test]
    fn one_path_of_a_contracts_workload_is_lent_however_many_limiters_name_it() {
        let (mut lent, _) = lent(true);
        assert!(lent.claim(3, "db", "other") && lent.claim(5, "db", "reports"));
        assert!(!lent.claim(4, "db", "other"));
        assert!(lent.claim(3, "db", "other"), "said again on a new stream");
    }

    #[test]
    fn nobody_overtakes_those_who_wait() {
        let (mut lent, doors) = lent(false);
        let (counter, _) = wanted(&misses(&mut lent, &doors, 0, 300)).unwrap();
        let block =
            Block { contract: tokens_of(3), epoch: 1, seq: 1, units: 5 * MICRO, term_ms: 3_000, in_reply_to: counter };
        lent.on(310 * MS, 3, FromKeeper::Block(block));
        doors.waiting.store(1, Ordering::SeqCst);
        assert_eq!((false, true), (doors.take(320 * MS, 1), doors.take_first(320 * MS, 1)));
    }

    #[test]
    fn tokens_at_hand_last_a_tenth_of_a_second_and_are_wanted_no_more_when_demand_ends() {
        let (mut lent, doors) = lent(false);
        let (_, want) = wanted(&misses(&mut lent, &doors, 0, 2_000)).unwrap();
        assert!((80..=120).contains(&want), "a thousand demands a second: {want}");
        let mut last = want;
        for second in 3..12 {
            last = wanted(&lent.tick(second * SECOND)).map_or(last, |(_, want)| want);
        }
        assert_eq!(0, last);
    }

    #[test]
    fn in_a_crowd_a_keepers_no_is_good_for_a_moment_and_for_demands_as_large() {
        let (mut lent, doors) = lent(true);
        let told = Arc::new(Told {
            why: headway_core::Why::Full,
            retry: headway_core::Retry::Unknown,
            version: 1,
            stage: String::new(),
            meter: String::new(),
            unit: String::new(),
            limit_micro: 0,
            use_micro: 0,
            raises_when: String::new(),
            sentence: String::new(),
            reference: String::new(),
        });
        lent.no_room(3, 100, 2, &told);
        assert!(lent.refused(99, 3, 2).is_none(), "one demand may well be asked");
        misses(&mut lent, &doors, 0, 300);
        assert!(lent.refused(99, 3, 2).is_some());
        assert!(lent.refused(99, 3, 1).is_none() && lent.refused(100, 3, 2).is_none());
        lent.on(50, 3, FromKeeper::Surrender { contract: tokens_of(3) });
        assert!(lent.refused(99, 3, 2).is_none(), "things have changed");
    }
}
