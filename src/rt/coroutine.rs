//! Coroutines: started by the `go` macro, cancelled by closing their bundle.
//!
//! ```text
//!   high  |  page-aligned top, or the end of the caller's buffer   |
//!         |  Coroutine: the control block                           |
//!         +---------------------------------------------------------+ <- first stack pointer
//!   low   |  frames of the coroutine                                |
//! ```

use super::bundle::{self, Bundle};
use super::context::Context;
use super::fiber::Fiber;
use super::handle;
use super::list::{Link, Linked, List};
use super::object::Ref;
use super::stack::{STACK_SIZE, Stack};
use super::wait::Clause;
use crate::arch::switch::Registers;
use crate::arch::valgrind;
use crate::error::{Errno, Result};
use core::cell::Cell;
use core::ffi::{c_char, c_int, c_void};
use core::mem::offset_of;
use core::ptr;

/// The least room below the control block in a caller's buffer: a function that does nothing.
const SMALLEST_FRAME: usize = 256;

/// The address that a stack pointer must be a multiple of.
const STACK_ALIGNMENT: usize = 16;

/// The control block of a coroutine.
#[repr(C, align(16))]
pub(crate) struct Coroutine {
    /// In the bundle's list of running coroutines.
    link: Link,
    registers: Registers,
    pub(super) next_ready: Cell<*const Coroutine>,
    /// What it waits for; null when it runs, is ready, or waits for another one to end.
    pub(super) clauses: Cell<*const Clause>,
    /// The one that waits for this one to end.
    closer: Cell<*const Coroutine>,
    /// The one whose end this one waits for.
    closing: Cell<*const Coroutine>,
    bundle: Cell<*const Bundle>,
    pub(super) wake_error: Cell<Option<Errno>>,
    pub(super) wake_id: Cell<i32>,
    pub(super) ready: Cell<bool>,
    /// Being shut down: set once and for all.
    cancelled: Cell<bool>,
    /// Inside `hclose`.
    pub(super) in_close: Cell<bool>,
    /// For debuggers.
    pub(super) launched_at: SourceLine,
    pub(super) fiber: Fiber,
    /// Who wants to know when it ends.
    at_end: List<EndHook>,
    storage: Storage,
}

/// What is told when a coroutine ends.
pub(crate) trait EndWatcher {
    /// It ends now, and runs no more of the program.
    fn coroutine_ends(&self, context: &Context);
}

/// A place on a coroutine's list of those who want to know when it ends.
#[repr(C)]
pub(crate) struct EndHook {
    link: Link,
    watcher: Cell<Option<ptr::NonNull<dyn EndWatcher>>>,
}

// SAFETY: its link comes first.
unsafe impl Linked for EndHook {}

impl EndHook {
    /// On no list.
    pub(crate) const fn new() -> EndHook {
        EndHook { link: Link::new(), watcher: Cell::new(None) }
    }

    /// Tells the watcher when the current coroutine ends. Once.
    ///
    /// # Safety
    /// The hook is on no list. Both it and the watcher stay in place until the hook is withdrawn.
    pub(crate) unsafe fn put(&self, context: &Context, watcher: &(dyn EndWatcher + 'static)) {
        self.watcher.set(Some(ptr::NonNull::from(watcher)));
        // SAFETY: the hook is on no list, and stays in place until it is withdrawn, as the caller says.
        unsafe { context.current().at_end.push_back(self) };
    }

    /// Leaves the list, if on one.
    pub(crate) fn withdraw(&self) {
        self.link.unlink();
    }
}

/// A line of the program; the file is null for what the program did not launch.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct SourceLine {
    pub(super) file: *const c_char,
    pub(super) line: c_int,
}

impl SourceLine {
    /// The line that a macro was expanded in. The name of the file stays in place.
    pub(crate) fn new(file: *const c_char, line: c_int) -> SourceLine {
        SourceLine { file, line }
    }
}

/// Where a debugger finds things in a coroutine. Its link comes first.
pub(super) mod layout {
    use super::{Coroutine, SourceLine};
    use core::mem::offset_of;

    pub(crate) const REGISTERS: usize = offset_of!(Coroutine, registers);
    pub(crate) const READY: usize = offset_of!(Coroutine, ready);
    pub(crate) const CANCELLED: usize = offset_of!(Coroutine, cancelled);
    pub(crate) const FILE: usize = offset_of!(Coroutine, launched_at) + offset_of!(SourceLine, file);
    pub(crate) const LINE: usize = offset_of!(Coroutine, launched_at) + offset_of!(SourceLine, line);
}

enum Storage {
    /// The thread's own stack.
    Thread,
    Pooled(Stack),
    Caller {
        valgrind_id: Option<usize>,
    },
}

const _: () = assert!(
    size_of::<Coroutine>() <= 208 + size_of::<Registers>(),
    "libdill's control block has 208 bytes and the registers"
);

