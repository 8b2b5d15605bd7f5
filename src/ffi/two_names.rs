//! The bodies of the functions that have two names, `dill_ws_send` and `ws_send` for instance.
//!
//! Rust cannot give a function a second name. But the compiler makes one function of two that have the
//! same code, and exports both names with the same address. For that the code must be the same to the
//! letter, so that it is no more than a call of a function here, which is not inlined into either. Should
//! it cease to do so, both work all the same, and `abi/check` will tell.

use super::types::WsStorage;
use super::ws::DILL_WS_NOHTTP;
use super::{bytes, bytes_mut, not_null, socket_call, store, string};
use crate::error::{Errno, Result};
use crate::iol::{IoList, Pieces};
use crate::object;
use crate::sock::call::{self, one_element};
use crate::sock::receive_list;
use crate::ws::sock::{self, Small, Ws};
use core::ffi::{c_char, c_int, c_void};
use core::{ptr, slice};

/// # Safety
/// As `dill_msend`.
#[inline(never)]
pub(super) unsafe fn msend(s: c_int, buf: *const c_void, len: usize, deadline: i64) -> c_int {
    socket_call(|| {
        let mut element = one_element(buf.cast_mut(), len);
        let element = &raw mut element;
        // SAFETY: by contract; a sender only reads the bytes.
        unsafe { call::msendl(s, element, element, deadline) }
    })
}

/// # Safety
/// As `dill_mrecv`.
#[inline(never)]
pub(super) unsafe fn mrecv(s: c_int, buf: *mut c_void, len: usize, deadline: i64) -> libc::ssize_t {
    socket_call(|| {
        let mut element = one_element(buf, len);
        let element = &raw mut element;
        // SAFETY: by contract.
        unsafe { call::mrecvl(s, element, element, deadline) }
    })
}

/// # Safety
/// As `dill_msendl`.
#[inline(never)]
pub(super) unsafe fn msendl(s: c_int, first: *mut IoList, last: *mut IoList, deadline: i64) -> c_int {
    // SAFETY: by contract.
    socket_call(|| unsafe { call::msendl(s, first, last, deadline) })
}

/// # Safety
/// As `dill_mrecvl`.
#[inline(never)]
pub(super) unsafe fn mrecvl(s: c_int, first: *mut IoList, last: *mut IoList, deadline: i64) -> libc::ssize_t {
    // SAFETY: by contract.
    socket_call(|| unsafe { call::mrecvl(s, first, last, deadline) })
}

/// # Safety
/// As `dill_ws_attach_client`.
#[inline(never)]
pub(super) unsafe fn ws_attach_client(
    s: c_int,
    flags: c_int,
    resource: *const c_char,
    host: *const c_char,
    deadline: i64,
) -> c_int {
    // SAFETY: by contract.
    socket_call(|| unsafe { attach_client(s, flags, resource, host, deadline) })
}

/// # Safety
/// As `dill_ws_attach_client_mem`.
#[inline(never)]
pub(super) unsafe fn ws_attach_client_mem(
    s: c_int,
    flags: c_int,
    resource: *const c_char,
    host: *const c_char,
    mem: *mut WsStorage,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        not_null(mem).map_err(|error| sock::refuse(s, error))?;
        // SAFETY: by contract.
        unsafe { attach_client(s, flags, resource, host, deadline) }
    })
}

/// # Safety
/// As `dill_ws_attach_server`.
#[inline(never)]
pub(super) unsafe fn ws_attach_server(
    s: c_int,
    flags: c_int,
    resource: *mut c_char,
    resourcelen: usize,
    host: *mut c_char,
    hostlen: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: by contract.
    socket_call(|| unsafe { attach_server(s, flags, (resource, resourcelen), (host, hostlen), deadline) })
}

