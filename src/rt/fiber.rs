//! What other runtimes keep for each stack: C++ the exceptions that are being handled, the sanitizers
//! where the stack lies and what happened on it. They are told when another one is switched to. Each is
//! in the process or not; where there is none, the switch is the plain one.

use super::context::Context;
use super::coroutine::Coroutine;
use crate::arch::switch::{Registers, switch};
use crate::arch::weak::weak;
use core::cell::Cell;
use core::ffi::{c_uint, c_void};
use core::ptr;

/// The state of the C++ runtime (Itanium C++ ABI, 2.2.2): the exceptions that are caught, and how many
/// are not yet.
type Exceptions = [usize; 2];

/// Takes a thread's state, which stays where it is.
type GetExceptions = unsafe extern "C" fn() -> *mut Exceptions;
/// Where to keep the frames that were moved off the stack that is left, null if it has ended; the low
/// end and the size of the next stack.
type StartSwitch = unsafe extern "C" fn(*mut *mut c_void, *const c_void, usize);
/// Those of the next stack; where to put the low end and the size of the one that was left.
type FinishSwitch = unsafe extern "C" fn(*mut c_void, *mut *const c_void, *mut usize);
/// The low end and the size of memory that nobody has marked any more.
type Unpoison = unsafe extern "C" fn(*const c_void, usize);
type CurrentFiber = unsafe extern "C" fn() -> *mut c_void;
type CreateFiber = unsafe extern "C" fn(c_uint) -> *mut c_void;
type DestroyFiber = unsafe extern "C" fn(*mut c_void);
type SwitchToFiber = unsafe extern "C" fn(*mut c_void, c_uint);

/// The contract is that of `arch::switch::switch`, for registers that are those of coroutines.
pub(super) type Switch = unsafe extern "C" fn(*const Registers, *const Registers);

unsafe extern "C" fn tell_and_switch(save: *const Registers, load: *const Registers) {
    if let Some(context) = Context::existing() {
        // SAFETY: those of a coroutine, as the contract of `Switch` has it.
        let from = unsafe { Coroutine::from_registers(save) };
        // SAFETY: as above.
        let to = unsafe { Coroutine::from_registers(load) };
        // SAFETY: the memory of the one that is left stays until the switch.
        let from = unsafe { &(*from).fiber };
        // SAFETY: the one that goes on is alive.
        context.runtimes.tell(from, unsafe { &(*to).fiber });
    }
    // SAFETY: this is the function that `switch` stands for: its caller keeps the same contract.
    unsafe { switch(save, load) };
}

/// A coroutine as other runtimes see it.
pub(super) struct Fiber {
    exceptions: Cell<Exceptions>,
    /// For the address sanitizer. That of the thread's own stack is not known before it is left.
    low: Cell<*const c_void>,
    size: Cell<usize>,
    frames: Cell<*mut c_void>,
    /// For the thread sanitizer.
    thread: Cell<*mut c_void>,
    /// It will not be switched to again.
    pub(super) ended: Cell<bool>,
}

impl Fiber {
    #[inline]
    pub(super) fn new(low: *const u8, size: usize) -> Fiber {
        Fiber {
            exceptions: Cell::new([0; 2]),
            low: Cell::new(low.cast()),
            size: Cell::new(size),
            frames: Cell::new(ptr::null_mut()),
            thread: Cell::new(ptr::null_mut()),
            ended: Cell::new(false),
        }
    }
}

/// The runtimes that are there, as the thread sees them.
pub(super) struct Runtimes {
    any: bool,
    exceptions: Option<ptr::NonNull<Exceptions>>,
    address: Option<AddressSanitizer>,
    thread: Option<ThreadSanitizer>,
}

#[derive(Clone, Copy)]
struct AddressSanitizer {
    start: StartSwitch,
    finish: FinishSwitch,
    unpoison: Unpoison,
}

