//! Handles: small numbers, per thread, that stand for objects.

use super::context::Context;
use super::object::About;
use crate::error::{Errno, Result, from_callback};
use core::cell::{Cell, UnsafeCell};
use core::ffi::{c_int, c_void};
use core::ptr;

/// The functions of an object, its first field. Part of the ABI of handle types written in C.
#[repr(C)]
pub struct Hvfs {
    /// Returns the interface of the object that the type stands for, or NULL with errno set; ENOTSUP if it is not.
    pub query: Option<unsafe extern "C" fn(vfs: *mut Hvfs, kind: *const c_void) -> *mut c_void>,
    /// Frees the object. Must not block.
    pub close: Option<unsafe extern "C" fn(vfs: *mut Hvfs)>,
}

/// How many numbers there are at first.
const FIRST_SIZE: usize = 256;
/// The table grows when no more than so many numbers are free: a number that was just freed
/// is not given out again for a while, which catches stale handles.
const KEPT_FREE: usize = 8;

#[derive(Clone, Copy)]
struct Slot {
    /// Null: free.
    vfs: *mut Hvfs,
    /// The last successful query; null if there was none, and for a free number.
    kind: *const c_void,
    interface: *mut c_void,
    /// Free: the next free number. Open: how many objects there were when it was opened, itself included, which tells
    /// it from others that had the number before.
    tag: u64,
    closing: bool,
    /// Its type if it is one of the library's; else, and for a free number, null.
    own_type: *const c_void,
    /// What the object says about itself; None for a type of the program's own.
    about: Option<AboutFunction>,
}

/// Tells about the object behind a function table, which is of the right type and alive.
pub(super) type AboutFunction = unsafe fn(*mut Hvfs) -> About;

const NONE: u64 = u64::MAX;

/// The handles of a thread. Free numbers form a queue.
pub(crate) struct Table {
    slots: UnsafeCell<Vec<Slot>>,
    first_free: Cell<u64>,
    last_free: Cell<u64>,
    free: Cell<usize>,
    /// How many objects there were.
    serial: Cell<u64>,
}

/// Where a debugger finds things in a table.
pub(super) mod layout {
    use super::{Slot, Table};
    use core::mem::{offset_of, size_of, transmute};

    /// The number of handles, and the address of the first slot. How a vector is laid out, the language leaves
    /// open; that of an empty one says it: its address is its alignment, the rest is 0.
    pub(crate) const SLOTS: usize = offset_of!(Table, slots)
        + if empty()[0] != 0 {
            0
        } else if empty()[1] != 0 {
            8
        } else {
            16
        };
    pub(crate) const LEN: usize = offset_of!(Table, slots) + if empty()[0] != 0 { 8 } else { 0 };
    pub(crate) const SLOT_SIZE: usize = size_of::<Slot>();
    pub(crate) const VFS: usize = offset_of!(Slot, vfs);

    const fn empty() -> [usize; 3] {
        // SAFETY: an empty vector is three words without provenance, and owns nothing.
        unsafe { transmute(Vec::<Slot>::new()) }
    }
}

impl Table {
    /// A table without any number.
    pub(crate) const fn new() -> Table {
        Table {
            slots: UnsafeCell::new(Vec::new()),
            first_free: Cell::new(NONE),
            last_free: Cell::new(NONE),
            free: Cell::new(0),
            serial: Cell::new(0),
        }
    }

    /// Runs `change` on the slots. It must not call anything that could come back here.
    fn with<R>(&self, change: impl FnOnce(&mut Vec<Slot>) -> R) -> R {
        // SAFETY: the table belongs to one thread, and no closure in this file calls out.
        change(unsafe { &mut *self.slots.get() })
    }

    fn read(&self, handle: c_int) -> Result<Slot> {
        self.slot(handle).filter(|slot| !slot.vfs.is_null()).copied().ok_or(Errno::EBADF)
    }

    fn update(&self, handle: c_int, change: impl FnOnce(&mut Slot)) {
        self.with(|slots| change(&mut slots[handle as usize]));
    }

    fn grow(&self) -> Result<()> {
        let (old, new) = self.with(|slots| {
            let old = slots.len();
            let new = if old == 0 { FIRST_SIZE } else { old * 2 };
            if new > c_int::MAX as usize {
                return Err(Errno::ENOMEM);
            }
            slots.try_reserve_exact(new - old).map_err(|_| Errno::ENOMEM)?;
            let empty = Slot {
                vfs: ptr::null_mut(),
                kind: ptr::null(),
                interface: ptr::null_mut(),
                tag: NONE,
                closing: false,
                own_type: ptr::null(),
                about: None,
            };
            slots.resize(new, empty);
            Ok((old, new))
        })?;
        for index in old..new {
            self.push_free(index as u64);
        }
        Ok(())
    }

