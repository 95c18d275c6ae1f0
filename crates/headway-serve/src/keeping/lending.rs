//! One path's keeper, with the streams that it speaks to and the writes that it waits for.

mod changes;
mod seen;
mod streams;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use headway_core::lease::{
    ContractId, Effect, FloorSpec, FromGate, FromKeeper, Holder, Inheritance, Keeper, Left, Outcome, PartRow, WriteKind,
};
use headway_core::{Booked, Clock as _, Growths, Path};
use headway_wire::grpc::framed;
use headway_wire::hold as wire;
use tokio::sync::Notify;

use super::{LeftBehind, lock, part_place, terms_of};
use crate::gates::Tally;
use crate::hold::Answers;
use crate::holders::{HOLDERS_MAX, Kept};
use crate::plane::Ticking;
use changes::Changes;
use seen::Watched;
use streams::{Stream, Streams};

pub use seen::LentReading;

/// A path that holds slots and spends tokens is kept as two contracts.
const SLOTS: ContractId = 0;
const TOKENS: ContractId = 1;
/// Units that a limit has for each holder at least, for leases to be worth it: below it each demand is asked, so that a
/// unit that one gate leaves idle is there for another.
const UNITS_FEW: u64 = 4;
const MICRO: u64 = 1_000_000;
/// For how long a gate has its part of a floor from its last word that was answered, on its clock: a day. Another process of
/// its name has none before, unless the one before is gone for certain.
const PART_LASTS_MS: u32 = 86_400_000;
/// Bytes of a gate's name; the row that says who has its part bears it.
const NAME_MAX: usize = 200;

/// Whether a row can bear a gate's name.
fn may_be_named(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len()) && !name.contains(char::is_control)
}

/// A gate's message, for the path it is about.
pub(crate) enum Said {
    Renew(wire::Renew),
    Draw(wire::Draw),
    /// With the name of the token that the stream came with.
    Claim(wire::Claim, Arc<str>),
}

struct State {
    keeper: Keeper,
    streams: Streams,
    /// Writes that the ledger has not answered yet.
    writes: Vec<(u64, Booked)>,
    /// When the keeper is to be looked at, on its clock.
    wake_at: i64,
    /// Versions of the curves that it knows of.
    seen: Vec<u64>,
    /// Nothing is lent any more.
    is_closing: bool,
    /// Demands that holders said they had decided, as last counted.
    counted: HashMap<Holder, (u64, u64)>,
    watched: Watched,
}

pub(crate) struct Lending {
    epoch: u64,
    path: Arc<Path>,
    has_slots: bool,
    has_tokens: bool,
    state: Mutex<State>,
    growths: Arc<Growths>,
    clock: Arc<Ticking>,
    stirred: Arc<Notify>,
}

impl Lending {
    /// None: the path is not lent.
    pub(super) fn open(
        kept: &Kept,
        left: &LeftBehind,
        epoch: u64,
        growths: Arc<Growths>,
        clock: Arc<Ticking>,
        stirred: Arc<Notify>,
    ) -> Option<Lending> {
        let (terms, path) = (terms_of(kept)?, Arc::clone(&kept.path));
        let lending = path.lending().ok()?;
        let now = clock.boot_ns();
        // The lock on the data folder proves the one before dead.
        let from = Inheritance { epoch, asked_at: now, predecessor_may_live: false };
        let mut keeper = Keeper::take_over(now, from, terms);
        let (has_slots, has_tokens) = (lending.has_slots(), lending.has_blocks());
        if has_slots {
            keeper.keep(now, SLOTS, terms, &path, Left::Rows(&left.rows)).ok()?;
        }
        if has_tokens {
            keeper.keep(now, TOKENS, terms, &path, Left::Ceiling(left.ceiling_micro)).ok()?;
        }
        for (contract, of_tokens, is_spent) in [(SLOTS, false, has_slots), (TOKENS, true, has_tokens)] {
            let Some(floor) = kept.floor.as_ref().filter(|_| is_spent) else { continue };
            let parts = if of_tokens { floor.tokens.clone() } else { floor.slots.clone() };
            let spec = FloorSpec { named: floor.named.clone(), parts, lasts_ms: PART_LASTS_MS };
            let rows: Vec<PartRow> = left.parts.iter().filter(|p| p.0 == of_tokens).map(|p| p.1.clone()).collect();
            keeper.divide_floor(contract, terms, spec, &rows).ok()?;
        }
        let state = State {
            keeper,
            streams: Streams::default(),
            writes: vec![],
            wake_at: i64::MIN,
            seen: path.versions(),
            is_closing: false,
            counted: HashMap::new(),
            watched: Watched::new(Changes::new(kept.drain_within_ns, path.least_limit_micro(now))),
        };
        Some(Lending { epoch, path, has_slots, has_tokens, state: Mutex::new(state), growths, clock, stirred })
    }

