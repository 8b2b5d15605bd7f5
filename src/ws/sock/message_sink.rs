//! Where a received message goes, and what is kept of one whose receive failed.

use crate::error::{Errno, Result};
use crate::iol::{Cursor, Pieces};
use crate::memory::try_extend;

/// A part of a message that a receive had taken when it failed.
pub(super) enum PartialChunk {
    Bytes {
        bytes: Vec<u8>,
        /// How many of them were given to the caller since.
        given: usize,
    },
    /// So many bytes, which the caller did not want to have.
    Dropped(usize),
}

impl PartialChunk {
    pub(super) fn len(&self) -> usize {
        match self {
            PartialChunk::Bytes { bytes, given } => bytes.len() - given,
            PartialChunk::Dropped(len) => *len,
        }
    }
}

/// Where a message goes.
pub(super) struct MessageSink<'a> {
    /// None: nowhere.
    cursor: Option<Cursor<'a>>,
    pieces: Option<Pieces<'a>>,
    /// Bytes of the message so far.
    pub(super) len: usize,
    /// What does not fit is left for the next call.
    pub(super) takes_some: bool,
    /// What was done for it and not charged yet, in bytes moved.
    pub(super) work: usize,
}

impl<'a> MessageSink<'a> {
    pub(super) fn new(pieces: Option<Pieces<'a>>) -> MessageSink<'a> {
        MessageSink {
            cursor: pieces.map(|pieces| pieces.cursor()),
            pieces,
            len: 0,
            takes_some: false,
            work: 0,
        }
    }

    pub(super) fn room(&self) -> usize {
        self.pieces.map_or(usize::MAX, |pieces| pieces.total() - self.len)
    }

    /// The place for at most `most` bytes, which must not exceed `room`. None: nowhere.
    pub(super) fn place(&mut self, most: usize) -> (Option<&'a mut [u8]>, usize) {
        let piece = self.cursor.as_mut().and_then(Cursor::piece);
        match piece {
            Some(piece) if piece.base.is_null() => (None, most.min(piece.len)),
            Some(piece) => {
                let len = most.min(piece.len);
                // SAFETY: the pieces of a list to receive into are writable, and nobody else
                // writes there during the call.
                (Some(unsafe { core::slice::from_raw_parts_mut(piece.base, len) }), len)
            }
            None => (None, most),
        }
    }

    pub(super) fn advance(&mut self, len: usize) {
        if let Some(cursor) = &mut self.cursor {
            cursor.advance(len);
        }
        self.len += len;
        self.work += len;
    }

    /// Takes what an earlier call had received. False: bytes are wanted that were dropped.
    pub(super) fn put(&mut self, chunk: &PartialChunk) -> bool {
        let mut done = 0;
        while done < chunk.len() {
            let (place, len) = self.place(chunk.len() - done);
            match (place, chunk) {
                (Some(place), PartialChunk::Bytes { bytes, given }) => {
                    place.copy_from_slice(&bytes[given + done..given + done + len]);
                }
                (Some(_), PartialChunk::Dropped(_)) => return false,
                (None, _) => {}
            }
            self.advance(len);
            done += len;
        }
        true
    }

    /// Copies what was received so far, for a later call.
    pub(super) fn save(&self) -> Result<Vec<PartialChunk>> {
        let mut saved = Vec::new();
        let mut cursor = self.pieces.map(|pieces| pieces.cursor());
        let mut left = self.len;
        while left > 0 {
            let piece = cursor.as_mut().and_then(Iterator::next);
            let len = piece.map_or(left, |piece| piece.len.min(left));
            let chunk = match piece.filter(|piece| !piece.base.is_null()) {
                Some(piece) => {
                    let mut bytes = Vec::new();
                    // SAFETY: these bytes were written by this call.
                    try_extend(&mut bytes, unsafe { core::slice::from_raw_parts(piece.base, len) })?;
                    PartialChunk::Bytes { bytes, given: 0 }
                }
                None => PartialChunk::Dropped(len),
            };
            saved.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            saved.push(chunk);
            left -= len;
        }
        Ok(saved)
    }
}
