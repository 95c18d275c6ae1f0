//! Connections: taking them, bounding them, ending them.
//!
//! One rule ends a connection that is idle, half open, or whose peer does not read: no request on it began or ended for
//! `Bounds::idle`. Requests themselves are bounded by their body's time and never wait for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::bounds::Bounds;
use crate::plane::Shared;
use crate::service;

/// How long to wait where the system has no more sockets to give.
const NO_SOCKETS: Duration = Duration::from_millis(50);
/// Resets of streams that were not taken up yet, on one connection; more end it (CVE-2023-44487). A proxy that gives up on
/// late answers resets some.
const RESETS: usize = 128;
const STREAM_WINDOW: u32 = 128 * 1_024;
const CONNECTION_WINDOW: u32 = 1_024 * 1_024;

/// Takes connections until it is told to close.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>, mut closing: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(shared.bounds.connections));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.changed() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(NO_SOCKETS).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (shared, closing) = (Arc::clone(&shared), closing.clone());
        tokio::spawn(async move {
            serve(stream, shared, closing).await;
            drop(place);
        });
    }
}

/// When a request last began or ended on a connection.
pub(crate) struct Progress {
    last: AtomicI64,
    has_begun: AtomicBool,
}

impl Progress {
    pub(crate) fn mark(&self) {
        self.last.store(headway_clock::boot_ns(), Ordering::Relaxed);
    }

    /// How long the connection may go on without progress; zero where it has had its time.
    fn left(&self, bounds: &Bounds) -> Duration {
        let most = if self.has_begun.load(Ordering::Relaxed) { bounds.idle } else { bounds.first };
        let passed = headway_clock::boot_ns().saturating_sub(self.last.load(Ordering::Relaxed)).max(0);
        most.saturating_sub(Duration::from_nanos(passed as u64))
    }
}

/// A stream that lasts: no request under way, and alive as long as it is heard from.
pub(crate) struct Lasting(Arc<Progress>);

impl Lasting {
    pub(crate) fn mark(&self) {
        self.0.mark();
    }
}

/// A request from its first sight to its last byte.
pub(crate) struct Underway {
    shared: Arc<Shared>,
    progress: Arc<Progress>,
}

impl Underway {
    fn begin(shared: &Arc<Shared>, progress: &Arc<Progress>) -> Underway {
        progress.has_begun.store(true, Ordering::Relaxed);
        progress.mark();
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        Underway { shared: Arc::clone(shared), progress: Arc::clone(progress) }
    }

    /// Goes on as a stream.
    pub(crate) fn lasting(self) -> Lasting {
        Lasting(Arc::clone(&self.progress))
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.progress.mark();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, mut closing: watch::Receiver<bool>) {
    // Answers are small and waited for. Where the option cannot be set, they are only slower.
    stream.set_nodelay(true).unwrap_or(());
    let bounds = shared.bounds;
    let progress =
        Arc::new(Progress { last: AtomicI64::new(headway_clock::boot_ns()), has_begun: AtomicBool::new(false) });
    let service = service_fn(|request| {
        let underway = Underway::begin(&shared, &progress);
        service::answer(Arc::clone(&shared), request, underway)
    });
    let builder = builder(&bounds);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut ends = false;
    loop {
        let left = if ends { bounds.closing } else { progress.left(&bounds) };
        tokio::select! {
            // How it ended is the peer's affair: what was decided on it is counted where it was decided.
            _ended = connection.as_mut() => return,
            _ = closing.changed(), if !ends => {}
            () = tokio::time::sleep(left) => {
                if ends {
                    return;
                }
                if !progress.left(&bounds).is_zero() {
                    continue;
                }
            }
        }
        ends = true;
        connection.as_mut().graceful_shutdown();
    }
}

fn builder(bounds: &Bounds) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.idle)
        .max_buf_size(bounds.header_bytes.max(8_192) as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(bounds.header_bytes)
        .max_pending_accept_reset_streams(RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}
