//! Sixty-four bytes at a time: where the few bytes stand that a scan of JSON must look at.
//!
//! The text between quotes and brackets is most of a record, and deciding about it byte by byte is
//! what such a scan spends its time on. Here all bytes of a block are compared at once, and each
//! class becomes a word with one bit for each byte, the lowest for the first.
//!
//! `wide` makes this the SIMD instructions that every processor of its kind has, so nothing is
//! detected at run time, and safe. The comparison byte by byte is the oracle in the tests.

use wide::u8x16;

/// How many bytes a block has.
pub(crate) const BLOCK: usize = 64;

/// Which bytes of a block are of which class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// `\`
    pub(crate) backslashes: u64,
    /// `{`, `}`, `[` and `]`
    pub(crate) brackets: u64,
    /// Everything below the space.
    pub(crate) controls: u64,
    /// `"`
    pub(crate) quotes: u64,
    /// The space itself.
    pub(crate) spaces: u64,
}

impl Block {
    /// Looks at the front of `bytes`, which is not empty. What is missing to a whole block is of no
    /// class.
    #[inline]
    pub(crate) fn at_front(bytes: &[u8]) -> Self {
        whole(bytes, Self::of)
    }

    #[inline]
    fn of(bytes: &[u8; BLOCK]) -> Self {
        let mut block = Self::default();
        for (index, lane) in lanes(bytes).enumerate() {
            // `[` and `{`, `]` and `}` differ in this bit only, and it makes a bracket of no other.
            let folded = lane | all(0x20);
            let brackets = folded.simd_eq(all(b'{')) | folded.simd_eq(all(b'}'));
            block.backslashes |= bits(lane.simd_eq(all(b'\\')), index);
            block.brackets |= bits(brackets, index);
            block.controls |= bits(lane.min(all(0x1F)).simd_eq(lane), index);
            block.quotes |= bits(lane.simd_eq(all(b'"')), index);
            block.spaces |= bits(lane.simd_eq(all(b' ')), index);
        }
        block
    }
}

/// Where in the front of `bytes`, which is not empty, a string can end or an escape begin: quotes
/// and backslashes only, at half the price.
#[inline]
pub(crate) fn marks_at_front(bytes: &[u8]) -> u64 {
    whole(bytes, marks)
}

/// Where in the front of `bytes`, which is not empty, one of these stands.
#[inline]
pub(crate) fn any_at_front(bytes: &[u8], of: [u8; 3]) -> u64 {
    whole(bytes, |bytes| equal(bytes, of))
}

#[inline]
fn equal(bytes: &[u8; BLOCK], [a, b, c]: [u8; 3]) -> u64 {
    lanes(bytes).enumerate().fold(0, |found, (index, lane)| {
        let one = lane.simd_eq(all(a)) | lane.simd_eq(all(b)) | lane.simd_eq(all(c));
        found | bits(one, index)
    })
}

#[inline]
fn marks(bytes: &[u8; BLOCK]) -> u64 {
    lanes(bytes).enumerate().fold(0, |marks, (index, lane)| {
        marks | bits(lane.simd_eq(all(b'\\')) | lane.simd_eq(all(b'"')), index)
    })
}

/// A block as registers.
#[inline]
fn lanes(bytes: &[u8; BLOCK]) -> impl Iterator<Item = u8x16> {
    let (lanes, _) = bytes.as_chunks::<LANE>();
    lanes.iter().map(|lane| u8x16::new(*lane))
}

#[inline]
fn all(byte: u8) -> u8x16 {
    u8x16::splat(byte)
}

/// A bit for each byte that is all ones, at the lane's place among the bits of the block.
#[inline]
fn bits(lane: u8x16, index: usize) -> u64 {
    u64::from(lane.to_bitmask()) << (LANE * index)
}

#[inline]
fn whole<T>(bytes: &[u8], look: impl Fn(&[u8; BLOCK]) -> T) -> T {
    match bytes.first_chunk() {
        Some(block) => look(block),
        None => {
            let mut block = [NO_CLASS; BLOCK];
            block[..bytes.len()].copy_from_slice(bytes);
            look(&block)
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
            brackets: bits(bytes, |byte| matches!(byte, b'{' | b'}' | b'[' | b']')),
            controls: bits(bytes, |byte| byte < b' '),
            quotes: bits(bytes, |byte| byte == b'"'),
            spaces: bits(bytes, |byte| byte == b' '),
        }
    }

    pub(super) fn equal(bytes: &[u8; BLOCK], of: [u8; 3]) -> u64 {
        bits(bytes, |byte| of.contains(&byte))
    }

    pub(super) fn marks(bytes: &[u8; BLOCK]) -> u64 {
        bits(bytes, |byte| matches!(byte, b'"' | b'\\'))
    }

    fn bits(bytes: &[u8; BLOCK], of_class: impl Fn(u8) -> bool) -> u64 {
        let bits = bytes.iter().enumerate();
        bits.fold(0, |bits, (index, byte)| bits | u64::from(of_class(*byte)) << index)
    }
}

/// Bytes in a register.
const LANE: usize = 16;

/// Stands for bytes that are not there.
const NO_CLASS: u8 = b'0';

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn every_byte_is_of_its_classes_in_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..BLOCK {
                let mut bytes = [NO_CLASS; BLOCK];
                bytes[place] = byte;
                assert_eq!(Block::of(&bytes), plain::block(&bytes), "{byte:#x} at {place}");
                assert_eq!(marks(&bytes), plain::marks(&bytes), "{byte:#x} at {place}");
                let of = [0x41, 0xC1, 0xFF];
                assert_eq!(equal(&bytes, of), plain::equal(&bytes, of), "{byte:#x} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn blocks_are_as_byte_by_byte(bytes in vec(any::<u8>(), 1..=BLOCK)) {
            let mut block = [NO_CLASS; BLOCK];
            block[..bytes.len()].copy_from_slice(&bytes);
            prop_assert_eq!(Block::at_front(&bytes), plain::block(&block));
            prop_assert_eq!(marks_at_front(&bytes), plain::marks(&block));
        }
    }
}
