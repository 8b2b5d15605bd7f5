//! Who may come: the `Origin` of a browser's request (RFC 6455, 4.2.2 and 10.2; RFC 6454, 6.2) beside a
//! list of origins.

#![forbid(unsafe_code)]

use super::head::Fields;
use super::{BuildError, Refusal};

const MALFORMED: BuildError = BuildError::Invalid("RFC 6454, 7: malformed origin");

/// An origin: `https://example.org`, `http://localhost:8080`, or "null", as pages have it that are of
/// nowhere. In a list, `https://*.example.org` stands for all below `example.org`.
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    scheme: &'a [u8],
    host: &'a [u8],
    /// Not 0. `None`: the scheme has no default, and none was given.
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a [u8]) -> Option<Origin<'a>> {
        let end = text.windows(3).position(|bytes| bytes == b"://")?;
        let (scheme, authority) = (&text[..end], &text[end + 3..]);
        let (host, port) = match authority {
            // An address of IPv6 has colons of its own.
            [b'[', ..] => {
                let end = authority.iter().position(|&byte| byte == b']')? + 1;
                let address = core::str::from_utf8(&authority[1..end - 1]).ok()?;
                address.parse::<core::net::Ipv6Addr>().ok()?;
                (&authority[..end], &authority[end..])
            }
            _ => {
                authority.split_at(authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len()))
            }
        };
        let default = match scheme {
            scheme if scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss") => {
                Some(443)
            }
            scheme if scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"ws") => Some(80),
            _ => None,
        };
        let port = match port {
            [] => default,
            [b':', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                Some(core::str::from_utf8(digits).ok()?.parse().ok().filter(|&port| port > 0)?)
            }
            _ => return None,
        };
        let in_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        // Browsers send other names in letters of ASCII (RFC 6454, 6.2).
        let in_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._*".contains(byte);
        let good = scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(in_scheme)
            && !host.is_empty()
            && (host[0] == b'[' || host.iter().all(in_host));
        good.then_some(Origin { scheme, host, port })
    }

    /// Whether the other one is this one, or one of those that this one stands for.
    fn covers(&self, other: &Origin<'_>) -> bool {
        let host = match self.host.strip_prefix(b"*") {
            // At least one character before the dot.
            Some(parent) => match other.host.len().checked_sub(parent.len()) {
                Some(len @ 1..) => other.host[len..].eq_ignore_ascii_case(parent),
                _ => false,
            },
            None => other.host.eq_ignore_ascii_case(self.host),
        };
        host && other.scheme.eq_ignore_ascii_case(self.scheme) && other.port == self.port
    }
}

/// Whether a list is one of origins. An asterisk stands at the front of a host, a dot behind it.
pub fn check(list: &[&[u8]]) -> Result<(), BuildError> {
    for origin in list {
        if *origin == b"null" {
            continue;
        }
        let host = Origin::parse(origin).ok_or(MALFORMED)?.host;
        let fixed = host.strip_prefix(b"*.").unwrap_or(host);
        if fixed.is_empty() || fixed.contains(&b'*') {
            return Err(MALFORMED);
        }
    }
    Ok(())
}

/// Whether an origin is in the list. The scheme and the host are compared without case, and a default
/// port equals none.
pub fn is_listed(origin: &[u8], list: &[&[u8]]) -> bool {
    if origin == b"null" {
        return list.contains(&origin);
    }
    match Origin::parse(origin) {
        // An asterisk is no name of anybody's.
        Some(origin) if !origin.host.contains(&b'*') => {
            list.iter().filter_map(|listed| Origin::parse(listed)).any(|listed| listed.covers(&origin))
        }
        _ => false,
    }
}

/// Judges the origin of a request. A request without one does not come from a browser, and passes.
pub fn judge(request: Fields<'_>, list: &[&[u8]]) -> Result<(), Refusal> {
    let mut all = request.all("Origin");
    match (all.next(), all.next()) {
        (None, _) => Ok(()),
        (Some(_), Some(_)) => Err(Refusal::with(400, "RFC 6454, 7.3: two origins")),
        (Some(origin), None) if is_listed(origin, list) => Ok(()),
        _ => Err(Refusal::with(403, "RFC 6455, 4.2.2: the origin is not in the list")),
    }
}

/// Whether a client can send this as its origin.
pub(super) fn check_sent(origin: &[u8]) -> Result<(), BuildError> {
    let is_one = |origin: Origin<'_>| !origin.host.contains(&b'*');
    if origin == b"null" || Origin::parse(origin).is_some_and(is_one) { Ok(()) } else { Err(MALFORMED) }
}
