//! UTF-8 validation of a stream that arrives in pieces.
//!
//! RFC 6455, 8.1: a connection whose text is not UTF-8 fails. It fails at the first byte that no
//! continuation could repair, not at the end of the message: a peer that sends a gigabyte after
//! one bad byte is stopped at that byte.

#![forbid(unsafe_code)]

use crate::arch;

/// The bytes are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// How many bytes of the last piece are good before the sequence that is not: 0 if that
    /// sequence began in an earlier piece.
    pub valid: usize,
}

/// Up to this length a plain test for ASCII costs less than the call of the vector code.
const SHORT: usize = 256;

/// Whether a whole text is UTF-8.
#[inline(always)]
pub fn is_valid(text: &[u8]) -> bool {
    text.len() <= SHORT && is_ascii(text) || arch::utf8::is_valid(text)
}

/// A validator between two pieces: what it remembers is the beginning of a sequence of which the
/// rest is still to come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8 {
    /// An incomplete sequence whose bytes are good so far.
    carry: [u8; 3],
    carried: u8,
}

impl Utf8 {
    /// Takes the next piece. Fails as soon as it holds a byte that cannot be part of UTF-8 at its
    /// place, even if its sequence is not complete: `ED A0`, `F4 90`, `E0 80` or `F5`.
    #[inline]
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Invalid> {
        if self.carried == 0 && piece.len() <= SHORT && is_ascii(piece) {
            return Ok(());
        }
        self.push_any(piece)
    }

    /// The end of the text: fails inside an incomplete sequence.
    #[inline]
    pub fn finish(&self) -> Result<(), Invalid> {
        match self.carried {
            0 => Ok(()),
            _ => Err(Invalid { valid: 0 }),
        }
    }

    fn push_any(&mut self, piece: &[u8]) -> Result<(), Invalid> {
        let taken = self.complete_carry(piece)?;
        let rest = &piece[taken..];
        let Err(error) = simdutf8::compat::from_utf8(rest) else {
            return Ok(());
        };
        if error.error_len().is_some() {
            return Err(Invalid { valid: taken + error.valid_up_to() });
        }
        // Without a length the error means: good so far, but the last sequence is incomplete.
        // Such a sequence has at most three of its four bytes.
        let begun = &rest[error.valid_up_to()..];
        self.carry[..begun.len()].copy_from_slice(begun);
        self.carried = begun.len() as u8;
        Ok(())
    }

    /// Moves bytes of the piece to the carried sequence until that is complete, and says how many
    /// they were. The carry stays if the piece ends first.
    fn complete_carry(&mut self, piece: &[u8]) -> Result<usize, Invalid> {
        if self.carried == 0 {
            return Ok(0);
        }
        let mut sequence = [0; 4];
        let mut len = usize::from(self.carried);
        sequence[..len].copy_from_slice(&self.carry[..len]);
        for (index, &byte) in piece.iter().enumerate() {
            sequence[len] = byte;
            len += 1;
            match std::str::from_utf8(&sequence[..len]) {
                Ok(_) => {
                    self.carried = 0;
                    return Ok(index + 1);
                }
                Err(error) if error.error_len().is_some() => return Err(Invalid { valid: 0 }),
                // Still incomplete, hence at most three bytes: there is room for one more.
                Err(_) => {
                    self.carry[len - 1] = byte;
                    self.carried = len as u8;
                }
            }
        }
        Ok(piece.len())
    }
}

/// Whether all bytes are ASCII, for short input: by whole words of which the last may overlap the
/// one before it, since a loop over the odd bytes would cost more than all the rest.
#[inline]
fn is_ascii(piece: &[u8]) -> bool {
    let (words, _) = piece.as_chunks::<8>();
    let Some(last) = piece.last_chunk::<8>() else {
        return piece.is_ascii();
    };
    let bits = words.iter().fold(u64::from_ne_bytes(*last), |bits, word| bits | u64::from_ne_bytes(*word));
    bits & 0x8080_8080_8080_8080 == 0
}
