//! One thing for each workload that has a match, and one for the rest.

use std::collections::HashMap;
use std::iter::once;
use std::sync::Arc;

use headway_core::Matches;

/// Told apart by what is said of whoever asks.
pub(crate) struct Matched<T> {
    rest: T,
    others: Option<(Arc<Matches>, HashMap<String, T>)>,
}

impl<T> Matched<T> {
    /// `others`: by workload. Errors, as a sentence: a match of a workload that is none of them.
    pub(crate) fn new(
        rest: T,
        matches: Option<Arc<Matches>>,
        others: HashMap<String, T>,
    ) -> Result<Matched<T>, String> {
        let others = matches.map(|matches| (matches, others));
        let missing = others.iter().flat_map(|(matches, others)| {
            matches.rules().iter().map(|rule| &rule.workload).filter(|name| !others.contains_key(*name))
        });
        match missing.map(|name| format!("{name:?} has a match, and no limiter")).next() {
            Some(problem) => Err(problem),
            None => Ok(Matched { rest, others }),
        }
    }

    /// Whom what is said is taken for.
    pub(crate) fn of(&self, said: &[(&str, &str)]) -> &T {
        let found = self.others.as_ref().and_then(|(matches, others)| others.get(matches.workload_of(said)?));
        found.unwrap_or(&self.rest)
    }

    pub(crate) fn rest(&self) -> &T {
        &self.rest
    }

    /// All of them, the rest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        once(&self.rest).chain(self.others.iter().flat_map(|(_, others)| others.values()))
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        once(&mut self.rest).chain(self.others.iter_mut().flat_map(|(_, others)| others.values_mut()))
    }
}
