//! How the sections on sockets call.

use super::{Answer, call, set_errno};
use crate::error::Result;
use crate::rt::above::PerThread;
use crate::rt::context::Context;
use crate::rt::process::Zeroable;
use crate::why;
use core::cell::Cell;
use core::ffi::c_int;

/// Runs a call on sockets. A success leaves errno alone, or at 0 if the call has waited, but never at
/// what the kernel said on the way, such as EAGAIN: there are programs that look at errno alone.
#[inline(always)]
pub(super) fn socket_call<T: Answer>(run: impl FnOnce() -> Result<T>) -> T::C {
    let context = Context::existing();
    let place = context.map_or_else(errno_place, |context| context.kept::<ErrnoPlace>().get());
    // SAFETY: this thread's errno.
    let before = unsafe { place.read() };
    let waits = context.map_or(0, Context::waits);
    // Called in one place only, so that it becomes a part of this function.
    call(|| {
        let value = run().inspect_err(|error| why::settle(*error))?;
        let errno =
            if context.or_else(Context::existing).map_or(0, Context::waits) == waits { before } else { 0 };
        // SAFETY: as above.
        unsafe { place.write(errno) };
        Ok(value)
    })
}

/// Where the thread's errno lies, or null: to find it takes a call.
struct ErrnoPlace(Cell<*mut c_int>);

// SAFETY: null.
unsafe impl Zeroable for ErrnoPlace {}

// SAFETY: the third room.
unsafe impl PerThread for ErrnoPlace {
    const NUMBER: usize = 2;
}

impl ErrnoPlace {
    #[inline(always)]
    fn get(&self) -> *mut c_int {
        if self.0.get().is_null() {
            self.0.set(errno_place());
        }
        self.0.get()
    }
}

#[cold]
fn errno_place() -> *mut c_int {
    // SAFETY: takes nothing.
    unsafe { libc::__errno_location() }
}

/// The same for the two calls that leave errno at 0 whenever they succeed, as libdill has it.
pub(super) fn socket_call_clearing_errno(run: impl FnOnce() -> Result<c_int>) -> c_int {
    let result = socket_call(run);
    if result >= 0 {
        set_errno(0);
    }
    result
}
