//! Coroutine stacks: 256 KiB above an inaccessible guard, carved from large reservations.
//!
//! ```text
//!   arena   | guard | stack 0 ........ top | guard | stack 1 ........ top | ...
//! ```
//!
//! Guards are markers in the page table (`MADV_GUARD_INSTALL`, Linux 6.13), so an arena stays one
//! mapping however many stacks it holds; older kernels get `mprotect`, which takes two mappings a
//! stack. Only touched pages take memory.

use crate::arch::valgrind;
use crate::error::{self, Errno, Result};
use crate::memory;
use core::cell::RefCell;
use core::ptr::{self, NonNull};

/// The usable size of a pooled stack, in bytes.
pub(super) const STACK_SIZE: usize = 256 * 1024;

/// How much below a stack is inaccessible. A frame that is larger can step over it, into the next
/// stack: so the stacks of most programs have a wide one. In page tables it costs as much as the
/// stack itself, 4 KiB for each 2 MiB, which a million coroutines could not afford.
const WIDE_GUARD: usize = 1024 * 1024;
const GUARD: usize = 64 * 1024;
/// The stacks of a thread that have a wide one.
const WIDE: usize = 256;

/// No system has larger pages.
const LARGEST_PAGE: usize = 64 * 1024;
const _: () = assert!(STACK_SIZE.is_multiple_of(LARGEST_PAGE));
const _: () = assert!(WIDE_GUARD.is_multiple_of(LARGEST_PAGE) && GUARD.is_multiple_of(LARGEST_PAGE));

/// The first arena is small, since most programs run few coroutines; each further one doubles.
const FIRST_ARENA: usize = 16;
const LARGEST_ARENA: usize = 4096;

/// Idle stacks that keep their pages, for the next coroutine to find them in the cache.
const WARM: usize = 64;

/// From `linux/mman.h`; the libc crate does not have it yet.
const MADV_GUARD_INSTALL: libc::c_int = 102;
/// What no system knows.
const NO_ADVICE: libc::c_int = -1;

/// The high end of a pooled stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stack(NonNull<u8>);

impl Stack {
    /// One past its highest byte; page aligned.
    pub(super) fn top(self) -> *mut u8 {
        self.0.as_ptr()
    }

    fn low(self) -> *mut u8 {
        self.top().wrapping_sub(STACK_SIZE)
    }
}

struct StackArena {
    base: *mut u8,
    size: usize,
}

struct PoolState {
    arenas: Vec<StackArena>,
    /// The part of the newest arena that has never been used.
    fresh: *mut u8,
    fresh_left: usize,
    /// The size of its guards.
    guard: usize,
    /// Whether they can be made by advice. An emulator may take any advice, and do nothing.
    takes_advice: bool,
    total: usize,
    warm: Vec<Stack>,
    cold: Vec<Stack>,
    /// The stack of the coroutine that ended last: until the switch away from it, it is in use.
    ending: Option<Stack>,
    valgrind_ids: Vec<usize>,
}

/// The stacks of a thread.
pub(super) struct StackPool(RefCell<PoolState>);

impl StackPool {
    /// A pool without any reservation.
    pub(super) const fn new() -> StackPool {
        StackPool(RefCell::new(PoolState {
            arenas: Vec::new(),
            fresh: ptr::null_mut(),
            fresh_left: 0,
            guard: 0,
            takes_advice: false,
            total: 0,
            warm: Vec::new(),
            cold: Vec::new(),
            ending: None,
            valgrind_ids: Vec::new(),
        }))
    }

    /// A stack, the most recently used one if there is any. ENOMEM if none can be had.
    pub(super) fn take(&self) -> Result<Stack> {
        let mut state = self.0.borrow_mut();
        let idle = state.ending.take();
        if let Some(stack) = idle.or_else(|| state.warm.pop()).or_else(|| state.cold.pop()) {
            return Ok(stack);
        }
        // A launch that succeeds leaves errno alone; the system may have refused the cheap guard.
        error::keep_errno(|| state.take_fresh())
    }

