//! The runtime of a thread: everything that its coroutines share.

#[cfg(feature = "tls")]
use super::big_stack::BigStack;
use super::coroutine::Coroutine;
use super::handle::Table;
use super::poller::Poller;
use super::process;
use super::stack::Pool;
use super::timer;
use crate::arch::thread_slot;
use crate::error::{Errno, Result};
#[cfg(feature = "sockets")]
use crate::net::buffers::Buffers;
use crate::random::Random;
use core::cell::Cell;
use core::ffi::c_int;
use core::ptr;

/// The state of a thread, made by the first call that needs it.
pub struct Context {
    current: Cell<*const Coroutine>,
    first_ready: Cell<*const Coroutine>,
    last_ready: Cell<*const Coroutine>,
    pub(super) timers: timer::Heap,
    /// The descriptors that are waited for.
    pub poller: Poller,
    /// The handles.
    pub handles: Table,
    pub(super) stacks: Pool,
    #[cfg(feature = "tls")]
    pub(super) big_stack: BigStack,
    /// Buffers lent to whichever socket is moving bytes.
    #[cfg(feature = "sockets")]
    pub buffers: Buffers,
    /// Random bytes for masking keys and nonces.
    pub random: Random,
    pub(super) last_poll: Cell<i64>,
    pub(super) last_look: Cell<i64>,
    pub(super) waits_until_look: Cell<u32>,
    /// Counts the stretches between switches: equal numbers mean that nobody else has run.
    pub(super) run_id: Cell<u64>,
    /// Where the thread's errno lies.
    errno: *mut c_int,
    main: Coroutine,
}

impl Context {
    /// This thread's context. ENOMEM if it cannot be made.
    #[inline]
    pub fn get() -> Result<&'static Context> {
        // SAFETY: a context lives until its thread ends, or until the process does.
        match unsafe { thread_slot::get::<Context>().as_ref() } {
            Some(context) => Ok(context),
            None => Context::make(),
        }
    }

    /// This thread's context if there is one.
    #[inline]
    pub fn existing() -> Option<&'static Context> {
        // SAFETY: as in `get`.
        unsafe { thread_slot::get::<Context>().as_ref() }
    }

    #[cold]
    fn make() -> Result<&'static Context> {
        let context = Box::into_raw(crate::memory::try_box(Context {
            current: Cell::new(ptr::null()),
            first_ready: Cell::new(ptr::null()),
            last_ready: Cell::new(ptr::null()),
            timers: timer::Heap::new(),
            poller: Poller::new(),
            handles: Table::new(),
            stacks: Pool::new(),
            #[cfg(feature = "tls")]
            big_stack: BigStack::new(),
            #[cfg(feature = "sockets")]
            buffers: Buffers::new(),
            random: Random::new(),
            last_poll: Cell::new(super::clock::now()),
            last_look: Cell::new(0),
            waits_until_look: Cell::new(0),
            run_id: Cell::new(1),
            // SAFETY: takes nothing; the place is the thread's as long as it runs.
            errno: unsafe { libc::__errno_location() },
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

    /// Where the thread's errno lies, without the call that it takes to find it.
    #[inline]
    pub fn errno(&self) -> *mut c_int {
        self.errno
    }

    /// The coroutine that runs.
    pub fn current(&self) -> &Coroutine {
        // SAFETY: the current coroutine is the one whose stack this is.
        unsafe { &*self.current.get() }
    }

    pub(super) fn current_ptr(&self) -> *const Coroutine {
        self.current.get()
    }

    pub(super) fn set_current(&self, coroutine: *const Coroutine) {
        self.current.set(coroutine);
    }

    /// Tells stretches of execution apart: unchanged as long as no other coroutine has run.
    pub fn run_id(&self) -> u64 {
        self.run_id.get()
    }

    /// Ends the current stretch without a switch, for whoever changed what others may see.
    pub fn next_run(&self) {
        self.run_id.set(self.run_id.get() + 1);
    }

    /// Whether somebody is ready to run.
    pub fn has_ready(&self) -> bool {
        !self.first_ready.get().is_null()
    }

    /// ECANCELED if the current coroutine must not block.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.current().may_not_block() { Err(Errno::ECANCELED) } else { Ok(()) }
    }

    /// Sends what was gathered, because this thread is about to wait.
    #[inline]
    pub fn flush_output(&self) {
        #[cfg(feature = "sockets")]
        if self.buffers.has_output() {
            self.buffers.flush();
        }
    }

    pub(super) fn make_ready(&self, coroutine: &Coroutine, id: i32, error: Option<Errno>) {
        coroutine.wake_id.set(id);
        coroutine.wake_error.set(error);
        coroutine.ready.set(true);
        coroutine.next_ready.set(ptr::null());
        // SAFETY: whoever is in the queue is alive.
        match unsafe { self.last_ready.get().as_ref() } {
            Some(last) => last.next_ready.set(coroutine),
            None => self.first_ready.set(coroutine),
        }
        self.last_ready.set(coroutine);
    }

    pub(super) fn pop_ready(&self) -> *const Coroutine {
        let first = self.first_ready.get();
        // SAFETY: the queue is not empty when this is called, and whoever is in it is alive.
        let coroutine = unsafe { &*first };
        coroutine.ready.set(false);
        self.first_ready.set(coroutine.next_ready.get());
        if self.first_ready.get().is_null() {
            self.last_ready.set(ptr::null());
        }
        first
    }

    /// Unmaps the stacks, unless this is running on one of them.
    pub(super) fn release_stacks(&self) -> bool {
        let on_main_stack = ptr::eq(self.current.get(), &self.main);
        if on_main_stack {
            self.stacks.release();
        }
        on_main_stack
    }
}
