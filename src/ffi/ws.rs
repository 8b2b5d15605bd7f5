//! WebSocket.

use super::types::WsStorage;
use super::{bytes, not_null, room, rooms, socket_call, store, string, texts};
use crate::error::Result;
use crate::iol::{IoList, Pieces};
use crate::rt::object;
use crate::sock::receive_list;
use crate::ws::options::WsOptions;
use crate::ws::sock::{self, FastSend, Place, Ws};
use core::ffi::{c_char, c_int, c_void};
use core::ptr;

/// Binary messages.
pub const DILL_WS_BINARY: c_int = 0;
/// Text messages: UTF-8, which is checked when receiving.
pub const DILL_WS_TEXT: c_int = 1;
/// When attaching: no HTTP handshake, it was done otherwise.
pub const DILL_WS_NOHTTP: c_int = 2;
/// When attaching: every message leaves before the call that sends it returns. Without it, answers to
/// messages that came together leave together, at the latest when the thread waits or yields.
pub const DILL_WS_NOGATHER: c_int = 4;
/// When sending: more messages follow, this one may wait to leave together with them.
pub const DILL_WS_GATHER: c_int = 8;
/// The room that `ws_request_key` and `ws_response_key` need, in bytes.
pub const DILL_WS_KEY_SIZE: usize = 32;

const _: () = {
    assert!(DILL_WS_BINARY == sock::BINARY && DILL_WS_TEXT == sock::TEXT);
    assert!(DILL_WS_NOHTTP == sock::NOHTTP);
    assert!(DILL_WS_NOGATHER == sock::NOGATHER && DILL_WS_GATHER == sock::GATHER);
};

/// Makes a WebSocket of a bytestream, as a client: asks the server for `resource` (such as "/") on
/// `host` (such as "example.com:8080"). `flags` is WS_TEXT or WS_BINARY, the type of the messages of
/// `msend` and `mrecv`, perhaps with WS_NOHTTP or WS_NOGATHER. Returns the handle of the WebSocket,
/// which the bytestream belongs to from then on. If the call fails, the bytestream is closed.
///
/// Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (NULL, control characters, unknown flags), ENOMEM,
/// ENOTSUP (no bytestream), EPIPE, EPROTO (the server refused, or does not speak WebSocket), ETIMEDOUT.
///
/// # Safety
/// Both are strings, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_attach_client(
    s: c_int,
    flags: c_int,
    resource: *const c_char,
    host: *const c_char,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller passes strings, or NULL.
    socket_call(|| unsafe { attach_client(s, flags, resource, host, deadline) })
}

/// As `ws_attach_client`, with memory of the caller's, which must stay until the WebSocket is closed or
/// detached.
///
/// Errors: those of `ws_attach_client`, and EINVAL (no memory given).
///
/// # Safety
/// Both are strings, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_attach_client_mem(
    s: c_int,
    flags: c_int,
    resource: *const c_char,
    host: *const c_char,
    mem: *mut WsStorage,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        not_null(mem).map_err(|error| sock::close_and_fail(s, error))?;
        // SAFETY: the caller passes strings, or NULL.
        unsafe { attach_client(s, flags, resource, host, deadline) }
    })
}

/// Makes a WebSocket of a bytestream, as a server: waits for a client's request and accepts it. What
/// the client asked for is stored as strings in `resource` and `host`; NULL with length 0 if it is not
/// wanted. `flags` and the result are as for `ws_attach_client`. A request that cannot be accepted is
/// answered with an HTTP error. If the call fails, the bytestream is closed.
///
/// Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (NULL with a length, unknown flags), EMSGSIZE (a string
/// does not fit), ENOMEM, ENOTSUP (no bytestream), EPIPE, EPROTO (no proper request), ETIMEDOUT.
///
/// # Safety
/// The buffers have those lengths, or are NULL, and do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_attach_server(
    s: c_int,
    flags: c_int,
    resource: *mut c_char,
    resourcelen: usize,
    host: *mut c_char,
    hostlen: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's buffers have these lengths, or are NULL.
    socket_call(|| unsafe { attach_server(s, flags, (resource, resourcelen), (host, hostlen), deadline) })
}

/// As `ws_attach_server`, with memory of the caller's, which must stay until the WebSocket is closed or
/// detached.
///
/// Errors: those of `ws_attach_server`, and EINVAL (no memory given).
///
/// # Safety
/// The buffers have those lengths, or are NULL, and do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_attach_server_mem(
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
        not_null(mem).map_err(|error| sock::close_and_fail(s, error))?;
        // SAFETY: the caller's buffers have these lengths, or are NULL.
        unsafe { attach_server(s, flags, (resource, resourcelen), (host, hostlen), deadline) }
    })
}

