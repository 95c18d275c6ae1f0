//! One round of a division: what every stream is told at an instant.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::{Bucket, Course, Divider, IDLE_NS, Part, SECOND, Told, book};
use crate::allocator::{Asks, Holding, Party, Priority, Terms as Agreed, divide, steady};

const MICRO: u128 = 1_000_000;
/// One part in 20 of the limit is assigned to nobody: it pays the first fills of later buckets.
const RESERVE_ONE_IN: u128 = 20;
/// All buckets together hold a quarter of the burst: there is room for those they replace, and for the next.
const BUCKETS_ONE_IN: u128 = 4;
/// A newcomer gets one part in two of what is free.
const NEWCOMER_ONE_IN: u64 = 2;
/// Demand alone moves shares at most once a second; a limit that falls moves them at once.
const DIVIDE_EVERY_NS: i64 = SECOND;
/// An assignment that stays is sent again as often: of two seconds it arrives within one while the last one lives.
const SEND_EVERY_NS: i64 = SECOND / 2;
/// A share is short where it is less than what is wanted by one part in so many.
const SHORT_ONE_IN: u64 = 20;

/// What there is to divide at one instant, in whole tokens a second unless it says otherwise.
struct Supply {
    /// In micro-units.
    limit_micro: u128,
    /// May be assigned until the end of what is sent now.
    assignable: u64,
    /// May be assigned then, the reserve included.
    most: u64,
    /// May be added beside all that is booked already.
    room: u64,
    /// The lowest burst until then, in micro-units: for the buckets that will be there.
    burst_micro: i128,
    /// The lowest while anything is booked: for all that are there by then.
    burst_booked_micro: i128,
    /// More is booked than the limit allows now: it fell unplanned, and what is above it has yet to end.
    is_draining: bool,
}

impl Divider {
    /// Decides what streams are told now, and books it. Whatever is not told stands as it was.
    ///
    /// Call it often, ten times a second: a fall of the limit is heard here. None of what is returned may be sent later
    /// than `Terms::delay_ns` allows for.
    pub fn round(&mut self, now: i64, course: &Course) -> Vec<(u64, Told)> {
        self.count(now, course);
        let mut told = self.let_idle_go(now);
        let supply = self.supply(now, course);
        let is_full = self.present_tokens(None) * MICRO as i128 > supply.burst_micro;
        let shares = self.shares(now, is_full, &supply);
        let is_cut = |id: &u64, share: u64| {
            let part = &self.parts[id];
            let Some(Told::Bucket(present)) = part.told else { return false };
            share < part.held() || is_full && bucket(share, &supply).tokens < present.tokens
        };
        let (cuts, rest): (Vec<_>, Vec<_>) = shares.into_iter().partition(|(id, share)| is_cut(id, *share));
        // What all cuts take away is taken away before anything is given.
        for (id, _) in &cuts {
            self.parts.get_mut(id).expect("it has a share").book.retire();
        }
        for (id, share) in cuts {
            let least = Bucket { tokens: 1, ..bucket(share, &supply) };
            let choices = [bucket(share, &supply), least];
            let paid = choices.into_iter().find(|bucket| self.affords(Some(id), bucket.tokens.into(), &supply));
            // After an unplanned fall nothing can be paid until the old has ended. One token each is owed instead, and paid
            // back before anything else is given, rather than that everybody refuses everything for so long.
            let owed = supply.is_draining && (self.present_tokens(Some(id)) + 1) * MICRO as i128 <= supply.burst_micro;
            let paid = paid.or(owed.then_some(least));
            told.push((id, self.assign(id, paid.filter(|_| share > 0), now)));
        }
        for (id, share) in rest {
            told.extend(self.tell(id, share, now, &supply).map(|told| (id, told)));
        }
        told
    }

    /// Counts slack up to now and forgets what has ended.
    fn count(&mut self, now: i64, course: &Course) {
        if now < self.quiet_until {
            return;
        }
        let entitled = course.entitled(now);
        if let Some((since, before)) = self.counted.filter(|(since, _)| *since <= now) {
            let spent = i128::from(self.booked(since)) * i128::from(now - since);
            let spent = spent.div_euclid(1_000) + i128::from(spent % 1_000 > 0);
            // Capped by what could be held meanwhile, what has ended since included.
            let room = course.lowest_burst(since, now) - self.held_micro();
            self.slack = (self.slack + (entitled - before) - spent).min(room);
        }
        self.counted = Some((now, entitled));
        self.gone.retain(|booking| booking.until > now);
        self.parts.values_mut().for_each(|part| part.forget_ended(now));
    }

