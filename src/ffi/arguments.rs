//! Arguments in memory of the caller's: strings, buffers, and places for results.

use super::not_null;
use crate::error::{Errno, Result};
use core::ffi::{CStr, c_char, c_void};
use core::slice;

/// Strings. None for one that is NULL.
///
/// # Safety
/// Each is null, or a string that stays as it is for `'a`.
pub(super) unsafe fn strings<'a, const N: usize>(pointers: [*const c_char; N]) -> [Option<&'a CStr>; N] {
    // SAFETY: not null, so a string that stays for `'a`, as the caller says.
    pointers.map(|pointer| (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }))
}

/// The bytes of strings. None for one that is NULL.
///
/// # Safety
/// Each is null, or a string that stays as it is for `'a`.
pub(super) unsafe fn texts<'a, const N: usize>(pointers: [*const c_char; N]) -> [Option<&'a [u8]>; N] {
    // SAFETY: null or strings, as the caller says.
    unsafe { strings(pointers) }.map(|string| string.map(CStr::to_bytes))
}

/// A string that must be there. EINVAL if NULL.
///
/// # Safety
/// Null, or a string that stays as it is for `'a`.
pub(super) unsafe fn string<'a>(pointer: *const c_char) -> Result<&'a CStr> {
    // SAFETY: null or a string, as the caller says.
    let [string] = unsafe { strings([pointer]) };
    string.ok_or(Errno::EINVAL)
}

/// A buffer to read from. None if it is NULL but not empty, or larger than memory.
///
/// # Safety
/// Null, or readable for `len` bytes for `'a`.
#[inline(always)]
pub(super) unsafe fn bytes<'a>(pointer: *const c_void, len: usize) -> Option<&'a [u8]> {
    if !pointer.is_null() && isize::try_from(len).is_ok() {
        // SAFETY: not null, so readable for `len` bytes, as the caller says; and no larger than any object.
        return Some(unsafe { slice::from_raw_parts(pointer.cast(), len) });
    }
    no_bytes(len)
}

/// The same for what is no buffer.
#[cold]
fn no_bytes<'a>(len: usize) -> Option<&'a [u8]> {
    (len == 0).then_some(&[])
}

/// A buffer to write to. None if NULL.
///
/// # Safety
/// Null, or writable for its length for `'a`, by nobody else.
#[inline(always)]
pub(super) unsafe fn room<'a>(pointer: *mut c_void, len: usize) -> Option<&'a mut [u8]> {
    not_null(pointer).ok()?;
    // SAFETY: not null, so writable by nobody else, as the caller says; no buffer is larger than half of the
    // address space.
    Some(unsafe { slice::from_raw_parts_mut(pointer.cast(), len.min(isize::MAX as usize)) })
}

/// Buffers for strings. None for one that is not wanted. EINVAL if one is NULL with a length.
///
/// # Safety
/// Each is null, or writable for its length for `'a`, by nobody else: they do not overlap.
pub(super) unsafe fn rooms<'a, const N: usize>(
    places: [(*mut c_char, usize); N],
) -> Result<[Option<&'a mut [u8]>; N]> {
    if places.iter().any(|&(pointer, len)| pointer.is_null() && len > 0) {
        return Err(Errno::EINVAL);
    }
    // SAFETY: null or writable by nobody else, as the caller says.
    Ok(places.map(|(pointer, len)| unsafe { room(pointer.cast(), len) }))
}

/// Stores a result where the caller asked for it; NULL means that it is not wanted.
///
/// # Safety
/// Null, or writable and aligned.
pub(super) unsafe fn store<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not null, so writable and aligned, as the caller says.
        unsafe { place.write(value) };
    }
}
