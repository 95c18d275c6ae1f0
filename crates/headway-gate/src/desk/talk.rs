//! What goes over a stream: what is said when it stands, and what the keeper's words bring about.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use headway_core::lease::Terms;
use headway_core::{Outcome, Retry, Told, Why};
use headway_wire::hold::{self, Again, Answer, Facts, Held, Hello, Path, Process, Recall, ToKeeper};

use super::open::Open;
use super::{Answered, Asked, Desk, Kept};
use crate::distant::Distant;
use crate::doors::Doors;
use crate::lent::Spent;

/// By how much a clock's rate may be wrong: a thousandth.
const EPS: i64 = 1_000;
/// How long a keeper's no is good for at most, and at least: a gate that is full asks that often.
const NO_MOST_NS: i64 = 50_000_000;
const NO_LEAST_NS: i64 = 5_000_000;
/// The same where the keeper does not know when there is room.
const NO_VAGUE_NS: i64 = 20_000_000;

impl Desk {
    pub(crate) fn say(&mut self, message: ToKeeper) {
        self.outbox.push_back(message);
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    /// The next message to send on a stream.
    pub(crate) fn next(&mut self, stream: u64) -> Option<ToKeeper> {
        if stream == self.stream { self.outbox.pop_front() } else { None }
    }

    /// Whether a stream is the present one; `sender` is woken when there is something to send on it.
    pub(crate) fn listen(&mut self, stream: u64, sender: &Waker) -> bool {
        if stream == self.stream {
            self.sender = Some(sender.clone());
        }
        stream == self.stream
    }

    /// A stream stands: what is said on it first. What was on its way on the one before was lost with it, or is asked again.
    /// Returns the number of the stream.
    pub(crate) fn dialled(&mut self, now: i64, holder: &[u8], process: Option<Process>) -> u64 {
        self.outbox.clear();
        self.stream += 1;
        self.is_up = true;
        (self.down_until, self.denied) = (None, None);
        let paths = self.paths.iter().map(|(id, path)| Path {
            id: *id,
            contract: path.contract.clone(),
            workload: path.workload.clone(),
        });
        let restated = |is_reserved| {
            move |(id, kept): (&u64, &Kept)| Held {
                id: *id,
                path: kept.path,
                units: kept.units,
                key: kept.key.clone(),
                is_reserved,
            }
        };
        let held = self.slots.iter().map(restated(false)).chain(self.reserved.iter().map(restated(true)));
        let hello = Hello {
            holder: holder.to_vec(),
            protocol: hold::PROTOCOL,
            held: held.collect(),
            process,
            paths: paths.collect(),
        };
        self.say(ToKeeper::Hello(hello));
        for asked in self.asked.values_mut() {
            asked.sent_at = now;
            self.outbox.push_back(ToKeeper::Ask(asked.ask.clone()));
        }
        let restated = self.lent.restated(now);
        self.say_all(restated);
        self.tell_unguaranteed();
        self.is_untold = false;
        self.stream
    }

    /// The stream is gone. Nothing is given up yet: the keeper may be back in a moment.
    pub(crate) fn lost(&mut self) {
        (self.is_up, self.is_lost) = (false, true);
        self.stream += 1;
        self.outbox.clear();
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    /// The keeper does not let this gate in: its code, and why.
    pub(crate) fn deny(&mut self, code: &str, problem: String) {
        self.denied = Some((code.to_owned(), problem));
    }

    /// The keeper could not be reached, and is not tried again before `until`: whoever has no patience is told.
    pub(crate) fn unreachable(&mut self, now: i64, until: i64) -> Vec<Answered> {
        self.lost();
        self.down_until = Some(until);
        let impatient: Vec<u64> =
            self.asked.iter().filter(|(_, asked)| asked.patient_until <= now).map(|(id, _)| *id).collect();
        let ended: Vec<Asked> = impatient.into_iter().filter_map(|id| self.take_asked(id)).collect();
        ended.into_iter().map(|asked| asked.unasked(Why::CutOff)).collect()
    }

    /// Everything that is open ends unanswered.
    pub(crate) fn close(&mut self) -> Vec<Answered> {
        self.lost();
        let all: Vec<u64> = self.asked.keys().copied().collect();
        let ended: Vec<Asked> = all.into_iter().filter_map(|id| self.take_asked(id)).collect();
        ended.into_iter().map(|asked| asked.unasked(Why::Closed)).collect()
    }

    /// A sign of life is due.
    pub(crate) fn beat(&mut self) {
        self.counter += 1;
        self.say(ToKeeper::Alive(hold::Alive { counter: self.counter }));
    }

    pub(crate) fn welcome(&mut self, term_ms: u32) {
        self.term_ns = i64::from(term_ms) * 1_000_000;
    }

    /// How long the keeper's word holds on this clock, from when it was asked.
    pub(crate) fn term_ns(&self) -> i64 {
        self.term_ns - self.term_ns / EPS
    }

    /// Facts of a path, or why there is none; whom they concern, and its doors where it is lent.
    pub(crate) fn facts(&mut self, now: i64, forks: u64, facts: &Facts) -> Option<(Arc<Distant>, Option<Arc<Doors>>)> {
        let path = self.paths.get_mut(&facts.path)?;
        path.open = Open::of(facts, path.open.take());
        path.problem = (!facts.code.is_empty()).then(|| (facts.code.clone(), facts.problem.clone()));
        let distant = path.distant.upgrade()?;
        let (id, drain_ns) = (facts.path, i64::from(facts.drain_within_ms) * 1_000_000);
        let max_hold_ns = i64::try_from(facts.max_hold_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let is_lent = facts.code.is_empty() && facts.mode() == hold::Mode::Enforce && !facts.needs_key;
        let terms = is_lent.then(|| Terms::usual(drain_ns, max_hold_ns).ok()).flatten();
        let terms = terms.filter(|_| self.lent.claim(id, &path.contract, &facts.workload));
        let doors = terms.map(|terms| {
            let asked = self.slots.values().filter(|kept| kept.path == id && kept.hash.is_none()).count();
            let waiting = self.lines.get(&id).map_or(0, BTreeSet::len);
            let Facts { has_slots, has_tokens, has_parts, .. } = *facts;
            self.lent.open(now, id, terms, Spent { has_slots, has_tokens, has_parts }, forks, (asked, waiting))
        });
        Some((distant, doors))
    }

    /// What the keeper asks back of what was asked for one by one.
    pub(crate) fn recall(&self, recall: &Recall) {
        if let Some(distant) = self.paths.get(&recall.path).and_then(|path| path.distant.upgrade()) {
            distant.asked_back.store(recall.units, Ordering::Relaxed);
        }
    }

    /// The keeper's answer. One that comes after the end of its term is void: the keeper may have given it to others since.
    pub(crate) fn answered(&mut self, now: i64, answer: Answer) -> Option<Answered> {
        let Some(asked) = self.take_asked(answer.id) else {
            if answer.granted {
                self.end(answer.id, None);
            }
            return None;
        };
        if now.saturating_sub(asked.sent_at) >= self.waited_ns(&asked) {
            self.end(answer.id, None);
            return Some(asked.unasked(Why::CutOff));
        }
        let kind = asked.ask.kind();
        if !answer.granted {
            if kind == hold::Kind::Acquire
                && asked.key.is_none()
                && let Some(doors) = self.lent.doors(asked.path)
                && doors.take(now, asked.ask.units)
            {
                // What it lacked room for was on its way here.
                let outcome = Outcome::Granted { holds: doors.has_slots() };
                return Some(Answered { path: asked.path, question: asked.question, outcome });
            }
            // A keeper that does not say what it refused for is none to understand.
            let Some(refused) = answer.refused else { return Some(asked.unasked(Why::CutOff)) };
            let told = Arc::new(told(now, *refused));
            if told.why == Why::Full && kind == hold::Kind::Acquire && asked.key.is_none() && asked.ask.wait_ms == 0 {
                let until = match told.retry {
                    Retry::At(at) => at.clamp(now + NO_LEAST_NS, now + NO_MOST_NS),
                    Retry::Never | Retry::Unknown => now + NO_VAGUE_NS,
                };
                self.lent.no_room(asked.path, until, asked.ask.units, &told);
            }
            return Some(Answered { path: asked.path, question: asked.question, outcome: Outcome::Refused(told) });
        }
        let Asked { path, key, question, .. } = asked;
        let kept = || Kept { path, units: question.units, key: key.clone(), hash: question.key };
        if kind == hold::Kind::Reserve {
            self.reserved.insert(answer.id, kept());
        }
        if answer.holds {
            self.hold(answer.id, kept());
        }
        Some(Answered { path, question, outcome: Outcome::Granted { holds: answer.holds } })
    }

    /// Slots of one demand, until they are let go.
    pub(super) fn hold(&mut self, id: u64, kept: Kept) {
        let Kept { path, units, hash, .. } = kept;
        self.slots.insert(id, kept);
        self.alike.entry((path, hash, units)).or_default().push(id);
        self.count_asked(path, hash, true);
    }

    /// An answer holds for its term from when it was asked; one that queued, for its wait more.
    fn waited_ns(&self, asked: &Asked) -> i64 {
        let waits_ns = i64::from(asked.ask.wait_ms) * 1_000_000;
        self.term_ns().saturating_add(waits_ns)
    }
}

/// A refusal as the core keeps it.
fn told(now: i64, refused: hold::Refused) -> Told {
    let retry = match refused.again() {
        Again::In => Retry::At(now.saturating_add_unsigned(refused.retry_ns)),
        Again::Never => Retry::Never,
        Again::Unknown => Retry::Unknown,
    };
    Told {
        why: Why::named(&refused.why).unwrap_or(Why::CutOff),
        retry,
        version: refused.version,
        stage: refused.stage,
        meter: refused.meter,
        unit: refused.unit,
        limit_micro: refused.limit_micro,
        use_micro: refused.use_micro,
        raises_when: refused.raises_when,
        sentence: refused.sentence,
        reference: refused.reference,
    }
}