    /// Tokens a second that may be in use.
    fn booked(&self, now: i64) -> u64 {
        book::per_s(&self.gone, now) + self.parts.values().map(|part| part.book.per_s(now)).sum::<u64>()
    }

    /// Micro-tokens that all buckets can hold.
    fn held_micro(&self) -> i128 {
        let tokens = book::tokens(&self.gone) + self.parts.values().map(|part| part.book.tokens()).sum::<u64>();
        i128::from(tokens) * MICRO as i128
    }

    fn let_idle_go(&mut self, now: i64) -> Vec<(u64, Told)> {
        let is_idle = |part: &Part| now.saturating_sub(part.asked_at) >= IDLE_NS;
        let idle: Vec<u64> = self.parts.iter().filter(|(_, part)| is_idle(part)).map(|(id, _)| *id).collect();
        for id in &idle {
            self.end(*id);
        }
        idle.into_iter().map(|id| (id, Told::Abandon)).collect()
    }

    fn supply(&self, now: i64, course: &Course) -> Supply {
        if now < self.quiet_until {
            return Supply {
                limit_micro: 0,
                assignable: 0,
                most: 0,
                room: 0,
                burst_micro: 0,
                burst_booked_micro: 0,
                is_draining: false,
            };
        }
        let ahead = now.saturating_add(self.terms.life_ns());
        let booked_until = self.parts.values().map(|part| part.book.until());
        let booked_until = booked_until.chain(self.gone.iter().map(|one| one.until)).fold(now, i64::max);
        let whole = |micro: u128| u64::try_from(micro / MICRO).unwrap_or(u64::MAX);
        let limit_micro = course.lowest_per_s(now, ahead);
        let gone = book::per_s(&self.gone, now);
        let burst_booked_micro = course.lowest_burst(now, booked_until);
        let (free, booked) = (whole(course.lowest_per_s(now, booked_until)), self.booked(now));
        Supply {
            limit_micro,
            assignable: whole(limit_micro - limit_micro.div_ceil(RESERVE_ONE_IN)).saturating_sub(gone),
            most: whole(limit_micro).saturating_sub(gone),
            room: free.saturating_sub(booked),
            burst_micro: course.lowest_burst(now, ahead),
            burst_booked_micro,
            is_draining: u128::from(booked) * MICRO > course.lowest_per_s(now, now)
                || self.held_micro() > course.lowest_burst(now, now),
        }
    }

    /// The share of every stream, in tokens a second.
    fn shares(&mut self, now: i64, is_full: bool, supply: &Supply) -> BTreeMap<u64, u64> {
        let held: BTreeMap<u64, u64> = self.parts.iter().map(|(id, part)| (*id, part.held())).collect();
        let is_over = is_full || held.values().sum::<u64>() > supply.most;
        let is_time = now.saturating_sub(self.divided_at) >= DIVIDE_EVERY_NS;
        let mut shares = held.clone();
        if is_over || is_time {
            let fair = self.fair(supply.assignable);
            if is_over {
                shares = self.within_room(fair.into_iter().map(|(id, (share, _))| (id, share)), supply);
                self.divided_at = now;
            } else if fair.iter().any(|(id, (_, wants))| is_short(held[id], *wants)) {
                let moved = self.within_room(self.steadied(&fair, supply.assignable), supply);
                if self.can_pay(&moved, supply) {
                    shares = moved;
                    self.divided_at = now;
                }
            }
        }
        self.newcomers(&mut shares, supply);
        shares
    }

