//! One holder: what its demands hold, and until when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use headway_core::{Growths, Path, Reserved, lease};
use headway_wire::hold::{HELD_MAX, Held};

use super::rows::{Cover, Rows, place};
use super::{Kept, Name, TERM, lock};
use crate::death::Watch;
use crate::gates::Named;
use crate::keeping::Keeping;
use crate::plane::Ticking;

/// How long a demand waits for its row to be durable.
const BOOKING_WAIT_NS: i64 = 2_000_000_000;
/// How often it looks whether it is.
const BOOKING_LOOK: Duration = Duration::from_micros(500);

/// So long here that at least `ns` pass on a clock that is a thousandth slower.
pub(super) fn longer(ns: i64) -> i64 {
    ns.saturating_add(ns / 1_000 + 1)
}

/// What one demand holds.
pub(super) struct Holding {
    pub(super) kept: Kept,
    pub(super) units: u64,
    key: Option<Arc<str>>,
    pub(super) has_slots: bool,
    reserved: Option<Reserved>,
    /// Of a lease over HTTP: when it is over.
    ends_at: Option<i64>,
    /// Its renewal was refused, for its slots are asked back.
    is_recalled: bool,
}

impl Holding {
    fn slots(kept: Kept, units: u64, key: Option<Arc<str>>, reserved: Option<Reserved>) -> Holding {
        Holding { kept, units, key, has_slots: true, reserved, ends_at: None, is_recalled: false }
    }

    fn hash(&self) -> Option<u64> {
        self.key.as_deref().map(|text| self.kept.path.key(text).hash)
    }

    /// Holds its slots, whatever the limit says; false, and nothing is held, where no meter can count them.
    fn hold(&self, clock: &Ticking) -> bool {
        self.kept.path.hold_over(clock, self.units, self.hash())
    }

    /// Gives its slots back.
    fn let_go(&self, clock: &Ticking) {
        if self.has_slots {
            self.kept.path.release(clock, self.units, self.hash());
        }
    }
}

/// What became of a lease whose renewal was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewed {
    Done,
    /// It lasts until the end that it has: its slots are asked back.
    Recalled,
    NoSuchLease,
}

/// A slot with an end, as it was asked for.
pub(crate) struct Lease {
    pub(crate) id: u64,
    pub(crate) kept: Kept,
    pub(crate) units: u64,
    pub(crate) ends_at: i64,
}

pub(super) struct State {
    /// The number of the stream that speaks for it.
    stream: u64,
    pub(super) is_connected: bool,
    pub(super) heard_at: i64,
    has_ended: bool,
    /// It stands for leases over HTTP: never silent, and each has its own end.
    pub(super) is_lasting: bool,
    pub(super) held: HashMap<u64, Holding>,
    rows: Rows,
    /// Sees its process end.
    watch: Option<Watch>,
    /// Slots of a keeper before this one, until the holder restates what it has. Rows cover them, and do not count them.
    pub(super) inherited: Vec<Holding>,
}

impl State {
    /// Whether a stream speaks for the holder still.
    fn is_heard(&self, stream: u64) -> bool {
        self.stream == stream && !self.has_ended
    }

    /// Whether one more demand of a stream may be kept, under an id of its own: in the place of another one, that one's
    /// slots would be nobody's.
    fn may_hold(&self, stream: u64, id: u64) -> bool {
        self.is_heard(stream) && self.held.len() < HELD_MAX && !self.held.contains_key(&id)
    }

    /// Gives slots back that a row counts.
    fn release(&mut self, one: &Holding, clock: &Ticking) {
        if one.has_slots {
            one.let_go(clock);
            self.rows.take_off(&place(&one.kept.path, one.key.as_ref()), one.units);
        }
    }

    /// Gives back what a keeper before this one had admitted.
    fn disown(&mut self, clock: &Ticking) {
        self.inherited.drain(..).for_each(|one| one.let_go(clock));
    }
}

pub(crate) struct Holder {
    pub(crate) name: Name,
    pub(super) credential: String,
    pub(super) state: Mutex<State>,
    /// From when a stream first speaks for it.
    pub(super) named: OnceLock<Named>,
    pub(super) clock: Arc<Ticking>,
    keeping: Arc<Keeping>,
}

