//! The body of a request (RFC 9112, 6 and 7): how long it is, and passing over it. Nobody here reads one.

#![forbid(unsafe_code)]

use super::head::Fields;
use crate::http::grammar::{Malformed, is_text};

/// How long a body may be that is passed over so that the connection can go on, with all that frames it.
pub const MAX_SKIPPED: u64 = 64 * 1024;

/// What follows the head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes.
    Sized(u64),
    /// Chunks, the last of which is empty.
    Chunked,
}

impl Body {
    /// RFC 9112, 6.3. Whatever leaves a doubt about the length is malformed: what one side takes for a
    /// body is the next request for the other.
    pub(super) fn of_request(minor: u8, fields: Fields<'_>) -> Result<Body, Malformed> {
        let mut lengths = fields.all("Content-Length");
        let mut codings = fields.all("Transfer-Encoding");
        match (lengths.next(), lengths.next(), codings.next(), codings.next()) {
            (None, _, None, _) => Ok(Body::Sized(0)),
            (Some(length), None, None, _) => {
                let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
                let length = core::str::from_utf8(length).ok().filter(|_| digits);
                let length = length.and_then(|length| length.parse().ok());
                length.map(Body::Sized).ok_or(Malformed("RFC 9110, 8.6: malformed Content-Length"))
            }
            (Some(_), Some(_), ..) => Err(Malformed("RFC 9110, 8.6: two lengths")),
            (Some(_), None, Some(_), _) => Err(Malformed("RFC 9112, 6.3: a length and a coding")),
            // RFC 9112, 6.1: faulty framing. Other codings than chunks are for nobody here to undo.
            (None, _, Some(coding), None) if minor > 0 && coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Body::Chunked)
            }
            (None, _, Some(_), _) => Err(Malformed("RFC 9112, 6.1: a transfer coding other than chunked")),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Body::Sized(0)
    }
}

/// What [`Skip::feed`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// The body is over; so many of the bytes were the last of it.
    Complete(usize),
    /// All of the bytes belong to the body, which goes on.
    Incomplete {
        /// It has at least so many more bytes: a reader that must not take a byte too many can ask for
        /// these.
        at_least: u64,
    },
}

/// Passing over a body that arrives in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Skip {
    state: BodyState,
    /// How much of [`MAX_SKIPPED`] is left.
    room: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyState {
    /// So many bytes of a body with a length.
    Sized(u64),
    /// In the size of a chunk, of which at least one digit has come if the second is true.
    Size(u64, bool),
    /// In an extension behind the size.
    Extension(u64),
    /// Before the LF behind the size.
    SizeEnd(u64),
    /// So many bytes of a chunk.
    Chunk(u64),
    /// Behind a chunk, before the CR if true, else before the LF.
    ChunkEnd(bool),
    /// At the beginning of a trailer line, or of the empty one.
    Trailer,
    /// In a trailer line.
    TrailerLine,
    /// Before the LF of a trailer line.
    TrailerLineEnd,
    /// Before the very last LF.
    End,
}

impl Skip {
    /// A body of which nothing has come. `None` if it is known to be too long.
    pub fn new(body: Body) -> Option<Skip> {
        let state = match body {
            Body::Sized(len) => BodyState::Sized(len),
            Body::Chunked => BodyState::Size(0, false),
        };
        let skip = Skip { state, room: MAX_SKIPPED };
        (skip.at_least() <= MAX_SKIPPED).then_some(skip)
    }

    /// Goes on with the bytes that have arrived. Malformed if they frame no chunk, or the body is too long.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Skipped, Malformed> {
        let mut at = 0;
        loop {
            if self.at_least() > self.room {
                return Err(Malformed("a body of more than 64 KiB"));
            }
            if self.state == BodyState::Sized(0) {
                return Ok(Skipped::Complete(at));
            }
            let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else {
                return Ok(Skipped::Incomplete { at_least: self.at_least() });
            };
            let used = match self.state {
                BodyState::Sized(left) | BodyState::Chunk(left) => left.min(rest.len() as u64),
                _ => 1,
            };
            self.state = self.state.after(rest[0], used)?;
            self.room -= used;
            at += used as usize;
        }
    }

    fn at_least(&self) -> u64 {
        // The last chunk and the empty line behind it: "0", CR LF, CR LF.
        const LAST: u64 = 5;
        // What follows the line with the size: the last one's empty line, or the chunk and another.
        let behind = |size: u64| if size > 0 { size + 2 + LAST } else { 2 };
        match self.state {
            BodyState::Sized(left) => left,
            BodyState::Size(_, false) => LAST,
            BodyState::Size(size, true) | BodyState::Extension(size) => 2 + behind(size),
            BodyState::SizeEnd(size) => 1 + behind(size),
            BodyState::Chunk(left) => left + 2 + LAST,
            BodyState::ChunkEnd(true) => 2 + LAST,
            BodyState::ChunkEnd(false) => 1 + LAST,
            BodyState::Trailer => 2,
            BodyState::TrailerLine => 4,
            BodyState::TrailerLineEnd => 3,
            BodyState::End => 1,
        }
    }
}

impl BodyState {
    /// RFC 9112, 7.1. In a body or a chunk, `used` bytes were taken at once; else `byte`.
    fn after(self, byte: u8, used: u64) -> Result<BodyState, Malformed> {
        let malformed = Err(Malformed("RFC 9112, 7.1: malformed chunk"));
        Ok(match (self, byte) {
            (BodyState::Sized(left), _) => BodyState::Sized(left - used),
            (BodyState::Chunk(left), _) if left > used => BodyState::Chunk(left - used),
            (BodyState::Chunk(_), _) => BodyState::ChunkEnd(true),
            (BodyState::Size(size, _), digit) if digit.is_ascii_hexdigit() => {
                // `feed` does not come back with a size that is too large.
                BodyState::Size(size * 16 + char::from(digit).to_digit(16).map_or(0, u64::from), true)
            }
            (BodyState::Size(size, true) | BodyState::Extension(size), b'\r') => BodyState::SizeEnd(size),
            (BodyState::Size(size, true), b';' | b' ' | b'\t') => BodyState::Extension(size),
            (BodyState::Extension(size), byte) if is_text(&[byte]) => BodyState::Extension(size),
            (BodyState::SizeEnd(0), b'\n') => BodyState::Trailer,
            (BodyState::SizeEnd(size), b'\n') => BodyState::Chunk(size),
            (BodyState::ChunkEnd(true), b'\r') => BodyState::ChunkEnd(false),
            (BodyState::ChunkEnd(false), b'\n') => BodyState::Size(0, false),
            (BodyState::Trailer, b'\r') => BodyState::End,
            (BodyState::TrailerLine, b'\r') => BodyState::TrailerLineEnd,
            (BodyState::Trailer | BodyState::TrailerLine, byte) if is_text(&[byte]) => BodyState::TrailerLine,
            (BodyState::TrailerLineEnd, b'\n') => BodyState::Trailer,
            (BodyState::End, b'\n') => BodyState::Sized(0),
            _ => return malformed,
        })
    }
}
