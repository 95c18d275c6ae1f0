//! What a gate holds of one concurrency: the lease that was installed last, and when to renew. Demands are decided at the
//! door.

use std::sync::Arc;

use crate::lease::door::{Door, SlotDoor};
use crate::lease::messages::{ContractId, Lease, Renew};
use crate::lease::mutant;
use crate::lease::sent::Sent;
use crate::lease::terms::{Terms, ns_of};

#[derive(Debug)]
pub(crate) struct Holding {
    terms: Terms,
    contract: ContractId,
    epoch: u64,
    seq: u64,
    /// As the door has them, until `expires` of the gate's clock.
    units: u64,
    expires: i64,
    /// The part of the floor that is this gate's own until `part_until`. It is used first: what is in flight beyond it is the
    /// lease's.
    part: u64,
    part_until: i64,
    part_lasts: i64,
    door: Arc<SlotDoor>,
    /// Of a lease, beside the part.
    want: u64,
    counter: u64,
    sent: Sent,
    renew_at: i64,
    /// The keeper has not been told yet of what was installed last, or of a change of want.
    has_news: bool,
    /// The lease that was installed last held nothing, and nothing was wanted.
    is_at_rest: bool,
}

impl Holding {
    pub(crate) fn new(contract: ContractId, terms: Terms) -> Holding {
        Holding {
            terms,
            contract,
            epoch: 0,
            seq: 0,
            units: 0,
            expires: i64::MIN,
            part: 0,
            part_until: i64::MIN,
            part_lasts: 0,
            door: Arc::new(SlotDoor::new()),
            want: 0,
            counter: 0,
            sent: Sent::default(),
            renew_at: i64::MAX,
            has_news: false,
            is_at_rest: false,
        }
    }

    pub(crate) fn door(&self) -> Door {
        Door::Slots(Arc::clone(&self.door))
    }

    pub(crate) fn in_flight(&self) -> u64 {
        u64::try_from((self.units + self.part).cast_signed() - self.door.free()).unwrap_or(0)
    }

    /// Of that, what a lease has to cover.
    fn leased(&self) -> u64 {
        self.in_flight().saturating_sub(self.part)
    }

    /// Installs a part of the floor, or says again that it is this gate's: until `sent` and `lasts`, and as long after each
    /// renewal that is answered. So none ends under a lease that goes on, with something in flight on it.
    pub(crate) fn set_part(&mut self, part: u64, sent: i64, lasts: i64) {
        let until = sent.saturating_add(lasts);
        let until = if self.part == part { until.max(self.part_until) } else { until };
        self.part_lasts = lasts;
        let before = if mutant!(PartAgain) { 0 } else { self.part };
        self.door.set_part(before, part, until);
        (self.part, self.part_until) = (part, until);
    }

    /// Puts a lease into the door.
    fn put(&mut self, units: u64, expires: i64) {
        self.door.set(self.units, units, expires);
        (self.units, self.expires) = (units, expires);
    }

    /// What a lease allows at `now`, what is in flight on it included.
    fn units(&self, now: i64) -> u64 {
        if now < self.expires { self.units } else { 0 }
    }

    /// What may be admitted at `now`, what is in flight included.
    pub(crate) fn allowed(&self, now: i64) -> u64 {
        self.units(now) + if now < self.part_until { self.part } else { 0 }
    }

    /// When the part of the floor ends.
    pub(crate) fn part_ends_at(&self) -> i64 {
        self.part_until
    }

    pub(crate) fn ends_at(&self) -> i64 {
        self.expires
    }

    /// How much would be of use, in micro-units, those in flight included.
    pub(crate) fn demand(&mut self, now: i64, want: u64) {
        let want = want.saturating_sub(self.part);
        let more = want > self.units(now) && want > self.want;
        if want != self.want {
            self.has_news = true;
            self.want = want;
            let soon = if more { self.pause_ns() } else { self.terms.lease_ns / 3 };
            self.renew_at = self.renew_at.min(now.saturating_add(soon));
        }
    }

