//! I/O lists: one range of bytes, scattered over several buffers.

use crate::error::{Errno, Result};
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr;

/// An element, as C passes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IoList {
    /// The bytes. NULL when receiving: skip them.
    pub iol_base: *mut c_void,
    /// How many.
    pub iol_len: usize,
    /// The next element, NULL at the end.
    pub iol_next: *mut IoList,
    /// 0.
    pub iol_rsvd: c_int,
}

/// No buffer is larger than half of the address space, in bytes.
const MAX_LEN: usize = isize::MAX as usize;

/// A piece of a list.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    /// Null: nothing to read from or write to.
    pub base: *mut u8,
    /// In bytes.
    pub len: usize,
}

/// A list that was checked: it ends, and its elements are readable.
#[derive(Clone, Copy)]
pub(crate) struct Pieces<'a> {
    first: *const IoList,
    last: *const IoList,
    total: usize,
    list: PhantomData<&'a IoList>,
}

impl<'a> Pieces<'a> {
    /// A list of one element.
    ///
    /// # Safety
    /// Its bytes are readable for `'a`, or writable if they are received. NULL drops what is received.
    pub(crate) unsafe fn one(element: &'a IoList) -> Pieces<'a> {
        Pieces { first: element, last: element, total: element.iol_len, list: PhantomData }
    }

    /// Checks a list to send from: it leads from `first` to `last` and nowhere else, and no element is larger than
    /// any object can be. EINVAL.
    ///
    /// # Safety
    /// The elements are alive and unchanged for `'a`, and their bytes readable.
    pub(crate) unsafe fn to_send(first: *const IoList, last: *const IoList) -> Result<Pieces<'a>> {
        // SAFETY: the caller answers for the elements.
        unsafe { Pieces::check(first, last, true) }
    }

    /// Checks a list to receive into. It may end before `last`: protocols in the wild shorten a
    /// list by cutting a link. EINVAL.
    ///
    /// # Safety
    /// The elements are alive and unchanged for `'a`, and their bytes writable.
    pub(crate) unsafe fn to_receive(first: *const IoList, last: *const IoList) -> Result<Pieces<'a>> {
        // SAFETY: the caller answers for the elements.
        unsafe { Pieces::check(first, last, false) }
    }

    unsafe fn check(first: *const IoList, last: *const IoList, strict: bool) -> Result<Pieces<'a>> {
        if first.is_null() || last.is_null() {
            return Err(Errno::EINVAL);
        }
        let mut total: usize = 0;
        // Brent's cycle detection: nothing in the list is written to.
        let (mut anchor, mut steps, mut limit) = (first, 0_usize, 8_usize);
        let mut next = first;
        loop {
            // SAFETY: the elements that a list leads to are alive, as the callers' callers say.
            let element = unsafe { &*next };
            if element.iol_rsvd != 0 || (strict && element.iol_len > MAX_LEN) {
                return Err(Errno::EINVAL);
            }
            total = total.saturating_add(element.iol_len);
            if element.iol_next.is_null() {
                if strict && !ptr::eq(next, last) {
                    return Err(Errno::EINVAL);
                }
                return Ok(Pieces { first, last: next, total, list: PhantomData });
            }
            if ptr::eq(next, last) {
                return Err(Errno::EINVAL);
            }
            next = element.iol_next;
            if ptr::eq(next, anchor) {
                return Err(Errno::EINVAL);
            }
            steps += 1;
            if steps == limit {
                (anchor, steps, limit) = (next, 0, limit * 2);
            }
        }
    }

    /// The bytes in all elements; `usize::MAX` if there are more.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// The first and the last element.
    pub(crate) fn ends(&self) -> (*const IoList, *const IoList) {
        (self.first, self.last)
    }

    /// The only element, if there is but one and it is somewhere.
    #[inline]
    pub(crate) fn single(&self) -> Option<Piece> {
        // SAFETY: a checked list is alive.
        let element = unsafe { self.first.as_ref() }?;
        let only = ptr::eq(self.first, self.last) && !element.iol_base.is_null();
        only.then_some(Piece { base: element.iol_base.cast(), len: element.iol_len.min(MAX_LEN) })
    }

    /// Whether bytes are promised where there are none.
    #[inline]
    pub(crate) fn has_null(&self) -> bool {
        self.single().is_none() && self.cursor().any(|piece| piece.base.is_null())
    }

    /// A position at the front.
    pub(crate) fn cursor(&self) -> Cursor<'a> {
        Cursor { next: self.first, used: 0, list: PhantomData }
    }
}

/// A position in a list.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    next: *const IoList,
    /// How much of `next` is behind us.
    used: usize,
    list: PhantomData<&'a IoList>,
}

