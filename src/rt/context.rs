//! The runtime of a thread: everything that its coroutines share.

use super::above::Above;
#[cfg(feature = "sockets")]
use super::background::{Alarm, Task};
#[cfg(feature = "sockets")]
use super::big_stack::BigStack;
use super::budget::Budget;
use super::coroutine::Coroutine;
use super::fiber::{Runtimes, Switch};
use super::handle::Table;
#[cfg(feature = "sockets")]
use super::list::List;
use super::poller::Poller;
use super::process;
#[cfg(feature = "tls")]
use super::reserve::Reserve;
use super::stack::StackPool;
use super::timer;
use super::wait::Clause;
use crate::arch::thread_slot;
use crate::error::{Errno, Result, keep_errno};
use core::cell::Cell;
use core::ptr;

/// The state of a thread, made by the first call that needs it.
pub(crate) struct Context {
    current: Cell<*const Coroutine>,
    /// Who runs next.
    ready: ReadyQueue,
    /// Those whose time slice was over: they run when nobody else is ready, and from time to time.
    spent: ReadyQueue,
    pub(super) budget: Budget,
    pub(super) timers: timer::Heap<Clause>,
    /// What is done without a coroutine: before the thread polls, and at a time.
    #[cfg(feature = "sockets")]
    pub(super) tasks: List<Task>,
    #[cfg(feature = "sockets")]
    pub(super) put_off: List<Task>,
    #[cfg(feature = "sockets")]
    pub(super) alarms: timer::Heap<Alarm>,
    /// The descriptors that are waited for.
    pub poller: Poller,
    /// The handles.
    pub handles: Table,
    pub(super) stacks: StackPool,
    pub(super) runtimes: Runtimes,
    pub(super) switch: Switch,
    #[cfg(feature = "sockets")]
    pub(super) big_stack: BigStack,
    pub(super) above: Above,
    /// When descriptors and timers were looked at last, in ns.
    pub(super) last_poll: Cell<i64>,
    /// When the clock was read last, in ns.
    pub(super) last_clock_read: Cell<i64>,
    pub(super) waits_until_clock_read: Cell<u32>,
    pub(super) cautious_reads: Cell<u32>,
    /// When one of the spent coroutines was last let run before others, in ns.
    last_spent: Cell<i64>,
    /// How many waits have ended.
    pub(super) waits: Cell<u64>,
    epoch: Cell<Epoch>,
    main: Coroutine,
}

/// A period in which no other coroutine of the thread has run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

impl Epoch {
    /// Before the first one.
    pub(crate) const NEVER: Epoch = Epoch(0);

    fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

/// While others are always ready, a coroutine whose time slice was over goes on this often, in ns.
const SPENT_INTERVAL: i64 = 2_000_000;

/// Coroutines in the order in which they will run.
struct ReadyQueue {
    first: Cell<*const Coroutine>,
    last: Cell<*const Coroutine>,
}

impl ReadyQueue {
    const fn new() -> ReadyQueue {
        ReadyQueue { first: Cell::new(ptr::null()), last: Cell::new(ptr::null()) }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.first.get().is_null()
    }

    /// Lets it run before all others.
    fn push_front(&self, coroutine: &Coroutine) {
        coroutine.next_ready.set(self.first.replace(coroutine));
        if self.last.get().is_null() {
            self.last.set(coroutine);
        }
    }

    #[inline]
    fn push(&self, coroutine: &Coroutine) {
        coroutine.next_ready.set(ptr::null());
        // SAFETY: whoever is in a queue is alive.
        match unsafe { self.last.get().as_ref() } {
            Some(last) => last.next_ready.set(coroutine),
            None => self.first.set(coroutine),
        }
        self.last.set(coroutine);
    }

    /// Takes the first one out of a queue that is not empty.
    #[inline]
    fn pop<'a>(&self) -> &'a Coroutine {
        // SAFETY: whoever is in a queue is alive, and runs before it can end.
        let first = unsafe { &*self.first.get() };
        self.first.set(first.next_ready.get());
        if self.first.get().is_null() {
            self.last.set(ptr::null());
        }
        first
    }
}

/// Where a debugger finds things in a context.
pub(super) mod layout {
    use super::Context;
    use core::mem::offset_of;

    pub(crate) const CURRENT: usize = offset_of!(Context, current);
    pub(crate) const MAIN: usize = offset_of!(Context, main);
    pub(crate) const HANDLES: usize = offset_of!(Context, handles);
}

impl Context {
    /// This thread's context. ENOMEM if it cannot be made.
    #[inline]
    pub(crate) fn get() -> Result<&'static Context> {
        // SAFETY: a context lives until its thread ends, or until the process does.
        match unsafe { thread_slot::get::<Context>().as_ref() } {
            Some(context) => Ok(context),
            // The system may lack what a context can do without; a first call leaves errno alone all the same.
            None => keep_errno(Context::make),
        }
    }

