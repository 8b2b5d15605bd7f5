//! HTTP: the lines of a head, whole heads and what can be asked about them, bodies that are passed over, and
//! headers of the program's own on their way out.

#![no_main]

use dill::fuzzing::http::grammar::{self, Spaces};
use dill::fuzzing::ws::handshake::body::{Skip, Skipped};
use dill::fuzzing::ws::handshake::header::Header;
use dill::fuzzing::ws::handshake::{
    ClientRequest, HeadScan, KEY_LEN, Reply, Scan, StoredHead, parse_answer_head, parse_request_head,
};
use libfuzzer_sys::fuzz_target;

const KEY: &[u8; KEY_LEN] = b"dGhlIHNhbXBsZSBub25jZQ==";

/// The words of a line that is separated as `spaces` has it.
fn words(line: &[u8], spaces: Spaces) -> Vec<&[u8]> {
    let words = line.split(|&byte| byte == b' ');
    words.filter(|word| spaces == Spaces::Single || !word.is_empty()).collect()
}

fn check_lines(line: &[u8]) {
    for spaces in [Spaces::Single, Spaces::Any] {
        let words = words(line, spaces);
        if let Ok(request) = grammar::request_line(line, spaces) {
            let version = format!("HTTP/1.{}", request.minor);
            assert_eq!(words, [request.method, request.target, version.as_bytes()]);
        }
        if let Ok(status) = grammar::status_line(line, spaces) {
            assert_eq!(words[0], format!("HTTP/1.{}", status.minor).as_bytes());
            assert_eq!(words[1], format!("{:03}", status.status).as_bytes());
            assert!(line.ends_with(status.reason) && !status.reason.contains(&b'\n'));
        }
    }
    if let Ok(field) = grammar::field_line(line) {
        assert!(line.starts_with(field.name) && line[field.name.len()] == b':');
        assert_eq!(field.value, grammar::trim(&line[field.name.len() + 1..]));
        assert!(!line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
}

/// What every head must be able to say that was not refused.
fn check_stored(stored: &StoredHead) {
    let mut place = vec![0xff; 70_000];
    for index in 0.. {
        let Ok(field) = stored.field(index) else { break };
        assert!(grammar::is_token(field.name) && grammar::is_text(field.value));
        let len = stored.store(field.name, None).expect("there is such a field");
        assert_eq!(stored.store(field.name, Some(&mut place)), Ok(len));
        assert_eq!(place[len], 0);
        assert!(stored.store(field.name, Some(&mut place[..len])).is_err());
    }
    for name in [&b":method"[..], b":path", b":authority", b":status"] {
        let _ = stored.store(name, Some(&mut place));
    }
}

fn check_head(head: &[u8]) -> Option<usize> {
    let Ok(Scan::Complete(len)) = HeadScan::new().scan(head) else { return None };
    let (head, rest) = head.split_at(len);
    if let Ok(Ok(stored)) = StoredHead::answer(head) {
        check_stored(&stored);
        assert!(stored.as_answer().is_some() && parse_answer_head(head).is_ok());
    }
    let request = parse_request_head(head).ok()?;
    check_stored(&StoredHead::request(head).expect("memory").expect("a good request"));
    assert!(request.upgrade().is_err() || (request.is_upgrade() && request.body.is_empty()));

    let whole = skip(Skip::new(request.body)?, rest, 0);
    for seed in 1..4 {
        assert_eq!(skip(Skip::new(request.body)?, rest, seed), whole);
    }
    whole
}

fn skip(mut skip: Skip, bytes: &[u8], seed: u8) -> Option<usize> {
    let mut at = 0;
    for piece in libdill_fuzz::pieces(bytes, seed) {
        match skip.feed(piece).ok()? {
            Skipped::Complete(len) => return Some(at + len),
            Skipped::Incomplete { at_least } => assert!(at_least > 0),
        }
        at += piece.len();
    }
    None
}

/// Whatever the program wants to be sent, what gets out is what was meant.
fn check_sent(text: &[u8]) {
    let Ok(header) = Header::new(text) else { return };
    let headers = [header];
    let request = ClientRequest { headers: &headers, ..ClientRequest::new(b"/", b"host", KEY) };
    if let Ok(bytes) = request.to_bytes() {
        let parsed = parse_request_head(&bytes).expect("a good request");
        assert!(parsed.upgrade().is_ok());
        let last = parsed.fields.iter().last().expect("fields");
        assert_eq!((last.name, last.value), (header.name(), header.value()));
        assert!((5..=6).contains(&parsed.fields.iter().count()));
    }
    let reply =
        Reply { status: 200, headers: &headers, len: 3, close: false }.to_bytes().expect("a good reply");
    assert_eq!(parse_answer_head(&reply).expect("a good answer").fields.iter().count(), 2);
}

fuzz_target!(|data: &[u8]| {
    check_lines(data);
    check_sent(data);
    let mut rest = data;
    while let Some(len) = check_head(rest) {
        rest = &rest[len..];
        if len == 0 {
            break;
        }
    }
});
