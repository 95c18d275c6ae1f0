//! Who is to be woken when a meter may have room again.

use std::sync::{Arc, Mutex, PoisonError};

use crate::atomics::{AtomicUsize, Ordering};
use crate::waiting::Queue;

/// The queues that wait for one meter. Ringing costs one load while nobody waits.
#[derive(Default)]
pub(crate) struct Bell {
    waiting: AtomicUsize,
    queues: Mutex<Vec<Arc<Queue>>>,
}

impl Bell {
    /// From now on `queue` hears this bell; once, however often it asks.
    pub(crate) fn hear(&self, queue: &Arc<Queue>) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if !queues.iter().any(|known| Arc::ptr_eq(known, queue)) {
            queues.push(Arc::clone(queue));
            // SeqCst, like the exchange that gives room: either the waiter's next poll sees the room, or this is seen.
            self.waiting.store(queues.len(), Ordering::SeqCst);
        }
    }

    /// Forgets `queue` unless somebody has joined it again meanwhile.
    pub(crate) fn leave_if_empty(&self, queue: &Arc<Queue>) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|known| !Arc::ptr_eq(known, queue) || queue.count() > 0);
        self.waiting.store(queues.len(), Ordering::SeqCst);
    }

    /// Wakes the heads of all queues that wait for this meter.
    #[inline]
    pub(crate) fn ring(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.ring_all();
        }
    }

    #[cold]
    fn ring_all(&self) {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for queue in queues {
            queue.wake_heads();
        }
    }
}
