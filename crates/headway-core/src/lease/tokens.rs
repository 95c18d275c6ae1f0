//! What a gate holds of a rate: prepaid blocks, and the reports of what became of them.

use std::collections::VecDeque;

use crate::lease::messages::{Block, ContractId, Draw, Used};
use crate::lease::mutant;
use crate::lease::terms::{Terms, ns_of};

/// Messages whose sending is remembered, and blocks held; more are neither asked for nor taken.
const SENT_MAX: usize = 16;
const BLOCKS_MAX: usize = 64;

#[derive(Debug)]
struct Held {
    epoch: u64,
    seq: u64,
    units: u64,
    spent: u64,
    expires: i64,
    /// The message that first said that it is closed.
    told: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Tokens {
    terms: Terms,
    contract: ContractId,
    blocks: Vec<Held>,
    want: u64,
    counter: u64,
    sent: VecDeque<(u64, i64)>,
    draw_at: i64,
}

impl Tokens {
    pub(crate) fn new(contract: ContractId, terms: Terms) -> Tokens {
        let (blocks, sent) = (vec![], VecDeque::new());
        Tokens { terms, contract, blocks, want: 0, counter: 0, sent, draw_at: i64::MAX }
    }

    /// Spends `n` of what has not ended, the earliest end first; all or nothing.
    pub(crate) fn take(&mut self, now: i64, n: u64) -> bool {
        let mut left = n;
        if self.units(now) < n {
            return false;
        }
        self.blocks.sort_by_key(|b| b.expires);
        for block in self.blocks.iter_mut().filter(|b| now < b.expires || mutant!(BlockWithoutEnd)) {
            let part = left.min(block.units - block.spent);
            (block.spent, left) = (block.spent + part, left - part);
        }
        if self.units(now) < self.want {
            self.draw_at = self.draw_at.min(now.saturating_add(self.pause_ns()));
        }
        true
    }

    /// Micro-units that may be spent at `now`.
    pub(crate) fn units(&self, now: i64) -> u64 {
        let lasting = self.blocks.iter().filter(|b| now < b.expires || mutant!(BlockWithoutEnd));
        lasting.map(|b| b.units - b.spent).sum()
    }

    /// How many micro-units it would be good to have at hand.
    pub(crate) fn demand(&mut self, now: i64, want: u64) {
        self.want = want;
        if self.units(now) < want {
            self.draw_at = self.draw_at.min(now.saturating_add(self.pause_ns()));
        }
    }

    pub(crate) fn due(&mut self, now: i64) -> Option<Draw> {
        (now >= self.draw_at).then(|| self.draw(now))
    }

    /// Reports every block and asks for what is missing.
    pub(crate) fn draw(&mut self, now: i64) -> Draw {
        self.counter += 1;
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((self.counter, now));
        let counter = self.counter;
        let report = |b: &mut Held| {
            let closed = now >= b.expires || b.spent == b.units || mutant!(ClosedEarly);
            b.told = b.told.or(closed.then_some(counter));
            Used { epoch: b.epoch, seq: b.seq, spent: b.spent, closed }
        };
        let blocks = self.blocks.iter_mut().map(report).collect();
        let is_full = self.blocks.len() >= BLOCKS_MAX;
        let want = if is_full { 0 } else { self.want.saturating_sub(self.units(now)) };
        self.draw_at = if want == 0 && self.blocks.is_empty() {
            i64::MAX
        } else {
            now.saturating_add(if want == 0 { self.terms.lease_ns / 3 } else { self.pause_ns() })
        };
        Draw { contract: self.contract, want, counter, blocks }
    }

    /// Takes a block that was asked for; each message is answered once.
    pub(crate) fn install(&mut self, now: i64, block: &Block) {
        let Some(place) = self.sent.iter().position(|&(counter, _)| counter == block.in_reply_to) else { return };
        let sent = self.sent[place].1;
        if !mutant!(BlockTwice) {
            self.sent.remove(place);
        }
        // What this answers told has been heard.
        self.blocks.retain(|b| b.told.is_none_or(|told| told > block.in_reply_to));
        let sent = if mutant!(BlockFromReceipt) { now } else { sent };
        let expires = sent.saturating_add(self.terms.shorter(ns_of(block.term_ms)));
        if block.units > 0 && self.blocks.len() < BLOCKS_MAX {
            let Block { epoch, seq, units, .. } = *block;
            self.blocks.push(Held { epoch, seq, units, spent: 0, expires, told: None });
        }
        self.draw_at = self.draw_at.min(expires.max(now.saturating_add(self.pause_ns())));
    }

