//! The process around the runtime: what becomes of a thread's context at a fork, at the end of the
//! thread, and at the end of the process.

use super::context::Context;
use crate::arch::thread_slot;
use crate::error::{Errno, Result};
use crate::memory;
use core::cell::Cell;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock};

/// What has been registered so far, once for the whole process.
struct ProcessHooks {
    at_fork: bool,
    at_exit: bool,
}

static HOOKS: Mutex<ProcessHooks> = Mutex::new(ProcessHooks { at_fork: false, at_exit: false });

/// Its destructor frees the context of a thread that ends. It is made when all else has been registered.
static KEY: OnceLock<libc::pthread_key_t> = OnceLock::new();

/// Registers the hooks if need be, and has the context freed when this thread ends. ENOMEM.
pub(super) fn attach(context: *const Context) -> Result<()> {
    if cfg!(miri) {
        // It has neither forks nor functions to be called at the end.
        return Ok(());
    }
    let key = install().map_err(|_| Errno::ENOMEM)?;
    // SAFETY: the key exists.
    check(unsafe { libc::pthread_setspecific(key, context.cast()) })
}

/// What is missing is tried again by the next thread that has no context yet.
fn install() -> Result<libc::pthread_key_t> {
    // Without the lock: somebody may hold it while another thread forks, and the child would wait for ever.
    if let Some(key) = KEY.get() {
        return Ok(*key);
    }
    let mut hooks = HOOKS.lock().map_err(|_| Errno::ENOMEM)?;
    if !hooks.at_fork {
        // SAFETY: the handlers stay loaded: the library cannot be unloaded while threads use it.
        check(unsafe { libc::pthread_atfork(Some(before_fork), None, Some(in_child)) })?;
        hooks.at_fork = true;
    }
    if !hooks.at_exit {
        // SAFETY: as above.
        check(unsafe { libc::atexit(process_ends) })?;
        hooks.at_exit = true;
    }
    if let Some(key) = KEY.get() {
        return Ok(*key);
    }
    let mut key: libc::pthread_key_t = 0;
    // SAFETY: `key` is writable, and the destructor has the right type.
    check(unsafe { libc::pthread_key_create(&raw mut key, Some(thread_ends)) })?;
    Ok(*KEY.get_or_init(|| key))
}

/// These calls return what went wrong, which is always a lack of something.
fn check(result: libc::c_int) -> Result<()> {
    if result == 0 { Ok(()) } else { Err(Errno::ENOMEM) }
}

/// Frees the context of a thread that ends. Open handles are not closed and coroutines not run:
/// that would be user code in a dying thread.
unsafe extern "C" fn thread_ends(value: *mut libc::c_void) {
    let value = value.cast::<Context>();
    // SAFETY: the value of the key is a leaked context, which nothing frees but this.
    let context = unsafe { &*value };
    // What is sent looks for the context of its thread, which must not be made once more.
    context.call_before_wait();
    context.end_above();
    context.poller.release();
    thread_slot::set(ptr::null::<Context>());
    // If the thread ended inside a coroutine, its stack must outlive this function.
    if context.release_stacks() {
        // SAFETY: as above; it was made by a box, and nobody finds it any more.
        drop(unsafe { Box::from_raw(value) });
    }
}

extern "C" fn process_ends() {
    if let Some(context) = Context::existing() {
        context.call_before_wait();
    }
}

/// What was gathered leaves once, from the parent.
unsafe extern "C" fn before_fork() {
    if let Some(context) = Context::existing() {
        context.call_before_wait();
    }
}

unsafe extern "C" fn in_child() {
    if let Some(context) = Context::existing() {
        context.fork_above();
        context.poller.after_fork(context);
    }
}

/// A value that a process makes when it first needs it, and a child process makes anew: behind a lock in its parent's,
/// which a thread that the child does not have may hold, it would wait for ever.
pub(crate) struct PerProcess<T>(AtomicPtr<OfProcess<T>>);

struct OfProcess<T> {
    process: libc::pid_t,
    value: T,
    /// What the parent had made, which is never freed.
    _parents: *const OfProcess<T>,
}

// SAFETY: what is shared is the value, and a number and a pointer that never change.
unsafe impl<T: Send + Sync> Sync for PerProcess<T> {}

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess(AtomicPtr::new(ptr::null_mut()))
    }

    /// The value of this process. ENOMEM.
    pub(crate) fn get(&self, make: impl FnOnce() -> T) -> Result<&T> {
        // SAFETY: takes nothing.
        let process = unsafe { libc::getpid() };
        let known = self.0.load(Ordering::Acquire);
        // SAFETY: never freed.
        if let Some(known) = unsafe { known.as_ref() }
            && known.process == process
        {
            return Ok(&known.value);
        }
        let new = Box::into_raw(memory::try_box(OfProcess { process, value: make(), _parents: known })?);
        match self.0.compare_exchange(known, new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: as above.
            Ok(_) => Ok(unsafe { &(*new).value }),
            Err(other) => {
                // SAFETY: made above, and nobody has seen it.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: another thread of this process has made it.
                Ok(unsafe { &(*other).value })
            }
        }
    }
}

/// Types of which a value is all zeros.
///
/// # Safety
/// All zeros is a valid value, which owns nothing.
pub(crate) unsafe trait Zeroable {}

// SAFETY: zero is false.
unsafe impl Zeroable for Cell<bool> {}

/// A value that is all zeros at first, and again in a child process, however that was made: by `fork`,
/// `_Fork` or `clone`. (Linux 4.14. Before, only `fork` calls its handlers.)
#[repr(transparent)]
pub(crate) struct WipedOnFork<T: Zeroable>(NonNull<T>);

impl<T: Zeroable> WipedOnFork<T> {
    /// Maps pages of its own. ENOMEM.
    pub(crate) fn new() -> Result<WipedOnFork<T>> {
        const { assert!(align_of::<T>() <= 4096) };
        let memory = memory::map(size_of::<T>(), 0)?;
        // SAFETY: the range is the mapping just made.
        unsafe { libc::madvise(memory.cast(), size_of::<T>(), libc::MADV_WIPEONFORK) };
        NonNull::new(memory.cast()).map(WipedOnFork).ok_or(Errno::ENOMEM)
    }
}

impl<T: Zeroable> Deref for WipedOnFork<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: mapped as long as this value lives, and valid from the beginning.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Zeroable> Drop for WipedOnFork<T> {
    fn drop(&mut self) {
        // SAFETY: mapped with this size by `new`.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_taken_at_a_fork_is_another_one_in_the_child() {
        static NUMBER: PerProcess<Mutex<i32>> = PerProcess::new();
        let get = || NUMBER.get(|| Mutex::new(1)).unwrap();
        let mut taken = get().lock().unwrap();
        *taken = 2;
        assert!(get().try_lock().is_err());
        // SAFETY: the child calls what is safe after a fork, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_new = get().try_lock().is_ok_and(|number| *number == 1);
            // SAFETY: takes a number.
            unsafe { libc::_exit(i32::from(!is_new)) };
        }
        let mut status = -1;
        // SAFETY: the place is writable.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        drop(taken);
        assert_eq!(*get().lock().unwrap(), 2);
    }
}
