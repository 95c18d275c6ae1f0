//! What a process has of its keeper: limiters, and one link that is made anew in a forked child.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use headway_core::{Error, Far as _, Meters, Path};
use headway_wire::hold::{HOLDER_BYTES, NAME_MAX};
use tokio::sync::Notify;

use crate::desk::{Answered, Desk};
use crate::distant::{Contract, Distant};
use crate::tls::Trust;
use crate::{identity, stream};

/// How often this process came out of a fork.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// In a forked child, before anything else: gates begin anew. One atomic addition, for any lock may be held by a thread
/// that is not there.
pub fn forked() {
    FORKS.fetch_add(1, Ordering::SeqCst);
}

/// How often this process, or one before it, came out of a fork: what was held at another count was another process'.
pub fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// Where the keeper is, and what it is shown.
#[derive(Clone)]
pub struct Settings {
    /// `HOST:PORT`.
    pub address: String,
    pub token: String,
    /// How the keeper shows who it is; None: it does not, and nothing is encrypted.
    pub tls: Option<Trust>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("address", &self.address).finish_non_exhaustive()
    }
}

/// One end of a stream, from its first demand to the fork or the close that ends it.
pub(crate) struct Link {
    pub(crate) forks: u64,
    pub(crate) holder: [u8; HOLDER_BYTES],
    pub(crate) settings: Settings,
    desk: Mutex<Desk>,
    has_heard: Condvar,
    has_thread: AtomicBool,
    is_closed: AtomicBool,
    /// Wakes whoever holds the stream when it is to end.
    pub(crate) closing: Notify,
    /// Something is due earlier than it was.
    pub(crate) sooner: Notify,
}

impl Link {
    fn new(settings: Settings) -> Result<Link, Error> {
        let holder = identity::name().map_err(|error| Error::Invalid(format!("no random bytes: {error}")))?;
        Ok(Link {
            forks: FORKS.load(Ordering::SeqCst),
            holder,
            settings,
            desk: Mutex::default(),
            has_heard: Condvar::new(),
            has_thread: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            closing: Notify::new(),
            sooner: Notify::new(),
        })
    }

    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The desk with a path open on it, and somebody who dials.
    pub(crate) fn with(self: &Arc<Self>, distant: &Distant) -> MutexGuard<'_, Desk> {
        if !self.has_thread.swap(true, Ordering::SeqCst) && !self.is_closed() {
            stream::start(self);
        }
        let mut desk = self.desk();
        if !desk.is_open(distant.id) {
            desk.open(distant.id, &distant.contract, distant.workload.as_deref(), distant.own.clone());
        }
        desk
    }

    /// Waits while `is_pending`, at most `at_most`.
    pub(crate) fn wait<'a>(
        &'a self,
        desk: MutexGuard<'a, Desk>,
        at_most: Duration,
        is_pending: impl FnMut(&mut Desk) -> bool,
    ) -> MutexGuard<'a, Desk> {
        self.has_heard.wait_timeout_while(desk, at_most, is_pending).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Tells those who wait for something to be heard.
    pub(crate) fn heard(&self) {
        self.has_heard.notify_all();
    }

    /// Hands answers over, with no lock held: whoever is woken may ask again at once.
    pub(crate) fn deliver(&self, answered: impl IntoIterator<Item = Answered>) {
        for Answered { path, question, outcome } in answered {
            if !question.answer(outcome.clone()) {
                self.desk().give_up(path, &question, Some(&outcome));
            }
        }
        self.heard();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }
}

pub(crate) struct Inner {
    settings: Settings,
    current: ArcSwap<Link>,
}

