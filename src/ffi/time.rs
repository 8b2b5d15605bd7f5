//! Time and deadlines.

use super::waiting_call;
use crate::rt::{clock, wait};
use core::ffi::c_int;

/// The time in milliseconds, on a clock that never goes backwards and starts anywhere. Never 0 or
/// negative. A deadline is a point on this clock: `now() + 1000` is a second from now, 0 does not
/// wait at all, and -1 waits for as long as it takes.
#[unsafe(no_mangle)]
pub extern "C" fn dill_now() -> i64 {
    clock::now()
}

/// Sleeps until the deadline; with -1 until the coroutine is cancelled. Others run meanwhile.
///
/// Errors: ECANCELED, ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn dill_msleep(deadline: i64) -> c_int {
    waiting_call(|context| wait::sleep(context, deadline))
}
