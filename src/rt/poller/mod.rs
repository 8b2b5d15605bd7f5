//! Waiting for descriptors: one set a thread, made when something first waits. What the system offers for that
//! is in `epoll.rs`.
//!
//! Two kinds of descriptor share it:
//!
//! - *User* descriptors, waited for by `fdin` and `fdout`: level-triggered. Interest changes are
//!   collected and applied just before the next poll.
//! - *Sockets*, the library's sockets: registered once, edge-triggered, for both directions. A
//!   socket tries first and waits only after the kernel refused, so no edge can be missed.

mod epoll;

use self::epoll::{Change, FdEvent, Interest, Set};
#[cfg(feature = "sockets")]
use super::background::{self, Background};
use super::context::Context;
use super::process::WipedOnFork;
use super::wait::{Clause, Source};
use crate::error::{self, Errno, Result};
use core::cell::{Cell, OnceCell, RefCell};
use core::ptr;

/// Which readiness is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// Readable, or in an error or hang-up state.
    In,
    /// Writable, or in an error or hang-up state.
    Out,
}

/// What an own socket wants to be told without a coroutine waiting.
pub(crate) trait Watcher {
    /// The socket may be writable again.
    fn writable(&self);
    /// It is told nothing any more: this process is the child of a fork, whose parent is told as before,
    /// or there is no set to be had.
    fn abandoned(&self);
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum FdKind {
    #[default]
    Unknown,
    User,
    Socket,
}

#[derive(Default)]
struct FdEntry {
    kind: Cell<FdKind>,
    /// What the set was last told.
    registered: Cell<Interest>,
    /// On the list of entries whose interest may have changed.
    changed: Cell<bool>,
    /// The peer has closed its half, or the socket is dead.
    hung_up: Cell<bool>,
    /// Events of an older life of this descriptor number are told by it.
    generation: Cell<u32>,
    reader: Cell<Option<ptr::NonNull<Clause>>>,
    writer: Cell<Option<ptr::NonNull<Clause>>>,
    watcher: Cell<Option<ptr::NonNull<dyn Watcher>>>,
    /// Who wants to know of input that nobody waits for.
    #[cfg(feature = "sockets")]
    attendant: Cell<Option<ptr::NonNull<dyn Background>>>,
}

impl FdEntry {
    fn waiter(&self, direction: Direction) -> &Cell<Option<ptr::NonNull<Clause>>> {
        match direction {
            Direction::In => &self.reader,
            Direction::Out => &self.writer,
        }
    }

    fn wanted(&self) -> Interest {
        Interest::levels(self.reader.get().is_some(), self.writer.get().is_some())
    }

    fn is_registered(&self) -> bool {
        self.registered.get() != Interest::NONE
    }

    fn is_waited_for(&self) -> bool {
        #[cfg(feature = "sockets")]
        if self.attendant.get().is_some() {
            return true;
        }
        self.reader.get().is_some() || self.writer.get().is_some() || self.watcher.get().is_some()
    }

    fn clear(&self) {
        self.kind.set(FdKind::Unknown);
        self.registered.set(Interest::NONE);
        self.hung_up.set(false);
        self.generation.set(self.generation.get().wrapping_add(1));
        self.watcher.set(None);
        #[cfg(feature = "sockets")]
        self.attendant.set(None);
    }
}

/// The poll set of a thread.
pub(crate) struct Poller {
    set: Set,
    /// By descriptor; boxed so that growing the table moves no entry.
    entries: RefCell<Vec<Option<Box<FdEntry>>>>,
    changes: RefCell<Vec<libc::c_int>>,
    /// Set when the set is made; in a child process it is not.
    is_ours: OnceCell<WipedOnFork<Cell<bool>>>,
    /// The set is being made anew.
    rebuilding: Cell<bool>,
    /// The last wait failed.
    failed: Cell<bool>,
}

impl Poller {
    /// A poll set that holds no descriptor yet.
    pub(crate) const fn new() -> Poller {
        Poller {
            set: Set::new(),
            entries: RefCell::new(Vec::new()),
            changes: RefCell::new(Vec::new()),
            is_ours: OnceCell::new(),
            rebuilding: Cell::new(false),
            failed: Cell::new(false),
        }
    }

    /// The entry of a descriptor if there is one. Entries are never freed while the thread lives.
    fn entry(&self, fd: libc::c_int) -> Option<&FdEntry> {
        let index = usize::try_from(fd).ok()?;
        let entries = self.entries.borrow();
        let entry: *const FdEntry = &**entries.get(index)?.as_ref()?;
        // SAFETY: entries are boxed and live as long as the poller.
        Some(unsafe { &*entry })
    }

