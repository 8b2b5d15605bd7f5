//! The server's side of the handshake: heads that a client may send.

#![no_main]

use dill::fuzzing::ws::handshake::{self, HeadScan, KEY_LEN, Scan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&seed, head)) = data.split_first() else { return };
    let whole = HeadScan::new().scan(head);
    let mut scan = HeadScan::new();
    let (mut arrived, mut last) = (0, Ok(Scan::Incomplete { at_least: 4 }));
    for piece in libdill_fuzz::pieces(head, seed) {
        arrived += piece.len();
        last = scan.scan(&head[..arrived]);
        match last {
            Ok(Scan::Incomplete { at_least }) => assert!((1..=4).contains(&at_least)),
            _ => break,
        }
    }
    assert_eq!(last.is_ok(), whole.is_ok());
    let Ok(Scan::Complete(len)) = last else { return };
    assert_eq!(whole, Ok(Scan::Complete(len)));
    assert!(head[..len].ends_with(b"\r\n\r\n"));

    match handshake::parse_request(&head[..len]) {
        Ok(request) => {
            assert!(!request.resource.is_empty());
            assert!(!request.resource.iter().any(|byte| byte.is_ascii_control() || *byte == b' '));
            assert!(!request.host.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'));
            assert!(handshake::is_valid_key(request.key));
            let key: &[u8; KEY_LEN] = request.key.try_into().expect("the key was judged");
            let response = handshake::response(key).expect("a good key");
            assert_eq!(handshake::check_response(&response, key), Ok(()));
        }
        Err(refusal) => {
            let status = refusal.status.expect("a refused request has a status");
            assert!(
                handshake::refusal_response(status).starts_with(format!("HTTP/1.1 {status} ").as_bytes())
            );
        }
    }
});
