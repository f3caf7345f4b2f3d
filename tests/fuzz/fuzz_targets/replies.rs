//! Replies of destinations: any status and any body give an outcome, always the same, and a code that goes into a log
//! is short, of few characters and has no long number in it.
//!
//! Input: two bytes of status, one for `Retry-After`, then the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tsunagi_adapters::Reply;
use tsunagi_core::delivery::Outcome;
use tsunagi_fuzz::{Input, adapter};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let status = match input.below(1000) {
        number @ 0..100 => u16::try_from(number).expect("small") * 650,
        number => u16::try_from(number).expect("small"),
    };
    let retry_after_secs = match input.byte() {
        0 => None,
        255 => Some(u32::MAX),
        seconds => Some(seconds.into()),
    };
    let reply = Reply { status, retry_after_secs, bytes: input.0 };
    for format in ["fhir_r4", "municipal_csv", "pmh_api"] {
        let adapter = adapter(format);
        let outcome = adapter.interpret(&reply);
        assert_eq!(outcome, adapter.interpret(&reply));
        match outcome {
            Outcome::Delivered => assert!((200..300).contains(&status), "{format}: delivered by {status}"),
            Outcome::Rejected { code } => {
                let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
                assert!((1..=64).contains(&code.len()) && code.bytes().all(fits), "{code}");
                let numbers = code.split(|c: char| !c.is_ascii_digit());
                assert!(numbers.into_iter().all(|number| number.len() < 7), "{code}");
            }
            Outcome::Retry { .. } => {}
        }
    }
});
