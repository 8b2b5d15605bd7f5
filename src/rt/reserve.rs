//! Memory in reserve, for code that ends the process when an allocation fails, as rustls does. It runs on
//! the big stack, with a reserve mapped before: what the C library refuses then comes from there. So
//! whoever wants to run it gets ENOMEM before it has begun, or no error at all.

use super::context::Context;
use crate::error::Result;
use crate::memory;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::ptr;
use std::alloc::System;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much can be allocated in one run, in bytes: several times what a handshake takes, or reading all the
/// certificates that a system trusts. Untouched, it is address space and nothing else.
const SIZE: usize = 4 * 1024 * 1024;

/// How many threads can have memory in use that is from a reserve.
const MAX_ARENAS: usize = 256;

/// A mapping of `SIZE` bytes, with this at its front. Everything in it is read and written under the lock.
struct Arena {
    /// What has been given out, this header included.
    used: Cell<usize>,
    /// How many of the blocks in it are in use.
    blocks: Cell<usize>,
    /// Somebody's reserve. Otherwise it goes when its last block goes.
    is_owned: Cell<bool>,
}

const EMPTY: usize = size_of::<Arena>();

/// The arenas with blocks in use.
struct ArenaTable(UnsafeCell<[*mut Arena; MAX_ARENAS]>);

// SAFETY: used under the lock.
unsafe impl Sync for ArenaTable {}

static LOCK: Mutex<()> = Mutex::new(());
static TABLE: ArenaTable = ArenaTable(UnsafeCell::new([ptr::null_mut(); MAX_ARENAS]));
/// How many there are: nearly always none, and then nobody looks.
static ARENAS_IN_USE: AtomicUsize = AtomicUsize::new(0);

/// The reserve of a thread.
pub(super) struct Reserve {
    arena: Cell<*mut Arena>,
    /// Something came from it.
    touched: Cell<bool>,
    /// It may be used now.
    open: Cell<bool>,
}

impl Reserve {
    pub(super) const fn new() -> Reserve {
        Reserve { arena: Cell::new(ptr::null_mut()), touched: Cell::new(false), open: Cell::new(false) }
    }

    /// Lets it be used or not; returns whether it could be before.
    pub(super) fn open(&self, open: bool) -> bool {
        self.open.replace(open)
    }

    /// Makes sure that the whole of it is there. ENOMEM.
    #[inline]
    pub(super) fn fill(&self) -> Result<()> {
        if self.arena.get().is_null() || self.touched.get() { self.fill_slowly() } else { Ok(()) }
    }

    #[cold]
    fn fill_slowly(&self) -> Result<()> {
        self.release();
        let arena = memory::map(SIZE, libc::MAP_NORESERVE)?.cast::<Arena>();
        let header = Arena { used: Cell::new(EMPTY), blocks: Cell::new(0), is_owned: Cell::new(true) };
        // SAFETY: the mapping is aligned to pages and larger than this.
        unsafe { arena.write(header) };
        self.arena.set(arena);
        self.touched.set(false);
        Ok(())
    }

    /// Unmaps it, at once or with the last block in it.
    fn release(&self) {
        let place = self.arena.replace(ptr::null_mut());
        // SAFETY: an arena that is somebody's reserve is mapped.
        let Some(arena) = (unsafe { place.as_ref() }) else { return };
        let _lock = LOCK.lock();
        arena.is_owned.set(false);
        if arena.blocks.get() == 0 {
            unmap(place);
        }
    }

    /// A block of it; null if it does not hold so much.
    fn take(&self, layout: Layout) -> *mut u8 {
        let place = self.arena.get();
        let Ok(_lock) = LOCK.lock() else { return ptr::null_mut() };
        // SAFETY: an arena that is somebody's reserve is mapped.
        let Some(arena) = (unsafe { place.as_ref() }) else { return ptr::null_mut() };
        // The mapping is aligned to pages; nobody asks for more.
        let start = arena.used.get().next_multiple_of(layout.align());
        let end = start.saturating_add(layout.size());
        if end > SIZE || layout.align() > 4096 || (arena.blocks.get() == 0 && !note_in_use(place)) {
            return ptr::null_mut();
        }
        self.touched.set(true);
        arena.used.set(end);
        arena.blocks.set(arena.blocks.get() + 1);
        place.cast::<u8>().wrapping_add(start)
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        self.release();
    }
}

fn unmap(arena: *mut Arena) {
    // SAFETY: mapped with this size, and nothing in it is in use.
    unsafe { libc::munmap(arena.cast(), SIZE) };
}

