//! How long a new limit takes until the gates follow it.
//!
//! A cut is followed when every gate that was told to give something up has said that it did; one that had no more than it
//! may have now follows at once. A raise is followed when every gate that had less than it could use was answered under
//! it. Gates that were silent in the second before are not waited for, and nobody is for longer than the contract's
//! `drain_within`: by then all that was lent before has ended.

use std::collections::{BTreeMap, VecDeque};

use headway_core::lease::Holder;

use crate::spans::Spans;

/// Changes under way at once; one more counts with the latest of them, from when that was published.
const CHANGES_MAX: usize = 64;

/// What shows that a gate follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It has installed the lease of that number, or a later one.
    Lease(u64),
    /// It has no block up to that number any more.
    Blocks(u64),
    /// It was answered.
    Answer,
}

#[derive(Debug)]
struct Change {
    since: i64,
    is_cut: bool,
    awaited: BTreeMap<Holder, Sign>,
}

/// The changes of one path.
#[derive(Debug, Default)]
pub(super) struct Changes {
    drain_within_ns: i64,
    /// The least limit on the path, as last published.
    level: u64,
    under_way: VecDeque<Change>,
    pub(super) cuts: Spans,
    pub(super) raises: Spans,
}

impl Changes {
    pub(super) fn new(drain_within_ns: i64, level: u64) -> Changes {
        Changes { drain_within_ns, level, ..Changes::default() }
    }

    /// A limit is in force since `since`. `told`: gates that have to give something up, and what will show it; `short`: gates
    /// that could use more.
    pub(super) fn published(
        &mut self,
        now: i64,
        since: i64,
        level: u64,
        told: BTreeMap<Holder, Sign>,
        short: &[Holder],
    ) {
        let before = std::mem::replace(&mut self.level, level);
        if level == before {
            return;
        }
        let is_cut = level < before;
        let answers = short.iter().map(|&holder| (holder, Sign::Answer)).collect();
        let awaited = if is_cut { told } else { answers };
        let is_crowded = self.under_way.len() >= CHANGES_MAX;
        match self.under_way.back_mut() {
            _ if awaited.is_empty() => self.count(is_cut, 0),
            Some(latest) if is_crowded => latest.awaited.extend(awaited),
            _ => self.under_way.push_back(Change { since: since.min(now), is_cut, awaited }),
        }
    }

    /// What a gate said or was answered is a sign for every change that waits for one no stronger.
    pub(super) fn follows(&mut self, now: i64, holder: Holder, shows: impl Fn(Sign) -> bool) {
        for change in &mut self.under_way {
            if change.awaited.get(&holder).is_some_and(|&sign| shows(sign)) {
                change.awaited.remove(&holder);
            }
        }
        self.settle(now);
    }

    /// The gate has ended for certain: nothing is left at it that could follow.
    pub(super) fn gone(&mut self, now: i64, holder: Holder) {
        self.follows(now, holder, |_| true);
    }

    /// Whether a change waits for blocks of this gate.
    pub(super) fn awaits_blocks(&self, holder: Holder) -> bool {
        let is = |change: &Change| matches!(change.awaited.get(&holder), Some(Sign::Blocks(_)));
        self.under_way.iter().any(is)
    }

    /// Counts the changes that are followed by now.
    pub(super) fn settle(&mut self, now: i64) {
        let within = self.drain_within_ns;
        let is_over = |change: &Change| change.awaited.is_empty() || now >= change.since.saturating_add(within);
        let (over, under_way) = std::mem::take(&mut self.under_way).into_iter().partition(is_over);
        self.under_way = under_way;
        let over: VecDeque<Change> = over;
        for change in over {
            self.count(change.is_cut, now.saturating_sub(change.since).min(within));
        }
    }