/// Sends one message, or with WS_MORE a part of one. `flags` is WS_TEXT or WS_BINARY, perhaps with WS_GATHER;
/// WS_NOHTTP and WS_NOGATHER mean nothing here, so that the flags of the attaching call can be used. Text is sent as
/// it is: that it is UTF-8 is up to the caller. Several coroutines may send: their messages leave whole,
/// in the order of the calls.
///
/// Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (NULL, unknown flags), ENOMEM, ENOTSUP, EPIPE (after
/// `ws_done`), ETIMEDOUT. After ETIMEDOUT and ECANCELED the call may be repeated, unless a part of the
/// message had left: then ECONNRESET follows.
///
/// # Safety
/// The buffer has `len` bytes, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_send(
    s: c_int,
    flags: c_int,
    buf: *const c_void,
    len: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's buffer has `len` bytes, or is NULL.
    let sent = match unsafe { bytes(buf, len) } {
        Some(payload) => sock::send_at_once(s, flags, payload),
        None => FastSend::NotTaken,
    };
    match sent {
        FastSend::Done => 0,
        // SAFETY: this function's contract is the same.
        sent => unsafe { complete_send(sent, s, flags, buf, len, deadline) },
    }
}

/// # Safety
/// The buffer has `len` bytes, or is NULL.
#[inline(never)]
unsafe fn complete_send(
    sent: FastSend,
    s: c_int,
    flags: c_int,
    buf: *const c_void,
    len: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: the buffer is as `bytes` wants it, by this function's contract.
    let payload = unsafe { bytes(buf, len) };
    socket_call(|| sock::complete_send(sent, s, flags, payload, deadline))
}

/// As `ws_send`, from a list of buffers.
///
/// Errors: those of `ws_send`, EINVAL (malformed list), EMSGSIZE (more bytes than there can be).
///
/// # Safety
/// The list and its buffers can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_sendl(
    s: c_int,
    flags: c_int,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        check(s)?;
        // SAFETY: the caller's list and its buffers can be read, and stay until this returns.
        sock::send(s, flags, unsafe { Pieces::to_send(first, last) }?, deadline)
    })
}

/// Receives one message of at most `len` bytes and returns its size; NULL drops as many. `*flags`
/// becomes WS_TEXT or WS_BINARY, unless it is NULL. Pings are answered meanwhile. After a deadline
/// nothing is lost: the next call goes on where this one stopped.
///
/// Errors: EBADF, EBUSY (another coroutine is receiving), ECANCELED, ECONNRESET (the connection broke
/// without a close frame), EMSGSIZE (the message is longer; it is dropped), ENOMEM, ENOTSUP, EPIPE (the
/// peer sent a close frame, see `ws_status`), EPROTO (the peer broke the protocol), ETIMEDOUT.
///
/// # Safety
/// There is room for `len` bytes and for the flags, or the pointers are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_recv(
    s: c_int,
    flags: *mut c_int,
    buf: *mut c_void,
    len: usize,
    deadline: i64,
) -> libc::ssize_t {
    // SAFETY: the caller has room for `len` bytes, or passes NULL.
    let mut place = unsafe { place(buf, len) };
    if let Place::Buffer(buffer) = &mut place
        && let Some((kind, size)) = sock::recv_at_once(s, buffer)
    {
        // SAFETY: the caller has room for the flags, or passes NULL.
        unsafe { store(flags, kind) };
        return size as libc::ssize_t;
    }
    socket_call(|| {
        let (kind, size) = sock::recv_buffer(s, place, deadline)?;
        // SAFETY: the caller has room for the flags, or passes NULL.
        unsafe { store(flags, kind) };
        Ok(size)
    })
}

/// As `ws_recv`, into a list of buffers. NULL in place of a buffer drops bytes; NULL in place of the
/// list drops the message.
///
/// Errors: those of `ws_recv`, and EINVAL (malformed list).
///
/// # Safety
/// The list can be read and its buffers written; there is room for the flags, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_recvl(
    s: c_int,
    flags: *mut c_int,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> libc::ssize_t {
    socket_call(|| {
        check(s)?;
        // SAFETY: the caller's list can be read and its buffers written until this returns.
        let pieces = unsafe { receive_list(first, last) }?;
        let (kind, size) = sock::recv(s, pieces, deadline)?;
        // SAFETY: the caller has room for the flags, or passes NULL.
        unsafe { store(flags, kind) };
        Ok(size)
    })
}

/// Sends a close frame, after which nothing more can be sent; receiving goes on. `status` is a close
/// code, 1000 if nothing is wrong, or 0 for none; the reason is UTF-8 of at most 123 bytes.
///
/// Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (a code or reason that is not allowed, NULL with a
/// length), ENOMEM, ENOTSUP, EPIPE (already done), ETIMEDOUT.
///
/// # Safety
/// The buffer has `len` bytes, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_done(
    s: c_int,
    status: c_int,
    buf: *const c_void,
    len: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's buffer has `len` bytes, or is NULL.
    socket_call(|| sock::done(s, status, unsafe { bytes(buf, len) }, deadline))
}

/// Ends a WebSocket gracefully: sends a close frame as `ws_done` does, unless that was done,
/// drops messages until the peer's close frame, and returns the bytestream, which can be used further.
/// If the call fails, everything is closed, except after EBADF and ENOTSUP.
///
/// Errors: EBADF, EBUSY (another coroutine is receiving), ECANCELED, ECONNRESET, EINVAL (as `ws_done`),
/// ENOMEM, ENOTSUP, EPIPE (another coroutine sent the close frame meanwhile), EPROTO, ETIMEDOUT.
///
/// # Safety
/// The buffer has `len` bytes, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_detach(
    s: c_int,
    status: c_int,
    buf: *const c_void,
    len: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's buffer has `len` bytes, or is NULL.
    socket_call(|| sock::detach(s, status, unsafe { bytes(buf, len) }, deadline))
}

