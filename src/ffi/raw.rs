//! ELF symbols without the `dill_` prefix, for older binaries and other languages: in C the header's
//! macros do this. The names are few on purpose: in a preloaded library, `yield` or `now` would capture
//! the functions of others.
//!
//! Each is a plain call of the function that it is another name of.

use super::sock::{dill_mrecv, dill_mrecvl, dill_msend, dill_msendl};
use super::types::WsStorage;
use super::ws;
use crate::iol::IoList;
use core::ffi::{c_char, c_int, c_void};

/// `dill_msend`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msend(s: c_int, buf: *const c_void, len: usize, deadline: i64) -> c_int {
    // SAFETY: the contract of `dill_msend` is this function's too.
    unsafe { dill_msend(s, buf, len, deadline) }
}

/// `dill_mrecv`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mrecv(s: c_int, buf: *mut c_void, len: usize, deadline: i64) -> libc::ssize_t {
    // SAFETY: the contract of `dill_mrecv` is this function's too.
    unsafe { dill_mrecv(s, buf, len, deadline) }
}

/// `dill_msendl`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msendl(s: c_int, first: *mut IoList, last: *mut IoList, deadline: i64) -> c_int {
    // SAFETY: the contract of `dill_msendl` is this function's too.
    unsafe { dill_msendl(s, first, last, deadline) }
}

/// `dill_mrecvl`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mrecvl(
    s: c_int,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> libc::ssize_t {
    // SAFETY: the contract of `dill_mrecvl` is this function's too.
    unsafe { dill_mrecvl(s, first, last, deadline) }
}

/// `dill_ws_attach_client`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_attach_client(
    s: c_int,
    flags: c_int,
    resource: *const c_char,
    host: *const c_char,
    deadline: i64,
) -> c_int {
    // SAFETY: the contract of `dill_ws_attach_client` is this function's too.
    unsafe { ws::dill_ws_attach_client(s, flags, resource, host, deadline) }
}

/// `dill_ws_attach_client_mem`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_attach_client_mem(
    s: c_int,
    flags: c_int,
    resource: *const c_char,
    host: *const c_char,
    mem: *mut WsStorage,
    deadline: i64,
) -> c_int {
    // SAFETY: the contract of `dill_ws_attach_client_mem` is this function's too.
    unsafe { ws::dill_ws_attach_client_mem(s, flags, resource, host, mem, deadline) }
}

/// `dill_ws_attach_server`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_attach_server(
    s: c_int,
    flags: c_int,
    resource: *mut c_char,
    resourcelen: usize,
    host: *mut c_char,
    hostlen: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: the contract of `dill_ws_attach_server` is this function's too.
    unsafe { ws::dill_ws_attach_server(s, flags, resource, resourcelen, host, hostlen, deadline) }
}

/// `dill_ws_attach_server_mem`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_attach_server_mem(
    s: c_int,
    flags: c_int,
    resource: *mut c_char,
    resourcelen: usize,
    host: *mut c_char,
    hostlen: usize,
    mem: *mut WsStorage,
    deadline: i64,
) -> c_int {
    // SAFETY: the contract of `dill_ws_attach_server_mem` is this function's too.
    unsafe { ws::dill_ws_attach_server_mem(s, flags, resource, resourcelen, host, hostlen, mem, deadline) }
}

/// `dill_ws_send`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_send(
    s: c_int,
    flags: c_int,
    buf: *const c_void,
    len: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: the contract of `dill_ws_send` is this function's too.
    unsafe { ws::dill_ws_send(s, flags, buf, len, deadline) }
}

/// `dill_ws_sendl`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_sendl(
    s: c_int,
    flags: c_int,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> c_int {
    // SAFETY: the contract of `dill_ws_sendl` is this function's too.
    unsafe { ws::dill_ws_sendl(s, flags, first, last, deadline) }
}

/// `dill_ws_recv`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_recv(
    s: c_int,
    flags: *mut c_int,
    buf: *mut c_void,
    len: usize,
    deadline: i64,
) -> libc::ssize_t {
    // SAFETY: the contract of `dill_ws_recv` is this function's too.
    unsafe { ws::dill_ws_recv(s, flags, buf, len, deadline) }
}

/// `dill_ws_recvl`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_recvl(
    s: c_int,
    flags: *mut c_int,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> libc::ssize_t {
    // SAFETY: the contract of `dill_ws_recvl` is this function's too.
    unsafe { ws::dill_ws_recvl(s, flags, first, last, deadline) }
}

/// `dill_ws_done`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_done(
    s: c_int,
    status: c_int,
    buf: *const c_void,
    len: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: the contract of `dill_ws_done` is this function's too.
    unsafe { ws::dill_ws_done(s, status, buf, len, deadline) }
}

/// `dill_ws_detach`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_detach(
    s: c_int,
    status: c_int,
    buf: *const c_void,
    len: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: the contract of `dill_ws_detach` is this function's too.
    unsafe { ws::dill_ws_detach(s, status, buf, len, deadline) }
}

/// `dill_ws_status`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_status(
    s: c_int,
    status: *mut c_int,
    buf: *mut c_void,
    len: usize,
) -> libc::ssize_t {
    // SAFETY: the contract of `dill_ws_status` is this function's too.
    unsafe { ws::dill_ws_status(s, status, buf, len) }
}

/// `dill_ws_request_key`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_request_key(request_key: *mut c_char) -> c_int {
    // SAFETY: the contract of `dill_ws_request_key` is this function's too.
    unsafe { ws::dill_ws_request_key(request_key) }
}

/// `dill_ws_response_key`.
///
/// # Safety
/// As that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_response_key(request_key: *const c_char, response_key: *mut c_char) -> c_int {
    // SAFETY: the contract of `dill_ws_response_key` is this function's too.
    unsafe { ws::dill_ws_response_key(request_key, response_key) }
}
