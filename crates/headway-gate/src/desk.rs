//! All that a gate has open and holds: demands without an answer, slots, what is to be said next.
//!
//! Pure: time is an argument (ns of the clock that runs through suspend), and nothing here waits. Answers are handed out,
//! not delivered, so that nobody is woken under the lock.

mod open;
mod talk;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Waker;

use headway_core::lease::FromKeeper;
use headway_core::{Kind, Outcome, Question, Wanted, Why};
use headway_wire::hold::{self, Ask, Path, Settle, ToKeeper};

use crate::desk::open::Open;
use crate::distant::Distant;
use crate::lent::Lent;

/// Demands without an answer; beyond it they are refused as `overloaded`.
const ASKED_MAX: usize = 20_000;

/// How long a demand that waits for tokens is the keeper's to answer before what is lent here may serve it: tokens that both
/// give are lost, slots come back.
const KEEPERS_NS: i64 = 100_000_000;

/// A question of a path, and what its answer is.
pub(crate) struct Answered {
    pub(crate) path: u64,
    pub(crate) question: Arc<Question>,
    pub(crate) outcome: Outcome,
}

struct Asked {
    question: Arc<Question>,
    path: u64,
    key: Option<String>,
    ask: Ask,
    sent_at: i64,
    /// It may wait for a keeper that is away until then.
    patient_until: i64,
}

impl Asked {
    fn unasked(self, why: Why) -> Answered {
        Answered { path: self.path, question: self.question, outcome: Outcome::Unasked(why) }
    }
}

/// What a demand holds until it is settled.
struct Kept {
    path: u64,
    units: u64,
    key: Option<String>,
    hash: Option<u64>,
}

struct Opened {
    contract: String,
    workload: Option<String>,
    distant: Weak<Distant>,
    /// Why there is no such path, if the keeper said so.
    problem: Option<(String, String)>,
    /// None: whoever is cut off is refused.
    open: Option<Open>,
}

#[derive(Default)]
pub(crate) struct Desk {
    last_id: u64,
    asked: BTreeMap<u64, Asked>,
    /// Of these, by path, those that queue and could be served from what is lent.
    lines: HashMap<u64, BTreeSet<u64>>,
    lent: Lent,
    slots: BTreeMap<u64, Kept>,
    /// Slots that are alike: which of them is let go makes no difference.
    alike: HashMap<(u64, Option<u64>, u64), Vec<u64>>,
    reserved: BTreeMap<u64, Kept>,
    paths: BTreeMap<u64, Opened>,
    outbox: VecDeque<ToKeeper>,
    /// Wakes whoever sends.
    sender: Option<Waker>,
    /// Which stream is the present one: what is left of an earlier one sends nothing more.
    stream: u64,
    is_up: bool,
    /// The keeper could not be reached; nobody tries again before.
    down_until: Option<i64>,
    term_ns: i64,
    /// When the keeper last said anything, and whether a stream has ended since.
    heard_at: i64,
    is_lost: bool,
    /// Demands were admitted unguaranteed that the present stream does not know of.
    is_untold: bool,
    counter: u64,
    /// Why the keeper does not let this gate in.
    denied: Option<(String, String)>,
}

impl Desk {
    // --- what the process asks ---------------------------------------------------------------------------------------

    pub(crate) fn open(&mut self, id: u64, contract: &str, workload: Option<&str>, distant: Weak<Distant>) {
        let (contract, workload) = (contract.to_owned(), workload.map(str::to_owned));
        if self.is_up {
            self.say(ToKeeper::Path(Path { id, contract: contract.clone(), workload: workload.clone() }));
        }
        self.paths.insert(id, Opened { contract, workload, distant, problem: None, open: None });
    }

    pub(crate) fn is_open(&self, id: u64) -> bool {
        self.paths.get(&id).is_some_and(|path| path.problem.is_none())
    }

    /// Why the keeper knows no such path, or no such gate.
    pub(crate) fn problem(&self, id: u64) -> Option<&(String, String)> {
        self.denied.as_ref().or_else(|| self.paths.get(&id)?.problem.as_ref())
    }

    /// Whether the keeper could not be reached a moment ago.
    pub(crate) fn is_down(&self, now: i64) -> bool {
        !self.is_up && self.down_until.is_some_and(|until| now < until)
    }

    /// The question to wait for; answered already where the keeper cannot be asked.
    pub(crate) fn ask(&mut self, now: i64, path: u64, wanted: &Wanted<'_>) -> (Arc<Question>, Option<Outcome>) {
        self.last_id += 1;
        let hash = wanted.key.map(|key| key.hash);
        let question = Arc::new(Question::new(self.last_id, wanted.units, hash));
        if self.asked.len() >= ASKED_MAX {
            return (question, Some(Outcome::Unasked(Why::Overloaded)));
        }
        if let Some(outcome) = self.unguaranteed(now, path, &question, wanted.key.map(|key| key.text), wanted.kind) {
            return (question, Some(outcome));
        }
        if self.is_down(now) && wanted.wait.is_zero() {
            return (question, Some(Outcome::Unasked(Why::CutOff)));
        }
        if wanted.key.is_none() && wanted.kind == Kind::Acquire {
            let messages = self.lent.missed(now, path);
            self.say_all(messages);
            if wanted.wait.is_zero()
                && let Some(told) = self.lent.refused(now, path, wanted.units)
            {
                return (question, Some(Outcome::Refused(told)));
            }
            if !wanted.wait.is_zero() {
                self.lines.entry(path).or_default().insert(self.last_id);
                self.count_line(path);
            }
        }
        let kind = match wanted.kind {
            Kind::Acquire => hold::Kind::Acquire,
            Kind::Reserve => hold::Kind::Reserve,
            Kind::Probe => hold::Kind::Probe,
        };
        let key = wanted.key.map(|key| key.text.to_owned());
        let wait_ms = u32::try_from(wanted.wait.as_millis()).unwrap_or(u32::MAX);
        let ask = Ask { id: self.last_id, path, units: wanted.units, key: key.clone(), wait_ms, kind: kind.into() };
        let patient_until = now.saturating_add(i64::try_from(wanted.wait.as_nanos()).unwrap_or(i64::MAX));
        if self.is_up {
            self.say(ToKeeper::Ask(ask.clone()));
        }
        let asked = Asked { question: Arc::clone(&question), path, key, ask, sent_at: now, patient_until };
        self.asked.insert(self.last_id, asked);
        (question, None)
    }

