//! Which bytes of a JSON text are within strings, a block at a time.
//!
//! Every quote that is not escaped changes it, so the quotes of a block tell it for all of its bytes
//! at once. Backslashes, which most blocks have none of, are looked at one by one.

use super::block::{BLOCK, Block};

/// Follows strings from block to block.
#[derive(Debug)]
pub(crate) struct Strings {
    /// All ones within a string, else all zeros.
    inside: u64,
    /// Whether the next byte is behind a backslash.
    escape: bool,
}

impl Strings {
    /// Before a byte that is in no string.
    pub(crate) const fn outside() -> Self {
        Self { inside: 0, escape: false }
    }

    /// Before a byte of a string.
    pub(crate) const fn inside() -> Self {
        Self { inside: u64::MAX, escape: false }
    }

    /// Before a byte of a string that is escaped.
    pub(crate) const fn behind_backslash() -> Self {
        Self { inside: u64::MAX, escape: true }
    }

    /// Whether the next byte is one of a string.
    pub(crate) const fn is_inside(&self) -> bool {
        self.inside != 0
    }

    /// Whether the next byte is escaped.
    pub(crate) const fn is_behind_backslash(&self) -> bool {
        self.escape
    }

    /// Reads the next block, of which `length` bytes or more are there.
    #[inline(always)]
    pub(crate) fn read(&mut self, block: &Block, length: usize) -> Text {
        let Block { mut quotes, backslashes, .. } = *block;
        let mut escaped = 0;
        if backslashes != 0 || self.escape {
            escaped = self.escaped(quotes, backslashes, length);
            quotes &= !escaped;
        }
        let inside = flipped_from_each(quotes) ^ self.inside;
        self.inside = (inside >> (BLOCK - 1)).wrapping_neg();
        Text { inside, escaped }
    }

    /// The bytes behind a backslash, which is one only within a string, and where it is not escaped
    /// itself.
    fn escaped(&mut self, quotes: u64, backslashes: u64, length: usize) -> u64 {
        let mut escaped = u64::from(std::mem::take(&mut self.escape));
        let mut inside = self.inside != 0;
        let mut marks = (quotes | backslashes) & !escaped;
        while marks != 0 {
            let bit = marks & marks.wrapping_neg();
            marks ^= bit;
            if quotes & bit != 0 {
                inside = !inside;
            } else if inside && bit.trailing_zeros() as usize + 1 == length.min(BLOCK) {
                self.escape = true;
            } else if inside {
                escaped |= bit << 1;
                marks &= !(bit << 1);
            }
        }
        escaped
    }
}

/// What a block is within strings.
pub(crate) struct Text {
    /// Behind an opening quote, up to the closing one.
    pub(crate) inside: u64,
    /// Behind a backslash.
    pub(crate) escaped: u64,
}

/// For each bit, whether the bits up to it that are set are odd in number.
#[inline(always)]
const fn flipped_from_each(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ bits << 32
}
