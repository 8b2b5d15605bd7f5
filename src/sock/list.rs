//! Lists that protocols pass down: parts of their own before or behind the caller's.
//!
//! The caller's elements are copied and never changed: he may be using the same list in another
//! call that waits.

use super::call::{self, one_element};
use crate::error::{Errno, Result};
use crate::iol::{Cursor, IoList, Pieces};
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr;

/// How many elements find room without an allocation.
const INLINE: usize = 4;

struct InlineList {
    inline: [IoList; INLINE],
    /// All elements, once there are more than `INLINE`.
    spilled: Vec<IoList>,
    len: usize,
}

impl InlineList {
    fn new() -> InlineList {
        InlineList { inline: [one_element(ptr::null_mut(), 0); INLINE], spilled: Vec::new(), len: 0 }
    }

    fn push(&mut self, base: *mut c_void, len: usize) -> Result<()> {
        let element = one_element(base, len);
        if self.len < INLINE {
            self.inline[self.len] = element;
        } else {
            self.spilled.try_reserve(self.len + 1 - self.spilled.len()).map_err(|_| Errno::ENOMEM)?;
            if self.len == INLINE {
                self.spilled.extend_from_slice(&self.inline);
            }
            self.spilled.push(element);
        }
        self.len += 1;
        Ok(())
    }

    fn push_pieces(&mut self, pieces: Cursor<'_>, mut most: usize) -> Result<()> {
        for piece in pieces {
            if most == 0 {
                break;
            }
            let len = piece.len.min(most);
            self.push(piece.base.cast(), len)?;
            most -= len;
        }
        Ok(())
    }

    /// Links the elements, at least one, and returns the first and the last.
    fn ends(&mut self) -> (*mut IoList, *mut IoList) {
        self.len = self.len.max(1);
        let elements = if self.len > INLINE { &mut self.spilled[..] } else { &mut self.inline[..self.len] };
        let (mut next, mut last) = (ptr::null_mut(), ptr::null_mut::<IoList>());
        for element in elements.iter_mut().rev() {
            element.iol_next = next;
            next = ptr::from_mut(element);
            if last.is_null() {
                last = next;
            }
        }
        (next, last)
    }
}

/// A list to send from.
pub(crate) struct OutgoingList<'a> {
    list: InlineList,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> OutgoingList<'a> {
    /// No bytes so far.
    pub(crate) fn new() -> OutgoingList<'a> {
        OutgoingList { list: InlineList::new(), bytes: PhantomData }
    }

    /// Adds bytes. ENOMEM.
    pub(crate) fn bytes(&mut self, bytes: &'a [u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.list.push(bytes.as_ptr().cast_mut().cast(), bytes.len())
    }

    /// Adds the caller's list. ENOMEM.
    pub(crate) fn pieces(&mut self, pieces: Pieces<'a>) -> Result<()> {
        self.list.push_pieces(pieces.cursor(), usize::MAX)
    }

    /// Sends it on a bytestream, in one call.
    pub(crate) fn send_bytes(mut self, s: c_int, deadline: i64) -> Result<()> {
        let (first, last) = self.list.ends();
        // SAFETY: the elements are linked and stay where they are; what they show is readable.
        unsafe { call::bsendl(s, first, last, deadline) }
    }

    /// Sends it as a message.
    pub(crate) fn send_message(mut self, s: c_int, deadline: i64) -> Result<()> {
        let (first, last) = self.list.ends();
        // SAFETY: as above.
        unsafe { call::msendl(s, first, last, deadline) }
    }
}

/// A list to receive into.
pub(crate) struct IncomingList<'a> {
    list: InlineList,
    places: PhantomData<&'a mut [u8]>,
}

impl<'a> IncomingList<'a> {
    /// Room for nothing so far.
    pub(crate) fn new() -> IncomingList<'a> {
        IncomingList { list: InlineList::new(), places: PhantomData }
    }

    /// Adds room. ENOMEM.
    pub(crate) fn place(&mut self, place: &'a mut [u8]) -> Result<()> {
        self.list.push(place.as_mut_ptr().cast(), place.len())
    }

    /// Adds bytes that will be dropped. ENOMEM.
    pub(crate) fn skip(&mut self, len: usize) -> Result<()> {
        self.list.push(ptr::null_mut(), len)
    }

    /// Adds at most `most` bytes of the caller's list, from a position on. ENOMEM.
    pub(crate) fn pieces(&mut self, pieces: Cursor<'a>, most: usize) -> Result<()> {
        self.list.push_pieces(pieces, most)
    }

    /// Fills it from a bytestream.
    pub(crate) fn receive_bytes(mut self, s: c_int, deadline: i64) -> Result<()> {
        let (first, last) = self.list.ends();
        // SAFETY: the elements are linked and stay where they are; what they show is writable.
        unsafe { call::brecvl(s, first, last, deadline) }
    }

    /// Receives a message into it and returns the message's size.
    pub(crate) fn receive_message(mut self, s: c_int, deadline: i64) -> Result<usize> {
        let (first, last) = self.list.ends();
        // SAFETY: as above.
        unsafe { call::mrecvl(s, first, last, deadline) }
    }
}

/// Receives a message, drops it and returns its size.
pub(crate) fn drop_message(s: c_int, deadline: i64) -> Result<usize> {
    // SAFETY: there is no list.
    unsafe { call::mrecvl(s, ptr::null_mut(), ptr::null_mut(), deadline) }
}

impl Default for IncomingList<'_> {
    fn default() -> Self {
        IncomingList::new()
    }
}

impl Default for OutgoingList<'_> {
    fn default() -> Self {
        OutgoingList::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_in_order_however_many_there_are() {
        for count in 1..40 {
            let bytes: Vec<u8> = (0..count).collect();
            let mut list = OutgoingList::new();
            for index in 0..bytes.len() {
                list.bytes(&bytes[index..=index]).unwrap();
            }
            let (first, last) = list.list.ends();
            // SAFETY: the list was just linked, and `bytes` is alive.
            let pieces = unsafe { Pieces::to_send(first, last) }.unwrap();
            // SAFETY: each piece is one of the bytes.
            let seen: Vec<u8> = pieces.cursor().map(|piece| unsafe { *piece.base }).collect();
            assert_eq!(seen, bytes);
        }
    }

    #[test]
    fn a_list_is_never_without_elements() {
        let (first, last) = InlineList::new().ends();
        assert!(!first.is_null() && first == last);
    }
}
