//! From a request to what answers it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use headway_wire::check::{self as wire_check, no_such_path};
use headway_wire::grpc::{Failed, Status, unframed};
use headway_wire::{Problem, health as wire_health, hold as wire_hold, reflection as wire_reflection};
use headway_wire::{rlqs as wire_rlqs, rls as wire_rls};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, Version};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::accept::Underway;
use crate::access::Denied;
use crate::collected::Collected;
use crate::plane::{Asked, Shared};
use crate::reply::{Ending, Reply, failed, framed_message, message, messages, problem, timed_messages, whole};
use crate::{check, divisions, health, hold, leases, reflection, rlqs, rls};

const HEALTH: &str = "/healthz";
/// Bytes of a health check's message.
const HEALTH_MAX: usize = 1_024;

/// An answer that is there, or still to come.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and is to cost no allocation")]
pub(crate) enum Answering {
    /// None: it was taken.
    Now(Option<Response<Reply>>),
    Later(Pin<Box<dyn Future<Output = Response<Reply>> + Send>>),
}

impl Answering {
    fn now(response: Response<Reply>, underway: Underway) -> Answering {
        Answering::Now(Some(response.map(|reply| reply.until_sent(underway))))
    }
}

impl Future for Answering {
    type Output = Result<Response<Reply>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Answering::Now(response) => response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            Answering::Later(response) => response.as_mut().poll(context).map(Ok),
        }
    }
}

/// Answers one request; `underway` ends with the last byte of the answer.
pub(crate) fn answer(shared: &Arc<Shared>, request: Request<Incoming>, underway: Underway) -> Answering {
    if request.uri().path() == wire_rls::SHOULD_RATE_LIMIT && is_grpc(request.headers()) {
        return limit(shared, request, underway);
    }
    Answering::Later(Box::pin(answer_other(Arc::clone(shared), request, underway)))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

async fn answer_other(shared: Arc<Shared>, request: Request<Incoming>, underway: Underway) -> Response<Reply> {
    let is_grpc = is_grpc(request.headers());
    if is_grpc && request.uri().path() == wire_hold::HOLD {
        return hold_on(&shared, request, underway).unwrap_or_else(|failure| failed(&failure));
    }
    if is_grpc && request.uri().path() == wire_rlqs::STREAM_RATE_LIMIT_QUOTAS {
        return divide_for(&shared, request, underway).unwrap_or_else(|failure| failed(&failure));
    }
    if is_grpc && request.uri().path() == wire_health::WATCH {
        return watch(&shared, request, underway).await.unwrap_or_else(|failure| failed(&failure));
    }
    if is_grpc && wire_reflection::CALLS.contains(&request.uri().path()) {
        return reflect(&shared, request, underway).unwrap_or_else(|failure| failed(&failure));
    }
    let response = if is_grpc {
        call(&shared, request).await.unwrap_or_else(|failure| failed(&failure))
    } else {
        fetch(&shared, &request).await.unwrap_or_else(|wrong| problem(&wrong))
    };
    response.map(|reply| reply.until_sent(underway))
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
    let mut check = wire_check::read(contract, request.uri().query())?;
    shared.routes().tell_apart(&mut check)?;
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
    let body = Collected::new(request.into_body(), HEALTH_MAX).within(shared.bounds.body).await?;
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

/// A rate-limit request. As a rule all of it has arrived and nothing has to wait, so that it is answered here and now.
fn limit(shared: &Arc<Shared>, request: Request<Incoming>, underway: Underway) -> Answering {
    let asked = Asked::now(shared, shared.bounds.deadline);
    if let Err(failure) = may_call(shared, &request) {
        return Answering::now(failed(&failure), underway);
    }
    let mut body = Collected::new(request.into_body(), shared.bounds.rls.message_bytes);
    let shared = Arc::clone(shared);
    let later: Pin<Box<dyn Future<Output = Result<Response<Reply>, Failed>> + Send>> =
        match body.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(failure)) => return Answering::now(failed(&failure), underway),
            Poll::Ready(Ok(body)) => match decide(&shared, &body, &asked, rls::Turn::First) {
                Err(failure) => return Answering::now(failed(&failure), underway),
                Ok(Some(response)) => return Answering::now(response, underway),
                Ok(None) => Box::pin(async move { decide_again(&shared, &body, &asked).await }),
            },
            Poll::Pending => Box::pin(async move {
                let body = body.within(shared.bounds.body).await?;
                match decide(&shared, &body, &asked, rls::Turn::First)? {
                    Some(response) => Ok(response),
                    None => decide_again(&shared, &body, &asked).await,
                }
            }),
        };
    Answering::Later(Box::pin(async move {
        later.await.unwrap_or_else(|failure| failed(&failure)).map(|reply| reply.until_sent(underway))
    }))
}

/// Decides a rate-limit request; None: it waits for a draw.
fn decide(shared: &Shared, body: &[u8], asked: &Asked, turn: rls::Turn) -> Result<Option<Response<Reply>>, Failed> {
    let bounds = &shared.bounds.rls;
    let ask = wire_rls::read(unframed(body, bounds.message_bytes)?, bounds)?;
    Ok(rls::answer(&shared.routes(), &shared.clock, &ask, asked, turn).map(framed_message))
}

async fn decide_again(shared: &Shared, body: &[u8], asked: &Asked) -> Result<Response<Reply>, Failed> {
    loop {
        asked.breathe().await;
        if let Some(response) = decide(shared, body, asked, rls::Turn::Again)? {
            return Ok(response);
        }
    }
}

fn may_call(shared: &Shared, request: &Request<Incoming>) -> Result<(), Failed> {
    is_a_call(request)?;
    shared.access.check(request.headers()).map_err(|denied| denied.failed())?;
    Ok(())
}

async fn call(shared: &Shared, request: Request<Incoming>) -> Result<Response<Reply>, Failed> {
    is_a_call(&request)?;
    if request.uri().path() == wire_health::CHECK {
        let body = Collected::new(request.into_body(), HEALTH_MAX).within(shared.bounds.body).await?;
        return Ok(message(&health::check(unframed(&body, HEALTH_MAX)?)?));
    }
    may_call(shared, &request)?;
    Err(Failed::new(Status::Unimplemented, "no such call is served"))
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
