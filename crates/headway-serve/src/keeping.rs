//! The keepers of this process: one for each path that is lent from, each behind a lock of its own.
//!
//! What a keeper decides is the core's (`lease::Keeper`); here it hears gates, writes to the ledger, and is told of new
//! limits. The data folder's lock is its mandate: while this process has it there is no other keeper, and whoever has it
//! next knows that this one is gone. Source: docs/leases.md.

mod lending;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headway_core::lease::{Holder, PartRow, Row, Terms};
use headway_core::{Growths, Meters, Mode};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::holders::Kept;
use crate::plane::Ticking;

pub use lending::LentReading;
pub(crate) use lending::{Lending, Said};

/// How long a plane that closes waits for gates to tell what they did not spend.
const CALL_BACK: Duration = Duration::from_secs(1);

/// What a path is lent under. None: its demands are asked one by one, for it has keys or is divided by weight, only looks
/// on, is decided elsewhere, or is to be cut faster than a lease could be.
pub(crate) fn terms_of(kept: &Kept) -> Option<Terms> {
    let path = &kept.path;
    let may_lend = path.spec().mode == Mode::Enforce && !path.is_weighed() && path.lending().is_ok();
    may_lend.then(|| Terms::usual(kept.drain_within_ns, kept.max_hold_ns).ok())?
}

/// A path's name: its contract and workload.
pub(crate) type Place = (String, String);

/// What the run before this one had lent of a path.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeftBehind {
    /// Slots, a row a holder.
    pub(crate) rows: Vec<Row>,
    /// Micro-units that may be on loan.
    pub(crate) ceiling_micro: u64,
    /// Who had parts of its floor: of tokens, or of slots.
    pub(crate) parts: Vec<(bool, PartRow)>,
}

/// How a row of the ledger that says who has a part of a floor names its gate: no workload is called so.
pub(crate) fn part_place(of_tokens: bool, gate: &str) -> String {
    format!("{}{gate}", if of_tokens { TOKENS_PART } else { SLOTS_PART })
}

/// Whether it is of tokens, and its gate; None: a row of slots that are lent.
pub(crate) fn part_in(place: &str) -> Option<(bool, &str)> {
    let of = |kind| place.strip_prefix(kind);
    of(TOKENS_PART).map(|gate| (true, gate)).or_else(|| of(SLOTS_PART).map(|gate| (false, gate)))
}

const SLOTS_PART: &str = "#slots ";
const TOKENS_PART: &str = "#tokens ";

pub(crate) struct Keeping {
    all: Mutex<HashMap<Place, Arc<Lending>>>,
    growths: Arc<Growths>,
    clock: Arc<Ticking>,
    /// Of this run; each is above those before.
    epoch: u64,
    runtime: Handle,
    /// Told of publishes and of the ledger's answers for as long as this is here.
    stirs: Arc<dyn Fn() + Send + Sync>,
    /// Those who look when something has happened.
    stirred: Arc<Mutex<Vec<Arc<Notify>>>>,
}

impl Keeping {
    pub(crate) fn new(meters: &Meters, clock: Arc<Ticking>, epoch: u64, runtime: Handle) -> Keeping {
        let stirred: Arc<Mutex<Vec<Arc<Notify>>>> = Arc::default();
        let told = Arc::clone(&stirred);
        let stirs: Arc<dyn Fn() + Send + Sync> = Arc::new(move || lock(&told).iter().for_each(|one| one.notify_one()));
        meters.on_publish(&stirs);
        meters.growths().on_answer(&stirs);
        Keeping { all: Mutex::default(), growths: Arc::clone(meters.growths()), clock, epoch, runtime, stirs, stirred }
    }

    /// The keeper of a path, from now on if there was none. None: it is not lent.
    pub(crate) fn of(&self, kept: &Kept) -> Option<Arc<Lending>> {
        self.opened(kept, &LeftBehind::default())
    }

    /// Takes up what the run before this one had lent, before anybody else takes of it.
    pub(crate) fn inherit(&self, kept: &Kept, left: &LeftBehind) {
        drop(self.opened(kept, left));
    }

    fn opened(&self, kept: &Kept, left: &LeftBehind) -> Option<Arc<Lending>> {
        let spec = kept.path.spec();
        let place = (spec.contract.clone(), spec.workload.clone());
        let mut all = lock(&self.all);
        if let Some(lending) = all.get(&place) {
            return Some(Arc::clone(lending));
        }
        let stirred = Arc::new(Notify::new());
        let (growths, clock) = (Arc::clone(&self.growths), Arc::clone(&self.clock));
        let lending = Arc::new(Lending::open(kept, left, self.epoch, growths, clock, Arc::clone(&stirred))?);
        lock(&self.stirred).push(stirred);
        self.runtime.spawn(lending::look_after(Arc::downgrade(&lending)));
        all.insert(place, Arc::clone(&lending));
        Some(lending)
    }

    /// Calls all blocks back, and waits a moment for what became of them: what is told now is not lost to anybody.
    pub(crate) async fn call_back(&self) {
        let all = self.all();
        for lending in &all {
            lending.call_back();
        }
        let until = tokio::time::Instant::now() + CALL_BACK;
        while all.iter().any(|lending| lending.is_awaited()) && tokio::time::Instant::now() < until {
            tokio::time::sleep(CALL_BACK / 100).await;
        }
    }

    /// Every keeper there is.
    pub(crate) fn all(&self) -> Vec<Arc<Lending>> {
        lock(&self.all).values().cloned().collect()
    }

    /// A holder whose process has ended for certain.
    pub(crate) fn dead(&self, holder: Holder) {
        for lending in self.all() {
            lending.dead(holder);
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        // Whoever looks after a keeper sees that it is gone.
        (self.stirs)();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
