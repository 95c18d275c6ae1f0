//! Who holds what of the contracts kept here: gates, by the names they made for themselves, under the credential they
//! came with.
//!
//! A slot is given back when its gate says so, when the gate's process has ended for certain, or `max_hold` after the end
//! of its term; a closed stream proves nothing. Slots are durable before their gate hears of them: rows in the ledger, in
//! chunks, so that most demands write nothing. Source: protocols/leases.md, rule 3.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headway_core::{Booked, Growths, Path, Reserved};
use headway_wire::Tell;
use headway_wire::grpc::{Failed, Status};
use headway_wire::hold::{HELD_MAX, HOLDER_BYTES, Held};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::death::Watch;
use crate::plane::Ticking;

pub(crate) type Name = [u8; HOLDER_BYTES];

/// Gates at once; one more is turned away.
pub(crate) const HOLDERS_MAX: usize = 10_000;
/// Processes whose end is seen at once; of more gates, silence alone tells.
const WATCHES_MAX: usize = 256;
/// How long what a keeper says holds, from when it was asked. Demands are decided here, so it bounds how late an answer may
/// be used, not when a cut is in force.
pub(crate) const TERM: Duration = Duration::from_millis(3_740);
/// How long a demand waits for its row to be durable.
const BOOKING_WAIT_NS: i64 = 2_000_000_000;
/// A row grows by a quarter where it has to, or by what is asked for: few writes, and little that is booked for nobody.
const ROW_PARTS: u64 = 4;
const MICRO: i64 = 1_000_000;
/// How names begin under which leases over HTTP are held. Who knows a credential's name can work them out, so no gate may
/// come under one: it would let go of what others use.
const LEASES: &[u8] = b"leases\0\0";

/// So long here that at least `ns` pass on a clock that is a thousandth slower.
fn longer(ns: i64) -> i64 {
    ns.saturating_add(ns / 1_000 + 1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path as gates may ask it.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) path: Arc<Path>,
    pub(crate) max_hold_ns: i64,
    /// How much refusals say over HTTP.
    pub(crate) tell_http: Tell,
}

/// What one demand holds.
struct Holding {
    kept: Kept,
    units: u64,
    key: Option<Arc<str>>,
    has_slots: bool,
    reserved: Option<Reserved>,
    /// Of a lease over HTTP: when it is over.
    ends_at: Option<i64>,
}

/// A slot with an end, as it was asked for.
pub(crate) struct Lease {
    pub(crate) id: u64,
    pub(crate) kept: Kept,
    pub(crate) units: u64,
    pub(crate) ends_at: i64,
}

/// A path, by name, and a key.
type Place = (String, String, Option<Arc<str>>);

/// What is durable of a holder's slots in one place, and how many are in use or about to be.
#[derive(Default)]
struct Row {
    in_use: u64,
    durable: u64,
    growing: Option<(u64, Booked)>,
}

#[derive(Default)]
struct State {
    /// The number of the stream that speaks for it.
    stream: u64,
    is_connected: bool,
    heard_at: i64,
    has_ended: bool,
    /// It stands for leases over HTTP: never silent, and each has its own end.
    is_lasting: bool,
    held: HashMap<u64, Holding>,
    rows: HashMap<Place, Row>,
    /// Sees its process end.
    watch: Option<Watch>,
    /// Slots of a keeper before this one, until the holder restates what it has.
    inherited: Vec<(Kept, u64, Option<Arc<str>>)>,
}

impl State {
    /// Whether one more demand may be kept, under an id of its own: in the place of another one, that one's slots would
    /// be nobody's.
    fn may_hold(&self, id: u64) -> bool {
        self.held.len() < HELD_MAX && !self.held.contains_key(&id)
    }
}

pub(crate) struct Holder {
    pub(crate) name: Name,
    credential: String,
    state: Mutex<State>,
    growths: Arc<Growths>,
    clock: Arc<Ticking>,
}

/// Why a holder is not let on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// As many as there may be are there.
    TooMany,
    /// Another credential came under this name, or it is one of ours.
    NotYours,
}

impl Turned {
    pub(crate) fn failed(self) -> Failed {
        match self {
            Turned::TooMany => Failed::new(Status::ResourceExhausted, "there are as many gates as there may be"),
            Turned::NotYours => Failed::new(Status::PermissionDenied, "another token came under this holder's name"),
        }
    }
}

pub(crate) struct Holders {
    all: Mutex<HashMap<Name, Arc<Holder>>>,
    growths: Arc<Growths>,
    clock: Arc<Ticking>,
    /// Processes that are watched: each is a file that is open.
    pub(crate) watches: Arc<Semaphore>,
}

