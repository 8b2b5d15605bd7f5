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
mod events;
mod sockets;

use self::epoll::{Change, Interest, Set};
#[cfg(feature = "sockets")]
pub(crate) use self::sockets::CLOSED;
#[cfg(feature = "sockets")]
use super::background::Background;
use super::context::Context;
use super::process::WipedOnFork;
use super::wait::{Clause, Source};
use crate::error::{self, Errno, Result};
use core::cell::{Cell, OnceCell, RefCell};
use core::ops::Range;
use core::ptr;

/// Which readiness is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// Readable, or in an error or hang-up state.
    In,
    /// Writable, or in an error or hang-up state.
    Out,
}

/// What a socket of ours wants to be told without a coroutine waiting.
pub(crate) trait Watcher {
    /// The socket may be writable again.
    fn writable(&self, context: &Context);
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

/// What the set has told of a socket of ours since that was opened.
#[derive(Clone, Copy, Default)]
pub(crate) struct SocketState {
    /// The peer has closed its half, or the socket is dead.
    pub(crate) hung_up: bool,
    /// The peer has sent an urgent byte, at which the kernel cuts what is received.
    pub(crate) urgent: bool,
}

#[derive(Default)]
struct FdEntry {
    kind: Cell<FdKind>,
    /// What the set was last told.
    registered: Cell<Interest>,
    /// On the list of entries whose interest may have changed.
    changed: Cell<bool>,
    /// What the set has told, if it is a socket.
    state: Cell<SocketState>,
    /// Events of an older life of this descriptor number are told by it.
    generation: Cell<u32>,
    reader: Cell<Option<ptr::NonNull<Clause>>>,
    writer: Cell<Option<ptr::NonNull<Clause>>>,
    watcher: Cell<Option<ptr::NonNull<dyn Watcher>>>,
    /// Where the object that the descriptor belongs to has its number.
    #[cfg(feature = "sockets")]
    owner: Cell<Option<ptr::NonNull<Cell<libc::c_int>>>>,
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

    /// Whoever has the descriptor has none any more: the number is another file's.
    fn disown(&self) {
        #[cfg(feature = "sockets")]
        if let Some(place) = self.owner.take() {
            // SAFETY: by the contract of `set_owner`.
            unsafe { place.as_ref() }.set(CLOSED);
        }
    }

    fn clear(&self) {
        self.kind.set(FdKind::Unknown);
        self.registered.set(Interest::NONE);
        self.state.set(SocketState::default());
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
        // SAFETY: the table stays as it is while it is looked at here.
        let entries = unsafe { self.entries.try_borrow_unguarded() }.ok()?;
        let entry: *const FdEntry = &**entries.get(index)?.as_ref()?;
        // SAFETY: entries are boxed and live as long as the poller.
        Some(unsafe { &*entry })
    }

    /// The descriptors that there may be entries of. Nothing is borrowed.
    fn known_fds(&self) -> Range<libc::c_int> {
        // An index was a descriptor.
        0..self.entries.borrow().len() as libc::c_int
    }

    /// The entry of a descriptor that may be none at all. EBADF: not open. ENOMEM.
    fn make_user_entry(&self, fd: libc::c_int) -> Result<&FdEntry> {
        if let Some(entry) = self.entry(fd) {
            return Ok(entry);
        }
        // The table is indexed by descriptor: a number that is not open must not make it grow.
        // SAFETY: the call only looks at the descriptor.
        error::check(unsafe { libc::fcntl(fd, libc::F_GETFD) }).map_err(|_| Errno::EBADF)?;
        self.make_entry(fd)
    }

    /// The entry of an open descriptor, made if need be. ENOMEM.
    #[inline(always)]
    fn make_entry(&self, fd: libc::c_int) -> Result<&FdEntry> {
        match self.entry(fd) {
            Some(entry) => Ok(entry),
            None => self.add_entry(fd),
        }
    }

