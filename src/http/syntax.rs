//! What `http_*` sends, and what it makes of the lines that it receives, with the grammar of
//! [`super::grammar`]. No I/O.
//!
//! As libdill, it takes start lines with more spaces than one between their words, and fields whose names
//! are no tokens, but nothing that two recipients could read in two ways.

#![forbid(unsafe_code)]

use super::grammar::{self, Malformed, Spaces, is_text, is_token, is_word, trim};
use crate::error::{Errno, Result};

/// The longest line, in bytes and without its CRLF: as long as a whole head may be in the opening
/// handshake.
pub(crate) const MAX_LINE: usize = 64 * 1024;

impl From<Malformed> for Errno {
    fn from(_: Malformed) -> Errno {
        Errno::EPROTO
    }
}

fn check(good: bool) -> Result<()> {
    if good { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Whether a method or a resource can be sent. EINVAL.
pub(crate) fn check_word(word: &[u8]) -> Result<()> {
    check(is_word(word))
}

/// Whether the name of a field can be sent. EINVAL.
pub(crate) fn check_name(name: &[u8]) -> Result<()> {
    check(is_token(name))
}

/// Whether a reason or a value can be sent: RFC 9110, 5.5 has a recipient take a CR or a LF for the
/// end of the line. EINVAL.
pub(crate) fn check_text(text: &[u8]) -> Result<()> {
    check(is_text(text))
}

/// The value of a field as it is sent: without the spaces around it. EINVAL; EPROTO if nothing is
/// left.
pub(crate) fn value_to_send(mut value: &[u8]) -> Result<&[u8]> {
    check_text(value)?;
    if trim(value).is_empty() {
        return Err(Errno::EPROTO);
    }
    while let [b' ', rest @ ..] | [rest @ .., b' '] = value {
        value = rest;
    }
    Ok(value)
}

/// The digits of a status. EINVAL unless it is 100 to 599.
pub(crate) fn status_digits(status: i32) -> Result<[u8; 3]> {
    match u16::try_from(status) {
        Ok(status @ 100..=599) => {
            Ok([status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8))
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Copies a part of a line into the caller's buffer, with a NUL behind it. EMSGSIZE.
fn store(part: &[u8], place: &mut [u8]) -> Result<()> {
    *place.get_mut(part.len()).ok_or(Errno::EMSGSIZE)? = 0;
    place[..part.len()].copy_from_slice(part);
    Ok(())
}

/// HTTP/1.0 and HTTP/1.1. EPROTO.
fn check_version(minor: u8) -> Result<()> {
    if minor <= 1 { Ok(()) } else { Err(Errno::EPROTO) }
}

/// Takes a request line apart. EPROTO; EMSGSIZE if a part does not fit, and then the parts before it
/// are stored.
pub(crate) fn parse_request(line: &[u8], command: &mut [u8], resource: &mut [u8]) -> Result<()> {
    let line = grammar::request_line(line, Spaces::Any)?;
    check_version(line.minor)?;
    store(line.method, command)?;
    store(line.target, resource)
}

/// Takes a status line apart and returns the status. As above.
pub(crate) fn parse_status(line: &[u8], reason: &mut [u8]) -> Result<i32> {
    let line = grammar::status_line(line, Spaces::Any)?;
    check_version(line.minor)?;
    if !(100..=599).contains(&line.status) {
        return Err(Errno::EPROTO);
    }
    store(line.reason, reason)?;
    Ok(line.status.into())
}

/// Takes a field apart. As above.
pub(crate) fn parse_field(line: &[u8], name: &mut [u8], value: &mut [u8]) -> Result<()> {
    let field = grammar::field_line(line)?;
    store(field.name, name)?;
    store(field.value, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(buf: &[u8]) -> &str {
        let end = buf.iter().position(|&byte| byte == 0).unwrap();
        core::str::from_utf8(&buf[..end]).unwrap()
    }

    fn request(line: &str) -> Result<(String, String)> {
        let (mut command, mut resource) = ([0xff; 32], [0xff; 32]);
        parse_request(line.as_bytes(), &mut command, &mut resource)?;
        Ok((text(&command).into(), text(&resource).into()))
    }

    fn status(line: &str) -> Result<(i32, String)> {
        let mut reason = [0xff; 32];
        let status = parse_status(line.as_bytes(), &mut reason)?;
        Ok((status, text(&reason).into()))
    }

    fn field(line: &str) -> Result<(String, String)> {
        let (mut name, mut value) = ([0xff; 32], [0xff; 32]);
        parse_field(line.as_bytes(), &mut name, &mut value)?;
        Ok((text(&name).into(), text(&value).into()))
    }

    fn pair(a: &str, b: &str) -> Result<(String, String)> {
        Ok((a.into(), b.into()))
    }

    #[test]
    fn a_request_is_command_resource_and_protocol() {
        assert_eq!(request("GET / HTTP/1.1"), pair("GET", "/"));
        assert_eq!(request("get /a?b=c HTTP/1.0"), pair("get", "/a?b=c"));
        assert_eq!(request("  GET   /   HTTP/1.1  "), pair("GET", "/"));
        for bad in
            ["", " ", "GET", "GET ", "GET /", "GET / ", "GET / HTTP/1.1 x", "/ HTTP/1.1", "GET\t/ HTTP/1.1"]
        {
            assert_eq!(request(bad), Err(Errno::EPROTO), "{bad}");
        }
    }

    #[test]
    fn only_http_1_0_and_1_1_are_accepted() {
        for bad in ["HTTP/2", "HTTP/1.2", "ABCDEFGH", "HTTP/1.1xyz", "http/1.1", "HTTP/1.10"] {
            assert_eq!(request(&format!("GET / {bad}")), Err(Errno::EPROTO), "{bad}");
            assert_eq!(status(&format!("{bad} 200 OK")), Err(Errno::EPROTO), "{bad}");
        }
    }

    #[test]
    fn a_status_may_lack_its_reason() {
        assert_eq!(status("HTTP/1.1 200 OK"), Ok((200, "OK".into())));
        assert_eq!(status("HTTP/1.0 404 Not  Found "), Ok((404, "Not  Found ".into())));
        assert_eq!(status("  HTTP/1.1   599   x"), Ok((599, "x".into())));
        assert_eq!(status("HTTP/1.1 200"), Ok((200, String::new())));
        assert_eq!(status("HTTP/1.1 200 "), Ok((200, String::new())));
    }

    #[test]
    fn a_status_has_three_digits_and_is_100_to_599() {
        for bad in ["000", "099", "600", "999", "20", "2000", "2x0", "+20", "-20", ""] {
            assert_eq!(status(&format!("HTTP/1.1 {bad} x")), Err(Errno::EPROTO), "{bad}");
        }
        assert_eq!(status("HTTP/1.1"), Err(Errno::EPROTO));
    }

    #[test]
    fn values_are_stripped_of_white_space_at_both_ends() {
        assert_eq!(field("Name: value"), pair("Name", "value"));
        assert_eq!(field("Name:\t  a b:c\t \t"), pair("Name", "a b:c"));
        assert_eq!(field("Name:"), pair("Name", ""));
        assert_eq!(field("Name: \t "), pair("Name", ""));
        assert_eq!(field(":x"), pair("", "x"));
        assert_eq!(field("a:a\tb"), pair("a", "a\tb"));
    }

    #[test]
    fn white_space_before_the_colon_is_an_error() {
        for bad in ["a : b", "a\t: b", "a b: c", " folded", " folded: x", "\tfolded: x", "none", ""] {
            assert_eq!(field(bad), Err(Errno::EPROTO), "{bad:?}");
        }
    }

    #[test]
    fn stray_ends_of_lines_and_nuls_are_errors() {
        for bad in ["\r", "\n", "\0"] {
            assert_eq!(field(&format!("a: b{bad}c")), Err(Errno::EPROTO));
            assert_eq!(field(&format!("a{bad}: b")), Err(Errno::EPROTO));
            assert_eq!(status(&format!("HTTP/1.1 200 O{bad}K")), Err(Errno::EPROTO));
            assert_eq!(request(&format!("GET /{bad} HTTP/1.1")), Err(Errno::EPROTO));
        }
    }

    #[test]
    fn a_part_needs_room_for_its_nul() {
        let (mut name, mut value) = ([1; 4], [1; 4]);
        assert_eq!(parse_field(b"abc: def", &mut name, &mut value), Ok(()));
        assert_eq!((&name, &value), (b"abc\0", b"def\0"));
        assert_eq!(parse_field(b"abc: defg", &mut name, &mut value), Err(Errno::EMSGSIZE));
        assert_eq!(parse_field(b"abcd: x", &mut name, &mut value), Err(Errno::EMSGSIZE));
        assert_eq!(parse_field(b"a: x", &mut [], &mut value), Err(Errno::EMSGSIZE));
        assert_eq!(parse_field(b"a: ", &mut name, &mut []), Err(Errno::EMSGSIZE));
        assert_eq!(parse_request(b"GET / HTTP/1.1", &mut name[..2], &mut value), Err(Errno::EMSGSIZE));
    }

    #[test]
    fn nothing_that_could_end_a_line_is_sent() {
        for bad in ["a\r", "a\n", "a\r\nb: c", "\0", "a\x07", "a\x7f"] {
            assert_eq!(check_text(bad.as_bytes()), Err(Errno::EINVAL));
            assert_eq!(check_name(bad.as_bytes()), Err(Errno::EINVAL));
            assert_eq!(check_word(bad.as_bytes()), Err(Errno::EINVAL));
            assert_eq!(value_to_send(bad.as_bytes()), Err(Errno::EINVAL));
        }
        assert_eq!(check_text(b"\tOK fine: \xff"), Ok(()));
        for bad in ["", "a b", "a\tb"] {
            assert_eq!(check_word(bad.as_bytes()), Err(Errno::EINVAL));
            assert_eq!(check_name(bad.as_bytes()), Err(Errno::EINVAL));
        }
        for separator in b"(),/:;<=>?@[\\]{}\" \xfc" {
            assert_eq!(check_name(&[b'a', *separator]), Err(Errno::EINVAL));
        }
        assert_eq!(check_name(b"Sec-WebSocket-Key"), Ok(()));
    }

    #[test]
    fn a_value_is_sent_without_the_spaces_around_it() {
        assert_eq!(value_to_send(b"  a b  "), Ok(&b"a b"[..]));
        assert_eq!(value_to_send(b" \ta\t "), Ok(&b"\ta\t"[..]));
        for empty in ["", " ", "    ", " \t "] {
            assert_eq!(value_to_send(empty.as_bytes()), Err(Errno::EPROTO));
        }
    }

    #[test]
    fn digits_of_a_status() {
        assert_eq!(status_digits(100), Ok(*b"100"));
        assert_eq!(status_digits(404), Ok(*b"404"));
        assert_eq!(status_digits(599), Ok(*b"599"));
        for bad in [i32::MIN, -1, 0, 99, 600, 65536 + 200, i32::MAX] {
            assert_eq!(status_digits(bad), Err(Errno::EINVAL));
        }
    }
}
