//! Protobuf as we write it where every answer counts: one buffer, each field where it belongs, nothing built before.
//!
//! Source: protobuf's encoding of the wire format, proto3: what has its default is not sent, lengths are as short as can be.

use crate::grpc::PREFIX;

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;

/// A message under way. Tags are below 16.
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// With room for its frame before it.
    pub(crate) fn in_frame(capacity: usize) -> Message {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.resize(PREFIX, 0);
        Message(bytes)
    }

    fn key(&mut self, tag: u8, kind: u8) {
        debug_assert!(tag < 16, "longer tags take two bytes");
        self.0.push(tag << 3 | kind);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// A number that is no default.
    pub(crate) fn number(&mut self, tag: u8, number: u64) {
        if number != 0 {
            self.key(tag, VARINT);
            self.varint(number);
        }
    }

    /// A double, sent whatever it is: one of several kinds that a value may be of.
    pub(crate) fn double(&mut self, tag: u8, number: f64) {
        self.key(tag, FIXED_64);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Bytes that are no default.
    pub(crate) fn bytes(&mut self, tag: u8, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.kind_of_bytes(tag, bytes);
        }
    }

    /// Bytes, sent whatever they are: one of several kinds that a value may be of.
    pub(crate) fn kind_of_bytes(&mut self, tag: u8, bytes: &[u8]) {
        self.key(tag, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message in it, or a text that is written piece by piece.
    pub(crate) fn nested(&mut self, tag: u8, write: impl FnOnce(&mut Message)) {
        self.key(tag, BYTES);
        let at = self.0.len();
        // As a rule its length takes one byte; where it takes more, what was written moves on.
        self.0.push(0);
        write(self);
        let length = self.0.len() - at - 1;
        if length < 0x80 {
            self.0[at] = length as u8;
            return;
        }
        let more = (usize::BITS - length.leading_zeros()).div_ceil(7) as usize - 1;
        let end = self.0.len();
        self.0.resize(end + more, 0);
        self.0.copy_within(at + 1..end, at + 1 + more);
        for (place, byte) in self.0[at..=at + more].iter_mut().enumerate() {
            *byte = (length >> (7 * place)) as u8 | 0x80;
        }
        self.0[at + more] &= 0x7f;
    }

    /// A part of a text that is being written.
    pub(crate) fn part(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// The whole message in its frame, uncompressed.
    pub(crate) fn framed(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - PREFIX).expect("an answer is far below 4 GiB");
        self.0[1..PREFIX].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_as_many_bytes_as_it_needs() {
        for (length, said) in
            [(0, &[0][..]), (127, &[127]), (128, &[0x80, 1]), (16_383, &[0xff, 0x7f]), (16_384, &[0x80, 0x80, 1])]
        {
            let (text, mut message) = ("x".repeat(length), Message::in_frame(8));
            message.nested(1, |within| within.part(&text));
            let expected = [&[10], said, text.as_bytes()].concat();
            assert_eq!(expected, message.framed()[PREFIX..], "{length}");
        }
    }

    #[test]
    fn what_has_its_default_is_not_sent() {
        let mut message = Message::in_frame(0);
        message.number(1, 0);
        message.bytes(2, b"");
        assert_eq!(vec![0; PREFIX], message.framed());
    }
}
