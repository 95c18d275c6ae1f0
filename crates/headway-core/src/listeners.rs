//! Those who are told that something rare has happened, with no lock held.

use std::sync::{Arc, Mutex, PoisonError, Weak};

type Told = dyn Fn() + Send + Sync;

#[derive(Default)]
pub(crate) struct Listeners(Mutex<Vec<Weak<Told>>>);

impl Listeners {
    /// Tells it from now on, for as long as its owner keeps it.
    pub(crate) fn add(&self, told: &Arc<Told>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|told| told.strong_count() > 0);
        all.push(Arc::downgrade(told));
    }

    pub(crate) fn tell(&self) {
        let all: Vec<Arc<Told>> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
        for told in all {
            told();
        }
    }
}
