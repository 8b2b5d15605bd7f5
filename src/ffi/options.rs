//! Structures that begin with their size: the program may have been compiled with an older header than
//! the library, or with a newer one.

use crate::error::{Errno, Result};
use core::ffi::{CStr, c_char};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::{ptr, slice};

/// More than any version of any structure will ever have.
const MAX_SIZE: usize = 4096;

/// A structure whose first member is its size in the program's version.
///
/// # Safety
/// `repr(C)`, it begins with a `usize`, and whatever bytes it consists of, it is valid.
pub(super) unsafe trait Versioned: Copy {
    /// The size of its first version.
    const FIRST: usize;
}

/// The size that the program's structure says that it has. EINVAL if no version has it: every version ends where a
/// member of the strictest alignment could follow, and never inside one.
///
/// # Safety
/// A structure that begins with its size; at whatever address.
unsafe fn size_of_version<T: Versioned>(pointer: *const T) -> Result<usize> {
    // SAFETY: the structure begins with its size, as the caller says, wherever it lies.
    let size = unsafe { pointer.cast::<usize>().read_unaligned() };
    let is_of_a_version = (T::FIRST..=MAX_SIZE).contains(&size) && size.is_multiple_of(align_of::<T>());
    if is_of_a_version { Ok(size) } else { Err(Errno::EINVAL) }
}

/// Reads options. NULL is as good as zeros, and so is what the program's version does not have. EINVAL
/// for a wrong size, and for members that are set and not known here: whoever set them must not believe
/// that they are obeyed.
///
/// # Safety
/// NULL, or a structure of the size that it says; at whatever address.
pub(super) unsafe fn read<T: Versioned>(pointer: *const T) -> Result<T> {
    let mut options = MaybeUninit::<T>::zeroed();
    if !pointer.is_null() {
        // SAFETY: not null, and a structure that begins with its size, as the caller says.
        let size = unsafe { size_of_version(pointer) }?;
        let (from, known) = (pointer.cast::<u8>(), size.min(size_of::<T>()));
        // SAFETY: the structure has the size that it says, and there is room for what is known of it.
        unsafe { ptr::copy_nonoverlapping(from, options.as_mut_ptr().cast(), known) };
        // SAFETY: as above.
        let unknown = unsafe { slice::from_raw_parts(from.wrapping_add(known), size - known) };
        if unknown.iter().any(|&byte| byte != 0) {
            return Err(Errno::EINVAL);
        }
    }
    // SAFETY: whatever it consists of is valid.
    Ok(unsafe { options.assume_init() })
}

/// Stores what a structure says that the program has given the size of: as much as its version has, and zeros in
/// what is not known here. EINVAL for NULL and a wrong size.
///
/// # Safety
/// NULL, or a structure of the size that it says, which can be written; at whatever address.
pub(super) unsafe fn write<T: Versioned>(pointer: *mut T, value: &T) -> Result<()> {
    if pointer.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: not null, and a structure that begins with its size, as the caller says.
    let size = unsafe { size_of_version(pointer.cast_const()) }?;
    // The size stays as it is.
    let (from, to) = (ptr::from_ref(value).cast::<u8>(), pointer.cast::<u8>());
    let (first, known) = (size_of::<usize>(), size.min(size_of::<T>()));
    // SAFETY: both have so many bytes, and they are not the same.
    unsafe { ptr::copy_nonoverlapping(from.wrapping_add(first), to.wrapping_add(first), known - first) };
    // SAFETY: the structure has the size that it says.
    unsafe { ptr::write_bytes(to.wrapping_add(known), 0, size - known) };
    Ok(())
}

/// An array of strings that ends with NULL; NULL in its place is an empty one.
pub(super) struct Strings<'a> {
    next: *const *const c_char,
    _strings: PhantomData<&'a [u8]>,
}

impl<'a> Strings<'a> {
    /// # Safety
    /// NULL, or such an array, that stays as it is for `'a`; at whatever address.
    pub(super) unsafe fn new(list: *const *const c_char) -> Strings<'a> {
        Strings { next: list, _strings: PhantomData }
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a CStr;

    fn next(&mut self) -> Option<&'a CStr> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: by the contract of `new`; the end was not reached.
        let string = unsafe { self.next.read_unaligned() };
        if string.is_null() {
            self.next = ptr::null();
            return None;
        }
        self.next = self.next.wrapping_add(1);
        // SAFETY: by the contract of `new`.
        Some(unsafe { CStr::from_ptr(string) })
    }
}
