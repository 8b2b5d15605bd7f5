//! Who is meant: `user:password@host:port` (RFC 3986, 3.2). No I/O.

#![forbid(unsafe_code)]

use crate::memory::try_extend;
use crate::ws::handshake::BuildError;
use base64::engine::general_purpose::STANDARD;
use base64::{Engine, encoded_len};
use core::net::Ipv6Addr;

/// The parts of an authority, where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// Percent-encoded.
    pub userinfo: Option<&'a [u8]>,
    /// A name, or an address without brackets; only that of IPv6 has colons. Not empty.
    pub host: &'a [u8],
    /// Not 0.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Takes an authority apart. Stricter than the RFC where a name of DNS is stricter: a host is made of
    /// letters, digits, `-`, `.` and `_`.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Authority<'a>, BuildError> {
        let mut parts = text.rsplit(|&byte| byte == b'@');
        let (place, userinfo) = (parts.next().unwrap_or_default(), parts.next());
        if parts.next().is_some() {
            return Err(BuildError::Invalid("RFC 3986, 3.2.1: two @ in the authority"));
        }
        userinfo.map_or(Ok(()), check_percent)?;
        let (host, port) = match place {
            [b'[', rest @ ..] => {
                let end = rest.iter().position(|&byte| byte == b']');
                let (host, port) = rest.split_at(end.ok_or(MALFORMED_HOST)?);
                let address = core::str::from_utf8(host).map_err(|_| MALFORMED_HOST)?;
                address.parse::<Ipv6Addr>().map_err(|_| MALFORMED_HOST)?;
                (host, &port[1..])
            }
            _ => {
                let end = place.iter().position(|&byte| byte == b':').unwrap_or(place.len());
                let (host, port) = place.split_at(end);
                let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
                if host.is_empty() || !host.iter().all(in_name) {
                    return Err(MALFORMED_HOST);
                }
                (host, port)
            }
        };
        Ok(Authority { userinfo, host, port: parse_port(port)? })
    }
}

const MALFORMED_HOST: BuildError = BuildError::Invalid("RFC 3986, 3.2.2: malformed host");

/// What stands behind the host: nothing, a colon, or a colon and a number.
fn parse_port(text: &[u8]) -> Result<Option<u16>, BuildError> {
    const MALFORMED: BuildError = BuildError::Invalid("RFC 3986, 3.2.3: malformed port");
    match text {
        [] | [b':'] => Ok(None),
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            let digits = core::str::from_utf8(digits).map_err(|_| MALFORMED)?;
            digits.parse().ok().filter(|&port| port > 0).map(Some).ok_or(MALFORMED)
        }
        _ => Err(MALFORMED),
    }
}

/// A host as it stands in a URL or a `Host`: an address of IPv6 in brackets.
pub(crate) fn write_host(to: &mut Vec<u8>, host: &[u8]) -> Result<(), BuildError> {
    let parts: [&[u8]; 3] = if host.contains(&b':') { [b"[", host, b"]"] } else { [b"", host, b""] };
    parts.iter().try_for_each(|part| push(to, part))
}

/// A host, a colon and a port.
pub(crate) fn write_host_and_port(to: &mut Vec<u8>, host: &[u8], port: u16) -> Result<(), BuildError> {
    write_host(to, host)?;
    let digits = [10_000, 1000, 100, 10, 1].map(|unit| b'0' + (port / unit % 10) as u8);
    let zeros = digits.iter().take(4).take_while(|&&digit| digit == b'0').count();
    push(to, b":")?;
    push(to, &digits[zeros..])
}

/// Appends.
pub(crate) fn push(to: &mut Vec<u8>, bytes: &[u8]) -> Result<(), BuildError> {
    try_extend(to, bytes).map_err(|_| BuildError::NoMemory)
}

fn check_percent(text: &[u8]) -> Result<(), BuildError> {
    decode_each(text, |_| Ok(()))
}

/// A user name and a password.
pub(crate) type Login = (Vec<u8>, Vec<u8>);

/// User name and password: what stands before the first colon, and what behind it, decoded (RFC 3986, 2.1).
pub(crate) fn login(userinfo: &[u8]) -> Result<Login, BuildError> {
    let end = userinfo.iter().position(|&byte| byte == b':').unwrap_or(userinfo.len());
    let decode = |text: &[u8]| {
        let mut decoded = Vec::new();
        decode_each(text, |byte| push(&mut decoded, &[byte]))?;
        Ok(decoded)
    };
    Ok((decode(&userinfo[..end])?, decode(userinfo.get(end + 1..).unwrap_or_default())?))
}

