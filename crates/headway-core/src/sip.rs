//! SipHash-1-3 with a key of this process: what stands for a key's text in the table.
//!
//! Keyed, so that nobody outside can choose texts that collide. Source: Aumasson and Bernstein, SipHash, 2012; one and
//! three rounds as in the standard library's hash maps.

/// The 128-bit key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SipKey(pub(crate) u64, pub(crate) u64);

impl SipKey {
    /// A key that nobody can guess, from the standard library's source of random hash keys.
    pub(crate) fn random() -> SipKey {
        use std::hash::{BuildHasher, RandomState};
        SipKey(RandomState::new().hash_one(0u8), RandomState::new().hash_one(1u8))
    }

    #[inline]
    pub(crate) fn hash(&self, text: &[u8]) -> u64 {
        let mut v = [
            self.0 ^ 0x736f_6d65_7073_6575,
            self.1 ^ 0x646f_7261_6e64_6f6d,
            self.0 ^ 0x6c79_6765_6e65_7261,
            self.1 ^ 0x7465_6462_7974_6573,
        ];
        let mut words = text.chunks_exact(8);
        for word in &mut words {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            absorb(&mut v, u64::from_le_bytes(bytes));
        }
        let mut last = (text.len() as u64) << 56;
        for (i, byte) in words.remainder().iter().enumerate() {
            last |= u64::from(*byte) << (8 * i);
        }
        absorb(&mut v, last);
        v[2] ^= 0xff;
        round(&mut v);
        round(&mut v);
        round(&mut v);
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

#[inline]
fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    v[0] ^= word;
}

#[inline]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::SipKey;

    #[test]
    fn the_hash_is_that_of_the_standard_librarys_siphash_1_3() {
        use std::hash::Hasher;
        for length in 0..40 {
            let text: Vec<u8> = (0..length).collect();
            let mut theirs = std::collections::hash_map::DefaultHasher::new();
            theirs.write(&text);
            assert_eq!(theirs.finish(), SipKey(0, 0).hash(&text), "length {length}");
        }
    }
}