    #[inline(never)]
    fn add_entry(&self, fd: libc::c_int) -> Result<&FdEntry> {
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
    /// False: the number is not that of what was put in.
    fn remove(&self, fd: libc::c_int, entry: &FdEntry) -> bool {
        if !entry.is_registered() {
            return true;
        }
        let removed = self.try_control(Change::Remove, fd, entry, Interest::NONE);
        entry.registered.set(Interest::NONE);
        let Err(error) = removed else { return true };
        entry.generation.set(entry.generation.get().wrapping_add(1));
        !self.is_of_another_file(error)
    }

    /// Whether a change failed because the number is not that of what was put in: it is not open, or another file's,
    /// which is not in the set, or cannot be, as files on a disk.
    fn is_of_another_file(&self, error: Errno) -> bool {
        matches!(error, Errno::ENOENT | Errno::EPERM) || (error == Errno::EBADF && !self.set.is_lost(error))
    }

    /// Puts a descriptor into the set, whatever was there under its number before.
    fn add(&self, fd: libc::c_int, entry: &FdEntry, interest: Interest) -> Result<()> {
        match self.control(Change::Add, fd, entry, interest) {
            Err(Errno::EEXIST) => self.control(Change::Modify, fd, entry, interest),
            Err(Errno::EPERM | Errno::ELOOP) => Err(Errno::ENOTSUP),
            other => other,
        }
    }

    /// Lets a clause wait for a descriptor of the program's. EBADF, ENOTSUP, EBUSY, ENOMEM, EMFILE.
    ///
    /// # Safety
    /// The clause stays where it is until it fired or was withdrawn.
    pub(crate) unsafe fn wait_user_fd(
        &self,
        fd: libc::c_int,
        direction: Direction,
        clause: &Clause,
    ) -> Result<()> {
        self.notice_fork();
        let entry = self.make_user_entry(fd)?;
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

    /// Withdraws a clause.
    pub(crate) fn withdraw(&self, fd: libc::c_int, direction: Direction) {
        if let Some(entry) = self.entry(fd) {
            entry.waiter(direction).set(None);
            if entry.kind.get() == FdKind::User {
                self.note_change(fd, entry);
            }
        }
    }

    /// Forgets a descriptor of the program's. EBUSY: somebody waits for it, or it is a socket of ours.
    pub(crate) fn forget_user_fd(&self, fd: libc::c_int) -> Result<()> {
        self.notice_fork();
        let Some(entry) = self.entry(fd) else { return Ok(()) };
        if entry.reader.get().is_some() || entry.writer.get().is_some() {
            return Err(Errno::EBUSY);
        }
        if entry.kind.get() == FdKind::Socket {
            return self.take_over(fd, entry);
        }
        self.remove(fd, entry);
        entry.clear();
        Ok(())
    }

    fn note_change(&self, fd: libc::c_int, entry: &FdEntry) {
        if !entry.changed.replace(true) {
            self.changes.borrow_mut().push(fd);
        }
    }

    /// Frees the set.
    pub(crate) fn release(&self) {
        self.set.close();
    }
}

/// Waits until a descriptor of the program's is ready.
pub(crate) fn wait_user_fd(
    context: &Context,
    fd: libc::c_int,
    direction: Direction,
    deadline: i64,
) -> Result<()> {
    context.check_cancelled()?;
    let clause = Clause::new(0, Source::Descriptor(fd, direction));
    // SAFETY: the clause stays on this stack until `wait` returns.
    unsafe { context.poller.wait_user_fd(fd, direction, &clause) }?;
    // SAFETY: as above.
    unsafe { context.wait_for(&clause, deadline) }
}

/// Forgets a descriptor of the program's. EBUSY: somebody waits for it, or it is a socket of ours.
pub(crate) fn forget(fd: libc::c_int) -> Result<()> {
    Context::get()?.poller.forget_user_fd(fd)
}
