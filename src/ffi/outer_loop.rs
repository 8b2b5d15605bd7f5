//! In an event loop of the program's own.

use super::call;
use crate::error::keep_errno;
use crate::rt::outer_loop;
use core::ffi::c_int;

/// For a program that has an event loop already: returns a descriptor that polls readable when the library
/// has something to do, and stores in `*next`, unless that is NULL, the time at which it will have without
/// that, on the clock of `now`, or -1 for never. To be called last before the loop polls: it hands over what
/// was gathered. The descriptor is the library's; it may be another one at the next call.
///
/// Errors: ECANCELED, EMFILE, ENFILE, ENOMEM, ENOTSUP (inside a coroutine).
///
/// # Safety
/// The time can be written, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_loop(next: *mut i64) -> c_int {
    call(|| {
        let (fd, time) = keep_errno(outer_loop::prepare)?;
        if !next.is_null() {
            // SAFETY: not null, and the caller has room for a time.
            unsafe { next.write(time) };
        }
        Ok(fd)
    })
}

/// Runs what is ready, for about a millisecond at most, and returns 1 if more is, else 0. To be called after
/// the loop has polled, when the descriptor of `dill_loop` is readable or its time has come; calling it
/// at any other time does no harm.
///
/// Errors: ECANCELED, ENOMEM, ENOTSUP (inside a coroutine).
#[unsafe(no_mangle)]
pub extern "C" fn dill_run() -> c_int {
    call(|| keep_errno(outer_loop::run))
}