    /// Nobody waits for this one any more; `outcome` is what it was answered with, if it was.
    pub(crate) fn give_up(&mut self, path: u64, question: &Question, outcome: Option<&Outcome>) {
        let id = question.id;
        if self.take_asked(id).is_some() {
            self.end(id, None);
        } else if let Some(Outcome::Granted { holds }) = outcome {
            let is_kept = self.slots.contains_key(&id) || self.reserved.contains_key(&id);
            if *holds && !is_kept {
                // Served from what is lent here.
                self.lent.doors(path).inspect(|doors| doors.give_back(question.units));
                return;
            }
            self.forget(id);
            self.end(id, None);
        }
    }

    /// Lets go of a slot that was asked for; false where there is none: it is of a lease, was held before a fork, or taken
    /// back.
    pub(crate) fn let_go(&mut self, path: u64, units: u64, key: Option<u64>) -> bool {
        let Some(id) = self.alike.get_mut(&(path, key, units)).and_then(Vec::pop) else { return false };
        self.slots.remove(&id);
        self.count_asked(path, key, false);
        self.end(id, None);
        true
    }

    /// Serves those who queue from what is lent here, the first in line first; the keeper hears that they gave up.
    pub(crate) fn serve(&mut self, now: i64, path: u64) -> Vec<Answered> {
        let mut served = vec![];
        let Some(doors) = self.lent.doors(path).cloned() else { return served };
        while let Some(&id) = self.lines.get(&path).and_then(BTreeSet::first) {
            let Some(asked) = self.asked.get(&id) else { break };
            let is_keepers = !doors.has_slots() && now.saturating_sub(asked.sent_at) < KEEPERS_NS;
            if is_keepers || !doors.take_first(now, asked.question.units) {
                break;
            }
            let Some(asked) = self.take_asked(id) else { break };
            self.end(id, None);
            let holds = doors.has_slots();
            served.push(Answered { path, question: asked.question, outcome: Outcome::Granted { holds } });
        }
        served
    }

    /// Says goodbye where nothing is held, and what became of what was lent.
    pub(crate) fn leave(&mut self, now: i64) {
        let messages = self.lent.close(now);
        self.say_all(messages);
        if self.slots.is_empty() && self.lent.holds_nothing() {
            self.say(ToKeeper::Bye(hold::Bye {}));
        }
    }

    // --- what is lent ------------------------------------------------------------------------------------------------

    /// When something is due.
    pub(crate) fn due_at(&self) -> i64 {
        self.lent.wake_at()
    }

    /// What is due; whoever can be served.
    pub(crate) fn tick(&mut self, now: i64) -> Vec<Answered> {
        let messages = self.lent.tick(now);
        self.say_all(messages);
        let lines: Vec<u64> = self.lines.iter().filter(|(_, line)| !line.is_empty()).map(|(path, _)| *path).collect();
        lines.into_iter().flat_map(|path| self.serve(now, path)).collect()
    }

    /// The keeper's word on what is lent of a path.
    pub(crate) fn lent(&mut self, now: i64, path: u64, message: FromKeeper) -> Vec<Answered> {
        let messages = self.lent.on(now, path, message);
        self.say_all(messages);
        self.serve(now, path)
    }

    /// What is said while there is no stream is restated when there is one.
    fn say_all(&mut self, messages: Vec<ToKeeper>) {
        if self.is_up {
            for message in messages {
                self.say(message);
            }
        }
    }

    fn take_asked(&mut self, id: u64) -> Option<Asked> {
        let asked = self.asked.remove(&id)?;
        if let Some(line) = self.lines.get_mut(&asked.path)
            && line.remove(&id)
        {
            self.count_line(asked.path);
        }
        Some(asked)
    }

    fn count_line(&self, path: u64) {
        let count = self.lines.get(&path).map_or(0, BTreeSet::len);
        self.lent.doors(path).inspect(|doors| doors.waiting.store(count, Ordering::SeqCst));
    }

    fn count_asked(&self, path: u64, key: Option<u64>, is_more: bool) {
        if let (None, Some(doors)) = (key, self.lent.doors(path)) {
            if is_more {
                doors.asked.fetch_add(1, Ordering::SeqCst);
            } else {
                doors.asked.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    pub(crate) fn settle(&mut self, id: u64, actual: u64) {
        if self.reserved.remove(&id).is_some() {
            self.end(id, Some(actual));
        }
    }

    fn end(&mut self, id: u64, actual: Option<u64>) {
        if self.is_up {
            self.say(ToKeeper::Settle(Settle { id, actual }));
        }
    }

    fn forget(&mut self, id: u64) {
        self.reserved.remove(&id);
        if let Some(kept) = self.slots.remove(&id) {
            self.count_asked(kept.path, kept.hash, false);
            if let Some(alike) = self.alike.get_mut(&(kept.path, kept.hash, kept.units)) {
                alike.retain(|other| *other != id);
            }
        }
    }
}
