//! A path of a gate, as the core asks it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use headway_core::{Error, Facts, Far, Matches, Outcome, Question, Wanted};

use crate::doors::{Doors, MICRO};
use crate::gate::{Inner, forks};

/// How long a first demand waits for what the keeper says of its path.
const LEARN_WAIT: Duration = Duration::from_secs(2);

/// A contract, as its keeper tells it.
#[derive(Debug, Default)]
pub struct Contract {
    /// How what is said of whoever asks tells its workloads apart.
    pub matches: Arc<Matches>,
    /// Their names, sorted.
    pub workloads: Vec<String>,
    /// Whether refusals that are handed on over HTTP say all there is, or what the public may know.
    pub tells_all: bool,
}

pub(crate) struct Distant {
    pub(crate) id: u64,
    pub(crate) contract: String,
    pub(crate) workload: Option<String>,
    pub(crate) gate: Arc<Inner>,
    pub(crate) facts: ArcSwapOption<Facts>,
    /// Of the facts, what every scope of a coroutine looks at.
    pub(crate) ends: AtomicBool,
    /// Of a path that names no workload. Known before the facts are.
    pub(crate) told: ArcSwapOption<Contract>,
    /// What is lent of it.
    pub(crate) doors: ArcSwapOption<Doors>,
    /// Units of slots that the keeper has asked back, of those that were asked for one by one.
    pub(crate) asked_back: AtomicU64,
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

    #[inline]
    fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    #[inline]
    fn take(&self, now: i64, units: u64) -> bool {
        let doors = self.doors.load();
        doors.as_ref().is_some_and(|doors| doors.is_of(forks()) && doors.take(now, units))
    }

    fn ask(&self, wanted: &Wanted<'_>) -> Arc<Question> {
        let link = self.gate.link();
        let now = headway_clock::boot_ns();
        let mut desk = link.with(self);
        let due_before = desk.due_at();
        let (question, outcome) = desk.ask(now, self.id, wanted);
        // Between the door's no and this one's place in the line something may have come back.
        let served = desk.serve(now, self.id);
        let is_sooner = desk.due_at() < due_before;
        drop(desk);
        if is_sooner {
            link.sooner.notify_one();
        }
        if let Some(outcome) = outcome {
            question.answer(outcome);
        }
        if !served.is_empty() {
            link.deliver(served);
        }
        question
    }

    fn give_up(&self, question: &Question) {
        let outcome: Option<Outcome> = question.give_up();
        self.gate.link().desk().give_up(self.id, question, outcome.as_ref());
    }

    fn recalled(&self, now: i64) -> u64 {
        if !self.facts.load().as_ref().is_some_and(|facts| facts.recall.asks()) {
            return 0;
        }
        let doors = self.doors.load();
        let slots = doors.as_ref().filter(|doors| doors.is_of(forks())).and_then(|doors| doors.slots.as_ref());
        let lent = slots.map_or(0, |slots| slots.over(now).div_ceil(MICRO));
        lent.saturating_add(self.asked_back.load(Ordering::Relaxed))
    }

    fn let_go(&self, units: u64, key: Option<u64>) {
        let link = self.gate.link();
        let doors = self.doors.load();
        let doors = doors.as_ref().filter(|doors| key.is_none() && doors.is_of(link.forks));
        let Some(doors) = doors else {
            link.desk().let_go(self.id, units, key);
            self.gave_back(units);
            return;
        };
        // Slots that are alike: one that was asked for goes back first, for the keeper has others for it.
        if doors.asked.load(Ordering::SeqCst) > 0 && link.desk().let_go(self.id, units, None) {
            self.gave_back(units);
            return;
        }
        doors.give_back(units);
        if doors.waiting.load(Ordering::SeqCst) > 0 {
            let served = link.desk().serve(headway_clock::boot_ns(), self.id);
            link.deliver(served);
        }
    }

    fn settle(&self, id: u64, actual: u64) {
        self.gate.link().desk().settle(id, actual);
    }
}

impl Distant {
    /// Of what was asked back so much was given back, until the keeper says what it asks now.
    fn gave_back(&self, units: u64) {
        let less = |asked: u64| (asked > 0).then(|| asked.saturating_sub(units));
        // An Err says that nothing was asked.
        let _: Result<u64, u64> = self.asked_back.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}
