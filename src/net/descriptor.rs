//! The descriptor of an open object, which somebody may close while a coroutine waits inside.

use super::socket::Fd;
use crate::error::{Errno, Result};
use crate::rt::context::Context;
use crate::rt::poller::{CLOSED, Direction};
use crate::rt::wait::{Clause, Source};
use core::cell::Cell;
use core::ffi::c_int;

/// A descriptor, until it is closed. It must not move while it is open.
pub(crate) struct Descriptor(Cell<c_int>);

impl Descriptor {
    /// None so far.
    pub(crate) const fn none() -> Descriptor {
        Descriptor(Cell::new(CLOSED))
    }

    /// Takes a descriptor over.
    pub(crate) fn open(&self, fd: Fd) {
        self.0.set(fd.into_raw());
        if let Some(context) = Context::existing() {
            // SAFETY: it is closed, and so forgotten, before this goes away.
            unsafe { context.poller.set_owner(self.0.get(), &self.0) };
        }
    }

    /// The number for a system call, which fails with EBADF after the close.
    #[inline]
    pub(crate) fn get(&self) -> c_int {
        self.0.get()
    }

    /// EBADF after the close.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.0.get() == CLOSED { Err(Errno::EBADF) } else { Ok(()) }
    }

    /// Waits until it may go on, having just refused. EBADF if it was closed meanwhile, also if it had
    /// become ready before that. ETIMEDOUT, ECANCELED, EBUSY.
    pub(crate) fn wait(&self, context: &Context, direction: Direction, deadline: i64) -> Result<()> {
        let waited = wait(context, self.0.get(), direction, deadline);
        self.check_open()?;
        waited
    }

    /// Wakes whoever waits with EBADF and hands the descriptor over, to be closed. None: it was before.
    pub(crate) fn close(&self) -> Option<Fd> {
        let fd = self.0.replace(CLOSED);
        if fd == CLOSED {
            return None;
        }
        for direction in [Direction::In, Direction::Out] {
            if let Some(context) = Context::existing()
                && let Some(clause) = context.poller.waiting(fd, direction)
            {
                // SAFETY: a registered clause is alive; firing it unregisters it.
                context.fire(unsafe { clause.as_ref() }, Some(Errno::EBADF));
            }
        }
        Some(Fd::again(fd))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        drop(self.close());
    }
}

/// Waits until a non-blocking descriptor, which nobody can close meanwhile, may go on, having just
/// refused. ETIMEDOUT, ECANCELED, EBUSY.
pub(crate) fn wait(context: &Context, fd: c_int, direction: Direction, deadline: i64) -> Result<()> {
    context.check_cancelled()?;
    let clause = Clause::new(0, Source::Descriptor(fd, direction));
    // SAFETY: the clause stays on this stack until the wait has ended, which withdraws it.
    unsafe { context.poller.wait_socket(fd, direction, &clause) }?;
    // SAFETY: as above.
    unsafe { context.wait_for(&clause, deadline) }
}