impl Holders {
    pub(crate) fn new(growths: Arc<Growths>, clock: Arc<Ticking>) -> Holders {
        Holders { all: Mutex::default(), growths, clock, watches: Arc::new(Semaphore::new(WATCHES_MAX)) }
    }

    fn holder(&self, name: Name, credential: &str) -> Arc<Holder> {
        let (credential, growths, clock) = (credential.to_owned(), Arc::clone(&self.growths), Arc::clone(&self.clock));
        Arc::new(Holder { name, credential, state: Mutex::default(), growths, clock })
    }

    /// Takes a holder on, with what it restates, under a new stream; an earlier stream of its is over.
    pub(crate) fn attach(
        &self,
        now: i64,
        name: Name,
        credential: &str,
        held: impl IntoIterator<Item = (Held, Kept)>,
    ) -> Result<(Arc<Holder>, u64), Turned> {
        if name.starts_with(LEASES) {
            return Err(Turned::NotYours);
        }
        let mut all = lock(&self.all);
        if all.len() >= HOLDERS_MAX && !all.contains_key(&name) {
            return Err(Turned::TooMany);
        }
        let holder = Arc::clone(all.entry(name).or_insert_with(|| self.holder(name, credential)));
        drop(all);
        // What came out of the ledger has no credential yet: the first to come under its name, which nobody else knows.
        if holder.credential != credential && !holder.credential.is_empty() {
            return Err(Turned::NotYours);
        }
        let stream = holder.restate(now, held);
        Ok((holder, stream))
    }

    /// Who holds the leases of a credential.
    pub(crate) fn leases(&self, credential: &str) -> Arc<Holder> {
        let digest: [u8; 32] = Sha256::digest(credential.as_bytes()).into();
        let mut name = Name::default();
        let (kind, whose) = name.split_at_mut(LEASES.len());
        kind.copy_from_slice(LEASES);
        whose.copy_from_slice(&digest[..whose.len()]);
        let mut all = lock(&self.all);
        let holder = Arc::clone(all.entry(name).or_insert_with(|| self.holder(name, credential)));
        drop(all);
        lock(&holder.state).is_lasting = true;
        holder
    }

    /// A row of the ledger: slots that a holder had at a keeper before this one.
    pub(crate) fn inherit(&self, now: i64, name: Name, kept: &Kept, key: Option<Arc<str>>, units: u64) {
        let holder = Arc::clone(lock(&self.all).entry(name).or_insert_with(|| self.holder(name, "")));
        if !kept.path.hold_over(&*self.clock, units, key.as_deref().map(|text| kept.path.key(text).hash)) {
            return;
        }
        let mut state = lock(&holder.state);
        state.heard_at = now;
        state.rows.entry(place(&kept.path, key.clone())).or_default().durable += units;
        state.inherited.push((kept.clone(), units, key));
    }

    /// Gives back what has been silent for too long, and forgets who holds nothing any more.
    pub(crate) fn sweep(&self, now: i64) {
        let all: Vec<Arc<Holder>> = lock(&self.all).values().cloned().collect();
        for holder in all {
            if holder.sweep(now) {
                let mut all = lock(&self.all);
                // Beside the list and this loop nobody knows it: who has it still may be about to hold something.
                if Arc::strong_count(&holder) == 2 && holder.sweep(now) {
                    all.remove(&holder.name);
                }
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.all).len()
    }
}

fn place(path: &Path, key: Option<Arc<str>>) -> Place {
    (path.spec().contract.clone(), path.spec().workload.clone(), key)
}

impl Holder {
    fn hash(path: &Path, key: Option<&Arc<str>>) -> Option<u64> {
        key.map(|text| path.key(text).hash)
    }

    /// A new stream: what is not restated is not held, what is restated is, whatever the limit says.
    fn restate(&self, now: i64, held: impl IntoIterator<Item = (Held, Kept)>) -> u64 {
        let mut state = lock(&self.state);
        let mut before = std::mem::take(&mut state.held);
        for (held, kept) in held {
            if let Some(known) = before.remove(&held.id) {
                state.held.insert(held.id, known);
            } else if !held.is_reserved && !state.held.contains_key(&held.id) {
                let key: Option<Arc<str>> = held.key.as_deref().map(Arc::from);
                // Nobody holds what no meter can count; and said twice it is one.
                if !kept.path.hold_over(&*self.clock, held.units, Self::hash(&kept.path, key.as_ref())) {
                    continue;
                }
                state.rows.entry(place(&kept.path, key.clone())).or_default().in_use += held.units;
                let one = Holding { kept, units: held.units, key, has_slots: true, reserved: None, ends_at: None };
                state.held.insert(held.id, one);
            }
        }
        for (_, one) in before {
            self.release(&mut state, &one);
        }
        for (kept, units, key) in std::mem::take(&mut state.inherited) {
            kept.path.release(&*self.clock, units, Self::hash(&kept.path, key.as_ref()));
        }
        for (at, row) in &mut state.rows {
            if row.in_use > row.durable && row.growing.is_none() {
                let by = row.in_use - row.durable;
                row.growing = self.book(at, by as i64).map(|booked| (by, booked));
            }
        }
        state.stream += 1;
        (state.heard_at, state.is_connected, state.has_ended) = (now, true, false);
        state.stream
    }

