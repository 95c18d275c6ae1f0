//! Connections: taking them, bounding them, ending them.
//!
//! One rule ends a connection that is idle, half open, or whose peer does not read: no request on it began or ended for
//! `Bounds::idle`. Requests themselves are bounded by their body's time and never wait for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};

use crate::bounds::Bounds;
use crate::peers::Peers;
use crate::plane::Shared;
use crate::service;
use crate::streams::{Begun, Gathered, Streams};

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
    let peers: Arc<Peers> = Arc::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.changed() => return,
        };
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(NO_SOCKETS).await;
            continue;
        };
        let Some(own) = peers.take(address.ip(), shared.bounds.per_peer) else { continue };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (shared, closing) = (Arc::clone(&shared), closing.clone());
        tokio::spawn(async move {
            serve(stream, shared, closing).await;
            drop((place, own));
        });
    }
}

/// From a peer's last sign of life to the ping, and from there to the end of its connection. Only where a limit is divided:
/// what was assigned is then received soon, or never.
const PING: Duration = Duration::from_millis(400);
/// Within that after it is handed to a connection, a message has arrived or its connection has ended.
pub(crate) const PINGED: Duration = Duration::from_millis(800);

/// When a request last began or ended on a connection.
pub(crate) struct Progress {
    last: AtomicI64,
    has_begun: AtomicBool,
    /// Whether its peer is asked for signs of life.
    is_pinged: bool,
    /// Told where it is to end: no more requests.
    leave: Notify,
    /// Streams that last.
    lasting: AtomicUsize,
    closing: watch::Receiver<bool>,
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

    /// Whether what is sent on it has arrived within `PINGED`, or never does.
    pub(crate) fn is_pinged(&self) -> bool {
        self.0.is_pinged
    }

    /// Ends the connection after what is under way, so that its peer makes a new one.
    pub(crate) fn leave(&self) {
        self.0.leave.notify_one();
    }

    /// Until the plane closes.
    pub(crate) async fn closing(&self) {
        // An error says that the plane is gone already.
        drop(self.0.closing.clone().wait_for(|is_closing| *is_closing).await);
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.0.lasting.fetch_sub(1, Ordering::Relaxed);
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

    /// Goes on as a stream; None where its connection has as many as it may.
    pub(crate) fn lasting(self) -> Option<Lasting> {
        let most = self.shared.bounds.lasting;
        let one_more = |count: usize| (count < most).then_some(count + 1);
        self.progress.lasting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Lasting(Arc::clone(&self.progress)))
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.progress.mark();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, closing: watch::Receiver<bool>) {
    // Answers are small and waited for. Where the option cannot be set, they are only slower.
    stream.set_nodelay(true).unwrap_or(());
    let Some(tls) = shared.tls.clone() else { return speak(stream, shared, closing).await };
    // Who does not end a handshake in time, or cannot, has no connection.
    if let Ok(Ok(stream)) = tokio::time::timeout(shared.bounds.first, tls.acceptor().accept(stream)).await {
        speak(stream, shared, closing).await;
    }
}

async fn speak<S>(stream: S, shared: Arc<Shared>, mut closing: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let bounds = shared.bounds;
    let is_pinged = shared.routes().divides();
    let progress = Arc::new(Progress {
        last: AtomicI64::new(headway_clock::boot_ns()),
        has_begun: AtomicBool::new(false),
        is_pinged,
        leave: Notify::new(),
        lasting: AtomicUsize::new(0),
        closing: closing.clone(),
    });
    let service = service_fn(|request| {
        let underway = Underway::begin(&shared, &progress);
        service::answer(&shared, request, underway)
    });
    let streams = Streams::default();
    let builder = builder(&bounds, is_pinged, streams.executor());
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(Gathered(stream)), service));
    let mut ends = false;
    loop {
        let left = if ends { bounds.closing } else { progress.left(&bounds) };
        tokio::select! {
            // How it ended is the peer's affair: what was decided on it is counted where it was decided.
            _ended = streams.drive(connection.as_mut()) => return,
            _ = closing.changed(), if !ends => {}
            () = progress.leave.notified(), if !ends => {}
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

fn builder(bounds: &Bounds, is_pinged: bool, executor: Begun) -> Builder<Begun> {
    let mut builder = Builder::new(executor);
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
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(is_pinged.then_some(PING))
        .keep_alive_timeout(PING);
    builder
}
