//! Moments before and after others, where dates come from outside and may be anything. Pure.

use jiff::{Timestamp, TimestampArithmetic};

/// So long after a moment, or the last one there is.
pub fn after(moment: Timestamp, by: impl Into<TimestampArithmetic>) -> Timestamp {
    moment.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// So long before a moment, or the first one there is.
pub fn before(moment: Timestamp, by: impl Into<TimestampArithmetic>) -> Timestamp {
    moment.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_beyond_time_is_its_end() {
        let (epoch, day) = (Timestamp::UNIX_EPOCH, Duration::from_secs(24 * 3600));
        assert_eq!(after(epoch, day).as_second(), 86_400);
        assert_eq!(before(epoch, day).as_second(), -86_400);
        assert_eq!(after(epoch, Duration::MAX), Timestamp::MAX);
        assert_eq!(before(epoch, Duration::MAX), Timestamp::MIN);
        assert_eq!(after(Timestamp::MAX, day), Timestamp::MAX);
        assert_eq!(before(Timestamp::MIN, day), Timestamp::MIN);
    }
}
