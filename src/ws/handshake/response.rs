//! The server's answer: made, and judged by the client.

#![forbid(unsafe_code)]

use super::head::Lines;
use super::key::{KEY_LEN, accept_key};
use super::{Malformed, Refusal, Upgrade, once};

/// The head of the server's answer to a good request, to be sent in one write.
pub fn response(key: &[u8]) -> Vec<u8> {
    // RFC 6455, 4.2.2.
    [
        &b"HTTP/1.1 101 Switching Protocols\r\n\
           Upgrade: websocket\r\n\
           Connection: Upgrade\r\n\
           Sec-WebSocket-Accept: "[..],
        &accept_key(key),
        b"\r\n\r\n",
    ]
    .concat()
}

/// The whole answer to a request that was refused with the status; 400 stands in for a status that
/// no refusal has.
pub fn refusal_response(status: u16) -> &'static [u8] {
    match status {
        // RFC 9110, 15.5.6: "The origin server MUST generate an Allow header field".
        405 => {
            b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n\
              Content-Length: 0\r\nConnection: close\r\n\r\n"
        }
        414 => {
            b"HTTP/1.1 414 URI Too Long\r\n\
              Content-Length: 0\r\nConnection: close\r\n\r\n"
        }
        // RFC 6455, 4.4: with the version that we know. RFC 9110, 15.5.22: "The server MUST send
        // an Upgrade header field", which Connection must name (7.8).
        426 => {
            b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n\
              Content-Length: 0\r\nConnection: close, Upgrade\r\n\r\n"
        }
        431 => {
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n\
              Content-Length: 0\r\nConnection: close\r\n\r\n"
        }
        _ => {
            b"HTTP/1.1 400 Bad Request\r\n\
              Content-Length: 0\r\nConnection: close\r\n\r\n"
        }
    }
}

/// Judges the head of the answer to the request that was sent with `key`, the empty line included
/// (RFC 6455, 4.1). Neither extensions nor subprotocols were asked for.
pub fn check_response(head: &[u8], key: &[u8; KEY_LEN]) -> Result<(), Refusal> {
    let mut lines = Lines(head);
    let status =
        lines.line().and_then(response_status).map_err(|Malformed(rule)| Refusal { rule, status: None })?;
    check_answer(status, lines, key).map_err(|Malformed(rule)| Refusal::with(status, rule))
}

fn check_answer(status: u16, mut lines: Lines<'_>, key: &[u8; KEY_LEN]) -> Result<(), Malformed> {
    if status != 101 {
        return Err(Malformed("RFC 6455, 4.1: the status is not 101"));
    }
    let mut upgrade = Upgrade::default();
    let mut accept = None;
    while let Some(field) = lines.field()? {
        if field.is("Sec-WebSocket-Accept") {
            once(&mut accept, field.value, "RFC 6455, 11.3.3: two accept keys")?;
        } else if field.is("Sec-WebSocket-Extensions") && !field.value.is_empty() {
            return Err(Malformed("RFC 6455, 4.1: unasked-for extension"));
        } else if field.is("Sec-WebSocket-Protocol") && !field.value.is_empty() {
            return Err(Malformed("RFC 6455, 4.1: unasked-for subprotocol"));
        } else {
            upgrade.look_at(&field);
        }
    }
    upgrade.check()?;
    match accept {
        Some(accept) if accept == accept_key(key) => Ok(()),
        Some(_) => Err(Malformed("RFC 6455, 4.1: accept key of another request")),
        None => Err(Malformed("RFC 6455, 4.1: no Sec-WebSocket-Accept")),
    }
}

/// The status of the status line (RFC 9112, 4). The space after it, which announces a reason, is
/// not insisted on.
fn response_status(line: &[u8]) -> Result<u16, Malformed> {
    let rest = line.strip_prefix(b"HTTP/1.1 ").unwrap_or_default();
    match rest.split_at_checked(3) {
        Some((status, [] | [b' ', ..])) if status.iter().all(u8::is_ascii_digit) => {
            Ok(status.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0')))
        }
        _ => Err(Malformed("RFC 9112, 4: not an HTTP/1.1 status line")),
    }
}
