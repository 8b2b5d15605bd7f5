//! Something that one coroutine may use at a time, in the order in which they ask for it.

use super::context::Context;
use super::list::List;
use super::wait::{Awaited, Clause, Source};
use crate::error::{Errno, Result};
use core::cell::Cell;

/// Whose turn it is, and the line of those who wait for theirs.
pub(crate) struct Mutex {
    taken: Cell<bool>,
    line: List<Clause>,
}

impl Mutex {
    /// Nobody's.
    pub(crate) const fn new() -> Mutex {
        Mutex { taken: Cell::new(false), line: List::new() }
    }

    /// Whether somebody has it.
    pub(crate) fn is_taken(&self) -> bool {
        self.taken.get()
    }

    /// Waits for the turn and runs an operation, which may wait. EBADF if the line was dismissed.
    pub(crate) fn run(
        &self,
        context: &Context,
        deadline: i64,
        operation: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        if self.taken.get() {
            context.check_cancelled()?;
            let clause = Clause::new(0, Source::List(Awaited::Turn));
            // SAFETY: the clause stays on this stack until the wait has ended, which unlinks it.
            unsafe { self.line.push_back(&clause) };
            // SAFETY: as above. Whoever ends this wait well hands the turn over.
            unsafe { context.wait_for(&clause, deadline) }?;
        }
        self.taken.set(true);
        let result = operation();
        // SAFETY: a linked waiter is alive.
        match unsafe { self.line.front().as_ref() } {
            None => self.taken.set(false),
            Some(next) => context.fire(next, None),
        }
        result
    }

    /// Sends everybody in the line away with EBADF.
    pub(crate) fn dismiss(&self, context: &Context) {
        // SAFETY: a linked waiter is alive; firing it unlinks it.
        while let Some(waiter) = unsafe { self.line.front().as_ref() } {
            context.fire(waiter, Some(Errno::EBADF));
        }
    }
}
