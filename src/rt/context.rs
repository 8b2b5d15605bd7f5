//! The runtime of a thread: everything that its coroutines share.

use super::coroutine::Coroutine;
use super::handle::Table;
use super::poller::Poller;
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
use std::sync::Once;

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

static PROCESS_HOOKS: Once = Once::new();
static mut THREAD_KEY: libc::pthread_key_t = 0;

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
        PROCESS_HOOKS.call_once(install_process_hooks);
        let context = Box::leak(crate::memory::try_box(Context {
            current: Cell::new(ptr::null()),
            first_ready: Cell::new(ptr::null()),
            last_ready: Cell::new(ptr::null()),
            timers: timer::Heap::new(),
            poller: Poller::new(),
            handles: Table::new(),
            stacks: Pool::new(),
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
        context.current.set(&context.main);
        thread_slot::set(context);
        // SAFETY: the key is written once, before the hooks count as installed.
        let key = unsafe { THREAD_KEY };
        // SAFETY: the key exists; if no memory is left for the value, the context is merely not
        // freed when the thread ends.
        unsafe { libc::pthread_setspecific(key, ptr::from_ref(context).cast()) };
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

    pub(super) fn is_on_main_stack(&self) -> bool {
        ptr::eq(self.current.get(), &self.main)
    }
}

fn install_process_hooks() {
    let mut key: libc::pthread_key_t = 0;
    // SAFETY: `key` is writable, and the destructor has the right type.
    unsafe { libc::pthread_key_create(&raw mut key, Some(thread_ends)) };
    // SAFETY: written once, under `Once`, before anybody reads it.
    unsafe { THREAD_KEY = key };
    // SAFETY: the handlers stay loaded: the library cannot be unloaded while threads use it.
    unsafe { libc::pthread_atfork(Some(before_fork), None, Some(in_child)) };
    // SAFETY: as above.
    unsafe { libc::atexit(process_ends) };
}

/// Frees the context of a thread that ends. Open handles are not closed and coroutines not run:
/// that would be user code in a dying thread.
unsafe extern "C" fn thread_ends(value: *mut libc::c_void) {
    thread_slot::set(ptr::null::<Context>());
    // SAFETY: the value of the key is a leaked context, and nothing else refers to it now.
    let context = unsafe { Box::from_raw(value.cast::<Context>()) };
    context.flush_output();
    context.poller.release();
    if context.is_on_main_stack() {
        context.stacks.release();
    } else {
        // The thread ended inside a coroutine: its stack must outlive this function.
        core::mem::forget(context);
    }
}

extern "C" fn process_ends() {
    // SAFETY: a context lives until its thread ends.
    if let Some(context) = unsafe { thread_slot::get::<Context>().as_ref() } {
        context.flush_output();
    }
}

/// What was gathered leaves once, from the parent.
unsafe extern "C" fn before_fork() {
    // SAFETY: a context lives until its thread ends.
    if let Some(context) = unsafe { thread_slot::get::<Context>().as_ref() } {
        context.flush_output();
    }
}

unsafe extern "C" fn in_child() {
    // SAFETY: a context lives until its thread ends, and this is the only thread of the child.
    if let Some(context) = unsafe { thread_slot::get::<Context>().as_ref() } {
        context.random.forget();
        context.poller.after_fork();
    }
}
