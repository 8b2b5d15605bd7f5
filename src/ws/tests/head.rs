//! Good heads of both sides, to be changed by the tests.

use crate::ws::handshake::{HeadScan, Scan, check_response, parse_request};

/// RFC 6455, 1.3.
pub(super) const KEY: &[u8; 24] = b"dGhlIHNhbXBsZSBub25jZQ==";
pub(super) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A head as its lines, without the empty one.
#[derive(Clone)]
pub(super) struct Head(pub Vec<String>);

impl Head {
    pub(super) fn good_request() -> Head {
        Head::of(&[
            "GET /chat?room=1 HTTP/1.1",
            "Host: server.example.com",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Origin: http://example.com",
            "Sec-WebSocket-Protocol: chat, superchat",
            "Sec-WebSocket-Version: 13",
        ])
    }

    pub(super) fn good_answer() -> Head {
        Head::of(&[
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "Server: example",
        ])
    }

    pub(super) fn of(lines: &[&str]) -> Head {
        Head(lines.iter().map(|line| line.to_string()).collect())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        (self.0.join("\r\n") + "\r\n\r\n").into_bytes()
    }

    pub(super) fn with(&self, change: impl FnOnce(&mut Vec<String>)) -> Head {
        let mut head = self.clone();
        change(&mut head.0);
        head
    }

    pub(super) fn start(&self, line: &str) -> Head {
        self.with(|lines| lines[0] = line.to_string())
    }

    /// With one more field.
    pub(super) fn plus(&self, field: &str) -> Head {
        self.with(|lines| lines.push(field.to_string()))
    }

    /// With another value of the field, which there is.
    pub(super) fn set(&self, name: &str, value: &str) -> Head {
        let index = self.find(name);
        self.with(|lines| lines[index] = format!("{name}: {value}"))
    }

    pub(super) fn without(&self, name: &str) -> Head {
        let index = self.find(name);
        self.with(|lines| drop(lines.remove(index)))
    }

    pub(super) fn find(&self, name: &str) -> usize {
        let named = |line: &String| line.starts_with(&format!("{name}:"));
        self.0.iter().position(named).expect("a field of the head")
    }

    pub(super) fn fields(&self) -> std::ops::Range<usize> {
        1..self.0.len()
    }

    /// The name and value of a field.
    pub(super) fn field(&self, index: usize) -> (&str, &str) {
        self.0[index].split_once(": ").expect("a field")
    }

    /// What the server says: its answer's status, or 101.
    pub(super) fn as_request(&self) -> u16 {
        let bytes = self.bytes();
        let whole = match HeadScan::new().scan(&bytes) {
            Ok(Scan::Complete(len)) => len,
            Ok(incomplete) => panic!("{incomplete:?}"),
            Err(refusal) => return refusal.status.expect("a status to answer with"),
        };
        match parse_request(&bytes[..whole]) {
            Ok(request) => {
                assert_eq!(request.key, KEY);
                101
            }
            Err(refusal) => refusal.status.expect("a status to answer with"),
        }
    }

    /// Whether the client accepts it.
    pub(super) fn as_answer(&self) -> bool {
        let bytes = self.bytes();
        match HeadScan::new().scan(&bytes) {
            Ok(Scan::Complete(len)) => check_response(&bytes[..len], KEY).is_ok(),
            Ok(incomplete) => panic!("{incomplete:?}"),
            Err(_) => false,
        }
    }
}