    /// Hears a holder on the stream of that number; it is answered there from now on, and counted in `tally`.
    pub(crate) fn hear(&self, holder: Holder, number: u64, answers: &Answers, said: &Said, tally: &Tally) {
        let now = self.clock.boot_ns();
        let mut state = lock(&self.state);
        let (path, is_known, decided) = match said {
            Said::Renew(renew) => (renew.path, self.has_slots, (renew.admitted, renew.refused)),
            Said::Draw(draw) => (draw.path, self.has_tokens, (draw.admitted, draw.refused)),
            Said::Claim(claim, _) => (claim.path, true, (claim.admitted, claim.refused)),
        };
        if !is_known {
            return;
        }
        self.count(&mut state, holder, decided, tally);
        state.watched.heard(now, self.epoch, holder, said);
        let borrows = !matches!(said, Said::Claim(..));
        let stream = Stream { number, answers: answers.clone(), path, heard_at: now, borrows };
        state.streams.hear(holder, stream);
        let is_few = self.is_few(&state, now);
        self.refresh(now, &mut state);
        let message = match said {
            Said::Claim(claim, name) => {
                let contract = if claim.of_tokens { TOKENS } else { SLOTS };
                if may_be_named(name) {
                    let effects = state.keeper.claim(now, holder, name, &claim.for_contract(contract));
                    self.act(now, &mut state, effects);
                }
                return;
            }
            Said::Renew(renew) => {
                let mut renew = renew.for_contract(SLOTS);
                renew.want = if is_few { 0 } else { renew.want };
                FromGate::Renew(renew)
            }
            Said::Draw(draw) => {
                let mut draw = draw.for_contract(TOKENS);
                draw.want = if is_few { 0 } else { draw.want };
                FromGate::Draw(draw)
            }
        };
        let effects = state.keeper.on(now, holder, message);
        self.act(now, &mut state, effects);
        self.watch_blocks(now, &mut state, holder);
    }

    /// Counts what a holder has decided since it last said so; its first word is where counting begins.
    fn count(&self, state: &mut State, holder: Holder, decided: (u64, u64), tally: &Tally) {
        if state.counted.len() >= HOLDERS_MAX && !state.counted.contains_key(&holder) {
            let streams = &state.streams;
            state.counted.retain(|holder, _| streams.get(*holder).is_some());
        }
        let before = state.counted.insert(holder, decided).unwrap_or(decided);
        self.tally(tally, decided.0.saturating_sub(before.0), decided.1.saturating_sub(before.1));
    }

    /// Whether there is so little for each holder that demands are better asked one by one.
    fn is_few(&self, state: &State, now: i64) -> bool {
        if state.is_closing {
            return true;
        }
        let holders = (state.streams.borrowers() as u64).max(1);
        self.path.least_limit_micro(now) < UNITS_FEW * MICRO * holders
    }

    /// Lends nothing from now on, and calls blocks back.
    pub(super) fn call_back(&self) {
        let now = self.clock.boot_ns();
        let mut state = lock(&self.state);
        state.is_closing = true;
        let effects = state.keeper.call_back(now);
        self.act(now, &mut state, effects);
    }

    /// Whether blocks are out that their holders could still tell of.
    pub(super) fn is_awaited(&self) -> bool {
        let state = lock(&self.state);
        state.keeper.on_loan() > 0 && !state.streams.is_empty()
    }

    /// The holder is done with everything, or proven dead.
    pub(crate) fn dead(&self, holder: Holder) {
        let now = self.clock.boot_ns();
        let mut state = lock(&self.state);
        state.streams.remove(holder);
        state.counted.remove(&holder);
        state.watched.changes.gone(now, holder);
        self.refresh(now, &mut state);
        let effects = state.keeper.dead(now, holder);
        self.act(now, &mut state, effects);
    }

    /// A stream is gone; what was lent on it stays lent.
    pub(crate) fn detach(&self, holder: Holder, number: u64) {
        let mut state = lock(&self.state);
        if state.streams.get(holder).is_some_and(|stream| stream.number == number) {
            state.streams.remove(holder);
        }
    }

