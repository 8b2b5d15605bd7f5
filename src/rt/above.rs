//! What the layers above keep for a thread, and have done for it. The runtime knows none of them: it has room
//! for them in the context, where they are reached like fields of its own, and calls what they ask it to.

use super::context::Context;
use super::process::Zeroable;
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;

/// How many layers there are, how many of them have a room, and how large that is.
const LAYERS: usize = 4;
const ROOMS: usize = 3;
const ROOM_SIZE: usize = 192;

#[repr(C, align(16))]
struct Room(UnsafeCell<MaybeUninit<[u8; ROOM_SIZE]>>);

/// What a layer keeps in a context: all zeros at first.
///
/// # Safety
/// No other type has the same number.
pub(crate) unsafe trait PerThread: Zeroable + 'static {
    const NUMBER: usize;
}

/// What a layer has done.
pub(crate) struct Hooks {
    /// Which layer it is.
    pub(crate) number: usize,
    /// When a thread ends.
    pub(crate) at_end: fn(&Context),
    /// In a process that was just forked.
    pub(crate) in_child: fn(&Context),
}

/// The layers above, as a context knows them.
pub(super) struct Above {
    rooms: [Room; ROOMS],
    hooks: [Cell<Option<&'static Hooks>>; LAYERS],
    before_wait: Cell<Option<fn(&Context)>>,
    soon: Cell<Option<fn(&Context)>>,
}

impl Above {
    pub(super) const fn new() -> Above {
        Above {
            rooms: [const { Room(UnsafeCell::new(MaybeUninit::zeroed())) }; ROOMS],
            hooks: [const { Cell::new(None) }; LAYERS],
            before_wait: Cell::new(None),
            soon: Cell::new(None),
        }
    }

    fn hooks(&self) -> impl Iterator<Item = &'static Hooks> {
        self.hooks.iter().filter_map(Cell::get)
    }
}

impl Context {
    /// What a layer keeps for this thread.
    #[inline(always)]
    pub(crate) fn kept<T: PerThread>(&self) -> &T {
        const { assert!(size_of::<T>() <= ROOM_SIZE && align_of::<T>() <= align_of::<Room>()) };
        // SAFETY: large enough and aligned, all zeros at first, and this type's alone.
        unsafe { &*self.above.rooms[const { T::NUMBER }].0.get().cast::<T>() }
    }

    /// Has a layer's functions called. To be repeated for each thread that they are for.
    pub(crate) fn register(&self, hooks: &'static Hooks) {
        self.above.hooks[hooks.number].set(Some(hooks));
    }

    /// Has a function called before the next wait of any coroutine, and before the thread or its process
    /// ends or forks.
    #[inline]
    pub(crate) fn before_wait(&self, function: fn(&Context)) {
        self.above.before_wait.set(Some(function));
    }

    /// Has a function called after so many more charged calls at the latest, or before if much is moved. See
    /// [`super::budget`].
    #[inline]
    pub(crate) fn soon(&self, calls: u32, function: fn(&Context)) {
        self.above.soon.set(Some(function));
        self.limit_budget(calls);
    }

    /// Calls it, once.
    #[inline]
    pub(super) fn call_soon(&self) {
        if let Some(function) = self.above.soon.take() {
            function(self);
        }
    }

    /// Calls it, once.
    #[inline]
    pub(super) fn call_before_wait(&self) {
        if let Some(function) = self.above.before_wait.get() {
            self.above.before_wait.set(None);
            function(self);
        }
    }

    /// Calls the layers' functions.
    pub(super) fn end_above(&self) {
        self.above.hooks().for_each(|hooks| (hooks.at_end)(self));
    }

    /// Calls the layers' functions.
    pub(super) fn fork_above(&self) {
        self.above.hooks().for_each(|hooks| (hooks.in_child)(self));
    }
}
