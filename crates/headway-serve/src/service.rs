//! From a request to what answers it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use headway_wire::check::{self as wire_check, no_such_path};
use headway_wire::grpc::{Failed, PREFIX, Status, unframed};
use headway_wire::{Problem, Unreadable, health as wire_health, hold as wire_hold, reflection as wire_reflection};
use headway_wire::{rlqs as wire_rlqs, rls as wire_rls};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::accept::Underway;
use crate::access::Denied;
use crate::plane::{Asked, Shared};
use crate::reply::{Ending, Reply, failed, message, messages, problem, timed_messages, whole};
use crate::{check, divisions, health, hold, leases, reflection, rlqs, rls};

const HEALTH: &str = "/healthz";
/// Bytes of a health check's message.
const HEALTH_MAX: usize = 1_024;

/// Answers one request; `underway` ends with the last byte of the answer.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    underway: Underway,
) -> Result<Response<Reply>, Infallible> {
    let is_grpc =
        request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc && request.uri().path() == wire_hold::HOLD {
        return Ok(hold_on(&shared, request, underway).unwrap_or_else(|failure| failed(&failure)));
    }
    if is_grpc && request.uri().path() == wire_rlqs::STREAM_RATE_LIMIT_QUOTAS {
        return Ok(divide_for(&shared, request, underway).unwrap_or_else(|failure| failed(&failure)));
    }
    if is_grpc && request.uri().path() == wire_health::WATCH {
        return Ok(watch(&shared, request, underway).await.unwrap_or_else(|failure| failed(&failure)));
    }
    if is_grpc && wire_reflection::CALLS.contains(&request.uri().path()) {
        return Ok(reflect(&shared, request, underway).unwrap_or_else(|failure| failed(&failure)));
    }
    let response = if is_grpc {
        call(&shared, request).await.unwrap_or_else(|failure| failed(&failure))
    } else {
        fetch(&shared, &request).await.unwrap_or_else(|wrong| problem(&wrong))
    };
    Ok(response.map(|reply| reply.until_sent(underway)))
}

// --- HTTP -----------------------------------------------------------------------------------------------------------

async fn fetch(shared: &Shared, request: &Request<Incoming>) -> Result<Response<Reply>, Problem> {
    let asked = Asked::now(shared, shared.bounds.check_deadline);
    let path = request.uri().path();
    if path == HEALTH {
        return Ok(whole(200, HeaderMap::new(), "ok"));
    }
    let credential = shared.access.check(request.headers()).map_err(|denied| denied.problem())?;
    let contract = path.strip_prefix(wire_check::PREFIX).ok_or_else(no_such_path)?;
    let check = wire_check::read(contract, request.uri().query())?;
    let is_ending = *request.method() == Method::DELETE && check.lease.is_some();
    if !matches!(*request.method(), Method::GET | Method::POST) && !is_ending {
        return Err(wrong_method());
    }
    if request.headers().contains_key(check::TEST) {
        return check::tested(&shared.routes(), &check);
    }
    if check.hold.is_none() && check.lease.is_none() {
        let answered = check::answer(&shared.routes(), &shared.clock, &check, &asked).await;
        // Contracts of slots are none that are simply checked: what they want is told.
        if answered.is_ok() || !leases::concerns(shared, &check) {
            return answered;
        }
    }
    leases::answer(shared, credential, request.method(), &check).await
}

fn wrong_method() -> Problem {
    Problem {
        code: "HW411",
        status: 405,
        problem: "a check is asked with GET or POST".to_owned(),
        because: "Both ask the same; what a client's own method was is no part of it.",
        mend: "Let the front ask with GET.".to_owned(),
    }
}

// --- gRPC -----------------------------------------------------------------------------------------------------------

/// Begins the stream of a gate.
fn hold_on(shared: &Arc<Shared>, request: Request<Incoming>, underway: Underway) -> Result<Response<Reply>, Failed> {
    let credential = may_stream(shared, &request)?;
    let lasting = underway.lasting().ok_or_else(too_many_streams)?;
    let (answers, pieces) = mpsc::channel(hold::ANSWERS_MAX);
    let ending = Ending::default();
    let asking = hold::Asking { answers, ending: Arc::clone(&ending) };
    tokio::spawn(hold::run(Arc::clone(shared), credential, request.into_body(), asking, lasting));
    Ok(messages(pieces).map(|reply| reply.ended_by(ending)))
}

/// Begins the stream of a proxy that a limit is divided for.
fn divide_for(shared: &Arc<Shared>, request: Request<Incoming>, underway: Underway) -> Result<Response<Reply>, Failed> {
    may_stream(shared, &request)?;
    let lasting = underway.lasting().ok_or_else(too_many_streams)?;
    if !lasting.is_pinged() {
        lasting.leave();
        return Err(Failed::new(Status::Unavailable, "nothing was divided when this connection was made"));
    }
    let (pushes, timed) = mpsc::channel(divisions::PUSHES_MAX);
    let ending = Ending::default();
    tokio::spawn(rlqs::run(Arc::clone(shared), request.into_body(), pushes, Arc::clone(&ending), lasting));
    Ok(timed_messages(timed).map(|reply| reply.ended_by(ending)))
}

