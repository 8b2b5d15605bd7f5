//! A frame on its way out, with its payload where the caller has it.

use crate::error::{Errno, Result};
use crate::iol::{IoList, Pieces};
use crate::sock::call;
use crate::transport::CustomStream;
use crate::ws::encoder::Frame;

/// How much of a masked frame is prepared for a custom bytestream at a time, in bytes.
const CUSTOM_PIECE: usize = 64 * 1024;

/// A frame that is being sent.
pub(super) struct Outgoing<'a> {
    pub(super) frame: Frame,
    pub(super) payload: Pieces<'a>,
}

impl Outgoing<'_> {
    /// None if it does not fit in memory.
    pub(super) fn len(&self) -> Option<usize> {
        self.payload.total().checked_add(self.frame.header().len())
    }

    /// Writes the whole frame to a place that has room for it and a few bytes more; returns its
    /// length.
    #[inline(always)]
    pub(super) fn write_whole(&self, place: &mut [u8]) -> usize {
        let Some(piece) = self.payload.single() else {
            return self.write(0, place);
        };
        // SAFETY: the pieces of a list to send are readable.
        let payload = unsafe { core::slice::from_raw_parts(piece.base, piece.len) };
        self.frame.write(place, payload)
    }

    /// Writes the bytes of the frame from `from` on, masked if need be; returns how many fit.
    pub(super) fn write(&self, from: usize, place: &mut [u8]) -> usize {
        let header = self.frame.header();
        let mut filled = 0;
        if from < header.len() {
            filled = (header.len() - from).min(place.len());
            place[..filled].copy_from_slice(&header[from..from + filled]);
        }
        let mut offset = from.saturating_sub(header.len());
        let mut cursor = self.payload.cursor();
        cursor.jump(offset);
        while let Some(piece) = cursor.piece() {
            let len = piece.len.min(place.len() - filled);
            if len == 0 {
                break;
            }
            // SAFETY: the pieces of a list to send are readable.
            let bytes = unsafe { core::slice::from_raw_parts(piece.base, len) };
            self.frame.write_payload(&mut place[filled..filled + len], bytes, offset);
            cursor.advance(len);
            offset = offset.wrapping_add(len);
            filled += len;
        }
        filled
    }

    /// Sends the whole to a custom bytestream.
    pub(super) fn send_to(&self, custom: &CustomStream, len: usize, deadline: i64) -> Result<()> {
        if self.frame.is_masked() {
            self.send_masked(custom, len, deadline)
        } else {
            self.send_plain(custom, deadline)
        }
    }

    /// The header in front of the caller's own list.
    fn send_plain(&self, custom: &CustomStream, deadline: i64) -> Result<()> {
        let mut header = element_of(self.frame.header());
        let (first, last) = self.payload.ends();
        header.iol_next = first.cast_mut();
        // SAFETY: the header is on this stack, and the list behind it was checked.
        unsafe { call::bsendl(custom.handle(), &raw mut header, last.cast_mut(), deadline) }
    }

    /// Masked copies, since the caller's memory is never written to.
    fn send_masked(&self, custom: &CustomStream, len: usize, deadline: i64) -> Result<()> {
        let mut copy = Vec::new();
        let mut done = 0;
        while done < len {
            let size = CUSTOM_PIECE.min(len - done);
            if copy.len() < size {
                copy.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
                copy.resize(size, 0);
            }
            let filled = self.write(done, &mut copy[..size]);
            call::send_all(custom.handle(), &copy[..filled], deadline)?;
            done += filled;
        }
        Ok(())
    }
}

/// A list of one element over bytes that are only read.
pub(super) fn element_of(bytes: &[u8]) -> IoList {
    call::one_element(bytes.as_ptr().cast_mut().cast(), bytes.len())
}