/// What the peer's close frame said: stores its code in `*status`, unless that is NULL, and its reason
/// in the buffer, without a NUL at the end, unless that is NULL with length 0. Returns the length of the
/// reason. The code is 0 if there was none.
///
/// Errors: EAGAIN (no close frame so far), EBADF, EINVAL (NULL with a length), EMSGSIZE (the reason is
/// longer), ENOMEM, ENOTSUP.
///
/// # Safety
/// There is room for `len` bytes and for the status, or the pointers are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_status(
    s: c_int,
    status: *mut c_int,
    buf: *mut c_void,
    len: usize,
) -> libc::ssize_t {
    socket_call(|| {
        check(s)?;
        // SAFETY: the caller has room for so many bytes, or passes NULL.
        let [place] = unsafe { rooms([(buf.cast(), len)]) }?;
        let (code, size) = sock::status(s, place)?;
        // SAFETY: the caller has room for the status, or passes NULL.
        unsafe { store(status, code) };
        Ok(size)
    })
}

/// Makes a random key for the request of a client that does the handshake itself: stores a string of 24
/// characters.
///
/// Errors: EINVAL (NULL), ENOMEM.
///
/// # Safety
/// There is room for WS_KEY_SIZE bytes, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_request_key(request_key: *mut c_char) -> c_int {
    socket_call(|| {
        not_null(request_key)?;
        let key = sock::request_key()?;
        // SAFETY: the caller has room for WS_KEY_SIZE bytes, which a key and its NUL are; not null, as was
        // checked above.
        unsafe { store_string(request_key, &key) };
        Ok(())
    })
}

/// The key that a server answers a client's key with: stores a string of 28 characters.
///
/// Errors: EINVAL (NULL), ENOMEM, EPROTO (the client's key is not the base64 of 16 bytes).
///
/// # Safety
/// The client's key is a string or NULL, and there is room for WS_KEY_SIZE bytes, or the pointer is
/// NULL. Both may be the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_response_key(
    request_key: *const c_char,
    response_key: *mut c_char,
) -> c_int {
    socket_call(|| {
        not_null(response_key)?;
        // SAFETY: the caller passes a string, or NULL.
        let key = sock::response_key(unsafe { string(request_key) }?.to_bytes())?;
        // SAFETY: the caller has room for WS_KEY_SIZE bytes, which a key and its NUL are; not null, as was
        // checked above.
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
    // SAFETY: both callers have them from theirs: strings, or NULL.
    let [resource, host] = unsafe { texts([resource, host]) };
    sock::attach_client(s, resource, host, &options(s, flags)?, deadline)
}

unsafe fn attach_server(
    s: c_int,
    flags: c_int,
    resource: (*mut c_char, usize),
    host: (*mut c_char, usize),
    deadline: i64,
) -> Result<c_int> {
    let options = options(s, flags)?;
    if options.no_http {
        // Without a handshake there is nothing to store.
        return sock::attach_server(s, None, None, &options, deadline);
    }
    // SAFETY: both callers have them from theirs: buffers of these lengths, or NULL, which do not overlap.
    let places = unsafe { rooms([resource, host]) };
    let [resource, host] = places.map_err(|error| sock::close_and_fail(s, error))?;
    sock::attach_server(s, resource, host, &options, deadline)
}

/// What the flags mean. Whatever is wrong closes the bytestream, and what is none, too.
fn options(s: c_int, flags: c_int) -> Result<WsOptions<'static>> {
    let options = sock::check_bytestream(s).and_then(|()| sock::options_of_flags(flags));
    options.map_err(|error| sock::close_and_fail(s, error))
}

/// Where a message of at most `len` bytes goes: NULL drops it.
///
/// # Safety
/// Null, or writable for its length for `'a`, by nobody else.
#[inline]
unsafe fn place<'a>(pointer: *mut c_void, len: usize) -> Place<'a> {
    // SAFETY: null, or writable by nobody else, as the caller says.
    match unsafe { room(pointer, len) } {
        Some(buffer) => Place::Buffer(buffer),
        // No message is longer.
        None => Place::Skip(len.min(isize::MAX as usize)),
    }
}

/// A bad handle comes before every other bad argument. EBADF, ENOTSUP.
pub(super) fn check(s: c_int) -> Result<()> {
    object::find::<Ws>(s).map(drop)
}

/// # Safety
/// There is room for the bytes and a NUL.
unsafe fn store_string(place: *mut c_char, string: &[u8]) {
    // SAFETY: the caller has room for the bytes and one more, and they are not its memory.
    unsafe { ptr::copy_nonoverlapping(string.as_ptr(), place.cast(), string.len()) };
    let end = place.wrapping_add(string.len());
    // SAFETY: the byte behind them, for which the caller has room too.
    unsafe { end.write(0) };
}
