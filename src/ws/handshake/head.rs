//! A head: finding its end in a stream, and its lines.

#![forbid(unsafe_code)]

use super::{Malformed, Refusal};

/// The longest head, from its first byte to the end of the empty line.
pub const MAX_HEAD: usize = 64 * 1024;
/// The most header fields a head may have.
pub const MAX_FIELDS: usize = 128;

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

/// Whether a comma-separated list has the member, in whatever case (RFC 9110, 5.6.1).
pub(super) fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|member| member.trim_ascii().eq_ignore_ascii_case(token))
}

/// What is left of a head.
pub(super) struct Lines<'a>(pub(super) &'a [u8]);

impl<'a> Lines<'a> {
    pub(super) fn line(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.0.windows(2).position(|bytes| bytes == b"\r\n");
        let end = end.ok_or(Malformed("RFC 9112, 2.1: no empty line at the end"))?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 2..];
        Ok(line)
    }

    /// The next field (RFC 9112, 5), or `None` at the empty line.
    pub(super) fn field(&mut self) -> Result<Option<Field<'a>>, Malformed> {
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
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

impl Field<'_> {
    /// RFC 9110, 5.1: names are case-insensitive.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// RFC 9110, 5.6.2.
pub(super) fn is_token(word: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !word.is_empty() && word.iter().all(is_tchar)
}
