//! What is admitted while the keeper cannot be heard, of contracts that are open then: counted, and told when it is back.

use std::sync::Arc;

use headway_core::lease::Terms;
use headway_core::{Kind, Outcome, Question};
use headway_wire::hold::{Facts, ToKeeper, Unguaranteed};

use super::{Answered, Asked, Desk, Kept};

/// A path that admits everything while its keeper cannot be heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    has_slots: bool,
    /// How long a lease of it lasts: up to its end something else decides.
    lease_ns: i64,
    /// Demands admitted so since the process started, and those that the keeper has noted.
    admitted: u64,
    told: u64,
}

impl Open {
    /// By what the keeper says of the path now; what was admitted `before` stays to be told.
    pub(super) fn of(facts: &Facts, before: Option<Open>) -> Option<Open> {
        if !facts.opens {
            return before.filter(|open| !facts.code.is_empty() && open.admitted > open.told);
        }
        let (admitted, told) = before.map_or((0, 0), |open| (open.admitted, open.told));
        let drain_ns = i64::from(facts.drain_within_ms) * 1_000_000;
        let lease_ns = Terms::usual(drain_ns, 0).map_or(0, |terms| terms.lease_ns());
        Some(Open { has_slots: facts.has_slots, lease_ns, admitted, told })
    }
}

impl Desk {
    /// The keeper said something. True: demands were admitted unguaranteed since this stream began, as where a keeper that
    /// had been frozen finds it waiting; another stream has to say what is held.
    #[must_use]
    pub(crate) fn heard(&mut self, now: i64) -> bool {
        (self.heard_at, self.is_lost) = (now, false);
        std::mem::take(&mut self.is_untold)
    }

    /// Whether a path is open now: the stream has ended, and nothing was heard of its keeper for longer than anything that it
    /// said or lent holds. A process that was stopped itself, and whose stream stands, is not cut off.
    fn is_open_to_all(&self, now: i64, path: u64) -> bool {
        let open = self.paths.get(&path).and_then(|path| path.open.as_ref());
        let silent_ns = now.saturating_sub(self.heard_at);
        self.is_lost && open.is_some_and(|open| silent_ns >= self.term_ns().max(open.lease_ns))
    }

    /// Admits a demand that nobody guarantees; None where its path is not open.
    pub(super) fn unguaranteed(
        &mut self,
        now: i64,
        path: u64,
        question: &Question,
        key: Option<&str>,
        kind: Kind,
    ) -> Option<Outcome> {
        if !self.is_open_to_all(now, path) {
            return None;
        }
        if kind == Kind::Probe {
            return Some(Outcome::Granted { holds: false });
        }
        let open = self.paths.get_mut(&path).and_then(|path| path.open.as_mut())?;
        open.admitted += 1;
        self.is_untold = true;
        let holds = open.has_slots;
        if holds {
            // Restated like any other when the keeper is back: what is in flight then counts.
            let key = key.map(str::to_owned);
            self.hold(question.id, Kept { path, units: question.units, key, hash: question.key });
        }
        Some(Outcome::Granted { holds })
    }

    /// Admits those who wait for a keeper that cannot be heard, where their paths are open.
    pub(crate) fn open_up(&mut self, now: i64) -> Vec<Answered> {
        let open: Vec<u64> =
            self.asked.iter().filter(|(_, asked)| self.is_open_to_all(now, asked.path)).map(|(id, _)| *id).collect();
        let asked: Vec<Asked> = open.into_iter().filter_map(|id| self.take_asked(id)).collect();
        let admit = |asked: Asked| {
            let Asked { question, path, key, ask, .. } = asked;
            let kind = match ask.kind() {
                headway_wire::hold::Kind::Acquire => Kind::Acquire,
                headway_wire::hold::Kind::Reserve => Kind::Reserve,
                headway_wire::hold::Kind::Probe => Kind::Probe,
            };
            let outcome = self.unguaranteed(now, path, &question, key.as_deref(), kind)?;
            Some(Answered { path, question: Arc::clone(&question), outcome })
        };
        asked.into_iter().filter_map(admit).collect()
    }

    /// Says what was admitted so and not noted yet.
    pub(super) fn tell_unguaranteed(&mut self) {
        let untold: Vec<Unguaranteed> = self
            .paths
            .iter()
            .filter_map(|(&path, one)| Some((path, one.open.as_ref()?)))
            .filter(|(_, open)| open.admitted > open.told)
            .map(|(path, open)| Unguaranteed { path, admitted: open.admitted, told: open.told })
            .collect();
        for told in untold {
            self.say(ToKeeper::Unguaranteed(told));
        }
    }

    /// The keeper has noted so many demands of a path.
    pub(crate) fn noted(&mut self, path: u64, admitted: u64) {
        if let Some(open) = self.paths.get_mut(&path).and_then(|path| path.open.as_mut()) {
            open.told = open.told.max(admitted.min(open.admitted));
        }
    }
}
