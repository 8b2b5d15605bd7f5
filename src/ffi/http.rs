//! Headers of HTTP/1.

use super::types::HttpStorage;
use super::{room, rooms, socket_call, socket_call_clearing_errno, string, texts};
use crate::error::{Errno, Result};
use crate::http::{self, syntax};
use crate::sock::layer::close_and_fail;
use core::ffi::{c_char, c_int};

/// Makes ready to exchange headers of HTTP/1.1 on a bytestream, in either role: the start line first, then
/// the fields. Bodies are exchanged on the bytestream after `http_detach`. The bytestream belongs to the
/// returned handle from then on. If the call fails, the bytestream is closed.
///
/// Errors: EBADF, ECANCELED, ENOMEM, ENOTSUP (no bytestream).
#[unsafe(no_mangle)]
pub extern "C" fn dill_http_attach(s: c_int) -> c_int {
    socket_call(|| http::attach(s))
}

/// As `http_attach`, with memory of the caller's, which must stay until the handle is closed or
/// detached.
///
/// Errors: those of `http_attach`, and EINVAL (no memory given).
#[unsafe(no_mangle)]
pub extern "C" fn dill_http_attach_mem(s: c_int, mem: *mut HttpStorage) -> c_int {
    socket_call(|| {
        if mem.is_null() {
            return Err(close_and_fail(s, Errno::EINVAL));
        }
        http::attach(s)
    })
}

/// Sends the blank line that ends the header. Receiving goes on as before.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, ENOMEM, ENOTSUP, EPIPE (already done), ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_http_done(s: c_int, deadline: i64) -> c_int {
    socket_call(|| http::done(s, deadline))
}

/// Sends the blank line unless that was done, drops lines until the peer's blank line unless that has been
/// received, and returns the bytestream, just behind that line. If the call fails, everything is closed,
/// except after EBADF and ENOTSUP.
///
/// Errors: EBADF, EBUSY (a coroutine is sending or receiving), ECANCELED, ECONNRESET, ENOMEM, ENOTSUP,
/// ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_http_detach(s: c_int, deadline: i64) -> c_int {
    socket_call_clearing_errno(|| http::detach(s, deadline))
}

/// Sends a request line, such as `GET / HTTP/1.1`.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EINVAL (NULL, empty, white space, control characters),
/// ENOTSUP, EPIPE (this side is done), ETIMEDOUT.
///
/// # Safety
/// Both are strings, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_http_sendrequest(
    s: c_int,
    command: *const c_char,
    resource: *const c_char,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        // SAFETY: the caller passes strings, or NULL.
        let [command, resource] = unsafe { texts([command, resource]) };
        let (command, resource) = (command.ok_or(Errno::EINVAL)?, resource.ok_or(Errno::EINVAL)?);
        http::send_request(s, command, resource, deadline)
    })
}

/// Receives a request line. Both parts are strings; the lengths are those of the buffers. A blank line
/// that comes first is ignored.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET (also if the stream ends before the blank line), EINVAL
/// (NULL), EMSGSIZE (a part does not fit; the next call receives the next line), ENOMEM, ENOTSUP, EPIPE (a
/// blank line), EPROTO (no request of HTTP/1.0 or 1.1, or more than 64 KiB), ETIMEDOUT.
///
/// # Safety
/// The buffers have these lengths, or are NULL, and do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_http_recvrequest(
    s: c_int,
    command: *mut c_char,
    commandlen: usize,
    resource: *mut c_char,
    resourcelen: usize,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        // SAFETY: the caller's buffers have these lengths, or are NULL, and do not overlap.
        let [command, resource] = unsafe { rooms([(command, commandlen), (resource, resourcelen)]) }?;
        http::recv_request(s, part(command)?, part(resource)?, deadline)
    })
}

/// Sends a status line, such as `HTTP/1.1 404 Not found`. The reason may be empty.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EINVAL (NULL, a status not in 100 to 599, control
/// characters), ENOTSUP, EPIPE (this side is done), ETIMEDOUT.
///
/// # Safety
/// The reason is a string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_http_sendstatus(
    s: c_int,
    status: c_int,
    reason: *const c_char,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller passes a string, or NULL.
    socket_call(|| http::send_status(s, status, unsafe { string(reason) }?.to_bytes(), deadline))
}

/// Receives a status line and returns the status. The reason is a string; `reasonlen` is the length of the
/// buffer.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET (also if the stream ends before the blank line), EINVAL
/// (NULL), EMSGSIZE (the reason does not fit; the next call receives the next line), ENOMEM, ENOTSUP, EPIPE
/// (a blank line), EPROTO (no status of HTTP/1.0 or 1.1, or more than 64 KiB), ETIMEDOUT.
///
/// # Safety
/// The buffer has this length, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_http_recvstatus(
    s: c_int,
    reason: *mut c_char,
    reasonlen: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's buffer has this length, or is NULL.
    socket_call(|| http::recv_status(s, part(unsafe { room(reason.cast(), reasonlen) })?, deadline))
}

/// Sends a field, such as `Content-Type: text/html`. Spaces around the value are not sent.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EINVAL (NULL, control characters; a name that is empty or
/// has white space or separators in it), ENOTSUP, EPIPE (this side is done), EPROTO (an empty value),
/// ETIMEDOUT.
///
/// # Safety
/// Both are strings, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_http_sendfield(
    s: c_int,
    name: *const c_char,
    value: *const c_char,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        // SAFETY: the caller passes strings, or NULL.
        let [name, value] = unsafe { texts([name, value]) };
        http::send_field(s, name.ok_or(Errno::EINVAL)?, value.ok_or(Errno::EINVAL)?, deadline)
    })
}

/// Receives a field. Name and value are strings; the lengths are those of the buffers.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET (also if the stream ends before the blank line), EINVAL
/// (NULL), EMSGSIZE (a part does not fit; the next call receives the next line), ENOMEM, ENOTSUP, EPIPE
/// (there are no more fields), EPROTO (no field, or more than 64 KiB), ETIMEDOUT.
///
/// # Safety
/// The buffers have these lengths, or are NULL, and do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_http_recvfield(
    s: c_int,
    name: *mut c_char,
    namelen: usize,
    value: *mut c_char,
    valuelen: usize,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        // SAFETY: the caller's buffers have these lengths, or are NULL, and do not overlap.
        let [name, value] = unsafe { rooms([(name, namelen), (value, valuelen)]) }?;
        http::recv_field(s, part(name)?, part(value)?, deadline)
    })
}

/// As much of a buffer for a part of a line as can be of use. EINVAL if there is none.
fn part(place: Option<&mut [u8]>) -> Result<&mut [u8]> {
    let place = place.ok_or(Errno::EINVAL)?;
    let len = place.len().min(syntax::MAX_LINE + 1);
    Ok(&mut place[..len])
}
