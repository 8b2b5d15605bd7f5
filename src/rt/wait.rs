//! The wait step: how a coroutine blocks, and what wakes it.
//!
//! A blocking call registers *clauses* — each in a wait list, with the timers or with the poller —
//! and then waits. Whatever happens first withdraws all of them and puts the coroutine at the tail
//! of the ready queue; nobody is ever switched to directly.

use super::clock;
use super::context::Context;
use super::coroutine::Coroutine;
use super::list::{Link, Linked};
use super::poller::Direction;
use super::timer;
use crate::error::{Errno, Result};
use core::cell::Cell;
use core::ptr;

/// The id that a wait ends with when it was cancelled.
const CANCELLED: i32 = -1;
/// The id of the deadline's clause.
const DEADLINE: i32 = -2;

/// While somebody is always ready, descriptors and timers are polled this often, in ns.
const POLL_INTERVAL: i64 = 500_000;
/// How many waits may pass between two readings of the clock.
const WAITS_PER_CLOCK_READ: u32 = 16;
/// If it took longer than this to come to the next reading, in ns, ...
const SLOW: i64 = 200_000;
/// ... the clock is read at each of so many waits, until they are known to be fast again.
const CAUTIOUS_READS: u32 = 64;

/// What a clause is registered with.
pub(crate) enum Source {
    /// A wait list, by the clause's link.
    List(Awaited),
    /// The timers of the thread.
    Timer(*const timer::Node<Clause>),
    /// The poller.
    Descriptor(libc::c_int, Direction),
}

/// What is waited for in a wait list.
pub(crate) enum Awaited {
    /// The end of the coroutines of the bundle with this handle.
    Bundle(libc::c_int),
    /// Somebody who sends to the channel with this handle.
    Sender(libc::c_int),
    /// Somebody who receives from it.
    Receiver(libc::c_int),
    /// One's turn in using something.
    Turn,
}

/// One of the things a coroutine waits for. It lives on the waiter's stack.
#[repr(C)]
pub(crate) struct Clause {
    link: Link,
    owner: Cell<*const Coroutine>,
    /// The next clause of the same wait.
    next: Cell<*const Clause>,
    id: i32,
    source: Source,
}

// SAFETY: its link comes first.
unsafe impl Linked for Clause {}

impl Clause {
    /// A clause that will end a wait with `id`, which is not negative.
    pub(crate) fn new(id: i32, source: Source) -> Clause {
        Clause { link: Link::new(), owner: Cell::new(ptr::null()), next: Cell::new(ptr::null()), id, source }
    }

    /// What its wait ends with.
    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    /// What it is registered with.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The next clause of the same wait, which is alive, or null.
    pub(super) fn next(&self) -> *const Clause {
        self.next.get()
    }

    fn withdraw(&self, context: &Context) {
        match &self.source {
            Source::List(_) => self.link.unlink(),
            Source::Timer(node) => {
                // SAFETY: the node lives beside its clause.
                let node = unsafe { &**node };
                // SAFETY: an armed timer is in the thread's heap until it is withdrawn here.
                unsafe { context.timers.remove(node) };
            }
            Source::Descriptor(fd, direction) => context.poller.withdraw(*fd, *direction),
        }
    }
}

/// How a wait ended.
pub(crate) struct Wake {
    /// The clause that fired; negative for the deadline and for cancellation.
    pub id: i32,
    /// What went wrong, if anything.
    pub error: Option<Errno>,
}

impl Wake {
    /// For waits in which only one thing can go right.
    pub(crate) fn result(self) -> Result<()> {
        self.error.map_or(Ok(()), Err)
    }
}

impl Context {
    /// Waits for one clause, which is registered already, and for the deadline if it is not
    /// negative.
    ///
    /// # Safety
    /// The clause is registered with its source and stays in place until this returns.
    pub(crate) unsafe fn wait_for(&self, clause: &Clause, deadline: i64) -> Result<()> {
        self.arm(clause);
        // SAFETY: the clause is registered and stays in place until this returns, as the caller says.
        unsafe { self.wait_armed(deadline) }.result()
    }

    /// Makes a registered clause part of the current coroutine's next wait.
    pub(crate) fn arm(&self, clause: &Clause) {
        let current = self.current();
        clause.owner.set(current);
        clause.next.set(current.clauses.replace(clause));
    }

