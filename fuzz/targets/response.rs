//! The client's side of the handshake: heads that a server may answer with. The placeholder
//! `{accept}` stands for the right accept key, which no fuzzer would find.

#![no_main]

use dill::fuzzing::ws::handshake::{self, HeadScan, KEY_LEN, Scan};
use libfuzzer_sys::fuzz_target;

const KEY: &[u8; KEY_LEN] = b"dGhlIHNhbXBsZSBub25jZQ==";
const PLACE: &[u8] = b"{accept}";

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

fuzz_target!(|data: &[u8]| {
    let accept = handshake::accept_key(KEY);
    let mut head = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(PLACE.len()).position(|window| window == PLACE) {
        head.extend_from_slice(&rest[..at]);
        head.extend_from_slice(&accept);
        rest = &rest[at + PLACE.len()..];
    }
    head.extend_from_slice(rest);
    // Whatever its end, judging it must be safe.
    let _ = handshake::check_response(&head, KEY);

    let Ok(Scan::Complete(len)) = HeadScan::new().scan(&head) else { return };
    match handshake::check_response(&head[..len], KEY) {
        Ok(()) => {
            assert!(head.starts_with(b"HTTP/1.1 101"));
            assert!(contains(&head[..len], &accept));
            assert!(contains(&head[..len], b"\nupgrade:"));
            assert!(contains(&head[..len], b"\nconnection:"));
        }
        Err(refusal) => assert!(!refusal.rule.is_empty()),
    }
});
