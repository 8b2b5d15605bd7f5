//! What errno cannot say.

use super::{call, rooms, texts};
use crate::error::Errno;
use crate::why;
use crate::ws::handshake::parse_answer_head;
use core::ffi::{c_char, c_int};

/// Says in one line why the last call of this thread on sockets has failed: what rule was broken and by
/// whom, what the server answered. To be read before the next call that waits, and valid until the next
/// call of `ws_errmsg`. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn dill_ws_errmsg() -> *const c_char {
    why::sentence()
}

/// The HTTP status of the answer because of which the last call of this thread on sockets has failed, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn dill_ws_errstatus() -> c_int {
    c_int::from(why::status())
}

/// Stores a field of that answer as a string, as `ws_field` does, and returns its length.
///
/// Errors: EINVAL (NULL), EMSGSIZE (it does not fit, with its NUL), ENOENT (no such field, or no answer).
///
/// # Safety
/// The name is a string or NULL; there is room for `len` bytes, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_errfield(
    name: *const c_char,
    buf: *mut c_char,
    len: usize,
) -> libc::ssize_t {
    // It must not become the failure that it is about.
    call(|| {
        // SAFETY: the caller passes a string, or NULL.
        let [name] = unsafe { texts([name]) };
        // SAFETY: the caller has room for so many bytes, or passes NULL.
        let place = unsafe { rooms([(buf, len)]) };
        let (name, [place]) = (name.ok_or(Errno::EINVAL)?, place?);
        let stored = why::with_head(|head| match parse_answer_head(head) {
            Ok(answer) => answer.store(name, place),
            Err(_) => Err(Errno::ENOENT),
        });
        stored.unwrap_or(Err(Errno::ENOENT))
    })
}
