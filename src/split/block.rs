//! Sixty-four bytes at a time: where the few bytes stand that a scan of JSON must look at.
//!
//! The text between quotes and brackets is most of a record, and deciding about it byte by byte is
//! what such a scan spends its time on. Here all bytes of a block are compared at once, and each
//! class becomes a word with one bit for each byte, the lowest for the first.
//!
//! `fearless_simd` makes this the widest SIMD instructions that the processor at hand has, and safe.
//! A scan is compiled once for each kind of them, so it is whole scans that are [dispatched], and
//! what they call is always inlined. The comparison byte by byte is the oracle in the tests.
//!
//! [dispatched]: fearless_simd::dispatch

use fearless_simd::{Simd, prelude::*, u8x64};

/// How many bytes a block has.
pub(crate) const BLOCK: usize = 64;

/// Which bytes of a block are of which class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// `\`
    pub(crate) backslashes: u64,
    /// `}` and `]`
    pub(crate) closing: u64,
    /// Everything below the space.
    pub(crate) controls: u64,
    /// `{` and `[`
    pub(crate) opening: u64,
    /// `"`
    pub(crate) quotes: u64,
    /// The space itself.
    pub(crate) spaces: u64,
}

impl Block {
    /// Looks at the front of `bytes`, which is not empty. What is missing to a whole block is of no
    /// class.
    #[inline(always)]
    pub(crate) fn at_front<S: Simd>(simd: S, bytes: &[u8]) -> Self {
        let bytes = front(simd, bytes);
        let all = |byte| u8x64::splat(simd, byte);
        // `[` and `{`, `]` and `}` differ in this bit only, and it makes a bracket of no other.
        let folded = bytes | all(0x20);
        Self {
            backslashes: bytes.simd_eq(all(b'\\')).to_bitmask(),
            closing: folded.simd_eq(all(b'}')).to_bitmask(),
            controls: bytes.simd_lt(all(b' ')).to_bitmask(),
            opening: folded.simd_eq(all(b'{')).to_bitmask(),
            quotes: bytes.simd_eq(all(b'"')).to_bitmask(),
            spaces: bytes.simd_eq(all(b' ')).to_bitmask(),
        }
    }
}

/// Where in the front of `bytes`, which is not empty, a string can end or an escape begin: quotes
/// and backslashes only.
#[inline(always)]
pub(crate) fn marks_at_front<S: Simd>(simd: S, bytes: &[u8]) -> u64 {
    any_at_front(simd, bytes, *b"\"\\")
}

/// Where in the front of `bytes`, which is not empty, one of these stands.
#[inline(always)]
pub(crate) fn any_at_front<S: Simd, const N: usize>(simd: S, bytes: &[u8], of: [u8; N]) -> u64 {
    let bytes = front(simd, bytes);
    of.into_iter()
        .fold(0, |found, byte| found | bytes.simd_eq(u8x64::splat(simd, byte)).to_bitmask())
}

#[inline(always)]
fn front<S: Simd>(simd: S, bytes: &[u8]) -> u8x64<S> {
    match bytes.first_chunk::<BLOCK>() {
        Some(block) => u8x64::from_slice(simd, block),
        None => {
            let mut block = [NO_CLASS; BLOCK];
            block[..bytes.len()].copy_from_slice(bytes);
            u8x64::from_slice(simd, &block)
        }
    }
}

#[cfg(test)]
mod plain {
    //! Byte by byte.

    use super::{BLOCK, Block};

    pub(super) fn block(bytes: &[u8; BLOCK]) -> Block {
        Block {
            backslashes: bits(bytes, |byte| byte == b'\\'),
            closing: bits(bytes, |byte| matches!(byte, b'}' | b']')),
            controls: bits(bytes, |byte| byte < b' '),
            opening: bits(bytes, |byte| matches!(byte, b'{' | b'[')),
            quotes: bits(bytes, |byte| byte == b'"'),
            spaces: bits(bytes, |byte| byte == b' '),
        }
    }

    pub(super) fn any(bytes: &[u8; BLOCK], of: &[u8]) -> u64 {
        bits(bytes, |byte| of.contains(&byte))
    }

    fn bits(bytes: &[u8; BLOCK], of_class: impl Fn(u8) -> bool) -> u64 {
        let bits = bytes.iter().enumerate();
        bits.fold(0, |bits, (index, byte)| bits | u64::from(of_class(*byte)) << index)
    }
}

/// Stands for bytes that are not there.
const NO_CLASS: u8 = b'0';

#[cfg(test)]
mod tests {
    use fearless_simd::{Level, dispatch};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn every_byte_is_of_its_classes_in_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..BLOCK {
                let mut bytes = [NO_CLASS; BLOCK];
                bytes[place] = byte;
                check(&bytes, &bytes);
            }
        }
    }

    proptest! {
        #[test]
        fn blocks_are_as_byte_by_byte(bytes in vec(any::<u8>(), 1..=BLOCK)) {
            let mut block = [NO_CLASS; BLOCK];
            block[..bytes.len()].copy_from_slice(&bytes);
            check(&bytes, &block);
        }
    }

    /// Every way this processor can look.
    fn levels() -> Vec<Level> {
        let best = Level::new();
        let mut levels = vec![Level::baseline(), best];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(best.as_sse4_2().map(Simd::level));
            levels.extend(best.as_avx2().map(Simd::level));
        }
        levels
    }

    /// Looks in all of these ways.
    fn check(bytes: &[u8], block: &[u8; BLOCK]) {
        for level in levels() {
            dispatch!(level, simd => {
                assert_eq!(Block::at_front(simd, bytes), plain::block(block), "{level:?} {bytes:x?}");
                let of = [0x41, 0xC1, 0xFF];
                assert_eq!(any_at_front(simd, bytes, of), plain::any(block, &of), "{level:?}");
                assert_eq!(marks_at_front(simd, bytes), plain::any(block, b"\"\\"), "{level:?}");
            });
        }
    }
}