#[derive(Clone, Copy)]
struct ThreadSanitizer {
    current: CurrentFiber,
    create: CreateFiber,
    destroy: DestroyFiber,
    switch: SwitchToFiber,
}

impl Runtimes {
    pub(super) fn find() -> Runtimes {
        let get = weak!("__cxa_get_globals": GetExceptions);
        // SAFETY: it may be called at any time.
        let exceptions = get.and_then(|get| ptr::NonNull::new(unsafe { get() }));
        let (address, thread) = (address_sanitizer(), thread_sanitizer());
        let any = exceptions.is_some() || address.is_some() || thread.is_some();
        Runtimes { any, exceptions, address, thread }
    }

    /// How to switch from one coroutine to another.
    pub(super) fn switch_function(&self) -> Switch {
        if self.any { tell_and_switch } else { switch }
    }

    /// Tells those that are there that the stack is switched next.
    #[inline]
    pub(super) fn tell(&self, from: &Fiber, to: &Fiber) {
        if self.any {
            self.tell_each(from, to);
        }
    }

    #[cold]
    fn tell_each(&self, from: &Fiber, to: &Fiber) {
        if let Some(exceptions) = self.exceptions {
            // SAFETY: the place is this thread's, and nobody else is using it now.
            from.exceptions.set(unsafe { exceptions.replace(to.exceptions.get()) });
        }
        if let Some(address) = self.address {
            address.tell(from, to);
        }
        if let Some(thread) = self.thread {
            thread.tell(from, to);
        }
    }
}

impl AddressSanitizer {
    fn tell(self, from: &Fiber, to: &Fiber) {
        let frames = if from.ended.get() { ptr::null_mut() } else { from.frames.as_ptr() };
        if from.ended.get() {
            // Frames that nothing has returned from have left their marks; the stack is another one's next.
            // SAFETY: it is the stack of the coroutine that has ended.
            unsafe { (self.unpoison)(from.low.get(), from.size.get()) };
        }
        // SAFETY: the next stack lies there; whoever goes on does so with these frames.
        unsafe { (self.start)(frames, to.low.get(), to.size.get()) };
        // SAFETY: as above. It does not matter that the stack is switched a moment later.
        unsafe { (self.finish)(to.frames.get(), from.low.as_ptr(), from.size.as_ptr()) };
    }
}

impl ThreadSanitizer {
    fn tell(self, from: &Fiber, to: &Fiber) {
        if from.thread.get().is_null() {
            // SAFETY: it may be called at any time.
            from.thread.set(unsafe { (self.current)() });
        }
        if to.thread.get().is_null() {
            // SAFETY: as above.
            to.thread.set(unsafe { (self.create)(0) });
        }
        // SAFETY: the fiber is alive, and its stack is switched to next.
        unsafe { (self.switch)(to.thread.get(), 0) };
        if from.ended.get() {
            // SAFETY: the fiber was made here, and is not the current one any more.
            unsafe { (self.destroy)(from.thread.get()) };
        }
    }
}

/// As declared in sanitizer/common_interface_defs.h and asan_interface.h.
fn address_sanitizer() -> Option<AddressSanitizer> {
    let start = weak!("__sanitizer_start_switch_fiber": StartSwitch);
    let finish = weak!("__sanitizer_finish_switch_fiber": FinishSwitch);
    let unpoison = weak!("__asan_unpoison_memory_region": Unpoison);
    Some(AddressSanitizer { start: start?, finish: finish?, unpoison: unpoison? })
}

/// As declared in sanitizer/tsan_interface.h.
fn thread_sanitizer() -> Option<ThreadSanitizer> {
    let current = weak!("__tsan_get_current_fiber": CurrentFiber);
    let create = weak!("__tsan_create_fiber": CreateFiber);
    let destroy = weak!("__tsan_destroy_fiber": DestroyFiber);
    let switch = weak!("__tsan_switch_to_fiber": SwitchToFiber);
    Some(ThreadSanitizer { current: current?, create: create?, destroy: destroy?, switch: switch? })
}