    /// Takes a stack back. The caller may still be running on it until it switches away.
    pub(super) fn give_back(&self, stack: Stack) {
        let mut state = self.0.borrow_mut();
        let Some(previous) = state.ending.replace(stack) else { return };
        if state.warm.len() < WARM {
            state.warm.push(previous);
            return;
        }
        // SAFETY: nobody uses the stack, and its pages belong to an arena of ours.
        unsafe { libc::madvise(previous.low().cast(), STACK_SIZE, libc::MADV_DONTNEED) };
        state.cold.push(previous);
    }

    /// Unmaps everything. No stack of the pool may be in use, the caller's included.
    pub(super) fn release(&self) {
        let mut state = self.0.borrow_mut();
        for id in state.valgrind_ids.drain(..) {
            valgrind::deregister_stack(id);
        }
        for arena in state.arenas.drain(..) {
            // SAFETY: the arena was mapped with this size, and no stack in it is in use.
            unsafe { libc::munmap(arena.base.cast(), arena.size) };
        }
        state.fresh_left = 0;
        state.ending = None;
        state.warm.clear();
        state.cold.clear();
    }
}

impl PoolState {
    fn take_fresh(&mut self) -> Result<Stack> {
        if self.fresh_left == 0 {
            self.reserve_arena()?;
        }
        self.make_guard()?;
        let top = self.fresh.wrapping_add(self.guard + STACK_SIZE);
        let stack = Stack(NonNull::new(top).ok_or(Errno::ENOMEM)?);
        if valgrind::wants_stacks() && self.valgrind_ids.try_reserve(1).is_ok() {
            let id = valgrind::register_stack(stack.low() as usize, stack.top() as usize);
            self.valgrind_ids.push(id);
        }
        self.fresh = top;
        self.fresh_left -= 1;
        Ok(stack)
    }

    /// Makes the low end of a fresh slot inaccessible.
    fn make_guard(&self) -> Result<()> {
        let (low, size) = (self.fresh.cast(), self.guard);
        // SAFETY: the range is the unused low end of a slot.
        if self.takes_advice && unsafe { libc::madvise(low, size, MADV_GUARD_INSTALL) } == 0 {
            return Ok(());
        }
        // SAFETY: as above.
        match error::check(unsafe { libc::mprotect(low, size, libc::PROT_NONE) }) {
            Ok(_) => Ok(()),
            Err(_) => Err(Errno::ENOMEM),
        }
    }

    fn reserve_arena(&mut self) -> Result<()> {
        self.arenas.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let mut slots = self.total.clamp(FIRST_ARENA, LARGEST_ARENA);
        let guard = if self.total < WIDE { WIDE_GUARD } else { GUARD };
        loop {
            // Giving a stack back must not fail, so there is room for all of them from the start.
            let room = self.total + slots;
            self.cold.try_reserve(room - self.cold.len()).map_err(|_| Errno::ENOMEM)?;
            self.warm.try_reserve(WARM - self.warm.len()).map_err(|_| Errno::ENOMEM)?;
            let size = slots * (guard + STACK_SIZE);
            if let Some(base) = map(size) {
                self.arenas.push(StackArena { base, size });
                self.fresh = base;
                self.fresh_left = slots;
                self.guard = guard;
                // SAFETY: the range is the mapping just made, and no system knows the advice.
                self.takes_advice = unsafe { libc::madvise(base.cast(), size, NO_ADVICE) } != 0;
                self.total = room;
                return Ok(());
            }
            if slots == 1 {
                return Err(Errno::ENOMEM);
            }
            slots /= 2;
        }
    }
}

fn map(size: usize) -> Option<*mut u8> {
    let base = memory::map(size, libc::MAP_NORESERVE | libc::MAP_STACK).ok()?;
    // One touched page of a stack must not become two megabytes. An error changes nothing but that.
    // SAFETY: the range is the mapping just made.
    unsafe { libc::madvise(base.cast(), size, libc::MADV_NOHUGEPAGE) };
    Some(base)
}
