//! Finding the delimiter of a message in a stream that comes in pieces: no I/O.

use crate::error::{Errno, Result};
use memchr::memchr;

/// The longest delimiter, in bytes.
pub const MAX_DELIMITER: usize = 32;

/// What ends a message.
pub struct Delimiter {
    bytes: [u8; MAX_DELIMITER],
    len: usize,
    /// How much of the delimiter is still matched when the byte after so many bytes of it is
    /// another one (Knuth, Morris, Pratt).
    fallback: [u8; MAX_DELIMITER],
}

impl Delimiter {
    /// EINVAL unless there are 1 to 32 bytes.
    pub fn new(delimiter: &[u8]) -> Result<Delimiter> {
        let len = delimiter.len();
        let mut bytes = [0; MAX_DELIMITER];
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        bytes.get_mut(..len).ok_or(Errno::EINVAL)?.copy_from_slice(delimiter);
        let mut fallback = [0; MAX_DELIMITER];
        let mut matched = 0;
        for index in 1..len {
            while matched > 0 && bytes[index] != bytes[matched] {
                matched = usize::from(fallback[matched - 1]);
            }
            if bytes[index] == bytes[matched] {
                matched += 1;
            }
            fallback[index] = matched as u8;
        }
        Ok(Delimiter { bytes, len, fallback })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What became of a piece.
#[derive(Debug, PartialEq, Eq)]
pub struct Fed {
    /// So many bytes belong to the message and its delimiter.
    pub consumed: usize,
    /// The delimiter is complete.
    pub complete: bool,
}

/// The search for the end of one message.
#[derive(Clone)]
pub struct DelimiterScan<'d> {
    delimiter: &'d Delimiter,
    /// The last bytes of what was fed are so many bytes of the delimiter.
    matched: usize,
}

impl<'d> DelimiterScan<'d> {
    /// At the beginning of a message.
    pub fn new(delimiter: &'d Delimiter) -> DelimiterScan<'d> {
        DelimiterScan { delimiter, matched: 0 }
    }

    /// At least so many bytes are still to come, whatever they are.
    pub fn missing(&self) -> usize {
        self.delimiter.len - self.matched
    }

    /// Looks at the next bytes of the stream; `emit` gets those that are known to be the message's.
    pub fn feed(&mut self, bytes: &[u8], mut emit: impl FnMut(&[u8]) -> Result<()>) -> Result<Fed> {
        let carried = self.matched;
        let fed = self.find(bytes);
        let payload = carried + fed.consumed - self.matched;
        // What was held back as a part of the delimiter may turn out to be none.
        let of_carried = payload.min(carried);
        if of_carried > 0 {
            emit(&self.delimiter.bytes[..of_carried])?;
        }
        if payload > of_carried {
            emit(&bytes[..payload - of_carried])?;
        }
        Ok(fed)
    }

    /// As `feed`, for whoever wants to know the length only.
    pub fn find(&mut self, bytes: &[u8]) -> Fed {
        let delimiter = self.delimiter.as_bytes();
        let mut matched = self.matched;
        let mut at = 0;
        while at < bytes.len() && matched < delimiter.len() {
            if matched == 0 {
                let Some(next) = memchr(delimiter[0], &bytes[at..]) else {
                    at = bytes.len();
                    break;
                };
                at += next + 1;
                matched = 1;
                continue;
            }
            let byte = bytes[at];
            at += 1;
            while matched > 0 && byte != delimiter[matched] {
                matched = usize::from(self.delimiter.fallback[matched - 1]);
            }
            if byte == delimiter[matched] {
                matched += 1;
            }
        }
        self.matched = matched;
        Fed { consumed: at, complete: matched == delimiter.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits the stream after the first delimiter the obvious way.
    fn expected<'s>(stream: &'s [u8], delimiter: &[u8]) -> Option<(&'s [u8], usize)> {
        let at = stream.windows(delimiter.len()).position(|window| window == delimiter)?;
        Some((&stream[..at], at + delimiter.len()))
    }

    /// Scans with pieces of a size, or, if that is 0, with as many bytes as are missing.
    fn scan(stream: &[u8], delimiter: &[u8], piece: usize) -> Option<(Vec<u8>, usize)> {
        let delimiter = Delimiter::new(delimiter).unwrap();
        let mut scan = DelimiterScan::new(&delimiter);
        let (mut message, mut at) = (Vec::new(), 0);
        while at < stream.len() {
            let len = if piece > 0 { piece } else { scan.missing() };
            let end = (at + len).min(stream.len());
            let put = |part: &[u8]| {
                message.extend_from_slice(part);
                Ok(())
            };
            let fed = scan.feed(&stream[at..end], put).unwrap();
            at += fed.consumed;
            if fed.complete {
                return Some((message, at));
            }
            assert_eq!(at, end);
        }
        None
    }

    #[test]
    fn every_split_of_every_short_stream_gives_the_same_message() {
        let delimiters: [&[u8]; 8] = [b"a", b"ab", b"aa", b"aab", b"aba", b"abab", b"abaab", b"aaaa"];
        for len in 0..11 {
            for pattern in 0..1_u32 << len {
                let stream: Vec<u8> =
                    (0..len).map(|bit| if pattern >> bit & 1 == 0 { b'a' } else { b'b' }).collect();
                for delimiter in delimiters {
                    let expected = expected(&stream, delimiter).map(|(m, at)| (m.to_vec(), at));
                    for piece in 0..=4 {
                        assert_eq!(scan(&stream, delimiter, piece), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_behind_the_delimiter_is_consumed() {
        assert_eq!(scan(b"hello\r\nworld", b"\r\n", 64), Some((b"hello".to_vec(), 7)));
        assert_eq!(scan(b"\r\r\n!", b"\r\n", 64), Some((b"\r".to_vec(), 3)));
        assert_eq!(scan(b"\r\n", b"\r\n", 64), Some((Vec::new(), 2)));
    }

    #[test]
    fn a_delimiter_has_1_to_32_bytes() {
        assert!(Delimiter::new(&[]).is_err() && Delimiter::new(&[0; 33]).is_err());
        assert!(Delimiter::new(&[0; 32]).is_ok());
    }

    #[test]
    fn an_error_of_the_receiver_ends_the_scan() {
        let delimiter = Delimiter::new(b"\n").unwrap();
        let fed = DelimiterScan::new(&delimiter).feed(b"abc", |_| Err(Errno::EMSGSIZE));
        assert_eq!(fed, Err(Errno::EMSGSIZE));
    }
}
