//! A demand of a gate that takes more than a look: a row in the ledger, a durable draw, or its turn in the line.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use headway_core::{Answer, Clock as _, Key, Polled, Refusal, Reserved, Stopped, Ticket, Why};
use headway_wire::Tell;
use headway_wire::grpc::framed;
use headway_wire::hold::{self as wire, Ask, FromKeeper, ToGate};
use tokio::sync::Notify;

use super::said::{granted, refused};
use super::{Answers, Session, Waiting};
use crate::gates::Tally;
use crate::holders::Kept;
use crate::plane::{Shared, Ticking};

/// How long a demand waits for a durable draw.
const DRAW_WAIT: Duration = Duration::from_secs(2);

/// A demand that could not be answered at once.
pub(super) struct Demand {
    pub(super) shared: Arc<Shared>,
    pub(super) session: Session,
    pub(super) kept: Kept,
    pub(super) tell: Tell,
    pub(super) ask: Ask,
    pub(super) answers: Answers,
    pub(super) waiting: Waiting,
    pub(super) tally: Arc<Tally>,
}

impl Demand {
    pub(super) fn key(&self) -> Option<Key<'_>> {
        self.ask.key.as_deref().map(|text| self.kept.path.key(text))
    }

    async fn send(&self, is: ToGate) {
        // Nobody is there to hear it any more: what was granted is given back when the gate comes back, or does not.
        drop(self.answers.send(framed(&FromKeeper { is: Some(is) }).into()).await);
    }

    /// Keeps what the path has admitted, and says so.
    pub(super) async fn finish(self, reserved: Option<Reserved>) {
        let (path, id, units) = (&self.kept.path, self.ask.id, self.ask.units);
        let holds = path.has_slots();
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
            self.send(self.granted(holds)).await;
        } else {
            let stopped = Stopped::by(Why::NotDurable, self.shared.clock.boot_ns());
            let answer = path.refuse(units, self.key(), stopped);
            self.send(self.answer(answer)).await;
        }
    }

    /// From now on its gate may give it up.
    pub(super) fn enlist(&self) -> Arc<Notify> {
        let gives_up = Arc::new(Notify::new());
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(self.ask.id, Arc::clone(&gives_up));
        gives_up
    }

    /// Queues until it fits, its patience ends, or its gate gives up.
    pub(super) async fn wait(self, patience: Duration, gives_up: Arc<Notify>) {
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
                self.send(self.granted(false)).await;
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

    /// Says yes, and counts it.
    pub(super) fn granted(&self, holds: bool) -> ToGate {
        if self.ask.kind() != wire::Kind::Probe {
            self.tally.admit(1);
        }
        granted(self.ask.id, holds)
    }

    /// Says what was decided, and counts it.
    pub(super) fn answer(&self, answer: Answer) -> ToGate {
        let refusal = match answer {
            Answer::Admitted { holds } => return self.granted(holds),
            Answer::Refused(refusal) => refusal,
        };
        if self.ask.kind() != wire::Kind::Probe {
            self.tally.refuse(refusal.why, 1);
        }
        refused(self.ask.id, &refusal, self.tell, self.shared.clock.boot_ns())
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

fn give_up(ticket: &Ticket, clock: &Ticking) -> Ended {
    match ticket.give_up(clock) {
        Some(refusal) => Ended::Refused(refusal),
        None => Ended::Admitted { holds: ticket.path().has_slots(), reserved: None },
    }
}
