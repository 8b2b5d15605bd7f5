//! What a thread is doing.

use crate::error::keep_errno;
use crate::rt::dump;
use core::ffi::c_int;

/// Writes a line to a descriptor for each coroutine of this thread, with where it was launched and what it waits
/// for, and one for each handle, with its type, its descriptor or the handle below it, and its state. Allocates
/// nothing; may be called from a debugger, as `call dill_dump(2)`.
#[unsafe(no_mangle)]
pub extern "C" fn dill_dump(fd: c_int) {
    keep_errno(|| dump::dump(fd));
}
