//! Waiting for file descriptors.

use super::{call, waiting_call};
use crate::rt::poller::{self, Direction};
use core::ffi::c_int;

/// Waits until a file descriptor is readable, has reached its end, or has failed. Descriptors that
/// cannot be waited for, such as those of regular files, give ENOTSUP.
///
/// Errors: EBADF, EBUSY (another coroutine waits for the same), ECANCELED, EMFILE, ENFILE, ENOMEM, ENOTSUP,
/// ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_fdin(fd: c_int, deadline: i64) -> c_int {
    waiting_call(|context| poller::wait_user_fd(context, fd, Direction::In, deadline))
}

/// Waits until a file descriptor is writable or has failed.
///
/// Errors: EBADF, EBUSY (another coroutine waits for the same), ECANCELED, EMFILE, ENFILE, ENOMEM, ENOTSUP,
/// ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_fdout(fd: c_int, deadline: i64) -> c_int {
    waiting_call(|context| poller::wait_user_fd(context, fd, Direction::Out, deadline))
}

/// Makes the library forget a file descriptor that was waited for. To be called before it is closed
/// or handed to other code.
///
/// Errors: EBUSY (a coroutine waits for it, or it is a socket of the library), EMFILE, ENFILE, ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn dill_fdclean(fd: c_int) -> c_int {
    call(|| poller::forget(fd))
}
