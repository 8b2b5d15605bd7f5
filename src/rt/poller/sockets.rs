//! The library's own sockets: registered once, edge-triggered.

use super::epoll::{Change, Interest};
use super::{Direction, FdEntry, FdKind, Poller, SocketState, Watcher};
use crate::error::{Errno, Result};
#[cfg(feature = "sockets")]
use crate::rt::background::Background;
use crate::rt::context::Context;
use crate::rt::wait::Clause;
#[cfg(feature = "sockets")]
use core::cell::Cell;
use core::ptr;

/// Not a descriptor: every system call on it fails with EBADF.
#[cfg(feature = "sockets")]
pub(crate) const CLOSED: libc::c_int = -1;

impl Poller {
    /// The program waits for, or cleans, a descriptor that has the number of a socket of ours. EBUSY: it is our socket.
    /// EMFILE, ENFILE, ENOMEM: there is no set to tell.
    #[cold]
    pub(super) fn take_over(&self, fd: libc::c_int, entry: &FdEntry) -> Result<()> {
        match self.control(Change::Modify, fd, entry, Interest::EDGES) {
            Ok(()) => return Err(Errno::EBUSY),
            // The program has closed our socket behind the library's back.
            Err(error) if self.is_of_another_file(error) => entry.disown(),
            Err(error) => return Err(error),
        }
        self.end_waits(Context::get()?, entry, Errno::EBADF);
        entry.clear();
        Ok(())
    }

    /// Lets a clause wait for an edge on a socket of ours, which has just refused to go on.
    ///
    /// # Safety
    /// The clause stays where it is until it fired or was withdrawn.
    pub(crate) unsafe fn wait_socket(
        &self,
        fd: libc::c_int,
        direction: Direction,
        clause: &Clause,
    ) -> Result<()> {
        let entry = self.socket(fd)?;
        if entry.waiter(direction).get().is_some() {
            return Err(Errno::EBUSY);
        }
        entry.waiter(direction).set(Some(ptr::NonNull::from(clause)));
        Ok(())
    }

    /// The entry of a socket of ours, registered if it is not yet.
    #[inline]
    pub(super) fn socket(&self, fd: libc::c_int) -> Result<&FdEntry> {
        self.notice_fork();
        match self.entry(fd) {
            Some(entry) if entry.is_registered() => Ok(entry),
            _ => self.register_socket(fd),
        }
    }

    #[inline(never)]
    fn register_socket(&self, fd: libc::c_int) -> Result<&FdEntry> {
        let entry = self.make_entry(fd)?;
        // Of the socket's descriptor that is not true.
        self.add(fd, entry, Interest::EDGES).map_err(|error| match error {
            Errno::EMFILE | Errno::ENFILE => Errno::ENOMEM,
            other => other,
        })?;
        entry.kind.set(FdKind::Socket);
        Ok(entry)
    }

    /// Tells a socket of ours about writability even while no coroutine waits for it.
    ///
    /// # Safety
    /// The watcher lives until it is unset or the descriptor is forgotten.
    pub(crate) unsafe fn watch(&self, fd: libc::c_int, watcher: &(dyn Watcher + 'static)) -> Result<()> {
        self.socket(fd)?.watcher.set(Some(ptr::NonNull::from(watcher)));
        Ok(())
    }

    /// Tells at the next poll what a socket of ours, which is watched, is ready for, though nothing has changed.
    pub(crate) fn tell_again(&self, fd: libc::c_int) -> Result<()> {
        self.control(Change::Modify, fd, self.socket(fd)?, Interest::EDGES)
    }

    /// Tells of a fork while the descriptor is waited for as one of the program's.
    ///
    /// # Safety
    /// The watcher lives until it is unset or the descriptor is forgotten.
    pub(crate) unsafe fn watch_forks(
        &self,
        fd: libc::c_int,
        watcher: &(dyn Watcher + 'static),
    ) -> Result<()> {
        self.make_entry(fd)?.watcher.set(Some(ptr::NonNull::from(watcher)));
        Ok(())
    }

    /// Ends what `watch` began.
    pub(crate) fn unwatch(&self, fd: libc::c_int) {
        if let Some(entry) = self.entry(fd) {
            entry.watcher.set(None);
        }
    }

    /// Tells of input to a socket of ours that no coroutine waits for.
    ///
    /// # Safety
    /// The attendant lives until it is unset or the descriptor is forgotten.
    #[cfg(feature = "sockets")]
    pub(crate) unsafe fn attend(
        &self,
        fd: libc::c_int,
        attendant: &(dyn Background + 'static),
    ) -> Result<()> {
        self.socket(fd)?.attendant.set(Some(ptr::NonNull::from(attendant)));
        Ok(())
    }

    /// Ends what `attend` began.
    #[cfg(feature = "sockets")]
    pub(crate) fn unattend(&self, fd: libc::c_int) {
        if let Some(entry) = self.entry(fd) {
            entry.attendant.set(None);
        }
    }

    /// What the set has told of a socket of ours so far.
    pub(crate) fn state_of(&self, fd: libc::c_int) -> SocketState {
        self.entry(fd).map(|entry| entry.state.get()).unwrap_or_default()
    }

    /// Makes room for a descriptor of the library's own that will be waited for. ENOMEM.
    pub(crate) fn expect(&self, fd: libc::c_int) -> Result<()> {
        self.make_entry(fd).map(drop)
    }

    /// Forgets a descriptor of the library that is about to be closed. Another process may still have it: then
    /// the close alone would not take it out of the set. False: the program has closed it behind the library's
    /// back, and the number may be another file's.
    pub(crate) fn forget_socket(&self, fd: libc::c_int) -> bool {
        self.notice_fork();
        self.entry(fd).is_none_or(|entry| {
            let is_the_same = self.remove(fd, entry);
            entry.disown();
            entry.clear();
            is_the_same
        })
    }

    /// Has the number of a descriptor replaced by `CLOSED` where its owner has it, if the program closes it behind
    /// the library's back and the number is seen to be another descriptor's, of the library or of the program.
    ///
    /// # Safety
    /// The place stays until the descriptor is forgotten.
    #[cfg(feature = "sockets")]
    pub(crate) unsafe fn set_owner(&self, fd: libc::c_int, place: &Cell<libc::c_int>) {
        if let Ok(entry) = self.make_entry(fd) {
            entry.owner.set(Some(ptr::NonNull::from(place)));
        }
    }

    /// A number is a new descriptor's, or one that was the program's is the library's now. Whoever has the old one,
    /// which the program has closed behind the library's back, has none any more, and whoever waits for it is told so.
    pub(crate) fn begin_life(&self, context: &Context, fd: libc::c_int) {
        self.notice_fork();
        let Some(entry) = self.entry(fd) else { return };
        entry.disown();
        self.end_waits(context, entry, Errno::EBADF);
        self.remove(fd, entry);
        entry.clear();
    }

    /// The clause that waits for a socket of ours.
    pub(crate) fn waiting(&self, fd: libc::c_int, direction: Direction) -> Option<ptr::NonNull<Clause>> {
        self.entry(fd)?.waiter(direction).get()
    }
}
