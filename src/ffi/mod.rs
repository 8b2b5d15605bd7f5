//! The C boundary: one file for each section of the headers, nothing but `extern "C"` functions.
//!
//! A function here turns raw arguments into safe ones, calls the module that knows how, and reports
//! the result as C expects. The doc comments are the comments of `libdill.h`.

#[cfg(feature = "sockets")]
mod arguments;
pub mod bundle;
pub mod chan;
pub mod coroutine;
pub mod custom;
#[cfg(feature = "sockets")]
pub mod custom_sock;
pub mod dump;
pub mod fd;
pub mod handle;
#[cfg(feature = "sockets")]
pub mod happyeyeballs;
#[cfg(feature = "sockets")]
pub mod http;
#[cfg(feature = "sockets")]
pub mod ipaddr;
#[cfg(feature = "sockets")]
pub mod ipc;
#[cfg(feature = "sockets")]
mod options;
pub mod outer_loop;
#[cfg(feature = "sockets")]
pub mod prefix;
#[cfg(feature = "sockets")]
pub mod raw;
#[cfg(feature = "sockets")]
pub mod sock;
#[cfg(feature = "sockets")]
mod socket_call;
#[cfg(feature = "sockets")]
pub mod socks5;
#[cfg(feature = "sockets")]
pub mod suffix;
#[cfg(feature = "sockets")]
pub mod tcp;
#[cfg(feature = "sockets")]
pub mod tcp_opts;
#[cfg(feature = "sockets")]
pub mod term;
pub mod time;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tls")]
pub mod tls_info;
#[cfg(feature = "tls")]
pub mod tls_opts;
#[cfg(feature = "sockets")]
pub mod tls_structs;
pub mod types;
#[cfg(feature = "sockets")]
pub mod udp;
#[cfg(feature = "sockets")]
pub mod ws;
#[cfg(feature = "sockets")]
pub mod ws_broadcast;
#[cfg(feature = "sockets")]
pub mod ws_connect;
#[cfg(feature = "sockets")]
pub mod ws_errmsg;
#[cfg(feature = "sockets")]
pub mod ws_info;
#[cfg(feature = "sockets")]
pub mod ws_opts;
#[cfg(feature = "sockets")]
pub mod ws_parts;
#[cfg(feature = "sockets")]
pub mod ws_ping;

use crate::error::{Errno, Result};
use crate::rt::context::Context;
#[cfg(feature = "sockets")]
use arguments::{bytes, room, rooms, store, string, strings, texts};
use core::ffi::{c_int, c_void};
use core::ptr;
#[cfg(feature = "sockets")]
use socket_call::{socket_call, socket_call_clearing_errno};

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

impl Answer for bool {
    type C = c_int;
    const FAILED: c_int = -1;

    fn answer(self) -> c_int {
        c_int::from(self)
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

/// The same for calls that may wait: one that has waited and succeeds leaves errno at 0, as in libdill.
#[inline(always)]
fn waiting_call<T: Answer>(run: impl FnOnce(&Context) -> Result<T>) -> T::C {
    call(|| {
        let context = Context::get()?;
        let waits = context.waits();
        let value = run(context)?;
        if context.waits() != waits {
            set_errno(0);
        }
        Ok(value)
    })
}

/// Refuses NULL. EINVAL.
fn not_null<T>(pointer: *const T) -> Result<()> {
    if pointer.is_null() { Err(Errno::EINVAL) } else { Ok(()) }
}
