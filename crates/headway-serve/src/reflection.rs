//! What is served, told to generic clients: a stream of questions, each answered before the next is read.

use std::time::Duration;

use bytes::Bytes;
use headway_wire::grpc::framed;
use headway_wire::reflection as wire;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::accept::Lasting;
use crate::reader::Reader;
use crate::reply::Ending;

/// Answers that wait to be read; then no more questions are.
pub(crate) const ANSWERS_MAX: usize = 4;

/// Answers to the stream's end. `time`: for a question to arrive, and for its answer to be taken.
pub(crate) async fn run(
    body: Incoming,
    answers: mpsc::Sender<Bytes>,
    ending: Ending,
    time: Duration,
    lasting: Lasting,
) {
    let mut reader = Reader::new(body, wire::MESSAGE_MAX);
    loop {
        let answer = match reader.within(time, wire::answer).await {
            Ok(Some(answer)) => answer,
            Ok(None) => break,
            Err(failed) => {
                ending.get_or_init(|| failed);
                break;
            }
        };
        if !matches!(tokio::time::timeout(time, answers.send(framed(&answer).into())).await, Ok(Ok(()))) {
            break;
        }
        lasting.mark();
    }
    // Told before the last sender is dropped.
    drop(answers);
}
