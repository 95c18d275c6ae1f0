//! A limit that is divided among proxies: the core's divider, and the streams that it tells.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use headway_core::divide::{Course, Divided, Divider, Terms, Told};
use headway_core::{Clock, Path};
use headway_wire::grpc::framed;
use headway_wire::rlqs::{Action, RateLimitQuotaResponse};
use tokio::sync::mpsc;

use crate::accept::PINGED;

/// Messages on their way to one stream; one that does not take them is given up.
pub(crate) const PUSHES_MAX: usize = 16;
/// How long a message may wait to go out. One that is late ends its stream instead.
pub(crate) const PUSHED: Duration = Duration::from_millis(150);
/// Within that after it was decided, an assignment has arrived, or never does: `PUSHED`, `PINGED`, and 50 ms for timers.
pub const DELAY: Duration = Duration::from_secs(1);
const _: () = assert!(PUSHED.as_millis() + PINGED.as_millis() < DELAY.as_millis());

/// Where a stream's messages go, each with the instant by which it has to go out.
pub(crate) type Pushes = mpsc::Sender<(i64, Bytes)>;

/// One bucket of one contract.
pub(crate) struct Division {
    bucket: BTreeMap<String, String>,
    path: Arc<Path>,
    terms: Terms,
    /// The same through every change of routes.
    state: Mutex<Arc<Mutex<State>>>,
}

#[derive(Default)]
struct State {
    /// None before the first look at the clock.
    divider: Option<Divider>,
    streams: HashMap<u64, Pushes>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Division {
    pub(crate) fn new(bucket: BTreeMap<String, String>, path: Arc<Path>, terms: Terms) -> Division {
        Division { bucket, path, terms, state: Mutex::default() }
    }

    pub(crate) fn contract(&self) -> &str {
        &self.path.spec().contract
    }

    /// Takes over from the same bucket of the same contract: what is assigned stays booked.
    pub(crate) fn go_on_from(&self, other: &Division) {
        *lock(&self.state) = Arc::clone(&lock(&other.state));
    }

    /// Whether the other is the same division under later routes.
    pub(crate) fn is_continued_by(&self, other: &Division) -> bool {
        Arc::ptr_eq(&self.state(), &other.state())
    }

    fn state(&self) -> Arc<Mutex<State>> {
        Arc::clone(&lock(&self.state))
    }

    /// A stream's report; its first is its subscription.
    pub(crate) fn report(&self, clock: &impl Clock, stream: u64, pushes: &Pushes, allowed: u64, denied: u64) {
        self.path.account(clock, allowed, denied);
        let (state, now) = (self.state(), clock.boot_ns());
        let mut state = lock(&state);
        let Some(divider) = &mut state.divider else { return };
        if divider.report(stream, now, allowed, denied) {
            state.streams.entry(stream).or_insert_with(|| pushes.clone());
        } else {
            let message = self.message([Told::Deny]);
            // Where it cannot be told, what it does unassigned is to deny as well.
            drop(pushes.try_send((go_out_by(), message)));
        }
    }

    pub(crate) fn end(&self, stream: u64) {
        let state = self.state();
        let mut state = lock(&state);
        state.end(stream);
    }

    /// Tells every stream what has changed.
    pub(crate) fn round(&self, now: i64) {
        if !self.path.decides(now) {
            // What is assigned ends by itself; another process may divide the same limit by now.
            return;
        }
        let Some(course) = Course::of(&self.path) else { return };
        let state = self.state();
        let mut state = lock(&state);
        let terms = self.terms;
        let divider = state.divider.get_or_insert_with(|| Divider::new(terms, now));
        divider.amend(terms);
        for (stream, told) in divider.round(now, &course) {
            let message = self.message([told]);
            let is_told =
                state.streams.get(&stream).is_some_and(|pushes| pushes.try_send((go_out_by(), message)).is_ok());
            // One that does not read has what it was told before, and nothing more.
            if !is_told {
                state.end(stream);
            }
        }
    }

    fn message(&self, told: impl IntoIterator<Item = Told>) -> Bytes {
        let action = |told| Action::of(&self.bucket, told, self.terms.ttl_s);
        framed(&RateLimitQuotaResponse { bucket_action: told.into_iter().map(action).collect() }).into()
    }

    pub(crate) fn reading(&self, now: i64) -> Divided {
        let state = self.state();
        let state = lock(&state);
        state.divider.as_ref().map(|divider| divider.reading(now)).unwrap_or_default()
    }
}

impl State {
    fn end(&mut self, stream: u64) {
        self.streams.remove(&stream);
        if let Some(divider) = &mut self.divider {
            divider.end(stream);
        }
    }
}

fn go_out_by() -> i64 {
    headway_clock::boot_ns().saturating_add(PUSHED.as_nanos() as i64)
}