impl Cursor<'_> {
    /// The rest of the element at this position, or so much of it as an object can have, which is not empty; None
    /// at the end.
    pub(crate) fn piece(&mut self) -> Option<Piece> {
        loop {
            // SAFETY: a checked list is alive and ends.
            let element = unsafe { self.next.as_ref() }?;
            let len = (element.iol_len - self.used).min(MAX_LEN);
            if len > 0 {
                let base = element.iol_base.cast::<u8>();
                let base = if base.is_null() { base } else { base.wrapping_add(self.used) };
                return Some(Piece { base, len });
            }
            self.next = element.iol_next;
            self.used = 0;
        }
    }

    /// Moves on by at most the rest of the present element.
    pub(crate) fn advance(&mut self, len: usize) {
        self.used += len;
    }

    /// Moves on by any number of bytes.
    pub(crate) fn jump(&mut self, mut len: usize) {
        while len > 0 {
            let Some(piece) = self.piece() else { return };
            let step = piece.len.min(len);
            self.advance(step);
            len -= step;
        }
    }
}

impl Iterator for Cursor<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let piece = self.piece()?;
        self.advance(piece.len);
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(lens: &[usize]) -> Vec<IoList> {
        let mut list: Vec<IoList> = lens
            .iter()
            .map(|&len| IoList {
                iol_base: ptr::dangling_mut::<u8>().cast(),
                iol_len: len,
                iol_next: ptr::null_mut(),
                iol_rsvd: 0,
            })
            .collect();
        link(&mut list, |index| (index + 1 < lens.len()).then_some(index + 1));
        list
    }

    /// The list is not to be changed afterwards, or the pointers in it are not valid any more.
    fn link(list: &mut [IoList], next: impl Fn(usize) -> Option<usize>) {
        let (len, base) = (list.len(), list.as_mut_ptr());
        for index in 0..len {
            let next = next(index).map_or(ptr::null_mut(), |next| base.wrapping_add(next));
            // SAFETY: an element of the slice, which nobody else is using.
            unsafe { (*base.wrapping_add(index)).iol_next = next };
        }
    }

    fn check(list: &[IoList], last: usize, strict: bool) -> Result<usize> {
        // SAFETY: the list is alive, and no byte of it is touched.
        unsafe { Pieces::check(&raw const list[0], &raw const list[last], strict) }.map(|p| p.total())
    }

    #[test]
    fn adds_up_what_it_finds() {
        let list = chain(&[3, 0, 4]);
        assert_eq!(check(&list, 2, true), Ok(7));
        assert_eq!(check(&chain(&[usize::MAX, 9]), 1, false), Ok(usize::MAX));
    }

    #[test]
    fn refuses_cycles_of_every_length_and_marks_and_wrong_ends() {
        for length in 1..40 {
            for back in 0..length {
                let mut list = chain(&vec![1; length]);
                link(&mut list, |index| Some(if index + 1 == length { back } else { index + 1 }));
                let stranger = chain(&[1]);
                // SAFETY: the list is alive, and no byte of it is touched.
                let result = unsafe { Pieces::check(&raw const list[0], &raw const stranger[0], false) };
                assert!(result.is_err());
            }
        }
        let mut list = chain(&[1, 1, 1]);
        assert!(check(&list, 1, true).is_err());
        list[1].iol_rsvd = 1;
        link(&mut list, |index| (index < 2).then_some(index + 1));
        assert!(check(&list, 2, true).is_err());
    }

    #[test]
    fn what_is_larger_than_any_object_is_not_sent_and_received_as_far_as_it_goes() {
        let list = chain(&[MAX_LEN + 1]);
        assert_eq!(check(&list, 0, true), Err(Errno::EINVAL));
        assert_eq!(check(&list, 0, false), Ok(MAX_LEN + 1));
        // SAFETY: the list is alive, and no byte of it is touched.
        let pieces = unsafe { Pieces::to_receive(&raw const list[0], &raw const list[0]) }.unwrap();
        assert_eq!(pieces.single().map(|piece| piece.len), Some(MAX_LEN));
        assert_eq!(pieces.cursor().map(|piece| piece.len).collect::<Vec<_>>(), [MAX_LEN, 1]);
        assert_eq!(check(&chain(&[MAX_LEN, MAX_LEN]), 1, true), Ok(usize::MAX - 1));
    }

    #[test]
    fn a_receive_list_may_end_early() {
        let mut list = chain(&[1, 1, 1]);
        link(&mut list, |index| (index == 0).then_some(1));
        assert_eq!(check(&list, 2, false), Ok(2));
        assert!(check(&list, 2, true).is_err());
    }
}
