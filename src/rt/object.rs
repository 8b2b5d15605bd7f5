//! The library's own handle types: a counted object behind the C function table.
//!
//! A coroutine that waits inside an object holds a reference to it. When somebody else closes the
//! handle meanwhile, the object lives on until the last waiter has left it.

use super::bundle::Bundle;
use super::context::Context;
use super::handle::{self, Hvfs, View};
use crate::error::{Errno, Result};
use crate::memory::{try_box, try_box_with};
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::ops::Deref;
use core::ptr::{self, NonNull};

/// A type of handle.
pub(crate) trait Kind: Sized + 'static {
    /// The function table of the socket interface it offers besides, or `()`.
    type Vfs: 'static;
    /// The functions in it.
    const VFS: Self::Vfs;

    /// The identity of the type, for `hquery`.
    fn type_id() -> *const c_void;

    /// The identity of the socket interface, if there is one.
    fn interface_id() -> Option<*const c_void> {
        None
    }

    /// Another interface, which the handle's object answers for, or one of its parts. It lives as long as
    /// the object.
    fn other_interface(_this: &Ref<Self>, _id: *const c_void) -> Option<*mut c_void> {
        None
    }

    /// What is said of it to a person. It may be called at any time, from a debugger.
    fn about(&self) -> About;

    /// Called once, when the handle is closed. Others may still be inside.
    fn close(this: &Ref<Self>);
}

/// What is said of an object.
pub(crate) struct About {
    pub(crate) name: &'static str,
    /// Its descriptor, or -1.
    pub(crate) fd: c_int,
    /// The handle that it runs on, or -1.
    pub(crate) below: c_int,
    /// Empty: as it should be.
    pub(crate) state: &'static str,
    /// The object, if it is one.
    pub(super) bundle: *const Bundle,
}

impl About {
    /// With a name only.
    pub(crate) const fn of(name: &'static str) -> About {
        About { name, fd: -1, below: -1, state: "", bundle: ptr::null() }
    }

    /// On a descriptor.
    #[cfg(feature = "sockets")]
    pub(crate) fn on_descriptor(name: &'static str, fd: c_int) -> About {
        About { fd, ..About::of(name) }
    }

    /// In a state that is worth telling.
    #[cfg(feature = "sockets")]
    pub(crate) fn in_state(self, state: &'static str) -> About {
        About { state, ..self }
    }

    /// On another handle.
    #[cfg(feature = "sockets")]
    pub(crate) fn on_handle(name: &'static str, below: c_int) -> About {
        About { below, ..About::of(name) }
    }
}

#[repr(C)]
struct Object<T: Kind> {
    hvfs: Hvfs,
    vfs: T::Vfs,
    references: Cell<usize>,
    body: T,
}

/// Where the body lies in an object.
pub(super) const fn body_offset<T: Kind>() -> usize {
    core::mem::offset_of!(Object<T>, body)
}

/// A reference to an object.
#[repr(transparent)]
pub(crate) struct Ref<T: Kind>(NonNull<Object<T>>);

impl<T: Kind> Ref<T> {
    fn object(&self) -> &Object<T> {
        // SAFETY: a reference keeps the object alive, and it is only ever shared.
        unsafe { self.0.as_ref() }
    }

    /// A reference by the address of the object's function table, which is its own address.
    ///
    /// # Safety
    /// The table belongs to a living object of this type.
    unsafe fn from_hvfs(hvfs: *mut Hvfs) -> Ref<T> {
        // SAFETY: the table is that of a living object, as the caller says, and so is not null.
        let reference = Ref(unsafe { NonNull::new_unchecked(hvfs.cast::<Object<T>>()) });
        reference.retain();
        reference
    }

    /// A reference by the address of the socket function table inside the object.
    ///
    /// # Safety
    /// The table belongs to a living object of this type.
    pub(crate) unsafe fn from_vfs(vfs: *mut T::Vfs) -> Ref<T> {
        // SAFETY: the table is this field of a living object, as the caller says.
        let object = unsafe { vfs.byte_sub(core::mem::offset_of!(Object<T>, vfs)) };
        // SAFETY: as above.
        unsafe { Ref::from_hvfs(object.cast()) }
    }

