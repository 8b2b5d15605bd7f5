//! The grammar of HTTP/1 heads (RFC 9110 and RFC 9112), one line at a time: no I/O, no allocation.
//! The opening handshake and `http_*` read heads with it.
//!
//! It is strict where recipients differ, since what we read in one way and a proxy in front of us in
//! another is how requests are smuggled: no folded lines, no space before a colon, no bare CR or LF.

#![forbid(unsafe_code)]

use memchr::{memchr, memchr3};

/// The rule that a line breaks, for a person to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// How the words of a start line may be separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spaces {
    /// By one space each, as the grammar has it.
    Single,
    /// By any number of spaces, with any number of them at both ends: RFC 9112, 3: "recipients MAY
    /// instead parse on whitespace-delimited word boundaries". libdill does.
    Any,
}

/// `GET /path HTTP/1.1`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// A token. Case-sensitive (RFC 9110, 9.1).
    pub method: &'a [u8],
    /// Not empty; free of spaces and control characters.
    pub target: &'a [u8],
    /// The x of HTTP/1.x.
    pub minor: u8,
}

/// `HTTP/1.1 200 OK`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusLine<'a> {
    /// The x of HTTP/1.x.
    pub minor: u8,
    /// 0 to 999.
    pub status: u16,
    /// May be empty.
    pub reason: &'a [u8],
}

/// `Name: value`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Free of white space.
    pub name: &'a [u8],
    /// Without the white space around it; may be empty.
    pub value: &'a [u8],
}

/// RFC 9110, 5.6.2.
pub fn is_token(word: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !word.is_empty() && word.iter().all(is_tchar)
}

/// Whether there are no control characters but tabs: what RFC 9110, 5.5 allows in the value of a field,
/// and RFC 9112, 4 in a reason.
pub fn is_text(text: &[u8]) -> bool {
    !text.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t')
}

/// Whether there are neither spaces nor control characters, and at least one byte: what can be a word
/// of a start line.
pub fn is_word(word: &[u8]) -> bool {
    !word.is_empty() && !word.iter().any(|&byte| byte == b' ' || byte.is_ascii_control())
}

/// Whether it is what a `Host` field may say: a host, perhaps with a port, or nothing (RFC 9112, 3.2; RFC 3986, 3.2).
pub fn is_host(value: &[u8]) -> bool {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let end_at = |end| value.iter().position(|&byte| byte == end);
    let (is_host, rest) = match (value, end_at(b']')) {
        ([b'[', ..], Some(end)) => {
            let address = &value[1..end];
            (
                !address.is_empty() && address.iter().all(|byte| *byte == b':' || is_of_name(byte)),
                &value[end + 1..],
            )
        }
        _ => {
            let (name, rest) = value.split_at(end_at(b':').unwrap_or(value.len()));
            (name.iter().all(is_of_name), rest)
        }
    };
    is_host
        && rest
            .split_first()
            .is_none_or(|(&colon, port)| colon == b':' && port.iter().all(u8::is_ascii_digit))
}

/// Without the spaces and tabs at both ends (RFC 9110, 5.6.3).
pub fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The members of a comma-separated list (RFC 9110, 5.6.1), of which empty ones do not count. For lists
/// of tokens: a comma in a quoted string is a comma.
pub fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// Whether the list has the member, in whatever case.
pub fn has_member(list: &[u8], member: &[u8]) -> bool {
    members(list).any(|other| other.eq_ignore_ascii_case(member))
}

/// Takes a request line apart (RFC 9112, 3).
pub fn request_line(line: &[u8], spaces: Spaces) -> Result<RequestLine<'_>, Malformed> {
    let mut words = Words { rest: Some(line), spaces };
    if let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
        && is_token(method)
        && is_word(target)
    {
        let minor = minor_version(version).ok_or(Malformed("RFC 9112, 2.3: the version is not HTTP/1.x"))?;
        return Ok(RequestLine { method, target, minor });
    }
    Err(Malformed("RFC 9112, 3: malformed request line"))
}

