//! WebSocket: pings.

use super::{bytes, socket_call};
use crate::ws::sock;
use core::ffi::{c_int, c_void};

/// Sends a ping of at most 125 bytes, which the peer answers; `ws_info` tells how long that has taken. It
/// leaves between the messages of others.
///
/// Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (too long, NULL with a length), ENOMEM, ENOTSUP, EPIPE (after
/// `ws_done`), ETIMEDOUT.
///
/// # Safety
/// The buffer has `len` bytes, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_ping(s: c_int, buf: *const c_void, len: usize, deadline: i64) -> c_int {
    // SAFETY: the caller's buffer has `len` bytes, or is NULL.
    socket_call(|| sock::ping(s, unsafe { bytes(buf, len) }, deadline))
}

/// Sends a pong of at most 125 bytes that nobody has asked for. Those that were asked for are sent by the
/// library.
///
/// Errors: those of `ws_ping`.
///
/// # Safety
/// The buffer has `len` bytes, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_pong(s: c_int, buf: *const c_void, len: usize, deadline: i64) -> c_int {
    // SAFETY: the caller's buffer has `len` bytes, or is NULL.
    socket_call(|| sock::pong(s, unsafe { bytes(buf, len) }, deadline))
}
