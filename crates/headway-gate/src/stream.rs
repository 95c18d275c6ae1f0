//! The stream to the keeper: dialling, sending, hearing, and dialling again.
//!
//! Everything that is decided is decided on the desk; here is only what waits.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use headway_core::{Facts, Mode, Recall};
use headway_wire::grpc::{Frames, framed};
use headway_wire::hold::{FromGate, HOLD, MESSAGE_MAX, ToGate, matches_of, read_keeper};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, TE};
use http::{HeaderMap, Request};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::desk::Answered;
use crate::distant::Contract;
use crate::gate::Link;
use crate::identity;
use crate::lent::on_path;

/// How long a keeper may take to be there at all.
const DIAL: Duration = Duration::from_secs(2);
/// Between two attempts: at first, and at most.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A stream that ended sooner counts as an attempt that failed.
const STOOD: i64 = 1_000_000_000;
/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_millis(500);
/// Bytes of messages that go out in one piece.
const PIECE: usize = 32 * 1_024;
/// The term before the keeper has told its own.
const TERM: Duration = Duration::from_secs(4);

/// Begins a thread that holds the stream until the link is closed.
pub(crate) fn start(link: &Arc<Link>) {
    let link = Arc::clone(link);
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(run(&link));
        }
        let closed = link.desk().close();
        link.deliver(closed);
    };
    // Without a thread nobody dials: demands are refused as cut off.
    drop(std::thread::Builder::new().name("headway-gate".into()).spawn(run));
}

async fn run(link: &Arc<Link>) {
    let mut pause = PAUSE;
    while !link.is_closed() {
        let since = headway_clock::boot_ns();
        // How it ended is told by what is up and what is open; the reason is the keeper's.
        let ended = hold(link).await;
        let now = headway_clock::boot_ns();
        if let Err(Lost::Denied { code, problem }) = ended {
            link.desk().deny(code, problem);
        }
        if link.is_closed() {
            return;
        }
        let opened = link.desk().open_up(now);
        link.deliver(opened);
        if now.saturating_sub(since) > STOOD {
            pause = PAUSE;
            link.desk().lost();
            continue;
        }
        let until = now.saturating_add(i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX));
        let answered = link.desk().unreachable(now, until);
        link.deliver(answered);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = link.closing.notified() => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Why a stream is not there, or not any more.
enum Lost {
    Unreachable,
    Denied { code: &'static str, problem: String },
}

impl From<io::Error> for Lost {
    fn from(_: io::Error) -> Lost {
        Lost::Unreachable
    }
}

impl From<hyper::Error> for Lost {
    fn from(_: hyper::Error) -> Lost {
        Lost::Unreachable
    }
}

impl From<tokio::time::error::Elapsed> for Lost {
    fn from(_: tokio::time::error::Elapsed) -> Lost {
        Lost::Unreachable
    }
}

/// One stream, from dialling to its end.
async fn hold(link: &Arc<Link>) -> Result<(), Lost> {
    let address = &link.settings.address;
    let socket = tokio::time::timeout(DIAL, TcpStream::connect(address)).await??;
    // Demands are small and waited for.
    socket.set_nodelay(true)?;
    match &link.settings.tls {
        None => speak(link, socket).await,
        Some(trust) => {
            let host = address.rsplit_once(':').map_or("", |(host, _)| host);
            let greeted = tokio::time::timeout(DIAL, trust.greet(host, socket)).await?;
            // Not somebody to send a token to, and no wait mends it.
            let socket = greeted.map_err(|error| Lost::Denied { code: "HW445", problem: error.to_string() })?;
            speak(link, socket).await
        }
    }
}

/// The stream on a connection that stands.
async fn speak<S>(link: &Arc<Link>, socket: S) -> Result<(), Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let address = &link.settings.address;
    let (mut requests, connection) =
        http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).handshake(TokioIo::new(socket)).await?;
    let driver = tokio::spawn(async move { drop(connection.await) });
    let scheme = if link.settings.tls.is_some() { "https" } else { "http" };
    let stream = link.desk().dialled(headway_clock::boot_ns(), &link.holder, identity::process());
    let mut request = Request::post(format!("{scheme}://{address}{HOLD}"))
        .header(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
        .header(TE, HeaderValue::from_static("trailers"))
        .body(Outgoing { link: Arc::clone(link), stream })
        .map_err(|_| Lost::Unreachable)?;
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", link.settings.token)).map_err(|_| Lost::Unreachable)?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    let response = tokio::time::timeout(DIAL, requests.send_request(request)).await??;
    let ended = match denied(response.headers()) {
        Some(denied) => Err(denied),
        None => listen(link, response.into_body()).await,
    };
    if link.is_closed() {
        // The goodbye is on its way; the driver sends what is buffered.
        drop(requests);
        let _: Result<_, tokio::time::error::Elapsed> = tokio::time::timeout(FAREWELL, driver).await;
    } else {
        driver.abort();
    }
    ended
}

/// What a keeper that does not take the call says in its headers.
fn denied(headers: &HeaderMap) -> Option<Lost> {
    let status = headers.get(HeaderName::from_static("grpc-status"))?;
    let message = headers.get(HeaderName::from_static("grpc-message")).and_then(|text| text.to_str().ok());
    let problem = message.unwrap_or("the keeper does not take this gate").to_owned();
    Some(match status.as_bytes() {
        b"16" => Lost::Denied { code: "HW401", problem },
        b"7" => Lost::Denied { code: "HW403", problem },
        _ => Lost::Unreachable,
    })
}

async fn listen(link: &Arc<Link>, mut body: Incoming) -> Result<(), Lost> {
    let mut frames = Frames::new(MESSAGE_MAX);
    let mut term = TERM;
    let mut heard = tokio::time::Instant::now();
    let mut beat_at = heard + term / 3;
    loop {
        let due_in = link.desk().due_at().saturating_sub(headway_clock::boot_ns()).max(0);
        let due_at = tokio::time::Instant::now() + Duration::from_nanos(due_in.unsigned_abs()).min(term);
        let piece = tokio::select! {
            piece = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)) => piece,
            () = tokio::time::sleep_until(beat_at.min(heard + term).min(due_at)) => {
                let now = tokio::time::Instant::now();
                if now >= heard + term {
                    // A connection that is half open says nothing, for ever.
                    return Err(Lost::Unreachable);
                }
                let mut desk = link.desk();
                let boot_now = headway_clock::boot_ns();
                let served = if desk.due_at() <= boot_now { desk.tick(boot_now) } else { vec![] };
                if now >= beat_at {
                    desk.beat();
                    beat_at = now + term / 3;
                }
                drop(desk);
                link.deliver(served);
                continue;
            }
            () = link.sooner.notified() => continue,
            () = link.closing.notified() => {
                link.desk().lost();
                return Ok(());
            }
        };
        let Some(piece) = piece else { return Ok(()) };
        let Ok(piece) = piece?.into_data() else { continue };
        heard = tokio::time::Instant::now();
        if link.desk().heard(headway_clock::boot_ns()) {
            return Ok(());
        }
        frames.push(&piece);
        let mut answered = vec![];
        while let Some(message) = frames.pop().map_err(|_| Lost::Unreachable)? {
            match read_keeper(message).map_err(|_| Lost::Unreachable)? {
                ToGate::Welcome(welcome) => {
                    term = Duration::from_millis(u64::from(welcome.term_ms.clamp(50, 3_600_000)));
                    beat_at = heard + term / 3;
                    link.desk().welcome(welcome.term_ms);
                }
                ToGate::Answer(answer) => {
                    answered.extend(link.desk().answered(headway_clock::boot_ns(), *answer));
                }
                ToGate::Facts(facts) => {
                    let concerned = link.desk().facts(headway_clock::boot_ns(), link.forks, &facts);
                    if let Some((distant, doors)) = concerned.filter(|_| facts.code.is_empty()) {
                        let matches = matches_of(&facts.matches).map_err(|_| Lost::Unreachable)?.into();
                        let (workloads, tells_all) = (facts.workloads.clone(), facts.tells_all);
                        distant.told.store(Some(Arc::new(Contract { matches, workloads, tells_all })));
                        let said = said(&facts);
                        distant.ends.store(matches!(said.recall, Recall::End { .. }), Ordering::Relaxed);
                        distant.facts.store(Some(Arc::new(said)));
                        distant.doors.store(doors);
                    }
                    link.heard();
                }
                ToGate::Lease(lease) => answered.extend(lent(link, lease.path, &ToGate::Lease(lease))),
                ToGate::Block(block) => answered.extend(lent(link, block.path, &ToGate::Block(block))),
                ToGate::Part(part) => answered.extend(lent(link, part.path, &ToGate::Part(part))),
                ToGate::Surrender(surrender) => {
                    answered.extend(lent(link, surrender.path, &ToGate::Surrender(surrender)));
                }
                ToGate::Noted(noted) => link.desk().noted(noted.path, noted.admitted),
                ToGate::Retire(_) => return Ok(()),
                ToGate::Recall(recall) => link.desk().recall(&recall),
                ToGate::Alive(_) => {}
            }
        }
        link.deliver(answered);
    }
}