// SAFETY: its link comes first.
unsafe impl Linked for Coroutine {}

impl Coroutine {
    /// The thread's own flow of control.
    pub(super) fn main() -> Coroutine {
        Coroutine::new(
            ptr::null(),
            SourceLine::new(ptr::null(), 0),
            Fiber::new(ptr::null(), 0),
            Storage::Thread,
        )
    }

    fn new(bundle: *const Bundle, launched_at: SourceLine, fiber: Fiber, storage: Storage) -> Coroutine {
        Coroutine {
            link: Link::new(),
            registers: Registers::new(),
            next_ready: Cell::new(ptr::null()),
            clauses: Cell::new(ptr::null()),
            closer: Cell::new(ptr::null()),
            closing: Cell::new(ptr::null()),
            bundle: Cell::new(bundle),
            wake_error: Cell::new(None),
            wake_id: Cell::new(0),
            ready: Cell::new(false),
            cancelled: Cell::new(false),
            in_close: Cell::new(false),
            launched_at,
            fiber,
            at_end: List::new(),
            storage,
        }
    }

    /// The registers of a coroutine.
    ///
    /// # Safety
    /// It is alive, or its memory is at least.
    pub(super) unsafe fn registers(coroutine: *const Coroutine) -> *const Registers {
        // SAFETY: the memory of a coroutine is still there, as the caller says; no reference to it is made.
        unsafe { &raw const (*coroutine).registers }
    }

    /// The coroutine whose registers these are.
    ///
    /// # Safety
    /// The pointer was returned by `registers`.
    pub(super) unsafe fn from_registers(registers: *const Registers) -> *const Coroutine {
        // SAFETY: the pointer is that to the whole coroutine, moved by `registers`; see there.
        unsafe { registers.byte_sub(offset_of!(Coroutine, registers)) }.cast()
    }

    fn tell_end(&self, context: &Context) {
        // SAFETY: a hook is withdrawn before it goes away.
        while let Some(hook) = unsafe { self.at_end.front().as_ref() } {
            hook.withdraw();
            if let Some(watcher) = hook.watcher.take() {
                // SAFETY: by the contract of `put`.
                unsafe { watcher.as_ref() }.coroutine_ends(context);
            }
        }
    }

    /// Whether it waits for the end of another one, which it is shutting down.
    pub(super) fn closes_another(&self) -> bool {
        !self.closing.get().is_null()
    }

    /// Whether calls that might block must fail with ECANCELED.
    pub(crate) fn may_not_block(&self) -> bool {
        self.cancelled.get() || self.in_close.get()
    }
}

/// What the `go` macro goes on with.
pub(crate) struct Started {
    /// The value of the macro: the new bundle's handle, or 0.
    pub handle: c_int,
    /// Where the macro is to save the parent's registers.
    pub registers: *mut c_void,
    /// The child's first stack pointer.
    pub stack: *mut u8,
}

/// In place of a bundle's handle: make a new bundle.
const NEW_BUNDLE: c_int = -1;
/// What libdill takes from the front of a `go_mem` buffer for the bundle. Ours lies elsewhere, but
/// the room that is left for the stack stays the same.
const BUNDLE_SIZE: usize = 64;

/// Makes a coroutine, current, with the parent behind everybody who is ready. The caller must go
/// on as the child at once. ECANCELED, EBADF, ENOTSUP, ENOMEM.
///
/// # Safety
/// If `buffer` is not null, its `len` bytes belong to the coroutine until it has ended.
pub(crate) unsafe fn start(bundle: c_int, buffer: *mut u8, len: usize, line: SourceLine) -> Result<Started> {
    let context = Context::get()?;
    context.check_cancelled()?;
    if bundle != NEW_BUNDLE {
        // SAFETY: `buffer` is null, or belongs to the coroutine until it ends, as the caller says.
        let launched = unsafe { launch(context, &bundle::find(bundle)?, buffer, len, line) };
        return launched.map(|(registers, stack)| Started { handle: 0, registers, stack });
    }
    let (buffer, len) = match len.checked_sub(BUNDLE_SIZE) {
        _ if buffer.is_null() => (buffer, len),
        Some(rest) => (buffer.wrapping_add(BUNDLE_SIZE), rest),
        None => return Err(Errno::ENOMEM),
    };
    let handle = bundle::make()?;
    // SAFETY: `buffer` is null, or belongs to the coroutine until it ends, as the caller says.
    match bundle::find(handle).and_then(|bundle| unsafe { launch(context, &bundle, buffer, len, line) }) {
        Ok((registers, stack)) => Ok(Started { handle, registers, stack }),
        Err(error) => {
            handle::close(handle)?;
            Err(error)
        }
    }
}