    fn push_free(&self, index: u64) {
        self.with(|slots| {
            slots[index as usize].tag = NONE;
            match self.last_free.get() {
                NONE => self.first_free.set(index),
                last => slots[last as usize].tag = index,
            }
        });
        self.last_free.set(index);
        self.free.set(self.free.get() + 1);
    }

    fn insert(&self, vfs: *mut Hvfs, own_type: *const c_void, about: Option<AboutFunction>) -> Result<c_int> {
        if self.free.get() <= KEPT_FREE {
            self.grow()?;
        }
        let index = self.first_free.get();
        self.serial.set(self.serial.get() + 1);
        self.with(|slots| {
            let slot = &mut slots[index as usize];
            self.first_free.set(slot.tag);
            slot.tag = self.serial.get();
            slot.vfs = vfs;
            slot.kind = ptr::null();
            slot.interface = ptr::null_mut();
            slot.closing = false;
            slot.own_type = own_type;
            slot.about = about;
        });
        if self.first_free.get() == NONE {
            self.last_free.set(NONE);
        }
        self.free.set(self.free.get() - 1);
        Ok(index as c_int)
    }

    /// Tells about each object: its handle, and whether it is being closed. `tell` must not call what changes the
    /// table.
    pub(super) fn each(&self, mut tell: impl FnMut(c_int, About, bool)) {
        let mut handle = 0;
        // SAFETY: a shared look that ends before anything else runs.
        while let Some(slot) = unsafe { &*self.slots.get() }.get(handle as usize).copied() {
            if !slot.vfs.is_null() {
                // SAFETY: the object of an open handle is alive, and has come with this function.
                let about = slot.about.map_or(About::CUSTOM, |about| unsafe { about(slot.vfs) });
                tell(handle, about, slot.closing);
            }
            handle += 1;
        }
    }

    /// Frees a number without closing its object: for `detach`, which hands the object on. EBADF while the object is
    /// being closed: then it is freed by `close`.
    pub(super) fn hand_on(&self, handle: c_int) -> Result<()> {
        if self.read(handle)?.closing {
            return Err(Errno::EBADF);
        }
        self.release(handle);
        Ok(())
    }

    fn release(&self, handle: c_int) {
        self.update(handle, |slot| {
            slot.vfs = ptr::null_mut();
            slot.kind = ptr::null();
            slot.own_type = ptr::null();
        });
        self.push_free(handle as u64);
    }

    /// The interface of an object if it is the one that was asked for last.
    #[inline]
    fn queried(&self, handle: c_int, kind: *const c_void) -> Option<*mut c_void> {
        let slot = self.slot(handle)?;
        ptr::eq(slot.kind, kind).then_some(slot.interface)
    }

    /// An object that was made by `make_own` with this type.
    #[inline]
    pub(super) fn of_own_type(&self, handle: c_int, own_type: *const c_void) -> Option<*mut Hvfs> {
        // SAFETY: a shared look that ends before anything else runs.
        unsafe { self.view() }.of_own_type(handle, own_type)
    }

    /// Not to be used after the table has changed.
    #[inline]
    fn slot(&self, handle: c_int) -> Option<&Slot> {
        // SAFETY: the callers, which are all in this file, copy what they want of it before anything else runs.
        unsafe { self.view() }.slot(handle)
    }

    /// The handles as they are.
    ///
    /// # Safety
    /// It is not used after anything that may open or close handles.
    #[inline]
    pub(super) unsafe fn view(&self) -> View<'_> {
        // SAFETY: nothing changes the slots while they are looked at, as the caller says.
        View { slots: unsafe { &*self.slots.get() } }
    }
}

/// The handles of a thread as they are.
pub(super) struct View<'a> {
    slots: &'a [Slot],
}

impl<'a> View<'a> {
    /// An object that was made by `make_own` with this type.
    #[inline]
    pub(super) fn of_own_type(&self, handle: c_int, own_type: *const c_void) -> Option<*mut Hvfs> {
        let slot = self.slot(handle)?;
        ptr::eq(slot.own_type, own_type).then_some(slot.vfs)
    }

    #[inline]
    fn slot(&self, handle: c_int) -> Option<&'a Slot> {
        // A negative handle is larger than any table.
        self.slots.get(handle as u32 as usize)
    }
}

/// An object by its handle, to be used across waits: somebody may close it meanwhile, and the number may be
/// another object's then.
#[derive(Clone, Copy)]
pub struct Id {
    number: c_int,
    tag: u64,
}

impl Id {
    /// Nobody's.
    pub const NONE: Id = Id { number: -1, tag: 0 };

    /// Of whoever has the handle now.
    pub fn of(handle: c_int) -> Id {
        let slot = Context::get().and_then(|context| context.handles.read(handle));
        slot.map_or(Id::NONE, |slot| Id { number: handle, tag: slot.tag })
    }

    /// The handle; -1, which is nobody's, once it was closed.
    pub fn handle(self) -> c_int {
        if Id::of(self.number).tag == self.tag { self.number } else { -1 }
    }

