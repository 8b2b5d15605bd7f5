//! The C boundary: one file for each section of the headers, nothing but `extern "C"` functions.
//!
//! A function here turns raw arguments into safe ones, calls the module that knows how, and reports
//! the result as C expects. The doc comments are the comments of `libdill.h`.

pub mod bundle;
pub mod chan;
pub mod coroutine;
pub mod custom;
pub mod fd;
pub mod handle;
pub mod happyeyeballs;
pub mod http;
pub mod ipaddr;
pub mod ipc;
pub mod prefix;
pub mod raw;
pub mod sock;
pub mod socks5;
pub mod suffix;
pub mod tcp;
pub mod term;
pub mod time;
#[cfg(feature = "tls")]
pub mod tls;
mod two_names;
pub mod types;
pub mod udp;
pub mod ws;

use crate::error::{Errno, Result};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::{ptr, slice};

/// What a call that succeeded returns to C.
trait Answer {
    /// The C type.
    type C;
    /// What a call that failed returns.
    const FAILED: Self::C;

    fn answer(self) -> Self::C;
}

impl Answer for () {
    type C = c_int;
    const FAILED: c_int = -1;

    fn answer(self) -> c_int {
        0
    }
}

/// A handle, a descriptor, or a count.
impl Answer for c_int {
    type C = c_int;
    const FAILED: c_int = -1;

    fn answer(self) -> c_int {
        self
    }
}

impl Answer for usize {
    type C = libc::ssize_t;
    const FAILED: libc::ssize_t = -1;

    fn answer(self) -> libc::ssize_t {
        libc::ssize_t::try_from(self).unwrap_or(libc::ssize_t::MAX)
    }
}

impl Answer for *mut c_void {
    type C = *mut c_void;
    const FAILED: *mut c_void = ptr::null_mut();

    fn answer(self) -> *mut c_void {
        self
    }
}

fn set_errno(code: c_int) {
    errno::set_errno(errno::Errno(code));
}

/// Runs a call of the core. errno is set last: whatever `run` made is dropped by then, and freeing
/// memory may change errno.
#[inline(always)]
fn call<T: Answer>(run: impl FnOnce() -> Result<T>) -> T::C {
    match run() {
        Ok(value) => value.answer(),
        Err(error) => {
            set_errno(error.code());
            T::FAILED
        }
    }
}

/// Runs a call on sockets. A success leaves errno at 0 rather than at what the kernel said on the
/// way, such as EAGAIN: there are programs that look at errno alone.
#[inline(always)]
fn socket_call<T: Answer>(run: impl FnOnce() -> Result<T>) -> T::C {
    call(|| {
        let value = run()?;
        set_errno(0);
        Ok(value)
    })
}

/// Refuses NULL. EINVAL.
fn not_null<T>(pointer: *const T) -> Result<()> {
    if pointer.is_null() { Err(Errno::EINVAL) } else { Ok(()) }
}

/// A string argument. EINVAL if NULL.
///
/// # Safety
/// Null, or a string that stays as it is for `'a`.
unsafe fn string<'a>(pointer: *const c_char) -> Result<&'a CStr> {
    not_null(pointer)?;
    // SAFETY: by contract, and not null.
    Ok(unsafe { CStr::from_ptr(pointer) })
}

/// A buffer to read from. None if it is NULL but not empty, or larger than memory.
///
/// # Safety
/// Null, or readable for `len` bytes for `'a`.
#[inline]
unsafe fn bytes<'a>(pointer: *const c_void, len: usize) -> Option<&'a [u8]> {
    if len == 0 {
        return Some(&[]);
    }
    if pointer.is_null() || isize::try_from(len).is_err() {
        return None;
    }
    // SAFETY: by contract, not null, and no larger than any object can be.
    Some(unsafe { slice::from_raw_parts(pointer.cast(), len) })
}

/// A buffer to write to. None if it is NULL, or larger than memory.
///
/// # Safety
/// Null, or writable for `len` bytes for `'a`, and nobody else's meanwhile.
#[inline]
unsafe fn bytes_mut<'a>(pointer: *mut c_void, len: usize) -> Option<&'a mut [u8]> {
    if pointer.is_null() || isize::try_from(len).is_err() {
        return None;
    }
    // SAFETY: by contract, not null, and no larger than any object can be.
    Some(unsafe { slice::from_raw_parts_mut(pointer.cast(), len) })
}

/// Stores a result where the caller asked for it; NULL means that it is not wanted.
///
/// # Safety
/// Null, or writable and aligned.
unsafe fn store<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: by contract, and not null.
        unsafe { place.write(value) };
    }
}