/// Runs a closure on the table, under the lock, which the caller holds.
fn with_table<R>(look: impl FnOnce(&mut [*mut Arena; MAX_ARENAS]) -> R) -> R {
    // SAFETY: the callers hold the lock, and no closure here comes back.
    look(unsafe { &mut *TABLE.0.get() })
}

fn note_in_use(arena: *mut Arena) -> bool {
    let place =
        with_table(|table| table.iter_mut().find(|place| place.is_null()).map(|place| *place = arena));
    ARENAS_IN_USE.fetch_add(usize::from(place.is_some()), Ordering::Relaxed);
    place.is_some()
}

/// Takes a block back. False: it is not from a reserve.
fn give_back(block: *mut u8) -> bool {
    let Ok(_lock) = LOCK.lock() else { return false };
    let found = with_table(|table| {
        let holds =
            |arena: *mut Arena| !arena.is_null() && (block as usize).wrapping_sub(arena as usize) < SIZE;
        let place = table.iter_mut().find(|place| holds(**place))?;
        // SAFETY: an arena with blocks in use is mapped.
        let arena = unsafe { &**place };
        arena.blocks.set(arena.blocks.get() - 1);
        let gone = arena.blocks.get() == 0;
        Some(if gone { core::mem::replace(place, ptr::null_mut()) } else { ptr::null_mut() })
    });
    let Some(empty) = found else { return false };
    // SAFETY: as above; it is not unmapped before it is empty and nobody's.
    if let Some(arena) = unsafe { empty.as_ref() } {
        ARENAS_IN_USE.fetch_sub(1, Ordering::Relaxed);
        if !arena.is_owned.get() {
            unmap(empty);
        }
    }
    true
}

/// What Rust code of this library allocates with.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

#[cold]
fn from_reserve(layout: Layout) -> *mut u8 {
    match Context::existing() {
        Some(context) if context.reserve().open.get() => context.reserve().take(layout),
        _ => ptr::null_mut(),
    }
}

#[inline(always)]
fn is_from_reserve(block: *mut u8) -> bool {
    ARENAS_IN_USE.load(Ordering::Relaxed) != 0 && give_back(block)
}

// SAFETY: the system's allocator, with blocks of a reserve where that has none: they are as large and as
// aligned as they are to be, and stay until they are given back.
unsafe impl GlobalAlloc for Allocator {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the same contract as that of this function: the size is not zero.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() { from_reserve(layout) } else { block }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !is_from_reserve(block) {
            // SAFETY: not from a reserve, so the system's, with the layout that the caller names.
            unsafe { System.dealloc(block, layout) };
        }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the same contract as that of this function: the size is not zero.
        let block = unsafe { System.alloc_zeroed(layout) };
        // A reserve is given out once, and so it is all zeros.
        if block.is_null() { from_reserve(layout) } else { block }
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if ARENAS_IN_USE.load(Ordering::Relaxed) == 0 {
            // SAFETY: not from a reserve, so the system's, with the layout that the caller names.
            let new = unsafe { System.realloc(block, layout, size) };
            if !new.is_null() {
                return new;
            }
        }
        // SAFETY: the same contract as that of this function.
        unsafe { move_block(self, block, layout, size) }
    }
}

/// # Safety
/// That of `realloc`.
#[cold]
unsafe fn move_block(allocator: &Allocator, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    // SAFETY: the size is what the caller of `realloc` answers for.
    let new_layout = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
    // SAFETY: as above.
    let new = unsafe { allocator.alloc(new_layout) };
    if !new.is_null() {
        // SAFETY: both are as large as this, and the new one is nobody else's.
        unsafe { ptr::copy_nonoverlapping(block, new, layout.size().min(size)) };
        // SAFETY: the block is the caller's, with this layout, and not used afterwards.
        unsafe { allocator.dealloc(block, layout) };
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_makes_it_whole_again_and_what_was_taken_stays_until_it_is_given_back() {
        let (reserve, layout) = (Reserve::new(), Layout::from_size_align(SIZE / 2 + 1, 4096).unwrap());
        let mut blocks = Vec::new();
        for _ in 0..3 {
            reserve.fill().unwrap();
            let block = reserve.take(layout);
            assert!(!block.is_null() && (block as usize).is_multiple_of(layout.align()));
            assert!(reserve.take(layout).is_null());
            blocks.push(block);
        }
        for block in blocks {
            // SAFETY: so large, and nobody else's.
            unsafe { block.write_bytes(1, layout.size()) };
            assert!(give_back(block));
            assert!(!give_back(block));
        }
    }
}
