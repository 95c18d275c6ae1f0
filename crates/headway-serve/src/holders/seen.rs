//! What there is to see of one holder.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::holder::{Holder, longer};
use super::{TERM, lock};

const MICRO: u64 = 1_000_000;

/// Slots of one workload that a holder has by asking for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) in_use_micro: u64,
    /// Of these: what stays held though the holder's term has ended.
    pub(crate) draining_micro: u64,
}

#[derive(Debug)]
pub(crate) struct HolderReading {
    /// None: it has not come back since the run before, or stands for leases over HTTP.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) is_connected: bool,
    pub(crate) silent_ns: i64,
    /// By contract and workload.
    pub(crate) asked: BTreeMap<(String, String), Asked>,
}

impl Holder {
    pub(crate) fn gate(&self) -> Option<&Arc<str>> {
        self.named.get().map(crate::gates::Named::name)
    }

    pub(crate) fn reading(&self, now: i64) -> HolderReading {
        let state = lock(&self.state);
        let is_over = !state.is_lasting && now >= state.heard_at.saturating_add(longer(TERM.as_nanos() as i64));
        let mut asked: BTreeMap<(String, String), Asked> = BTreeMap::new();
        for one in state.held.values().chain(&state.inherited).filter(|one| one.has_slots) {
            let spec = one.kept.path.spec();
            let sum = asked.entry((spec.contract.clone(), spec.workload.clone())).or_default();
            sum.in_use_micro += one.units * MICRO;
            sum.draining_micro += if is_over { one.units * MICRO } else { 0 };
        }
        let silent_ns = now.saturating_sub(state.heard_at).max(0);
        HolderReading { name: self.gate().cloned(), is_connected: state.is_connected, silent_ns, asked }
    }
}
