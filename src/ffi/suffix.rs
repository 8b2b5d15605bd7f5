//! Messages before a delimiter.

use super::types::SuffixStorage;
use super::{bytes, socket_call};
use crate::error::{Errno, Result};
use crate::sock::layer::close_and_fail;
use crate::suffix;
use crate::transport::delimiter::MAX_DELIMITER;
use core::ffi::{c_int, c_void};

/// Makes a message socket of a bytestream: behind each message goes a delimiter of 1 to 32 bytes, such
/// as "\r\n". Messages are not searched for it when they are sent. The bytestream belongs to the returned
/// handle from then on. If the call fails, the bytestream is closed.
///
/// Errors: EBADF, ECANCELED, EINVAL (the delimiter), ENOMEM, EPROTO (no bytestream).
///
/// # Safety
/// The delimiter has `suffixlen` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_suffix_attach(s: c_int, suffix: *const c_void, suffixlen: usize) -> c_int {
    // SAFETY: the caller's delimiter has `suffixlen` bytes, or is NULL.
    socket_call(|| unsafe { attach(s, suffix, suffixlen) })
}

/// As `suffix_attach`, with memory of the caller's, which must stay until the handle is closed or
/// detached.
///
/// Errors: those of `suffix_attach`, and EINVAL (no memory given).
///
/// # Safety
/// The delimiter has `suffixlen` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_suffix_attach_mem(
    s: c_int,
    suffix: *const c_void,
    suffixlen: usize,
    mem: *mut SuffixStorage,
) -> c_int {
    socket_call(|| {
        if mem.is_null() {
            return Err(close_and_fail(s, Errno::EINVAL));
        }
        // SAFETY: the caller's delimiter has `suffixlen` bytes, or is NULL.
        unsafe { attach(s, suffix, suffixlen) }
    })
}

unsafe fn attach(s: c_int, delimiter: *const c_void, len: usize) -> Result<c_int> {
    if len > MAX_DELIMITER {
        return Err(close_and_fail(s, Errno::EINVAL));
    }
    // SAFETY: both callers have it from theirs: `len` bytes, or NULL.
    match unsafe { bytes(delimiter, len) } {
        Some(delimiter) => suffix::attach(s, delimiter),
        None => Err(close_and_fail(s, Errno::EINVAL)),
    }
}

/// Returns the bytestream, behind the last message that was received. Nothing is sent or received. If
/// the call fails, everything is closed, except after EBADF and ENOTSUP.
///
/// Errors: EBADF, EBUSY (a coroutine is sending or receiving), ECONNRESET (a message was left half sent
/// or received, or the bytestream is at its end), ENOMEM, ENOTSUP.
#[unsafe(no_mangle)]
pub extern "C" fn dill_suffix_detach(s: c_int, deadline: i64) -> c_int {
    let _ = deadline;
    socket_call(|| suffix::detach(s))
}