    /// Ends lease and part here and now.
    pub(crate) fn close(&mut self, now: i64) {
        self.put(0, self.expires.min(now));
        self.set_part(0, now, 0);
        self.demand(now, 0);
        self.renew_at = now;
    }

    /// More is wanted than is held: asks again as soon as may be.
    pub(crate) fn hurry(&mut self, now: i64) {
        let last = self.sent.last().unwrap_or(i64::MIN);
        if self.units(now) < self.want {
            self.renew_at = self.renew_at.min(last.saturating_add(self.pause_ns() / 4).max(now));
        }
    }

    /// The message to send now, if one is due.
    pub(crate) fn due(&mut self, now: i64) -> Option<Renew> {
        (now >= self.renew_at).then(|| self.renew(now))
    }

    /// Restates what is held, on a new stream or because it was asked for.
    pub(crate) fn renew(&mut self, now: i64) -> Renew {
        self.counter += 1;
        self.sent.note(self.counter, now);
        self.has_news = false;
        self.renew_at = if self.is_idle(now) { i64::MAX } else { now.saturating_add(self.pause_ns()) };
        let lapsed = now >= self.expires;
        if lapsed {
            // A demand that looked at its clock before the end must not enter after this was said.
            self.put(0, self.expires);
        }
        if now >= self.part_until && self.part > 0 && !mutant!(PartWithoutEnd) {
            self.set_part(0, self.part_until, 0);
        }
        let in_flight = self.leased();
        let Holding { contract, want, epoch, seq, counter, .. } = *self;
        Renew { contract, want, epoch, seq, lapsed, counter, in_flight }
    }

    /// Installs a lease; the message to send back at once, if the keeper waits for one.
    pub(crate) fn install(&mut self, now: i64, lease: &Lease) -> Option<Renew> {
        let newer =
            (lease.epoch, lease.seq) > (self.epoch, self.seq) || mutant!(EpochUnordered) && lease.seq > self.seq;
        if !newer && !mutant!(StaleLeases) {
            return None;
        }
        match lease.in_reply_to {
            // It may overtake the reply to which it belongs: the lower number and the earlier end stand.
            None if mutant!(PushUnheeded) => {}
            None if !mutant!(PushRenews) => self.put(self.units.min(lease.units), self.expires),
            reply => {
                let sent = reply.and_then(|counter| self.sent.at(counter));
                let sent = if mutant!(CountFromLatest) { self.sent.last() } else { sent };
                let sent =
                    if mutant!(CountFromReceipt) { Some(now) } else { sent.or(mutant!(PushRenews).then_some(now)) };
                let term = if reply.is_some() { ns_of(lease.term_ms) } else { self.terms.lease_ns };
                self.put(lease.units, sent?.saturating_add(self.terms.shorter(term)));
                if now < self.part_until {
                    self.set_part(self.part, sent?, self.part_lasts);
                }
                let third = sent?.saturating_add(self.terms.lease_ns / 3);
                let unmet = self.units < self.want || self.expires <= third;
                let next = if unmet { self.expires.min(third).max(now + self.pause_ns()) } else { third };
                self.renew_at = if self.is_idle(now) { i64::MAX } else { next };
            }
        }
        (self.epoch, self.seq) = (lease.epoch, lease.seq);
        // That nothing is held and nothing wanted is said once more, so that the keeper need not wait for the end; then both
        // are silent.
        let was_at_rest = std::mem::replace(&mut self.is_at_rest, self.want == 0 && self.units == 0);
        (lease.in_reply_to.is_none() || self.is_at_rest && !was_at_rest).then(|| self.renew(now))
    }

    /// When `due` has something, if nothing happens before.
    pub(crate) fn renew_at(&self) -> i64 {
        self.renew_at
    }

    fn is_idle(&self, now: i64) -> bool {
        self.want == 0 && self.leased() == 0 && self.units(now) == 0 && !self.has_news
    }

    /// Between two messages that nothing else calls for.
    fn pause_ns(&self) -> i64 {
        self.terms.lease_ns / 16
    }
}
