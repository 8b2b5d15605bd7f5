//! Connecting to names.

use super::{socket_call_clearing_errno, string};
use crate::net::happyeyeballs;
use core::ffi::{c_char, c_int};

/// Connects by TCP to a name, or to an address as text. If the name has several addresses, connections to
/// them are tried one after the other without waiting for the outcome, so that a dead address costs 300 ms
/// and not a timeout (RFC 8305). Returns the connection, as `tcp_connect` does.
///
/// Errors: EACCES, EADDRNOTAVAIL (the name has no address), EAFNOSUPPORT, EAGAIN (no thread to be had),
/// EBADF, ECANCELED, ECONNREFUSED, EHOSTUNREACH, EINVAL (NULL, port not in 1 to 65535), EMFILE,
/// ENETUNREACH, ENFILE, ENOMEM, ETIMEDOUT.
///
/// # Safety
/// The name is a string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_happyeyeballs_connect(
    name: *const c_char,
    port: c_int,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller passes a string, or NULL.
    socket_call_clearing_errno(|| happyeyeballs::connect(unsafe { string(name) }?, port, deadline))
}
