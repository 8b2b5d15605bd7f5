//! Bytestreams and message sockets of any kind.

use super::{Answer, bytes, room, socket_call};
use crate::iol::IoList;
use crate::sock::call::{self, one_element};
use crate::ws::sock::{self as ws, FastSend};
use core::ffi::{c_int, c_void};

/// Sends `len` bytes on a bytestream: all of them, or it fails. After a failure nothing more can be
/// sent on it.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EFAULT (NULL with a length), ENOMEM, EPIPE (this side is
/// done), ENOTSUP, ETIMEDOUT.
///
/// # Safety
/// The buffer has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_bsend(s: c_int, buf: *const c_void, len: usize, deadline: i64) -> c_int {
    socket_call(|| {
        let mut element = one_element(buf.cast_mut(), len);
        let element = &raw mut element;
        // SAFETY: a list of one element, which is on this stack and has `len` readable bytes or is NULL.
        unsafe { call::bsendl(s, element, element, deadline) }
    })
}

/// Receives exactly `len` bytes from a bytestream, or fails. NULL drops them. After a failure nothing
/// more can be received from it.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, ENOMEM, EPIPE (the peer is done), ENOTSUP, ETIMEDOUT.
///
/// # Safety
/// There is room for `len` bytes, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_brecv(s: c_int, buf: *mut c_void, len: usize, deadline: i64) -> c_int {
    socket_call(|| {
        let mut element = one_element(buf, len);
        let element = &raw mut element;
        // SAFETY: a list of one element, which is on this stack and has `len` writable bytes or is NULL.
        unsafe { call::brecvl(s, element, element, deadline) }
    })
}

/// As `bsend`, from a list of buffers.
///
/// Errors: those of `bsend`, and EINVAL (malformed list).
///
/// # Safety
/// The list and its buffers can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_bsendl(
    s: c_int,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's list and its buffers can be read.
    socket_call(|| unsafe { call::bsendl(s, first, last, deadline) })
}

/// As `brecv`, into a list of buffers. NULL in place of a buffer drops bytes; NULL in place of the list
/// drops all until the end of the stream, which then is the error.
///
/// Errors: those of `brecv`, and EINVAL (malformed list).
///
/// # Safety
/// The list can be read and its buffers written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_brecvl(
    s: c_int,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's list can be read and its buffers written.
    socket_call(|| unsafe { call::brecvl(s, first, last, deadline) })
}

/// Sends a message of `len` bytes.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EFAULT (NULL with a length), EMSGSIZE (too long for this
/// kind of socket), ENOMEM, EPIPE (this side is done), ENOTSUP, ETIMEDOUT.
///
/// # Safety
/// The buffer has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_msend(s: c_int, buf: *const c_void, len: usize, deadline: i64) -> c_int {
    // A WebSocket's short way first: the generic one takes twice as many instructions.
    // SAFETY: the caller's buffer has `len` bytes, or is NULL.
    let sent = match unsafe { bytes(buf, len) } {
        Some(payload) => ws::msend_at_once(s, payload),
        None => FastSend::NotTaken,
    };
    match sent {
        FastSend::Done => 0,
        // SAFETY: this function's contract is the same.
        sent => unsafe { complete_msend(sent, s, buf, len, deadline) },
    }
}

/// # Safety
/// The buffer has `len` bytes.
#[inline(never)]
unsafe fn complete_msend(sent: FastSend, s: c_int, buf: *const c_void, len: usize, deadline: i64) -> c_int {
    socket_call(|| {
        if !matches!(sent, FastSend::NotTaken) {
            // SAFETY: the caller's buffer has `len` bytes.
            return ws::complete_send(sent, s, 0, unsafe { bytes(buf, len) }, deadline);
        }
        let mut element = one_element(buf.cast_mut(), len);
        let element = &raw mut element;
        // SAFETY: a list of one element, which is on this stack and has `len` readable bytes or is NULL.
        unsafe { call::msendl(s, element, element, deadline) }
    })
}

/// Receives a message of at most `len` bytes and returns its size.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EMSGSIZE (the message is longer), ENOMEM, EPIPE (the
/// peer is done), EPROTO, ENOTSUP, ETIMEDOUT.
///
/// # Safety
/// There is room for `len` bytes, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_mrecv(s: c_int, buf: *mut c_void, len: usize, deadline: i64) -> libc::ssize_t {
    // SAFETY: the caller has room for `len` bytes, or passes NULL.
    let place = unsafe { room(buf, len) };
    let received = place.and_then(|place| ws::mrecv_at_once(s, place));
    if let Some(Ok(size)) = received {
        return size.answer();
    }
    socket_call(|| {
        if let Some(received) = received {
            return received;
        }
        let mut element = one_element(buf, len);
        let element = &raw mut element;
        // SAFETY: a list of one element, which is on this stack and has `len` writable bytes or is NULL.
        unsafe { call::mrecvl(s, element, element, deadline) }
    })
}

/// As `msend`, from a list of buffers.
///
/// Errors: those of `msend`, and EINVAL (malformed list).
///
/// # Safety
/// The list and its buffers can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_msendl(
    s: c_int,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's list and its buffers can be read.
    socket_call(|| unsafe { call::msendl(s, first, last, deadline) })
}

/// As `mrecv`, into a list of buffers. NULL in place of a buffer drops bytes; NULL in place of the list
/// drops the message.
///
/// Errors: those of `mrecv`, and EINVAL (malformed list).
///
/// # Safety
/// The list can be read and its buffers written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_mrecvl(
    s: c_int,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> libc::ssize_t {
    // SAFETY: the caller's list can be read and its buffers written.
    socket_call(|| unsafe { call::mrecvl(s, first, last, deadline) })
}
