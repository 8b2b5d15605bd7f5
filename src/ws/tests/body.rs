//! Bodies of requests: how long they are, and passing over them.

use super::head::Head;
use super::{Rng, times};
use crate::ws::handshake::body::{Body, MAX_SKIPPED, Skip, Skipped};
use crate::ws::handshake::parse_request_head;

fn body_of(lines: &[&str]) -> Result<Body, Option<u16>> {
    let mut head = Head::of(&["POST / HTTP/1.1", "Host: a"]);
    for line in lines {
        head = head.plus(line);
    }
    let bytes = head.bytes();
    parse_request_head(&bytes).map(|request| request.body).map_err(|refusal| refusal.status)
}

#[test]
fn the_length_of_a_body_is_known_or_the_request_is_malformed() {
    assert_eq!(body_of(&[]), Ok(Body::Sized(0)));
    assert_eq!(body_of(&["Content-Length: 0012"]), Ok(Body::Sized(12)));
    assert_eq!(body_of(&["Transfer-Encoding: Chunked"]), Ok(Body::Chunked));
    for lines in [
        &["Content-Length:"][..],
        &["Content-Length: +1"],
        &["Content-Length: -1"],
        &["Content-Length: 1, 1"],
        &["Content-Length: 0x1"],
        &["Content-Length: 18446744073709551616"],
        &["Content-Length: 1", "Content-Length: 1"],
        &["Content-Length: 1", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding: gzip, chunked"],
        &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding:"],
    ] {
        assert_eq!(body_of(lines), Err(Some(400)), "{lines:?}");
    }
    let old = Head::of(&["POST / HTTP/1.0", "Transfer-Encoding: chunked"]).bytes();
    assert_eq!(parse_request_head(&old).expect_err("faulty framing").status, Some(400));
}

/// Passes over the body in pieces of a length, or of what it is sure to have if that is 0.
fn skip(body: Body, stream: &[u8], piece: usize) -> Option<usize> {
    let (mut skip, mut at) = (Skip::new(body)?, 0);
    let mut want = 0;
    loop {
        let end = (at + want).min(stream.len());
        match skip.feed(&stream[at..end]).ok()? {
            Skipped::Complete(len) => return Some(at + len),
            Skipped::Incomplete { at_least } => {
                assert!(at_least > 0);
                at = end;
                want = if piece > 0 { piece } else { at_least as usize };
            }
        }
        if at == stream.len() {
            return None;
        }
    }
}

#[test]
fn a_body_is_passed_over_to_its_last_byte_and_not_a_byte_further() {
    for (body, text) in [
        (Body::Sized(0), ""),
        (Body::Sized(5), "hello"),
        (Body::Chunked, "0\r\n\r\n"),
        (Body::Chunked, "000\r\n\r\n"),
        (Body::Chunked, "5\r\nhello\r\n0\r\n\r\n"),
        (Body::Chunked, "00005;a=b;c=\"d\"\r\nhello\r\n1 \r\nx\r\n0;x\r\nTrailer: y\r\nZ:\r\n\r\n"),
        (Body::Chunked, "1A\r\n0\r\n\r\n0123456789abcdefghijk\r\n0\r\n\r\n"),
    ] {
        let stream = [text.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
        for piece in 0..=8 {
            assert_eq!(skip(body, &stream, piece), Some(text.len()), "{text:?} by {piece}");
        }
        for cut in 0..text.len() {
            assert_eq!(skip(body, &stream[..cut], 1), None, "{text:?} cut at {cut}");
        }
    }
}

#[test]
fn malformed_chunks_and_long_bodies_are_not_passed_over() {
    for text in [
        "\r\n\r\n",
        "x\r\n",
        "5\nhello",
        "5\r\nhelloX\r\n",
        "5\r\nhello0\r\n\r\n",
        "0\r\nA\nB\r\n\r\n",
        "0\r\n\0\r\n\r\n",
        "-1\r\n",
        "5\r\r",
    ] {
        assert_eq!(skip(Body::Chunked, text.as_bytes(), 1), None, "{text:?}");
    }
    let full = vec![b'x'; MAX_SKIPPED as usize];
    assert_eq!(skip(Body::Sized(MAX_SKIPPED), &full, 4096), Some(full.len()));
    assert!(Skip::new(Body::Sized(MAX_SKIPPED + 1)).is_none() && Skip::new(Body::Sized(u64::MAX)).is_none());
    for start in ["10001\r\n", "ffffffffffffffff\r\n", "10000000000000000\r\n", "10000\r\n"] {
        assert!(
            Skip::new(Body::Chunked).expect("not known to be long").feed(start.as_bytes()).is_err(),
            "{start}"
        );
    }
    let mut endless = Skip::new(Body::Chunked).expect("not known to be long");
    let fed = (0..20_000).find(|_| endless.feed(b"1\r\nx\r\n").is_err());
    assert!(fed.is_some_and(|rounds| rounds * 6 < MAX_SKIPPED as usize));
}

#[test]
fn random_framing_is_judged_alike_in_all_pieces() {
    let mut random = Rng::new(11);
    let parts: [&[u8]; 12] =
        [b"0", b"1", b"5", b"\r\n", b"\r", b"\n", b"x", b"hello", b";", b"0\r\n\r\n", b"A: b\r\n", b" "];
    for _ in 0..times(20_000) {
        let stream = (0..random.below(10)).map(|_| random.pick(&parts)).collect::<Vec<_>>().concat();
        let expected = skip(Body::Chunked, &stream, usize::MAX / 2);
        for piece in 0..=3 {
            assert_eq!(skip(Body::Chunked, &stream, piece), expected, "{stream:?} by {piece}");
        }
    }
}
