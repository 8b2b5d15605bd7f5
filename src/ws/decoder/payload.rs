//! The payload of data frames: unmasked, counted and validated as it is taken.

use super::{Decoder, TEXT_NOT_UTF8, Violation};
use crate::ws::frame::Role;
use crate::ws::mask;
use crate::ws::utf8::Utf8;

/// How much discarded text is unmasked at a time: small, for it lies on a coroutine's stack.
const SKIP_CHUNK: usize = 256;

impl Decoder {
    /// Takes payload from the receive buffer `src` to `dst` in the user's memory. Both are of the
    /// same length, which is at most `payload_left()`.
    #[inline]
    pub fn payload_copy(&mut self, dst: &mut [u8], src: &[u8]) -> Result<(), Violation> {
        self.unmask(dst, src);
        self.advance(dst.len());
        self.validate(dst)
    }

    /// Unmasks payload from `src` to `dst`, of the same length, without taking it.
    #[inline]
    pub fn unmask(&self, dst: &mut [u8], src: &[u8]) {
        match self.role {
            Role::Server => mask::mask_copy(dst, src, self.key, usize::from(self.position)),
            Role::Client => dst.copy_from_slice(src),
        }
    }

    /// Takes payload that was received straight into the user's memory: at most `payload_left()`
    /// bytes.
    #[inline]
    pub fn payload_in_place(&mut self, buf: &mut [u8]) -> Result<(), Violation> {
        if self.role == Role::Server {
            mask::mask_in_place(buf, self.key, usize::from(self.position));
        }
        self.advance(buf.len());
        self.validate(buf)
    }

    /// Takes payload that nobody wants: at most `payload_left()` bytes. Text is still validated,
    /// for what the peer may send does not depend on who reads it.
    pub fn payload_skip(&mut self, src: &[u8]) -> Result<(), Violation> {
        if !self.text || self.role == Role::Client {
            self.advance(src.len());
            return self.validate(src);
        }
        let mut chunk = [0; SKIP_CHUNK];
        for src in src.chunks(SKIP_CHUNK) {
            self.payload_copy(&mut chunk[..src.len()], src)?;
        }
        Ok(())
    }

    /// Takes payload of a message that goes through the extension.
    #[inline]
    pub fn advance(&mut self, taken: usize) {
        debug_assert!(taken as u64 <= self.left, "more than the frame's payload");
        self.left = self.left.saturating_sub(taken as u64);
        self.position = self.position.wrapping_add(taken as u8);
    }

    /// Takes payload of a message that does not go through the extension any more: nothing of it is judged.
    pub(crate) fn discard(&mut self, taken: usize) {
        self.advance(taken);
        self.utf8 = Utf8::default();
    }

    /// Passes over payload that is only looked at, as far as `len` bytes reach; returns how much that is. The
    /// frame may have ended then.
    pub(crate) fn pass(&mut self, len: usize) -> usize {
        let passed = usize::try_from(self.left).unwrap_or(usize::MAX).min(len);
        self.advance(passed);
        self.in_frame = self.left > 0;
        self.between_messages = !self.in_frame && !self.open;
        passed
    }

    /// Takes what the extension made of payload: at most `message_room()` bytes.
    pub fn message_bytes(&mut self, piece: &[u8]) -> Result<(), Violation> {
        self.length = self.length.saturating_add(piece.len() as u64);
        self.validate(piece)
    }

    /// RFC 6455, 8.1, for a piece of unmasked payload.
    #[inline]
    pub(super) fn validate(&mut self, piece: &[u8]) -> Result<(), Violation> {
        if let Some(violation) = self.finished {
            return Err(*violation);
        }
        if self.text && self.utf8.push(piece).is_err() {
            return Err(self.fail(&TEXT_NOT_UTF8));
        }
        Ok(())
    }

    /// How much more the extension may make of the current message.
    #[inline]
    pub fn message_room(&self) -> u64 {
        self.max_message.saturating_sub(self.length)
    }
}
