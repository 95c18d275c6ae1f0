//! The stream of a gate: each demand asked, decided by the meters here, and answered.
//!
//! A demand that may wait queues here, so that nobody asks again and again. Source: interfaces, 4; protocols/leases.md.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use headway_core::{Answer, Clock as _, Key, Mode, Polled, Refusal, Reserved, Retry, Stopped, Ticket, Why};
use headway_wire::grpc::{Failed, Frames, Status, framed};
use headway_wire::hold::{self as wire, Again, Ask, Facts, FromKeeper, Held, Hello, ToGate, ToKeeper};
use headway_wire::{Tell, Unreadable, sentence};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::sync::{Notify, mpsc};

use crate::accept::Lasting;
use crate::holders::{Holder, Kept, Name, TERM};
use crate::plane::Shared;
use crate::reply::Ending;
use crate::{death, routes::Routes};

/// Answers on their way to one gate; one that does not read them is cut off.
pub(crate) const ANSWERS_MAX: usize = 32_768;
/// How long a demand waits for a durable draw.
const DRAW_WAIT: Duration = Duration::from_secs(2);
/// Demands of one stream that have no answer yet; beyond it they are refused as `overloaded`. A gate of ours asks no more.
const ASKED_MAX: usize = 20_000;
/// The longest that a demand may queue.
const WAIT_MAX: Duration = Duration::from_hours(1);

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
    let mut reader = Reader { body, frames: Frames::new(wire::MESSAGE_MAX) };
    let hello = match reader.within(shared.bounds.first).await {
        Ok(Some(ToKeeper::Hello(hello))) => hello,
        Ok(Some(_)) => return asking.fail(Unreadable::Malformed("a stream begins with a hello").into()),
        Ok(None) => return,
        Err(failed) => return asking.fail(failed),
    };
    let Ok(name) = Name::try_from(hello.holder.as_slice()) else { return };
    let mut stream = Stream { shared, asking, opened: HashMap::new(), waiting: Arc::default(), last_id: 0 };
    let (facts, held) = stream.opened_by(&hello);
    let now = headway_clock::boot_ns();
    let (holder, number) = match stream.shared.holders.attach(now, name, &credential, held) {
        Ok(attached) => attached,
        Err(turned) => return stream.asking.fail(turned.failed()),
    };
    if let Some(process) = &hello.process {
        holder.watch(death::watch(process, &holder, &stream.shared.holders.watches));
    }
    let session = Session { holder, number };
    stream.say(ToGate::Welcome(wire::Welcome { term_ms: TERM.as_millis() as u32 }));
    for facts in facts {
        stream.say(ToGate::Facts(facts));
    }
    loop {
        let message = match reader.within(TERM).await {
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
    stream.forget_waiting();
}

/// A gate's messages, as they arrive.
struct Reader {
    body: Incoming,
    frames: Frames,
}

impl Reader {
    /// The next message; None at the stream's end. Errors: none that can be taken, or not a whole one in this time, however
    /// many bytes of it came.
    async fn within(&mut self, time: Duration) -> Result<Option<ToKeeper>, Failed> {
        let late = |_| Err(Failed::new(Status::DeadlineExceeded, "no whole message came in time"));
        tokio::time::timeout(time, self.next()).await.unwrap_or_else(late)
    }

    async fn next(&mut self) -> Result<Option<ToKeeper>, Failed> {
        loop {
            if let Some(message) = self.frames.pop()? {
                return wire::read(message).map(Some);
            }
            let piece = std::future::poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await;
            let Some(piece) = piece else { return Ok(None) };
            let piece = piece.map_err(|_| Failed::new(Status::InvalidArgument, "it was cut off on the way"))?;
            if let Ok(piece) = piece.into_data() {
                self.frames.push(&piece);
            }
        }
    }
}

/// Who speaks on a stream.
#[derive(Clone)]
struct Session {
    holder: Arc<Holder>,
    number: u64,
}

struct Opened {
    contract: String,
    workload: Option<String>,
}

struct Stream {
    shared: Arc<Shared>,
    asking: Asking,
    opened: HashMap<u64, Opened>,
    /// Demands that queue, to be told when their gate gives up on them.
    waiting: Arc<Mutex<HashMap<u64, Arc<Notify>>>>,
    last_id: u64,
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
            Ok((kept, _)) => facts_of(path.id, kept),
            Err(problem) => {
                Facts { path: path.id, code: problem.code.to_owned(), problem: problem.problem, ..Facts::default() }
            }
        };
        let opened = Opened { contract: path.contract.clone(), workload: path.workload.clone() };
        self.opened.insert(path.id, opened);
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
            ToKeeper::Alive(alive) => self.say(ToGate::Alive(alive)),
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
            // A repeated demand is one.
            ToKeeper::Ask(ask) if ask.id <= self.last_id => true,
            ToKeeper::Ask(ask) => {
                self.last_id = ask.id;
                self.ask(session, ask)
            }
        }
    }

    fn ask(&self, session: &Session, ask: Ask) -> bool {
        // Each demand without an answer holds on to who waits.
        if Arc::strong_count(&self.waiting) > ASKED_MAX {
            return self.say(refused_as(ask.id, Why::Overloaded, "this gate has asked for too much at once"));
        }
        let routes = self.shared.routes();
        let Some((kept, tell)) = self.path_of(&routes, ask.path) else {
            return self.say(refused_as(ask.id, Why::NotPublished, "there is no such path"));
        };
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
        };
        let (ask, key) = (&asked.ask, asked.key());
        let patience = ask.wait_ms.map_or_else(|| path.wait(), |ms| Duration::from_millis(ms.into())).min(WAIT_MAX);
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
                    return is_kept && self.say(granted(ask.id, false));
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
                        Ok(()) if !path.has_slots() => return self.say(granted(ask.id, false)),
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