    /// By stream: its share of all there is, and how much of that it wants.
    ///
    /// What is wanted is met by max-min; what nobody wants goes by demand as well, so that a stream that grows finds some.
    fn fair(&mut self, amount: u64) -> BTreeMap<u64, (u64, u64)> {
        self.turn = self.turn.wrapping_add(1);
        let plain = Agreed { guarantee: 0, weight: NonZeroU32::MIN, ceiling: None, priority: Priority::Normal };
        // A tenth more than it asks for: a demand that is met to the last token would look content while it grows.
        let wants: Vec<u64> = self.parts.values().map(|part| part.demand.units_within(1_000_000_000)).collect();
        let wanting: Vec<Party> =
            wants.iter().map(|want| Party { terms: plain, asks: Asks::Want(want.saturating_add(want / 10)) }).collect();
        let met = divide(amount, &wanting, self.turn);
        let having: Vec<Party> = wants
            .iter()
            .zip(&met)
            .map(|(want, met)| {
                let weight = NonZeroU32::new(u32::try_from(*want).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
                Party { terms: Agreed { guarantee: *met, weight, ..plain }, asks: Asks::Want(u64::from(u32::MAX)) }
            })
            .collect();
        let shares = divide(amount, &having, self.turn);
        self.parts.keys().copied().zip(shares.into_iter().zip(met)).collect()
    }

    /// The fair shares, less the moves that are not worth a message.
    fn steadied(&self, fair: &BTreeMap<u64, (u64, u64)>, amount: u64) -> impl Iterator<Item = (u64, u64)> {
        let holdings: Vec<Holding> = fair
            .iter()
            .map(|(id, (share, _))| Holding { held: self.parts[id].held(), fair: *share, least: 0, most: u64::MAX })
            .collect();
        fair.keys().copied().zip(steady(amount, &holdings)).collect::<Vec<_>>().into_iter()
    }

    /// The shares with raises no larger than what is not booked: what a cut stream has to give up is free when its old
    /// assignment has ended, and not before, for itself either: others were booked beside what it was cut to.
    fn within_room(&self, shares: impl Iterator<Item = (u64, u64)>, supply: &Supply) -> BTreeMap<u64, u64> {
        let shares: Vec<(u64, u64)> = shares.collect();
        let plain = Agreed { guarantee: 0, weight: NonZeroU32::MIN, ceiling: None, priority: Priority::Normal };
        let more = |(id, share): &(u64, u64)| share.saturating_sub(self.parts[id].held());
        let wanting: Vec<Party> =
            shares.iter().map(|share| Party { terms: plain, asks: Asks::Want(more(share)) }).collect();
        let granted = divide(supply.room, &wanting, self.turn);
        shares
            .into_iter()
            .zip(granted)
            .map(|((id, share), more)| {
                let held = self.parts[&id].held();
                let share = share.min(held.saturating_add(more));
                (id, if share > held && !is_short(held, share) { held } else { share })
            })
            .collect()
    }

    /// Whether the first fills of all that would change can be paid.
    fn can_pay(&self, shares: &BTreeMap<u64, u64>, supply: &Supply) -> bool {
        let tokens = |id: &u64, share: &u64| match self.parts[id].told {
            Some(Told::Bucket(present)) if share == &self.parts[id].held() => (0, present.tokens),
            _ if *share == 0 => (0, 0),
            _ => (bucket(*share, supply).tokens, bucket(*share, supply).tokens),
        };
        let (new, present) = shares
            .iter()
            .map(|(id, share)| tokens(id, share))
            .fold((0, 0), |(new, all), (a, b)| (new + i128::from(a), all + i128::from(b)));
        self.is_room_for(new, present, supply)
    }

    /// Whether one stream can have a bucket of so many tokens; `stream` is whose it replaces.
    fn affords(&self, stream: Option<u64>, tokens: i128, supply: &Supply) -> bool {
        self.is_room_for(tokens, self.present_tokens(stream) + tokens, supply)
    }

    /// Whether so many new tokens can be paid, and held beside what is there; `present`: with all that will be there then.
    fn is_room_for(&self, new: i128, present: i128, supply: &Supply) -> bool {
        let (new, present) = (new * MICRO as i128, present * MICRO as i128);
        new <= self.slack && self.held_micro() + new <= supply.burst_booked_micro && present <= supply.burst_micro
    }

    /// Tokens of all present buckets, but for one stream's.
    fn present_tokens(&self, but: Option<u64>) -> i128 {
        let parts = self.parts.iter().filter(|(id, _)| Some(**id) != but);
        parts.map(|(_, part)| i128::from(part.book.present_tokens())).sum()
    }

    /// Streams that were told nothing get a part of what is free, the reserve included.
    fn newcomers(&self, shares: &mut BTreeMap<u64, u64>, supply: &Supply) {
        let raised: u64 = shares.iter().map(|(id, share)| share.saturating_sub(self.parts[id].held())).sum();
        let assigned: u64 = shares.values().sum();
        let mut free = supply.most.saturating_sub(assigned).min(supply.room.saturating_sub(raised));
        for (id, share) in shares.iter_mut().filter(|(id, share)| self.parts[id].held() == 0 && **share == 0) {
            if self.parts[id].told.is_none() || self.parts[id].told == Some(Told::Deny) {
                *share = free.div_ceil(NEWCOMER_ONE_IN);
                free -= *share;
            }
        }
    }

    /// Tells one stream a share that is no cut, where that is news, or where it is time to say it again.
    fn tell(&mut self, id: u64, share: u64, now: i64, supply: &Supply) -> Option<Told> {
        let part = self.parts.get_mut(&id)?;
        let (held, since) = (part.held(), now.saturating_sub(part.sent_at));
        let wanted = (share > 0).then(|| bucket(share, supply));
        // After a fall that left one token each, the bucket grows to its size again.
        let is_lean =
            matches!((part.told, wanted), (Some(Told::Bucket(is)), Some(wants)) if is.tokens < wants.tokens / 2);
        if (share > held || is_lean && since >= SECOND)
            && let Some(bucket) = wanted.filter(|bucket| self.affords(Some(id), bucket.tokens.into(), supply))
        {
            return Some(self.assign(id, Some(bucket), now));
        }
        // A raise that cannot be paid waits, and what it was to replace goes on.
        let part = self.parts.get_mut(&id)?;
        if part.told.is_some() && since < SEND_EVERY_NS {
            return None;
        }
        let Some(Told::Bucket(present)) = part.told else { return Some(self.assign(id, None, now)) };
        // A burst that falls below one token for each of them: somebody has to go without.
        if self.present_tokens(None) * MICRO as i128 > supply.burst_micro {
            return Some(self.assign(id, None, now));
        }
        // Sent again while it surely lives, it is the same bucket; later it may be a new one, and full.
        if since.saturating_add(self.terms.delay_ns) < self.terms.ttl_ns() {
            let part = self.parts.get_mut(&id)?;
            part.book.extend(now.saturating_add(self.terms.life_ns()));
            part.sent_at = now;
            return part.told;
        }
        let paid = Some(present).filter(|bucket| self.affords(Some(id), bucket.tokens.into(), supply));
        Some(self.assign(id, paid, now))
    }

    /// Books what a stream is told; None: it is to deny.
    fn assign(&mut self, id: u64, bucket: Option<Bucket>, now: i64) -> Told {
        let told = bucket.map_or(Told::Deny, Told::Bucket);
        self.slack -= bucket.map_or(0, |bucket| i128::from(bucket.tokens)) * MICRO as i128;
        let until = now.saturating_add(self.terms.life_ns());
        let part = self.parts.get_mut(&id).expect("a stream that is told something is there");
        part.book.replace(bucket, until);
        (part.told, part.sent_at) = (Some(told), now);
        told
    }
}

/// The bucket of a share: no more than a second's worth, so that a proxy that keeps its fill's ratio mints nothing beyond
/// what was paid.
fn bucket(share: u64, supply: &Supply) -> Bucket {
    let per_s = u32::try_from(share).unwrap_or(u32::MAX);
    let burst = u128::try_from(supply.burst_micro).unwrap_or(0);
    let part = u128::from(per_s) * burst / BUCKETS_ONE_IN / supply.limit_micro.max(1);
    let tokens = u32::try_from(part.clamp(1, per_s.max(1).into())).unwrap_or(u32::MAX);
    Bucket { tokens, per_s }
}

/// Whether what is held is less than what is wanted by more than a move is worth.
fn is_short(held: u64, wants: u64) -> bool {
    wants > held.saturating_add(held / SHORT_ONE_IN)
}
