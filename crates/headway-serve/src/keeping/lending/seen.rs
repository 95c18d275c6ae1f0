//! What there is to see of a path that is lent: how often gates speak of it, how long they wait, when they follow.

use std::collections::BTreeMap;

use headway_core::lease::{Effect, FromKeeper, Held, Holder};
use headway_core::{Clock as _, Why};
use headway_wire::hold as wire;

use super::changes::{Changes, Sign};
use super::{Lending, Said, State};
use crate::gates::Tally;
use crate::keeping::lock;
use crate::spans::Spans;

/// Gates that were silent for longer are not waited for when a limit changes.
const HEARD_NS: i64 = 1_000_000_000;

/// What a path's gates were like since the process started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LentReading {
    pub contract: String,
    pub workload: String,
    /// Messages about slots, and about blocks.
    pub renewals: u64,
    pub draws: u64,
    /// From a gate's asking for a block to its having the answer, as gates tell.
    pub round_trips: Spans,
    /// From a lower limit's being in force to when the gates follow it; and from a higher one's.
    pub cuts: Spans,
    pub raises: Spans,
}

#[derive(Debug, Default)]
pub(super) struct Watched {
    renewals: u64,
    draws: u64,
    round_trips: Spans,
    pub(super) changes: Changes,
    /// The highest number of a lease or block that was sent.
    last_seq: u64,
}

impl Watched {
    pub(super) fn new(changes: Changes) -> Watched {
        Watched { changes, ..Watched::default() }
    }

    /// What a gate said, before it is answered.
    pub(super) fn heard(&mut self, now: i64, epoch: u64, holder: Holder, said: &Said) {
        match said {
            Said::Renew(renew) => {
                self.renewals += 1;
                let is_ours = renew.epoch == epoch;
                let installed = |sign| matches!(sign, Sign::Lease(seq) if is_ours && renew.seq >= seq);
                self.changes.follows(now, holder, installed);
            }
            Said::Draw(draw) => {
                self.draws += 1;
                let bound = wire::ROUND_TRIPS_MAX;
                draw.round_trips_us.iter().take(bound).for_each(|&us| self.round_trips.add(us.into()));
            }
            Said::Claim(..) => {}
        }
    }

    /// What a gate is told.
    pub(super) fn told(&mut self, now: i64, holder: Holder, message: &FromKeeper) {
        let (seq, is_answer) = match message {
            FromKeeper::Lease(lease) => (lease.seq, lease.in_reply_to.is_some()),
            FromKeeper::Block(block) => (block.seq, true),
            // A part is its gate's own: no limit that changes is in it.
            FromKeeper::Part(_) | FromKeeper::Surrender { .. } | FromKeeper::Retire => return,
        };
        self.last_seq = self.last_seq.max(seq);
        if is_answer {
            self.changes.follows(now, holder, |sign| sign == Sign::Answer);
        }
    }

    /// What will show that gates follow what they are told in `effects`.
    fn signs(&self, effects: &[Effect]) -> BTreeMap<Holder, Sign> {
        let sign = |effect: &Effect| match effect {
            Effect::Send { holder, message: FromKeeper::Lease(lease) } if lease.in_reply_to.is_none() => {
                Some((*holder, Sign::Lease(lease.seq)))
            }
            Effect::Send { holder, message: FromKeeper::Surrender { .. } } => {
                Some((*holder, Sign::Blocks(self.last_seq)))
            }
            _ => None,
        };
        effects.iter().filter_map(sign).collect()
    }
}

impl Lending {
    /// Counts what a holder has decided by itself since it last said so.
    pub(super) fn tally(&self, tally: &Tally, admitted: u64, refused: u64) {
        self.path.count_elsewhere(admitted, refused);
        tally.admit(admitted);
        // A gate refuses by itself only what its keeper has just called full.
        tally.refuse(Why::Full, refused);
    }

    /// After a draw: whether blocks that were called back are gone.
    pub(super) fn watch_blocks(&self, now: i64, state: &mut State, holder: Holder) {
        if state.watched.changes.awaits_blocks(holder) {
            let held = state.keeper.held(now, super::TOKENS).into_iter().find(|held| held.holder == holder);
            let oldest = held.and_then(|held| held.oldest_block);
            let are_gone = |sign| matches!(sign, Sign::Blocks(seq) if oldest.is_none_or(|oldest| oldest > seq));
            state.watched.changes.follows(now, holder, are_gone);
        }
    }

    /// A limit has changed; `effects` are what gates are told of it.
    pub(super) fn watch_change(&self, now: i64, state: &mut State, effects: &[Effect]) {
        let is_heard = |state: &State, holder| {
            state.streams.get(holder).is_some_and(|stream| now.saturating_sub(stream.heard_at) <= HEARD_NS)
        };
        let mut told = state.watched.signs(effects);
        told.retain(|&holder, _| is_heard(state, holder));
        let held = [super::SLOTS, super::TOKENS].into_iter().flat_map(|contract| state.keeper.held(now, contract));
        let short: Vec<Holder> =
            held.filter(|held| held.is_short && is_heard(state, held.holder)).map(|held| held.holder).collect();
        let (since, level) = (self.path.in_force_since(), self.path.least_limit_micro(now));
        state.watched.changes.published(now, since, level, told, &short);
    }

    /// What every holder has of slots and of blocks.
    pub(crate) fn held(&self) -> Vec<Held> {
        let now = self.clock.boot_ns();
        let state = lock(&self.state);
        [super::SLOTS, super::TOKENS].into_iter().flat_map(|contract| state.keeper.held(now, contract)).collect()
    }

    pub(crate) fn place(&self) -> (&str, &str) {
        let spec = self.path.spec();
        (&spec.contract, &spec.workload)
    }

    pub(crate) fn reading(&self) -> LentReading {
        let (contract, workload) = self.place();
        let (contract, workload) = (contract.to_owned(), workload.to_owned());
        let now = self.clock.boot_ns();
        let mut state = lock(&self.state);
        let Watched { renewals, draws, round_trips, changes, .. } = &mut state.watched;
        changes.settle(now);
        LentReading {
            contract,
            workload,
            renewals: *renewals,
            draws: *draws,
            round_trips: round_trips.clone(),
            cuts: changes.cuts.clone(),
            raises: changes.raises.clone(),
        }
    }
}