    /// What is due: new limits, the ledger's answers, ends. Returns how long nothing else will be.
    fn look(&self) -> Duration {
        let now = self.clock.boot_ns();
        let mut state = lock(&self.state);
        self.refresh(now, &mut state);
        // Each is looked at once: an answer that comes meanwhile is there the next time.
        let mut answered = vec![];
        state.writes.retain(|(id, booked)| {
            let outcome = booked.outcome();
            answered.extend(outcome.map(|is_granted| (*id, is_granted)));
            outcome.is_none()
        });
        for (id, is_granted) in answered {
            let outcome = if is_granted { Outcome::Granted } else { Outcome::NoRoom };
            let effects = state.keeper.durable(now, id, outcome);
            self.act(now, &mut state, effects);
        }
        let versions = self.path.versions();
        if versions != state.seen {
            state.seen = versions;
            // An Err says that it is not kept here: then nobody has to be told.
            let told = [SLOTS, TOKENS].map(|contract| state.keeper.published(now, contract).unwrap_or_default());
            let effects = told.concat();
            self.watch_change(now, &mut state, &effects);
            self.act(now, &mut state, effects);
        }
        Duration::from_nanos(state.wake_at.saturating_sub(now).max(0).unsigned_abs())
    }

    /// Renews the mandate where that is due: it is this process' for as long as it has the lock.
    fn refresh(&self, now: i64, state: &mut State) {
        let effects = state.keeper.tick(now);
        self.act(now, state, effects);
    }

    fn act(&self, now: i64, state: &mut State, mut effects: Vec<Effect>) {
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                match effect {
                    // Another process may lend the same limits by now: what is not said here is lost to nobody.
                    Effect::Send { .. } if !self.path.decides(now) => {}
                    Effect::Send { holder, message } => {
                        state.watched.told(now, holder, &message);
                        send(state, holder, &message);
                    }
                    Effect::WakeAt(at) => {
                        if at < state.wake_at || state.wake_at <= now {
                            self.stirred.notify_one();
                        }
                        state.wake_at = at;
                    }
                    Effect::Durable(write) => match self.write(&write.kind) {
                        Written::Later(booked) => state.writes.push((write.id, booked)),
                        Written::Now(outcome) => effects.extend(state.keeper.durable(now, write.id, outcome)),
                    },
                }
            }
        }
    }

    fn write(&self, kind: &WriteKind) -> Written {
        let spec = self.path.spec();
        let booked = match *kind {
            WriteKind::Mandate => return Written::Now(Outcome::Granted),
            WriteKind::Booking { holder, by, .. } => {
                self.growths.lend_slots(&spec.contract, &spec.workload, holder.0, by)
            }
            WriteKind::Part { contract, ref name, holder, has } => {
                let place = part_place(contract == TOKENS, name);
                self.growths.lend_slots(&spec.contract, &place, holder.0, if has { 1 } else { -1 })
            }
            WriteKind::LoanCeiling { to, .. } => self.growths.loan_ceiling(&spec.contract, &spec.workload, to),
        };
        booked.map_or(Written::Now(Outcome::NoRoom), Written::Later)
    }
}

enum Written {
    Now(Outcome),
    Later(Booked),
}

/// A message to a holder that has no stream, or does not read, is lost: the protocol bears that.
fn send(state: &State, holder: Holder, message: &FromKeeper) {
    let Some(stream) = state.streams.get(holder) else { return };
    let is = match message {
        FromKeeper::Lease(lease) => wire::ToGate::Lease(wire::Lease::of(stream.path, lease)),
        FromKeeper::Block(block) => wire::ToGate::Block(wire::Block::of(stream.path, block)),
        FromKeeper::Part(part) => wire::ToGate::Part(wire::Part::of(stream.path, part)),
        FromKeeper::Surrender { .. } => wire::ToGate::Surrender(wire::Surrender { path: stream.path }),
        FromKeeper::Retire => wire::ToGate::Retire(wire::Retire {}),
    };
    drop(stream.answers.try_send(framed(&wire::FromKeeper { is: Some(is) }).into()));
}

/// Looks after a keeper for as long as it is there.
pub(super) async fn look_after(lending: Weak<Lending>) {
    loop {
        let Some(one) = lending.upgrade() else { return };
        let (pause, stirred) = (one.look(), Arc::clone(&one.stirred));
        drop(one);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stirred.notified() => {}
        }
    }
}
