//! Blocks that are out, by holder: what of them moves to the meters' marks, what can be lent again.
//!
//! What is reported spent moves from loan to mark, what a gate can no longer spend leaves the loan alone, and what has
//! ended unreported counts as spent: dropping it would lend it twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::lease::messages::{Holder, Used};
use crate::lease::mutant;
use crate::path::Loan;

#[derive(Debug)]
struct Out {
    /// Micro-units, and how much of them was reported spent.
    units: u64,
    spent: u64,
    loan: Loan,
}

/// A block: whose, and its number. None: what keepers before this one had lent.
type Name = (Option<Holder>, u64);

#[derive(Debug, Default)]
pub(crate) struct Loans {
    out: BTreeMap<Name, Out>,
    /// The same by when they end.
    ends: BTreeSet<(i64, Name)>,
    /// Micro-units of all that is out.
    on_loan: u64,
}

impl Loans {
    /// Micro-units that are out.
    pub(crate) fn on_loan(&self) -> u64 {
        self.on_loan
    }

    pub(crate) fn lent_until(&self) -> i64 {
        self.ends.last().map_or(i64::MIN, |&(until, _)| until)
    }

    /// Who has blocks.
    pub(crate) fn holders(&self) -> Vec<Holder> {
        let mut holders: Vec<Holder> = self.out.keys().filter_map(|&(holder, _)| holder).collect();
        holders.dedup();
        holders
    }

    /// Micro-units that a holder has, and the number of its oldest block.
    pub(crate) fn of(&self, holder: Holder) -> (u64, Option<u64>) {
        let mut own = self.out.range((Some(holder), 0)..=(Some(holder), u64::MAX)).peekable();
        let oldest = own.peek().map(|(name, _)| name.1);
        (own.map(|(_, out)| out.loan.left()).sum(), oldest)
    }

    pub(crate) fn blocks_of(&self, holder: Holder) -> usize {
        self.out.range((Some(holder), 0)..=(Some(holder), u64::MAX)).count()
    }

    pub(crate) fn add(&mut self, now: i64, holder: Option<Holder>, seq: u64, mut loan: Loan) {
        let (units, name) = (loan.left(), (holder, seq));
        if mutant!(LoansUncounted) {
            loan.dropped(now, units);
        }
        self.on_loan += loan.left();
        self.ends.insert((loan.until(), name));
        self.out.insert(name, Out { units, spent: 0, loan });
    }

    /// Ends what has ended by `now`, the first end first: what nobody reported counts as spent.
    pub(crate) fn end(&mut self, now: i64) {
        while let Some(&(until, name)) = self.ends.first()
            && until <= now
        {
            let Some(mut loan) = self.take(name) else { return };
            if mutant!(UnreportedIsFree) {
                loan.dropped(now, u64::MAX);
            }
            loan.end(now);
        }
    }

    /// When the next block ends.
    pub(crate) fn next_end(&self) -> Option<i64> {
        self.ends.first().map(|&(until, _)| until)
    }

    /// Takes a holder's report of one block; one that has ended, or is not this holder's, is ignored.
    pub(crate) fn report(&mut self, now: i64, holder: Holder, used: &Used) {
        let name = (Some(holder), used.seq);
        let Some(out) = self.out.get_mut(&name) else { return };
        let spent = used.spent.clamp(out.spent, out.units);
        let (more, before) = (spent - out.spent, out.loan.left());
        out.spent = spent;
        if mutant!(SpentIsForgiven) {
            out.loan.dropped(now, more);
        } else {
            out.loan.spent(now, more);
        }
        self.on_loan -= before - out.loan.left();
        if used.closed
            && let Some(mut loan) = self.take(name)
        {
            loan.dropped(now, u64::MAX);
            loan.end(now);
        }
    }

    fn take(&mut self, name: Name) -> Option<Loan> {
        let loan = self.out.remove(&name)?.loan;
        self.ends.remove(&(loan.until(), name));
        self.on_loan -= loan.left();
        Some(loan)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::curve::Measure;
    use crate::lease::house::{House, UNIT};

    const A: Holder = Holder(1);

    /// Ten are out until 100 ns; what can be lent beside them, and what is on loan, in units.
    fn after(reports: &[Used], ends: bool) -> (u64, u64) {
        let house = House::new(Measure::Rate, 10, None);
        let lending = house.path.lending().unwrap();
        let mut loans = Loans::default();
        loans.add(0, Some(A), 1, lending.lend(0, 10 * UNIT, 100).unwrap());
        for used in reports {
            loans.report(0, A, used);
        }
        if ends {
            loans.end(100);
            loans.report(100, A, &used(1, 4, true));
        }
        (lending.lendable(0, 0) / UNIT, loans.on_loan() / UNIT)
    }

    fn used(seq: u64, spent: u64, closed: bool) -> Used {
        Used { epoch: 1, seq, spent: spent * UNIT, closed }
    }

    #[test]
    fn what_is_spent_moves_to_the_mark_and_what_is_dropped_can_be_lent_again() {
        assert_eq!((0, 6), after(&[used(1, 4, false)], false));
        assert_eq!((5, 0), after(&[used(1, 4, false), used(1, 5, true)], false));
    }

    #[test]
    fn what_ends_unreported_counts_as_spent_and_a_report_of_it_is_ignored() {
        assert_eq!((0, 0), after(&[used(1, 4, false)], true));
    }

    #[test]
    fn reports_of_more_than_was_lent_of_less_than_before_and_of_others_blocks_change_nothing() {
        let reports = [used(1, 99, false), used(1, 0, false), used(7, 3, true)];
        assert_eq!((0, 0), after(&reports, false));
        let house = House::new(Measure::Rate, 10, None);
        let mut loans = Loans::default();
        loans.add(0, Some(A), 1, house.path.lending().unwrap().lend(0, 10 * UNIT, 100).unwrap());
        loans.report(0, Holder(2), &used(1, 0, true));
        assert_eq!(10 * UNIT, loans.on_loan());
    }
}
