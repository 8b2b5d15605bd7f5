//! The set of descriptors that a thread waits for, by epoll. On another system this file is another one.

use crate::error::{self, Errno, Result};
use core::cell::{Cell, RefCell};

/// Events consumed by one poll.
const BATCH: usize = 128;

const IN_EVENTS: u32 = (libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP) as u32;
const OUT_EVENTS: u32 = (libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP) as u32;
const HANG_UP: u32 = (libc::EPOLLRDHUP | libc::EPOLLERR | libc::EPOLLHUP) as u32;

/// What the set is to tell of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Interest(u32);

impl Interest {
    /// Nothing: the descriptor is not in the set.
    pub(super) const NONE: Interest = Interest(0);
    /// Each change for the better in either direction, hang-ups, and urgent bytes, once.
    pub(super) const EDGES: Interest =
        Interest((libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLET) as u32);

    /// That it is readable or writable, as long as it is.
    pub(super) fn levels(read: bool, write: bool) -> Interest {
        let read = if read { libc::EPOLLIN } else { 0 };
        let write = if write { libc::EPOLLOUT } else { 0 };
        Interest((read | write) as u32)
    }
}

#[derive(Clone, Copy)]
pub(super) enum Change {
    Add,
    Modify,
    Remove,
}

/// What the set tells.
pub(super) struct FdEvent {
    pub(super) fd: libc::c_int,
    /// As it was said when the descriptor was added or modified.
    pub(super) generation: u32,
    /// Readable, or hung up.
    pub(super) readable: bool,
    /// Writable, or dead.
    pub(super) writable: bool,
    /// The peer has closed its half, or the descriptor is dead.
    pub(super) hung_up: bool,
    /// There is an urgent byte.
    pub(super) urgent: bool,
}

pub(super) struct Set {
    /// Negative: there is none.
    fd: Cell<libc::c_int>,
    events: RefCell<Vec<libc::epoll_event>>,
}

impl Set {
    /// Not made yet.
    pub(super) const fn new() -> Set {
        Set { fd: Cell::new(-1), events: RefCell::new(Vec::new()) }
    }

    pub(super) fn is_made(&self) -> bool {
        self.fd.get() >= 0
    }

    /// Polls readable when there is an event.
    pub(super) fn descriptor(&self) -> libc::c_int {
        self.fd.get()
    }

    /// Makes it. EMFILE, ENFILE, ENOMEM.
    pub(super) fn make(&self) -> Result<()> {
        let mut events = self.events.borrow_mut();
        let more = BATCH - events.len();
        events.try_reserve_exact(more).map_err(|_| Errno::ENOMEM)?;
        events.resize(BATCH, libc::epoll_event { events: 0, u64: 0 });
        // SAFETY: the call takes no pointer.
        self.fd.set(error::check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?);
        Ok(())
    }

    /// EEXIST: it is in the set already. ENOENT: it is not. EPERM, ELOOP: it cannot be. EBADF: it is not open,
    /// or the set is not any more; `is_lost` tells which. Others if there is no set to be had.
    pub(super) fn change(
        &self,
        change: Change,
        fd: libc::c_int,
        generation: u32,
        interest: Interest,
    ) -> Result<()> {
        let set = self.fd.get();
        if fd == set {
            // Either the set or the other descriptor is closed, and its number was given to the other one.
            return Err(if may_be_epoll(set) { Errno::EBADF } else { Errno::EINVAL });
        }
        let operation = match change {
            Change::Add => libc::EPOLL_CTL_ADD,
            Change::Modify => libc::EPOLL_CTL_MOD,
            Change::Remove => libc::EPOLL_CTL_DEL,
        };
        let tag = (u64::from(generation) << 32) | u64::from(fd as u32);
        let mut event = libc::epoll_event { events: interest.0, u64: tag };
        // SAFETY: the event is read during the call only.
        error::check(unsafe { libc::epoll_ctl(set, operation, fd, &raw mut event) }).map(|_| ())
    }

    /// Whether a change failed because the number of the set is not open any more, or is another file's.
    pub(super) fn is_lost(&self, error: Errno) -> bool {
        // SAFETY: the call only looks at the descriptor.
        let is_open = || unsafe { libc::fcntl(self.fd.get(), libc::F_GETFD) } >= 0;
        error == Errno::EINVAL || (error == Errno::EBADF && !is_open())
    }

    /// Waits at most `timeout` milliseconds (-1: without end); returns how many events there are.
    pub(super) fn wait(&self, timeout: libc::c_int) -> Result<usize> {
        let mut events = self.events.borrow_mut();
        // SAFETY: the buffer holds BATCH events.
        let count = error::check(unsafe {
            libc::epoll_wait(self.fd.get(), events.as_mut_ptr(), BATCH as libc::c_int, timeout)
        })?;
        Ok(count as usize)
    }

    /// One of the events of the last wait.
    pub(super) fn event(&self, index: usize) -> FdEvent {
        let event = self.events.borrow()[index];
        let (tag, happened) = (event.u64, event.events);
        FdEvent {
            fd: tag as u32 as libc::c_int,
            generation: (tag >> 32) as u32,
            readable: happened & (IN_EVENTS | HANG_UP) != 0,
            writable: happened & OUT_EVENTS != 0,
            hung_up: happened & HANG_UP != 0,
            urgent: happened & libc::EPOLLPRI as u32 != 0,
        }
    }

    /// Closes it, unless its number is another file's by now.
    pub(super) fn close(&self) {
        let fd = self.fd.replace(-1);
        if fd >= 0 && may_be_epoll(fd) {
            // SAFETY: the descriptor is ours; in a child, it is this process's copy.
            unsafe { libc::close(fd) };
        }
    }
}

/// Whether a number can still be that of an epoll set, as far as the system tells.
fn may_be_epoll(fd: libc::c_int) -> bool {
    use std::io::Write;
    const EPOLL: &[u8] = b"anon_inode:[eventpoll]";
    let (mut path, mut target) = ([0_u8; 32], [0_u8; EPOLL.len() + 1]);
    // It fits, with a NUL behind it.
    let _ = write!(&mut path[..31], "/proc/self/fd/{fd}");
    // SAFETY: the path is a string, and the target is writable for its size.
    let len = unsafe { libc::readlink(path.as_ptr().cast(), target.as_mut_ptr().cast(), target.len()) };
    usize::try_from(len).is_err() || &target[..len as usize] == EPOLL
}
