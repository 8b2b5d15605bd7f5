//! The header of a message: its length, as an unsigned number of a fixed size. No I/O.

use crate::error::{Errno, Result};

/// The longest header, in bytes.
pub(crate) const MAX_HEADER: usize = 255;

/// How lengths are written.
#[derive(Clone, Copy)]
pub struct Format {
    size: usize,
    little_endian: bool,
}

impl Format {
    /// Headers of 1 to 255 bytes. EINVAL.
    pub fn new(size: usize, little_endian: bool) -> Result<Format> {
        if (1..=MAX_HEADER).contains(&size) { Ok(Format { size, little_endian }) } else { Err(Errno::EINVAL) }
    }

    /// The size of a header, in bytes.
    pub fn size(self) -> usize {
        self.size
    }

    /// Writes a length into `header`, which is as long as a header is. EMSGSIZE if the number has
    /// not enough digits, or is more than a receiving call can return.
    pub fn encode(self, len: usize, header: &mut [u8]) -> Result<()> {
        if isize::try_from(len).is_err() {
            return Err(Errno::EMSGSIZE);
        }
        let digits = len.to_le_bytes();
        let kept = digits.len().min(self.size);
        if digits[kept..].iter().any(|&digit| digit != 0) {
            return Err(Errno::EMSGSIZE);
        }
        header.fill(0);
        header[..kept].copy_from_slice(&digits[..kept]);
        if !self.little_endian {
            header.reverse();
        }
        Ok(())
    }

    /// Reads a length. EMSGSIZE if it is more than a receiving call can return.
    pub fn decode(self, header: &[u8]) -> Result<usize> {
        let mut len = 0_usize;
        let mut add = |&digit: &u8| {
            len = len.checked_mul(256)? | usize::from(digit);
            isize::try_from(len).ok()
        };
        let fits = if self.little_endian {
            header.iter().rev().try_for_each(|digit| add(digit).map(drop))
        } else {
            header.iter().try_for_each(|digit| add(digit).map(drop))
        };
        fits.map(|()| len).ok_or(Errno::EMSGSIZE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(size: usize, little_endian: bool, len: usize) -> Result<Vec<u8>> {
        let mut header = vec![0xff; size];
        Format::new(size, little_endian).unwrap().encode(len, &mut header).map(|()| header)
    }

    fn decoded(little_endian: bool, header: &[u8]) -> Result<usize> {
        Format::new(header.len(), little_endian).unwrap().decode(header)
    }

    #[test]
    fn the_bytes_are_those_of_libdill() {
        assert_eq!(encoded(3, false, 5), Ok(vec![0, 0, 5]));
        assert_eq!(encoded(3, true, 5), Ok(vec![5, 0, 0]));
        assert_eq!(encoded(10, false, 0x0102), Ok(vec![0, 0, 0, 0, 0, 0, 0, 0, 1, 2]));
        assert_eq!(encoded(8, false, 0x0102_0304), Ok(vec![0, 0, 0, 0, 1, 2, 3, 4]));
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        for size in [1, 2, 3, 4, 7, 8, 9, 16, 255] {
            for little_endian in [false, true] {
                for shift in 0..63 {
                    for len in [(1_usize << shift) - 1, 1 << shift, (1 << shift) + 1] {
                        let fits = size >= 8 || len < 1 << (8 * size);
                        let header = encoded(size, little_endian, len);
                        assert_eq!(header.is_ok(), fits);
                        if let Ok(header) = header {
                            assert_eq!(decoded(little_endian, &header), Ok(len));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_length_beyond_ssize_max_is_too_long() {
        assert_eq!(encoded(8, false, usize::MAX), Err(Errno::EMSGSIZE));
        let half = [0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(decoded(false, &half), Err(Errno::EMSGSIZE));
        assert_eq!(decoded(true, &[0xff; 8]), Err(Errno::EMSGSIZE));
        assert_eq!(decoded(false, &[1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Errno::EMSGSIZE));
        assert_eq!(decoded(true, &[0, 0, 0, 0, 0, 0, 0, 0, 1]), Err(Errno::EMSGSIZE));
        assert_eq!(decoded(true, &[1, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(1));
    }

    #[test]
    fn a_header_has_1_to_255_bytes() {
        assert!(Format::new(0, false).is_err() && Format::new(256, false).is_err());
    }
}