fn decode_each(
    mut text: &[u8],
    mut emit: impl FnMut(u8) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    while let [first, rest @ ..] = text {
        let (byte, rest) = match (first, rest) {
            (b'%', [high, low, rest @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, rest),
                _ => return Err(MALFORMED_PERCENT),
            },
            (b'%', _) => return Err(MALFORMED_PERCENT),
            _ => (*first, rest),
        };
        emit(byte)?;
        text = rest;
    }
    Ok(())
}

const MALFORMED_PERCENT: BuildError = BuildError::Invalid("RFC 3986, 2.1: malformed percent-encoding");

/// The value of `Authorization` or `Proxy-Authorization` (RFC 7617).
pub(crate) fn basic(userinfo: &[u8]) -> Result<Vec<u8>, BuildError> {
    let (mut login, password) = login(userinfo)?;
    push(&mut login, b":")?;
    push(&mut login, &password)?;
    let mut value = Vec::new();
    push(&mut value, b"Basic ")?;
    let (start, len) = (value.len(), encoded_len(login.len(), true).ok_or(BuildError::NoMemory)?);
    value.try_reserve(len).map_err(|_| BuildError::NoMemory)?;
    value.resize(start + len, 0);
    STANDARD.encode_slice(&login, &mut value[start..]).map_err(|_| BuildError::NoMemory)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_has_a_host_and_perhaps_more() {
        for (text, userinfo, host, port) in [
            ("example.org", None, "example.org", None),
            ("a_b-c.example.org.:80", None, "a_b-c.example.org.", Some(80)),
            ("127.0.0.1:65535", None, "127.0.0.1", Some(65535)),
            ("[::1]", None, "::1", None),
            ("[fe80::1]:8080", None, "fe80::1", Some(8080)),
            ("a:", None, "a", None),
            ("a:0080", None, "a", Some(80)),
            ("me:secret@a:1", Some("me:secret"), "a", Some(1)),
            ("@a", Some(""), "a", None),
            ("me%40home:%3a@a", Some("me%40home:%3a"), "a", None),
        ] {
            let expected = Authority { userinfo: userinfo.map(str::as_bytes), host: host.as_bytes(), port };
            assert_eq!(Authority::parse(text.as_bytes()), Ok(expected), "{text}");
        }
        for text in [
            "",
            ":80",
            "a:0",
            "a:65536",
            "a:x",
            "a:-1",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[]",
            "[a]",
            "[::1%25eth0]",
            "a b",
            "a%62",
            "\u{fc}",
            "a,b",
            "a\\b",
            "a@b@c",
            "%@a",
            "%4@a",
            "%zz@a",
            "me@",
            "a/",
            "a?",
            "a#",
            "a\r\n",
            "a\0",
        ] {
            assert!(Authority::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_and_passwords_are_decoded() {
        let login = |text: &str| {
            login(text.as_bytes()).map(|(name, password)| [name, password].map(String::from_utf8))
        };
        let pair = |name: &str, password: &str| Ok([Ok(name.to_string()), Ok(password.to_string())]);
        assert_eq!(login("me:secret"), pair("me", "secret"));
        assert_eq!(login("me"), pair("me", ""));
        assert_eq!(login(""), pair("", ""));
        assert_eq!(login("m%65%3A:a:b%20"), pair("me:", "a:b "));
        assert_eq!(basic(b"Aladdin:open%20sesame"), Ok(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_vec()));
        assert_eq!(basic(b""), Ok(b"Basic Og==".to_vec()));
    }

    #[test]
    fn hosts_are_written_with_brackets_and_ports_without_zeros() {
        let write = |host: &str, port| {
            let mut text = Vec::new();
            write_host_and_port(&mut text, host.as_bytes(), port).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(write("a", 1), "a:1");
        assert_eq!(write("::1", 65535), "[::1]:65535");
        for port in 1..=u16::MAX {
            let text = write("a", port);
            assert_eq!(Authority::parse(text.as_bytes()).unwrap().port, Some(port));
            assert_eq!(text, format!("a:{port}"));
        }
    }
}
