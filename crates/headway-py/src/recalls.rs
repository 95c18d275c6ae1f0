//! Which permits are asked back, where slots above a cut are: the newest first, for they have done least.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of one path: the key it is for, and a number that grows from one permit to the next.
type Place = (Option<u64>, u64);

/// The permits of a limiter that are out, with their units.
#[derive(Default)]
pub(crate) struct Recalls {
    out: Mutex<BTreeMap<Place, u64>>,
    last: AtomicU64,
}

impl Recalls {
    pub(crate) fn begin(&self, key: Option<u64>, units: u64) -> Place {
        let place = (key, self.last.fetch_add(1, Ordering::Relaxed));
        self.lock().insert(place, units);
        place
    }

    pub(crate) fn end(&self, place: Place) {
        self.lock().remove(&place);
    }

    /// Whether it is among the newest of its key that come to so many units.
    pub(crate) fn is_among_newest(&self, place: Place, units: u64) -> bool {
        let mut newer = 0u64;
        for (&one, held) in self.lock().range((place.0, 0)..=(place.0, u64::MAX)).rev() {
            if newer >= units {
                return false;
            }
            if one == place {
                return true;
            }
            newer = newer.saturating_add(*held);
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, u64>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