/// # Safety
/// As `start`.
unsafe fn launch(
    context: &Context,
    bundle: &Ref<Bundle>,
    buffer: *mut u8,
    len: usize,
    line: SourceLine,
) -> Result<(*mut c_void, *mut u8)> {
    let (top, size, storage) = if buffer.is_null() {
        let stack = context.stacks.take()?;
        (stack.top(), STACK_SIZE, Storage::Pooled(stack))
    } else {
        caller_stack(buffer, len)?
    };
    let fiber = Fiber::new(top.wrapping_sub(size), size);
    let place = top.wrapping_sub(size_of::<Coroutine>()).cast::<Coroutine>();
    // SAFETY: the place is aligned, inside the stack, and nobody else's.
    unsafe { place.write(Coroutine::new(&raw const **bundle, line, fiber, storage)) };
    // SAFETY: just written; it lives until it has ended.
    let child = unsafe { &*place };
    // SAFETY: the coroutine leaves the list when it ends.
    unsafe { bundle.members.push_back(child) };
    let parent = context.current();
    context.make_ready(parent, 0, None);
    // A program that does nothing but launch short coroutines comes to no other wait.
    context.poll_before_switch();
    context.set_current(child);
    context.new_epoch();
    context.budget.renew();
    context.runtimes.tell(&parent.fiber, &child.fiber);
    Ok((parent.registers.for_program(), place.cast()))
}

/// The top and the size of a caller's buffer as a stack, if a coroutine fits in it.
fn caller_stack(buffer: *mut u8, len: usize) -> Result<(*mut u8, usize, Storage)> {
    let low = buffer as usize;
    let high = low.checked_add(len).ok_or(Errno::ENOMEM)? & !(STACK_ALIGNMENT - 1);
    let room = high.checked_sub(low).ok_or(Errno::ENOMEM)?;
    if room < size_of::<Coroutine>() + SMALLEST_FRAME {
        return Err(Errno::ENOMEM);
    }
    let valgrind_id = valgrind::wants_stacks().then(|| valgrind::register_stack(low, high));
    Ok((buffer.wrapping_add(room), room, Storage::Caller { valgrind_id }))
}

/// Ends the current coroutine. Never returns.
///
/// # Safety
/// Called by the `go` macro on the stack of a coroutine that it launched.
pub(crate) unsafe fn finish() -> ! {
    let Ok(context) = Context::get() else { fatal("a coroutine ended in a thread that has none") };
    let current = context.current();
    current.tell_end(context);
    current.link.unlink();
    current.fiber.ended.set(true);
    // SAFETY: whoever waits for this coroutine's end is suspended in `cancel`.
    if let Some(closer) = unsafe { current.closer.get().as_ref() } {
        context.make_ready(closer, 0, None);
    } else {
        // SAFETY: a bundle outlives its members: closing it waits for all of them.
        unsafe { &*current.bundle.get() }.member_finished(context);
    }
    context.call_before_wait();
    context.poll_if_idle();
    // From here on others may have the stack, and so nothing more is done on it but the switch.
    match current.storage {
        Storage::Pooled(stack) => context.stacks.give_back(stack),
        Storage::Caller { valgrind_id: Some(id) } => valgrind::deregister_stack(id),
        Storage::Caller { valgrind_id: None } => {}
        Storage::Thread => fatal("the thread's own flow of control is no coroutine"),
    }
    context.run_next();
    fatal("a finished coroutine was resumed")
}

/// Shuts a member of a bundle down and waits until it has ended. No deadline, no cancellation.
pub(super) fn cancel(context: &Context, victim: &Coroutine) {
    let current = context.current();
    refuse_deadlock(current, victim);
    victim.cancelled.set(true);
    // One that is ready keeps its result; one that is closing something itself finishes that.
    if !victim.ready.get() && victim.closing.get().is_null() {
        context.cancel_wait(victim);
    }
    victim.closer.set(current);
    current.closing.set(victim);
    // Cannot fail: this wait has no clauses and is never cancelled.
    let _ = context.wait();
    current.closing.set(ptr::null());
}

/// A coroutine whose end waits for the caller can never end.
fn refuse_deadlock(current: &Coroutine, victim: &Coroutine) {
    let mut next: *const Coroutine = victim;
    // SAFETY: whoever is being waited for is alive.
    while let Some(coroutine) = unsafe { next.as_ref() } {
        if ptr::eq(coroutine, current) {
            fatal("a coroutine closed the bundle that it runs in");
        }
        next = coroutine.closing.get();
    }
}

/// Ends the process: the program has done what no errno can express.
pub(super) fn fatal(why: &str) -> ! {
    let parts: [&[u8]; 3] = [b"libdill: fatal: ", why.as_bytes(), b"\n"];
    for part in parts {
        // SAFETY: the bytes are readable; if they cannot be written, there is nobody to tell.
        unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
    }
    // SAFETY: does not return.
    unsafe { libc::abort() }
}
