//! WebSocket: messages in parts.

use super::{socket_call, store};
use crate::ws::sock;
use core::ffi::{c_int, c_void};

/// When sending: the message is not whole, the next call of the same coroutine goes on with it.
pub const DILL_WS_MORE: c_int = 128;

const _: () = assert!(DILL_WS_MORE == sock::MORE);

/// Receives a part of a message as soon as it is here: at least one byte, and at most `len`; NULL drops them.
/// `*flags` becomes WS_TEXT or WS_BINARY, with WS_MORE until the message has ended, unless it is NULL. 0 is
/// returned if there is nothing but the end.
///
/// Errors: EBADF, EBUSY (another coroutine is receiving), ECANCELED, ECONNRESET (the connection broke
/// without a close frame), EINVAL (no room), ENOMEM, ENOTSUP, EPIPE (the peer sent a close frame, see
/// `ws_status`), EPROTO (the peer broke the protocol), ETIMEDOUT.
///
/// # Safety
/// There is room for `len` bytes and for the flags, or the pointers are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_recvsome(
    s: c_int,
    flags: *mut c_int,
    buf: *mut c_void,
    len: usize,
    deadline: i64,
) -> libc::ssize_t {
    socket_call(|| {
        // No buffer is larger than half of the address space.
        let len = len.min(isize::MAX as usize);
        // SAFETY: the caller has room for `len` bytes, or passes NULL.
        let (kind, size) = unsafe { sock::recv_some(s, buf, len, deadline) }?;
        // SAFETY: the caller has room for the flags, or passes NULL.
        unsafe { store(flags, kind) };
        Ok(size)
    })
}
