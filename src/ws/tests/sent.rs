//! The heads and keys that we send.

use super::Rng;
use super::head::{Head, KEY};
use crate::ws::handshake::*;

#[test]
fn a_request_is_what_a_server_expects() {
    let key = encode_key(*b"the sample nonce");
    let head = request(b"/chat", b"example.com:8080", &key).expect("good arguments");
    assert_eq!(
        String::from_utf8_lossy(&head),
        "GET /chat HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    let parsed = parse_request(&head).expect("a good request");
    assert_eq!(parsed.resource, b"/chat");
    assert_eq!(parsed.host, b"example.com:8080");
    assert_eq!(check_response(&response(parsed.key).expect("a good key"), &key), Ok(()));
}

#[test]
fn an_answer_is_what_a_client_expects() {
    assert_eq!(
        String::from_utf8_lossy(&response(KEY).expect("a good key")),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
}

#[test]
fn nothing_can_be_injected_into_a_request() {
    for byte in (0..=0x20).chain([0x7f]) {
        for resource in [vec![byte], vec![b'/', byte], vec![b'/', byte, b'x']] {
            assert!(matches!(request(&resource, b"host", KEY), Err(BuildError::Invalid(_))));
        }
    }
    for byte in (0..0x20).chain([0x7f]) {
        for host in [vec![byte], vec![b'h', byte], vec![byte, b'h']] {
            assert!(matches!(request(b"/", &host, KEY), Err(BuildError::Invalid(_))));
        }
    }
    assert!(matches!(request(b"", b"host", KEY), Err(BuildError::Invalid(_))));
}

#[test]
fn resource_and_host_go_out_as_they_are() {
    for resource in ["/", "chat", "/#x", "/ä", "http://a/b", "*", "//", "/?%20"] {
        for host in ["", "a", "[::1]:80", "a b", "ä"] {
            let head = request(resource.as_bytes(), host.as_bytes(), KEY);
            let head = head.expect("good arguments");
            let start = format!("GET {resource} HTTP/1.1\r\nHost: {host}\r\n");
            assert!(head.starts_with(start.as_bytes()));
            // A server refuses what is no host (RFC 9112, 3.2).
            assert_eq!(parse_request(&head).is_ok(), !["a b", "ä"].contains(&host), "{resource} {host}");
        }
    }
}

#[test]
fn answers_to_refused_requests_are_complete_and_end_the_connection() {
    for (status, field) in [
        (400, ""),
        (403, ""),
        (405, "\r\nAllow: GET\r\n"),
        (414, ""),
        (426, "\r\nSec-WebSocket-Version: 13\r\n"),
        (431, ""),
    ] {
        let answer = refusal_response(status);
        let complete = HeadScan::new().scan(answer);
        assert_eq!(complete, Ok(Scan::Complete(answer.len())));
        let refusal = check_response(answer, KEY).expect_err("not 101");
        assert_eq!(refusal.status, Some(status));
        let text = String::from_utf8_lossy(answer);
        assert!(text.contains("\r\nContent-Length: 0\r\n"));
        assert!(text.contains("\r\nConnection: close"));
        assert!(text.contains(field), "{text}");
    }
    assert_eq!(refusal_response(500), refusal_response(400));
}

#[test]
fn a_key_is_base64_of_16_bytes() {
    let mut random = Rng::new(8);
    for _ in 0..1000 {
        let nonce = std::array::from_fn(|_| random.next() as u8);
        assert!(is_valid_key(&encode_key(nonce)));
    }
    assert_eq!(&encode_key([0; 16]), b"AAAAAAAAAAAAAAAAAAAAAA==");
    assert_eq!(&encode_key([0xff; 16]), b"/////////////////////w==");
    assert_eq!(&encode_key(*b"the sample nonce"), KEY);
    for key in [
        &b""[..],
        b"==",
        b"AAAAAAAAAAAAAAAAAAAAAA",
        b"AAAAAAAAAAAAAAAAAAAAAA=",
        b"AAAAAAAAAAAAAAAAAAAAAAA=",
        b"AAAAAAAAAAAAAAAAAAAAAAAA",
        b"AAAAAAAAAAAAAAAAAAAAAA===",
        b"AAAAAAAAAAAAAAAAAAAAA===",
        b"AAAAAAAAAAAAAAAAAAAAAAAA==",
        b"AAAAAAAAAAAAAAAAAAAA==",
        b"AAAAAAAAAA=AAAAAAAAAAA==",
        b"AAAAAAAAAA AAAAAAAAAAA==",
        b"AAAAAAAAAA-AAAAAAAAAAA==",
        b"AAAAAAAAAA_AAAAAAAAAAA==",
        b"SGVsbG8sIHdvcmxkIQ==",
    ] {
        assert!(!is_valid_key(key), "{}", String::from_utf8_lossy(key));
        let text = String::from_utf8_lossy(key);
        let head = Head::good_request().set("Sec-WebSocket-Key", &text);
        assert_eq!(head.as_request(), 400, "{text}");
    }
    for byte in 0..=255u8 {
        let mut key = *KEY;
        key[5] = byte;
        let digit = byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
        assert_eq!(is_valid_key(&key), digit);
    }
}
