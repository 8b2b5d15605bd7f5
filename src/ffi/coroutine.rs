//! Coroutines. The macros that launch them are in `header/coroutine.h`.

use super::types::JmpBuf;
use super::{call, waiting_call};
use crate::rt::coroutine::{self, SourceLine};
use crate::rt::wait;
use core::ffi::{c_char, c_int, c_void};

/// The first half of the go macros; not to be called otherwise.
///
/// Makes a coroutine and lets it be the running one. Where the caller is to save its registers is
/// stored in `ctx`, and the new coroutine's stack pointer in `ptr`, which holds the stack to use, or
/// NULL, before. A negative `bndl` stands for a new bundle, whose handle is returned.
///
/// # Safety
/// Called by the macros, which go on as the new coroutine.
///
/// cbindgen:prefix=DILL_EXPORT __attribute__((__noinline__))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_prologue(
    ctx: *mut *mut JmpBuf,
    ptr: *mut *mut c_void,
    len: usize,
    bndl: c_int,
    file: *const c_char,
    line: c_int,
) -> c_int {
    call(|| {
        // SAFETY: the macros pass the address of a variable.
        let buffer = unsafe { ptr.read() };
        // SAFETY: the macros pass NULL, or the buffer that the program has given to the coroutine.
        let started = unsafe { coroutine::start(bndl, buffer.cast(), len, SourceLine::new(file, line)) }?;
        // SAFETY: the macros pass the address of a variable.
        unsafe { ctx.write(started.registers.cast()) };
        // SAFETY: as above.
        unsafe { ptr.write(started.stack.cast()) };
        Ok(started.handle)
    })
}

/// The second half of the go macros; not to be called otherwise. Ends the coroutine: never returns,
/// though no compiler must be told so, for then it would reuse what the parent still needs.
///
/// # Safety
/// Called by the macros, on the stack of a coroutine.
///
/// cbindgen:prefix=DILL_EXPORT __attribute__((__noinline__))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_epilogue() {
    // SAFETY: the macro `go` calls this where a coroutine ends, on its own stack.
    unsafe { coroutine::finish() }
}

/// Lets the other coroutines run that are ready.
///
/// Errors: ECANCELED, ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn dill_yield() -> c_int {
    waiting_call(wait::yield_now)
}
