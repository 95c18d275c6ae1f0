//! Who gets how much of a meter that more is asked of than it has: parts by weight, from what everybody was seen to ask for.
//!
//! A tenth of a second after the last division whoever asks next makes another; who finds it being made goes on with the
//! parts there are, so nobody ever waits for it. Parts bind while somebody was refused lately; of a quota, whose refusals
//! come when all is gone, while more is wanted of its window than there is (`window`). They never let anybody over the
//! limit: they only say who leaves a little of what is free to whom. Source: design, section 3, *Who gets it*.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use super::portion::{PARTS, Portion};
use super::{Meter, Share};
use crate::allocator::{Asks, Demand, Party, Priority, Terms, divide};
use crate::atomics::{AtomicI64, AtomicU64, Ordering};
use crate::curve::Measure;
use crate::grain::MICRO;
use crate::hot::Look;
use crate::shares::Part;

const SECOND: u64 = 1_000_000_000;
/// From one division to the next.
const PERIOD_NS: i64 = 100_000_000;
/// What was asked counts half after so long: short enough that who comes or goes is seen within two seconds. Of a slow rate
/// it is the time in which eight units come in, or one demand would look like many.
const HALF_LIFE_NS: u64 = 500_000_000;
const HALF_LIFE_UNITS: u64 = 8;

/// The divisions of one meter.
pub(crate) struct Division {
    /// In the order of the meter's shares.
    pub(crate) portions: Vec<Portion>,
    /// Parts bind before this instant.
    pub(super) contended_until: AtomicI64,
    /// How long after a refusal they still do.
    span_ns: AtomicU64,
    due_at: AtomicI64,
    measured: Mutex<Measured>,
}

/// What everybody was seen to ask for.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) paces: Vec<Pace>,
    pub(super) turn: u64,
    looked_at: i64,
}

pub(super) struct Pace {
    pub(super) asked: Demand,
    taken: Demand,
    /// From when on it was seen to ask, if it still is.
    pub(super) since: Option<i64>,
    /// Units of the counts that are in the two already.
    seen_taken: u64,
    seen_refused: u64,
}

impl Division {
    /// None where no weight is declared: all are served as they come, and it costs them nothing.
    pub(super) fn of(shares: &[Share]) -> Option<Division> {
        shares.iter().any(|share| share.spec.weight.is_some()).then(|| Division {
            portions: shares.iter().map(|share| Portion::new(share.spec.clone())).collect(),
            contended_until: AtomicI64::new(i64::MIN),
            span_ns: AtomicU64::new(2 * HALF_LIFE_NS),
            due_at: AtomicI64::new(i64::MIN),
            measured: Mutex::default(),
        })
    }

    pub(crate) fn binds(&self, now: i64) -> bool {
        now < self.contended_until.load(Ordering::Relaxed)
    }

    /// Somebody found too little free. Of a quota that comes too late to say anything.
    pub(crate) fn refused(&self, meter: &Meter, now: i64) {
        if meter.spec.measure == Measure::Quota {
            return;
        }
        let span = self.span_ns.load(Ordering::Relaxed) as i64;
        self.contended_until.fetch_max(now.saturating_add(span), Ordering::Relaxed);
    }

    /// Divides anew where the last division is old.
    #[inline]
    pub(crate) fn renew(&self, meter: &Meter, now: i64) {
        if now >= self.due_at.load(Ordering::Relaxed) {
            self.renew_now(meter, now);
        }
    }