    /// The object, as it stands for an interface of which it is the whole.
    #[cfg(feature = "sockets")]
    pub(crate) fn as_interface(&self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    fn retain(&self) {
        let references = &self.object().references;
        references.set(references.get() + 1);
    }
}

impl<T: Kind> Clone for Ref<T> {
    fn clone(&self) -> Ref<T> {
        self.retain();
        Ref(self.0)
    }
}

impl<T: Kind> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object().body
    }
}

impl<T: Kind> Drop for Ref<T> {
    fn drop(&mut self) {
        let left = self.object().references.get() - 1;
        self.object().references.set(left);
        if left == 0 {
            // SAFETY: made by `try_box`, and this was the last reference.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

unsafe extern "C" fn query<T: Kind>(hvfs: *mut Hvfs, kind: *const c_void) -> *mut c_void {
    if ptr::eq(kind, T::type_id()) {
        return hvfs.cast();
    }
    if T::interface_id().is_some_and(|id| ptr::eq(kind, id)) {
        return hvfs.wrapping_byte_add(core::mem::offset_of!(Object<T>, vfs)).cast();
    }
    // SAFETY: called by `hquery` with an object of this type.
    let this: Ref<T> = unsafe { Ref::from_hvfs(hvfs) };
    if let Some(interface) = T::other_interface(&this, kind) {
        return interface;
    }
    // Without a reason: ENOTSUP.
    ptr::null_mut()
}

/// # Safety
/// The table is that of a living object of this type.
unsafe fn about_object<T: Kind>(hvfs: *mut Hvfs) -> About {
    // SAFETY: the table is the first field of a living `Object<T>`, as the caller says.
    unsafe { &(*hvfs.cast::<Object<T>>()).body }.about()
}

pub(super) unsafe extern "C" fn close_object<T: Kind>(hvfs: *mut Hvfs) {
    // SAFETY: called by `hclose` with an object of this type.
    let this: Ref<T> = unsafe { Ref::from_hvfs(hvfs) };
    T::close(&this);
    // SAFETY: as above; this is the handle's own reference.
    let of_handle: Ref<T> = Ref(this.0);
    drop(of_handle);
}

/// Makes an object and its handle. ECANCELED, ENOMEM; then the body is dropped.
pub(crate) fn make<T: Kind>(body: T) -> Result<c_int> {
    let object = try_box(Object {
        hvfs: Hvfs { query: Some(query::<T>), close: Some(close_object::<T>) },
        vfs: T::VFS,
        references: Cell::new(1),
        body,
    })?;
    add_handle(object)
}

/// The same for a large body, which is made in its place as far as the compiler can: stacks are small.
#[inline]
pub(crate) fn make_with<T: Kind>(body: impl FnOnce() -> T) -> Result<c_int> {
    let object = try_box_with(|| Object {
        hvfs: Hvfs { query: Some(query::<T>), close: Some(close_object::<T>) },
        vfs: T::VFS,
        references: Cell::new(1),
        body: body(),
    })?;
    add_handle(object)
}

fn add_handle<T: Kind>(object: Box<Object<T>>) -> Result<c_int> {
    let object = Box::into_raw(object);
    // SAFETY: the object lives until the handle is closed.
    let made = unsafe { handle::make_own(object.cast(), T::type_id(), about_object::<T>) };
    if made.is_err() {
        // SAFETY: made above, and nobody has seen it.
        drop(unsafe { Box::from_raw(object) });
    }
    made
}

/// The object of a handle that is the library's own.
#[inline]
fn of_own_handle<T: Kind>(handle: c_int) -> Option<*mut Hvfs> {
    Context::existing()?.handles.of_own_type(handle, T::type_id())
}

/// The object of a handle. EBADF; ENOTSUP if it is of another kind.
#[inline]
pub(crate) fn find<T: Kind>(handle: c_int) -> Result<Ref<T>> {
    let object = match of_own_handle::<T>(handle) {
        Some(object) => object,
        // The program may have wrapped it.
        None => handle::query(handle, T::type_id())?.cast(),
    };
    // SAFETY: only objects of this type are registered with it and answer its identity, with their own address.
    Ok(unsafe { Ref::from_hvfs(object) })
}

/// The same, to be released: a handle of the program's that wraps an object cannot give it away. EBADF, ENOTSUP.
pub(crate) fn find_unwrapped<T: Kind>(handle: c_int) -> Result<Ref<T>> {
    let this = find::<T>(handle)?;
    if of_own_handle::<T>(handle).is_some() { Ok(this) } else { Err(Errno::ENOTSUP) }
}

/// The object that answers for an interface of which it is the whole. EBADF, ENOTSUP.
///
/// # Safety
/// Whatever answers for the interface gives `Ref::as_interface` of a living object of this type.
#[cfg(feature = "sockets")]
pub(crate) unsafe fn find_interface<T: Kind>(handle: c_int, id: *const c_void) -> Result<Ref<T>> {
    let object = handle::query(handle, id)?;
    // SAFETY: what answered is `Ref::as_interface` of a living object of this type, as the caller says.
    Ok(unsafe { Ref::from_hvfs(object.cast()) })
}

/// Looks at the object of a handle without counting a reference. None: there is none of this kind, or the program has
/// wrapped it.
///
/// # Safety
/// The object is not used after anything that may switch, or close handles.
#[inline]
pub(crate) unsafe fn peek<T: Kind>(context: &Context, handle: c_int) -> Option<&T> {
    // SAFETY: as the caller says.
    unsafe { Peek::new(context) }.get(handle)
}

/// The same for many handles.
pub(crate) struct Peek<'a>(View<'a>);

impl<'a> Peek<'a> {
    /// # Safety
    /// It, and what it shows, is not used after anything that may switch, or open or close handles.
    #[inline]
    pub(crate) unsafe fn new(context: &'a Context) -> Peek<'a> {
        // SAFETY: as the caller says.
        Peek(unsafe { context.handles.view() })
    }

    /// The object of a handle, as `peek` shows it.
    #[inline]
    pub(crate) fn get<T: Kind>(&self, handle: c_int) -> Option<&'a T> {
        let object = self.0.of_own_type(handle, T::type_id())?;
        // SAFETY: only objects of this type are registered with it; nothing closes it while the reference is in use, as
        // whoever made this says.
        Some(unsafe { &(*object.cast::<Object<T>>()).body })
    }
}

/// Whether a handle still stands for an object: while its owner waited, somebody else may have
/// closed it, and the number may be another object's by now. EBADF.
pub(crate) fn still_refers_to<T: Kind>(handle: c_int, this: &Ref<T>) -> Result<()> {
    let object = handle::query(handle, T::type_id()).map_err(|_| Errno::EBADF)?;
    if ptr::eq(object, this.0.as_ptr().cast()) { Ok(()) } else { Err(Errno::EBADF) }
}

/// Closes the handle of an object if it still stands for it.
pub(crate) fn close<T: Kind>(handle: c_int, this: Ref<T>) {
    if still_refers_to(handle, &this).is_ok() {
        drop(this);
        // Checked just now.
        let _ = handle::close(handle);
    }
}

/// Frees the number of an object that is being handed on, and the handle's reference with it.
/// The object's own `close` is not called. EBADF if somebody else has closed it, or is about to.
pub(crate) fn release<T: Kind>(handle: c_int, this: Ref<T>) -> Result<()> {
    if of_own_handle::<T>(handle) != Some(this.0.as_ptr().cast()) {
        return Err(Errno::EBADF);
    }
    Context::get()?.handles.hand_on(handle)?;
    let of_handle: Ref<T> = Ref(this.0);
    drop(of_handle);
    Ok(())
}
