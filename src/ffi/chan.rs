//! Channels.

use super::types::ChStorage;
use super::{call, not_null, set_errno, waiting_call};
use crate::chan::{self, ChClause, Choice};
pub use crate::chan::{CHRECV, CHSEND};
use crate::error::{Errno, Result};
use crate::rt::context::Context;
use core::ffi::{c_int, c_void};
use core::slice;

/// Makes a channel and stores the handles of its two ends. What is sent on one is received on the
/// other; each end can do both. Nothing is stored in a channel: a sender waits for a receiver.
///
/// Errors: ECANCELED, EINVAL (NULL), ENOMEM.
///
/// # Safety
/// There is room for two handles.
///
/// cbindgen:ptrs-as-arrays=[[chv;2]]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_chmake(chv: *mut c_int) -> c_int {
    // SAFETY: the caller has room for two handles, or passes NULL.
    call(|| unsafe { make(chv) })
}

/// Makes a channel in memory of the caller's, which must stay until both ends are closed.
///
/// Errors: ECANCELED, EINVAL (NULL, or no memory given), ENOMEM.
///
/// # Safety
/// There is room for two handles.
///
/// cbindgen:ptrs-as-arrays=[[chv;2]]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_chmake_mem(mem: *mut ChStorage, chv: *mut c_int) -> c_int {
    call(|| {
        not_null(mem)?;
        // SAFETY: the caller has room for two handles, or passes NULL.
        unsafe { make(chv) }
    })
}

unsafe fn make(chv: *mut c_int) -> Result<()> {
    not_null(chv)?;
    let ends = chan::make()?;
    // SAFETY: not null, as was checked, and the callers have room for two handles.
    unsafe { chv.cast::<[c_int; 2]>().write(ends) };
    Ok(())
}

/// Sends a message of `len` bytes. With deadline 0 it succeeds only if somebody is already waiting
/// for it.
///
/// Errors: EBADF, ECANCELED, EINVAL (NULL), EMSGSIZE (the receiver expects another size), ENOMEM,
/// ENOTSUP, EPIPE (`chdone` was called on this end, or both ends were closed), ETIMEDOUT.
///
/// # Safety
/// The value has `len` bytes, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_chsend(ch: c_int, val: *const c_void, len: usize, deadline: i64) -> c_int {
    // SAFETY: the caller's value has `len` bytes, or is NULL.
    waiting_call(|context| unsafe { chan::send(context, ch, val, len, deadline) })
}

/// Receives a message of `len` bytes. With deadline 0 it succeeds only if somebody is already waiting
/// to send it.
///
/// Errors: EBADF, ECANCELED, EINVAL (NULL), EMSGSIZE (the sender has another size), ENOMEM, ENOTSUP,
/// EPIPE (`chdone` was called on the other end, or both ends were closed), ETIMEDOUT.
///
/// # Safety
/// There is room for `len` bytes, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_chrecv(ch: c_int, val: *mut c_void, len: usize, deadline: i64) -> c_int {
    // SAFETY: the caller has room for `len` bytes, or passes NULL.
    waiting_call(|context| unsafe { chan::recv(context, ch, val, len, deadline) })
}

/// Announces that nothing more will be sent on this end: receivers on the other one get EPIPE. The
/// opposite direction is not affected.
///
/// Errors: EBADF, ENOMEM, ENOTSUP, EPIPE (already done).
#[unsafe(no_mangle)]
pub extern "C" fn dill_chdone(ch: c_int) -> c_int {
    call(|| chan::done(ch))
}

/// Does the first of several channel operations that becomes possible; the one that stands first in
/// the array if there are several. Returns its index, and sets errno to 0 if it succeeded, or else to
/// the reason why it failed, as `chsend` and `chrecv` do. Returns -1 if none could be done.
///
/// Errors: ECANCELED, EINVAL (a negative number, or no array), ENOMEM, ETIMEDOUT.
///
/// # Safety
/// The array has that many clauses, and their values are as for `chsend` and `chrecv`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_choose(clauses: *mut ChClause, nclauses: c_int, deadline: i64) -> c_int {
    call(|| {
        // SAFETY: the caller's array has that many clauses, whose values are as their operations need.
        let (index, error) = unsafe { choose(clauses, nclauses, deadline) }?;
        set_errno(error.map_or(0, Errno::code));
        // An index is less than `nclauses`.
        Ok(index as c_int)
    })
}

unsafe fn choose(clauses: *const ChClause, nclauses: c_int, deadline: i64) -> Result<Choice> {
    // Being cancelled comes before every other error.
    Context::get()?.check_cancelled()?;
    let count = usize::try_from(nclauses).map_err(|_| Errno::EINVAL)?;
    if count == 0 {
        // SAFETY: no clause, no value.
        return unsafe { chan::choose(&[], deadline) };
    }
    not_null(clauses)?;
    // SAFETY: not null, as was checked above, and as long as the caller of `dill_choose` says.
    let clauses = unsafe { slice::from_raw_parts(clauses, count) };
    // SAFETY: the caller of `dill_choose` answers for the values of the clauses.
    unsafe { chan::choose(clauses, deadline) }
}
