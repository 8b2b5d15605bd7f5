//! The opening handshake (RFC 6455, 4) as bytes: heads to send, and heads to judge.
//!
//! The grammar is the strict one of RFC 9112: no folded lines, no space before a colon, no bare
//! CR or LF, no control characters. What passes here and is read differently by a proxy in front
//! of us is how requests get smuggled.
//!
//! Heads are read where they lie, line by line: nothing is allocated for the peer, and little
//! stack is used, since all this runs on coroutines.

#![forbid(unsafe_code)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The longest head, from its first byte to the end of the empty line.
pub const MAX_HEAD: usize = 64 * 1024;
/// The most header fields a head may have.
pub const MAX_FIELDS: usize = 128;
/// The length of `Sec-WebSocket-Key`: base64 of 16 bytes.
pub const KEY_LEN: usize = 24;
/// The length of `Sec-WebSocket-Accept`: base64 of a SHA-1 hash.
pub const ACCEPT_LEN: usize = 28;

/// RFC 6455, 1.3: what the key is hashed with.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a handshake fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule, for a person to read.
    pub rule: &'static str,
    /// Of a request, or of a head as such: the status to answer with, see [`refusal_response`]. Of
    /// an answer: the status that it had, if it was good enough to have one.
    pub status: Option<u16>,
}

impl Refusal {
    const fn with(status: u16, rule: &'static str) -> Refusal {
        Refusal { rule, status: Some(status) }
    }
}

/// A rule of HTTP or of the handshake that a head breaks, whichever side judges it.
struct Malformed(&'static str);

impl From<Malformed> for Refusal {
    fn from(Malformed(rule): Malformed) -> Refusal {
        Refusal::with(400, rule)
    }
}

/// A resource or host that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidArgument;

/// The key for 16 random bytes.
pub fn encode_key(nonce: [u8; 16]) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    let encoded = STANDARD.encode_slice(nonce, &mut key);
    debug_assert_eq!(encoded, Ok(KEY_LEN));
    key
}

/// Whether a key is the base64 of exactly 16 bytes (RFC 6455, 4.2.1).
///
/// The four bits that the last character has too many are not looked at (RFC 4648, 3.5): nobody
/// decodes a key, and other servers let them pass too.
pub fn is_valid_key(key: &[u8]) -> bool {
    match key.split_at_checked(KEY_LEN - 2) {
        Some((digits, padding)) => {
            padding == b"==" && digits.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        }
        None => false,
    }
}

/// The proof that a server has understood the key (RFC 6455, 4.2.2).
pub fn accept_key(key: &[u8]) -> [u8; ACCEPT_LEN] {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; ACCEPT_LEN];
    let encoded = STANDARD.encode_slice(hash, &mut accept);
    debug_assert_eq!(encoded, Ok(ACCEPT_LEN));
    accept
}

/// What [`HeadScan::scan`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// The head has so many bytes, the empty line included. What follows is not HTTP.
    Complete(usize),
    /// The head goes on.
    Incomplete {
        /// It has at least so many more bytes: a reader that must not take a byte too many can ask
        /// for these.
        at_least: usize,
    },
}

/// A search for the end of a head that arrives in pieces. Looks at every byte once.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    scanned: usize,
    fields: usize,
    /// How much of CR LF CR LF the scanned bytes end in.
    matched: u8,
}

impl HeadScan {
    /// A search that has seen nothing.
    pub fn new() -> HeadScan {
        HeadScan::default()
    }

    /// Goes on with all the bytes that have arrived so far: those of the last call and perhaps
    /// more. Fails as soon as no further byte could make a head of them.
    pub fn scan(&mut self, head: &[u8]) -> Result<Scan, Refusal> {
        for &byte in head.get(self.scanned..).unwrap_or_default() {
            self.matched = match (self.matched, byte) {
                (0 | 2, b'\r') => self.matched + 1,
                (1, b'\n') => 2,
                (3, b'\n') => return Ok(Scan::Complete(self.scanned + 1)),
                // RFC 9112, 2.2: a bare CR is invalid. A bare LF may be taken for the end of a
                // line, and whether it is differs between implementations: invalid too.
                (1 | 3, _) => return Err(Malformed("RFC 9112, 2.2: CR without LF").into()),
                (_, b'\n') => return Err(Malformed("RFC 9112, 2.2: LF without CR").into()),
                (_, 0) => return Err(Malformed("RFC 9110, 5.5: NUL in the head").into()),
                (2, _) => {
                    self.fields += 1;
                    if self.fields > MAX_FIELDS {
                        return Err(Refusal::with(431, "more than 128 header fields"));
                    }
                    0
                }
                _ => 0,
            };
            self.scanned += 1;
            if self.scanned + self.missing() > MAX_HEAD {
                return Err(Refusal::with(431, "head longer than 64 KiB"));
            }
        }
        Ok(Scan::Incomplete { at_least: self.missing() })
    }