    /// The entry of a descriptor that may be none at all. EBADF: not open. ENOMEM.
    fn make_foreign_entry(&self, fd: libc::c_int) -> Result<&FdEntry> {
        if let Some(entry) = self.entry(fd) {
            return Ok(entry);
        }
        // The table is indexed by descriptor: a number that is not open must not make it grow.
        // SAFETY: the call only looks at the descriptor.
        error::check(unsafe { libc::fcntl(fd, libc::F_GETFD) }).map_err(|_| Errno::EBADF)?;
        self.make_entry(fd)
    }

    /// The entry of an open descriptor, made if need be. ENOMEM.
    fn make_entry(&self, fd: libc::c_int) -> Result<&FdEntry> {
        if let Some(entry) = self.entry(fd) {
            return Ok(entry);
        }
        let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let entry = crate::memory::try_box(FdEntry::default())?;
        let mut entries = self.entries.borrow_mut();
        if index >= entries.len() {
            let more = index + 1 - entries.len();
            entries.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
            entries.resize_with(index + 1, || None);
        }
        // An entry can be put on the list of changes at any time, so there is room for all.
        let mut changes = self.changes.borrow_mut();
        let room = entries.len() - changes.len();
        changes.try_reserve(room).map_err(|_| Errno::ENOMEM)?;
        entries[index] = Some(entry);
        drop((entries, changes));
        self.entry(fd).ok_or(Errno::EBADF)
    }

    /// Makes the set if need be. EMFILE, ENFILE, ENOMEM.
    fn make_set(&self) -> Result<()> {
        if !self.set.is_made() {
            let mark = match self.is_ours.get() {
                Some(mark) => mark,
                None => {
                    let mark = WipedOnFork::new()?;
                    self.is_ours.get_or_init(|| mark)
                }
            };
            self.set.make()?;
            mark.set(true);
        }
        Ok(())
    }

    /// Changes the set. If it is gone, because the program has closed all descriptors, a new one is made.
    fn control(&self, change: Change, fd: libc::c_int, entry: &FdEntry, interest: Interest) -> Result<()> {
        let mut result = self.try_control(change, fd, entry, interest);
        if let Err(error) = result
            && self.set.is_lost(error)
            && !self.rebuilding.get()
        {
            self.rebuild(Context::get()?);
            result = self.try_control(change, fd, entry, interest);
        }
        result.map_err(|error| match error {
            // There is no set to be had, or the limit of what all sets of a user hold together is reached.
            Errno::EINVAL | Errno::System(libc::ENOSPC) => Errno::ENOMEM,
            other => other,
        })
    }

    fn try_control(
        &self,
        change: Change,
        fd: libc::c_int,
        entry: &FdEntry,
        interest: Interest,
    ) -> Result<()> {
        self.make_set()?;
        self.set.change(change, fd, entry.generation.get(), interest)?;
        entry.registered.set(interest);
        Ok(())
    }

    /// Takes a descriptor out of the set. It may be closed already; if a duplicate of it is still open, the set
    /// may go on telling about that one, and cannot be told to stop. Such events are those of an older life.
    fn remove(&self, fd: libc::c_int, entry: &FdEntry) {
        if entry.is_registered() && self.control(Change::Remove, fd, entry, Interest::NONE).is_err() {
            entry.generation.set(entry.generation.get().wrapping_add(1));
        }
        entry.registered.set(Interest::NONE);
    }

    /// Puts a descriptor into the set, whatever was there under its number before.
    fn add(&self, fd: libc::c_int, entry: &FdEntry, interest: Interest) -> Result<()> {
        match self.control(Change::Add, fd, entry, interest) {
            Err(Errno::EEXIST) => self.control(Change::Modify, fd, entry, interest),
            Err(Errno::EPERM | Errno::ELOOP) => Err(Errno::ENOTSUP),
            other => other,
        }
    }

    /// Lets a clause wait for a foreign descriptor. EBADF, ENOTSUP, EBUSY, ENOMEM, EMFILE.
    ///
    /// # Safety
    /// The clause stays where it is until it fired or was withdrawn.
    pub(crate) unsafe fn wait_foreign(
        &self,
        fd: libc::c_int,
        direction: Direction,
        clause: &Clause,
    ) -> Result<()> {
        self.notice_fork();
        let entry = self.make_foreign_entry(fd)?;
        if entry.waiter(direction).get().is_some() {
            return Err(Errno::EBUSY);
        }
        let this = Some(ptr::NonNull::from(clause));
        if entry.kind.get() == FdKind::Socket {
            self.take_over(fd, entry)?;
        }
        if entry.kind.get() == FdKind::Unknown {
            entry.waiter(direction).set(this);
            let added = self.add(fd, entry, entry.wanted());
            entry.waiter(direction).set(None);
            added?;
            entry.kind.set(FdKind::User);
        }
        entry.waiter(direction).set(this);
        self.note_change(fd, entry);
        Ok(())
    }

