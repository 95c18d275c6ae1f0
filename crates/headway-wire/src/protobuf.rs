//! Protobuf as it arrives: the fields of a message, one after the other, borrowed and never copied.
//!
//! Reading by hand is what lets bounds be checked before anything is kept: a message of a thousand descriptors is refused
//! at the seventeenth. What we send ourselves is derived (`prost`), and so is the twin that the tests hold this against.
//!
//! Source: protobuf's encoding of the wire format, proto3.

use std::fmt;

/// Why a message cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not what it should be: what was wrong.
    Malformed(&'static str),
    /// More than is read: of what, and how much would do.
    Oversize(&'static str, usize),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Malformed(what) => write!(f, "the message is malformed: {what}"),
            Unreadable::Oversize(what, most) => write!(f, "the message has more than {most} {what}"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// What a field holds. Fixed-width values are passed over: no message that is read here has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Value<'a> {
    pub(crate) fn bytes(self) -> Result<&'a [u8], Unreadable> {
        if let Value::Bytes(bytes) = self { Ok(bytes) } else { Err(WRONG_KIND) }
    }

    pub(crate) fn text(self) -> Result<&'a str, Unreadable> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Unreadable::Malformed("a text is not UTF-8"))
    }

    pub(crate) fn number(self) -> Result<u64, Unreadable> {
        if let Value::Varint(number) = self { Ok(number) } else { Err(WRONG_KIND) }
    }
}

const WRONG_KIND: Unreadable = Unreadable::Malformed("a field has another wire type");
const CUT_SHORT: Unreadable = Unreadable::Malformed("it ends in the middle of a field");
/// The highest field number there is.
const NUMBER_MAX: u64 = (1 << 29) - 1;

/// The fields of a message as (number, value), until the first error.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    fn varint(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if i == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * i);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 { CUT_SHORT } else { Unreadable::Malformed("a number is longer than 64 bits") })
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Unreadable> {
        let length = usize::try_from(length).map_err(|_| CUT_SHORT)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Unreadable> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 || number > NUMBER_MAX {
            return Err(Unreadable::Malformed("a field has no valid number"));
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Unreadable::Malformed("a field has no known wire type")),
        };
        Ok((number as u32, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Result<(u32, Value<'_>), Unreadable>> {
        Fields::of(bytes).collect()
    }

    #[test]
    fn fields_are_read_in_their_order() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8];
        let expected = [(1, Value::Varint(150)), (2, Value::Bytes(b"hi")), (3, Value::Fixed), (4, Value::Fixed)];
        assert_eq!(expected.map(Ok).to_vec(), read(&bytes));
    }

    #[test]
    fn a_message_that_ends_early_is_malformed() {
        for bytes in [&[0x08][..], &[0x08, 0x80], &[0x12, 0x02, b'h'], &[0x1d, 1, 2, 3], &[0x21, 1], &[0x80]] {
            assert_eq!(vec![Err(CUT_SHORT)], read(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn lengths_and_numbers_beyond_what_there_is_are_malformed() {
        let long = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert!(matches!(read(&long)[..], [Err(Unreadable::Malformed(_))]));
        let length = [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(vec![Err(CUT_SHORT)], read(&length));
        // Field 0, and a group, which proto3 has not.
        for bytes in [[0x00, 0x01], [0x0b, 0x0c], [0x0e, 0x00], [0x0f, 0x00]] {
            assert!(matches!(read(&bytes)[..], [Err(Unreadable::Malformed(_))]), "{bytes:?}");
        }
    }

    #[test]
    fn a_value_of_another_kind_is_malformed() {
        assert_eq!((Err(WRONG_KIND), Err(WRONG_KIND)), (Value::Varint(1).bytes(), Value::Bytes(b"").number()));
        assert!(matches!(Value::Bytes(b"\xff").text(), Err(Unreadable::Malformed(_))));
    }
}
