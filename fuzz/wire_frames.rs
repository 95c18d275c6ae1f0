//! A stream of any bytes gives the same messages however it is cut, and fails at the same place.
//!
//! The first two bytes say how large its pieces are: both readings see the same stream.
#![no_main]

use headway_wire::grpc::{Failed, Frames};
use libfuzzer_sys::fuzz_target;

const MOST: usize = 1_024;

fuzz_target!(|bytes: &[u8]| {
    let Some(([small, large], stream)) = bytes.split_first_chunk::<2>() else { return };
    let whole = seen(stream, stream.len().max(1));
    assert!(whole.0.iter().all(|message| message.len() <= MOST));
    assert!(whole.0.iter().map(|message| message.len() + 5).sum::<usize>() <= stream.len());
    for size in [usize::from(*small) + 1, usize::from(*large) * 64 + 1] {
        assert_eq!(whole, seen(stream, size));
    }
});

/// Every message of a stream that arrives in pieces of `size` bytes, and how it failed, if it did.
fn seen(stream: &[u8], size: usize) -> (Vec<Vec<u8>>, Option<Failed>) {
    let (mut frames, mut messages) = (Frames::new(MOST), vec![]);
    for piece in stream.chunks(size) {
        frames.push(piece);
        loop {
            match frames.pop() {
                Ok(Some(message)) => messages.push(message.to_vec()),
                Ok(None) => break,
                Err(failed) => return (messages, Some(failed)),
            }
        }
    }
    (messages, None)
}