    /// This thread's context if there is one.
    #[inline]
    pub(crate) fn existing() -> Option<&'static Context> {
        // SAFETY: as in `get`.
        unsafe { thread_slot::get::<Context>().as_ref() }
    }

    #[cold]
    fn make() -> Result<&'static Context> {
        let runtimes = Runtimes::find();
        let context = Box::into_raw(crate::memory::try_box(Context {
            current: Cell::new(ptr::null()),
            ready: ReadyQueue::new(),
            spent: ReadyQueue::new(),
            budget: Budget::new(),
            timers: timer::Heap::new(),
            #[cfg(feature = "sockets")]
            tasks: List::new(),
            #[cfg(feature = "sockets")]
            put_off: List::new(),
            #[cfg(feature = "sockets")]
            alarms: timer::Heap::new(),
            poller: Poller::new(),
            handles: Table::new(),
            stacks: StackPool::new(),
            switch: runtimes.switch_function(),
            runtimes,
            #[cfg(feature = "sockets")]
            big_stack: BigStack::new(),
            above: Above::new(),
            last_poll: Cell::new(super::clock::nanoseconds()),
            last_clock_read: Cell::new(0),
            waits_until_clock_read: Cell::new(0),
            cautious_reads: Cell::new(0),
            last_spent: Cell::new(0),
            waits: Cell::new(0),
            epoch: Cell::new(Epoch::NEVER.next()),
            main: Coroutine::main(),
        })?);
        if let Err(error) = process::attach(context) {
            // SAFETY: made above, and nobody has seen it.
            drop(unsafe { Box::from_raw(context) });
            return Err(error);
        }
        thread_slot::set(context);
        // SAFETY: made above; it lives until its thread ends.
        let context = unsafe { &*context };
        context.current.set(&context.main);
        Ok(context)
    }

    /// The memory in reserve for what runs on the big stack.
    #[cfg(feature = "tls")]
    pub(super) fn reserve(&self) -> &Reserve {
        self.big_stack.reserve()
    }

    /// The coroutine that runs.
    pub(crate) fn current(&self) -> &Coroutine {
        // SAFETY: the current coroutine is the one whose stack this is.
        unsafe { &*self.current.get() }
    }

    /// The thread's own flow of control.
    pub(super) fn main(&self) -> &Coroutine {
        &self.main
    }

    pub(super) fn current_ptr(&self) -> *const Coroutine {
        self.current.get()
    }

    pub(super) fn set_current(&self, coroutine: *const Coroutine) {
        self.current.set(coroutine);
    }

    /// How many waits of this thread have ended: equal numbers mean that a call has not waited.
    pub(crate) fn waits(&self) -> u64 {
        self.waits.get()
    }

    /// The current epoch: unchanged as long as no other coroutine has run.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch.get()
    }

    /// Begins a new epoch: at a switch, and without one for whoever changed what others may see.
    pub(crate) fn new_epoch(&self) {
        self.epoch.set(self.epoch.get().next());
    }

    /// The time when the clock was read last, in ns: when what has just been received was there.
    #[cfg(feature = "sockets")]
    pub(crate) fn last_clock_read(&self) -> i64 {
        self.last_clock_read.get()
    }

    #[cfg(feature = "sockets")]
    pub(super) fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Whether somebody is ready to run.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether somebody wants to go on whose time slice was over.
    pub(super) fn has_spent(&self) -> bool {
        !self.spent.is_empty()
    }

    /// ECANCELED if the current coroutine must not block.
    pub(crate) fn check_cancelled(&self) -> Result<()> {
        if self.current().may_not_block() { Err(Errno::ECANCELED) } else { Ok(()) }
    }

    pub(super) fn make_ready(&self, coroutine: &Coroutine, id: i32, error: Option<Errno>) {
        coroutine.wake_id.set(id);
        coroutine.wake_error.set(error);
        coroutine.ready.set(true);
        self.ready.push(coroutine);
    }

    /// Makes the current coroutine the next one to run after the one that is switched to.
    pub(super) fn make_next(&self) {
        let current = self.current();
        current.wake_id.set(0);
        current.wake_error.set(None);
        current.ready.set(true);
        self.ready.push_front(current);
    }

    /// Puts the current coroutine behind everybody who is ready now, or will be soon.
    pub(super) fn make_spent(&self) {
        let current = self.current();
        current.wake_id.set(0);
        current.wake_error.set(None);
        current.ready.set(true);
        self.spent.push(current);
    }

    /// Lets one of the spent coroutines run if nobody else is ready, or if it has waited long enough.
    pub(super) fn resume_spent(&self, now: i64) {
        if self.spent.is_empty() || (self.has_ready() && now - self.last_spent.get() < SPENT_INTERVAL) {
            return;
        }
        self.last_spent.set(now);
        self.ready.push(self.spent.pop());
    }

    pub(super) fn pop_ready(&self) -> *const Coroutine {
        let coroutine = self.ready.pop();
        coroutine.ready.set(false);
        coroutine
    }

    /// Whether no coroutine that `go` has started is running.
    pub(super) fn is_outside(&self) -> bool {
        ptr::eq(self.current.get(), &self.main)
    }

    /// Unmaps the stacks, unless this is running on one of them.
    pub(super) fn release_stacks(&self) -> bool {
        let on_main_stack = self.is_outside();
        if on_main_stack {
            self.stacks.release();
        }
        on_main_stack
    }
}