    /// The program waits for a descriptor that has the number of an own socket. EBUSY: it is the own socket.
    #[cold]
    fn take_over(&self, fd: libc::c_int, entry: &FdEntry) -> Result<()> {
        if self.control(Change::Modify, fd, entry, Interest::EDGES).is_ok() {
            return Err(Errno::EBUSY);
        }
        // The program has closed the own socket behind the library's back.
        self.give_up(Context::get()?, entry, Errno::EBADF);
        entry.clear();
        Ok(())
    }

    /// Lets a clause wait for an edge on an own socket, which has just refused to go on.
    ///
    /// # Safety
    /// The clause stays where it is until it fired or was withdrawn.
    pub(crate) unsafe fn wait_own(
        &self,
        fd: libc::c_int,
        direction: Direction,
        clause: &Clause,
    ) -> Result<()> {
        let entry = self.own(fd)?;
        if entry.waiter(direction).get().is_some() {
            return Err(Errno::EBUSY);
        }
        entry.waiter(direction).set(Some(ptr::NonNull::from(clause)));
        Ok(())
    }

    /// The entry of an own socket, registered if it is not yet.
    fn own(&self, fd: libc::c_int) -> Result<&FdEntry> {
        self.notice_fork();
        let entry = self.make_entry(fd)?;
        if !entry.is_registered() {
            // Of the socket's descriptor that is not true.
            self.add(fd, entry, Interest::EDGES).map_err(|error| match error {
                Errno::EMFILE | Errno::ENFILE => Errno::ENOMEM,
                other => other,
            })?;
            entry.kind.set(FdKind::Socket);
        }
        Ok(entry)
    }

    /// Tells an own socket about writability even while no coroutine waits for it.
    ///
    /// # Safety
    /// The watcher lives until it is unset or the descriptor is forgotten.
    pub(crate) unsafe fn watch(&self, fd: libc::c_int, watcher: &(dyn Watcher + 'static)) -> Result<()> {
        self.own(fd)?.watcher.set(Some(ptr::NonNull::from(watcher)));
        Ok(())
    }

    /// Tells of a fork while the descriptor is waited for as a foreign one.
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

    /// Tells of input to an own socket that no coroutine waits for.
    ///
    /// # Safety
    /// The attendant lives until it is unset or the descriptor is forgotten.
    #[cfg(feature = "sockets")]
    pub(crate) unsafe fn attend(
        &self,
        fd: libc::c_int,
        attendant: &(dyn Background + 'static),
    ) -> Result<()> {
        self.own(fd)?.attendant.set(Some(ptr::NonNull::from(attendant)));
        Ok(())
    }

    /// Ends what `attend` began.
    #[cfg(feature = "sockets")]
    pub(crate) fn unattend(&self, fd: libc::c_int) {
        if let Some(entry) = self.entry(fd) {
            entry.attendant.set(None);
        }
    }

    /// Whether the peer of an own socket is known to have closed its half, or the socket to be dead.
    pub(crate) fn hung_up(&self, fd: libc::c_int) -> bool {
        self.entry(fd).is_some_and(|entry| entry.hung_up.get())
    }

    /// Withdraws a clause.
    pub(crate) fn withdraw(&self, fd: libc::c_int, direction: Direction) {
        if let Some(entry) = self.entry(fd) {
            entry.waiter(direction).set(None);
            if entry.kind.get() == FdKind::User {
                self.note_change(fd, entry);
            }
        }
    }

    /// Makes room for a descriptor of the library's own that will be waited for. ENOMEM.
    pub(crate) fn expect(&self, fd: libc::c_int) -> Result<()> {
        self.make_entry(fd).map(drop)
    }

    /// Forgets a foreign descriptor. EBUSY: somebody waits for it.
    pub(crate) fn forget_foreign(&self, fd: libc::c_int) -> Result<()> {
        let Some(entry) = self.entry(fd) else { return Ok(()) };
        if entry.reader.get().is_some() || entry.writer.get().is_some() {
            return Err(Errno::EBUSY);
        }
        self.remove(fd, entry);
        entry.clear();
        Ok(())
    }

    /// Forgets a descriptor of the library that is about to be closed. Another process may still have it: then
    /// the close alone would not take it out of the set.
    pub(crate) fn forget_own(&self, fd: libc::c_int) {
        if let Some(entry) = self.entry(fd) {
            self.remove(fd, entry);
            entry.clear();
        }
    }

    /// A number is a new descriptor's. Whoever waits for the old one, which the program has closed behind the
    /// library's back, is told so.
    pub(crate) fn begin_life(&self, context: &Context, fd: libc::c_int) {
        if let Some(entry) = self.entry(fd)
            && (entry.is_registered() || entry.is_waited_for())
        {
            self.give_up(context, entry, Errno::EBADF);
            entry.clear();
        }
    }

    /// The clause that waits for an own socket.
    pub(crate) fn waiting(&self, fd: libc::c_int, direction: Direction) -> Option<ptr::NonNull<Clause>> {
        self.entry(fd)?.waiter(direction).get()
    }

    fn note_change(&self, fd: libc::c_int, entry: &FdEntry) {
        if !entry.changed.replace(true) {
            self.changes.borrow_mut().push(fd);
        }
    }

    /// Tells the set what has changed since the last poll.
    fn apply_changes(&self, context: &Context) {
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
                self.give_up(context, entry, error);
            }
        }
    }

