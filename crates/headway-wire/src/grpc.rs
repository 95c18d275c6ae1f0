//! gRPC over HTTP/2: the frame of a message, and the status that ends a call.
//!
//! Source: gRPC over HTTP2 (PROTOCOL-HTTP2), status codes.

use std::fmt::Write as _;

use prost::Message;

use crate::protobuf::Unreadable;

/// One byte that says whether it is compressed, four of length.
pub const PREFIX: usize = 5;

/// How a call ended where it did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// A call that failed: its status, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub status: Status,
    pub message: String,
}

impl Failed {
    pub fn new(status: Status, message: impl Into<String>) -> Failed {
        Failed { status, message: message.into() }
    }

    /// `grpc-message`: percent-encoded, so that it passes as a header.
    pub fn encoded_message(&self) -> String {
        let mut text = String::with_capacity(self.message.len());
        for byte in self.message.bytes() {
            if matches!(byte, b' '..=b'~') && byte != b'%' {
                text.push(byte as char);
            } else {
                write!(text, "%{byte:02X}").expect("a String takes every text");
            }
        }
        text
    }
}

impl From<Unreadable> for Failed {
    fn from(unreadable: Unreadable) -> Failed {
        Failed::new(Status::InvalidArgument, unreadable.to_string())
    }
}

/// The one message of a unary call's body, which holds at most `most` bytes of it.
///
/// Errors: not exactly one whole message (`InvalidArgument`), a compressed one (`Unimplemented`).
pub fn unframed(body: &[u8], most: usize) -> Result<&[u8], Failed> {
    let Some((prefix, rest)) = body.split_first_chunk::<PREFIX>() else {
        return Err(Unreadable::Malformed("it ends in the middle of its frame").into());
    };
    let length = length_of(*prefix, most)?;
    if length != rest.len() {
        return Err(Unreadable::Malformed("its frame has another length than its body").into());
    }
    Ok(rest)
}

/// A message in its frame.
pub fn framed(message: &impl Message) -> Vec<u8> {
    let length = message.encoded_len();
    let mut body = Vec::with_capacity(PREFIX + length);
    body.push(0);
    body.extend_from_slice(&u32::try_from(length).expect("an answer is far below 4 GiB").to_be_bytes());
    message.encode(&mut body).expect("a Vec takes every message");
    body
}

/// What a frame says of its message. Errors: it is compressed, or longer than `most`.
fn length_of(prefix: [u8; PREFIX], most: usize) -> Result<usize, Failed> {
    let [compressed, length @ ..] = prefix;
    match compressed {
        0 => {}
        1 => return Err(Failed::new(Status::Unimplemented, "compressed messages are not taken")),
        _ => return Err(Unreadable::Malformed("its frame has an unknown flag").into()),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > most { Err(Unreadable::Oversize("bytes", most).into()) } else { Ok(length) }
}

/// The messages of a stream as they arrive: pieces in, whole messages out.
#[derive(Debug)]
pub struct Frames {
    /// Bytes of one message.
    most: usize,
    buffer: Vec<u8>,
    /// Where what was not popped yet begins.
    start: usize,
}

impl Frames {
    /// Messages of at most `most` bytes each; no more than one message and one piece are ever kept.
    pub fn new(most: usize) -> Frames {
        Frames { most, buffer: vec![], start: 0 }
    }

    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole message; None: more has to arrive. Errors: one that is too long, compressed, or no frame. After an
    /// error the stream cannot be read any further.
    pub fn pop(&mut self) -> Result<Option<&[u8]>, Failed> {
        let rest = &self.buffer[self.start..];
        let Some((prefix, body)) = rest.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let length = length_of(*prefix, self.most)?;
        if body.len() < length {
            return Ok(None);
        }
        let from = self.start + PREFIX;
        self.start = from + length;
        Ok(Some(&self.buffer[from..from + length]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthCheckResponse;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let message = HealthCheckResponse { status: 1 };
        assert_eq!(b"\0\0\0\0\x02\x08\x01".to_vec(), framed(&message));
        assert_eq!(Ok(&b"\x08\x01"[..]), unframed(&framed(&message), 2));
    }

    #[test]
    fn anything_but_one_whole_message_is_an_invalid_argument() {
        let bodies: [&[u8]; 6] =
            [b"", b"\0\0\0\0", b"\0\0\0\0\x03ab", b"\0\0\0\0\x01ab", b"\x02\0\0\0\0", b"\0\xff\xff\xff\xff"];
        for body in bodies {
            assert_eq!(Status::InvalidArgument, unframed(body, 100).unwrap_err().status, "{body:?}");
        }
        assert_eq!(Status::Unimplemented, unframed(b"\x01\0\0\0\0", 100).unwrap_err().status);
        assert!(unframed(b"\0\0\0\0\x03abc", 2).unwrap_err().message.contains("more than 2 bytes"));
    }

    #[test]
    fn a_stream_gives_whole_messages_however_it_is_cut() {
        let bytes = b"\0\0\0\0\x02ab\0\0\0\0\0\0\0\0\0\x03cde";
        for size in 1..bytes.len() {
            let (mut frames, mut seen) = (Frames::new(3), vec![]);
            for piece in bytes.chunks(size) {
                frames.push(piece);
                while let Some(message) = frames.pop().unwrap() {
                    seen.push(message.to_vec());
                }
            }
            assert_eq!(vec![b"ab".to_vec(), vec![], b"cde".to_vec()], seen, "pieces of {size}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_before_it_has_arrived() {
        let mut frames = Frames::new(3);
        frames.push(b"\0\0\0\0\x04");
        assert_eq!(Status::InvalidArgument, frames.pop().unwrap_err().status);
    }

    #[test]
    fn a_message_of_a_failure_passes_as_a_header() {
        let failed = Failed::new(Status::Internal, "50 % of\nünits");
        assert_eq!("50 %25 of%0A%C3%BCnits", failed.encoded_message());
    }
}