    /// Waits for the clauses armed before, and for the deadline if it is not negative.
    ///
    /// # Safety
    /// The armed clauses stay in place until this returns.
    pub(crate) unsafe fn wait_armed(&self, deadline: i64) -> Wake {
        if deadline < 0 {
            return self.wait();
        }
        let node = timer::Node::new(deadline);
        let clause = Clause::new(DEADLINE, Source::Timer(&node));
        node.belongs_to(&clause);
        // SAFETY: the node stays on this stack until `wait` returns, and firing or cancelling
        // takes it out of the heap before that.
        unsafe { self.timers.insert(&node) };
        self.arm(&clause);
        self.wait()
    }

    /// The wait step: runs others until the current coroutine is made ready.
    pub(crate) fn wait(&self) -> Wake {
        self.call_before_wait();
        self.switch_away();
        let current = self.current();
        self.waits.set(self.waits.get() + 1);
        Wake { id: current.wake_id.get(), error: current.wake_error.get() }
    }

    /// Makes the current coroutine ready again and lets the others run.
    pub(crate) fn yield_now(&self) -> Result<()> {
        self.make_ready(self.current(), 0, None);
        self.wait().result()
    }

    /// Lets everybody else run, because the time slice of the current coroutine is over.
    pub(super) fn yield_spent(&self) -> Result<()> {
        self.call_before_wait();
        self.make_spent();
        // Descriptors and timers are polled, too.
        self.waits_until_clock_read.set(0);
        self.switch_away();
        self.current().wake_error.get().map_or(Ok(()), Err)
    }

    /// Runs whoever is ready next; returns when the current coroutine is resumed.
    pub(crate) fn switch_away(&self) {
        self.poll_before_switch();
        self.run_next();
    }

    /// What comes before others run: polls if nobody is ready, and now and then if somebody is.
    #[inline(always)]
    pub(super) fn poll_before_switch(&self) {
        let budget = self.waits_until_clock_read.get();
        if self.has_ready() && budget > 0 {
            self.waits_until_clock_read.set(budget - 1);
        } else {
            self.poll_if_due();
        }
    }

    /// Makes somebody ready for a coroutine that ends, perhaps on a stack that has no room for a poll.
    pub(super) fn poll_if_idle(&self) {
        if !self.has_ready() {
            self.poll_if_due();
        }
    }

    /// Switches to whoever is ready first; there is somebody.
    #[inline(always)]
    pub(super) fn run_next(&self) {
        let to = self.pop_ready();
        self.switch_to(to);
    }

    /// Runs the one who is ready first until it waits. The current coroutine goes on then.
    pub(super) fn run_first(&self) {
        self.resume_spent(self.last_poll.get());
        let first = self.pop_ready();
        self.make_next();
        self.switch_to(first);
    }

    #[inline(always)]
    fn switch_to(&self, to: *const Coroutine) {
        let from = self.current_ptr();
        self.new_epoch();
        self.budget.renew();
        if ptr::eq(from, to) {
            return;
        }
        self.set_current(to);
        // SAFETY: the current coroutine is alive, or its stack is at least.
        let save = unsafe { Coroutine::registers(from) };
        // SAFETY: whoever is in the ready queue is alive.
        let load = unsafe { Coroutine::registers(to) };
        // SAFETY: whoever is in the ready queue was suspended by this function or by the `go`
        // macro, and is resumed once for each time it was queued. `from` is the coroutine whose
        // stack this is.
        unsafe { (self.switch)(save, load) };
    }

    /// Polls descriptors and timers if nobody can go on. If somebody can, reads the clock and polls when it is time.
    #[cold]
    fn poll_if_due(&self) {
        if !self.has_more() {
            return self.poll_until_ready();
        }
        let now = clock::nanoseconds();
        if now - self.last_clock_read.replace(now) > SLOW {
            self.cautious_reads.set(CAUTIOUS_READS);
        }
        let cautious = self.cautious_reads.get();
        self.waits_until_clock_read.set(if cautious > 0 { 0 } else { WAITS_PER_CLOCK_READ });
        self.cautious_reads.set(cautious.saturating_sub(1));
        if !self.has_ready() || now - self.last_poll.get() >= POLL_INTERVAL {
            self.poll_once(now);
        }
    }

    /// Polls until somebody can go on.
    fn poll_until_ready(&self) {
        while !self.has_ready() {
            self.work_in_background();
            self.poller.poll(self, self.timeout());
            self.note_poll(clock::nanoseconds());
        }
        self.waits_until_clock_read.set(0);
        self.cautious_reads.set(CAUTIOUS_READS);
    }

    /// Polls without waiting.
    fn poll_once(&self, now: i64) {
        self.work_in_background();
        self.poller.poll(self, 0);
        self.note_poll(now);
    }