    fn missing(&self) -> usize {
        4 - usize::from(self.matched)
    }
}

/// The head of a client's request, to be sent in one write.
///
/// Whatever could end a line or a word early is refused, and so is an empty resource, which the
/// request line has no way to express (RFC 9112, 3.2). Anything else goes out as it is; an empty
/// host is an empty field (RFC 9112, 3.2: if the authority is "missing or undefined").
pub fn request(resource: &[u8], host: &[u8], key: &[u8; KEY_LEN]) -> Result<Vec<u8>, InvalidArgument> {
    let is_graphic = |byte: &u8| !byte.is_ascii_control() && *byte != b' ';
    if resource.is_empty() || !resource.iter().all(is_graphic) {
        return Err(InvalidArgument);
    }
    if host.iter().any(u8::is_ascii_control) {
        return Err(InvalidArgument);
    }
    // RFC 6455, 4.1.
    Ok([
        b"GET ",
        resource,
        b" HTTP/1.1\r\nHost: ",
        host,
        b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ",
        key,
        b"\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ]
    .concat())
}

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

/// What a good request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The resource name (RFC 6455, 3): not empty, free of spaces and control characters.
    pub resource: &'a [u8],
    /// The host with its port, if it names one; may be empty. Free of control characters but HTAB.
    pub host: &'a [u8],
    /// To be answered by [`response`].
    pub key: &'a [u8],
}

/// Judges the head of a request, the empty line included (RFC 6455, 4.2.1).
pub fn parse_request(head: &[u8]) -> Result<Request<'_>, Refusal> {
    let mut lines = Lines(head);
    let target = request_target(lines.line()?)?;
    let (resource, authority) = split_target(target)?;

    let mut upgrade = Upgrade::default();
    let (mut host, mut key, mut version) = (None, None, None);
    while let Some(field) = lines.field()? {
        if field.is("Host") {
            once(&mut host, field.value, "RFC 9112, 3.2: two hosts")?;
        } else if field.is("Sec-WebSocket-Key") {
            once(&mut key, field.value, "RFC 6455, 11.3.1: two keys")?;
        } else if field.is("Sec-WebSocket-Version") {
            once(&mut version, field.value, "RFC 6455, 11.3.5: two versions")?;
        } else if field.is("Transfer-Encoding") || (field.is("Content-Length") && field.value != b"0") {
            // RFC 9110, 7.8: a request is received whole before the protocol changes. Here its
            // body would be taken for frames.
            return Err(Malformed("RFC 9110, 7.8: request with a body").into());
        } else {
            upgrade.look_at(&field);
        }
    }

    let host = host.ok_or(Malformed("RFC 9112, 3.2: no Host"))?;
    upgrade.check()?;
    match version {
        Some(b"13") => {}
        Some(_) => return Err(Refusal::with(426, "RFC 6455, 4.4: the version is not 13")),
        // Not a request of another version, but an incomplete one.
        None => return Err(Malformed("RFC 6455, 4.2.1: no Sec-WebSocket-Version").into()),
    }
    let key = key.ok_or(Malformed("RFC 6455, 4.2.1: no Sec-WebSocket-Key"))?;
    if !is_valid_key(key) {
        return Err(Malformed("RFC 6455, 4.2.1: the key is not base64 of 16 bytes").into());
    }
    Ok(Request {
        resource,
        // RFC 9112, 3.2.2: a server "MUST ignore the received Host header field (if any) and
        // instead replace it with the host information of the request-target".
        host: authority.unwrap_or(host),
        key,
    })
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

