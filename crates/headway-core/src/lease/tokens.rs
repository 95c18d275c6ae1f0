//! What a gate holds of a rate or quota: prepaid blocks, and the reports of what became of them.
//!
//! Demands spend at the door, where all blocks that have not ended are one amount; what was spent of it is put down to the
//! blocks when it is told, the earliest end first.

use std::sync::Arc;

use crate::lease::door::{Door, LEFT_MAX, TokenDoor};
use crate::lease::messages::{Block, ContractId, Draw, Part, Used};
use crate::lease::mutant;
use crate::lease::sent::Sent;
use crate::lease::terms::{Terms, ns_of};

/// Blocks held; more are neither asked for nor taken.
const BLOCKS_MAX: usize = 64;
/// Between two messages while demands go without.
const HURRY_NS: i64 = 10_000_000;

#[derive(Debug)]
struct Held {
    epoch: u64,
    seq: u64,
    units: u64,
    spent: u64,
    expires: i64,
    /// What is not spent of it is at the door.
    is_in: bool,
    /// The message that first said that it is closed.
    told: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Tokens {
    terms: Terms,
    contract: ContractId,
    /// The earliest end first.
    blocks: Vec<Held>,
    door: Arc<TokenDoor>,
    /// What was at the door when it was last put down.
    dealt: u64,
    want: u64,
    counter: u64,
    sent: Sent,
    draw_at: i64,
}

impl Tokens {
    pub(crate) fn new(contract: ContractId, terms: Terms) -> Tokens {
        let (blocks, sent) = (vec![], Sent::default());
        let (door, draw_at) = (Arc::new(TokenDoor::new()), i64::MAX);
        Tokens { terms, contract, blocks, door, dealt: 0, want: 0, counter: 0, sent, draw_at }
    }

    pub(crate) fn door(&self) -> Door {
        Door::Tokens(Arc::clone(&self.door))
    }

    /// Installs a part of the floor, or says again until when it is this gate's. This clock may be fast, so that it comes in
    /// more slowly by as much.
    pub(crate) fn set_part(&mut self, now: i64, part: &Part, until: i64) {
        let in_ns = i64::try_from(part.per_ns).unwrap_or(i64::MAX);
        self.door.part.set(now, part.units, self.terms.longer(in_ns), part.most, until);
    }

    /// Puts what was spent down to the blocks, up to what is `left`; those that are spent are at the door no more.
    fn put_down(&mut self, left: u64) {
        let mut spent = self.dealt - left;
        self.dealt = left;
        for block in self.blocks.iter_mut().filter(|b| b.is_in) {
            let part = spent.min(block.units - block.spent);
            (block.spent, spent) = (block.spent + part, spent - part);
            block.is_in = block.spent < block.units;
        }
    }

    /// Takes blocks that have ended by `now` out of the door; what they have left is spent no more once this returns.
    fn settle(&mut self, now: i64) {
        let has_ended = |b: &Held| now >= b.expires && !mutant!(BlockWithoutEnd);
        if !self.blocks.iter().any(|b| b.is_in && has_ended(b)) {
            self.put_down(self.door.left());
            // What is left is of blocks that last longer, where those before them are spent.
            if self.dealt > 0 {
                self.door.extend(self.ends_at());
            }
            return;
        }
        let left = self.door.close();
        self.put_down(left);
        for block in &mut self.blocks {
            block.is_in &= !has_ended(block);
        }
        self.dealt = self.blocks.iter().filter(|b| b.is_in).map(|b| b.units - b.spent).sum();
        if self.dealt > 0 {
            self.door.open(self.dealt, self.ends_at());
        }
    }

    /// When the door has to be settled, for its first block ends.
    fn ends_at(&self) -> i64 {
        self.blocks.iter().filter(|b| b.is_in).map(|b| b.expires).min().unwrap_or(i64::MAX)
    }

    /// Micro-units that may be spent at `now`.
    pub(crate) fn units(&self, now: i64) -> u64 {
        let lasting = self.blocks.iter().filter(|b| b.is_in && now < b.expires).map(|b| b.units - b.spent).sum::<u64>();
        // What was spent since it was last put down comes off those that have ended by now first, as far as it goes.
        let ended = self.dealt - lasting;
        lasting.min(lasting.saturating_sub((self.dealt - self.door.left()).saturating_sub(ended)))
    }

    /// How many micro-units it would be good to have at hand.
    pub(crate) fn demand(&mut self, now: i64, want: u64) {
        self.want = want;
        if self.units(now) < want {
            self.draw_at = self.draw_at.min(now.saturating_add(self.pause_ns()));
        }
    }

    /// Less is at hand than is wanted: asks again as soon as may be.
    pub(crate) fn hurry(&mut self, now: i64) {
        let last = self.sent.last().unwrap_or(i64::MIN);
        if self.units(now) < self.want {
            self.draw_at = self.draw_at.min(last.saturating_add(HURRY_NS).max(now));
        }
    }

    pub(crate) fn due(&mut self, now: i64) -> Option<Draw> {
        self.settle(now);
        if self.units(now) < self.want {
            self.draw_at = self.draw_at.min(now.saturating_add(self.pause_ns()));
        }
        (now >= self.draw_at).then(|| self.draw(now))
    }

