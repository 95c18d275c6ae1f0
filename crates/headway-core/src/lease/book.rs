//! One concurrency contract at its keeper: who may use what, and what the next grant is.
//!
//! A grant is `clamp(min(want, share), 0, L − Σ booked of the others)`. `L` is the lowest limit until every lease that is
//! out has ended: a lease that was given before a fall was known may cross it, and then nobody grows past what holds
//! after it. Growth is durable before the reply leaves; a renewal within what is durable writes nothing.
//!
//! What is booked is in flight on the path's own meters, so that demands of this process and of gates share one limit; in
//! the division this process is one more party, which wants what it uses.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::allocator::{Asks, Party, Priority, Terms as Agreed, divide};
use crate::grain::MICRO;
use crate::lease::booking::{Booking, Pending};
use crate::lease::course::{lowest, next_end};
use crate::lease::keeper::{Desk, Row};
use crate::lease::messages::{ContractId, FromKeeper, Holder, Lease, Renew};
use crate::lease::mutant;
use crate::lease::terms::{Terms, ns_of};
use crate::path::SlotsOut;

/// Holders that a contract has at once; one more is told nothing, and finds its demands refused.
const HOLDERS_MAX: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Book {
    contract: ContractId,
    terms: Terms,
    bookings: BTreeMap<Holder, Booking>,
    /// What is booked, on the meters.
    taken: SlotsOut,
}

impl Book {
    /// Opens with the rows that earlier keepers left; what they granted may be in force until `inherited_until`.
    pub(crate) fn open(
        now: i64,
        contract: ContractId,
        terms: Terms,
        taken: SlotsOut,
        rows: &[Row],
        inherited_until: i64,
    ) -> Book {
        let rows = if mutant!(RowsForgotten) { &[] } else { rows };
        let bookings = rows.iter().map(|r| (r.holder, Booking::inherited(r.units, inherited_until, &terms)));
        let mut book = Book { contract, terms, bookings: bookings.collect(), taken };
        book.balance(now);
        book
    }

    pub(crate) fn hear(&mut self, now: i64, holder: Holder, renew: &Renew, desk: &mut Desk) {
        if self.bookings.len() >= HOLDERS_MAX && !self.bookings.contains_key(&holder) {
            return;
        }
        let booking = self.bookings.entry(holder).or_default();
        if booking.hear(now, renew, desk.epoch, &self.terms) {
            self.balance(now);
            self.answer(now, holder, true, desk);
        }
    }

    /// The store answered a write for `holder`; true where the holder waits for it and is to be answered.
    pub(crate) fn durable(&mut self, now: i64, holder: Holder, write: u64, granted: bool) -> bool {
        let Some(booking) = self.bookings.get_mut(&holder) else { return false };
        let Some(pending) = booking.pending.filter(|p| p.write == write) else { return false };
        booking.answered(granted);
        pending.by > 0 && now < booking.gone_at()
    }

    /// The holder is done with everything, or proven dead.
    pub(crate) fn end(&mut self, now: i64, holder: Holder, desk: &mut Desk) {
        if let Some(booking) = self.bookings.get_mut(&holder) {
            booking.end();
        }
        self.sweep(now, desk);
    }

    /// The meters have new curves. Holders whose grant is above what they may have now are told at once.
    pub(crate) fn published(&mut self, now: i64, desk: Option<&mut Desk>) {
        self.balance(now);
        let Some(desk) = desk else { return };
        let held: Vec<Holder> =
            self.bookings.iter().filter(|(_, b)| b.lasts_until() > now).map(|(&holder, _)| holder).collect();
        for holder in held {
            let (units, _) = self.decide(now, holder);
            let Some(booking) = self.bookings.get_mut(&holder).filter(|b| units < b.latest_units()) else { continue };
            let seq = desk.next_seq();
            booking.grant(seq, units, booking.lasts_until(), &self.terms);
            let (contract, epoch) = (self.contract, desk.epoch);
            let lease = Lease { contract, epoch, seq, units, term_ms: 0, in_reply_to: None };
            desk.send(holder, FromKeeper::Lease(lease));
        }
    }

    /// Forgets who is gone; what the store still has of them is taken off there, lazily.
    pub(crate) fn sweep(&mut self, now: i64, desk: &mut Desk) {
        self.bookings.retain(|_, b| !b.is_gone(now));
        self.balance(now);
        let (contract, bookings) = (self.contract, &mut self.bookings);
        for (&holder, booking) in bookings.iter_mut().filter(|(_, b)| now >= b.gone_at() && b.spare(now) > 0) {
            let by = -(booking.spare(now) as i64);
            booking.pending = Some(Pending { write: desk.write(contract, holder, by), by });
        }
    }

    /// When `sweep` has something to do next, if nothing is heard before.
    pub(crate) fn next_sweep(&self) -> Option<i64> {
        self.bookings.values().filter(|b| b.pending.is_none()).map(Booking::gone_at).min()
    }

