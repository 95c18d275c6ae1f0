//! What gates admitted while they were cut off, until it is written down.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use headway_core::Path;
use headway_wire::hold::Unguaranteed;

use crate::holders::{HOLDERS_MAX, Name};

/// A contract and one of its workloads.
type Place = (String, String);

#[derive(Default)]
struct State {
    /// What was noted last of a holder's path: a word that comes again, for its answer was lost, counts once.
    seen: HashMap<(Name, Place), u64>,
    /// Demands that nobody has taken up yet, by place and token.
    fresh: BTreeMap<(Place, String), u64>,
}

#[derive(Default)]
pub(crate) struct Notes(Mutex<State>);

impl Notes {
    /// Notes a holder's word; how many of its demands are new.
    pub(crate) fn note(&self, holder: Name, token: &str, path: &Path, told: &Unguaranteed) -> u64 {
        let spec = path.spec();
        let place = (spec.contract.clone(), spec.workload.clone());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.seen.len() >= HOLDERS_MAX {
            state.seen.clear();
        }
        let seen = state.seen.entry((holder, place.clone())).or_default();
        let new = told.admitted.saturating_sub(told.told.max(*seen));
        *seen = told.admitted.max(*seen);
        if new > 0 {
            let sum = state.fresh.entry((place, token.to_owned())).or_default();
            *sum = sum.saturating_add(new);
        }
        new
    }

    /// (contract, workload, token's name, demands) since this was last asked.
    pub(crate) fn take(&self) -> Vec<(String, String, String, u64)> {
        let fresh = std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).fresh);
        fresh.into_iter().map(|(((contract, workload), token), demands)| (contract, workload, token, demands)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headway_core::{Measure, MeterSpec, Meters, PathSpec};

    #[test]
    fn a_word_that_comes_again_counts_once_and_what_an_earlier_keeper_noted_does_not() {
        let meters = Meters::default();
        meters.declare(vec![MeterSpec::plain("m", Measure::Concurrency, 1_000_000, 0)]).unwrap();
        let path = meters.path(PathSpec::plain("db", "other", vec![("m".to_owned(), 1_000_000, false)])).unwrap();
        let (notes, said) = (Notes::default(), |admitted, told| Unguaranteed { path: 1, admitted, told });
        let counted = [said(5, 2), said(5, 2), said(7, 2), said(3, 0), said(u64::MAX, 7)]
            .map(|told| notes.note([1; 16], "edge", &path, &told));
        assert_eq!([3, 0, 2, 0, u64::MAX - 7], counted);
        assert_eq!(4, notes.note([2; 16], "edge", &path, &said(4, 0)), "another process of the same token");
        let whole = ("db".to_owned(), "other".to_owned(), "edge".to_owned(), u64::MAX);
        assert_eq!((vec![whole], vec![]), (notes.take(), notes.take()));
    }
}
