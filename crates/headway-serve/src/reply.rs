//! An answer on its way: a body that is one piece, gRPC's trailers, and the end of a request.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use headway_wire::Problem;
use headway_wire::grpc::{Failed, framed};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::accept::Underway;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Bytes of a stream that go out at once.
const PIECE: usize = 32 * 1_024;
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// How a stream ends where it does not end well: set before its last sender is dropped.
pub(crate) type Ending = Arc<OnceLock<Failed>>;

/// A body in one piece. The request it answers is under way until it is sent, or given up.
#[derive(Default)]
pub(crate) struct Reply {
    piece: Option<Bytes>,
    trailers: Option<HeaderMap>,
    /// Pieces that are still to come, of a stream.
    pieces: Option<mpsc::Receiver<Bytes>>,
    /// The same, of a stream whose pieces mean nothing later: the instant by which each has to go out.
    timed: Option<mpsc::Receiver<(i64, Bytes)>>,
    ending: Option<Ending>,
    #[expect(dead_code, reason = "its drop is what ends the request")]
    underway: Option<Underway>,
}

impl Reply {
    pub(crate) fn until_sent(self, underway: Underway) -> Reply {
        Reply { underway: Some(underway), ..self }
    }

    pub(crate) fn ended_by(self, ending: Ending) -> Reply {
        Reply { ending: Some(ending), ..self }
    }
}

/// What is there already goes out in one piece.
fn gathered(first: Bytes, pieces: &mut mpsc::Receiver<Bytes>) -> Bytes {
    let Ok(second) = pieces.try_recv() else { return first };
    let mut all = BytesMut::from(&first[..]);
    all.extend_from_slice(&second);
    while all.len() < PIECE
        && let Ok(next) = pieces.try_recv()
    {
        all.extend_from_slice(&next);
    }
    all.freeze()
}

impl Reply {
    /// The trailers of a stream that something was wrong with.
    fn tell_ending(&mut self) {
        if let Some(failed) = self.ending.as_ref().and_then(|ending| ending.get()) {
            let mut trailers = HeaderMap::with_capacity(2);
            insert_status(&mut trailers, failed);
            self.trailers = Some(trailers);
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(pieces) = &mut self.pieces {
            if let Some(first) = ready!(pieces.poll_recv(context)) {
                return Poll::Ready(Some(Ok(Frame::data(gathered(first, pieces)))));
            }
            self.pieces = None;
            self.tell_ending();
        }
        if let Some(timed) = &mut self.timed {
            match ready!(timed.poll_recv(context)) {
                Some((until, piece)) if headway_clock::boot_ns() <= until => {
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                // One that is late ends the stream, with whatever is behind it.
                _ => {
                    self.timed = None;
                    self.tell_ending();
                }
            }
        }
        let piece = self.piece.take().map(Frame::data);
        Poll::Ready(piece.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_none() && self.trailers.is_none() && self.pieces.is_none() && self.timed.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.trailers.is_some() || self.pieces.is_some() || self.timed.is_some() {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.piece.as_ref().map_or(0, |piece| piece.len() as u64))
    }
}

/// An answer with a body in one piece.
pub(crate) fn whole(status: u16, headers: HeaderMap, body: impl Into<Bytes>) -> Response<Reply> {
    let body = body.into();
    let reply = Reply { piece: (!body.is_empty()).then_some(body), ..Reply::default() };
    let mut response = Response::new(reply);
    *response.status_mut() = StatusCode::from_u16(status).expect("our own statuses are HTTP's");
    *response.headers_mut() = headers;
    response
}

/// Headers of a problem document, refusals included.
pub(crate) fn problem_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(CONTENT_TYPE, PROBLEM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

/// What is wrong with a call.
pub(crate) fn problem(problem: &Problem) -> Response<Reply> {
    let mut headers = problem_headers();
    match problem.status {
        401 => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        405 => drop(headers.insert(ALLOW, HeaderValue::from_static("GET, POST"))),
        _ => {}
    }
    whole(problem.status, headers, problem.document())
}

/// The one message of a unary call that went well.
pub(crate) fn message(message: &impl prost::Message) -> Response<Reply> {
    framed_message(framed(message))
}

/// The same, in its frame already.
pub(crate) fn framed_message(framed: Vec<u8>) -> Response<Reply> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    let reply = Reply { piece: Some(framed.into()), trailers: Some(trailers), ..Reply::default() };
    let mut response = Response::new(reply);
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// A stream of messages, each framed already, until their sender is dropped; then it ended well.
pub(crate) fn messages(pieces: mpsc::Receiver<Bytes>) -> Response<Reply> {
    stream(Reply { pieces: Some(pieces), ..Reply::default() })
}

/// The same, each with the instant by which it has to go out; one that is late ends the stream.
pub(crate) fn timed_messages(timed: mpsc::Receiver<(i64, Bytes)>) -> Response<Reply> {
    stream(Reply { timed: Some(timed), ..Reply::default() })
}

fn stream(reply: Reply) -> Response<Reply> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    let mut response = Response::new(Reply { trailers: Some(trailers), ..reply });
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// A call that failed: headers alone, as gRPC's trailers-only.
pub(crate) fn failed(failed: &Failed) -> Response<Reply> {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(CONTENT_TYPE, GRPC);
    insert_status(&mut headers, failed);
    whole(200, headers, Bytes::new())
}

fn insert_status(headers: &mut HeaderMap, failed: &Failed) {
    headers.insert(GRPC_STATUS, HeaderValue::from(failed.status as u16));
    let message = HeaderValue::from_str(&failed.encoded_message()).expect("percent-encoded text is a header's");
    headers.insert(GRPC_MESSAGE, message);
}
