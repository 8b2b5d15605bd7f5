//! The server's answer: made, and judged by the client.

#![forbid(unsafe_code)]

use super::build::Builder;
use super::head::{Fields, Lines, ReadFields, store};
use super::header::Header;
use super::key::{KEY_LEN, accept_key};
use super::{BuildError, Refusal, UpgradeFields, once, subprotocol};
use crate::error::Result;
use crate::http::grammar::{Malformed, Spaces, is_text, is_token, status_line};
use core::result::Result as CoreResult;

/// How many interim answers (RFC 9110, 15.2) a client passes over: more than any server has a use for.
pub const MAX_INTERIM: u32 = 16;

/// The answer that makes a WebSocket of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Accept<'a> {
    /// Of the request.
    pub key: &'a [u8],
    /// One of those that the client offered, see [`subprotocol::choose`].
    pub subprotocol: Option<&'a [u8]>,
    /// The value of `Sec-WebSocket-Extensions`.
    pub extensions: Option<&'a [u8]>,
    /// The program's own.
    pub headers: &'a [Header<'a>],
}

impl<'a> Accept<'a> {
    /// With nothing negotiated.
    pub fn new(key: &'a [u8]) -> Accept<'a> {
        Accept { key, subprotocol: None, extensions: None, headers: &[] }
    }

    /// The head, to be sent in one write.
    pub fn to_bytes(self) -> CoreResult<Vec<u8>, BuildError> {
        if !self.subprotocol.is_none_or(is_token) {
            return Err(BuildError::Invalid("RFC 6455, 4.1: a subprotocol that is no token"));
        }
        if !self.extensions.is_none_or(is_text) {
            return Err(BuildError::Invalid("RFC 9110, 5.5: control character in a field"));
        }
        // RFC 6455, 4.2.2.
        let mut head = Builder::new(&[b"HTTP/1.1 101 Switching Protocols"])?;
        head.line(&[b"Upgrade: websocket"])?;
        head.line(&[b"Connection: Upgrade"])?;
        head.line(&[b"Sec-WebSocket-Accept: ", &accept_key(self.key)])?;
        head.optional(b"Sec-WebSocket-Protocol", self.subprotocol)?;
        head.optional(b"Sec-WebSocket-Extensions", self.extensions)?;
        head.headers(self.headers)?;
        head.finish()
    }
}

/// The head of the answer to a good request, to be sent in one write.
pub fn response(key: &[u8]) -> CoreResult<Vec<u8>, BuildError> {
    Accept::new(key).to_bytes()
}

/// Any other answer, with the length of its body.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// 200 to 599.
    pub status: u16,
    /// The program's own.
    pub headers: &'a [Header<'a>],
    /// The length of the body.
    pub len: usize,
    /// The connection ends with it.
    pub close: bool,
}

impl Reply<'_> {
    /// Whether the body follows the head: not in an answer to HEAD (RFC 9110, 9.3.2).
    pub fn has_body(&self, method: &[u8]) -> bool {
        self.len > 0 && method != b"HEAD"
    }

    /// The head, to be sent in one write with the body.
    pub fn to_bytes(self) -> CoreResult<Vec<u8>, BuildError> {
        if !(200..=599).contains(&self.status) {
            return Err(BuildError::Invalid("RFC 9110, 15: a status that is not 200 to 599"));
        }
        // RFC 9112, 6.3: these end with the empty line, whatever their fields say.
        let bodyless = matches!(self.status, 204 | 304);
        if bodyless && self.len > 0 {
            return Err(BuildError::Invalid("RFC 9110, 15: a body with a status that has none"));
        }
        let status =
            [self.status / 100, self.status / 10 % 10, self.status % 10].map(|digit| b'0' + digit as u8);
        let mut head = Builder::new(&[b"HTTP/1.1 ", &status, b" ", reason(self.status).as_bytes()])?;
        // RFC 9110, 8.6: "A server MUST NOT send a Content-Length header field" with 204, and with
        // 304 only that of the body which 200 would have.
        if !bodyless {
            head.line(&[b"Content-Length: ", decimal(self.len, &mut [0; 20])])?;
        }
        // RFC 9110, 15.5.22: "The server MUST send an Upgrade header field", which Connection must
        // name (7.8). RFC 6455, 4.4: with the version that we know.
        let upgrade = self.status == 426;
        if upgrade {
            head.line(&[b"Upgrade: websocket"])?;
            head.line(&[b"Sec-WebSocket-Version: 13"])?;
        }
        match (upgrade, self.close) {
            (true, true) => head.line(&[b"Connection: close, Upgrade"])?,
            (true, false) => head.line(&[b"Connection: Upgrade"])?,
            (false, true) => head.line(&[b"Connection: close"])?,
            (false, false) => {}
        }
        head.headers(self.headers)?;
        head.finish()
    }
}

/// The number in digits.
fn decimal(mut number: usize, room: &mut [u8; 20]) -> &[u8] {
    let mut start = room.len();
    loop {
        start -= 1;
        room[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &room[start..];
        }
    }
}