    #[cold]
    fn renew_now(&self, meter: &Meter, now: i64) {
        // Whoever finds it taken goes on: these parts are being made.
        let mut measured = match self.measured.try_lock() {
            Ok(measured) => measured,
            Err(std::sync::TryLockError::Poisoned(broken)) => PoisonError::into_inner(broken),
            Err(std::sync::TryLockError::WouldBlock) => return,
        };
        let Some(look) = meter.look(now).filter(|_| now >= self.due_at.load(Ordering::Relaxed)) else { return };
        self.due_at.store(now.saturating_add(PERIOD_NS), Ordering::Relaxed);
        let Some(curve) = meter.installed() else { return };
        if meter.spec.measure == Measure::Quota {
            self.divide_window(&mut measured, meter, &curve, now, &look);
            measured.turn = measured.turn.wrapping_add(1);
            return;
        }
        let level_micro = curve.piece(now).level(now, &curve.grains);
        let unit_ns = match meter.spec.measure {
            Measure::Rate => {
                (u128::from(meter.spec.per_ns) * u128::from(MICRO) / u128::from(level_micro.max(1))) as u64
            }
            _ => 0,
        };
        let half_life = HALF_LIFE_NS.max(unit_ns.saturating_mul(HALF_LIFE_UNITS)).min(i64::MAX as u64 / 4);
        self.span_ns.store(2 * half_life, Ordering::Relaxed);
        measured.look(&self.portions, meter, now, half_life);
        if meter.spec.measure == Measure::Rate {
            let a_second = u128::from(level_micro) * u128::from(SECOND) / u128::from(meter.spec.per_ns);
            self.divide_rate(&measured, level_micro, u64::try_from(a_second).unwrap_or(u64::MAX));
        } else {
            self.divide_slots(&measured, meter, &look);
        }
        measured.turn = measured.turn.wrapping_add(1);
    }

    /// In micro-units a second. A little is added to what was seen, so that who has enough is not pressed by noise.
    fn divide_rate(&self, measured: &Measured, level_micro: u64, amount: u64) {
        let wants = measured.paces.iter().map(|pace| {
            let asked = pace.asked.micro_per_s();
            asked.saturating_add(asked / 64)
        });
        let party = |(one, want): (&Portion, u64)| one.party(amount, level_micro, want);
        let parties: Vec<Party> = self.portions.iter().zip(wants).map(party).collect();
        for ((portion, party), grant) in self.portions.iter().zip(&parties).zip(divide(amount, &parties, measured.turn))
        {
            let wants_more = grant < party.usable();
            // Who has enough has room to come unevenly: it uses no more of the limit for that.
            let most = if wants_more { grant } else { grant.saturating_add(grant / 4) };
            let part = u128::from(most) * u128::from(PARTS) / u128::from(amount.max(1));
            portion.give(part.min(u128::from(PARTS)) as u64, wants_more);
        }
    }

    /// In whole units, of what the workloads of this contract may hold together.
    fn divide_slots(&self, measured: &Measured, meter: &Meter, look: &Look) {
        let held: Vec<u64> = self.portions.iter().map(Portion::held).collect();
        let by_others = meter.amount(None, look).saturating_sub(held.iter().sum());
        let amount = look.limit.saturating_sub(by_others) / MICRO;
        let parties: Vec<Party> = (self.portions.iter().zip(&held).zip(&measured.paces))
            .map(|((one, held), pace)| one.party(amount, look.limit, pace.slots(held.div_ceil(MICRO), amount)))
            .collect();
        let grants = self.beside_the_rooms(amount, meter, look, &parties, measured.turn);
        for ((portion, party), grant) in self.portions.iter().zip(&parties).zip(grants) {
            let wants_more = grant < party.usable();
            let more = if wants_more || grant == 0 { 0 } else { grant / 4 + 1 };
            portion.give(grant.saturating_add(more).saturating_mul(MICRO), wants_more);
        }
    }

