//! Our clock beside Microsoft's. Pure.
//!
//! Every answer tells the distance anew. What was computed with one distance is only worth
//! something while the answers to it do not show another.

use jiff::SignedDuration;

/// What is taken to be the distance of the clocks.
#[derive(Clone, Copy, Debug)]
pub struct Believed {
    /// How far Microsoft's is ahead of ours.
    pub skew: SignedDuration,
    /// Whether there is another try.
    pub strict: bool,
}

impl Believed {
    /// Whether a window that was computed with this proves nothing. Too early an end only leaves
    /// content to the next sweep, but one in Microsoft's future would call complete what is not.
    pub(super) fn is_wrong(self, seen: SignedDuration) -> bool {
        let off = seen - self.skew;
        off < -TOLERANCE || (self.strict && off > TOLERANCE)
    }

    /// Whether the answer to a request computed with this shows another distance.
    pub fn differs(self, seen: SignedDuration) -> bool {
        (seen - self.skew).abs() > TOLERANCE
    }
}

/// `Date` has whole seconds, and an answer takes its time. Less than the margin at a window's end.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_in_their_future_is_always_wrong_and_one_in_their_past_only_at_first() {
        let seconds = SignedDuration::from_secs;
        let believed = |strict| Believed { skew: seconds(100), strict };
        for (seen, strictly, at_last) in [
            (100, false, false),
            (97, false, false),
            (103, false, false),
            (96, true, true),
            (104, true, false),
        ] {
            assert_eq!(believed(true).is_wrong(seconds(seen)), strictly, "{seen}");
            assert_eq!(believed(false).is_wrong(seconds(seen)), at_last, "{seen}");
            assert_eq!(believed(false).differs(seconds(seen)), strictly, "{seen}");
        }
    }
}
