//! The beginning of a connection: a header is whole or asks for more, and more never changes it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use m365_collector::http::{Beginning, MAX_HEADER};

fuzz_target!(|bytes: &[u8]| {
    let whole = Beginning::of(bytes);
    match whole {
        Beginning::Header { length, .. } => {
            assert!(length <= bytes.len() && length <= MAX_HEADER);
            for part in 0..length {
                assert_eq!(Beginning::of(&bytes[..part]), Beginning::Incomplete, "{part} bytes");
            }
            assert_eq!(Beginning::of(&bytes[..length]), whole, "what follows does not matter");
        }
        Beginning::Incomplete => assert!(bytes.len() < MAX_HEADER, "waits for more and more"),
        Beginning::Absent | Beginning::Malformed => {
            let more = [bytes, b"\r\nmore"].concat();
            assert_eq!(Beginning::of(&more), whole, "more bytes mend nothing");
        }
    }
});