impl Holder {
    pub(super) fn new(
        name: Name,
        credential: &str,
        growths: Arc<Growths>,
        clock: Arc<Ticking>,
        keeping: Arc<Keeping>,
    ) -> Holder {
        let state = State {
            stream: 0,
            is_connected: false,
            heard_at: 0,
            has_ended: false,
            is_lasting: false,
            held: HashMap::new(),
            rows: Rows::new(name, growths),
            watch: None,
            inherited: vec![],
        };
        let (credential, state, named) = (credential.to_owned(), Mutex::new(state), OnceLock::new());
        Holder { name, credential, state, named, clock, keeping }
    }

    // --- its streams -------------------------------------------------------------------------------------------------

    /// A row of the ledger: slots that it had at a keeper before this one.
    pub(super) fn inherit(&self, now: i64, kept: &Kept, key: Option<Arc<str>>, units: u64) {
        let one = Holding::slots(kept.clone(), units, key, None);
        if !one.hold(&self.clock) {
            return;
        }
        let mut state = lock(&self.state);
        state.heard_at = now;
        state.rows.inherit(place(&kept.path, one.key.as_ref()), units);
        state.inherited.push(one);
    }

    /// A new stream: what is not restated is not held, what is restated is, whatever the limit says.
    pub(super) fn restate(&self, now: i64, held: impl IntoIterator<Item = (Held, Kept)>) -> u64 {
        let mut state = lock(&self.state);
        let mut before = std::mem::take(&mut state.held);
        for (held, kept) in held {
            if let Some(known) = before.remove(&held.id) {
                state.held.insert(held.id, known);
            } else if !held.is_reserved && !state.held.contains_key(&held.id) {
                let one = Holding::slots(kept, held.units, held.key.map(Arc::from), None);
                // Nobody holds what no meter can count; and said twice it is one.
                if one.hold(&self.clock) {
                    state.rows.add(place(&one.kept.path, one.key.as_ref()), one.units);
                    state.held.insert(held.id, one);
                }
            }
        }
        for one in before.values() {
            state.release(one, &self.clock);
        }
        state.disown(&self.clock);
        state.rows.cover_all();
        state.stream += 1;
        (state.heard_at, state.is_connected, state.has_ended) = (now, true, false);
        state.stream
    }

    /// A sign of life; false where another stream speaks for this holder by now.
    pub(crate) fn heard(&self, now: i64, stream: u64) -> bool {
        let mut state = lock(&self.state);
        let is_heard = state.is_heard(stream);
        if is_heard {
            state.heard_at = now;
        }
        is_heard
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

    /// The holder is gone for certain: it said so, or its process has ended.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        state.has_ended = true;
        state.stream += 1;
        for one in std::mem::take(&mut state.held).values() {
            state.release(one, &self.clock);
        }
        state.disown(&self.clock);
        drop(state);
        self.keeping.dead(self.leaseholder());
    }

    /// As keepers know it.
    pub(crate) fn leaseholder(&self) -> lease::Holder {
        lease::Holder(u128::from_be_bytes(self.name))
    }

    /// Units of a path that are asked back of the slots that it holds by single demands: its part of what is over, key by key.
    pub(crate) fn recalled(&self, now: i64, path: &Arc<Path>) -> u64 {
        let state = lock(&self.state);
        let mut held: HashMap<Option<u64>, u64> = HashMap::new();
        for one in state.held.values().filter(|one| one.has_slots && Arc::ptr_eq(&one.kept.path, path)) {
            *held.entry(one.hash()).or_default() += one.units;
        }
        held.into_iter().map(|(key, units)| path.excess(now, key).part(units)).sum()
    }

