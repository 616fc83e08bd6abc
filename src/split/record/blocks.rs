//! Looking for the end of an object or array a block at a time.
//!
//! Quotes tell which bytes of a block are within strings; of the others only brackets and white
//! space matter, and of the former only control characters. Most blocks have none of these, or a
//! bracket or two. What is done about each is the same as byte by byte, and tested to be.

use super::{Record, Scanned, Within, blanks, escaped, is_blank};
use crate::{
    reason::Reason,
    split::block::{BLOCK, Block},
};

impl Record {
    /// Looks for the end of the record in `chunk`, keeping every run but the last.
    pub(super) fn scan_blocks(&mut self, chunk: &[u8]) -> Scanned {
        let mut strings = Strings::resume(self.within);
        let mut depth = self.depth;
        let mut rest = 0_usize;
        for base in (0..chunk.len()).step_by(BLOCK) {
            let block = Block::at_front(&chunk[base..]);
            let text = strings.read(&block, chunk.len() - base);
            let outside = (block.brackets | block.spaces) & !text.inside;
            // White space that began in an earlier block was passed over there.
            let mut stops = (outside | block.controls) & from(rest.saturating_sub(base));
            while stops != 0 {
                let bit = stops & stops.wrapping_neg();
                stops ^= bit;
                let at = base + bit.trailing_zeros() as usize;
                if bit & block.brackets != 0 {
                    // Without a branch, since which of them comes next cannot be foreseen.
                    let closes = u64::from(chunk[at] & CLOSES != 0);
                    depth = depth + 1 - 2 * closes;
                    if depth == 0 {
                        return Scanned::ended(rest, at + 1);
                    }
                    continue;
                }
                match chunk[at] {
                    control if text.inside & bit != 0 => {
                        self.keep(&chunk[rest..at]);
                        if text.escaped & bit != 0 {
                            self.keep(LONE_BACKSLASH);
                        }
                        self.keep(escaped(control));
                        rest = at + 1;
                    }
                    byte if is_blank(byte) => {
                        self.keep(&chunk[rest..at]);
                        rest = at + blanks(&chunk[at..]);
                        stops &= from(rest - base);
                    }
                    _ => {
                        // Kept first, so that the reason does not depend on where chunks end.
                        self.keep(&chunk[rest..at]);
                        rest = at;
                        self.give_up(Reason::MalformedRecord);
                    }
                }
            }
        }
        self.depth = depth;
        self.within = strings.within();
        Scanned { rest, end: None }
    }
}

/// Follows strings from block to block.
struct Strings {
    /// All ones within a string, else all zeros.
    inside: u64,
    /// Whether the next byte is behind a backslash.
    escape: bool,
}

impl Strings {
    fn resume(within: Within) -> Self {
        let inside = matches!(within, Within::Text | Within::Escape);
        Self { inside: u64::from(inside).wrapping_neg(), escape: matches!(within, Within::Escape) }
    }

    const fn within(&self) -> Within {
        match (self.inside, self.escape) {
            (0, _) => Within::Structure,
            (_, false) => Within::Text,
            (_, true) => Within::Escape,
        }
    }

    /// Reads the next block, of which `length` bytes or more are there.
    fn read(&mut self, block: &Block, length: usize) -> Text {
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
struct Text {
    /// Behind an opening quote, up to the closing one.
    inside: u64,
    /// Behind a backslash.
    escaped: u64,
}

/// For each bit, whether the bits up to it that are set are odd in number.
const fn flipped_from_each(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ bits << 32
}

/// Every bit but the first `count`.
fn from(count: usize) -> u64 {
    u32::try_from(count).ok().and_then(|count| u64::MAX.checked_shl(count)).unwrap_or(0)
}

/// The bit that `]` and `}` have, and `[` and `{` have not.
const CLOSES: u8 = 0x04;

/// A backslash before a raw control character escapes nothing JSON knows. Left single it would turn
/// our own escape into a backslash and a letter.
const LONE_BACKSLASH: &[u8] = b"\\";