/// Hands on what is lent of a path; whoever is served by it.
fn lent(link: &Link, path: u64, message: &ToGate) -> Vec<Answered> {
    let Some(message) = on_path(path, message) else { return vec![] };
    link.desk().lent(headway_clock::boot_ns(), path, message)
}

fn said(facts: &headway_wire::hold::Facts) -> Facts {
    let mode = match facts.mode() {
        headway_wire::hold::Mode::Enforce => Mode::Enforce,
        headway_wire::hold::Mode::Observe => Mode::Observe,
        headway_wire::hold::Mode::Record => Mode::Record,
    };
    let within_ns = u64::from(facts.ends_within_ms) * 1_000_000;
    let recall = match facts.recall() {
        headway_wire::hold::Asking::Wait => Recall::Wait,
        headway_wire::hold::Asking::Ask => Recall::Ask,
        headway_wire::hold::Asking::Idle => Recall::Idle,
        headway_wire::hold::Asking::End => Recall::End { within_ns },
    };
    Facts {
        mode,
        has_slots: facts.has_slots,
        needs_key: facts.needs_key,
        units_max: facts.units_max,
        wait_ns: facts.wait_ms.saturating_mul(1_000_000),
        cost_ppm: facts.cost_ppm,
        recall,
    }
}

/// What is sent: the desk's outbox, for as long as the stream is the present one.
struct Outgoing {
    link: Arc<Link>,
    stream: u64,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut desk = self.link.desk();
        let mut piece = vec![];
        while piece.len() < PIECE
            && let Some(message) = desk.next(self.stream)
        {
            piece.extend_from_slice(&framed(&FromGate { is: Some(message) }));
        }
        if !piece.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
        }
        if desk.listen(self.stream, context.waker()) { Poll::Pending } else { Poll::Ready(None) }
    }
}
