//! Something that one coroutine may use at a time, in the order in which they ask for it.

use super::context::Context;
use super::list::List;
use super::wait::{Clause, Source};
use crate::error::{Errno, Result};
use core::cell::Cell;

/// Whose turn it is, and the line of those who wait for theirs.
pub struct Mutex {
    taken: Cell<bool>,
    line: List,
}

impl Mutex {
    /// Nobody's.
    pub const fn new() -> Mutex {
        Mutex { taken: Cell::new(false), line: List::new() }
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