/// Takes a status line apart (RFC 9112, 4). The space behind the status, which announces a reason, is
/// not insisted on.
pub fn status_line(line: &[u8], spaces: Spaces) -> Result<StatusLine<'_>, Malformed> {
    check_line(line)?;
    let mut words = Words { rest: Some(line), spaces };
    if let Some(minor) = words.next().and_then(minor_version)
        && let Some(&[a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']) = words.next()
    {
        let status = [a, b, c].iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        return Ok(StatusLine { minor, status, reason: words.rest() });
    }
    Err(Malformed("RFC 9112, 4: malformed status line"))
}

/// Takes a field line apart (RFC 9112, 5). What cannot be read in two ways passes: whether the
/// characters are those of the grammar is for [`Field::check`].
pub fn field_line(line: &[u8]) -> Result<Field<'_>, Malformed> {
    if let [b' ' | b'\t', ..] = line {
        // To be rejected, or else to be repaired before anybody looks at it.
        return Err(Malformed("RFC 9112, 5.2: folded line"));
    }
    check_line(line)?;
    let field = Field::split(line).ok_or(Malformed("RFC 9112, 5: no colon"))?;
    if field.name.iter().any(|byte| matches!(byte, b' ' | b'\t')) {
        // "A server MUST reject" it with 400.
        return Err(Malformed("RFC 9112, 5.1: space before the colon"));
    }
    Ok(field)
}