impl Inner {
    /// The link of this process.
    pub(crate) fn link(&self) -> Arc<Link> {
        let link = self.current.load_full();
        if link.forks == FORKS.load(Ordering::SeqCst) {
            return link;
        }
        // Without random bytes there is no name to come under: the parent's link stays, which nobody serves here.
        let Ok(new) = Link::new(self.settings.clone()) else { return link };
        let old = self.current.compare_and_swap(&link, Arc::new(new));
        // Its locks may be held by threads that are not in this process: it is never dropped.
        std::mem::forget(Arc::clone(&old));
        self.current.load_full()
    }
}

/// A process' way to one keeper. Nothing is dialled before the first limiter is asked for.
pub struct Gate {
    inner: Arc<Inner>,
    meters: Arc<Meters>,
    next_path: AtomicU64,
    /// Paths that name no workload, by contract: on them its keeper tells the contract. Without a lock, which a fork could
    /// find held.
    unnamed: ArcSwap<HashMap<String, Arc<Distant>>>,
}

impl Gate {
    /// Errors: an address without a port, a token that is no header's, no random bytes to make a name of.
    pub fn new(settings: Settings) -> Result<Gate, Error> {
        let parts = settings.address.rsplit_once(':');
        if parts.is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
            return Err(Error::Invalid(format!("{:?} is no HOST:PORT", settings.address)));
        }
        if settings.token.is_empty() || !settings.token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Invalid("a token is one word of ASCII".into()));
        }
        let current = ArcSwap::from_pointee(Link::new(settings.clone())?);
        Ok(Gate {
            inner: Arc::new(Inner { settings, current }),
            meters: Arc::default(),
            next_path: AtomicU64::new(1),
            unnamed: ArcSwap::default(),
        })
    }

    /// A contract's limit as one workload meets it, decided by the keeper. Dials, and does not wait for it.
    ///
    /// Errors: a name that is too long, too many limiters.
    pub fn limiter(&self, contract: &str, workload: Option<&str>) -> Result<Arc<Path>, Error> {
        if contract.is_empty() || contract.len().max(workload.map_or(0, str::len)) > NAME_MAX {
            return Err(Error::Invalid(format!("a name has 1 to {NAME_MAX} bytes")));
        }
        let distant = Arc::new_cyclic(|own| Distant {
            id: self.next_path.fetch_add(1, Ordering::Relaxed),
            contract: contract.to_owned(),
            workload: workload.map(str::to_owned),
            gate: Arc::clone(&self.inner),
            facts: ArcSwapOption::empty(),
            ends: AtomicBool::new(false),
            told: ArcSwapOption::empty(),
            doors: ArcSwapOption::empty(),
            asked_back: AtomicU64::new(0),
            own: own.clone(),
        });
        let path = self.meters.distant(contract, workload.unwrap_or("other"), Arc::clone(&distant) as _)?;
        drop(self.inner.link().with(&distant));
        if workload.is_none() {
            self.unnamed.rcu(|known| {
                let mut known = HashMap::clone(known);
                known.insert(contract.to_owned(), Arc::clone(&distant));
                known
            });
        }
        Ok(path)
    }

    /// A contract of which a limiter without a workload was asked for, as its keeper tells it: waits for that as a first
    /// demand does. None: it has not, and cannot be asked now.
    ///
    /// Errors: the keeper knows no such contract, or does not let this gate in.
    pub fn told(&self, contract: &str) -> Result<Option<Arc<Contract>>, Error> {
        let Some(distant) = self.unnamed.load().get(contract).cloned() else { return Ok(None) };
        if distant.told.load().is_none() {
            distant.learn()?;
        }
        Ok(distant.told.load_full())
    }

    /// What its limiters have decided, and the hash key of their keys.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// Refuses what is asked from now on as `closed`, and says goodbye where nothing is held. A second time does nothing.
    pub fn close(&self) {
        self.meters.close();
        let link = self.inner.current.load_full();
        if link.forks != FORKS.load(Ordering::SeqCst) || link.is_closed.swap(true, Ordering::SeqCst) {
            return;
        }
        link.desk().leave(headway_clock::boot_ns());
        link.closing.notify_one();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.close();
    }
}
