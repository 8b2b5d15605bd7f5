//! The client's request: made, and judged by the server.

#![forbid(unsafe_code)]

use super::head::{Lines, is_token};
use super::key::{KEY_LEN, is_valid_key};
use super::{Malformed, Refusal, Upgrade, once};

/// A resource or host that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidArgument;

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
