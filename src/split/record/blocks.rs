//! Looking for the end of an object or array a block at a time.
//!
//! Quotes tell which bytes of a block are within strings; of the others only brackets and white
//! space matter, and of the former only control characters. Most blocks have none of these, or a
//! bracket or two. What is done about each is the same as byte by byte, and tested to be.

use fearless_simd::{Level, Simd, dispatch};

use super::{Record, Scanned, Within, blanks, escaped, is_blank};
use crate::{
    reason::Reason,
    split::{
        block::{BLOCK, Block},
        strings::Strings,
    },
};

impl Record {
    /// Looks for the end of the record in `chunk`, keeping every run but the last.
    pub(super) fn scan_blocks(&mut self, chunk: &[u8]) -> Scanned {
        dispatch!(Level::new(), simd => self.scan_with(simd, chunk))
    }

    #[inline(always)]
    fn scan_with<S: Simd>(&mut self, simd: S, chunk: &[u8]) -> Scanned {
        let mut strings = match self.within {
            Within::Text => Strings::inside(),
            Within::Escape => Strings::behind_backslash(),
            Within::Structure | Within::Scalar => Strings::outside(),
        };
        let mut depth = self.depth;
        let mut rest = 0_usize;
        for base in (0..chunk.len()).step_by(BLOCK) {
            let block = Block::at_front(simd, &chunk[base..]);
            let text = strings.read(&block, chunk.len() - base);
            let closing = block.closing & !text.inside;
            let opening = block.opening & !text.inside;
            // White space that began in an earlier block was passed over there.
            let changed =
                (block.spaces & !text.inside | block.controls) & from(rest.saturating_sub(base));
            let closed = u64::from(closing.count_ones());
            if changed == 0 && closed < depth {
                // However they stand, the record does not end here.
                depth = depth - closed + u64::from(opening.count_ones());
                continue;
            }
            let mut stops = changed | closing | opening;
            while stops != 0 {
                let bit = stops & stops.wrapping_neg();
                stops ^= bit;
                let at = base + bit.trailing_zeros() as usize;
                if bit & (closing | opening) != 0 {
                    // Without a branch, since which of them comes next cannot be foreseen.
                    depth = depth + 1 - 2 * u64::from(bit & closing != 0);
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
        self.within = match strings.is_inside() {
            false => Within::Structure,
            true if strings.is_behind_backslash() => Within::Escape,
            true => Within::Text,
        };
        Scanned { rest, end: None }
    }
}

/// Every bit but the first `count`.
fn from(count: usize) -> u64 {
    u32::try_from(count).ok().and_then(|count| u64::MAX.checked_shl(count)).unwrap_or(0)
}

/// A backslash before a raw control character escapes nothing JSON knows. Left single it would turn
/// our own escape into a backslash and a letter.
const LONE_BACKSLASH: &[u8] = b"\\";
