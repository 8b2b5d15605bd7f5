//! Places where a tracer can look in: USDT probes, which perf, bpftrace, gdb and SystemTap find in the library's
//! notes. One that nobody looks at is a `nop`, and no more.
//!
//! A connection is told by a number that is its own as long as it lives.

use crate::error::Errno;
use core::ffi::c_int;
use core::ptr;

/// A stream has become a handle, by connecting or accepting.
pub(crate) fn stream(handle: c_int, fd: c_int) {
    probe::probe!(libdill, stream, handle, fd);
}

/// A WebSocket has become a handle.
pub(crate) fn handshake<T>(connection: &T, handle: c_int, is_server: bool, compresses: bool) {
    let connection = ptr::from_ref(connection);
    probe::probe!(libdill, handshake, connection, handle, c_int::from(is_server), c_int::from(compresses));
}

/// A message was sent, or waits to leave; it has so many bytes, or its last part has.
#[inline(always)]
pub(crate) fn message_sent<T>(connection: &T, len: u64) {
    probe::probe!(libdill, message_sent, ptr::from_ref(connection), len);
}

/// A message of so many bytes was received.
#[inline(always)]
pub(crate) fn message_received<T>(connection: &T, len: u64) {
    probe::probe!(libdill, message_received, ptr::from_ref(connection), len);
}

/// A close frame leaves; code 0 if it has none.
pub(crate) fn close_sent<T>(connection: &T, code: u16) {
    probe::probe!(libdill, close_sent, ptr::from_ref(connection), code);
}

/// The peer's close frame has come; code 0 if it had none.
pub(crate) fn close_received<T>(connection: &T, code: u16) {
    probe::probe!(libdill, close_received, ptr::from_ref(connection), code);
}

/// A call on sockets returns with an error.
pub(crate) fn error(error: Errno) {
    probe::probe!(libdill, error, error.code());
}
