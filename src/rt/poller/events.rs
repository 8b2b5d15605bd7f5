//! Polling: what has changed is told to the set, and what the set tells is handed on; and what becomes of the
//! set at a fork.

use super::epoll::{Change, FdEvent, Interest};
use super::{FdEntry, FdKind, Poller, SocketState};
use crate::error::{Errno, Result};
#[cfg(feature = "sockets")]
use crate::rt::background;
use crate::rt::context::Context;
use core::ptr;

impl Poller {
    /// Tells the set what has changed since the last poll.
    #[inline(always)]
    pub(super) fn apply_changes(&self, context: &Context) {
        if !self.changes.borrow().is_empty() {
            self.apply_all_changes(context);
        }
    }

    #[inline(never)]
    fn apply_all_changes(&self, context: &Context) {
        loop {
            let Some(fd) = self.changes.borrow_mut().pop() else { return };
            let Some(entry) = self.entry(fd) else { continue };
            entry.changed.set(false);
            let wanted = entry.wanted();
            if entry.kind.get() != FdKind::User || (wanted == Interest::NONE && !entry.is_registered()) {
                continue;
            }
            let result = if wanted == Interest::NONE {
                self.remove(fd, entry);
                Ok(())
            } else if !entry.is_registered() {
                self.add(fd, entry, wanted)
            } else {
                // Said again even if nothing changed: the number may have been closed and opened anew
                // without `fdclean`, and then the new descriptor would be waited for in vain.
                match self.control(Change::Modify, fd, entry, wanted) {
                    Err(Errno::ENOENT) => {
                        entry.generation.set(entry.generation.get().wrapping_add(1));
                        self.add(fd, entry, wanted)
                    }
                    other => other,
                }
            };
            if let Err(error) = result {
                entry.registered.set(Interest::NONE);
                entry.kind.set(FdKind::Unknown);
                self.end_waits(context, entry, error);
            }
        }
    }

    /// Ends the waits for a descriptor.
    pub(super) fn end_waits(&self, context: &Context, entry: &FdEntry, error: Errno) {
        for place in [&entry.reader, &entry.writer] {
            if let Some(waiter) = place.get() {
                // SAFETY: a registered clause is alive; firing it unregisters it, and all others of its wait.
                context.fire(unsafe { waiter.as_ref() }, Some(error));
            }
        }
        if let Some(watcher) = entry.watcher.take() {
            // SAFETY: by the contract of `watch`.
            unsafe { watcher.as_ref() }.abandoned();
        }
        #[cfg(feature = "sockets")]
        background::abandon(entry.attendant.take());
    }

    /// Makes the set ready to be polled by others: returns its descriptor. EMFILE, ENFILE, ENOMEM.
    pub(in crate::rt) fn prepare(&self, context: &Context) -> Result<libc::c_int> {
        self.notice_fork();
        self.apply_changes(context);
        self.make_set()?;
        Ok(self.set.descriptor())
    }

    /// Waits at most `timeout` milliseconds (-1: without end) and readies whoever waited for what
    /// happened: in the kernel's order, and the reader of a descriptor before its writer.
    pub(crate) fn poll(&self, context: &Context, timeout: libc::c_int) {
        self.notice_fork();
        self.apply_changes(context);
        let timeout = if context.has_ready() { 0 } else { timeout };
        if !self.set.is_made() {
            if timeout != 0 {
                // SAFETY: no descriptors, so no pointer is followed.
                unsafe { libc::poll(ptr::null_mut(), 0, timeout) };
            }
            return;
        }
        match self.set.wait(timeout) {
            Ok(count) => {
                self.failed.set(false);
                let mut is_clean = true;
                for index in 0..count {
                    is_clean &= self.dispatch(context, &self.set.event(index));
                }
                if !is_clean {
                    self.rebuild(context);
                }
            }
            // The caller looks at the clock and comes back.
            Err(Errno::EINTR) => {}
            Err(_) => self.recover(context),
        }
    }

