//! What is served, told to generic clients: a stream of questions, each answered before the next is read.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use headway_wire::Unreadable;
use headway_wire::grpc::{Failed, Frames, Status, framed};
use headway_wire::reflection as wire;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::accept::Lasting;
use crate::reply::Ending;

/// Answers that wait to be read; then no more questions are.
pub(crate) const ANSWERS_MAX: usize = 4;

/// Answers to the stream's end. `time`: for a question to arrive, and for its answer to be taken.
pub(crate) async fn run(
    mut body: Incoming,
    answers: mpsc::Sender<Bytes>,
    ending: Ending,
    time: Duration,
    lasting: Lasting,
) {
    let mut frames = Frames::new(wire::MESSAGE_MAX);
    let ended = loop {
        let one = tokio::time::timeout(time, one(&mut body, &mut frames, &answers));
        match one.await {
            Ok(Ok(true)) => lasting.mark(),
            Ok(Ok(false)) => break Ok(()),
            Ok(Err(failed)) => break Err(failed),
            Err(_) => break Err(Failed::new(Status::DeadlineExceeded, "no whole question came in time")),
        }
    };
    if let Err(failed) = ended {
        ending.get_or_init(|| failed);
    }
    // Told before the last sender is dropped.
    drop(answers);
}

/// Answers one question; false at the end.
async fn one(body: &mut Incoming, frames: &mut Frames, answers: &mpsc::Sender<Bytes>) -> Result<bool, Failed> {
    loop {
        if let Some(message) = frames.pop()? {
            let answer = wire::answer(message)?;
            return Ok(answers.send(framed(&answer).into()).await.is_ok());
        }
        let Some(piece) = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await else {
            return Ok(false);
        };
        let piece = piece.map_err(|_| Unreadable::Malformed("it was cut off on the way"))?;
        if let Ok(piece) = piece.into_data() {
            frames.push(&piece);
        }
    }
}
