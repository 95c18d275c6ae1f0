//! Envoy's rate-limit quota service: proxies report, and are told what they may let through until they are told again.
//!
//! Nothing is told in answer: a report is a number, and ten times a second every limit is divided anew and what has
//! changed is pushed. Source: protocols/envoy.md, *Envoy RLQS*.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headway_core::Clock as _;
use headway_wire::grpc::Failed;
use headway_wire::rlqs::{Bounds, read};
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::accept::Lasting;
use crate::divisions::{Division, Pushes};
use crate::plane::Shared;
use crate::reader::Reader;
use crate::reply::Ending;

/// How often limits are divided: a cut is heard within that.
const ROUND: Duration = Duration::from_millis(100);

/// Divides every limit that is divided, until the end.
pub(crate) async fn divide(shared: Arc<Shared>, mut closing: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {
                let routes = shared.routes();
                for division in routes.divisions() {
                    division.round(shared.clock.boot_ns());
                }
            }
            _ = closing.changed() => {
                shared.ends.notify_waiters();
                return;
            }
        }
    }
}

/// Reads a proxy's stream to its end. What is wrong with what it says ends it, and is told; what it has stays booked until
/// it has ended for certain.
pub(crate) async fn run(shared: Arc<Shared>, body: Incoming, pushes: Pushes, ending: Ending, lasting: Lasting) {
    let id = shared.next_stream.fetch_add(1, Ordering::Relaxed);
    let mut stream = Stream { shared, id, pushes, domain: String::new(), met: vec![] };
    if let Err(failed) = stream.read(body, &lasting).await {
        ending.get_or_init(|| failed);
    }
    for division in &stream.met {
        division.end(id);
    }
}

struct Stream {
    shared: Arc<Shared>,
    id: u64,
    pushes: Pushes,
    /// As last said.
    domain: String,
    /// Those that it ever reported of.
    met: Vec<Arc<Division>>,
}

impl Stream {
    async fn read(&mut self, body: Incoming, lasting: &Lasting) -> Result<(), Failed> {
        let bounds = self.shared.bounds.rlqs;
        let mut reader = Reader::new(body, bounds.message_bytes);
        let (pushes, shared) = (self.pushes.clone(), Arc::clone(&self.shared));
        loop {
            let taken = tokio::select! {
                taken = reader.next(|message| self.take(message, &bounds)) => taken?,
                // Nobody takes what is pushed any more: late messages, or a peer that is gone.
                () = pushes.closed() => return Ok(()),
                () = shared.ends.notified() => return Ok(()),
            };
            if taken.is_none() {
                return Ok(());
            }
            lasting.mark();
        }
    }

    fn take(&mut self, message: &[u8], bounds: &Bounds) -> Result<(), Failed> {
        let reports = read(message, bounds)?;
        if !reports.domain.is_empty() {
            reports.domain.clone_into(&mut self.domain);
        }
        let routes = self.shared.routes();
        for usage in &reports.usages {
            // A bucket that no contract is bound to is told nothing, and does what its proxy does unassigned.
            let Some(division) = routes.division(&self.domain, &usage.bucket) else { continue };
            division.report(&*self.shared.clock, self.id, &self.pushes, usage.allowed, usage.denied);
            if !self.met.iter().any(|met| met.is_continued_by(division)) {
                self.met.push(Arc::clone(division));
            }
        }
        Ok(())
    }
}
