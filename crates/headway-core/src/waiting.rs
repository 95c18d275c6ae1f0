//! Waiting one's turn: a FIFO per limiter and key.
//!
//! Nothing is reserved ahead: the head polls when it is woken (by a release, a publish, a grant, the leaving of the one
//! before) or when its earliest instant has come. Source: interfaces, rules.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::atomics::{AtomicUsize, Ordering};

/// Waiters of one limiter, all keys together; one more is refused as `queue_full`.
pub const WAITERS_MAX: usize = 10_000;

/// Called without any lock of ours.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Rung {
    rung: bool,
    call: Option<Wake>,
}

/// One who waits.
#[derive(Default)]
pub(crate) struct Waiter {
    key: Option<u64>,
    rung: Mutex<Rung>,
    has_rung: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiter {
    pub(crate) fn wake(&self) {
        let call = {
            let mut rung = lock(&self.rung);
            rung.rung = true;
            self.has_rung.notify_all();
            rung.call.clone()
        };
        if let Some(call) = call {
            call();
        }
    }

    /// Calls `wake` at every ring, at once if one was missed.
    pub(crate) fn on_wake(&self, wake: Wake) {
        let missed = {
            let mut rung = lock(&self.rung);
            rung.call = Some(Arc::clone(&wake));
            rung.rung
        };
        if missed {
            wake();
        }
    }

    /// Before a poll: rings from here on are news.
    pub(crate) fn listen(&self) {
        lock(&self.rung).rung = false;
    }

    /// Sleeps until rung, at most `at_most`.
    pub(crate) fn sleep(&self, at_most: Duration) {
        let rung = lock(&self.rung);
        drop(self.has_rung.wait_timeout_while(rung, at_most, |rung| !rung.rung));
    }
}

#[derive(Default)]
pub(crate) struct Queue {
    lines: Mutex<HashMap<Option<u64>, VecDeque<Arc<Waiter>>>>,
    count: AtomicUsize,
}

impl Queue {
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Whether a demand may be decided at once: nobody waits before it.
    #[inline]
    pub(crate) fn is_free(&self, key: Option<u64>) -> bool {
        self.count() == 0 || !lock(&self.lines).contains_key(&key)
    }

    /// None: 10,000 wait already.
    pub(crate) fn join(&self, key: Option<u64>) -> Option<Arc<Waiter>> {
        let mut lines = lock(&self.lines);
        if self.count() >= WAITERS_MAX {
            return None;
        }
        let waiter = Arc::new(Waiter { key, ..Waiter::default() });
        lines.entry(key).or_default().push_back(Arc::clone(&waiter));
        self.count.fetch_add(1, Ordering::SeqCst);
        Some(waiter)
    }

    pub(crate) fn is_head(&self, waiter: &Arc<Waiter>) -> bool {
        lock(&self.lines).get(&waiter.key).and_then(VecDeque::front).is_some_and(|head| Arc::ptr_eq(head, waiter))
    }

    /// Leaves, waking whoever is head now. Idempotent.
    pub(crate) fn leave(&self, waiter: &Arc<Waiter>) {
        let head = {
            let mut lines = lock(&self.lines);
            let Some(line) = lines.get_mut(&waiter.key) else { return };
            let Some(at) = line.iter().position(|known| Arc::ptr_eq(known, waiter)) else { return };
            line.remove(at);
            self.count.fetch_sub(1, Ordering::SeqCst);
            let head = if at == 0 { line.front().cloned() } else { None };
            if line.is_empty() {
                lines.remove(&waiter.key);
            }
            head
        };
        if let Some(head) = head {
            head.wake();
        }
    }

    /// Wakes the head of every line.
    pub(crate) fn wake_heads(&self) {
        let heads: Vec<Arc<Waiter>> = lock(&self.lines).values().filter_map(|line| line.front().cloned()).collect();
        for head in heads {
            head.wake();
        }
    }

    /// Wakes all, for `close`.
    pub(crate) fn wake_all(&self) {
        let all: Vec<Arc<Waiter>> = lock(&self.lines).values().flatten().cloned().collect();
        for waiter in all {
            waiter.wake();
        }
    }
}