impl<'a> Field<'a> {
    /// The two parts of a line that [`field_line`] has found good, or is to judge. None: there is no colon.
    pub(crate) fn split(line: &'a [u8]) -> Option<Field<'a>> {
        let colon = memchr(b':', line)?;
        Some(Field { name: &line[..colon], value: trim(&line[colon + 1..]) })
    }

    /// RFC 9110, 5.1: names are case-insensitive.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Whether the name is a token, and the value free of control characters.
    pub fn check(&self) -> Result<(), Malformed> {
        if !is_token(self.name) {
            return Err(Malformed("RFC 9110, 5.1: malformed field name"));
        }
        if !is_text(self.value) {
            return Err(Malformed("RFC 9110, 5.5: control character in a field"));
        }
        Ok(())
    }
}

/// RFC 9112, 2.2: a bare CR makes the message invalid. So does a LF in the middle of a line, at which
/// other recipients would end it, and a NUL, at which C does.
fn check_line(line: &[u8]) -> Result<(), Malformed> {
    match memchr3(b'\r', b'\n', 0, line) {
        Some(_) => Err(Malformed("RFC 9110, 5.5: CR, LF or NUL in a line")),
        None => Ok(()),
    }
}

/// RFC 9112, 2.3: the version is case-sensitive. HTTP/2 does not come with such lines.
fn minor_version(word: &[u8]) -> Option<u8> {
    match word.strip_prefix(b"HTTP/1.") {
        Some(&[digit @ b'0'..=b'9']) => Some(digit - b'0'),
        _ => None,
    }
}

/// What is left of a start line.
struct Words<'a> {
    /// `None` behind the last word.
    rest: Option<&'a [u8]>,
    spaces: Spaces,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        self.rest?;
        let rest = self.skip_spaces();
        if self.spaces == Spaces::Any && rest.is_empty() {
            self.rest = None;
            return None;
        }
        let end = memchr(b' ', rest);
        self.rest = end.map(|end| &rest[end + 1..]);
        Some(&rest[..end.unwrap_or(rest.len())])
    }

    /// All that follows the last word, the space behind that apart.
    fn rest(&self) -> &'a [u8] {
        self.skip_spaces()
    }

    fn skip_spaces(&self) -> &'a [u8] {
        let mut rest = self.rest.unwrap_or_default();
        while let (Spaces::Any, [b' ', after @ ..]) = (self.spaces, rest) {
            rest = after;
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str, spaces: Spaces) -> Option<(&str, &str, u8)> {
        let line = request_line(line.as_bytes(), spaces).ok()?;
        let text = |word| core::str::from_utf8(word).unwrap();
        Some((text(line.method), text(line.target), line.minor))
    }

    fn status(line: &str, spaces: Spaces) -> Option<(u8, u16, &str)> {
        let line = status_line(line.as_bytes(), spaces).ok()?;
        Some((line.minor, line.status, core::str::from_utf8(line.reason).unwrap()))
    }

    #[test]
    fn a_host_is_a_name_or_an_address_perhaps_with_a_port() {
        for host in [
            "",
            "a",
            "example.org",
            "a:80",
            "a:",
            ":80",
            "1.2.3.4:5",
            "[::1]",
            "[::1]:80",
            "a_b~!$&'()*+,;=%20",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a b", "a\tb", "a:b", "a:1:2", "[]", "[::1", "[::1]x", "[::1]:x", "a]", "[a b]", "a/b", "u@a",
            "a?", "\u{e9}",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn the_words_of_a_start_line_are_separated_by_one_space() {
        assert_eq!(request("GET /a?b HTTP/1.1", Spaces::Single), Some(("GET", "/a?b", 1)));
        assert_eq!(request("x * HTTP/1.0", Spaces::Single), Some(("x", "*", 0)));
        for line in [" GET / HTTP/1.1", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 "] {
            assert_eq!(request(line, Spaces::Single), None, "{line:?}");
            assert_eq!(request(line, Spaces::Any), Some(("GET", "/", 1)), "{line:?}");
        }
        assert_eq!(status("HTTP/1.1 200 a  b ", Spaces::Single), Some((1, 200, "a  b ")));
        assert_eq!(status("HTTP/1.0 007", Spaces::Single), Some((0, 7, "")));
        assert_eq!(status("HTTP/1.1 200  x", Spaces::Single), Some((1, 200, " x")));
        assert_eq!(status("  HTTP/1.1   200   x ", Spaces::Any), Some((1, 200, "x ")));
        for line in ["HTTP/1.1  200 OK", " HTTP/1.1 200 OK"] {
            assert_eq!(status(line, Spaces::Single), None, "{line:?}");
            assert_eq!(status(line, Spaces::Any), Some((1, 200, "OK")), "{line:?}");
        }
    }

    #[test]
    fn malformed_start_lines_are_refused_however_they_are_spaced() {
        for spaces in [Spaces::Single, Spaces::Any] {
            for line in [
                "",
                " ",
                "GET",
                "GET ",
                "GET /",
                "GET / ",
                "GET / HTTP/1.1 x",
                "GET\t/ HTTP/1.1",
                "G@T / HTTP/1.1",
                "GET /\r HTTP/1.1",
                "GET /\0 HTTP/1.1",
                "GET / HTTP/2",
                "GET / HTTP/1.10",
                "GET / http/1.1",
                "GET / HTTP/1.",
                "/ HTTP/1.1",
            ] {
                assert_eq!(request(line, spaces), None, "{line:?}");
            }
            for line in [
                "",
                "HTTP/1.1",
                "HTTP/1.1 ",
                "HTTP/1.1 20",
                "HTTP/1.1 2000",
                "HTTP/1.1 2x0 OK",
                "HTTP/1.1 +20 OK",
                "HTTP/1.1 200x",
                "HTTP/2 200 OK",
                "ICY 200 OK",
                "HTTP/1.1 200 a\rb",
                "HTTP/1.1 200 a\nb",
            ] {
                assert_eq!(status(line, spaces), None, "{line:?}");
            }
        }
    }

    #[test]
    fn a_field_line_has_one_reading_or_none() {
        let field = |line: &'static str| field_line(line.as_bytes()).map(|field| (field.name, field.value));
        assert_eq!(field("Name: value"), Ok((&b"Name"[..], &b"value"[..])));
        assert_eq!(field("N:\t  a b:c\t \t"), Ok((&b"N"[..], &b"a b:c"[..])));
        assert_eq!(field("N:"), Ok((&b"N"[..], &b""[..])));
        for line in [
            "", "N", "N : v", "N\t: v", "N m: v", " N: v", "\tN: v", "N: a\rb", "N: a\nb", "N: a\0b",
            "N\0: v",
        ] {
            assert!(field(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn the_characters_of_a_field_are_a_second_check() {
        for (line, good) in [
            ("N: v", true),
            ("!#$%&'*+-.^_`|~09azAZ:\t", true),
            ("N: \u{fc}\ta", true),
            (": v", false),
            ("N@: v", false),
            ("\u{fc}: v", false),
            ("N: \u{1}", false),
            ("N: \u{7f}", false),
        ] {
            assert_eq!(field_line(line.as_bytes()).unwrap().check().is_ok(), good, "{line:?}");
        }
    }

    #[test]
    fn a_list_has_the_members_between_its_commas() {
        let all = |list: &'static str| members(list.as_bytes()).collect::<Vec<_>>();
        assert_eq!(all("a, b\t,,c"), [&b"a"[..], b"b", b"c"]);
        assert!(all("").is_empty() && all(" , ,").is_empty());
        assert!(has_member(b"keep-alive, UPGRADE", b"upgrade") && !has_member(b"upgraded", b"upgrade"));
    }
}
