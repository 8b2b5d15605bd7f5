//! Who may send: one frame at a time, and one message at a time, both in the order of the calls. A coroutine
//! that has begun a message in parts keeps its turn between its calls; control frames pass meanwhile.

use crate::error::{Errno, Result};
use crate::rt::context::Context;
use crate::rt::coroutine::{Coroutine, EndHook, EndWatcher};
use crate::rt::list::List;
use crate::rt::wait::{Awaited, Clause, Source};
use core::cell::Cell;
use core::ptr;

/// A frame is being sent.
const FRAME: u8 = 1;
/// A message is being sent, in one part or in several.
const MESSAGE: u8 = 2;

/// The id of a clause of somebody who has a message to send.
const SENDER: i32 = 0;
/// The id of a clause of somebody who ends the connection, and does not wait for a message in parts.
const CLOSER: i32 = 1;

/// The turns of a connection.
pub(super) struct Turns {
    taken: Cell<u8>,
    /// From which length on, in bytes, a broadcast is made anew for this connection: masked, or compressed.
    broadcast_changed_from: usize,
    /// That, or 0 while a turn is taken.
    broadcast_waits_from: Cell<usize>,
    messages: List<Clause>,
    frames: List<Clause>,
    /// Who has begun a message and not ended it. Null: nobody.
    keeper: Cell<*const Coroutine>,
    /// The keeper is in a call.
    in_call: Cell<bool>,
    hook: EndHook,
}

impl Turns {
    /// Nobody's. From this length on, in bytes, a broadcast is made anew for this connection.
    pub(super) const fn new(broadcast_changed_from: usize) -> Turns {
        Turns {
            taken: Cell::new(0),
            broadcast_changed_from,
            broadcast_waits_from: Cell::new(broadcast_changed_from),
            messages: List::new(),
            frames: List::new(),
            keeper: Cell::new(ptr::null()),
            in_call: Cell::new(false),
            hook: EndHook::new(),
        }
    }

    /// Whether a frame or a message is being sent.
    #[inline(always)]
    pub(super) fn is_taken(&self) -> bool {
        self.taken.get() != 0
    }

    /// Whether no turn is taken, and a broadcast with so many bytes is the same for this connection as for others.
    #[inline(always)]
    pub(super) fn let_broadcast_pass(&self, len: usize) -> bool {
        len < self.broadcast_waits_from.get()
    }

    /// Whether a frame is being sent.
    pub(super) fn frame_is_taken(&self) -> bool {
        self.taken.get() & FRAME != 0
    }

    /// Whether the current coroutine has begun a message and not ended it.
    pub(super) fn is_kept_by_current(&self, context: &Context) -> bool {
        ptr::eq(self.keeper.get(), context.current())
    }

    /// Runs an operation that sends frames which may stand between those of a message.
    pub(super) fn run_frame(
        &self,
        context: &Context,
        deadline: i64,
        operation: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.take(context, FRAME, SENDER, deadline)?;
        let result = operation();
        self.give(context, FRAME);
        result
    }

    /// Runs an operation that sends a message, or a part of one: while `is_open` says so afterwards, the turn
    /// stays with the current coroutine. `watcher` is told if that ends.
    ///
    /// # Safety
    /// The watcher stays in place as long as this, until `dismiss`.
    pub(super) unsafe fn run_message(
        &self,
        context: &Context,
        deadline: i64,
        is_open: impl FnOnce() -> bool,
        watcher: &(dyn EndWatcher + 'static),
        operation: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let continues = self.is_kept_by_current(context);
        if continues {
            self.in_call.set(true);
        } else {
            self.take(context, MESSAGE, SENDER, deadline)?;
        }
        let result = self.run_frame(context, deadline, operation);
        self.in_call.set(false);
        match (continues, is_open()) {
            (true, true) => {}
            (true, false) => self.release(context),
            (false, false) => self.give(context, MESSAGE),
            (false, true) => {
                self.keeper.set(context.current());
                // SAFETY: nobody has kept the turn, so the hook is on no list; it is a part of this, which the
                // caller keeps in place.
                unsafe { self.hook.put(context, watcher) };
                self.let_closers_pass(context);
            }
        }
        result
    }

    /// Runs an operation behind which nothing is sent: after the messages that were asked for before, but not
    /// after the end of one in parts.
    pub(super) fn run_last(
        &self,
        context: &Context,
        deadline: i64,
        operation: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        while self.keeper.get().is_null() {
            match self.take(context, MESSAGE, CLOSER, deadline) {
                // Somebody keeps the turn: look again.
                Err(Errno::EAGAIN) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let result = self.run_frame(context, deadline, operation);
                    self.give(context, MESSAGE);
                    return result;
                }
            }
        }
        self.run_frame(context, deadline, operation)
    }

    /// The message in parts will not be ended: hands the turn on, unless its sender is in a call and does so
    /// itself.
    pub(super) fn release_idle(&self, context: &Context) {
        if !self.keeper.get().is_null() && !self.in_call.get() {
            self.release(context);
        }
    }

    /// Sends everybody who waits away with EBADF, and forgets who keeps the turn. Whoever is in a call has his last one.
    pub(super) fn dismiss(&self, context: &Context) {
        for line in [&self.messages, &self.frames] {
            // SAFETY: a linked waiter is alive; firing it unlinks it.
            while let Some(waiter) = unsafe { line.front().as_ref() } {
                context.fire(waiter, Some(Errno::EBADF));
            }
        }
        self.release_idle(context);
    }

    fn release(&self, context: &Context) {
        self.hook.withdraw();
        self.keeper.set(ptr::null());
        self.give(context, MESSAGE);
    }

    fn line(&self, turn: u8) -> &List<Clause> {
        if turn == FRAME { &self.frames } else { &self.messages }
    }

    fn set_taken(&self, taken: u8) {
        self.taken.set(taken);
        self.broadcast_waits_from.set(if taken == 0 { self.broadcast_changed_from } else { 0 });
    }

    fn take(&self, context: &Context, turn: u8, id: i32, deadline: i64) -> Result<()> {
        if self.taken.get() & turn != 0 {
            context.check_cancelled()?;
            let clause = Clause::new(id, Source::List(Awaited::Turn));
            // SAFETY: the clause stays on this stack until the wait has ended, which unlinks it.
            unsafe { self.line(turn).push_back(&clause) };
            // SAFETY: as above. Whoever ends this wait well hands the turn over.
            unsafe { context.wait_for(&clause, deadline) }?;
        }
        self.set_taken(self.taken.get() | turn);
        Ok(())
    }

    fn give(&self, context: &Context, turn: u8) {
        // SAFETY: a linked waiter is alive.
        match unsafe { self.line(turn).front().as_ref() } {
            None => self.set_taken(self.taken.get() & !turn),
            Some(next) => context.fire(next, None),
        }
    }

    fn let_closers_pass(&self, context: &Context) {
        let mut next = self.messages.front();
        // SAFETY: a linked waiter is alive.
        while let Some(waiter) = unsafe { next.as_ref() } {
            next = self.messages.behind(waiter);
            if waiter.id() == CLOSER {
                context.fire(waiter, Some(Errno::EAGAIN));
            }
        }
    }
}
