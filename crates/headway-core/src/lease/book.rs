//! One concurrency contract at its keeper: who may use what, and what the next grant is.
//!
//! A grant is `clamp(min(want, share), 0, L − Σ booked of the others)`. `L` is the lowest limit until every lease that is
//! out has ended: a lease that was given before a fall was known may cross it, and then nobody grows past what holds
//! after it. Growth is durable before the reply leaves; a renewal within what is durable writes nothing.
//!
//! What is booked is in flight on the path's own meters, so that demands of this process and of gates share one limit; in
//! the division this process is one more party, which wants what it uses.

use crate::lease::booking::{Booking, Pending};
use crate::lease::course::{lowest, next_end};
use crate::lease::fair::{Divided, Fair};
use crate::lease::keeper::{Desk, Row};
use crate::lease::messages::{ContractId, FromKeeper, Held, Holder, Lease, Renew};
use crate::lease::mutant;
use crate::lease::tally::Tally;
use crate::lease::terms::{Terms, ns_of};
use crate::path::SlotsOut;

/// Holders that a contract has at once; one more is told nothing, and finds its demands refused.
const HOLDERS_MAX: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Book {
    contract: ContractId,
    terms: Terms,
    bookings: Tally,
    fair: Fair,
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
        let mut bookings = Tally::new();
        for row in rows {
            bookings.insert(now, row.holder, Booking::inherited(row.units, inherited_until, &terms));
        }
        let mut book = Book { contract, terms, bookings, fair: Fair::default(), taken };
        book.balance(now);
        book
    }

    pub(crate) fn hear(&mut self, now: i64, holder: Holder, renew: &Renew, desk: &mut Desk) {
        if self.bookings.get(holder).is_none() {
            // A message without a number is none: it would leave a booking that nothing ends.
            if renew.counter == 0 || self.bookings.len() >= HOLDERS_MAX {
                return;
            }
            self.bookings.insert(now, holder, Booking::default());
        }
        let (epoch, terms, fair) = (desk.epoch, self.terms, &mut self.fair);
        let is_news = self.bookings.change(now, holder, |booking| {
            let before = booking.wants_at(now);
            let is_news = booking.hear(now, renew, epoch, &terms);
            if booking.wants_at(now) != before {
                fair.changed();
            }
            is_news
        });
        if is_news == Some(true) {
            self.balance(now);
            self.answer(now, holder, true, desk);
        }
    }

    /// The store answered a write for `holder`; true where the holder waits for it and is to be answered.
    pub(crate) fn durable(&mut self, now: i64, holder: Holder, write: u64, granted: bool) -> bool {
        let pending = self.bookings.get(holder).and_then(|booking| booking.pending);
        let Some(pending) = pending.filter(|p| p.write == write) else { return false };
        self.bookings.change(now, holder, |booking| booking.answered(granted));
        let is_over = self.bookings.get(holder).is_none_or(|booking| now >= booking.gone_at());
        if is_over {
            // What the store did not take off is tried again after a moment.
            let pause = if granted { 0 } else { self.terms.lease_ns / 16 };
            self.bookings.look_at(now.saturating_add(pause), holder);
        }
        pending.by > 0 && !is_over
    }

    /// The holder is done with everything, or proven dead.
    pub(crate) fn end(&mut self, now: i64, holder: Holder, desk: &mut Desk) {
        self.bookings.change(now, holder, Booking::end);
        self.bookings.look_at(now, holder);
        self.sweep(now, desk);
    }

    /// The meters have new curves. Holders whose grant is above what they may have now are told at once. Those who could have
    /// more are told what they have: that makes them renew.
    pub(crate) fn published(&mut self, now: i64, desk: Option<&mut Desk>) {
        self.balance(now);
        let Some(desk) = desk else { return };
        // A cut is divided at once, among however many.
        self.fair = Fair::default();
        let has_lease = |(_, booking): &(Holder, &Booking)| booking.lasts_until() > now;
        let held: Vec<Holder> = self.bookings.iter().filter(has_lease).map(|(holder, _)| holder).collect();
        for holder in held {
            let (units, _) = self.decide(now, holder);
            let terms = self.terms;
            let pushed = self.bookings.change(now, holder, |booking| {
                let seq = (units != booking.latest_units()).then(|| desk.next_seq())?;
                let units = units.min(booking.latest_units());
                booking.grant(seq, units, booking.lasts_until(), &terms);
                Some((seq, units))
            });
            let Some((seq, units)) = pushed.flatten() else { continue };
            let (contract, epoch) = (self.contract, desk.epoch);
            let lease = Lease { contract, epoch, seq, units, term_ms: 0, in_reply_to: None };
            desk.send(holder, FromKeeper::Lease(lease));
        }
    }

    /// Forgets who is gone; what the store still has of them is taken off there, lazily.
    pub(crate) fn sweep(&mut self, now: i64, desk: &mut Desk) {
        self.balance(now);
        for holder in self.bookings.over() {
            let Some(booking) = self.bookings.get(holder).filter(|b| now >= b.gone_at()) else { continue };
            if booking.is_gone(now) {
                self.bookings.forget(holder);
            } else if booking.spare(now) > 0 {
                self.take_off(now, holder, desk);
            }
        }
    }

    /// What each holder has.
    pub(crate) fn held(&self, now: i64) -> Vec<Held> {
        let of = |(holder, b): (Holder, &Booking)| {
            let (on_loan, may) = (b.booked(now), if now < b.lasts_until() { b.latest_units() } else { 0 });
            let (draining, is_short) = (on_loan.saturating_sub(may), may < b.wants_at(now));
            Held { holder, on_loan, in_flight: b.in_flight_at(now), draining, is_short, oldest_block: None }
        };
        self.bookings.iter().map(of).collect()
    }

    /// When `sweep` has something to do next, if nothing is heard before.
    pub(crate) fn next_sweep(&self) -> Option<i64> {
        self.bookings.next_look()
    }

    /// Answers the holder's latest message: with what it may have, or with a write that has to come first.
    pub(crate) fn answer(&mut self, now: i64, holder: Holder, may_grow: bool, desk: &mut Desk) {
        let (units, term_ms) = self.decide(now, holder);
        let Some(booking) = self.bookings.get(holder) else { return };
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
        let (seq, terms) = (desk.next_seq(), self.terms);
        let deadline = now.saturating_add(terms.longer(ns_of(term_ms)));
        let counter = self.bookings.change(now, holder, |booking| {
            booking.grant(seq, units, deadline, &terms);
            booking.counter
        });
        let (contract, epoch) = (self.contract, desk.epoch);
        let lease = Lease { contract, epoch, seq, units, term_ms, in_reply_to: counter };
        desk.send(holder, FromKeeper::Lease(lease));
        self.balance(now);
    }

    /// Takes what a grant adds to what is booked from the meters. Where a demand of this process was faster the holder
    /// gets no more than is booked for it.
    fn take(&mut self, now: i64, holder: Holder, units: u64) -> u64 {
        let booked = self.bookings.get(holder).map_or(0, |b| b.booked(now));
        let more = units.saturating_sub(booked);
        let fits = more == 0 || self.taken.resize(now, self.taken.micro() + more);
        if fits || mutant!(BelowIsAlwaysAllowed) { units } else { booked }
    }

    /// Has in flight on the meters what is booked: what was told or inherited counts whatever the limit is, what nobody may
    /// use any more is free.
    fn balance(&mut self, now: i64) {
        if self.bookings.pass(now) {
            self.fair.changed();
        }
        self.taken.force(now, self.bookings.booked());
    }

    /// Writes growth for a holder, after taking off what others cannot use any more, where the store would else be full.
    fn grow(&mut self, now: i64, holder: Holder, by: u64, desk: &mut Desk) {
        let (limit, _) = self.taken.tightest(now, |curve| lowest(curve, &self.terms, now, now));
        while self.bookings.backed() + by > limit
            && let Some(other) = self.bookings.with_spare(holder)
        {
            self.take_off(now, other, desk);
        }
        let by = by as i64;
        let write = desk.write(self.contract, holder, by);
        self.bookings.change(now, holder, |booking| booking.pending = Some(Pending { write, by }));
    }

    /// Takes off a row what its holder cannot use any more.
    fn take_off(&mut self, now: i64, holder: Holder, desk: &mut Desk) {
        let contract = self.contract;
        self.bookings.change(now, holder, |booking| {
            let by = -(booking.spare(now) as i64);
            booking.pending = Some(Pending { write: desk.write(contract, holder, by), by });
        });
    }

    /// Units that the holder may have now, and for how long: up to the next planned step down, for none crosses it.
    fn decide(&mut self, now: i64, holder: Holder) -> (u64, u32) {
        let fall = self.taken.earliest_end(|curve| next_end(curve, &self.terms, now));
        let whole = (self.terms.lease_ns / 1_000_000) as u32;
        let term_ms = fall.map_or(whole, |at| self.terms.term_ms_within(at - now).min(whole));
        if term_ms == 0 {
            return (0, 0);
        }
        let end = now.saturating_add(self.terms.longer(ns_of(term_ms)));
        let end = if mutant!(LimitOfNow) { now } else { end.max(self.bookings.out_until()) };
        let (limit, own) = self.taken.tightest(now, |curve| lowest(curve, &self.terms, now, end));
        let what = Divided { limit, own, turn: (now / self.terms.lease_ns).unsigned_abs() };
        let wants = self.bookings.iter().map(|(holder, booking)| (holder, booking.wants_at(now)));
        self.fair.divide(now, what, self.bookings.len(), wants);
        let Some(booking) = self.bookings.get(holder) else { return (0, term_ms) };
        let fair = self.fair.part(holder, booking.wants_at(now));
        let others = self.bookings.booked_beside(holder);
        let mut units = fair.min(limit.saturating_sub(own.saturating_add(others)));
        if mutant!(BelowIsAlwaysAllowed) {
            units = units.max(fair.min(booking.booked(now)));
        }
        (units, term_ms)
    }
}