    /// Answers the holder's latest message: with what it may have, or with a write that has to come first.
    pub(crate) fn answer(&mut self, now: i64, holder: Holder, may_grow: bool, desk: &mut Desk) {
        let (units, term_ms) = self.decide(now, holder);
        let Some(booking) = self.bookings.get(&holder) else { return };
        let backed = booking.backed();
        if units > backed && may_grow && booking.pending.is_none() {
            self.grow(now, holder, units - backed, desk);
            if !mutant!(WriteBehind) {
                return;
            }
        }
        let unbacked = if mutant!(RefusedGrowthGranted) && !may_grow { u64::MAX } else { 0 };
        let units = if mutant!(WriteBehind) { units } else { units.min(backed.max(unbacked)) };
        let units = self.take(now, holder, units);
        let Some(booking) = self.bookings.get_mut(&holder) else { return };
        let (seq, in_reply_to) = (desk.next_seq(), Some(booking.counter));
        booking.grant(seq, units, now.saturating_add(self.terms.longer(ns_of(term_ms))), &self.terms);
        let (contract, epoch) = (self.contract, desk.epoch);
        desk.send(holder, FromKeeper::Lease(Lease { contract, epoch, seq, units, term_ms, in_reply_to }));
        self.balance(now);
    }

    /// Takes what a grant adds to what is booked from the meters. Where a demand of this process was faster the holder
    /// gets no more than is booked for it.
    fn take(&mut self, now: i64, holder: Holder, units: u64) -> u64 {
        let booked = self.bookings.get(&holder).map_or(0, |b| b.booked(now));
        let more = units.saturating_sub(booked);
        let fits = more == 0 || self.taken.resize(now, self.taken.micro() + more);
        if fits || mutant!(BelowIsAlwaysAllowed) { units } else { booked }
    }

    /// Has in flight on the meters what is booked: what was told or inherited counts whatever the limit is, what nobody may
    /// use any more is free.
    fn balance(&mut self, now: i64) {
        let booked = self.bookings.values().map(|b| b.booked(now)).sum();
        self.taken.force(now, booked);
    }

    /// Writes growth for a holder, after taking off what others cannot use any more, where the store would else be full.
    fn grow(&mut self, now: i64, holder: Holder, by: u64, desk: &mut Desk) {
        let (limit, _) = self.taken.tightest(now, |curve| lowest(curve, &self.terms, now, now));
        let rows: u64 = self.bookings.values().map(Booking::backed).sum();
        let mut short = (rows + by).saturating_sub(limit);
        for (&other, booking) in &mut self.bookings {
            let spare = booking.spare(now);
            if short > 0 && spare > 0 && other != holder {
                let less = -(spare as i64);
                booking.pending = Some(Pending { write: desk.write(self.contract, other, less), by: less });
                short = short.saturating_sub(spare);
            }
        }
        let by = by as i64;
        if let Some(booking) = self.bookings.get_mut(&holder) {
            booking.pending = Some(Pending { write: desk.write(self.contract, holder, by), by });
        }
    }

    /// Units that the holder may have now, and for how long: up to the next planned step down, for none crosses it.
    fn decide(&self, now: i64, holder: Holder) -> (u64, u32) {
        let fall = self.taken.earliest_end(|curve| next_end(curve, &self.terms, now));
        let whole = (self.terms.lease_ns / 1_000_000) as u32;
        let term_ms = fall.map_or(whole, |at| self.terms.term_ms_within(at - now).min(whole));
        if term_ms == 0 {
            return (0, 0);
        }
        let end = now.saturating_add(self.terms.longer(ns_of(term_ms)));
        let out = self.bookings.values().map(Booking::lasts_until).max().unwrap_or(end);
        let end = if mutant!(LimitOfNow) { now } else { end.max(out) };
        let (limit, own) = self.taken.tightest(now, |curve| lowest(curve, &self.terms, now, end));
        let fair = self.share(now, holder, limit, own);
        let others: u64 = self.bookings.iter().filter(|&(&h, _)| h != holder).map(|(_, b)| b.booked(now)).sum();
        let mut units = fair.min(limit.saturating_sub(own.saturating_add(others)));
        if mutant!(BelowIsAlwaysAllowed) {
            units = units.max(fair.min(self.bookings[&holder].booked(now)));
        }
        (units, term_ms)
    }

    /// The holder's part of the limit beside what the others want, in whole units; those that do not divide go round from
    /// one lease to the next.
    fn share(&self, now: i64, holder: Holder, limit: u64, own: u64) -> u64 {
        let agreed = Agreed { guarantee: 0, weight: NonZeroU32::MIN, ceiling: None, priority: Priority::Normal };
        let here = (own > 0).then(|| own.div_ceil(MICRO));
        let wants = self.bookings.values().map(|b| b.wants_at(now).div_ceil(MICRO)).chain(here);
        let parties: Vec<Party> = wants.map(|want| Party { terms: agreed, asks: Asks::Want(want) }).collect();
        let turn = (now / self.terms.lease_ns).unsigned_abs();
        let shares = divide(limit / MICRO, &parties, turn);
        let place = self.bookings.keys().position(|&h| h == holder);
        let wanted = self.bookings.get(&holder).map_or(0, |b| b.wants_at(now));
        place.and_then(|i| shares.get(i)).map_or(0, |&units| (units * MICRO).min(wanted))
    }
}
