//! Allocation that can fail: a C caller gets ENOMEM where Rust would abort.

use crate::error::{Errno, Result};
use core::alloc::Layout;
use core::ffi::c_int;
use core::ptr;

/// `Box::new`, but ENOMEM when memory has run out.
pub(crate) fn try_box<T>(value: T) -> Result<Box<T>> {
    let place = allocate::<T>()?;
    // SAFETY: freshly allocated with the layout of a T.
    unsafe { place.write(value) };
    // SAFETY: allocated by the global allocator, and initialised.
    Ok(unsafe { Box::from_raw(place) })
}

/// Room for one.
#[inline]
fn allocate<T>() -> Result<*mut T> {
    const { assert!(size_of::<T>() > 0) };
    // SAFETY: the size is not zero.
    let place = unsafe { std::alloc::alloc(Layout::new::<T>()) }.cast::<T>();
    if place.is_null() { Err(Errno::ENOMEM) } else { Ok(place) }
}

/// The same for a value that is made in its place, as far as the compiler can.
#[inline]
pub(crate) fn try_box_with<T>(make: impl FnOnce() -> T) -> Result<Box<T>> {
    let place = allocate::<T>()?;
    // SAFETY: freshly allocated with the layout of a T.
    unsafe { place.write(make()) };
    // SAFETY: allocated by the global allocator, and initialised.
    Ok(unsafe { Box::from_raw(place) })
}

/// Pages of zeros, mapped with these flags besides. ENOMEM.
pub(crate) fn map(size: usize, flags: c_int) -> Result<*mut u8> {
    let (access, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags);
    // SAFETY: a fresh anonymous mapping touches nothing that exists.
    let memory = unsafe { libc::mmap(ptr::null_mut(), size, access, flags, -1, 0) };
    if memory == libc::MAP_FAILED { Err(Errno::ENOMEM) } else { Ok(memory.cast()) }
}

/// A copy on the heap, or ENOMEM.
pub(crate) fn try_vec(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    try_extend(&mut copy, bytes)?;
    Ok(copy)
}

/// Appends, or ENOMEM and nothing changed.
pub(crate) fn try_extend(to: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    to.try_reserve(bytes.len()).map_err(|_| Errno::ENOMEM)?;
    to.extend_from_slice(bytes);
    Ok(())
}

/// `push`, or ENOMEM and nothing changed.
pub(crate) fn try_push<T>(to: &mut Vec<T>, value: T) -> Result<()> {
    to.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    to.push(value);
    Ok(())
}
