//! A head: finding its end in a stream, and its lines.

#![forbid(unsafe_code)]

use super::Refusal;
use crate::error::{Errno, Result};
use crate::http::grammar::{Field, Malformed, field_line};
use memchr::{memchr, memchr3};

/// The longest head, from its first byte to the end of the empty line.
pub const MAX_HEAD: usize = 64 * 1024;
/// The most header fields a head may have.
pub(super) const MAX_FIELDS: usize = 128;

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
    /// The first line was empty.
    empty_line: bool,
}

impl HeadScan {
    /// A search that has seen nothing.
    pub fn new() -> HeadScan {
        HeadScan::default()
    }

    /// Goes on with all the bytes that have arrived so far: those of the last call and perhaps
    /// more. Fails as soon as no further byte could make a head of them.
    pub fn scan(&mut self, head: &[u8]) -> core::result::Result<Scan, Refusal> {
        while let Some(&byte) = head.get(self.scanned) {
            self.matched = match (self.matched, byte) {
                (0 | 2, b'\r') => self.matched + 1,
                // RFC 9112, 2.2: a server "SHOULD ignore at least one empty line" before the request
                // line. One; before an answer there is none, which its judge finds out.
                (1, b'\n') if self.scanned == 1 => {
                    self.empty_line = true;
                    0
                }
                (1, b'\n') if self.scanned == 3 && self.empty_line => {
                    return Err(Malformed("RFC 9112, 2.2: two empty lines before the head").into());
                }
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
            if self.matched == 0 {
                let rest = &head[self.scanned..];
                self.scanned += memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
            }
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

/// What is left of a head.
pub(super) struct Lines<'a>(pub(super) &'a [u8]);

impl<'a> Lines<'a> {
    pub(super) fn line(&mut self) -> core::result::Result<&'a [u8], Malformed> {
        let end = memchr(b'\n', self.0).ok_or(Malformed("RFC 9112, 2.1: no empty line at the end"))?;
        let (line, rest) = self.0.split_at(end + 1);
        self.0 = rest;
        line.strip_suffix(b"\r\n").ok_or(Malformed("RFC 9112, 2.2: LF without CR"))
    }
}

/// How the lines behind a start line are read. (A pointer: what is generic would be there twice, and inlined.)
pub(super) type ReadFields<'a> = fn(Lines<'a>) -> core::result::Result<Fields<'a>, Malformed>;

/// The fields of a head, each of which is well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Judges the lines behind the start line, the empty one included.
    pub(super) fn parse(mut lines: Lines<'a>) -> core::result::Result<Fields<'a>, Malformed> {
        let all = lines.0;
        loop {
            let line = lines.line()?;
            if line.is_empty() {
                return Ok(Fields(&all[..all.len() - lines.0.len()]));
            }
            field_line(line)?.check()?;
        }
    }

    /// Those of a head that was judged before.
    pub(super) fn judged(lines: &'a [u8]) -> Fields<'a> {
        Fields(lines)
    }

    /// How many bytes they are, the empty line included.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let mut lines = Lines(self.0);
        core::iter::from_fn(move || Field::split(lines.line().ok()?))
    }

    /// The values of all fields of that name, in whatever case (RFC 9110, 5.1).
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.iter().filter(move |field| field.is(name)).map(|field| field.value)
    }

    /// The value of the first field of that name.
    pub fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Stores the value of a field as a string, if there is a place for it, and returns its length.
    /// Several fields of one name are one list (RFC 9110, 5.3). ENOENT if there is none; EMSGSIZE if it
    /// does not fit.
    pub fn store(&self, name: &[u8], place: Option<&mut [u8]>) -> Result<usize> {
        let named = |field: &Field<'_>| field.name.eq_ignore_ascii_case(name);
        // RFC 6265, 3: `Set-Cookie` has commas in it, and cannot be joined.
        let count = if name.eq_ignore_ascii_case(b"Set-Cookie") { 1 } else { usize::MAX };
        // RFC 9113, 8.2.3.
        let separator = if name.eq_ignore_ascii_case(b"Cookie") { b"; " } else { b", " };
        let mut values = self.iter().filter(named).take(count).map(|field| field.value);
        let first = values.next().ok_or(Errno::ENOENT)?;
        store(core::iter::once(first).chain(values.flat_map(|value| [&separator[..], value])), place)
    }
}

/// Stores the parts as one string, if there is a place for it, and returns its length. EMSGSIZE.
pub(super) fn store<'p>(parts: impl Iterator<Item = &'p [u8]>, place: Option<&mut [u8]>) -> Result<usize> {
    let Some(place) = place else { return Ok(parts.map(<[u8]>::len).sum()) };
    let mut len = 0;
    for part in parts {
        place.get_mut(len..len + part.len()).ok_or(Errno::EMSGSIZE)?.copy_from_slice(part);
        len += part.len();
    }
    *place.get_mut(len).ok_or(Errno::EMSGSIZE)? = 0;
    Ok(len)
}