    /// Reports every block and asks for what is missing.
    pub(crate) fn draw(&mut self, now: i64) -> Draw {
        self.settle(now);
        self.counter += 1;
        self.sent.note(self.counter, now);
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
        let counter = block.in_reply_to;
        let sent = if mutant!(BlockTwice) { self.sent.at(counter) } else { self.sent.take(counter) };
        let Some(sent) = sent else { return };
        // What this answers told has been heard.
        self.blocks.retain(|b| b.told.is_none_or(|told| told > block.in_reply_to));
        let sent = if mutant!(BlockFromReceipt) { now } else { sent };
        let expires = sent.saturating_add(self.terms.shorter(ns_of(block.term_ms)));
        self.settle(now);
        if block.units > 0 && self.blocks.len() < BLOCKS_MAX {
            let Block { epoch, seq, units, .. } = *block;
            let is_in = (now < expires || mutant!(BlockWithoutEnd)) && self.dealt.saturating_add(units) <= LEFT_MAX;
            let place = self.blocks.partition_point(|b| b.expires <= expires);
            self.blocks.insert(place, Held { epoch, seq, units, spent: 0, expires, is_in, told: None });
            if is_in {
                self.deal(units, expires);
            }
        }
        self.draw_at = self.draw_at.min(expires.max(now.saturating_add(self.pause_ns())));
    }

    /// Puts a block into the door, beside what is there or alone.
    fn deal(&mut self, units: u64, expires: i64) {
        if self.dealt > 0 {
            self.door.add(units, expires);
        } else {
            self.door.open(units, expires);
        }
        self.dealt += units;
    }

    /// Ends every block here and now, and says so.
    pub(crate) fn surrender(&mut self, now: i64) -> Draw {
        self.end(now);
        self.draw(now)
    }

    fn end(&mut self, now: i64) {
        for block in &mut self.blocks {
            block.expires = block.expires.min(now);
        }
        self.blocks.sort_by_key(|b| b.expires);
        self.settle(now);
    }

    /// When `due` has something to do, if nothing happens before.
    pub(crate) fn wake_at(&self) -> i64 {
        self.draw_at.min(self.ends_at())
    }

    pub(crate) fn close(&mut self, now: i64) {
        self.want = 0;
        self.door.part.end();
        self.end(now);
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
        let tokens = tokens(&[2, 2]);
        assert!(!tokens.door().take(SECOND, 4 * UNIT + 1));
        assert!(tokens.door().take(SECOND, 3 * UNIT));
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
        assert!(tokens.door().take(SECOND, UNIT));
        assert!(!tokens.door().take(3 * SECOND, UNIT));
        let closed = Used { epoch: 3, seq: 1, spent: UNIT, closed: true };
        assert_eq!(vec![closed], tokens.draw(3 * SECOND).blocks);
        assert_eq!(vec![closed], tokens.draw(4 * SECOND).blocks);
        tokens.install(4 * SECOND, &block(2, 0, 3));
        assert!(tokens.draw(5 * SECOND).blocks.is_empty());
    }

    #[test]
    fn a_block_that_is_spent_does_not_end_those_that_last_longer() {
        let mut tokens = tokens(&[2]);
        assert!(tokens.door().take(SECOND, 2 * UNIT));
        let draw = tokens.draw(2 * SECOND);
        tokens.install(2 * SECOND, &block(2, 2, draw.counter));
        assert!(tokens.door().take(3 * SECOND + SECOND / 2, UNIT), "the second was asked for at 2 s");
        assert!(!tokens.door().take(4 * SECOND, UNIT));
    }

    #[test]
    fn what_is_left_of_a_block_when_another_comes_ends_with_it() {
        let mut tokens = tokens(&[2]);
        let draw = tokens.draw(2 * SECOND);
        tokens.install(2 * SECOND, &block(2, 2, draw.counter));
        assert!(tokens.door().take(2 * SECOND, UNIT));
        assert!(!tokens.door().take(3 * SECOND, UNIT), "the first has ended, and nobody looked at it yet");
        assert_eq!(2 * UNIT, tokens.units(3 * SECOND));
        tokens.due(3 * SECOND);
        assert!(tokens.door().take(3 * SECOND, 2 * UNIT));
        assert!(!tokens.door().take(3 * SECOND, 1));
    }

    #[test]
    fn what_is_called_back_is_not_spent_any_more() {
        let mut tokens = tokens(&[2]);
        assert!(tokens.surrender(SECOND).blocks[0].closed);
        assert!(!tokens.door().take(SECOND, UNIT));
    }

    proptest! {
        #[test]
        fn never_more_is_spent_than_was_lent(sizes in prop::collection::vec(0u64..5, 0..6), n in prop::collection::vec(1u64..4, 0..20)) {
            let mut tokens = tokens(&sizes);
            let took: u64 = n.iter().filter(|&&n| tokens.door().take(SECOND, n * UNIT)).sum();
            let lent: u64 = sizes.iter().sum();
            prop_assert!(took <= lent);
            let reported: u64 = tokens.draw(SECOND).blocks.iter().map(|u| u.spent).sum();
            prop_assert_eq!(took * UNIT, reported);
            prop_assert_eq!((lent - took) * UNIT, tokens.units(SECOND));
        }
    }
}
