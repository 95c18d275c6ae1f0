//! The bookings of one concurrency with their sums, kept up as each changes: a renewal costs the same whoever else holds.
//!
//! What is booked falls by itself when a holder was silent for long enough. Such instants stand in order, and `pass` takes
//! in those that have come; what it leaves to write or to forget is told by `over`.

use std::collections::{BTreeMap, BTreeSet};

use crate::lease::booking::Booking;
use crate::lease::messages::Holder;

#[derive(Debug, Default)]
struct Entry {
    booking: Booking,
    /// As it stands in the sums.
    booked: u64,
    backed: u64,
    /// Where it stands among the instants to look at it; none: `i64::MAX`.
    look_at: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    entries: BTreeMap<Holder, Entry>,
    booked: u64,
    backed: u64,
    /// No grant that is out lasts longer. It stays where a later one was acknowledged: at most a lease too late.
    out_until: i64,
    looks: BTreeSet<(i64, Holder)>,
    /// Whose row has more than it can use, with nothing on its way to the store.
    spare: BTreeSet<Holder>,
    over: Vec<Holder>,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally { out_until: i64::MIN, ..Tally::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, holder: Holder) -> Option<&Booking> {
        self.entries.get(&holder).map(|entry| &entry.booking)
    }

    /// In the order of holders.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Holder, &Booking)> {
        self.entries.iter().map(|(&holder, entry)| (holder, &entry.booking))
    }

    /// Micro-units booked in all, as of the last `pass`.
    pub(crate) fn booked(&self) -> u64 {
        self.booked
    }

    /// Micro-units booked by others than this one.
    pub(crate) fn booked_beside(&self, holder: Holder) -> u64 {
        self.booked - self.entries.get(&holder).map_or(0, |entry| entry.booked)
    }

    /// Micro-units that rows back in all.
    pub(crate) fn backed(&self) -> u64 {
        self.backed
    }

    /// When every grant that is out has ended.
    pub(crate) fn out_until(&self) -> i64 {
        self.out_until
    }

    /// Somebody else than this one whose row can be taken off.
    pub(crate) fn with_spare(&self, except: Holder) -> Option<Holder> {
        self.spare.iter().copied().find(|&holder| holder != except)
    }

    pub(crate) fn insert(&mut self, now: i64, holder: Holder, booking: Booking) {
        self.forget(holder);
        self.entries.insert(holder, Entry { booking, look_at: i64::MAX, ..Entry::default() });
        self.count(now, holder);
    }

    /// Changes a booking; None, and nothing is done, where there is none.
    pub(crate) fn change<T>(&mut self, now: i64, holder: Holder, how: impl FnOnce(&mut Booking) -> T) -> Option<T> {
        let entry = self.entries.get_mut(&holder)?;
        let told = how(&mut entry.booking);
        self.count(now, holder);
        Some(told)
    }

    /// Takes in what has become free by itself; whether there was anything.
    pub(crate) fn pass(&mut self, now: i64) -> bool {
        let before = self.over.len();
        while let Some(&(at, holder)) = self.looks.first()
            && at <= now
        {
            self.looks.pop_first();
            if let Some(entry) = self.entries.get_mut(&holder) {
                entry.look_at = i64::MAX;
                self.over.push(holder);
                self.count(now, holder);
            }
        }
        self.over.len() > before
    }

    /// Holders that came to an end since the last call, or are to be looked at again.
    pub(crate) fn over(&mut self) -> Vec<Holder> {
        std::mem::take(&mut self.over)
    }

    pub(crate) fn forget(&mut self, holder: Holder) {
        if let Some(entry) = self.entries.remove(&holder) {
            self.booked -= entry.booked;
            self.backed -= entry.backed;
            self.looks.remove(&(entry.look_at, holder));
            self.spare.remove(&holder);
        }
    }

    /// Looks at a holder again then, if nothing else calls for it before.
    pub(crate) fn look_at(&mut self, at: i64, holder: Holder) {
        if let Some(entry) = self.entries.get_mut(&holder) {
            self.looks.remove(&(entry.look_at, holder));
            entry.look_at = at;
            self.looks.insert((at, holder));
        }
    }

    /// When `pass` has something to take in, or somebody is over already.
    pub(crate) fn next_look(&self) -> Option<i64> {
        if self.over.is_empty() { self.looks.first().map(|&(at, _)| at) } else { Some(i64::MIN) }
    }

    /// Brings the sums up to what an entry is now.
    fn count(&mut self, now: i64, holder: Holder) {
        let Some(entry) = self.entries.get_mut(&holder) else { return };
        let (booked, backed) = (entry.booking.booked(now), entry.booking.backed());
        self.booked = self.booked - entry.booked + booked;
        self.backed = self.backed - entry.backed + backed;
        (entry.booked, entry.backed) = (booked, backed);
        self.out_until = self.out_until.max(entry.booking.lasts_until());
        let changes_at = entry.booking.changes_at(now);
        let has_spare = entry.booking.spare(now) > 0;
        if changes_at > now && changes_at != entry.look_at {
            self.look_at(changes_at, holder);
        }
        if has_spare {
            self.spare.insert(holder);
        } else {
            self.spare.remove(&holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::booking::Pending;
    use crate::lease::messages::Renew;
    use crate::lease::terms::Terms;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    fn terms() -> Terms {
        Terms::new(5 * SECOND, SECOND, 10 * SECOND, 0).unwrap()
    }

    fn change(tally: &mut Tally, now: i64, holder: Holder, what: u8, n: u64) {
        let terms = terms();
        if tally.get(holder).is_none() {
            tally.insert(now, holder, Booking::default());
        }
        let seq = n;
        tally.change(now, holder, |booking| match what {
            0 => booking.grant(seq, n, now + 3 * SECOND, &terms),
            1 => {
                let counter = booking.counter + 1;
                let in_flight = n / 2;
                let renew = Renew { contract: 0, want: n, epoch: 1, seq, lapsed: false, counter, in_flight };
                booking.hear(now, &renew, 1, &terms);
            }
            2 => booking.pending = booking.pending.or(Some(Pending { write: 1, by: n.cast_signed() })),
            3 => booking.answered(!n.is_multiple_of(4)),
            _ => booking.end(),
        });
    }

    proptest! {
        #[test]
        fn sums_are_what_adding_up_all_bookings_says(
            steps in prop::collection::vec((0u128..6, 0u8..5, 0u64..50, 0i64..4 * SECOND), 1..80),
        ) {
            let (mut tally, mut now) = (Tally::new(), 0);
            for (who, what, n, later) in steps {
                now += later;
                tally.pass(now);
                change(&mut tally, now, Holder(who), what, n);
                tally.pass(now);
                let all = || tally.entries.values().map(|entry| &entry.booking);
                prop_assert_eq!(all().map(|b| b.booked(now)).sum::<u64>(), tally.booked());
                prop_assert_eq!(all().map(Booking::backed).sum::<u64>(), tally.backed());
                prop_assert!(all().all(|b| b.lasts_until() <= tally.out_until()));
                prop_assert!(tally.iter().all(|(h, b)| (b.spare(now) > 0) == tally.spare.contains(&h)));
                for holder in tally.over() {
                    if tally.get(holder).is_some_and(|booking| booking.is_gone(now)) {
                        tally.forget(holder);
                    }
                }
            }
        }
    }

    #[test]
    fn a_holder_that_is_entered_again_or_forgotten_leaves_nothing_of_what_it_had() {
        let (mut tally, holder) = (Tally::new(), Holder(1));
        for units in [7, 4] {
            tally.insert(0, holder, Booking::inherited(units, 3 * SECOND, &terms()));
            assert_eq!((units, units, 1), (tally.booked(), tally.backed(), tally.len()));
        }
        tally.forget(holder);
        assert_eq!((0, 0, None), (tally.booked(), tally.backed(), tally.next_look()));
    }

    #[test]
    fn who_is_silent_to_the_end_is_over_once_and_forgotten_whole() {
        let (mut tally, holder) = (Tally::new(), Holder(1));
        change(&mut tally, 0, holder, 0, 7);
        assert_eq!((7, Some(13 * SECOND)), (tally.booked(), tally.next_look()));
        assert!(!tally.pass(13 * SECOND - 1));
        assert!(tally.pass(13 * SECOND));
        assert_eq!((0, vec![holder], vec![]), (tally.booked(), tally.over(), tally.over()));
        tally.forget(holder);
        assert_eq!((0, None), (tally.len(), tally.next_look()));
    }
}
