//! WebSocket: one message to many.

use super::{bytes, not_null, socket_call};
use crate::error::{Errno, Result};
use crate::ws::sock;
use core::ffi::{c_int, c_void};
use core::slice;

/// Sends one message to each of the `n` WebSockets in `s`, without waiting for any. `flags` is as for `ws_send`,
/// but without WS_MORE. What a socket does not take at once stays queued behind it, all of them sharing one copy; a
/// socket that has more than `max_backlog` bytes queued already gets nothing of the message. Returns how many have
/// taken it. Other coroutines run meanwhile if it takes longer than a time slice; the message is for those who had the
/// handles when the call began.
/// `errors`, unless it is NULL, has room for `n` results: 0, EAGAIN (too much is queued), EBADF, ECANCELED (the caller was
/// cancelled before that one had its turn), ECONNRESET, ENOMEM, ENOTSUP (no WebSocket, or one on a bytestream that is not
/// the library's), EPIPE (after `ws_done`). What is sent later goes behind the queue.
///
/// Errors: ECANCELED (while a long message is made ready), EINVAL (NULL, a negative number, unknown flags), ENOMEM.
///
/// # Safety
/// There are `n` handles and room for `n` results, and the buffer has `len` bytes, or the pointers are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_broadcast(
    s: *const c_int,
    n: c_int,
    flags: c_int,
    buf: *const c_void,
    len: usize,
    max_backlog: usize,
    errors: *mut c_int,
) -> c_int {
    socket_call(|| {
        let count = usize::try_from(n).map_err(|_| Errno::EINVAL)?;
        let handles: &[c_int] = if count == 0 {
            &[]
        } else {
            not_null(s)?;
            // SAFETY: not null, and the caller has `n` handles there.
            unsafe { slice::from_raw_parts(s, count) }
        };
        // SAFETY: the caller's buffer has `len` bytes, or is NULL.
        let payload = unsafe { bytes(buf, len) };
        if errors.is_null() {
            return sock::broadcast(handles, flags, payload, max_backlog, |_, _| {});
        }
        sock::broadcast(handles, flags, payload, max_backlog, |index, result: Result<()>| {
            let code = result.map_or_else(Errno::code, |()| 0);
            // SAFETY: not null, and the caller has room for a result for each handle, of which this is one.
            unsafe { errors.wrapping_add(index).write(code) };
        })
    })
}
