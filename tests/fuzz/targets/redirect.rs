//! What a browser brings back from Entra: a state of ours or nothing, and words that are harmless.

#![no_main]

use libfuzzer_sys::fuzz_target;
use m365_collector::{
    printable::is_printable,
    redirect::{Answer, Redirect},
};

fuzz_target!(|query: &str| {
    let Some(redirect) = Redirect::read(query) else { return };
    assert_eq!(redirect.state.len(), 64);
    assert!(redirect.state.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if let Answer::Refused(refused) = redirect.answer {
        let words = refused.to_string();
        assert!(words.chars().all(is_printable), "{words:?}");
        assert!(words.chars().count() < 300, "a line is enough");
    }
    // What is there twice is not of Entra.
    let twice = format!("{query}&state={}", redirect.state);
    assert!(Redirect::read(&twice).is_none());
});
