//! The messages of a peer's stream, one by one.

use std::pin::Pin;
use std::time::Duration;

use headway_wire::Unreadable;
use headway_wire::grpc::{Failed, Frames, Status};
use http_body::Body as _;
use hyper::body::Incoming;

pub(crate) struct Reader {
    body: Incoming,
    frames: Frames,
}

impl Reader {
    /// `most`: bytes of one message.
    pub(crate) fn new(body: Incoming, most: usize) -> Reader {
        Reader { body, frames: Frames::new(most) }
    }

    /// What `read` makes of the next message; None at the stream's end. Errors: none that can be taken.
    pub(crate) async fn next<T>(&mut self, read: impl FnOnce(&[u8]) -> Result<T, Failed>) -> Result<Option<T>, Failed> {
        loop {
            if let Some(message) = self.frames.pop()? {
                return read(message).map(Some);
            }
            let piece = std::future::poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await;
            let Some(piece) = piece else { return Ok(None) };
            let piece = piece.map_err(|_| Unreadable::Malformed("it was cut off on the way"))?;
            if let Ok(piece) = piece.into_data() {
                self.frames.push(&piece);
            }
        }
    }

    /// The same, within `time`: not a whole message by then is an error, however many bytes of it came.
    pub(crate) async fn within<T>(
        &mut self,
        time: Duration,
        read: impl FnOnce(&[u8]) -> Result<T, Failed>,
    ) -> Result<Option<T>, Failed> {
        let late = |_| Err(Failed::new(Status::DeadlineExceeded, "no whole message came in time"));
        tokio::time::timeout(time, self.next(read)).await.unwrap_or_else(late)
    }
}