/// The target of the request line (RFC 9112, 3).
fn request_target(line: &[u8]) -> Result<&[u8], Refusal> {
    let malformed = Malformed("RFC 9112, 3: malformed request line");
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed.into());
    };
    if !is_token(method) || target.is_empty() || target.iter().any(u8::is_ascii_control) {
        return Err(malformed.into());
    }
    // RFC 6455, 4.2.1: "HTTP/1.1 or higher". A higher 1.x is read as 1.1 (RFC 9110, 2.5); what
    // speaks HTTP/2 does not come with a request line.
    match version.strip_prefix(b"HTTP/1.") {
        Some([b'1'..=b'9']) => {}
        _ => return Err(Malformed("RFC 6455, 4.2.1: not HTTP/1.1").into()),
    }
    // RFC 9110, 9.1: "The method token is case-sensitive".
    if method != b"GET" {
        return Err(Refusal::with(405, "RFC 6455, 4.2.1: the method is not GET"));
    }
    Ok(target)
}

/// The resource, and the host if it stands in the target.
///
/// RFC 6455, 4.2.1: the target is the resource name, "or an absolute HTTP/HTTPS URI containing"
/// it. A target that is neither a path nor such a URI is not for us to judge: the program that
/// serves resources compares names.
fn split_target(target: &[u8]) -> Result<(&[u8], Option<&[u8]>), Malformed> {
    let Some(rest) = strip_scheme(target, b"http://").or(strip_scheme(target, b"https://")) else {
        return Ok((target, None));
    };
    let end = rest.iter().position(|byte| b"/?#".contains(byte));
    let (authority, resource) = rest.split_at(end.unwrap_or(rest.len()));
    // RFC 9110, 4.2.1 and 4.2.4: an empty host and user names are errors.
    if authority.is_empty() || authority.contains(&b'@') {
        return Err(Malformed("RFC 9110, 4.2: malformed authority"));
    }
    match resource {
        // RFC 6455, 3: "/" if the path component is empty.
        [] => Ok((b"/", Some(authority))),
        [b'/', ..] => Ok((resource, Some(authority))),
        // A query right after the host: that "/" belongs between them is known to every client.
        _ => Err(Malformed("RFC 6455, 3: target without a path")),
    }
}

fn strip_scheme<'a>(target: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = target.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
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

/// The two fields that both heads have in common.
#[derive(Default)]
struct Upgrade {
    websocket: bool,
    connection: bool,
}

impl Upgrade {
    fn look_at(&mut self, field: &Field<'_>) {
        if field.is("Upgrade") {
            self.websocket |= has_token(field.value, b"websocket");
        } else if field.is("Connection") {
            self.connection |= has_token(field.value, b"upgrade");
        }
    }

    fn check(&self) -> Result<(), Malformed> {
        if !self.websocket {
            return Err(Malformed("RFC 6455, 4: no Upgrade to websocket"));
        }
        if !self.connection {
            return Err(Malformed("RFC 6455, 4: no upgrade in Connection"));
        }
        Ok(())
    }
}

/// Whether a comma-separated list has the member, in whatever case (RFC 9110, 5.6.1).
fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|member| member.trim_ascii().eq_ignore_ascii_case(token))
}

fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8], rule: &'static str) -> Result<(), Malformed> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed(rule)),
    }
}

/// What is left of a head.
struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    fn line(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.0.windows(2).position(|bytes| bytes == b"\r\n");
        let end = end.ok_or(Malformed("RFC 9112, 2.1: no empty line at the end"))?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 2..];
        Ok(line)
    }

    /// The next field (RFC 9112, 5), or `None` at the empty line.
    fn field(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        let line = self.line()?;
        if let [b' ' | b'\t', ..] = line {
            // RFC 9112, 5.2: to be refused, or else to be repaired before anybody looks at it.
            return Err(Malformed("RFC 9112, 5.2: folded line"));
        }
        if line.is_empty() {
            return Ok(None);
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (name, value) = line.split_at(colon.ok_or(Malformed("RFC 9112, 5: no colon"))?);
        if let [.., b' ' | b'\t'] = name {
            // RFC 9112, 5.1: "A server MUST reject" it with 400.
            return Err(Malformed("RFC 9112, 5.1: space before the colon"));
        }
        if !is_token(name) {
            return Err(Malformed("RFC 9110, 5.1: malformed field name"));
        }
        let value = &value[1..];
        if value.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(Malformed("RFC 9110, 5.5: control character in a field"));
        }
        let value = value.trim_ascii();
        Ok(Some(Field { name, value }))
    }
}

/// One header field, without the white space around its value.
struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl Field<'_> {
    /// RFC 9110, 5.1: names are case-insensitive.
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// RFC 9110, 5.6.2.
fn is_token(word: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !word.is_empty() && word.iter().all(is_tchar)
}
