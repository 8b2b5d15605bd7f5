//! The generic calls: find the function table of whatever a handle is, and call it.

use super::{BSOCK_TYPE, BsockVfs, MSOCK_TYPE, MsockVfs};
use crate::error::{self, Errno, Result};
use crate::iol::IoList;
use crate::rt::handle;
use core::ffi::{c_int, c_void};
use core::ptr;

/// A list of one element on the caller's stack.
pub(crate) fn one_element(base: *mut c_void, len: usize) -> IoList {
    IoList { iol_base: base, iol_len: len, iol_next: ptr::null_mut(), iol_rsvd: 0 }
}

/// Whether the ends of a list can be right; the rest is checked by whoever walks it.
///
/// # Safety
/// `last` is null or readable.
unsafe fn check_ends(first: *mut IoList, last: *mut IoList) -> Result<()> {
    // SAFETY: `last` is null or readable, as the caller says.
    match unsafe { last.as_ref() } {
        Some(last) if !first.is_null() && last.iol_next.is_null() => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// The same for receiving, where no list at all means "drop what comes".
unsafe fn check_receive_ends(first: *mut IoList, last: *mut IoList) -> Result<()> {
    if first.is_null() && last.is_null() {
        return Ok(());
    }
    // SAFETY: null or readable, as the callers say of their lists.
    unsafe { check_ends(first, last) }
}

/// Sends a list on a bytestream of any kind.
///
/// # Safety
/// The list is alive, and its bytes readable.
pub(crate) unsafe fn bsendl(s: c_int, first: *mut IoList, last: *mut IoList, deadline: i64) -> Result<()> {
    let vfs = handle::query(s, BSOCK_TYPE.get())?.cast::<BsockVfs>();
    // SAFETY: the caller's list is alive, its last element too.
    unsafe { check_ends(first, last) }?;
    // SAFETY: the table of an open handle is alive.
    let function = unsafe { (*vfs).bsendl }.ok_or(Errno::ENOTSUP)?;
    // SAFETY: the object's functions are called with its own table.
    error::check(unsafe { function(vfs, first, last, deadline) }).map(|_| ())
}

/// Receives into a list from a bytestream of any kind.
///
/// # Safety
/// The list is alive, and its bytes writable.
pub(crate) unsafe fn brecvl(s: c_int, first: *mut IoList, last: *mut IoList, deadline: i64) -> Result<()> {
    let vfs = handle::query(s, BSOCK_TYPE.get())?.cast::<BsockVfs>();
    // SAFETY: the caller's list is alive, its last element too.
    unsafe { check_receive_ends(first, last) }?;
    // SAFETY: the table of an open handle is alive.
    let function = unsafe { (*vfs).brecvl }.ok_or(Errno::ENOTSUP)?;
    // SAFETY: the object's functions are called with its own table.
    error::check(unsafe { function(vfs, first, last, deadline) }).map(|_| ())
}

/// Sends a message on a message socket of any kind.
///
/// # Safety
/// The list is alive, and its bytes readable.
pub(crate) unsafe fn msendl(s: c_int, first: *mut IoList, last: *mut IoList, deadline: i64) -> Result<()> {
    let vfs = handle::query(s, MSOCK_TYPE.get())?.cast::<MsockVfs>();
    // SAFETY: the caller's list is alive, its last element too.
    unsafe { check_ends(first, last) }?;
    // SAFETY: the table of an open handle is alive.
    let function = unsafe { (*vfs).msendl }.ok_or(Errno::ENOTSUP)?;
    // SAFETY: the object's functions are called with its own table.
    error::check(unsafe { function(vfs, first, last, deadline) }).map(|_| ())
}

/// Receives a message from a message socket of any kind; returns its size.
///
/// # Safety
/// The list is alive, and its bytes writable.
pub(crate) unsafe fn mrecvl(s: c_int, first: *mut IoList, last: *mut IoList, deadline: i64) -> Result<usize> {
    let vfs = handle::query(s, MSOCK_TYPE.get())?.cast::<MsockVfs>();
    // SAFETY: the caller's list is alive, its last element too.
    unsafe { check_receive_ends(first, last) }?;
    // SAFETY: the table of an open handle is alive.
    let function = unsafe { (*vfs).mrecvl }.ok_or(Errno::ENOTSUP)?;
    // SAFETY: the object's functions are called with its own table.
    error::check_size(unsafe { function(vfs, first, last, deadline) })
}

/// Sends bytes on a bytestream of any kind.
pub(crate) fn send_all(s: c_int, bytes: &[u8], deadline: i64) -> Result<()> {
    let mut element = one_element(bytes.as_ptr().cast_mut().cast(), bytes.len());
    let element = &raw mut element;
    // SAFETY: one element on this stack; a sender only reads its bytes.
    unsafe { bsendl(s, element, element, deadline) }
}

/// How much is received at a time from a bytestream of the program's, whose calls take all or nothing, in bytes.
const PIECE: usize = 4096;

/// Receives a piece of at most `most` bytes behind what a vector has, and says how long it is. Nothing is received for
/// which there is no room: ENOMEM.
pub(crate) fn recv_behind(s: c_int, bytes: &mut Vec<u8>, most: usize, deadline: i64) -> Result<usize> {
    let (have, len) = (bytes.len(), most.min(PIECE));
    bytes.try_reserve(len).map_err(|_| Errno::ENOMEM)?;
    bytes.resize(have + len, 0);
    let received = recv_all(s, &mut bytes[have..], deadline);
    received.inspect_err(|_| bytes.truncate(have))?;
    Ok(len)
}

/// Fills a buffer from a bytestream of any kind.
pub(crate) fn recv_all(s: c_int, bytes: &mut [u8], deadline: i64) -> Result<()> {
    let mut element = one_element(bytes.as_mut_ptr().cast(), bytes.len());
    let element = &raw mut element;
    // SAFETY: one element on this stack, with room for the bytes.
    unsafe { brecvl(s, element, element, deadline) }
}
