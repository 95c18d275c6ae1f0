//! Gates by the names under which they are counted, and what each was answered.
//!
//! A name is a credential's with a small number, `web/3`. The next gate gets the number when this one is gone, so that a
//! fleet that restarts all day makes no new names. Who finds none free is `other`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headway_core::Why;

/// Gates of one credential, and of all together, that have a name of their own.
const NAMES_EACH: usize = 16;
const NAMES_MAX: usize = 256;
/// (gate, contract, workload) that are counted apart; beyond it a gate is counted as `other`, of which there are as many as
/// there are workloads.
const SETS_MAX: usize = 4_096;
/// All gates that have no name of their own.
const OTHER: &str = "other";

/// What a gate was answered of one contract's workload, or has decided by itself.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    admitted: AtomicU64,
    refused: [AtomicU64; Why::COUNT],
}

impl Tally {
    pub(crate) fn admit(&self, count: u64) {
        self.admitted.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, why: Why, count: u64) {
        self.refused[why as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Causes that there were, with their counts.
    pub(crate) fn refused(&self) -> Vec<(&'static str, u64)> {
        let counts = Why::ALL.into_iter().map(|why| (why.name(), self.refused[why as usize].load(Ordering::Relaxed)));
        counts.filter(|&(_, count)| count > 0).collect()
    }
}

/// What is counted apart: a gate, a contract and its workload.
pub(crate) type Set = (Arc<str>, String, String);

#[derive(Default)]
struct State {
    /// Numbers in use, by credential.
    taken: BTreeMap<String, BTreeSet<usize>>,
    tallies: BTreeMap<Set, Arc<Tally>>,
}

#[derive(Default)]
pub(crate) struct Gates(Mutex<State>);

/// A gate's name, until it is dropped.
pub(crate) struct Named {
    gates: Arc<Gates>,
    name: Arc<str>,
    number: Option<(String, usize)>,
}

impl Named {
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let Some((credential, number)) = self.number.take() else { return };
        let mut state = self.gates.state();
        if let Some(taken) = state.taken.get_mut(&credential) {
            taken.remove(&number);
            if taken.is_empty() {
                state.taken.remove(&credential);
            }
        }
    }
}

impl Gates {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lowest number that is free under a credential, or `other`.
    pub(crate) fn name(self: &Arc<Self>, credential: &str) -> Named {
        let mut state = self.state();
        let all: usize = state.taken.values().map(BTreeSet::len).sum();
        let taken = state.taken.entry(credential.to_owned()).or_default();
        let free = (1..=NAMES_EACH).find(|number| !taken.contains(number)).filter(|_| all < NAMES_MAX);
        if let Some(number) = free {
            taken.insert(number);
        } else if taken.is_empty() {
            state.taken.remove(credential);
        }
        drop(state);
        let name = free.map_or_else(|| Arc::from(OTHER), |number| Arc::from(format!("{credential}/{number}")));
        Named { gates: Arc::clone(self), name, number: free.map(|number| (credential.to_owned(), number)) }
    }

    /// Where a gate is counted for a workload; None: nobody has a name for it, as one that has not come back yet.
    pub(crate) fn tally(&self, gate: Option<&Arc<str>>, contract: &str, workload: &str) -> Arc<Tally> {
        Arc::clone(&self.counted(gate, contract, workload).1)
    }

    /// The set under which it is counted.
    pub(crate) fn set(&self, gate: Option<&Arc<str>>, contract: &str, workload: &str) -> Set {
        self.counted(gate, contract, workload).0
    }

    fn counted(&self, gate: Option<&Arc<str>>, contract: &str, workload: &str) -> (Set, Arc<Tally>) {
        let mut state = self.state();
        let set = |gate: &Arc<str>| (Arc::clone(gate), contract.to_owned(), workload.to_owned());
        let own = gate.map(set).filter(|own| state.tallies.contains_key(own) || state.tallies.len() < SETS_MAX);
        let own = own.unwrap_or_else(|| set(&Arc::from(OTHER)));
        let tally = Arc::clone(state.tallies.entry(own.clone()).or_default());
        (own, tally)
    }

    /// All that is counted apart.
    pub(crate) fn tallies(&self) -> Vec<(Set, Arc<Tally>)> {
        self.state().tallies.iter().map(|(set, tally)| (set.clone(), Arc::clone(tally))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_again_when_its_gate_is_gone() {
        let gates = Arc::new(Gates::default());
        let (first, second, another) = (gates.name("web"), gates.name("web"), gates.name("jobs"));
        assert_eq!(["web/1", "web/2", "jobs/1"], [&first, &second, &another].map(|named| &**named.name()));
        drop(first);
        assert_eq!("web/1", &**gates.name("web").name());
    }

    #[test]
    fn whoever_finds_no_number_free_is_other() {
        let gates = Arc::new(Gates::default());
        let named: Vec<Named> = (0..=NAMES_EACH).map(|_| gates.name("web")).collect();
        assert_eq!(("web/16", OTHER), (&**named[NAMES_EACH - 1].name(), &**named[NAMES_EACH].name()));
        let more: Vec<Named> = (0..NAMES_MAX).map(|i| gates.name(&format!("job{i}"))).collect();
        let own = more.iter().filter(|named| &**named.name() != OTHER).count();
        assert_eq!(NAMES_MAX - NAMES_EACH, own, "of all credentials together");
        drop(named);
        assert_eq!("late/1", &**gates.name("late").name());
    }

    #[test]
    fn sets_are_bounded_and_the_rest_is_counted_as_other() {
        let gates = Arc::new(Gates::default());
        let web = gates.name("web");
        for i in 0..SETS_MAX {
            gates.tally(Some(web.name()), &format!("c{i}"), "w").admit(1);
        }
        gates.tally(Some(web.name()), "late", "w").refuse(Why::Full, 2);
        gates.tally(None, "late", "w").refuse(Why::CutOff, 1);
        gates.tally(Some(web.name()), "c0", "w").admit(4);
        let all = gates.tallies();
        let of = |gate: &str, contract: &str| {
            let is = |((g, c, _), _): &&(Set, Arc<Tally>)| &**g == gate && c == contract;
            all.iter().find(is).map(|(_, tally)| (tally.admitted(), tally.refused()))
        };
        assert_eq!(SETS_MAX + 1, all.len());
        assert_eq!(Some((0, vec![("full", 2), ("cut_off", 1)])), of(OTHER, "late"));
        assert_eq!((Some((5, vec![])), None), (of("web/1", "c0"), of("web/1", "late")));
    }
}
