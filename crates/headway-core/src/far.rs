//! A limit that is kept elsewhere: what a path without meters of its own asks, and how the answer comes back.
//!
//! The edge that carries questions to the keeper implements `Far`; nothing here knows of sockets. Source: design, section
//! 6; interfaces, 4.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::earliest::Retry;
use crate::error::Error;
use crate::path::{Key, Mode, Recall};
use crate::waiting::{Waiter, Wake};
use crate::why::Why;

/// How long a demand waits for its keeper beyond the time it may queue there.
pub const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// What a keeper says of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub mode: Mode,
    pub has_slots: bool,
    pub needs_key: bool,
    /// 0: no bound but the burst.
    pub units_max: u64,
    pub wait_ns: u64,
    pub cost_ppm: u64,
    pub recall: Recall,
}

/// A demand on its way to the keeper.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub units: u64,
    pub key: Option<Key<'a>>,
    /// How long it may queue there.
    pub wait: Duration,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Acquire,
    /// An estimate that is settled later.
    Reserve,
    /// What would be answered, charging nothing.
    Probe,
}

/// Carries demands to the keeper of one path. Methods never wait, `learn` apart.
pub trait Far: Send + Sync {
    /// What was told of the path last; None before its keeper has spoken.
    fn facts(&self) -> Option<Arc<Facts>>;
    /// Waits for the facts, a moment at most. Errors: the keeper knows no such path.
    fn learn(&self) -> Result<(), Error>;
    fn has_slots(&self) -> bool;
    /// Whether scopes above a cut are ended.
    fn ends(&self) -> bool;
    /// Takes a demand without a key from what the keeper has lent here, at `now`. False: that does not cover it, and the
    /// keeper has to be asked.
    fn take(&self, now: i64, units: u64) -> bool;
    fn ask(&self, wanted: &Wanted<'_>) -> Arc<Question>;
    /// Nobody waits for the answer any more: what it grants is given back.
    fn give_up(&self, question: &Question);
    /// Gives the slots of one admitted demand of so many units back.
    fn let_go(&self, units: u64, key: Option<u64>);
    /// Units of slots that this process holds and is asked to give back at `now`.
    fn recalled(&self, now: i64) -> u64;
    /// Says what a reservation really cost.
    fn settle(&self, id: u64, actual: u64);
}

/// What a keeper answers.
#[derive(Debug, Clone)]
pub enum Outcome {
    Granted {
        /// Whether slots are held that have to be given back.
        holds: bool,
    },
    Refused(Arc<Told>),
    /// It could not be asked: why.
    Unasked(Why),
}

/// A refusal in its keeper's numbers.
#[derive(Debug, Clone)]
pub struct Told {
    pub why: Why,
    /// On the clock of this process.
    pub retry: Retry,
    pub version: u64,
    pub stage: String,
    pub meter: String,
    pub unit: String,
    pub limit_micro: u64,
    pub use_micro: i64,
    pub raises_when: String,
    pub sentence: String,
    /// Without `hw:` it is none.
    pub reference: String,
}

#[derive(Debug)]
enum State {
    Open,
    Answered(Outcome),
    /// Somebody has the answer.
    Taken,
    GivenUp,
}

/// A demand that was asked, until somebody takes its answer or gives up on it.
pub struct Question {
    /// The keeper's name for it.
    pub id: u64,
    pub units: u64,
    pub key: Option<u64>,
    state: Mutex<State>,
    waiter: Arc<Waiter>,
}

impl Question {
    pub fn new(id: u64, units: u64, key: Option<u64>) -> Question {
        Question { id, units, key, state: Mutex::new(State::Open), waiter: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers it; false where nobody waits any more, and what was granted has to be given back. A second answer is none.
    pub fn answer(&self, outcome: Outcome) -> bool {
        let mut state = self.state();
        match *state {
            State::Open => *state = State::Answered(outcome),
            State::GivenUp => return false,
            State::Answered(_) | State::Taken => return true,
        }
        drop(state);
        self.waiter.wake();
        true
    }

    /// The answer, for the one who asks first.
    pub fn take(&self) -> Option<Outcome> {
        let mut state = self.state();
        if !matches!(*state, State::Answered(_)) {
            return None;
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Answered(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Ends it unanswered, or gives back an answer that nobody took; then that.
    pub fn give_up(&self) -> Option<Outcome> {
        let mut state = self.state();
        if matches!(*state, State::Taken) {
            return None;
        }
        match std::mem::replace(&mut *state, State::GivenUp) {
            State::Answered(outcome) => Some(outcome),
            _ => None,
        }
    }

    pub fn is_open(&self) -> bool {
        matches!(*self.state(), State::Open)
    }

    /// Waits for the answer, at most `at_most`.
    pub(crate) fn wait(&self, at_most: Duration) -> Option<Outcome> {
        self.waiter.sleep(at_most);
        self.take()
    }

    pub(crate) fn waiter(&self) -> &Arc<Waiter> {
        &self.waiter
    }

    /// Calls `wake` once it is answered, at once if it is.
    pub fn on_answer(&self, wake: Wake) {
        self.waiter.on_wake(wake);
    }
}
