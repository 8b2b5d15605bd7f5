//! An agreed last message.

use super::types::TermStorage;
use super::{bytes, socket_call};
use crate::error::{Errno, Result};
use crate::sock::layer::close_and_fail;
use crate::term::{self, MAX_TERMINATOR};
use core::ffi::{c_int, c_void};

/// Agrees upon a message of at most 32 bytes with which either side says that it is done; `len` 0 is the
/// empty message. The message socket belongs to the returned handle from then on. If the call fails, the
/// message socket is closed.
///
/// Errors: EBADF, ECANCELED, EINVAL (the terminator), ENOMEM, EPROTO (no message socket).
///
/// # Safety
/// The terminator has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_term_attach(s: c_int, buf: *const c_void, len: usize) -> c_int {
    // SAFETY: the caller's terminator has `len` bytes, or is NULL.
    socket_call(|| unsafe { attach(s, buf, len) })
}

/// As `term_attach`, with memory of the caller's, which must stay until the handle is closed or
/// detached.
///
/// Errors: those of `term_attach`, and EINVAL (no memory given).
///
/// # Safety
/// The terminator has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_term_attach_mem(
    s: c_int,
    buf: *const c_void,
    len: usize,
    mem: *mut TermStorage,
) -> c_int {
    socket_call(|| {
        if mem.is_null() {
            return Err(close_and_fail(s, Errno::EINVAL));
        }
        // SAFETY: the caller's terminator has `len` bytes, or is NULL.
        unsafe { attach(s, buf, len) }
    })
}

unsafe fn attach(s: c_int, terminator: *const c_void, len: usize) -> Result<c_int> {
    if len > MAX_TERMINATOR {
        return Err(close_and_fail(s, Errno::EINVAL));
    }
    // SAFETY: both callers have it from theirs: `len` bytes, or NULL.
    match unsafe { bytes(terminator, len) } {
        Some(terminator) => term::attach(s, terminator),
        None => Err(close_and_fail(s, Errno::EINVAL)),
    }
}

/// Sends the terminator: the peer's receive fails with EPIPE. Receiving goes on as before.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, ENOMEM, ENOTSUP, EPIPE (already done), ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_term_done(s: c_int, deadline: i64) -> c_int {
    socket_call(|| term::done(s, deadline))
}

/// Sends the terminator unless that was done, drops messages until the peer's, and returns the message
/// socket. If the call fails, everything is closed, except after EBADF and ENOTSUP.
///
/// Errors: EBADF, EBUSY (a coroutine is sending or receiving), ECANCELED, ECONNRESET, ENOMEM, ENOTSUP,
/// ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_term_detach(s: c_int, deadline: i64) -> c_int {
    socket_call(|| term::detach(s, deadline))
}
