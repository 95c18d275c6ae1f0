//! What a keeper has to assume that one holder may still use of a concurrency.
//!
//! Booked is the largest of the grants that may still be in force and of what was last reported in flight. A grant leaves
//! the book when the holder acknowledged a later one (it will refuse the earlier), or reported after its end; where
//! nothing is heard, all of it stays until `max_hold` after the end. Source: docs/leases.md.

use crate::curve::LEVEL_MAX;
use crate::lease::messages::Renew;
use crate::lease::mutant;
use crate::lease::terms::Terms;

/// Grants kept one by one; beyond that the oldest two become one, as large as the larger and acknowledged with the later.
const GRANTS_MAX: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grant {
    seq: u64,
    units: u64,
    /// When it has ended for certain, on the keeper's clock.
    deadline: i64,
}

/// A write of this holder's row that the store has not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) write: u64,
    pub(crate) by: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Booking {
    grants: Vec<Grant>,
    /// As last reported.
    in_flight: u64,
    pub(crate) want: u64,
    pub(crate) counter: u64,
    /// All that was ever admitted has ended by then, unless something new was heard or granted.
    gone_at: i64,
    /// What the store has for this holder, as last answered.
    row: u64,
    pub(crate) pending: Option<Pending>,
}

impl Booking {
    /// What a keeper before this one may have granted: any of it, until `deadline`. An acknowledgement of anything that
    /// this keeper grants ends it, for grants of earlier epochs are refused from then on.
    pub(crate) fn inherited(row: u64, deadline: i64, terms: &Terms) -> Booking {
        let grants = vec![Grant { seq: 0, units: row, deadline }];
        let gone_at = deadline.saturating_add(terms.longer(terms.max_hold_ns));
        Booking { grants, row, want: row, gone_at, ..Booking::default() }
    }

    /// Takes a holder's word; false where it is older than what is known. `epoch` is this keeper's.
    pub(crate) fn hear(&mut self, now: i64, renew: &Renew, epoch: u64, terms: &Terms) -> bool {
        if renew.counter <= self.counter && !mutant!(OldReportsHeard) {
            return false;
        }
        self.counter = renew.counter;
        // No limit is higher: what a gate says beyond it only has to stay countable.
        (self.want, self.in_flight) = (renew.want.min(LEVEL_MAX), renew.in_flight.min(LEVEL_MAX));
        self.gone_at = self.gone_at.max(now.saturating_add(terms.longer(terms.max_hold_ns)));
        if renew.epoch == epoch || mutant!(AnyEpochAcknowledges) {
            let ends_own = renew.lapsed || mutant!(AckEndsItsOwn);
            self.grants.retain(|g| g.seq > renew.seq || (g.seq == renew.seq && !ends_own));
            if mutant!(AckEndsLater) {
                self.grants.retain(|g| g.seq == renew.seq);
            }
        }
        true
    }

    /// Books a grant with `units` until `deadline`, that of the lease before for one that was pushed.
    pub(crate) fn grant(&mut self, seq: u64, units: u64, deadline: i64, terms: &Terms) {
        if mutant!(ShrinkBeforeAck) {
            self.grants.clear();
        }
        if self.grants.len() == GRANTS_MAX {
            let oldest = self.grants.remove(0);
            let next = &mut self.grants[0];
            let kept =
                if mutant!(MergedToSmaller) { next.units.min(oldest.units) } else { next.units.max(oldest.units) };
            next.units = kept;
            next.deadline = next.deadline.max(oldest.deadline);
        }
        self.grants.push(Grant { seq, units, deadline });
        let hold = if mutant!(HoldWithoutFactor) { terms.max_hold_ns } else { terms.longer(terms.max_hold_ns) };
        self.gone_at = self.gone_at.max(deadline.saturating_add(hold));
    }

    /// What the holder may have in flight at `now` or later without a new grant.
    pub(crate) fn booked(&self, now: i64) -> u64 {
        if now >= self.gone_at {
            return 0;
        }
        if mutant!(EndOfLeaseFrees) && self.lasts_until() <= now {
            return 0;
        }
        if mutant!(HeldAsReported) && self.lasts_until() <= now {
            return self.in_flight;
        }
        let granted = self.grants.iter().map(|g| g.units).max().unwrap_or(0);
        if mutant!(InFlightUnbooked) { granted } else { granted.max(self.in_flight) }
    }

    /// Up to which a grant needs no write: what is durable, and not on its way out.
    pub(crate) fn backed(&self) -> u64 {
        match self.pending {
            Some(Pending { by, .. }) if by < 0 && !mutant!(ShrinkingCounts) => self.row - by.unsigned_abs(),
            _ => self.row,
        }
    }

    /// How much of the row the holder cannot use any more.
    pub(crate) fn spare(&self, now: i64) -> u64 {
        let used = if mutant!(RowBelowBooked) && now < self.gone_at { self.in_flight } else { self.booked(now) };
        if self.pending.is_some() { 0 } else { self.row.saturating_sub(used) }
    }

    /// The store answered the pending write.
    pub(crate) fn answered(&mut self, granted: bool) {
        if let (Some(Pending { by, .. }), true) = (self.pending.take(), granted) {
            self.row = self.row.saturating_add_signed(by);
        }
    }