    /// A sign of life; false where another stream speaks for this holder by now.
    pub(crate) fn heard(&self, now: i64, stream: u64) -> bool {
        let mut state = lock(&self.state);
        if state.stream == stream && !state.has_ended {
            state.heard_at = now;
        }
        state.stream == stream && !state.has_ended
    }

    /// Its process is watched in the place of what was watched before: a stream that comes back leaves nothing behind.
    pub(crate) fn watch(&self, watch: Option<Watch>) {
        let before = std::mem::replace(&mut lock(&self.state).watch, watch);
        drop(before);
    }

    /// The stream is gone; what is held stays.
    pub(crate) fn detach(&self, stream: u64) {
        let mut state = lock(&self.state);
        if state.stream == stream {
            state.is_connected = false;
        }
    }

    /// Keeps what an admitted demand holds. False, and nothing is kept: the stream was followed by another one, which does
    /// not know of it.
    pub(crate) fn keep_reserved(
        &self,
        stream: u64,
        id: u64,
        kept: Kept,
        units: u64,
        key: Option<&str>,
        reserved: Reserved,
    ) -> bool {
        let mut state = lock(&self.state);
        if state.stream != stream || state.has_ended {
            return false;
        }
        if !state.may_hold(id) {
            return false;
        }
        let key = key.map(Arc::from);
        let one = Holding { kept, units, key, has_slots: false, reserved: Some(reserved), ends_at: None };
        state.held.insert(id, one);
        true
    }

    /// Keeps slots that the path has admitted, once they are durable. False, with the slots given back: the ledger does not
    /// take them, or another stream speaks for this holder by now.
    pub(crate) async fn keep_slots(
        &self,
        stream: u64,
        id: u64,
        kept: Kept,
        units: u64,
        key: Option<&str>,
        reserved: Option<Reserved>,
    ) -> bool {
        let key: Option<Arc<str>> = key.map(Arc::from);
        let at = place(&kept.path, key.clone());
        lock(&self.state).rows.entry(at.clone()).or_default().in_use += units;
        let is_durable = self.durable(&at).await;
        let one = Holding { kept, units, key, has_slots: true, reserved, ends_at: None };
        let mut state = lock(&self.state);
        if is_durable && state.stream == stream && !state.has_ended && state.may_hold(id) {
            state.held.insert(id, one);
            return true;
        }
        self.release(&mut state, &one);
        false
    }

    /// Keeps a slot with an end, once it is durable. False, with the slot given back: the ledger does not take it.
    pub(crate) async fn keep_lease(&self, lease: Lease, key: Option<&str>) -> bool {
        let Lease { id, kept, units, ends_at } = lease;
        if !self.keep_slots(0, id, kept, units, key, None).await {
            return false;
        }
        if let Some(one) = lock(&self.state).held.get_mut(&id) {
            one.ends_at = Some(ends_at);
        }
        true
    }

    /// Moves a lease's end; false where there is none any more.
    pub(crate) fn renew_lease(&self, now: i64, id: u64, ends_at: i64) -> bool {
        let mut state = lock(&self.state);
        let Some(one) = state.held.get_mut(&id).filter(|one| one.ends_at.is_some_and(|at| now < at)) else {
            return false;
        };
        one.ends_at = Some(ends_at);
        true
    }

    /// Ends a lease; false where there is none any more.
    pub(crate) fn end_lease(&self, id: u64, contract: &str) -> bool {
        let mut state = lock(&self.state);
        if state.held.get(&id).is_none_or(|one| one.kept.path.spec().contract != contract) {
            return false;
        }
        let Some(one) = state.held.remove(&id) else { return false };
        self.release(&mut state, &one);
        true
    }

