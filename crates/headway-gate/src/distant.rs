//! A path of a gate, as the core asks it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use headway_core::{Error, Facts, Far, Outcome, Question, Wanted};

use crate::gate::Inner;

/// How long a first demand waits for what the keeper says of its path.
const LEARN_WAIT: Duration = Duration::from_secs(2);

pub(crate) struct Distant {
    pub(crate) id: u64,
    pub(crate) contract: String,
    pub(crate) workload: Option<String>,
    pub(crate) gate: Arc<Inner>,
    pub(crate) facts: ArcSwapOption<Facts>,
    /// Itself, for answers to find.
    pub(crate) own: Weak<Distant>,
}

impl Far for Distant {
    fn facts(&self) -> Option<Arc<Facts>> {
        self.facts.load_full()
    }

    fn learn(&self) -> Result<(), Error> {
        let link = self.gate.link();
        let desk = link.with(self);
        let now = headway_clock::boot_ns();
        let is_open = |desk: &mut crate::desk::Desk| {
            self.facts.load().is_none() && desk.problem(self.id).is_none() && !desk.is_down(now)
        };
        let desk = link.wait(desk, LEARN_WAIT, is_open);
        match desk.problem(self.id).cloned() {
            Some((code, problem)) => Err(Error::Far { code, problem }),
            None => Ok(()),
        }
    }

    fn has_slots(&self) -> bool {
        self.facts.load().as_ref().is_some_and(|facts| facts.has_slots)
    }

    fn ask(&self, wanted: &Wanted<'_>) -> Arc<Question> {
        let link = self.gate.link();
        let (question, outcome) = link.with(self).ask(headway_clock::boot_ns(), self.id, wanted);
        if let Some(outcome) = outcome {
            question.answer(outcome);
        }
        question
    }

    fn give_up(&self, question: &Question) {
        let outcome: Option<Outcome> = question.give_up();
        self.gate.link().desk().give_up(question, outcome.as_ref());
    }

    fn let_go(&self, units: u64, key: Option<u64>) {
        self.gate.link().desk().let_go(self.id, units, key);
    }

    fn settle(&self, id: u64, actual: u64) {
        self.gate.link().desk().settle(id, actual);
    }
}
