//! Reading an answer that is not a success: never a panic, never a wait that is not sane.

#![no_main]

use std::time::Duration;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use m365_collector::microsoft::answer::{Action, read};

fuzz_target!(|input: (u16, Option<&str>, &[u8])| {
    let (status, retry_after, body) = input;
    let now = Timestamp::UNIX_EPOCH;
    let action = read(status, retry_after, now, body);
    if let Action::Throttled { wait: Some(wait) } = action {
        assert!(wait <= Duration::from_secs(3600), "{wait:?}");
    }
    // The same answer always means the same.
    assert_eq!(action, read(status, retry_after, now, body));
});