/// # Safety
/// As `dill_ws_attach_server_mem`.
#[inline(never)]
#[expect(clippy::too_many_arguments, reason = "the signature is part of the ABI")]
pub(super) unsafe fn ws_attach_server_mem(
    s: c_int,
    flags: c_int,
    resource: *mut c_char,
    resourcelen: usize,
    host: *mut c_char,
    hostlen: usize,
    mem: *mut WsStorage,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        not_null(mem).map_err(|error| sock::refuse(s, error))?;
        // SAFETY: by contract.
        unsafe { attach_server(s, flags, (resource, resourcelen), (host, hostlen), deadline) }
    })
}

/// # Safety
/// As `dill_ws_send`.
#[inline(never)]
pub(super) unsafe fn ws_send(s: c_int, flags: c_int, buf: *const c_void, len: usize, deadline: i64) -> c_int {
    // SAFETY: by contract.
    if let Some(payload) = unsafe { bytes(buf, len) } {
        match sock::send_small(s, flags, payload) {
            Small::Sent => return socket_call(|| Ok(())),
            Small::Begun(len) => return ws_send_rest(s, len, deadline),
            Small::Not => {}
        }
    }
    ws_send_by_itself(s, flags, buf, len, deadline)
}

#[cold]
fn ws_send_rest(s: c_int, len: usize, deadline: i64) -> c_int {
    socket_call(|| sock::send_rest(s, len, deadline))
}

#[inline(never)]
fn ws_send_by_itself(s: c_int, flags: c_int, buf: *const c_void, len: usize, deadline: i64) -> c_int {
    socket_call(|| {
        let element = one_element(buf.cast_mut(), len);
        sock::send(s, flags, Pieces::one(&element), deadline)
    })
}

/// # Safety
/// As `dill_ws_sendl`.
#[inline(never)]
pub(super) unsafe fn ws_sendl(
    s: c_int,
    flags: c_int,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        check(s)?;
        // SAFETY: by contract.
        sock::send(s, flags, unsafe { Pieces::to_send(first, last) }?, deadline)
    })
}

/// # Safety
/// As `dill_ws_recv`.
#[inline(never)]
pub(super) unsafe fn ws_recv(
    s: c_int,
    flags: *mut c_int,
    buf: *mut c_void,
    len: usize,
    deadline: i64,
) -> libc::ssize_t {
    // SAFETY: by contract.
    if let Some(place) = unsafe { bytes_mut(buf, len) }
        && let Some((kind, size)) = sock::recv_at_hand(s, place)
    {
        // SAFETY: by contract.
        unsafe { store(flags, kind) };
        return socket_call(|| Ok(size));
    }
    // SAFETY: by contract.
    unsafe { ws_recv_from_afar(s, flags, buf, len, deadline) }
}

/// # Safety
/// As `dill_ws_recv`.
#[inline(never)]
unsafe fn ws_recv_from_afar(
    s: c_int,
    flags: *mut c_int,
    buf: *mut c_void,
    len: usize,
    deadline: i64,
) -> libc::ssize_t {
    socket_call(|| {
        let element = one_element(buf, len);
        let (kind, size) = sock::recv(s, Some(Pieces::one(&element)), deadline)?;
        // SAFETY: by contract.
        unsafe { store(flags, kind) };
        Ok(size)
    })
}