    /// Ends the waits for a descriptor.
    fn give_up(&self, context: &Context, entry: &FdEntry, error: Errno) {
        for waiter in [entry.reader.get(), entry.writer.get()].into_iter().flatten() {
            // SAFETY: a registered clause is alive; firing it unregisters it.
            context.fire(unsafe { waiter.as_ref() }, Some(error));
        }
        if let Some(watcher) = entry.watcher.take() {
            // SAFETY: by the contract of `watch`.
            unsafe { watcher.as_ref() }.abandoned();
        }
        #[cfg(feature = "sockets")]
        background::abandon(entry.attendant.take());
    }

    /// Makes the set ready to be polled by others: returns its descriptor. EMFILE, ENFILE, ENOMEM.
    pub(super) fn prepare(&self, context: &Context) -> Result<libc::c_int> {
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
        for fd in 0..self.entries.borrow().len() {
            let Some(entry) = self.entry(fd as libc::c_int) else { continue };
            entry.registered.set(Interest::NONE);
            self.give_up(context, entry, Errno::ENOMEM);
        }
    }

    /// Makes a new set of everybody who is waited for: the program has closed the old one, or there is
    /// something in it that cannot be taken out.
    #[cold]
    fn rebuild(&self, context: &Context) {
        self.set.close();
        self.rebuilding.set(true);
        for fd in 0..self.entries.borrow().len() {
            let fd = fd as libc::c_int;
            let Some(entry) = self.entry(fd) else { continue };
            entry.registered.set(Interest::NONE);
            match entry.kind.get() {
                FdKind::User => self.note_change(fd, entry),
                // Others are added when they are waited for.
                FdKind::Socket if entry.is_waited_for() => {
                    if let Err(error) = self.add(fd, entry, Interest::EDGES) {
                        self.give_up(context, entry, error);
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
        if event.hung_up {
            entry.hung_up.set(true);
        }
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
                unsafe { watcher.as_ref() }.writable();
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
    fn notice_fork(&self) {
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
        for fd in 0..self.entries.borrow().len() {
            let Some(entry) = self.entry(fd as libc::c_int) else { continue };
            if let Some(watcher) = entry.watcher.take() {
                // SAFETY: by the contract of `watch`.
                unsafe { watcher.as_ref() }.abandoned();
            }
            #[cfg(feature = "sockets")]
            background::abandon(entry.attendant.take());
        }
        self.rebuild(context);
    }

    /// Frees the set.
    pub(crate) fn release(&self) {
        self.set.close();
    }
}

/// Waits until a foreign descriptor is ready.
pub(crate) fn wait_foreign(
    context: &Context,
    fd: libc::c_int,
    direction: Direction,
    deadline: i64,
) -> Result<()> {
    context.check_cancelled()?;
    let clause = Clause::new(0, Source::Descriptor(fd, direction));
    // SAFETY: the clause stays on this stack until `wait` returns.
    unsafe { context.poller.wait_foreign(fd, direction, &clause) }?;
    // SAFETY: as above.
    unsafe { context.wait_for(&clause, deadline) }
}

/// Forgets a foreign descriptor. EBUSY: somebody waits for it.
pub(crate) fn forget(fd: libc::c_int) -> Result<()> {
    Context::get()?.poller.forget_foreign(fd)
}