    /// What follows a poll.
    #[inline(always)]
    fn note_poll(&self, now: i64) {
        self.last_clock_read.set(now);
        self.fire_timers(clock::milliseconds(now));
        self.resume_spent(now);
        self.last_poll.set(now);
    }

    /// Polls descriptors and timers without waiting.
    pub(super) fn poll_now(&self) {
        self.poll_once(clock::nanoseconds());
        // It may have been told of what nobody waits for yet, and that is told once.
        self.new_epoch();
    }

    /// Whether somebody can go on.
    pub(super) fn has_more(&self) -> bool {
        self.has_ready() || self.has_spent()
    }

    /// Whether something is to be done before the thread polls.
    fn has_work(&self) -> bool {
        #[cfg(feature = "sockets")]
        return self.has_tasks();
        #[cfg(not(feature = "sockets"))]
        return false;
    }

    /// When somebody can go on without I/O: a time of deadlines; -1: never.
    pub(super) fn next_time(&self) -> i64 {
        if self.has_more() || self.has_work() {
            return clock::now();
        }
        self.first_time().map_or(-1, |first| first.max(0))
    }

    /// When the first timer or alarm is due.
    fn first_time(&self) -> Option<i64> {
        // SAFETY: the first timer, if any, is alive.
        let timer = unsafe { self.timers.first().as_ref() }.map(timer::Node::deadline);
        #[cfg(feature = "sockets")]
        if let Some(alarm) = self.alarm_time() {
            return Some(timer.map_or(alarm, |timer| timer.min(alarm)));
        }
        timer
    }

    /// Milliseconds until then, as the poller takes them.
    fn timeout(&self) -> libc::c_int {
        if self.has_work() {
            return 0;
        }
        self.first_time().map_or(-1, |first| {
            let left = first.saturating_sub(clock::now()).max(0);
            libc::c_int::try_from(left).unwrap_or(libc::c_int::MAX)
        })
    }

    /// Does what needs no coroutine, and sends what comes of it.
    #[inline(always)]
    pub(super) fn work_in_background(&self) {
        #[cfg(feature = "sockets")]
        if self.has_tasks() {
            // What was put off is the parent's to do.
            self.poller.notice_fork();
            self.run_tasks();
            self.call_before_wait();
        }
    }

    #[inline(always)]
    fn fire_timers(&self, now: i64) {
        #[cfg(feature = "sockets")]
        self.run_alarms(now);
        // SAFETY: the first timer, if any, is alive.
        while let Some(first) = unsafe { self.timers.first().as_ref() } {
            if first.deadline() > now {
                return;
            }
            // SAFETY: every timer of a thread is part of a clause.
            self.fire(unsafe { &*first.owner() }, Some(Errno::ETIMEDOUT));
        }
    }

    /// Ends the wait that a clause belongs to.
    pub(crate) fn fire(&self, clause: &Clause, error: Option<Errno>) {
        // SAFETY: the owner of an armed clause is alive: it is suspended in its wait.
        let owner = unsafe { &*clause.owner.get() };
        self.unblock(owner, clause.id, error);
    }

    /// Withdraws all clauses of a blocked coroutine and makes it ready.
    pub(crate) fn unblock(&self, coroutine: &Coroutine, id: i32, error: Option<Errno>) {
        let mut next = coroutine.clauses.replace(ptr::null());
        // SAFETY: the clauses of a suspended coroutine are alive on its stack.
        while let Some(clause) = unsafe { next.as_ref() } {
            next = clause.next.get();
            clause.withdraw(self);
        }
        self.make_ready(coroutine, id, error);
    }

    /// Ends a wait with ECANCELED.
    pub(crate) fn cancel_wait(&self, coroutine: &Coroutine) {
        self.unblock(coroutine, CANCELLED, Some(Errno::ECANCELED));
    }
}

/// How many waits of this thread have ended: equal numbers mean that a call has not waited.
#[inline]
pub(crate) fn count() -> u64 {
    Context::existing().map_or(0, Context::waits)
}

/// Waits for the deadline; for ever if it is negative. ECANCELED.
pub(crate) fn sleep(context: &Context, deadline: i64) -> Result<()> {
    context.check_cancelled()?;
    // SAFETY: no clause is armed but the deadline's own.
    match unsafe { context.wait_armed(deadline) }.result() {
        Err(Errno::ETIMEDOUT) => Ok(()),
        other => other,
    }
}

/// Lets the others run. ECANCELED.
pub(crate) fn yield_now(context: &Context) -> Result<()> {
    context.check_cancelled()?;
    context.yield_now()
}