/// # Safety
/// As `dill_ws_recvl`.
#[inline(never)]
pub(super) unsafe fn ws_recvl(
    s: c_int,
    flags: *mut c_int,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> libc::ssize_t {
    socket_call(|| {
        check(s)?;
        // SAFETY: by contract.
        let pieces = unsafe { receive_list(first, last) }?;
        let (kind, size) = sock::recv(s, pieces, deadline)?;
        // SAFETY: by contract.
        unsafe { store(flags, kind) };
        Ok(size)
    })
}

/// # Safety
/// As `dill_ws_done`.
#[inline(never)]
pub(super) unsafe fn ws_done(
    s: c_int,
    status: c_int,
    buf: *const c_void,
    len: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: by contract.
    socket_call(|| sock::done(s, status, unsafe { bytes(buf, len) }, deadline))
}

/// # Safety
/// As `dill_ws_detach`.
#[inline(never)]
pub(super) unsafe fn ws_detach(
    s: c_int,
    status: c_int,
    buf: *const c_void,
    len: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: by contract.
    socket_call(|| sock::detach(s, status, unsafe { bytes(buf, len) }, deadline))
}

/// # Safety
/// As `dill_ws_status`.
#[inline(never)]
pub(super) unsafe fn ws_status(s: c_int, status: *mut c_int, buf: *mut c_void, len: usize) -> libc::ssize_t {
    socket_call(|| {
        check(s)?;
        // SAFETY: by contract.
        let place = unsafe { place_for_text((buf.cast(), len)) }?;
        let (code, size) = sock::status(s, place)?;
        // SAFETY: by contract.
        unsafe { store(status, code) };
        Ok(size)
    })
}

/// # Safety
/// As `dill_ws_request_key`.
#[inline(never)]
pub(super) unsafe fn ws_request_key(request_key: *mut c_char) -> c_int {
    socket_call(|| {
        not_null(request_key)?;
        let key = sock::request_key()?;
        // SAFETY: by contract.
        unsafe { store_string(request_key, &key) };
        Ok(())
    })
}

/// # Safety
/// As `dill_ws_response_key`.
#[inline(never)]
pub(super) unsafe fn ws_response_key(request_key: *const c_char, response_key: *mut c_char) -> c_int {
    socket_call(|| {
        not_null(response_key)?;
        // SAFETY: by contract.
        let key = sock::response_key(unsafe { string(request_key) }?.to_bytes())?;
        // SAFETY: by contract.
        unsafe { store_string(response_key, &key) };
        Ok(())
    })
}

unsafe fn attach_client(
    s: c_int,
    flags: c_int,
    resource: *const c_char,
    host: *const c_char,
    deadline: i64,
) -> Result<c_int> {
    // SAFETY: by contract.
    let resource = unsafe { text(resource) };
    // SAFETY: by contract.
    let host = unsafe { text(host) };
    sock::attach_client(s, flags, resource, host, deadline)
}

unsafe fn attach_server(
    s: c_int,
    flags: c_int,
    resource: (*mut c_char, usize),
    host: (*mut c_char, usize),
    deadline: i64,
) -> Result<c_int> {
    if flags & DILL_WS_NOHTTP != 0 {
        // Without a handshake there is nothing to store.
        return sock::attach_server(s, flags, None, None, deadline);
    }
    // SAFETY: by contract.
    let resource = unsafe { place_for_text(resource) }.map_err(|error| sock::refuse(s, error))?;
    // SAFETY: by contract.
    let host = unsafe { place_for_text(host) }.map_err(|error| sock::refuse(s, error))?;
    sock::attach_server(s, flags, resource, host, deadline)
}

/// The bytes of a string. None if NULL.
///
/// # Safety
/// Null, or a string that stays as it is for `'a`.
unsafe fn text<'a>(pointer: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: by contract.
    unsafe { string(pointer) }.ok().map(core::ffi::CStr::to_bytes)
}

/// A buffer for a string. None if it is not wanted. EINVAL if NULL with a length.
///
/// # Safety
/// Null, or writable for its length for `'a`, by nobody else.
unsafe fn place_for_text<'a>((pointer, len): (*mut c_char, usize)) -> Result<Option<&'a mut [u8]>> {
    if pointer.is_null() {
        return if len == 0 { Ok(None) } else { Err(Errno::EINVAL) };
    }
    // No buffer is larger than half of the address space.
    let len = len.min(isize::MAX as usize);
    // SAFETY: by contract, and not null.
    Ok(Some(unsafe { slice::from_raw_parts_mut(pointer.cast(), len) }))
}

/// A bad handle comes before every other bad argument. EBADF, ENOTSUP.
fn check(s: c_int) -> Result<()> {
    object::find::<Ws>(s).map(drop)
}

/// # Safety
/// There is room for the bytes and a NUL.
unsafe fn store_string(place: *mut c_char, string: &[u8]) {
    // SAFETY: by contract.
    unsafe { ptr::copy_nonoverlapping(string.as_ptr(), place.cast(), string.len()) };
    let end = place.wrapping_add(string.len());
    // SAFETY: by contract.
    unsafe { end.write(0) };
}
