//! The environment of the process.

use core::ffi::{CStr, c_char};

// SAFETY: as glibc and musl declare it.
unsafe extern "C" {
    // Not in `libc` for this system.
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

/// The value of a variable; none in a program with more rights than its user.
pub(crate) fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: a string; nobody changes the environment while threads run.
    let value = unsafe { secure_getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a value of the environment is a string, and stays as long as nobody changes it.
    Some(unsafe { CStr::from_ptr(value) }.to_bytes())
}
