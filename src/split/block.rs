//! Sixty-four bytes at a time: where the few bytes stand that a scan of JSON must look at.
//!
//! The text between quotes and brackets is most of a record, and deciding about it byte by byte is
//! what such a scan spends its time on. Here all bytes of a block are compared at once, and each
//! class becomes a word with one bit for each byte, the lowest for the first.
//!
//! On `x86_64` this uses SSE2, which every such processor has, so nothing is detected at run time. The
//! comparison byte by byte is what other processors use, and the oracle in the tests.

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
        #[cfg(target_arch = "x86_64")]
        {
            #[expect(unsafe_code, reason = "the compiler wants SSE2 to be vouched for")]
            // SAFETY: SSE2 is a part of x86_64.
            unsafe {
                sse2::block(bytes)
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        plain::block(bytes)
    }
}

/// Where in the front of `bytes`, which is not empty, a string can end or an escape begin: quotes and
/// backslashes only, at half the price.
#[inline]
pub(crate) fn marks_at_front(bytes: &[u8]) -> u64 {
    whole(bytes, marks)
}

#[inline]
fn marks(bytes: &[u8; BLOCK]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        #[expect(unsafe_code, reason = "the compiler wants SSE2 to be vouched for")]
        // SAFETY: SSE2 is a part of x86_64.
        unsafe {
            sse2::marks(bytes)
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    plain::marks(bytes)
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

#[cfg(target_arch = "x86_64")]
mod sse2 {
    //! Sixteen bytes in one register.

    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };

    use super::{BLOCK, Block};

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn block(bytes: &[u8; BLOCK]) -> Block {
        let mut block = Block::default();
        for index in 0..LANES {
            let lane = lane(bytes, index);
            // `[` and `{`, `]` and `}` differ in this bit only, and it makes a bracket of no other.
            let folded = _mm_or_si128(lane, all(0x20));
            let brackets = _mm_or_si128(equal(folded, b'{'), equal(folded, b'}'));
            let controls = _mm_cmpeq_epi8(_mm_min_epu8(lane, all(0x1F)), lane);
            block.backslashes |= bits(equal(lane, b'\\'), index);
            block.brackets |= bits(brackets, index);
            block.controls |= bits(controls, index);
            block.quotes |= bits(equal(lane, b'"'), index);
            block.spaces |= bits(equal(lane, b' '), index);
        }
        block
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn marks(bytes: &[u8; BLOCK]) -> u64 {
        let mut marks = 0;
        for index in 0..LANES {
            let lane = lane(bytes, index);
            marks |= bits(_mm_or_si128(equal(lane, b'\\'), equal(lane, b'"')), index);
        }
        marks
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn lane(bytes: &[u8; BLOCK], index: usize) -> __m128i {
        let (halves, _) = bytes.as_chunks();
        let [low, high] = [halves[2 * index], halves[2 * index + 1]];
        _mm_set_epi64x(i64::from_le_bytes(high), i64::from_le_bytes(low))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn all(byte: u8) -> __m128i {
        _mm_set1_epi8(byte.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal(lane: __m128i, byte: u8) -> __m128i {
        _mm_cmpeq_epi8(lane, all(byte))
    }

    /// A bit for each byte that is all ones, at the lane's place among the bits of the block.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn bits(lane: __m128i, index: usize) -> u64 {
        u64::from(_mm_movemask_epi8(lane).cast_unsigned()) << (16 * index)
    }

    const LANES: usize = BLOCK / size_of::<__m128i>();
}

#[cfg(any(test, not(target_arch = "x86_64")))]
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

    pub(super) fn marks(bytes: &[u8; BLOCK]) -> u64 {
        bits(bytes, |byte| matches!(byte, b'"' | b'\\'))
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
