//! The client's request: made, and judged by the server.

#![forbid(unsafe_code)]

use super::body::Body;
use super::build::Builder;
use super::head::{Fields, Lines, ReadFields, store};
use super::header::{Header, single};
use super::key::{KEY_LEN, is_valid_key};
use super::{BuildError, Refusal, UpgradeFields, once, origin, subprotocol};
use crate::error::{Errno, Result};
use crate::http::grammar::{Malformed, Spaces, has_member, is_host, is_text, is_word, request_line};
use core::result::Result as CoreResult;

/// What a client asks for. `key` apart, all of it may come from the program: whatever could end a line or
/// a word early is refused.
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    /// The request target. Not empty, which the request line has no way to express (RFC 9112, 3.2).
    pub resource: &'a [u8],
    /// The host, with its port if that is not the default one. May be empty (RFC 9112, 3.2: if the
    /// authority is "missing or undefined"). A `Host` among the headers takes its place.
    pub host: &'a [u8],
    /// From [`super::encode_key`].
    pub key: &'a [u8; KEY_LEN],
    /// Where the page came from.
    pub origin: Option<&'a [u8]>,
    /// The value of `Authorization`. One among the headers takes its place.
    pub authorization: Option<&'a [u8]>,
    /// The preferred one first.
    pub subprotocols: &'a [&'a [u8]],
    /// The value of `Sec-WebSocket-Extensions`.
    pub extensions: Option<&'a [u8]>,
    /// The program's own.
    pub headers: &'a [Header<'a>],
}

impl<'a> ClientRequest<'a> {
    /// Asks for nothing but the resource.
    pub fn new(resource: &'a [u8], host: &'a [u8], key: &'a [u8; KEY_LEN]) -> ClientRequest<'a> {
        let (origin, authorization, extensions) = (None, None, None);
        ClientRequest {
            resource,
            host,
            key,
            origin,
            authorization,
            subprotocols: &[],
            extensions,
            headers: &[],
        }
    }

    /// The head, to be sent in one write.
    pub fn to_bytes(self) -> CoreResult<Vec<u8>, BuildError> {
        if !is_word(self.resource) {
            return Err(BuildError::Invalid("RFC 9112, 3.2: space or control character in the resource"));
        }
        if self.host.iter().any(u8::is_ascii_control) {
            return Err(BuildError::Invalid("RFC 9112, 3.2: control character in the host"));
        }
        if !self.authorization.is_none_or(is_text) || !self.extensions.is_none_or(is_text) {
            return Err(BuildError::Invalid("RFC 9110, 5.5: control character in a field"));
        }
        subprotocol::check(self.subprotocols)?;
        self.origin.map_or(Ok(()), origin::check_sent)?;
        if single(self.headers, "Origin")?.is_some() && self.origin.is_some() {
            return Err(BuildError::Invalid("RFC 6454, 7.3: two origins"));
        }
        let host = single(self.headers, "Host")?;
        let authorization = single(self.headers, "Authorization")?.map_or(self.authorization, |_| None);

        // RFC 6455, 4.1.
        let mut head = Builder::new(&[b"GET ", self.resource, b" HTTP/1.1"])?;
        if host.is_none() {
            head.line(&[b"Host: ", self.host])?;
        }
        head.line(&[b"Upgrade: websocket"])?;
        head.line(&[b"Connection: Upgrade"])?;
        head.line(&[b"Sec-WebSocket-Key: ", self.key])?;
        head.line(&[b"Sec-WebSocket-Version: 13"])?;
        head.optional(b"Origin", self.origin)?;
        head.list(b"Sec-WebSocket-Protocol", self.subprotocols)?;
        head.optional(b"Sec-WebSocket-Extensions", self.extensions)?;
        head.optional(b"Authorization", authorization)?;
        head.headers(self.headers)?;
        head.finish()
    }
}

/// The head of a request for the resource, to be sent in one write.
#[cfg(any(test, feature = "fuzzing"))]
pub fn request(resource: &[u8], host: &[u8], key: &[u8; KEY_LEN]) -> CoreResult<Vec<u8>, BuildError> {
    ClientRequest::new(resource, host, key).to_bytes()
}

/// What a good request for a WebSocket asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The resource name (RFC 6455, 3): not empty, free of spaces and control characters.
    pub resource: &'a [u8],
    /// The host with its port, if it names one; may be empty. Free of control characters but HTAB.
    pub host: &'a [u8],
    /// To be answered by [`super::response`].
    pub key: &'a [u8],
}

/// Judges the head of a request for a WebSocket, the empty line included (RFC 6455, 4.2.1).
pub fn parse_request(head: &[u8]) -> CoreResult<Request<'_>, Refusal> {
    let request = parse_request_head(head)?;
    let upgrade = request.upgrade()?;
    Ok(Request { resource: request.resource, host: request.host.unwrap_or_default(), key: upgrade.key })
}

/// A well-formed request of HTTP/1, read where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// A token, with its case.
    pub method: &'a [u8],
    /// The path and the query; or whatever else the target is.
    pub resource: &'a [u8],
    /// The host with its port, if it names one; may be empty. `None` in HTTP/1.0 only.
    pub host: Option<&'a [u8]>,
    /// The x of HTTP/1.x.
    pub minor: u8,
    /// What follows the head.
    pub body: Body,
    /// All fields.
    pub fields: Fields<'a>,
}

