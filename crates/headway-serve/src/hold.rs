//! The stream of a gate: each demand asked, decided by the meters here, and answered.
//!
//! A demand that may wait queues here, so that nobody asks again and again. Source: interfaces, 4; protocols/leases.md.

mod demand;
mod said;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use headway_core::{Clock as _, Why};
use headway_wire::grpc::{Failed, Status, framed};
use headway_wire::hold::{self as wire, Ask, Facts, FromKeeper, Held, Hello, ToGate, ToKeeper};
use headway_wire::{Tell, Unreadable};
use hyper::body::Incoming;
use tokio::sync::{Notify, mpsc};

use crate::accept::Lasting;
use crate::death;
use crate::gates::Tally;
use crate::hold::demand::Demand;
use crate::hold::said::{facts_of, refused_as};
use crate::holders::{Holder, Kept, Name, TERM};
use crate::keeping::{Lending, Said};
use crate::plane::Shared;
use crate::reader::Reader;
use crate::reply::Ending;
use crate::routes::Routes;

/// Answers on their way to one gate; one that does not read them is cut off.
pub(crate) const ANSWERS_MAX: usize = 32_768;
/// Demands of one stream that have no answer yet; beyond it they are refused as `overloaded`. A gate of ours asks no more.
const ASKED_MAX: usize = 20_000;
/// The longest that a demand may queue.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// Between two looks at what is asked back of a gate because it says that it is there, however often it does.
const RECALL_NS: i64 = 500_000_000;

/// Demands that queue, by id, with what tells them that their gate gave up.
type Waiting = Arc<Mutex<HashMap<u64, Arc<Notify>>>>;

/// Where answers go.
pub(crate) type Answers = mpsc::Sender<Bytes>;

/// A gate as it is told things: its answers, and at the end what was wrong with what it said.
pub(crate) struct Asking {
    pub(crate) answers: Answers,
    pub(crate) ending: Ending,
}

impl Asking {
    /// Ends the stream as a failure, unless something else did before.
    fn fail(&self, failed: Failed) {
        self.ending.get_or_init(|| failed);
    }
}

/// Reads a gate's stream to its end.
pub(crate) async fn run(shared: Arc<Shared>, credential: String, body: Incoming, asking: Asking, lasting: Lasting) {
    let mut reader = Reader::new(body, wire::MESSAGE_MAX);
    let hello = match reader.within(shared.bounds.first, wire::read).await {
        Ok(Some(ToKeeper::Hello(hello))) => hello,
        Ok(Some(_)) => return asking.fail(Unreadable::Malformed("a stream begins with a hello").into()),
        Ok(None) => return,
        Err(failed) => return asking.fail(failed),
    };
    let Ok(name) = Name::try_from(hello.holder.as_slice()) else { return };
    let closing = Arc::clone(&shared);
    // Made once: one that is told while a message is taken is told still.
    let mut ends = pin!(closing.ends.notified());
    let mut published = shared.published.clone();
    let (opened, waiting) = (HashMap::new(), Arc::default());
    let mut stream = Stream { shared, asking, opened, left: vec![], waiting, last_id: 0, recalls_from: i64::MIN };
    let (facts, held) = stream.opened_by(&hello);
    let now = headway_clock::boot_ns();
    let (holder, number) = match stream.shared.holders.attach(now, name, &credential, held) {
        Ok(attached) => attached,
        Err(turned) => return stream.asking.fail(turned.failed()),
    };
    if let Some(process) = &hello.process {
        holder.watch(death::watch(process, &holder, &stream.shared.holders.watches));
    }
    let session = Session { holder, number, token: credential.into() };
    stream.say(ToGate::Welcome(wire::Welcome { term_ms: TERM.as_millis() as u32 }));
    for facts in facts {
        stream.say(ToGate::Facts(facts));
    }
    loop {
        let read = tokio::select! {
            read = reader.within(TERM, wire::read) => read,
            // An Err says that the plane is gone, and then the streams are told.
            _ = published.changed(), if !stream.opened.is_empty() => {
                if stream.recall(&session) {
                    continue;
                }
                break;
            }
            // What is lent holds until its end; who dials again finds the next keeper.
            () = &mut ends => {
                stream.say(ToGate::Retire(wire::Retire {}));
                break;
            }
        };
        let message = match read {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(failed) => {
                stream.asking.fail(failed);
                break;
            }
        };
        lasting.mark();
        if !session.holder.heard(headway_clock::boot_ns(), session.number) {
            stream.say(ToGate::Retire(wire::Retire {}));
            break;
        }
        if !stream.take(&session, message) {
            break;
        }
    }
    session.holder.detach(session.number);
    for lending in stream.opened.values().filter_map(|opened| opened.lending.as_ref()).chain(&stream.left) {
        lending.detach(session.holder.leaseholder(), session.number);
    }
    stream.forget_waiting();
}

