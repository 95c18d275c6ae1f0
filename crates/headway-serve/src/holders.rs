//! Who holds what of the contracts kept here: gates, by the names they made for themselves, under the credential they
//! came with.
//!
//! A slot is given back when its gate says so, when the gate's process has ended for certain, or `max_hold` after the end
//! of its term; a closed stream proves nothing. Slots are durable before their gate hears of them: rows in the ledger
//! (`rows`), ahead of their use, so that most demands write nothing. Source: protocols/leases.md, rule 3.

mod holder;
mod rows;
mod seen;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headway_core::{Growths, Path};
use headway_wire::Tell;
use headway_wire::grpc::{Failed, Status};
use headway_wire::hold::{HOLDER_BYTES, Held};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::gates::Gates;
use crate::keeping::Keeping;
use crate::plane::Ticking;
use crate::routes::Floor;

pub(crate) use holder::{Holder, Lease, Renewed};

pub(crate) type Name = [u8; HOLDER_BYTES];

/// Gates at once; one more is turned away.
pub(crate) const HOLDERS_MAX: usize = 10_000;
/// Processes whose end is seen at once; of more gates, silence alone tells.
const WATCHES_MAX: usize = 256;
/// How long what a keeper says holds, from when it was asked. Demands are decided here, so it bounds how late an answer may
/// be used, not when a cut is in force.
pub(crate) const TERM: Duration = Duration::from_millis(3_740);
/// How names begin under which leases over HTTP are held. Who knows a credential's name can work them out, so no gate may
/// come under one: it would let go of what others use.
const LEASES: &[u8] = b"leases\0\0";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path as gates may ask it.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) path: Arc<Path>,
    pub(crate) max_hold_ns: i64,
    /// Within which a cut is in force at gates.
    pub(crate) drain_within_ns: i64,
    /// How much refusals say over HTTP.
    pub(crate) tell_http: Tell,
    /// Whether a gate that is cut off admits everything.
    pub(crate) opens: bool,
    /// Its floor, where that is divided among gates.
    pub(crate) floor: Option<Arc<Floor>>,
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
    /// Told of holders that have ended.
    keeping: Arc<Keeping>,
    /// Processes that are watched: each is a file that is open.
    pub(crate) watches: Arc<Semaphore>,
    /// What they are called where they are counted.
    pub(crate) gates: Arc<Gates>,
}

impl Holders {
    pub(crate) fn new(growths: Arc<Growths>, clock: Arc<Ticking>, keeping: Arc<Keeping>) -> Holders {
        let (watches, gates) = (Arc::new(Semaphore::new(WATCHES_MAX)), Arc::default());
        Holders { all: Mutex::default(), growths, clock, keeping, watches, gates }
    }

    fn holder(&self, name: Name, credential: &str) -> Arc<Holder> {
        let (growths, clock) = (Arc::clone(&self.growths), Arc::clone(&self.clock));
        Arc::new(Holder::new(name, credential, growths, clock, Arc::clone(&self.keeping)))
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
        holder.named.get_or_init(|| self.gates.name(credential));
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
        holder.inherit(now, kept, key, units);
    }

    /// Gives back what has been silent for too long, and forgets who holds nothing any more.
    pub(crate) fn sweep(&self, now: i64) {
        for holder in self.all() {
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

    pub(crate) fn all(&self) -> Vec<Arc<Holder>> {
        lock(&self.all).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
