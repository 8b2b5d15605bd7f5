//! Where the bytes of a received message go: the caller's list, or nowhere.

use crate::error::{Errno, Result};
use crate::iol::{Cursor, Pieces};
use core::ptr;

/// A list that is being filled.
pub(crate) struct Sink<'a> {
    /// None: everything is dropped.
    cursor: Option<Cursor<'a>>,
    room: usize,
    len: usize,
}

impl<'a> Sink<'a> {
    /// None: drops a message of any length.
    pub(crate) fn new(pieces: Option<Pieces<'a>>) -> Sink<'a> {
        Sink {
            cursor: pieces.map(|pieces| pieces.cursor()),
            room: pieces.map_or(usize::MAX, |pieces| pieces.total()),
            len: 0,
        }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds bytes. EMSGSIZE, and nothing added, if they do not fit.
    pub(crate) fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        if bytes.len() > self.room - self.len {
            return Err(Errno::EMSGSIZE);
        }
        self.len += bytes.len();
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        while !bytes.is_empty() {
            let piece = cursor.piece().ok_or(Errno::EMSGSIZE)?;
            let (now, later) = bytes.split_at(piece.len.min(bytes.len()));
            if !piece.base.is_null() {
                // SAFETY: the pieces of a list to receive into are writable, and they are not the
                // library's own memory.
                unsafe { ptr::copy_nonoverlapping(now.as_ptr(), piece.base, now.len()) };
            }
            cursor.advance(now.len());
            bytes = later;
        }
        Ok(())
    }
}
