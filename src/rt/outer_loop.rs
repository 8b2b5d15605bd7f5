//! A thread whose program has an event loop of its own: the library is a source of events among others.
//!
//! Before the loop polls, `prepare` says which descriptor and which time to wake up for; afterwards `run`
//! runs what is ready. No system call is made but the one that asks the descriptor what has happened.

use super::clock;
use super::context::Context;
use crate::error::{Errno, Result};
use core::ffi::c_int;

/// How long the outer loop is kept from its other work at a time, in ns.
const LIMIT: i64 = 1_000_000;

/// Hands over what was gathered. Returns a descriptor that polls readable when something has happened, and
/// the time at which something is to be done without that; -1: never. ENOTSUP inside a coroutine;
/// ECANCELED, EMFILE, ENFILE, ENOMEM.
pub(crate) fn prepare() -> Result<(c_int, i64)> {
    let context = outer()?;
    context.call_before_wait();
    context.work_in_background();
    let fd = context.poller.prepare(context)?;
    Ok((fd, context.next_time()))
}

/// Runs what is ready, for about a millisecond at most, but one coroutine in any case, also if the thread was held up
/// meanwhile; says whether there is more. ENOTSUP inside a coroutine; ECANCELED, ENOMEM.
pub(crate) fn run() -> Result<bool> {
    let context = outer()?;
    context.poll_now();
    let start = clock::nanoseconds();
    while context.has_more() {
        context.run_first();
        if clock::nanoseconds() - start >= LIMIT {
            break;
        }
    }
    Ok(context.has_more())
}

/// The context of a thread that is not inside a coroutine.
fn outer() -> Result<&'static Context> {
    let context = Context::get()?;
    if !context.is_outside() {
        return Err(Errno::ENOTSUP);
    }
    context.check_cancelled()?;
    Ok(context)
}