    fn count(&mut self, is_cut: bool, ns: i64) {
        let spans = if is_cut { &mut self.cuts } else { &mut self.raises };
        spans.add(ns.max(0).unsigned_abs() / 1_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Holder = Holder(1);
    const B: Holder = Holder(2);
    const MS: i64 = 1_000_000;

    fn changes() -> Changes {
        Changes::new(5_000 * MS, 10)
    }

    fn told(signs: &[(Holder, Sign)]) -> BTreeMap<Holder, Sign> {
        signs.iter().copied().collect()
    }

    fn installed(seq: u64) -> impl Fn(Sign) -> bool {
        move |sign| matches!(sign, Sign::Lease(told) if seq >= told)
    }

    #[test]
    fn a_cut_is_followed_when_the_last_gate_has_said_so() {
        let mut changes = changes();
        changes.published(2 * MS, MS, 5, told(&[(A, Sign::Lease(7)), (B, Sign::Lease(8))]), &[]);
        changes.follows(5 * MS, A, installed(7));
        changes.follows(6 * MS, B, installed(7));
        assert_eq!(0, changes.cuts.count, "B has not heard of it yet");
        changes.follows(9 * MS, B, installed(9));
        assert_eq!((1, 8_000, 0), (changes.cuts.count, changes.cuts.sum_us, changes.raises.count));
    }

    #[test]
    fn a_raise_is_followed_when_those_who_want_more_were_answered() {
        let mut changes = changes();
        changes.published(MS, MS, 20, told(&[(A, Sign::Lease(7))]), &[A, B]);
        let answered = |sign| sign == Sign::Answer;
        changes.follows(3 * MS, A, answered);
        changes.follows(4 * MS, B, answered);
        assert_eq!((1, 3_000), (changes.raises.count, changes.raises.sum_us));
    }

    #[test]
    fn what_everybody_follows_already_took_no_time_and_what_changes_nothing_is_no_change() {
        let mut changes = changes();
        changes.published(MS, 0, 9, BTreeMap::new(), &[A]);
        changes.published(MS, 0, 9, told(&[(A, Sign::Lease(1))]), &[A]);
        changes.published(MS, 0, 12, BTreeMap::new(), &[]);
        assert_eq!([(1, 0), (1, 0)], [&changes.cuts, &changes.raises].map(|spans| (spans.count, spans.sum_us)));
    }

    #[test]
    fn a_gate_that_never_answers_is_waited_for_until_what_it_was_lent_has_ended() {
        let mut changes = changes();
        changes.published(0, 0, 5, told(&[(A, Sign::Blocks(3))]), &[]);
        changes.settle(4_999 * MS);
        assert!(changes.awaits_blocks(A) && !changes.awaits_blocks(B));
        changes.settle(60_000 * MS);
        assert_eq!((1, 5_000_000), (changes.cuts.count, changes.cuts.sum_us));
    }

    #[test]
    fn a_gate_that_is_gone_is_not_waited_for() {
        let mut changes = changes();
        changes.published(0, 0, 5, told(&[(A, Sign::Blocks(3))]), &[]);
        changes.gone(MS, A);
        assert_eq!((1, 1_000), (changes.cuts.count, changes.cuts.sum_us));
    }

    #[test]
    fn changes_that_come_faster_than_gates_answer_are_bounded() {
        let mut changes = Changes::new(5_000 * MS, 1_001);
        for seq in 0..2 * CHANGES_MAX as u64 {
            changes.published(0, 0, 1_000 - seq, told(&[(A, Sign::Lease(seq))]), &[]);
        }
        assert_eq!(CHANGES_MAX, changes.under_way.len());
        changes.follows(MS, A, installed(2 * CHANGES_MAX as u64 - 2));
        assert_eq!(CHANGES_MAX as u64 - 1, changes.cuts.count, "the latest waits for the last of those that joined it");
        changes.follows(MS, A, installed(2 * CHANGES_MAX as u64 - 1));
        assert_eq!(CHANGES_MAX as u64, changes.cuts.count);
    }
}