    /// The latest end of a grant that may be in force.
    pub(crate) fn lasts_until(&self) -> i64 {
        self.grants.iter().filter(|g| g.units > 0).map(|g| g.deadline).max().unwrap_or(i64::MIN)
    }

    /// What was granted last.
    pub(crate) fn latest_units(&self) -> u64 {
        self.grants.last().map_or(0, |g| g.units)
    }

    /// Nothing is booked, nothing is in the store, nothing is on its way.
    pub(crate) fn is_gone(&self, now: i64) -> bool {
        now >= self.gone_at && self.row == 0 && self.pending.is_none()
    }

    /// The holder said that it is done.
    pub(crate) fn end(&mut self) {
        self.grants.clear();
        (self.in_flight, self.want, self.gone_at) = (0, 0, i64::MIN);
    }

    /// The next instant at which other units are booked if nothing is heard before; in the past: none any more.
    pub(crate) fn changes_at(&self, now: i64) -> i64 {
        let until = self.lasts_until();
        if until > now && mutant!(EndOfLeaseFrees) {
            return until;
        }
        if until > now && mutant!(HeldAsReported) { until } else { self.gone_at }
    }

    /// When all of it has ended, if nothing is heard before.
    pub(crate) fn gone_at(&self) -> i64 {
        self.gone_at
    }

    pub(crate) fn in_flight_at(&self, now: i64) -> u64 {
        if now < self.gone_at { self.in_flight } else { 0 }
    }

    pub(crate) fn wants_at(&self, now: i64) -> u64 {
        if now < self.gone_at { self.want } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;
    const EPOCH: u64 = 3;

    fn terms() -> Terms {
        Terms::new(5 * SECOND, SECOND, 10 * SECOND, 0).unwrap()
    }

    fn renew(counter: u64, seq: u64, in_flight: u64) -> Renew {
        Renew { contract: 1, want: 9, epoch: EPOCH, seq, lapsed: false, counter, in_flight }
    }

    #[test]
    fn a_smaller_grant_counts_only_once_it_is_acknowledged() {
        let mut booking = Booking::default();
        booking.grant(1, 6, 5 * SECOND, &terms());
        booking.grant(2, 2, 5 * SECOND, &terms());
        assert_eq!(6, booking.booked(0));
        assert!(booking.hear(0, &renew(1, 1, 5), EPOCH, &terms()));
        assert_eq!(6, booking.booked(0));
        assert!(booking.hear(0, &renew(2, 2, 5), EPOCH, &terms()));
        assert_eq!(5, booking.booked(0), "what is in flight stays");
        assert!(booking.hear(0, &renew(3, 2, 0), EPOCH, &terms()));
        assert_eq!(2, booking.booked(0));
    }

    #[test]
    fn a_silent_holder_keeps_the_whole_grant_until_max_hold_after_its_end() {
        let mut booking = Booking::default();
        booking.grant(1, 6, 5 * SECOND, &terms());
        booking.hear(0, &renew(1, 1, 1), EPOCH, &terms());
        assert_eq!([6, 6, 0], [5, 14, 15].map(|at| booking.booked(at * SECOND)));
    }

    #[test]
    fn a_report_after_the_end_leaves_what_is_in_flight() {
        let mut booking = Booking::default();
        booking.grant(1, 6, 5 * SECOND, &terms());
        booking.hear(6 * SECOND, &Renew { lapsed: true, ..renew(1, 1, 2) }, EPOCH, &terms());
        assert_eq!(2, booking.booked(6 * SECOND));
    }

    #[test]
    fn an_acknowledgement_of_another_epoch_ends_nothing() {
        let mut booking = Booking::inherited(6, 5 * SECOND, &terms());
        booking.hear(0, &Renew { epoch: EPOCH - 1, lapsed: true, ..renew(1, 900, 1) }, EPOCH, &terms());
        assert_eq!(6, booking.booked(0));
        booking.grant(7, 2, 5 * SECOND, &terms());
        booking.hear(0, &renew(2, 7, 1), EPOCH, &terms());
        assert_eq!(2, booking.booked(0));
    }

    #[test]
    fn an_older_report_changes_nothing() {
        let mut booking = Booking::default();
        booking.hear(0, &renew(5, 0, 4), EPOCH, &terms());
        assert!(!booking.hear(0, &renew(5, 0, 1), EPOCH, &terms()));
        assert!(!booking.hear(0, &renew(4, 0, 1), EPOCH, &terms()));
        assert_eq!(4, booking.booked(0));
    }

    proptest! {
        #[test]
        fn more_grants_than_are_kept_one_by_one_never_book_less(units in prop::collection::vec(0u64..100, 1..40)) {
            let mut booking = Booking::default();
            for (seq, &n) in units.iter().enumerate() {
                booking.grant(seq as u64 + 1, n, SECOND, &terms());
            }
            prop_assert_eq!(units.iter().max(), Some(&booking.booked(0)));
            prop_assert!(booking.grants.len() <= GRANTS_MAX);
        }
    }
}