    /// Ends every block here and now, and says so.
    pub(crate) fn surrender(&mut self, now: i64) -> Draw {
        for block in &mut self.blocks {
            block.expires = block.expires.min(now);
        }
        self.draw(now)
    }

    pub(crate) fn draw_at(&self) -> i64 {
        self.draw_at
    }

    pub(crate) fn close(&mut self, now: i64) {
        self.want = 0;
        for block in &mut self.blocks {
            block.expires = block.expires.min(now);
        }
        self.draw_at = now;
    }

    fn pause_ns(&self) -> i64 {
        self.terms.lease_ns / 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;
    const UNIT: u64 = 1_000_000;

    fn terms() -> Terms {
        Terms::new(5 * SECOND, SECOND, 0, 1_000).unwrap()
    }

    fn block(seq: u64, units: u64, in_reply_to: u64) -> Block {
        Block { contract: 1, epoch: 3, seq, units: units * UNIT, term_ms: 2_000, in_reply_to }
    }

    /// Wants 9, and has blocks of these sizes, all asked for at 1 s.
    fn tokens(sizes: &[u64]) -> Tokens {
        let mut tokens = Tokens::new(1, terms());
        tokens.demand(0, 9 * UNIT);
        for (seq, &units) in sizes.iter().enumerate() {
            let draw = tokens.draw(SECOND);
            tokens.install(SECOND, &block(seq as u64 + 1, units, draw.counter));
        }
        tokens
    }

    #[test]
    fn a_demand_is_met_from_several_blocks_or_not_at_all() {
        let mut tokens = tokens(&[2, 2]);
        assert!(!tokens.take(SECOND, 4 * UNIT + 1));
        assert!(tokens.take(SECOND, 3 * UNIT));
        assert_eq!(UNIT, tokens.units(SECOND));
    }

    #[test]
    fn a_block_that_comes_twice_late_or_unasked_is_not_taken() {
        let mut tokens = tokens(&[2]);
        for again in [block(1, 2, 1), block(2, 2, 1), block(3, 2, 77)] {
            tokens.install(SECOND, &again);
        }
        assert_eq!(2 * UNIT, tokens.units(SECOND));
        tokens.draw(SECOND);
        tokens.install(9 * SECOND, &block(4, 2, 2));
        assert_eq!(0, tokens.units(9 * SECOND), "asked for at 1 s, it ended at 3 s");
    }

    #[test]
    fn what_has_ended_is_reported_closed_until_that_was_heard() {
        let mut tokens = tokens(&[2]);
        assert!(tokens.take(SECOND, UNIT));
        assert!(!tokens.take(3 * SECOND, UNIT));
        let closed = Used { epoch: 3, seq: 1, spent: UNIT, closed: true };
        assert_eq!(vec![closed], tokens.draw(3 * SECOND).blocks);
        assert_eq!(vec![closed], tokens.draw(4 * SECOND).blocks);
        tokens.install(4 * SECOND, &block(2, 0, 3));
        assert!(tokens.draw(5 * SECOND).blocks.is_empty());
    }

    #[test]
    fn what_is_called_back_is_not_spent_any_more() {
        let mut tokens = tokens(&[2]);
        assert!(tokens.surrender(SECOND).blocks[0].closed);
        assert!(!tokens.take(SECOND, UNIT));
    }

    proptest! {
        #[test]
        fn never_more_is_spent_than_was_lent(sizes in prop::collection::vec(0u64..5, 0..6), n in prop::collection::vec(1u64..4, 0..20)) {
            let mut tokens = tokens(&sizes);
            let took: u64 = n.iter().filter(|&&n| tokens.take(SECOND, n * UNIT)).sum();
            let lent: u64 = sizes.iter().sum();
            prop_assert!(took <= lent);
            let reported: u64 = tokens.draw(SECOND).blocks.iter().map(|u| u.spent).sum();
            prop_assert_eq!(took * UNIT, reported);
            prop_assert_eq!((lent - took) * UNIT, tokens.units(SECOND));
        }
    }
}