    /// After a failed wait: makes a new set. If that fails too, nobody can be told anything, and all
    /// who wait for a descriptor are told that. ENOMEM: the system lacks something.
    #[cold]
    fn recover(&self, context: &Context) {
        if !self.failed.replace(true) {
            return self.rebuild(context);
        }
        self.failed.set(false);
        self.set.close();
        for fd in self.known_fds() {
            let Some(entry) = self.entry(fd) else { continue };
            entry.registered.set(Interest::NONE);
            self.end_waits(context, entry, Errno::ENOMEM);
        }
    }

    /// Makes a new set of everybody who is waited for: the program has closed the old one, or there is
    /// something in it that cannot be taken out.
    #[cold]
    pub(super) fn rebuild(&self, context: &Context) {
        self.set.close();
        self.rebuilding.set(true);
        for fd in self.known_fds() {
            let Some(entry) = self.entry(fd) else { continue };
            entry.registered.set(Interest::NONE);
            match entry.kind.get() {
                FdKind::User => self.note_change(fd, entry),
                // Others are added when they are waited for.
                FdKind::Socket if entry.is_waited_for() => {
                    if let Err(error) = self.add(fd, entry, Interest::EDGES) {
                        self.end_waits(context, entry, error);
                    }
                }
                FdKind::Socket | FdKind::Unknown => {}
            }
        }
        self.rebuilding.set(false);
    }

    /// False: it is about a descriptor that is not in the set as far as is known. It would be told for ever.
    fn dispatch(&self, context: &Context, event: &FdEvent) -> bool {
        let Some(entry) = self.entry(event.fd) else { return false };
        if entry.generation.get() != event.generation {
            return false;
        }
        let state = entry.state.get();
        let (hung_up, urgent) = (state.hung_up | event.hung_up, state.urgent | event.urgent);
        entry.state.set(SocketState { hung_up, urgent });
        if event.readable {
            if let Some(reader) = entry.reader.get() {
                // SAFETY: a registered clause is alive; firing it unregisters it.
                context.fire(unsafe { reader.as_ref() }, None);
            } else {
                #[cfg(feature = "sockets")]
                if let Some(attendant) = entry.attendant.get() {
                    // SAFETY: by the contract of `attend`.
                    unsafe { attendant.as_ref() }.input_comes(context);
                }
            }
        }
        if event.writable {
            if let Some(watcher) = entry.watcher.get() {
                // SAFETY: by the contract of `watch`.
                unsafe { watcher.as_ref() }.writable(context);
            }
            if let Some(writer) = entry.writer.get() {
                // SAFETY: a registered clause is alive; firing it unregisters it.
                context.fire(unsafe { writer.as_ref() }, None);
            }
        }
        true
    }

    /// A child process that was not made by `fork` finds out by itself.
    #[inline]
    pub(in crate::rt) fn notice_fork(&self) {
        if self.is_ours.get().is_some_and(|mark| !mark.get())
            && let Some(context) = Context::existing()
        {
            self.after_fork(context);
        }
    }

    /// In the child of a fork: the set is shared with the parent, so it is given up and built anew
    /// from whoever waits.
    #[cold]
    pub(crate) fn after_fork(&self, context: &Context) {
        if let Some(mark) = self.is_ours.get() {
            mark.set(true);
        }
        #[cfg(feature = "sockets")]
        context.abandon_background();
        if !self.set.is_made() {
            return;
        }
        for fd in self.known_fds() {
            let Some(entry) = self.entry(fd) else { continue };
            if let Some(watcher) = entry.watcher.take() {
                // SAFETY: by the contract of `watch`.
                unsafe { watcher.as_ref() }.abandoned();
            }
            #[cfg(feature = "sockets")]
            background::abandon(entry.attendant.take());
        }
        self.rebuild(context);
    }
}