/// A demand that could not be answered at once.
struct Demand {
    shared: Arc<Shared>,
    session: Session,
    kept: Kept,
    tell: Tell,
    ask: Ask,
    answers: Answers,
    waiting: Arc<Mutex<HashMap<u64, Arc<Notify>>>>,
}

impl Demand {
    fn key(&self) -> Option<Key<'_>> {
        self.ask.key.as_deref().map(|text| self.kept.path.key(text))
    }

    async fn send(&self, is: ToGate) {
        // Nobody is there to hear it any more: what was granted is given back when the gate comes back, or does not.
        drop(self.answers.send(framed(&FromKeeper { is: Some(is) }).into()).await);
    }

    /// Keeps what the path has admitted, and says so.
    async fn finish(self, reserved: Option<Reserved>) {
        let (path, id, units) = (&self.kept.path, self.ask.id, self.ask.units);
        let is_kept = match reserved {
            Some(reserved) if !path.has_slots() => {
                let key = self.ask.key.as_deref();
                self.session.holder.keep_reserved(self.session.number, id, self.kept.clone(), units, key, reserved)
            }
            reserved => {
                let key = self.ask.key.as_deref();
                let holder = &self.session.holder;
                holder.keep_slots(self.session.number, id, self.kept.clone(), units, key, reserved).await
            }
        };
        if is_kept {
            self.send(granted(id, path.has_slots())).await;
        } else {
            let stopped = Stopped::by(Why::NotDurable, self.shared.clock.boot_ns());
            let answer = path.refuse(units, self.key(), stopped);
            self.send(self.answer(answer)).await;
        }
    }

    /// From now on its gate may give it up.
    fn enlist(&self) -> Arc<Notify> {
        let gives_up = Arc::new(Notify::new());
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(self.ask.id, Arc::clone(&gives_up));
        gives_up
    }

    /// Queues until it fits, its patience ends, or its gate gives up.
    async fn wait(self, patience: Duration, gives_up: Arc<Notify>) {
        let ended = tokio::select! {
            ended = self.wait_turn(patience) => Some(ended),
            () = gives_up.notified() => None,
        };
        let was_waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.ask.id).is_some();
        match ended {
            None => {}
            // Its gate gave up in this very moment.
            Some(Ended::Admitted { holds, reserved }) if !was_waiting => {
                let path = &self.kept.path;
                let hash = self.key().map(|key| key.hash);
                if holds {
                    path.release(&*self.shared.clock, self.ask.units, hash);
                }
                if let Some(reserved) = reserved {
                    path.settle(&*self.shared.clock, &reserved, hash, 0);
                }
            }
            Some(Ended::Admitted { holds: false, reserved: None }) => {
                let id = self.ask.id;
                self.send(granted(id, false)).await;
            }
            Some(Ended::Admitted { reserved, .. }) => self.finish(reserved).await,
            Some(Ended::Refused(refusal)) => {
                let answer = self.answer(Answer::Refused(refusal));
                self.send(answer).await;
            }
        }
    }

    async fn wait_turn(&self, patience: Duration) -> Ended {
        if self.ask.kind() == wire::Kind::Reserve || patience.is_zero() {
            return self.when_drawn().await;
        }
        let (clock, path) = (&*self.shared.clock, &self.kept.path);
        let ticket = match path.ticket(clock, self.ask.units, self.key(), None) {
            Ok(ticket) => ticket,
            Err(Answer::Refused(refusal)) => return Ended::Refused(refusal),
            Err(Answer::Admitted { holds }) => return Ended::Admitted { holds, reserved: None },
        };
        let rung = Arc::new(Notify::new());
        let ring = Arc::clone(&rung);
        ticket.on_wake(Arc::new(move || ring.notify_one()));
        let until = clock.boot_ns().saturating_add(patience.as_nanos() as i64);
        loop {
            match ticket.poll(clock) {
                Polled::Admitted { holds } => return Ended::Admitted { holds, reserved: None },
                Polled::Refused(refusal) => return Ended::Refused(refusal),
                Polled::Waiting => {}
            }
            let now = clock.boot_ns();
            if now >= until {
                return give_up(&ticket, clock);
            }
            let next = ticket.wake_at().unwrap_or(i64::MAX).min(until);
            let nap = Duration::from_nanos(next.saturating_sub(now).max(0) as u64);
            tokio::select! {
                () = rung.notified() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    /// A first draw may take one commit, whatever the patience.
    async fn when_drawn(&self) -> Ended {
        let (clock, path, units) = (&*self.shared.clock, &self.kept.path, self.ask.units);
        let until = clock.boot_ns().saturating_add(DRAW_WAIT.as_nanos() as i64);
        loop {
            let attempt = if self.ask.kind() == wire::Kind::Reserve {
                path.try_reserve(clock, units, self.key()).map(Some)
            } else {
                path.try_now(clock, units, self.key()).map(|()| None)
            };
            let stopped = match attempt {
                Ok(reserved) => return Ended::Admitted { holds: path.has_slots(), reserved },
                Err(stopped) => stopped,
            };
            match path.ask_draw(clock, self.key(), stopped) {
                Ok(()) if clock.boot_ns() < until => tokio::time::sleep(Duration::from_millis(1)).await,
                Ok(()) => return Ended::of(path.refuse(units, self.key(), stopped)),
                Err(stopped) => return Ended::of(path.refuse(units, self.key(), stopped)),
            }
        }
    }

    fn answer(&self, answer: Answer) -> ToGate {
        match answer {
            Answer::Admitted { holds } => granted(self.ask.id, holds),
            Answer::Refused(refusal) => refused(self.ask.id, &refusal, self.tell, self.shared.clock.boot_ns()),
        }
    }
}

enum Ended {
    Admitted { holds: bool, reserved: Option<Reserved> },
    Refused(Refusal),
}

impl Ended {
    fn of(answer: Answer) -> Ended {
        match answer {
            Answer::Admitted { holds } => Ended::Admitted { holds, reserved: None },
            Answer::Refused(refusal) => Ended::Refused(refusal),
        }
    }
}

fn give_up(ticket: &Ticket, clock: &crate::plane::Ticking) -> Ended {
    match ticket.give_up(clock) {
        Some(refusal) => Ended::Refused(refusal),
        None => Ended::Admitted { holds: ticket.path().has_slots(), reserved: None },
    }
}

fn facts_of(id: u64, kept: &Kept) -> Facts {
    let spec = kept.path.spec();
    let mode = match spec.mode {
        Mode::Enforce => wire::Mode::Enforce,
        Mode::Observe => wire::Mode::Observe,
        Mode::Record => wire::Mode::Record,
    };
    Facts {
        path: id,
        workload: spec.workload.clone(),
        mode: mode.into(),
        has_slots: kept.path.has_slots(),
        needs_key: kept.path.needs_key(),
        units_max: spec.units_max,
        wait_ms: spec.wait_ns / 1_000_000,
        max_hold_ms: (kept.max_hold_ns / 1_000_000).max(0) as u64,
        cost_ppm: spec.cost_ppm,
        ..Facts::default()
    }
}

fn granted(id: u64, holds: bool) -> ToGate {
    ToGate::Answer(Box::new(wire::Answer { id, granted: true, holds, refused: None }))
}

fn refused_as(id: u64, why: Why, text: &str) -> ToGate {
    let refused = wire::Refused { why: why.name().to_owned(), sentence: text.to_owned(), ..wire::Refused::default() };
    ToGate::Answer(Box::new(wire::Answer { id, refused: Some(Box::new(refused)), ..wire::Answer::default() }))
}

fn refused(id: u64, refusal: &Refusal, tell: Tell, now: i64) -> ToGate {
    let (again, retry_ns) = match refusal.retry() {
        Retry::At(at) => (Again::In, at.saturating_sub(now).max(0) as u64),
        Retry::Never => (Again::Never, 0),
        Retry::Unknown => (Again::Unknown, 0),
    };
    let is_full = tell == Tell::Full;
    let refused = wire::Refused {
        why: refusal.why.name().to_owned(),
        again: again.into(),
        retry_ns,
        version: refusal.version(),
        stage: if is_full { refusal.stage().to_owned() } else { String::new() },
        meter: if is_full { refusal.meter_name().to_owned() } else { refusal.contract().to_owned() },
        unit: refusal.unit().to_owned(),
        limit_micro: if is_full { refusal.limit_micro() } else { 0 },
        use_micro: if is_full { refusal.use_micro() } else { 0 },
        raises_when: if is_full { refusal.raises_when().to_owned() } else { String::new() },
        sentence: sentence(refusal, tell),
        reference: refusal.reference(),
    };
    ToGate::Answer(Box::new(wire::Answer { id, refused: Some(Box::new(refused)), ..wire::Answer::default() }))
}