/// What a request for a WebSocket has besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade<'a> {
    /// To be answered by [`super::Accept`].
    pub key: &'a [u8],
}

/// Judges the head of a request, the empty line included (RFC 9112). An empty line before it is
/// ignored (2.2).
pub fn parse_request_head(head: &[u8]) -> CoreResult<RequestHead<'_>, Refusal> {
    read_request_head(head, Fields::parse)
}

/// The same for a head that was judged before, and found good.
pub(super) fn judged_request_head(head: &[u8]) -> Option<RequestHead<'_>> {
    read_request_head(head, |lines| Ok(Fields::judged(lines.0))).ok()
}

fn read_request_head<'a>(
    head: &'a [u8],
    read_fields: ReadFields<'a>,
) -> CoreResult<RequestHead<'a>, Refusal> {
    let mut lines = Lines(head.strip_prefix(b"\r\n").unwrap_or(head));
    let line = request_line(lines.line()?, Spaces::Single)?;
    let (resource, authority) = split_target(line.target)?;
    let fields = read_fields(lines)?;

    let mut host = None;
    for value in fields.all("Host") {
        once(&mut host, value, "RFC 9112, 3.2: two hosts")?;
        if !is_host(value) {
            return Err(Malformed("RFC 9112, 3.2: malformed Host").into());
        }
    }
    if host.is_none() && line.minor > 0 {
        return Err(Malformed("RFC 9112, 3.2: no Host").into());
    }
    Ok(RequestHead {
        method: line.method,
        resource,
        // RFC 9112, 3.2.2: a server "MUST ignore the received Host header field (if any) and
        // instead replace it with the host information of the request-target".
        host: authority.or(host),
        minor: line.minor,
        body: Body::of_request(line.minor, fields)?,
        fields,
    })
}

impl<'a> RequestHead<'a> {
    /// Whether it asks for a WebSocket, be it in the right way or not.
    pub fn is_upgrade(&self) -> bool {
        // RFC 9110, 7.8: "A server MUST ignore an Upgrade header field that is received in an
        // HTTP/1.0 request".
        self.minor > 0 && self.fields.all("Upgrade").any(|value| has_member(value, b"websocket"))
    }

    /// Judges it as a request for a WebSocket (RFC 6455, 4.2.1).
    pub fn upgrade(&self) -> CoreResult<Upgrade<'a>, Refusal> {
        // A higher 1.x is read as 1.1 (RFC 9110, 2.5).
        if self.minor == 0 {
            return Err(Malformed("RFC 6455, 4.2.1: not HTTP/1.1").into());
        }
        // RFC 9110, 9.1: "The method token is case-sensitive".
        if self.method != b"GET" {
            return Err(Refusal::with(405, "RFC 6455, 4.2.1: the method is not GET"));
        }
        // RFC 9110, 7.8: a request is received whole before the protocol changes. Here its body would
        // be taken for frames.
        if !self.body.is_empty() {
            return Err(Malformed("RFC 9110, 7.8: request with a body").into());
        }
        let mut upgrade = UpgradeFields::default();
        let (mut key, mut version) = (None, None);
        for field in self.fields.iter() {
            if field.is("Sec-WebSocket-Key") {
                once(&mut key, field.value, "RFC 6455, 11.3.1: two keys")?;
            } else if field.is("Sec-WebSocket-Version") {
                once(&mut version, field.value, "RFC 6455, 11.3.5: two versions")?;
            } else {
                upgrade.see(&field);
            }
        }
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
        Ok(Upgrade { key })
    }

    /// Whether another request may follow on the same connection once this one, body included, has been
    /// received and answered (RFC 9112, 9.3). One of HTTP/1.0 ends it, even if it asks for more.
    pub fn is_persistent(&self) -> bool {
        self.minor > 0 && !self.fields.all("Connection").any(|value| has_member(value, b"close"))
    }

    /// Stores as a string what `:method`, `:path`, `:authority` or a field says, see [`Fields::store`].
    pub fn store(&self, name: &[u8], place: Option<&mut [u8]>) -> Result<usize> {
        let part = if name.eq_ignore_ascii_case(b":method") {
            self.method
        } else if name.eq_ignore_ascii_case(b":path") {
            self.resource
        } else if name.eq_ignore_ascii_case(b":authority") {
            self.host.ok_or(Errno::ENOENT)?
        } else {
            return self.fields.store(name, place);
        };
        store([part].into_iter(), place)
    }
}

/// The resource, and the host if it stands in the target.
///
/// RFC 6455, 4.2.1: the target is the resource name, "or an absolute HTTP/HTTPS URI containing"
/// it. A target that is neither a path nor such a URI is not for us to judge: the program that
/// serves resources compares names.
fn split_target(target: &[u8]) -> CoreResult<(&[u8], Option<&[u8]>), Malformed> {
    let Some(rest) = strip_scheme(target, b"http://").or(strip_scheme(target, b"https://")) else {
        return Ok((target, None));
    };
    let end = rest.iter().position(|byte| b"/?#".contains(byte));
    let (authority, resource) = rest.split_at(end.unwrap_or(rest.len()));
    // RFC 9110, 4.2.1 and 4.2.4: an empty host and user names are errors.
    if authority.is_empty() || !is_host(authority) {
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
