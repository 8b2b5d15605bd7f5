//! What the sections on sockets share: how they call, and their arguments.

use super::{Answer, call, not_null, set_errno};
use crate::error::Result;
use crate::rt::context::Context;
use core::ffi::{CStr, c_char, c_void};
use core::slice;

/// Runs a call on sockets. A success leaves errno at 0 rather than at what the kernel said on the
/// way, such as EAGAIN: there are programs that look at errno alone.
#[inline(always)]
pub(super) fn socket_call<T: Answer>(run: impl FnOnce() -> Result<T>) -> T::C {
    call(|| {
        let value = run()?;
        match Context::existing() {
            // SAFETY: this thread's errno.
            Some(context) => unsafe { context.errno().write(0) },
            None => set_errno(0),
        }
        Ok(value)
    })
}

/// A string argument. EINVAL if NULL.
///
/// # Safety
/// Null, or a string that stays as it is for `'a`.
pub(super) unsafe fn string<'a>(pointer: *const c_char) -> Result<&'a CStr> {
    not_null(pointer)?;
    // SAFETY: by contract, and not null.
    Ok(unsafe { CStr::from_ptr(pointer) })
}

/// A buffer to read from. None if it is NULL but not empty, or larger than memory.
///
/// # Safety
/// Null, or readable for `len` bytes for `'a`.
#[inline]
pub(super) unsafe fn bytes<'a>(pointer: *const c_void, len: usize) -> Option<&'a [u8]> {
    if pointer.is_null() {
        return (len == 0).then_some(&[]);
    }
    if isize::try_from(len).is_err() {
        return None;
    }
    // SAFETY: by contract, not null, and no larger than any object can be.
    Some(unsafe { slice::from_raw_parts(pointer.cast(), len) })
}

/// Stores a result where the caller asked for it; NULL means that it is not wanted.
///
/// # Safety
/// Null, or writable and aligned.
pub(super) unsafe fn store<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: by contract, and not null.
        unsafe { place.write(value) };
    }
}
