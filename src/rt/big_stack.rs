//! A stack for deep code. Coroutines may have as little as 4 KiB, so what needs more than a few
//! hundred bytes runs on this one: one for each thread, since nothing that waits runs there.

use super::context::Context;
#[cfg(feature = "tls")]
use super::reserve::Reserve;
use super::stack::StackPool;
use crate::arch::switch::call_on_stack;
use crate::error::Result;
use core::cell::Cell;
use core::ffi::c_void;
use core::ptr;

/// The stack of a thread, a pooled one that is taken when it is needed first and kept.
pub(crate) struct BigStack {
    /// Null before that.
    top: Cell<*mut u8>,
    busy: Cell<bool>,
    /// For what runs there and cannot bear a lack of memory.
    #[cfg(feature = "tls")]
    reserve: Reserve,
}

/// A closure, and a place for what it returns.
struct Job<F, R> {
    function: Option<F>,
    result: Option<R>,
}

impl BigStack {
    pub(super) const fn new() -> BigStack {
        BigStack {
            top: Cell::new(ptr::null_mut()),
            busy: Cell::new(false),
            #[cfg(feature = "tls")]
            reserve: Reserve::new(),
        }
    }

    /// The stack of this thread. ENOMEM if it cannot be had; whoever has it cannot fail any more.
    pub(crate) fn get() -> Result<&'static BigStack> {
        let context = Context::get()?;
        context.big_stack.prepare(&context.stacks)?;
        Ok(&context.big_stack)
    }

    /// Runs what allocates and cannot bear a lack of memory, with memory in reserve. ENOMEM if there is none,
    /// and then nothing has run.
    #[cfg(feature = "tls")]
    pub(crate) fn run_with_reserve<R>(&self, function: impl FnOnce() -> Result<R>) -> Result<R> {
        self.reserve.fill()?;
        let was_open = self.reserve.open(true);
        let result = self.run(function);
        self.reserve.open(was_open);
        result
    }

    /// The memory in reserve.
    #[cfg(feature = "tls")]
    pub(super) fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    fn prepare(&self, stacks: &StackPool) -> Result<()> {
        if self.top.get().is_null() {
            self.top.set(stacks.take()?.top());
        }
        Ok(())
    }

    /// Runs a closure on this stack. It must not wait, nor call what might: neither a function of
    /// the program's own nor the function table of a socket.
    pub(crate) fn run<R>(&self, function: impl FnOnce() -> R) -> R {
        // One of those that run there calls another one.
        if self.busy.replace(true) {
            return function();
        }
        let mut job = Job { function: Some(function), result: None };
        let perform = function_for(&job);
        // SAFETY: whoever has this got it from `get`, which has taken the stack; nobody is on it;
        // and the function is the one for this job.
        unsafe { call_on_stack((&raw mut job).cast(), perform, self.top.get()) };
        self.busy.set(false);
        job.result.expect("the closure was run")
    }
}

/// What runs a job, whose type has no name.
fn function_for<F: FnOnce() -> R, R>(_: &Job<F, R>) -> unsafe extern "C" fn(*mut c_void) {
    perform::<F, R>
}

/// # Safety
/// `job` is one, and nobody else's.
unsafe extern "C" fn perform<F: FnOnce() -> R, R>(job: *mut c_void) {
    // SAFETY: `run` passes the job that is on its stack, and touches it again when this has returned.
    let job = unsafe { &mut *job.cast::<Job<F, R>>() };
    job.result = job.function.take().map(|function| function());
}