/// Who streams: the name of its credential.
fn may_stream(shared: &Shared, request: &Request<Incoming>) -> Result<String, Failed> {
    is_a_call(request)?;
    let credential = shared.access.check(request.headers()).map_err(|denied| denied.failed())?.to_owned();
    if !shared.is_routed.load(Ordering::SeqCst) {
        return Err(Failed::new(Status::Unavailable, "the keeper is starting"));
    }
    Ok(credential)
}

/// Begins to watch the plane's health.
async fn watch(shared: &Shared, request: Request<Incoming>, underway: Underway) -> Result<Response<Reply>, Failed> {
    is_a_call(&request)?;
    let body = whole_body(shared, request.into_body(), HEALTH_MAX).await?;
    let first = health::first(unframed(&body, HEALTH_MAX)?)?;
    let lasting = underway.lasting().ok_or_else(too_many_streams)?;
    let (answers, pieces) = mpsc::channel(health::ANSWERS_MAX);
    tokio::spawn(health::watch(first, answers, lasting));
    Ok(messages(pieces))
}

/// Begins to tell what is served, to whoever may ask.
fn reflect(shared: &Shared, request: Request<Incoming>, underway: Underway) -> Result<Response<Reply>, Failed> {
    is_a_call(&request)?;
    shared.access.check(request.headers()).map_err(|denied| denied.failed())?;
    let lasting = underway.lasting().ok_or_else(too_many_streams)?;
    let (answers, pieces) = mpsc::channel(reflection::ANSWERS_MAX);
    let ending = Ending::default();
    let (body, time) = (request.into_body(), shared.bounds.body);
    tokio::spawn(reflection::run(body, answers, Arc::clone(&ending), time, lasting));
    Ok(messages(pieces).map(|reply| reply.ended_by(ending)))
}

fn is_a_call(request: &Request<Incoming>) -> Result<(), Failed> {
    if request.version() == Version::HTTP_2 && request.method() == Method::POST {
        Ok(())
    } else {
        Err(Failed::new(Status::Unimplemented, "gRPC is POST over HTTP/2"))
    }
}

fn too_many_streams() -> Failed {
    Failed::new(Status::ResourceExhausted, "this connection has as many lasting streams as it may")
}

async fn call(shared: &Shared, request: Request<Incoming>) -> Result<Response<Reply>, Failed> {
    let asked = Asked::now(shared, shared.bounds.deadline);
    is_a_call(&request)?;
    let (head, body) = request.into_parts();
    if head.uri.path() == wire_health::CHECK {
        let body = whole_body(shared, body, HEALTH_MAX).await?;
        return Ok(message(&health::check(unframed(&body, HEALTH_MAX)?)?));
    }
    shared.access.check(&head.headers).map_err(|denied| denied.failed())?;
    if head.uri.path() != wire_rls::SHOULD_RATE_LIMIT {
        return Err(Failed::new(Status::Unimplemented, "no such call is served"));
    }
    let bounds = &shared.bounds.rls;
    let body = whole_body(shared, body, bounds.message_bytes).await?;
    let ask = wire_rls::read(unframed(&body, bounds.message_bytes)?, bounds)?;
    Ok(message(&rls::answer(&shared.routes(), &shared.clock, &ask, &asked).await))
}

impl Denied {
    fn failed(&self) -> Failed {
        let status = match self {
            Denied::Unknown => Status::Unauthenticated,
            Denied::Role(_) => Status::PermissionDenied,
        };
        Failed::new(status, self.problem().problem)
    }
}

/// A body of one frame around at most `most` bytes. Errors: more, cut off on the way, or not there in time.
async fn whole_body(shared: &Shared, body: Incoming, most: usize) -> Result<Bytes, Failed> {
    tokio::time::timeout(shared.bounds.body, collected(body, most + PREFIX))
        .await
        .unwrap_or_else(|_| Err(Failed::new(Status::DeadlineExceeded, "the message took too long to arrive")))
}

async fn collected(mut body: Incoming, most: usize) -> Result<Bytes, Failed> {
    // As a rule the body is one piece, and then it is not copied.
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| Failed::from(Unreadable::Malformed("it was cut off on the way")))?;
        let Ok(piece) = frame.into_data() else { continue };
        if first.len() + rest.len() + piece.len() > most {
            return Err(Unreadable::Oversize("bytes", most - PREFIX).into());
        }
        if first.is_empty() {
            first = piece;
        } else {
            rest.extend_from_slice(&piece);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([&first[..], &rest[..]].concat().into())
}
