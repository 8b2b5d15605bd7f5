//! The outbound half of a connection: what is sent, as frames.
//!
//! A frame is a header and the payload behind it, masked by a client. The payload stays where it is
//! until it is written, in one piece or in several, to where it leaves from.

#![forbid(unsafe_code)]

use super::frame::{FIN, FrameHeader, Opcode};
use super::mask;

/// The kind of a message, as its first frame says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageKind {
    /// Whether it is text.
    pub text: bool,
    /// The reserved bits that an extension sets.
    pub extension_bits: u8,
}

/// The state of the outbound half between two frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Encoder {
    /// The last data frame was not the last one of its message.
    open: bool,
    /// The message that is open has such bits.
    extended: bool,
}

impl Encoder {
    /// Whether a message was begun and not ended.
    #[inline]
    pub(crate) fn is_in_message(&self) -> bool {
        self.open
    }

    /// Whether the message that is open goes through the extension.
    pub(crate) fn message_is_extended(&self) -> bool {
        self.extended
    }

    /// Begins a message of one frame with `len` bytes that no extension has changed, while no message is
    /// open.
    #[inline(always)]
    pub(crate) fn whole_message(&self, text: bool, len: u64, key: Option<[u8; 4]>) -> Frame {
        debug_assert!(!self.open);
        let opcode = if text { Opcode::Text } else { Opcode::Binary };
        Frame { header: FrameHeader::encode(FIN, opcode, len, key), key }
    }

    /// Begins a data frame with `len` bytes of payload: the first one of a message, or, if a message is
    /// open, the next one of that. A client gives a fresh key (RFC 6455, 5.3).
    #[inline(always)]
    pub(crate) fn data(&mut self, kind: MessageKind, last: bool, len: u64, key: Option<[u8; 4]>) -> Frame {
        let opcode = match (self.open, kind.text) {
            (true, _) => Opcode::Continuation,
            (false, true) => Opcode::Text,
            (false, false) => Opcode::Binary,
        };
        // RFC 7692, 6.1: a bit of the message stands in its first frame only.
        let bits = if self.open { 0 } else { kind.extension_bits };
        if !self.open {
            self.extended = bits != 0;
        }
        self.open = !last;
        let fin = if last { FIN } else { 0 };
        Frame { header: FrameHeader::encode(fin | bits, opcode, len, key), key }
    }

    /// Begins a control frame, which may stand between the frames of a message (RFC 6455, 5.4).
    #[inline]
    pub(crate) fn control(&self, opcode: Opcode, len: u64, key: Option<[u8; 4]>) -> Frame {
        debug_assert!(opcode.is_control());
        Frame { header: FrameHeader::encode(FIN, opcode, len, key), key }
    }
}

/// A frame but for its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    header: FrameHeader,
    key: Option<[u8; 4]>,
}

impl Frame {
    /// The header as it goes out.
    #[inline]
    pub(crate) fn header(&self) -> &[u8] {
        self.header.as_bytes()
    }

    /// Whether the payload leaves changed.
    #[inline]
    pub(crate) fn is_masked(&self) -> bool {
        self.key.is_some()
    }

    /// Writes the frame to a place that has room for it and a few bytes more; returns its length.
    #[inline(always)]
    pub(crate) fn write(&self, place: &mut [u8], payload: &[u8]) -> usize {
        let begin = self.header().len();
        let end = begin + payload.len();
        if let Some(padded) = place.first_chunk_mut() {
            *padded = *self.header.as_padded();
        }
        self.write_payload(&mut place[begin..end], payload, 0);
        end
    }

    /// Masks the whole payload where it lies, if it has to be.
    pub(crate) fn mask_in_place(&self, payload: &mut [u8]) {
        if let Some(key) = self.key {
            mask::mask_in_place(payload, key, 0);
        }
    }

    /// Writes a piece of the payload, which begins `offset` bytes from the payload's start, to a place
    /// of the same length.
    #[inline(always)]
    pub(crate) fn write_payload(&self, place: &mut [u8], piece: &[u8], offset: usize) {
        match self.key {
            Some(key) => mask::mask_copy(place, piece, key, offset),
            None => place.copy_from_slice(piece),
        }
    }
}