    // --- its demands -------------------------------------------------------------------------------------------------

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
        if !state.may_hold(stream, id) {
            return false;
        }
        let one = Holding { has_slots: false, ..Holding::slots(kept, units, key.map(Arc::from), Some(reserved)) };
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
        self.keep(stream, id, Holding::slots(kept, units, key.map(Arc::from), reserved)).await
    }

    /// Keeps a slot with an end, once it is durable. False, with the slot given back: the ledger does not take it.
    pub(crate) async fn keep_lease(&self, lease: Lease, key: Option<&str>) -> bool {
        let Lease { id, kept, units, ends_at } = lease;
        let one = Holding::slots(kept, units, key.map(Arc::from), None);
        self.keep(0, id, Holding { ends_at: Some(ends_at), ..one }).await
    }

    async fn keep(&self, stream: u64, id: u64, one: Holding) -> bool {
        let at = place(&one.kept.path, one.key.as_ref());
        lock(&self.state).rows.add(at.clone(), one.units);
        let until = headway_clock::boot_ns().saturating_add(BOOKING_WAIT_NS);
        let is_durable = loop {
            match lock(&self.state).rows.cover(&at) {
                Cover::Durable => break true,
                Cover::Refused => break false,
                Cover::Growing if headway_clock::boot_ns() >= until => break false,
                Cover::Growing => {}
            }
            tokio::time::sleep(BOOKING_LOOK).await;
        };
        let mut state = lock(&self.state);
        let is_kept = is_durable && state.may_hold(stream, id);
        if is_kept {
            state.held.insert(id, one);
        } else {
            state.release(&one, &self.clock);
        }
        is_kept
    }

    /// Moves a lease's end. Where slots of its path are above a cut and asked back, as many leases as come to this holder's
    /// part of that are not renewed, whoever asks first.
    pub(crate) fn renew_lease(&self, now: i64, id: u64, ends_at: i64) -> Renewed {
        let mut state = lock(&self.state);
        let Some(one) = state.held.get(&id).filter(|one| one.ends_at.is_some_and(|at| now < at)) else {
            return Renewed::NoSuchLease;
        };
        let (path, key) = (Arc::clone(&one.kept.path), one.hash());
        let excess = path.excess(now, key);
        if excess.over > 0 {
            let alike = |other: &&Holding| Arc::ptr_eq(&other.kept.path, &path) && other.hash() == key;
            let held = state.held.values().filter(alike).map(|other| other.units).sum();
            let others = state.held.values().filter(alike).filter(|other| other.is_recalled);
            let asked: u64 = others.map(|other| other.units).sum();
            if one.is_recalled || asked < excess.part(held) {
                state.held.entry(id).and_modify(|one| one.is_recalled = true);
                return Renewed::Recalled;
            }
        }
        state.held.entry(id).and_modify(|one| (one.ends_at, one.is_recalled) = (Some(ends_at), false));
        Renewed::Done
    }

    /// Ends a lease; false where there is none any more.
    pub(crate) fn end_lease(&self, id: u64, contract: &str) -> bool {
        let mut state = lock(&self.state);
        if state.held.get(&id).is_none_or(|one| one.kept.path.spec().contract != contract) {
            return false;
        }
        let Some(one) = state.held.remove(&id) else { return false };
        state.release(&one, &self.clock);
        true
    }

    /// Ends a part of what a demand holds: its slots, or with `actual` its reservation; one that nobody took up is given
    /// back whole. What is not held is nothing.
    pub(crate) fn settle(&self, stream: u64, id: u64, actual: Option<u64>) {
        let mut state = lock(&self.state);
        if state.stream != stream {
            return;
        }
        let Some(mut one) = state.held.remove(&id) else { return };
        if actual.is_none() && one.has_slots {
            state.release(&one, &self.clock);
            one.has_slots = false;
        } else if let Some(reserved) = one.reserved.take() {
            one.kept.path.settle(&*self.clock, &reserved, one.hash(), actual.unwrap_or(0));
        }
        if one.has_slots || one.reserved.is_some() {
            state.held.insert(id, one);
        }
    }

    /// Gives back what has outlived its term and `max_hold`; true where nothing is left to remember.
    pub(super) fn sweep(&self, now: i64) -> bool {
        let mut state = lock(&self.state);
        let ended_at = state.heard_at.saturating_add(longer(TERM.as_nanos() as i64));
        if state.is_connected && !state.has_ended && now < ended_at {
            return false;
        }
        let is_lasting = state.is_lasting;
        let outlived = |one: &Holding| now >= ended_at.saturating_add(longer(one.kept.max_hold_ns));
        let is_over = |one: &Holding| one.ends_at.map_or(!is_lasting && outlived(one), |at| now >= at);
        let over: Vec<Holding> = state.held.extract_if(|_, one| is_over(one)).map(|(_, one)| one).collect();
        for one in &over {
            state.release(one, &self.clock);
        }
        for one in state.inherited.extract_if(.., |one| outlived(one)) {
            one.let_go(&self.clock);
        }
        let is_silent = state.has_ended || now >= ended_at;
        if !is_silent || state.rows.is_in_use() || !state.held.is_empty() || !state.inherited.is_empty() {
            return false;
        }
        state.rows.clear();
        true
    }
}
