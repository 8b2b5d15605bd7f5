//! Messages behind their length.

use super::socket_call;
use super::types::PrefixStorage;
use crate::error::Errno;
use crate::prefix;
use crate::sock::layer::close_and_fail;
use core::ffi::c_int;

/// The length is sent with its highest byte first.
pub const DILL_PREFIX_BIG_ENDIAN: c_int = 0;
/// The length is sent with its lowest byte first.
pub const DILL_PREFIX_LITTLE_ENDIAN: c_int = 1;

const _: () = assert!(DILL_PREFIX_BIG_ENDIAN == prefix::BIG_ENDIAN);
const _: () = assert!(DILL_PREFIX_LITTLE_ENDIAN == prefix::LITTLE_ENDIAN);

/// Makes a message socket of a bytestream: before each message goes its length, in `hdrlen` bytes (1
/// to 255). `flags` is PREFIX_BIG_ENDIAN or PREFIX_LITTLE_ENDIAN. The bytestream belongs to the returned
/// handle from then on. If the call fails, the bytestream is closed.
///
/// Errors: EBADF, ECANCELED, EINVAL (hdrlen), ENOMEM, EPROTO (no bytestream).
#[unsafe(no_mangle)]
pub extern "C" fn dill_prefix_attach(s: c_int, hdrlen: usize, flags: c_int) -> c_int {
    socket_call(|| prefix::attach(s, hdrlen, flags))
}

/// As `prefix_attach`, with memory of the caller's, which must stay until the handle is closed or
/// detached.
///
/// Errors: those of `prefix_attach`, and EINVAL (no memory given).
#[unsafe(no_mangle)]
pub extern "C" fn dill_prefix_attach_mem(
    s: c_int,
    hdrlen: usize,
    flags: c_int,
    mem: *mut PrefixStorage,
) -> c_int {
    socket_call(|| {
        if mem.is_null() {
            return Err(close_and_fail(s, Errno::EINVAL));
        }
        prefix::attach(s, hdrlen, flags)
    })
}

/// Returns the bytestream, behind the last message that was received. Nothing is sent or received. If
/// the call fails, everything is closed, except after EBADF and ENOTSUP.
///
/// Errors: EBADF, EBUSY (a coroutine is sending or receiving), ECONNRESET (a message was left half sent
/// or received, or the bytestream is at its end), ENOMEM, ENOTSUP.
#[unsafe(no_mangle)]
pub extern "C" fn dill_prefix_detach(s: c_int) -> c_int {
    socket_call(|| prefix::detach(s))
}
