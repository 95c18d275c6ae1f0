//! What a clean stop writes down and the next start takes up: marks relative to their curve, by meter and key.
//!
//! Layout 2, little-endian: magic, SipHash key, meters, a checksum over all before it. Only what `save` wrote is taken;
//! every length is bounded by the bytes that are there, so that a damaged file is an error and nothing more.

use crate::error::Error;
use crate::sip::SipKey;

const MAGIC: &[u8; 8] = b"HWMARK\x00\x02";

/// One meter's part. Rates in grains relative to E at `utc_ns`; quotas in micro-units used since `window_start_utc`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) utc_ns: i64,
    pub(crate) log2: u32,
    pub(crate) k: i64,
    pub(crate) window_start_utc: i64,
    pub(crate) one: i64,
    pub(crate) drawn: u64,
    pub(crate) keys: Vec<KeptKey>,
    pub(crate) scaled: Vec<(String, Kept)>,
}

/// One key's part, of which the meter's own has the same names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KeptKey {
    pub(crate) hash: u64,
    /// Mark or use.
    pub(crate) held: i64,
    pub(crate) drawn: u64,
    /// Of the window it was used in; keys that were used on either side of a clock's step have different ones.
    pub(crate) window_start_utc: i64,
}

impl Kept {
    /// Grains of another coarseness, rounded up: more is spent rather than less.
    pub(crate) fn to_grains(&self, from_e: i64, log2: u32) -> i64 {
        if log2 >= self.log2 {
            let wide = i128::from(from_e) << (log2 - self.log2);
            return wide.clamp(-(1 << 61), 1 << 61) as i64;
        }
        let by = self.log2 - log2;
        ((i128::from(from_e) + ((1 << by) - 1)) >> by) as i64
    }

    pub(crate) fn k_from_e(&self, log2: u32) -> i64 {
        self.to_grains(self.k, log2).min(0)
    }
}

/// All of it.
pub(crate) struct Saved {
    pub(crate) sip: SipKey,
    pub(crate) meters: Vec<(String, Kept)>,
}

impl Saved {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_u64(&mut out, self.sip.0);
        put_u64(&mut out, self.sip.1);
        put_meters(&mut out, &self.meters);
        let sum = SipKey(0, 0).hash(&out);
        put_u64(&mut out, sum);
        out
    }

    /// Errors: not ours, another layout, damaged.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Saved, Error> {
        let damaged = || Error::invalid("the saved marks are damaged or cut short; start without them");
        if bytes.len() < 8 || bytes[..6] != MAGIC[..6] {
            return Err(Error::invalid("these bytes were not written by `save`"));
        }
        if bytes[..8] != MAGIC[..] {
            return Err(Error::invalid("the saved marks have another layout; start without them"));
        }
        let (body, sum) = bytes.split_at_checked(bytes.len() - 8).ok_or_else(damaged)?;
        if body.len() < 8 || SipKey(0, 0).hash(body).to_le_bytes() != sum {
            return Err(damaged());
        }
        let mut rest = Rest(&body[8..]);
        let read = |rest: &mut Rest<'_>| -> Option<Saved> {
            let sip = SipKey(rest.u64()?, rest.u64()?);
            let meters = rest.meters(0)?;
            rest.0.is_empty().then_some(Saved { sip, meters })
        };
        read(&mut rest).ok_or_else(damaged)
    }
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_meters(out: &mut Vec<u8>, meters: &[(String, Kept)]) {
    put_u64(out, meters.len() as u64);
    for (name, kept) in meters {
        put_u64(out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
        let numbers = [kept.utc_ns, i64::from(kept.log2), kept.k, kept.window_start_utc, kept.one, kept.drawn as i64];
        for number in numbers {
            put_u64(out, number as u64);
        }
        put_u64(out, kept.keys.len() as u64);
        for key in &kept.keys {
            for number in [key.hash, key.held as u64, key.drawn, key.window_start_utc as u64] {
                put_u64(out, number);
            }
        }
        put_meters(out, &kept.scaled);
    }
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn bytes(&mut self, count: usize) -> Option<&[u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    fn i64(&mut self) -> Option<i64> {
        self.u64().map(|number| number as i64)
    }

    /// A count of things of at least `size` bytes each.
    fn count(&mut self, size: usize) -> Option<usize> {
        let count = usize::try_from(self.u64()?).ok()?;
        (count <= self.0.len() / size).then_some(count)
    }

    fn key(&mut self) -> Option<KeptKey> {
        let (hash, held, drawn) = (self.u64()?, self.i64()?, self.u64()?);
        Some(KeptKey { hash, held, drawn, window_start_utc: self.i64()? })
    }

    /// `depth`: scaled keys lie one below their meter, and no deeper.
    fn meters(&mut self, depth: u32) -> Option<Vec<(String, Kept)>> {
        let count = self.count(8 * 9)?;
        if depth > 1 {
            return (count == 0).then(Vec::new);
        }
        let mut meters = Vec::with_capacity(count);
        for _ in 0..count {
            let length = self.count(1)?;
            let name = String::from_utf8(self.bytes(length)?.to_vec()).ok()?;
            let utc_ns = self.i64()?;
            let log2 = u32::try_from(self.u64()?).ok().filter(|log2| *log2 <= 62)?;
            let (k, window_start_utc, one, drawn) = (self.i64()?, self.i64()?, self.i64()?, self.u64()?);
            let keys = (0..self.count(32)?).map(|_| self.key()).collect::<Option<_>>()?;
            let scaled = self.meters(depth + 1)?;
            meters.push((name, Kept { utc_ns, log2, k, window_start_utc, one, drawn, keys, scaled }));
        }
        Some(meters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        let key = KeptKey { hash: 9, held: -2, drawn: 3, window_start_utc: 60 };
        let own = Kept { utc_ns: 5, log2: 20, k: -7, one: -3, keys: vec![key], ..Kept::default() };
        let scaled = vec![("big".to_owned(), own.clone())];
        Saved { sip: SipKey(1, 2), meters: vec![("api".to_owned(), Kept { scaled, ..own })] }
    }

    #[test]
    fn what_was_saved_is_read_back() {
        let back = Saved::from_bytes(&saved().to_bytes()).unwrap();
        assert_eq!(saved().meters, back.meters);
        assert!(saved().sip == back.sip);
    }

    #[test]
    fn any_flipped_or_missing_byte_is_an_error() {
        let bytes = saved().to_bytes();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            assert!(Saved::from_bytes(&flipped).is_err(), "byte {at} flipped");
            assert!(Saved::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn coarser_grains_round_towards_more_spent() {
        let kept = Kept { log2: 10, ..Kept::default() };
        assert_eq!((-3, -2, 1), (kept.to_grains(-1024 * 3, 0), kept.to_grains(-1024 * 3 + 1, 0), kept.to_grains(1, 0)));
        assert_eq!(-12, kept.to_grains(-3, 12));
    }
}
