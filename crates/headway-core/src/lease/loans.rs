//! Tokens of a rate that are out: blocks, and the mark to which they move when they are spent.
//!
//! On loan counts from the moment of lending. What is reported spent moves from loan to mark, what a gate can no longer
//! spend leaves the loan alone, and what has ended unreported counts as spent: dropping it would lend it twice.

use crate::grain::{Charge, MICRO};
use crate::lease::messages::{Holder, Used};
use crate::lease::mutant;

#[derive(Debug, Clone)]
struct Loan {
    /// None: what keepers before this one had lent.
    holder: Option<Holder>,
    seq: u64,
    /// Micro-units, and how much of them was reported spent.
    units: u64,
    spent: u64,
    /// What is still on loan of it, in grains.
    out: u64,
    deadline: i64,
}

/// Grains throughout, but for the units of blocks.
#[derive(Debug)]
pub(crate) struct Loans {
    /// The entitlement spent.
    pub(crate) mark: u64,
    blocks: Vec<Loan>,
    charge: Charge,
    log2: u32,
}

impl Loans {
    pub(crate) fn new(log2: u32) -> Loans {
        Loans { mark: 0, blocks: vec![], charge: Charge::grains(log2, 1, MICRO), log2 }
    }

    /// What so many micro-units cost, rounded up.
    pub(crate) fn grains(&self, micro: u64) -> u64 {
        self.charge.of(micro)
    }

    /// How many micro-units so many grains pay for.
    pub(crate) fn micro(&self, grains: u64) -> u64 {
        u64::try_from((u128::from(grains) * u128::from(MICRO)) >> self.log2).unwrap_or(u64::MAX)
    }

    pub(crate) fn on_loan(&self) -> u64 {
        self.blocks.iter().map(|l| l.out).sum()
    }

    pub(crate) fn lent_until(&self) -> i64 {
        self.blocks.iter().map(|l| l.deadline).max().unwrap_or(i64::MIN)
    }

    /// Who has blocks.
    pub(crate) fn holders(&self) -> Vec<Holder> {
        let mut holders: Vec<Holder> = self.blocks.iter().filter_map(|l| l.holder).collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    pub(crate) fn blocks_of(&self, holder: Holder) -> usize {
        self.blocks.iter().filter(|l| l.holder == Some(holder)).count()
    }

    pub(crate) fn lend(&mut self, holder: Option<Holder>, seq: u64, units: u64, deadline: i64) {
        let out = self.grains(units);
        self.blocks.push(Loan { holder, seq, units, spent: 0, out, deadline });
    }

    /// What keepers before this one had on loan, in grains.
    pub(crate) fn inherit(&mut self, out: u64, deadline: i64) {
        self.blocks.push(Loan { holder: None, seq: 0, units: 0, spent: 0, out, deadline });
    }

    /// Ends what has ended by `now`: what nobody reported counts as spent, with the K of then.
    pub(crate) fn end(&mut self, now: i64, floor: impl Fn(i64) -> u64) {
        let mut ended: Vec<(i64, u64)> =
            self.blocks.iter().map(|l| (l.deadline, l.out)).filter(|l| l.0 <= now).collect();
        ended.sort_unstable();
        self.blocks.retain(|l| l.deadline > now);
        for (deadline, out) in ended {
            if !mutant!(UnreportedIsFree) {
                self.mark = self.mark.max(floor(deadline)).saturating_add(out);
            }
        }
    }

    /// Takes a holder's report of one block; one that has ended, or is not this holder's, is ignored.
    pub(crate) fn report(&mut self, holder: Holder, used: &Used, floor: u64) {
        let charge = self.charge;
        let Some(at) = self.blocks.iter().position(|l| l.holder == Some(holder) && l.seq == used.seq) else { return };
        let loan = &mut self.blocks[at];
        let spent = used.spent.clamp(loan.spent, loan.units.max(loan.spent));
        let moved = (charge.of(spent) - charge.of(loan.spent)).min(loan.out);
        (loan.spent, loan.out) = (spent, loan.out - moved);
        self.mark = if mutant!(SpentIsForgiven) { self.mark } else { self.mark.max(floor).saturating_add(moved) };
        if used.closed {
            self.blocks.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Holder = Holder(1);
    const UNIT: u64 = 1 << 20;

    fn loans() -> Loans {
        let mut loans = Loans::new(20);
        loans.lend(Some(A), 1, 10 * MICRO, 100);
        loans
    }

    fn used(seq: u64, spent: u64, closed: bool) -> Used {
        Used { epoch: 1, seq, spent: spent * MICRO, closed }
    }

    #[test]
    fn what_is_spent_moves_to_the_mark_and_what_is_dropped_can_be_lent_again() {
        let mut loans = loans();
        loans.report(A, &used(1, 4, false), 0);
        assert_eq!((4 * UNIT, 6 * UNIT), (loans.mark, loans.on_loan()));
        loans.report(A, &used(1, 5, true), 0);
        assert_eq!((5 * UNIT, 0), (loans.mark, loans.on_loan()));
    }

    #[test]
    fn what_ends_unreported_counts_as_spent() {
        let mut loans = loans();
        loans.report(A, &used(1, 4, false), 0);
        loans.end(100, |_| 0);
        assert_eq!((10 * UNIT, 0), (loans.mark, loans.on_loan()));
        loans.report(A, &used(1, 4, true), 0);
        assert_eq!(10 * UNIT, loans.mark, "a report of an ended block is ignored");
    }

    #[test]
    fn reports_of_more_than_was_lent_of_less_than_before_and_of_others_blocks_change_nothing() {
        let mut loans = loans();
        loans.report(A, &used(1, 99, false), 0);
        loans.report(A, &used(1, 0, false), 0);
        loans.report(Holder(2), &used(1, 0, true), 0);
        loans.report(A, &used(7, 3, true), 0);
        assert_eq!((10 * UNIT, 0), (loans.mark, loans.on_loan()));
    }
}