    /// The division of what can be kept: a guarantee is kept whether it is wanted or not, and with it, or where it is less
    /// with what they want, what each priority leaves to higher ones is left out of what it divides.
    pub(super) fn beside_the_rooms(
        &self,
        amount: u64,
        meter: &Meter,
        look: &Look,
        parties: &[Party],
        turn: u64,
    ) -> Vec<u64> {
        let kept: Vec<Party> = parties.iter().map(kept_for).collect();
        let mut grants = divide(amount, &kept, turn);
        for priority in [Priority::Normal, Priority::Background] {
            let places = |of: &dyn Fn(Priority) -> bool| -> Vec<usize> {
                (0..parties.len()).filter(|at| of(parties[*at].terms.priority)).collect()
            };
            let (above, tier) = (places(&|one| one > priority), places(&|one| one == priority));
            if above.is_empty() {
                continue;
            }
            let sum =
                |of: &dyn Fn(usize) -> u64, at: &[usize]| at.iter().map(|at| of(*at)).fold(0, u64::saturating_add);
            let room = meter.units(meter.whole_part(look, priority.leaves_ppm()));
            let used = sum(&|at| grants[at].min(parties[at].usable()), &above);
            let left = used.saturating_add(room).max(sum(&|at| grants[at], &above));
            if sum(&|at| grants[at], &tier) > amount.saturating_sub(left) {
                let alike: Vec<Party> = tier.iter().map(|at| kept[*at].clone()).collect();
                for (at, grant) in tier.iter().zip(divide(amount.saturating_sub(left), &alike, turn)) {
                    grants[*at] = grant;
                }
            }
        }
        grants.iter().zip(parties).map(|(grant, party)| party.usable().min(*grant)).collect()
    }
}

/// As one that wants all of its guarantee.
fn kept_for(party: &Party) -> Party {
    let want = party.usable().max(party.terms.guarantee);
    Party { asks: Asks::Want(want), ..party.clone() }
}

impl Measured {
    pub(super) fn look(&mut self, portions: &[Portion], meter: &Meter, now: i64, half_life: u64) {
        if self.paces.is_empty() {
            let none = Demand::none(now);
            let new = || Pace { asked: none, taken: none, since: None, seen_taken: 0, seen_refused: 0 };
            (self.paces, self.looked_at) = (portions.iter().map(|_| new()).collect(), now);
            // What was asked up to here was asked in an instant that nobody knows: it begins now.
            return;
        }
        // When what came in a long pause came nobody knows, and who asks after one begins anew, as does who asks less than
        // once in as long.
        let pause = half_life.saturating_mul(4);
        let is_paused = now.saturating_sub(self.looked_at) > i64::try_from(pause).unwrap_or(i64::MAX);
        for (pace, portion) in self.paces.iter_mut().zip(portions) {
            let (taken, refused) = portion.asked();
            let new = meter.units(taken).wrapping_sub(pace.seen_taken);
            let refused = meter.units(refused).wrapping_sub(pace.seen_refused);
            pace.asked = pace.asked.after(now, new, refused, half_life);
            pace.taken = pace.taken.after(now, new, 0, half_life);
            pace.seen_taken += new;
            pace.seen_refused += refused;
            if is_paused || new + refused == 0 && pace.asked.units_within(pause) <= 1 {
                pace.since = None;
            } else if new + refused > 0 {
                pace.since = pace.since.or(Some(self.looked_at));
            }
        }
        self.looked_at = now;
    }
}

impl Pace {
    /// Slots that are wanted: what is held, and as many more as it asks oftener than it is admitted. Who was refused
    /// everything wants all there is.
    fn slots(&self, held: u64, all: u64) -> u64 {
        let (asked, taken) = (self.asked.micro_per_s(), self.taken.micro_per_s());
        // Less than one demand in eight half-lives, or one refusal in 64: it has what it wants.
        if asked < MICRO / 4 || u128::from(asked) * 64 <= u128::from(taken) * 65 {
            return held;
        }
        if taken == 0 {
            return all.max(held);
        }
        let more = (u128::from(held.max(1)) * u128::from(asked)).div_ceil(u128::from(taken));
        u64::try_from(more).unwrap_or(u64::MAX)
    }
}

impl Portion {
    /// As one that asks for a part of `amount`, which is what the level comes to.
    pub(super) fn party(&self, amount: u64, level_micro: u64, want: u64) -> Party {
        let part = |part: Part| {
            (u128::from(part.of(level_micro)) * u128::from(amount) / u128::from(level_micro.max(1))) as u64
        };
        let terms = Terms {
            guarantee: self.spec.guarantee.map_or(0, part),
            weight: self.weight(),
            ceiling: self.spec.ceiling.map(part),
            priority: self.spec.priority,
        };
        Party { terms, asks: Asks::Want(want) }
    }

    pub(crate) fn weight(&self) -> NonZeroU32 {
        self.spec.weight.unwrap_or(NonZeroU32::MIN)
    }
}