/// Who speaks on a stream.
#[derive(Clone)]
struct Session {
    holder: Arc<Holder>,
    number: u64,
    /// The name of the token that it came with.
    token: Arc<str>,
}

struct Opened {
    contract: String,
    workload: Option<String>,
    /// Who lends it, once something was asked of it.
    lending: Option<Arc<Lending>>,
    /// Units that were asked back of it last.
    recalled: u64,
    /// Where this gate's demands are counted, likewise.
    tally: Option<Arc<Tally>>,
}

struct Stream {
    shared: Arc<Shared>,
    asking: Asking,
    opened: HashMap<u64, Opened>,
    /// Keepers of paths whose number is another path's by now.
    left: Vec<Arc<Lending>>,
    /// Demands that queue, to be told when their gate gives up on them.
    waiting: Waiting,
    last_id: u64,
    /// What is asked back is not looked at before because of a sign of life.
    recalls_from: i64,
}

impl Stream {
    /// False: the gate does not read, and its stream ends.
    fn say(&self, is: ToGate) -> bool {
        let is_taken = self.asking.answers.try_send(framed(&FromKeeper { is: Some(is) }).into()).is_ok();
        if !is_taken {
            self.asking.fail(Failed::new(Status::ResourceExhausted, "this gate does not read its answers"));
        }
        is_taken
    }

    /// The paths and slots that a gate comes with.
    fn opened_by(&mut self, hello: &Hello) -> (Vec<Facts>, Vec<(Held, Kept)>) {
        let facts = hello.paths.iter().map(|path| self.open(path)).collect();
        let routes = self.shared.routes();
        let held = hello.held.iter().filter_map(|held| {
            let opened = self.opened.get(&held.path)?;
            let (kept, _) = routes.hold(&opened.contract, opened.workload.as_deref()).ok()?;
            kept.path.check(held.units, held.key.as_deref()).ok()?;
            Some((held.clone(), kept.clone()))
        });
        (facts, held.collect())
    }

    fn open(&mut self, path: &wire::Path) -> Facts {
        let routes = self.shared.routes();
        let facts = match routes.hold(&path.contract, path.workload.as_deref()) {
            Ok((kept, _)) if path.workload.is_some() => facts_of(path.id, kept),
            Ok((kept, _)) => Facts {
                matches: routes.matches(&path.contract).map_or_else(Vec::new, |matches| wire::said_of(matches)),
                workloads: routes.workloads(&path.contract),
                tells_all: kept.tell_http == Tell::Full,
                ..facts_of(path.id, kept)
            },
            Err(problem) => {
                Facts { path: path.id, code: problem.code.to_owned(), problem: problem.problem, ..Facts::default() }
            }
        };
        let opened = Opened {
            contract: path.contract.clone(),
            workload: path.workload.clone(),
            lending: None,
            recalled: 0,
            tally: None,
        };
        let before = self.opened.insert(path.id, opened).and_then(|before| before.lending);
        if let Some(lending) = before
            && !self.left.iter().any(|one| Arc::ptr_eq(one, &lending))
        {
            self.left.push(lending);
        }
        facts
    }