/// What the status says to a person (RFC 9110, 15); empty for those that are not from there.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// The whole answer to a request that was refused with the status; 400 stands in for a status that
/// no refusal has.
pub fn refusal_response(status: u16) -> &'static [u8] {
    match status {
        403 => {
            b"HTTP/1.1 403 Forbidden\r\n\
              Content-Length: 0\r\nConnection: close\r\n\r\n"
        }
        // RFC 9110, 15.5.6: "The origin server MUST generate an Allow header field".
        405 => {
            b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n\
              Content-Length: 0\r\nConnection: close\r\n\r\n"
        }
        414 => {
            b"HTTP/1.1 414 URI Too Long\r\n\
              Content-Length: 0\r\nConnection: close\r\n\r\n"
        }
        // As in `Reply`.
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

/// A well-formed answer of HTTP/1, read where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerHead<'a> {
    /// The x of HTTP/1.x.
    pub minor: u8,
    /// 0 to 999.
    pub status: u16,
    /// Its digits.
    status_text: &'a [u8],
    /// May be empty.
    pub reason: &'a [u8],
    /// All fields.
    pub fields: Fields<'a>,
}

/// What the client has offered, which the answer must be one to.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// Of the request.
    pub key: &'a [u8; KEY_LEN],
    /// As in the request.
    pub subprotocols: &'a [&'a [u8]],
    /// Whether there were any. What the answer says about them is for those to judge who know them.
    pub extensions: bool,
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// One of those that were offered.
    pub subprotocol: Option<&'a [u8]>,
}

/// Judges the head of an answer, the empty line included (RFC 9112).
pub fn parse_answer_head(head: &[u8]) -> CoreResult<AnswerHead<'_>, Refusal> {
    read_answer_head(head, Fields::parse)
}

/// The same for a head that was judged before, and found good.
pub(super) fn judged_answer_head(head: &[u8]) -> Option<AnswerHead<'_>> {
    read_answer_head(head, |lines| Ok(Fields::judged(lines.0))).ok()
}

fn read_answer_head<'a>(head: &'a [u8], read_fields: ReadFields<'a>) -> CoreResult<AnswerHead<'a>, Refusal> {
    let mut lines = Lines(head);
    let line = lines.line().and_then(|line| status_line(line, Spaces::Single));
    let line = line.map_err(|Malformed(rule)| Refusal { rule, status: None })?;
    let fields = read_fields(lines).map_err(|Malformed(rule)| Refusal::with(line.status, rule))?;
    let status_text = &head["HTTP/1.x ".len()..][..3];
    Ok(AnswerHead { minor: line.minor, status: line.status, status_text, reason: line.reason, fields })
}

impl<'a> AnswerHead<'a> {
    /// RFC 9110, 15.2: a client "MUST be able to parse one or more 1xx responses received prior to a
    /// final response"; 101 is the final one here. After [`MAX_INTERIM`] of them it may give up.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// Judges it as the answer to a request for a WebSocket (RFC 6455, 4.1).
    pub fn accept(&self, offered: &Offered<'_>) -> CoreResult<Accepted<'a>, Refusal> {
        self.check(offered).map_err(|Malformed(rule)| Refusal::with(self.status, rule))
    }

    fn check(&self, offered: &Offered<'_>) -> CoreResult<Accepted<'a>, Malformed> {
        if self.status != 101 {
            return Err(Malformed("RFC 6455, 4.1: the status is not 101"));
        }
        if self.minor == 0 {
            return Err(Malformed("RFC 9110, 15.2: 101 of HTTP/1.0"));
        }
        let mut upgrade = UpgradeFields::default();
        let mut accept = None;
        for field in self.fields.iter() {
            if field.is("Sec-WebSocket-Accept") {
                once(&mut accept, field.value, "RFC 6455, 11.3.3: two accept keys")?;
            } else if field.is("Sec-WebSocket-Extensions") && !field.value.is_empty() && !offered.extensions {
                return Err(Malformed("RFC 6455, 4.1: unasked-for extension"));
            } else {
                upgrade.see(&field);
            }
        }
        upgrade.check()?;
        match accept {
            Some(accept) if accept == accept_key(offered.key) => {}
            Some(_) => return Err(Malformed("RFC 6455, 4.1: accept key of another request")),
            None => return Err(Malformed("RFC 6455, 4.1: no Sec-WebSocket-Accept")),
        }
        Ok(Accepted { subprotocol: subprotocol::chosen(offered.subprotocols, self.fields)? })
    }

    /// Stores as a string what `:status` or a field says, see [`Fields::store`].
    pub fn store(&self, name: &[u8], place: Option<&mut [u8]>) -> Result<usize> {
        match name.eq_ignore_ascii_case(b":status") {
            true => store([self.status_text].into_iter(), place),
            false => self.fields.store(name, place),
        }
    }
}

/// Judges the head of the answer to the request that was sent with `key`, the empty line included
/// (RFC 6455, 4.1). Neither extensions nor subprotocols were asked for.
#[cfg(any(test, feature = "fuzzing"))]
pub fn check_response(head: &[u8], key: &[u8; KEY_LEN]) -> CoreResult<(), Refusal> {
    parse_answer_head(head)?.accept(&Offered { key, subprotocols: &[], extensions: false }).map(|_| ())
}