    /// Waits until the row of a place covers what is in use there.
    async fn durable(&self, at: &Place) -> bool {
        let until = headway_clock::boot_ns().saturating_add(BOOKING_WAIT_NS);
        loop {
            {
                let mut state = lock(&self.state);
                let Some(row) = state.rows.get_mut(at) else { return false };
                if let Some((by, booked)) = &row.growing {
                    match booked.outcome() {
                        None => {}
                        Some(is_granted) => {
                            if is_granted {
                                row.durable += by;
                            }
                            row.growing = None;
                            if !is_granted {
                                return false;
                            }
                        }
                    }
                }
                if row.in_use <= row.durable {
                    return true;
                }
                if row.growing.is_none() {
                    let by = (row.in_use - row.durable).max(row.durable / ROW_PARTS);
                    let Some(booked) = self.book(at, by as i64) else { return false };
                    row.growing = Some((by, booked));
                }
            }
            if headway_clock::boot_ns() >= until {
                return false;
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }

    fn book(&self, (contract, workload, key): &Place, units: i64) -> Option<Booked> {
        let name = u128::from_be_bytes(self.name);
        let key = key.as_deref().unwrap_or_default();
        self.growths.book(contract, &format!("{workload}\n{name:032x}\n{key}"), units.saturating_mul(MICRO))
    }

    /// Ends a part of what a demand holds: its slots, or with `actual` its reservation. One that is not held is none.
    pub(crate) fn settle(&self, stream: u64, id: u64, actual: Option<u64>) {
        let mut state = lock(&self.state);
        if state.stream != stream {
            return;
        }
        let Some(mut one) = state.held.remove(&id) else { return };
        match actual {
            Some(actual) => {
                if let Some(reserved) = one.reserved.take() {
                    let hash = Self::hash(&one.kept.path, one.key.as_ref());
                    one.kept.path.settle(&*self.clock, &reserved, hash, actual);
                }
            }
            None if one.has_slots => {
                self.release(&mut state, &one);
                one.has_slots = false;
            }
            // A reservation that nobody took up is given back whole.
            None => {
                if let Some(reserved) = one.reserved.take() {
                    let hash = Self::hash(&one.kept.path, one.key.as_ref());
                    one.kept.path.settle(&*self.clock, &reserved, hash, 0);
                }
            }
        }
        if one.has_slots || one.reserved.is_some() {
            state.held.insert(id, one);
        }
    }

    fn release(&self, state: &mut State, one: &Holding) {
        if !one.has_slots {
            return;
        }
        one.kept.path.release(&*self.clock, one.units, Self::hash(&one.kept.path, one.key.as_ref()));
        if let Some(row) = state.rows.get_mut(&place(&one.kept.path, one.key.clone())) {
            row.in_use = row.in_use.saturating_sub(one.units);
        }
    }

    /// The holder is gone for certain: it said so, or its process has ended.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        state.has_ended = true;
        state.stream += 1;
        for (_, one) in std::mem::take(&mut state.held) {
            self.release(&mut state, &one);
        }
        for (kept, units, key) in std::mem::take(&mut state.inherited) {
            kept.path.release(&*self.clock, units, Self::hash(&kept.path, key.as_ref()));
        }
    }

    /// Gives back what has outlived its term and `max_hold`; true where nothing is left to remember.
    fn sweep(&self, now: i64) -> bool {
        let mut state = lock(&self.state);
        let ended_at = state.heard_at.saturating_add(longer(TERM.as_nanos() as i64));
        if state.is_connected && !state.has_ended && now < ended_at {
            return false;
        }
        let is_over = |kept: &Kept| now >= ended_at.saturating_add(longer(kept.max_hold_ns));
        let has_ended = |one: &Holding| one.ends_at.map_or(is_over(&one.kept) && !state.is_lasting, |at| now >= at);
        let over: Vec<u64> = state.held.iter().filter(|(_, one)| has_ended(one)).map(|(id, _)| *id).collect();
        for id in over {
            if let Some(one) = state.held.remove(&id) {
                self.release(&mut state, &one);
            }
        }
        let (over, left) = std::mem::take(&mut state.inherited).into_iter().partition(|(kept, ..)| is_over(kept));
        state.inherited = left;
        let over: Vec<(Kept, u64, Option<Arc<str>>)> = over;
        for (kept, units, key) in over {
            kept.path.release(&*self.clock, units, Self::hash(&kept.path, key.as_ref()));
        }
        let is_silent = state.has_ended || now >= ended_at;
        let is_about_to_hold = state.rows.values().any(|row| row.in_use > 0);
        if !is_silent || is_about_to_hold || !state.held.is_empty() || !state.inherited.is_empty() {
            return false;
        }
        // Rows of who is gone are taken off lazily: one that is lost counts as held after a crash, for a while.
        for (at, row) in &state.rows {
            if row.durable > 0 {
                drop(self.book(at, -(row.durable as i64)));
            }
        }
        state.rows.clear();
        true
    }
}

#[cfg(test)]
mod tests;