    /// False: the stream ends.
    fn take(&mut self, session: &Session, message: ToKeeper) -> bool {
        match message {
            ToKeeper::Hello(_) => {
                self.asking.fail(Unreadable::Malformed("a stream has one hello").into());
                false
            }
            ToKeeper::Bye(_) => {
                session.holder.end();
                false
            }
            ToKeeper::Alive(alive) => {
                // A planned fall tells nobody: whoever says that it is there is told.
                let is_due = headway_clock::boot_ns() >= self.recalls_from;
                self.say(ToGate::Alive(alive)) && (!is_due || self.recall(session))
            }
            ToKeeper::Path(path) if self.opened.len() >= wire::PATHS_MAX && !self.opened.contains_key(&path.id) => {
                self.asking.fail(Failed::new(Status::ResourceExhausted, "this gate has as many paths as it may"));
                false
            }
            ToKeeper::Path(path) => {
                let facts = self.open(&path);
                self.say(ToGate::Facts(facts))
            }
            ToKeeper::Settle(settle) => {
                let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&settle.id);
                match waiting {
                    Some(gives_up) => gives_up.notify_one(),
                    None => session.holder.settle(session.number, settle.id, settle.actual),
                }
                true
            }
            ToKeeper::Renew(renew) => {
                self.lent(session, renew.path, &Said::Renew(renew));
                true
            }
            ToKeeper::Draw(draw) => {
                self.lent(session, draw.path, &Said::Draw(draw));
                true
            }
            ToKeeper::Claim(claim) => {
                let name = Arc::clone(&session.token);
                self.lent(session, claim.path, &Said::Claim(claim, name));
                true
            }
            ToKeeper::Unguaranteed(told) => self.note(session, &told),
            // A repeated demand is one.
            ToKeeper::Ask(ask) if ask.id <= self.last_id => true,
            ToKeeper::Ask(ask) => {
                self.last_id = ask.id;
                self.ask(session, ask)
            }
        }
    }

    /// What concerns leases goes to who lends the path; where it is not lent nobody answers.
    fn lent(&mut self, session: &Session, path: u64, said: &Said) {
        let routes = self.shared.routes();
        let Some(opened) = self.opened.get_mut(&path) else { return };
        if opened.lending.is_none()
            && let Ok((kept, _)) = routes.hold(&opened.contract, opened.workload.as_deref())
        {
            opened.lending = self.shared.keeping.of(kept);
            opened.tally.get_or_insert_with(|| tally_of(&self.shared, session, kept));
        }
        if let (Some(lending), Some(tally)) = (&opened.lending, &opened.tally) {
            lending.hear(session.holder.leaseholder(), session.number, &self.asking.answers, said, tally);
        }
    }

    /// Asks slots back that are above a cut, of those that were asked for one by one; says so where it asks for others than
    /// before. False: the stream ends.
    fn recall(&mut self, session: &Session) -> bool {
        self.recalls_from = headway_clock::boot_ns().saturating_add(RECALL_NS);
        let (routes, now) = (self.shared.routes(), self.shared.clock.boot_ns());
        let mut told = vec![];
        for (&path, opened) in &mut self.opened {
            let Ok((kept, _)) = routes.hold(&opened.contract, opened.workload.as_deref()) else { continue };
            let units = if kept.path.spec().recall.asks() { session.holder.recalled(now, &kept.path) } else { 0 };
            if units != opened.recalled {
                opened.recalled = units;
                told.push(wire::Recall { path, units });
            }
        }
        told.into_iter().all(|recall| self.say(ToGate::Recall(recall)))
    }

    /// Takes note of what a gate admitted while it was cut off; of a contract that is not open then it is a gate's tale.
    fn note(&self, session: &Session, told: &wire::Unguaranteed) -> bool {
        let routes = self.shared.routes();
        let Some((kept, _)) = self.path_of(&routes, told.path).filter(|(kept, _)| kept.opens) else { return true };
        let fresh = self.shared.unguaranteed.note(session.holder.name, &session.token, &kept.path, told);
        kept.path.count_unguaranteed(fresh);
        self.say(ToGate::Noted(wire::Noted { path: told.path, admitted: told.admitted }))
    }

    fn ask(&mut self, session: &Session, ask: Ask) -> bool {
        let routes = self.shared.routes();
        let Some((kept, tell)) = self.path_of(&routes, ask.path) else {
            return self.say(refused_as(ask.id, Why::NotPublished, "there is no such path"));
        };
        let Some(opened) = self.opened.get_mut(&ask.path) else { return true };
        let tally = Arc::clone(opened.tally.get_or_insert_with(|| tally_of(&self.shared, session, kept)));
        // Each demand without an answer holds on to who waits.
        if Arc::strong_count(&self.waiting) > ASKED_MAX {
            tally.refuse(Why::Overloaded, 1);
            return self.say(refused_as(ask.id, Why::Overloaded, "this gate has asked for too much at once"));
        }
        let path = &kept.path;
        if let Err(error) = path.check(ask.units, ask.key.as_deref()) {
            return self.say(refused_as(ask.id, Why::NeverFits, &error.to_string()));
        }
        let clock = &self.shared.clock;
        let asked = Demand {
            shared: Arc::clone(&self.shared),
            session: session.clone(),
            kept: kept.clone(),
            tell: *tell,
            ask,
            answers: self.asking.answers.clone(),
            waiting: Arc::clone(&self.waiting),
            tally,
        };
        let (ask, key) = (&asked.ask, asked.key());
        let patience = Duration::from_millis(ask.wait_ms.into()).min(WAIT_MAX);
        match ask.kind() {
            wire::Kind::Probe => {
                let answer = path.probe(&**clock, ask.units, key);
                return self.say(asked.answer(answer));
            }
            wire::Kind::Reserve => match path.try_reserve(&**clock, ask.units, key) {
                Ok(reserved) if !path.has_slots() => {
                    let (number, told) = (session.number, ask.key.as_deref());
                    let kept = kept.clone();
                    let is_kept = session.holder.keep_reserved(number, ask.id, kept, ask.units, told, reserved);
                    return is_kept && self.say(asked.granted(false));
                }
                Ok(reserved) => {
                    tokio::spawn(asked.finish(Some(reserved)));
                    return true;
                }
                Err(stopped) if !stopped.is_draw() => {
                    let answer = path.refuse(ask.units, key, stopped);
                    return self.say(asked.answer(answer));
                }
                Err(_) => {}
            },
            wire::Kind::Acquire => {
                let may_wait = !patience.is_zero() && path.is_enforced();
                let hash = key.map(|key| key.hash);
                if !may_wait || path.is_free(hash) {
                    match path.try_now(&**clock, ask.units, key) {
                        Ok(()) if !path.has_slots() => return self.say(asked.granted(false)),
                        // Usually covered by its row, and then done without waiting.
                        Ok(()) => {
                            tokio::spawn(asked.finish(None));
                            return true;
                        }
                        Err(stopped) if stopped.is_draw() || may_wait && stopped.may_wait() => {}
                        Err(stopped) => {
                            let answer = path.refuse(ask.units, key, stopped);
                            return self.say(asked.answer(answer));
                        }
                    }
                }
            }
        }
        // Before it runs, so that no end of it is missed.
        let gives_up = asked.enlist();
        tokio::spawn(asked.wait(patience, gives_up));
        true
    }

    fn path_of<'a>(&self, routes: &'a Routes, id: u64) -> Option<&'a (Kept, Tell)> {
        let opened = self.opened.get(&id)?;
        routes.hold(&opened.contract, opened.workload.as_deref()).ok()
    }

    fn forget_waiting(&self) {
        for (_, gives_up) in self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            gives_up.notify_one();
        }
    }
}

/// Where a gate's demands on a path are counted.
fn tally_of(shared: &Shared, session: &Session, kept: &Kept) -> Arc<Tally> {
    let spec = kept.path.spec();
    shared.holders.gates.tally(session.holder.gate(), &spec.contract, &spec.workload)
}
