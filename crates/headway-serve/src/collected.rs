//! The body of a unary call, gathered as it arrives.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use headway_wire::Unreadable;
use headway_wire::grpc::{Failed, PREFIX, Status};
use http_body::Body as _;
use hyper::body::Incoming;

/// A body under way.
pub(crate) struct Collected {
    body: Incoming,
    most: usize,
    /// As a rule the body is one piece, and then it is not copied.
    first: Bytes,
    rest: BytesMut,
}

impl Collected {
    /// A body of one frame around at most `most` bytes.
    pub(crate) fn new(body: Incoming, most: usize) -> Collected {
        Collected { body, most: most + PREFIX, first: Bytes::new(), rest: BytesMut::new() }
    }

    /// The whole of it, once. Errors: more than it may be, cut off on the way.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, Failed>> {
        while let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) {
            let frame = frame.map_err(|_| Failed::from(Unreadable::Malformed("it was cut off on the way")))?;
            let Ok(piece) = frame.into_data() else { continue };
            if self.first.len() + self.rest.len() + piece.len() > self.most {
                return Poll::Ready(Err(Unreadable::Oversize("bytes", self.most - PREFIX).into()));
            }
            if self.first.is_empty() {
                self.first = piece;
            } else {
                self.rest.extend_from_slice(&piece);
            }
        }
        if self.rest.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.first)));
        }
        Poll::Ready(Ok([&self.first[..], &self.rest[..]].concat().into()))
    }

    /// The same, within `time`. Errors: it is not there by then.
    pub(crate) async fn within(mut self, time: Duration) -> Result<Bytes, Failed> {
        let late = |_| Err(Failed::new(Status::DeadlineExceeded, "the message took too long to arrive"));
        tokio::time::timeout(time, poll_fn(|context| self.poll(context))).await.unwrap_or_else(late)
    }
}
