//! What was charged lately, so that a part of it can be given back without minting.
//!
//! A proxy that gives units back names no charge. Lowering a mark by what it says would mint (what it gives back may be
//! forgiven already), so a give-back is held against the last charges of the same key that are known here; what meets none
//! gives nothing back.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use headway_core::{Clock, Key, Path, Reserved};

const SHARDS: usize = 16;
/// Charges kept in a shard; the oldest goes first, and can then not be given back any more.
const KEPT: usize = 256;

/// The last charges of one route.
#[derive(Default)]
pub(crate) struct Receipts([Mutex<VecDeque<(u64, Reserved)>>; SHARDS]);

impl Receipts {
    fn shard(&self, key: u64) -> std::sync::MutexGuard<'_, VecDeque<(u64, Reserved)>> {
        self.0[key as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keep(&self, key: Option<Key<'_>>, reserved: Reserved) {
        let key = key.map_or(0, |key| key.hash);
        let mut shard = self.shard(key);
        if shard.len() == KEPT {
            shard.pop_front();
        }
        shard.push_back((key, reserved));
    }

    /// Gives units back, of the latest charges first: of those least is forgiven yet.
    pub(crate) fn give_back(&self, path: &Path, clock: &impl Clock, key: Option<Key<'_>>, units: u64) {
        let hash = key.map(|key| key.hash);
        let mut shard = self.shard(hash.unwrap_or(0));
        let mut left = units;
        for (known, reserved) in shard.iter_mut().rev() {
            if left == 0 {
                break;
            }
            if *known == hash.unwrap_or(0) {
                left -= path.give_back(clock, reserved, hash, left);
            }
        }
    }
}
