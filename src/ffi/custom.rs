//! For those who write types of handles and sockets of their own: `libdillimpl.h`.

use super::call;
use crate::rt::handle::{self, Hvfs};
use core::ffi::{c_int, c_void};

/// Makes a handle of an object, given its table of functions, which is normally its first field. The
/// object must live until the `close` in its table is called.
///
/// Errors: ECANCELED, EINVAL (NULL, or a function is missing), ENOMEM.
///
/// # Safety
/// The table is NULL, or its functions may be called until the handle is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_hmake(vfs: *mut Hvfs) -> c_int {
    // SAFETY: the caller passes NULL, or functions that may be called until the handle is closed.
    call(|| unsafe { handle::make(vfs) })
}

/// Asks the object behind a handle for the interface that a type stands for. The answer is remembered
/// and must not change while the object lives.
///
/// Errors: EBADF, or what the object's `query` left in errno: ENOTSUP if it has no such interface.
///
/// Returns NULL if it fails.
#[unsafe(no_mangle)]
pub extern "C" fn dill_hquery(h: c_int, r#type: *const c_void) -> *mut c_void {
    call(|| handle::query(h, r#type))
}
