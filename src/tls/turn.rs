//! Taking turns: something that one coroutine may use at a time.

use crate::error::{Errno, Result};
use crate::rt::context::Context;
use crate::rt::list::List;
use crate::rt::wait::{Clause, Source};
use core::cell::Cell;

/// The turn, and the line of those who wait for it.
pub struct Turn {
    taken: Cell<bool>,
    line: List,
}

impl Turn {
    /// Nobody's.
    pub const fn new() -> Turn {
        Turn { taken: Cell::new(false), line: List::new() }
    }

    /// Whether somebody has it.
    pub fn is_taken(&self) -> bool {
        self.taken.get()
    }

    /// Waits for the turn and runs an operation, which may wait. EBADF if the line was dismissed.
    pub fn run(
        &self,
        context: &Context,
        deadline: i64,
        operation: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        if self.taken.get() {
            context.check_cancelled()?;
            let clause = Clause::new(0, Source::List);
            // SAFETY: the clause stays on this stack until the wait has ended, which unlinks it.
            unsafe { self.line.push_back(clause.link()) };
            // SAFETY: as above. Whoever ends this wait well hands the turn over.
            unsafe { context.wait_for(&clause, deadline) }?;
        }
        self.taken.set(true);
        let result = operation();
        if self.line.is_empty() {
            self.taken.set(false);
        } else {
            // SAFETY: a linked waiter is alive; firing it unlinks it.
            context.fire(unsafe { Clause::from_link(self.line.front()) }, None);
        }
        result
    }

    /// Sends everybody in the line away with EBADF.
    pub fn dismiss(&self, context: &Context) {
        while !self.line.is_empty() {
            // SAFETY: a linked waiter is alive; firing it unlinks it.
            context.fire(unsafe { Clause::from_link(self.line.front()) }, Some(Errno::EBADF));
        }
    }
}
