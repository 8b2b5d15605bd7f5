//! Handles.

use super::call;
use crate::rt::handle;
use core::ffi::c_int;

/// Moves an object to a new handle, which is returned. The old one is invalid from then on, whatever
/// happens: if no new handle can be had, the object is closed.
///
/// Errors: EBADF, ECANCELED, ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn dill_hown(h: c_int) -> c_int {
    call(|| handle::own(h))
}

/// Closes a handle and everything that belongs to it. Closing a bundle cancels its coroutines and
/// waits until they have ended; a connection is cut off at once. Works in cancelled coroutines too.
///
/// Errors: EBADF.
#[unsafe(no_mangle)]
pub extern "C" fn dill_hclose(h: c_int) -> c_int {
    call(|| handle::close(h))
}