    /// EBADF once it was closed.
    pub fn check(self) -> Result<()> {
        if self.handle() < 0 { Err(Errno::EBADF) } else { Ok(()) }
    }

    /// Closes the object, unless somebody has done so.
    pub fn close(self) {
        // It is open, or there is nothing to be done.
        let _ = close(self.handle());
    }
}

/// A moment by which those who have a handle of the thread are told from those who get one later, perhaps with the same
/// number.
#[cfg(feature = "sockets")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

#[cfg(feature = "sockets")]
impl Moment {
    /// Now. Equal to an earlier one: nobody has got a handle meanwhile.
    #[inline]
    pub(crate) fn now(context: &Context) -> Moment {
        Moment(context.handles.serial.get())
    }

    /// Whether the handle is open, and was so then.
    pub(crate) fn had(self, context: &Context, handle: c_int) -> bool {
        context.handles.read(handle).is_ok_and(|slot| slot.tag <= self.0)
    }
}

/// Registers an object. EINVAL, ECANCELED, ENOMEM.
///
/// # Safety
/// `vfs` is null, or points to functions that may be called until the handle is closed.
pub(crate) unsafe fn make(vfs: *mut Hvfs) -> Result<c_int> {
    // SAFETY: the caller answers for the functions; there is nothing else to answer for.
    unsafe { make_typed(vfs, ptr::null(), None) }
}

/// The same for an object of the library, which tells about itself.
///
/// # Safety
/// As `make`; the type and `about` are right for this object until the handle is closed.
pub(super) unsafe fn make_own(
    vfs: *mut Hvfs,
    own_type: *const c_void,
    about: AboutFunction,
) -> Result<c_int> {
    // SAFETY: the caller answers for all of it.
    unsafe { make_typed(vfs, own_type, Some(about)) }
}

/// # Safety
/// As `make` and `make_own`.
unsafe fn make_typed(vfs: *mut Hvfs, own_type: *const c_void, about: Option<AboutFunction>) -> Result<c_int> {
    // SAFETY: null, or functions that stay until the handle is closed, as the caller says.
    let functions = unsafe { vfs.as_ref() }.ok_or(Errno::EINVAL)?;
    if functions.query.is_none() || functions.close.is_none() {
        return Err(Errno::EINVAL);
    }
    let context = Context::get()?;
    context.check_cancelled()?;
    context.handles.insert(vfs, own_type, about)
}

/// The interface of an object. EBADF, or whatever the object's own `query` says.
#[inline]
pub(crate) fn query(handle: c_int, kind: *const c_void) -> Result<*mut c_void> {
    let table = &Context::get()?.handles;
    if !kind.is_null()
        && let Some(interface) = table.queried(handle, kind)
    {
        return Ok(interface);
    }
    query_object(table, handle, kind)
}

#[cold]
fn query_object(table: &Table, handle: c_int, kind: *const c_void) -> Result<*mut c_void> {
    let vfs = table.read(handle)?.vfs;
    // SAFETY: the object of an open handle is alive.
    let query = unsafe { (*vfs).query }.ok_or(Errno::ENOTSUP)?;
    // SAFETY: its functions are called with itself.
    let interface = from_callback(|| unsafe { query(vfs, kind) }, Errno::ENOTSUP)?;
    // The callback may have closed the handle, or made the table grow.
    if table.read(handle).is_ok_and(|slot| ptr::eq(slot.vfs, vfs)) {
        table.update(handle, |slot| {
            slot.kind = kind;
            slot.interface = interface;
        });
    }
    Ok(interface)
}

/// Moves an object to a new number. If none can be had, the object is closed.
pub(crate) fn own(handle: c_int) -> Result<c_int> {
    let context = Context::get()?;
    let slot = context.handles.read(handle)?;
    if slot.closing {
        return Err(Errno::EBADF);
    }
    let moved = context.check_cancelled();
    match moved.and_then(|()| context.handles.insert(slot.vfs, slot.own_type, slot.about)) {
        Ok(new) => {
            context.handles.release(handle);
            Ok(new)
        }
        Err(error) => {
            close(handle)?;
            Err(error)
        }
    }
}

/// Closes an object. May switch: closing a bundle waits for its coroutines.
pub(crate) fn close(handle: c_int) -> Result<()> {
    let context = Context::get()?;
    let slot = context.handles.read(handle)?;
    // Being closed already: EBADF.
    if slot.closing {
        return Err(Errno::EBADF);
    }
    context.handles.update(handle, |slot| slot.closing = true);
    let current = context.current();
    let before = current.in_close.replace(true);
    // SAFETY: the object of an open handle is alive.
    let function = unsafe { (*slot.vfs).close };
    if let Some(function) = function {
        // SAFETY: its functions are called with itself, `close` once.
        unsafe { function(slot.vfs) };
    }
    current.in_close.set(before);
    context.handles.release(handle);
    Ok(())
}
