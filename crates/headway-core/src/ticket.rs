//! A place in a limiter's queue of waiters.

use std::sync::Arc;
use std::time::Duration;

use crate::atomics::{AtomicBool, AtomicI64, Ordering};
use crate::earliest::Retry;
use crate::far::{Kind, Question, Wanted};
use crate::path::{Answer, Key, Path, Stopped};
use crate::refusal::Refusal;
use crate::time::Clock;
use crate::waiting::{Waiter, Wake};
use crate::why::Why;

/// What a poll says.
pub enum Polled {
    Admitted {
        holds: bool,
    },
    /// Wait on.
    Waiting,
    /// Waiting cannot mend it; the ticket has left.
    Refused(Refusal),
}

pub struct Ticket {
    path: Arc<Path>,
    units: u64,
    key: Option<(u64, Arc<str>)>,
    waiter: Arc<Waiter>,
    /// What the keeper was asked, where one decides.
    asked: Option<Arc<Question>>,
    /// When polling again may help, `i64::MAX` for unknown.
    wake_at: AtomicI64,
    has_left: AtomicBool,
    is_admitted: AtomicBool,
}

impl Path {
    /// Whether nobody waits who would have to be let first.
    #[inline]
    pub fn is_free(&self, key: Option<u64>) -> bool {
        self.queue.is_free(key)
    }

    pub fn waiting(&self) -> usize {
        self.queue.count()
    }

    /// Queues behind the waiters there are. Where a keeper decides, its queue is the line, for at most `patience` (None: as
    /// long as the contract says). Err: 10,000 wait already.
    #[expect(
        clippy::result_large_err,
        reason = "a refusal is built in place; a box would cost every one an allocation"
    )]
    pub fn ticket(
        self: &Arc<Self>,
        clock: &impl Clock,
        units: u64,
        key: Option<Key<'_>>,
        patience: Option<Duration>,
    ) -> Result<Ticket, Answer> {
        let hash = key.map(|k| k.hash);
        if let Some(far) = &self.far {
            let question =
                far.ask(&Wanted { units, key, wait: patience.unwrap_or_else(|| self.wait()), kind: Kind::Acquire });
            let waiter = Arc::clone(question.waiter());
            return Ok(self.ticket_with(units, key, waiter, Some(question)));
        }
        let Some(waiter) = self.queue.join(hash) else {
            return Err(self.refuse(units, key, Stopped::by(Why::QueueFull, clock.boot_ns())));
        };
        for step in &self.steps {
            step.toll(hash).0.meter.bell.hear(&self.queue);
        }
        Ok(self.ticket_with(units, key, waiter, None))
    }

    fn ticket_with(
        self: &Arc<Self>,
        units: u64,
        key: Option<Key<'_>>,
        waiter: Arc<Waiter>,
        asked: Option<Arc<Question>>,
    ) -> Ticket {
        let key = key.map(|k| (k.hash, Arc::<str>::from(k.text)));
        let wake_at = AtomicI64::new(i64::MAX);
        let (has_left, is_admitted) = (AtomicBool::new(false), AtomicBool::new(false));
        Ticket { path: Arc::clone(self), units, key, waiter, asked, wake_at, has_left, is_admitted }
    }
}

impl Ticket {
    fn key(&self) -> Option<Key<'_>> {
        self.key.as_ref().map(|(hash, text)| Key { hash: *hash, text })
    }

    pub fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Tries, if this ticket is at the head.
    pub fn poll(&self, clock: &impl Clock) -> Polled {
        self.waiter.listen();
        let hash = self.key.as_ref().map(|(hash, _)| *hash);
        if self.has_left.load(Ordering::Acquire) {
            return self.refuse(Stopped::by(Why::Timeout, clock.boot_ns()));
        }
        if let Some(question) = &self.asked {
            return self.look(question, clock.boot_ns());
        }
        // Closing wakes everybody, not only heads.
        if !self.path.queue.is_head(&self.waiter) && self.path.decides(clock.boot_ns()) {
            self.wake_at.store(i64::MAX, Ordering::Release);
            return Polled::Waiting;
        }
        match self.path.poll(clock, self.units, self.key()) {
            Ok(()) => {
                self.is_admitted.store(true, Ordering::Release);
                self.leave();
                Polled::Admitted { holds: self.path.has_slots() }
            }
            Err(stopped) if stopped.why.may_wait() => {
                let wake_at = match self.path.earliest(hash, self.units, clock.boot_ns(), None) {
                    Retry::At(at) => at,
                    Retry::Never | Retry::Unknown => i64::MAX,
                };
                self.wake_at.store(wake_at, Ordering::Release);
                Polled::Waiting
            }
            Err(stopped) => self.refuse(stopped),
        }
    }

    /// Whether the keeper has answered.
    fn look(&self, question: &Question, now: i64) -> Polled {
        let Some(outcome) = question.take() else { return Polled::Waiting };
        let answer = self.path.answered(now, self.units, self.key(), outcome, Kind::Acquire);
        self.is_admitted.store(matches!(answer, Answer::Admitted { .. }), Ordering::Release);
        self.leave();
        match answer {
            Answer::Admitted { holds } => Polled::Admitted { holds },
            Answer::Refused(refusal) => Polled::Refused(refusal),
        }
    }

    fn refuse(&self, stopped: Stopped) -> Polled {
        self.leave();
        match self.path.refuse(self.units, self.key(), stopped) {
            Answer::Admitted { holds } => Polled::Admitted { holds },
            Answer::Refused(refusal) => Polled::Refused(refusal),
        }
    }

    /// The end of patience: leaves, and says as `timeout` (counted) what stood in the way. None: it has its permit.
    pub fn give_up(&self, clock: &impl Clock) -> Option<Refusal> {
        if self.is_admitted.load(Ordering::Acquire) {
            return None;
        }
        self.leave();
        let key = self.key();
        if self.asked.is_some() {
            // A keeper ends a wait itself: one that was not heard in time is not there.
            self.path.counts.refuse(Why::CutOff, self.units);
            let stopped = Stopped::by(Why::CutOff, clock.boot_ns());
            return Some(Refusal::new(&self.path, self.units, key, stopped));
        }
        let stopped =
            self.path.probe_stop(clock, self.units, key).unwrap_or(Stopped::by(Why::Timeout, clock.boot_ns()));
        let why = if stopped.why == Why::Closed { Why::Closed } else { Why::Timeout };
        self.path.counts.refuse(why, self.units);
        Some(Refusal::new(&self.path, self.units, key, Stopped { why, ..stopped }))
    }

    /// For the head: when polling again may help on the boot clock; None: a ring will tell.
    pub fn wake_at(&self) -> Option<i64> {
        Some(self.wake_at.load(Ordering::Acquire)).filter(|at| *at < i64::MAX)
    }

    pub fn on_wake(&self, wake: Wake) {
        self.waiter.on_wake(wake);
    }

    /// Sleeps until rung, at most `at_most`.
    pub fn sleep(&self, at_most: Duration) {
        self.waiter.sleep(at_most);
    }

    /// Idempotent; wakes the next.
    pub fn leave(&self) {
        if self.has_left.swap(true, Ordering::SeqCst) {
            return;
        }
        if let (Some(far), Some(question)) = (&self.path.far, &self.asked) {
            return far.give_up(question);
        }
        self.path.queue.leave(&self.waiter);
        if self.path.queue.count() == 0 {
            let hash = self.key.as_ref().map(|(hash, _)| *hash);
            for step in &self.path.steps {
                step.toll(hash).0.meter.bell.leave_if_empty(&self.path.queue);
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.leave();
    }
}
