//! WebSocket: options, and what a server may look at before it accepts.

use super::options::{self, Strings, Versioned};
use super::tls_structs::TlsOpts;
use super::{bytes, rooms, socket_call, texts};
use crate::error::{Errno, Result};
use crate::memory::try_push;
use crate::why::{self, Fact};
use crate::ws::handshake::header::Header;
use crate::ws::handshake::offer::Wishes;
use crate::ws::options::{Compression, Pings, WsOptions};
use crate::ws::sock::{self, request};
use core::ffi::{CStr, c_char, c_int, c_void};

/// The head of the peer is kept as long as the WebSocket lives, for `ws_field`.
pub const DILL_WS_KEEP_HEAD: c_int = 32;
/// Messages are compressed, if the peer can do that: permessage-deflate.
pub const DILL_WS_DEFLATE: c_int = 16;
/// When sending: this message is not compressed.
pub const DILL_WS_NODEFLATE: c_int = 64;
/// In ws_deflate: keep the window of our compressor between messages.
pub const DILL_WS_DEFLATE_CONTEXT: c_int = 1;
/// In ws_deflate: let the peer keep the window of its own.
pub const DILL_WS_DEFLATE_PEER_CONTEXT: c_int = 2;

const _: () = {
    assert!(DILL_WS_KEEP_HEAD == sock::KEEP_HEAD);
    assert!(DILL_WS_DEFLATE == sock::DEFLATE && DILL_WS_NODEFLATE == sock::NODEFLATE);
};

/// How messages are compressed: {.size = sizeof(struct ws_deflate), .level = 1}. 0 stands for the usual.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct WsDeflate {
    /// The size of this structure.
    pub size: usize,
    /// 1 (fast) to 9 (small).
    pub level: c_int,
    /// The window of our compressor: 8 to 15, that is 256 bytes to 32 KiB.
    pub window_bits: c_int,
    /// The window that the peer's compressor may have: 8 to 15.
    pub peer_window_bits: c_int,
    /// WS_DEFLATE_CONTEXT, WS_DEFLATE_PEER_CONTEXT.
    pub flags: c_int,
    /// Shorter messages are sent as they are.
    pub threshold: usize,
}

/// What is wanted of a WebSocket: {.size = sizeof(struct ws_opts), .flags = WS_TEXT}.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct WsOpts {
    /// The size of this structure.
    pub size: usize,
    /// WS_TEXT or WS_BINARY, WS_NOHTTP, WS_NOGATHER, WS_DEFLATE, WS_KEEP_HEAD.
    pub flags: c_int,
    /// A client: offered to the server, the preferred one first. A server: spoken, likewise.
    pub subprotocols: *const *const c_char,
    /// "Name: value": sent with our request or answer.
    pub headers: *const *const c_char,
    /// A client: the Origin to send.
    pub origin: *const c_char,
    /// A server: the origins that are accepted, such as "https://example.org" and "null"; an asterisk and a
    /// dot before the name of the host mean all below it. Who sends none is no browser, and accepted. NULL:
    /// everybody.
    pub origins: *const *const c_char,
    /// The longest message to receive. A longer one fails the connection with close code 1009. 0: the
    /// buffer of the caller is the only limit.
    pub max_message: u64,
    /// A ping when nothing came for so long, in ms. 0: none.
    pub ping_interval: i64,
    /// The peer is given up when nothing came for so long after that: ECONNRESET. 0: ping_interval.
    pub ping_timeout: i64,
    /// With WS_DEFLATE.
    pub deflate: *const WsDeflate,
    /// ws_connect only: for wss.
    pub tls: *const TlsOpts,
    /// ws_connect only: "http://user:password@host:port", "socks5://host:port". NULL: what the environment
    /// says. "": none.
    pub proxy: *const c_char,
    /// ws_connect only: "host:port" or "unix:/path" to connect to in place of the URL's.
    pub connect_to: *const c_char,
    /// ws_connect only: how many redirects are followed.
    pub redirects: c_int,
}

// SAFETY: pointers and integers.
unsafe impl Versioned for WsOpts {
    const FIRST: usize = 112;
}

// SAFETY: as above.
unsafe impl Versioned for WsDeflate {
    const FIRST: usize = size_of::<WsDeflate>();
}

/// As `ws_attach_client`, with options, which may be NULL. The answers to messages that came together leave
/// together, unless the flags have WS_NOGATHER. If the call fails, the bytestream is closed, except after
/// EBADF and ENOTSUP.
///
/// Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (NULL, control characters, options that are wrong or do not
/// go together), ENOMEM, ENOTSUP (no bytestream), EPIPE, EPROTO (the server refused, or does not speak
/// WebSocket), ETIMEDOUT.
///
/// # Safety
/// Both are strings, or NULL; so are those in the options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_attach_client_opts(
    s: c_int,
    resource: *const c_char,
    host: *const c_char,
    opts: *const WsOpts,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        sock::check_bytestream(s)?;
        // SAFETY: the caller's options stay as they are during the call, or are NULL.
        let options = unsafe { read(opts) }.map_err(|error| sock::close_and_fail(s, error))?;
        // SAFETY: the caller passes strings, or NULL.
        let [resource, host] = unsafe { texts([resource, host]) };
        sock::attach_client(s, resource, host, &options, deadline)
    })
}

/// Waits for a client's request and accepts it, with options, which may be NULL: `ws_recvrequest` and
/// `ws_accept` in one. If the call fails, the bytestream is closed, except after EBADF and ENOTSUP.
///
/// Errors: EACCES (the origin is not in the list), EBADF, ECANCELED, ECONNRESET, EINVAL (options that are
/// wrong or do not go together), ENOMEM, ENOTSUP (no bytestream), EPIPE (the stream ends before a request),
/// EPROTO (no proper request for a WebSocket), ETIMEDOUT.
///
/// # Safety
/// What is in the options are strings, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_attach_server_opts(s: c_int, opts: *const WsOpts, deadline: i64) -> c_int {
    // SAFETY: the caller's options stay as they are during the call, or are NULL.
    socket_call(|| request::attach_server(s, unsafe { read(opts) }, deadline))
}

/// Receives a request of HTTP, whatever it asks for, and returns a handle that stands for it; the
/// bytestream belongs to it from then on. `ws_accept` or `ws_reply` is the answer; `hclose` drops the
/// connection. A malformed request is answered with an HTTP error. If the call fails, the bytestream is
/// closed, except after EBADF and ENOTSUP.
///
/// Errors: EBADF, ECANCELED, ECONNRESET (the stream ends inside a request), ENOMEM, ENOTSUP (no bytestream),
/// EPIPE (the stream ends before a request, or the last answer ended it), EPROTO (malformed), ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_ws_recvrequest(s: c_int, deadline: i64) -> c_int {
    socket_call(|| request::receive(s, deadline))
}

/// 1 if a request asks for a WebSocket, be it in the right way or not, else 0, as for what is no request.
#[unsafe(no_mangle)]
pub extern "C" fn dill_ws_isupgrade(r: c_int) -> c_int {
    c_int::from(request::is_upgrade(r))
}

/// Stores a field of a request as a string, and returns its length: of one that has arrived, or, if
/// WS_KEEP_HEAD was among the flags, of the peer of a WebSocket. Names are in any case; ":method", ":path"
/// and ":authority" mean the request line and the host, ":status" that of a server's answer. Several fields
/// of one name are joined by commas (Cookie: semicolons; Set-Cookie: the first). NULL with length 0: only
/// the length is wanted.
///
/// Errors: EBADF, EINVAL (NULL), EMSGSIZE (it does not fit, with its NUL), ENOENT (no such field), ENOTSUP
/// (no request, and no WebSocket with a head).
///
/// # Safety
/// The name is a string or NULL; there is room for `len` bytes, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_field(
    h: c_int,
    name: *const c_char,
    buf: *mut c_char,
    len: usize,
) -> libc::ssize_t {
    socket_call(|| {
        request::check_head(h)?;
        // SAFETY: the caller passes a string, or NULL.
        let [name] = unsafe { texts([name]) };
        // SAFETY: the caller has room for so many bytes, or passes NULL.
        let place = unsafe { rooms([(buf, len)]) };
        let (name, [place]) = (name.ok_or(Errno::EINVAL)?, place?);
        request::field(h, name, place)
    })
}

/// Stores the name and the value of one of the fields as strings, and returns the value's length: `i` is
/// its place in the order in which they came, from 0. Otherwise as `ws_field`.
///
/// Errors: EBADF, EINVAL (NULL with a length), EMSGSIZE (one does not fit, with its NUL), ENOENT (there are
/// no more), ENOTSUP (no request, and no WebSocket with a head).
///
/// # Safety
/// There is room for so many bytes, or the pointers are NULL; the buffers do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_fieldat(
    h: c_int,
    i: usize,
    name: *mut c_char,
    namelen: usize,
    value: *mut c_char,
    valuelen: usize,
) -> libc::ssize_t {
    socket_call(|| {
        request::check_head(h)?;
        // SAFETY: the caller has room for so many bytes in both, or passes NULL, and they do not overlap.
        let [name, value] = unsafe { rooms([(name, namelen), (value, valuelen)]) }?;
        request::field_at(h, i, name, value)
    })
}

/// Makes a WebSocket of a request, with options, which may be NULL. A request that cannot be accepted is
/// answered with an HTTP error. If the call fails, the connection is closed, except after EBADF and ENOTSUP.
///
/// Errors: EACCES (the origin is not in the list), EBADF, ECANCELED, ECONNRESET, EINVAL (options that are
/// wrong or do not go together), ENOMEM, ENOTSUP (no request), EPROTO (no proper request for a WebSocket),
/// ETIMEDOUT.
///
/// # Safety
/// What is in the options are strings, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_accept(r: c_int, opts: *const WsOpts, deadline: i64) -> c_int {
    // SAFETY: the caller's options stay as they are during the call, or are NULL.
    let options = || match unsafe { read(opts) } {
        Ok(options) if options.no_http => {
            Err(why::note(Errno::EINVAL, Fact::Argument("WS_NOHTTP, and a request of HTTP")))
        }
        options => options,
    };
    socket_call(|| request::accept(r, options(), deadline))
}

/// Answers a request with something else than a WebSocket: a status from 200 to 599, headers of the form
/// "Name: value" in a list that ends with NULL, and a body; NULL if there are none. Returns the bytestream,
/// on which the next request may come. If the connection cannot go on, its sending half has ended. If the
/// call fails, the connection is closed, except after EBADF and ENOTSUP.
///
/// Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (a status, header or body that is not allowed, NULL with a
/// length), ENOMEM, ENOTSUP (no request), ETIMEDOUT.
///
/// # Safety
/// The headers are strings; the body has `len` bytes, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_reply(
    r: c_int,
    status: c_int,
    headers: *const *const c_char,
    body: *const c_void,
    len: usize,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        // SAFETY: the caller passes NULL, or an array of strings that ends with NULL.
        let headers = unsafe { read_headers(headers) };
        // SAFETY: the caller's buffer has `len` bytes, or is NULL.
        let body = unsafe { bytes(body, len) };
        request::reply(r, status, headers, body, deadline)
    })
}

/// Ends a WebSocket gracefully and closes everything: sends a close frame as `ws_done` does, unless
/// that was done, waits for the peer's, and then ends what is below, the server first. A coroutine that is
/// receiving goes on until it gets EPIPE; otherwise messages that still come are dropped. If the call fails,
/// everything is closed all the same, except after EBADF and ENOTSUP; the close frame leaves if it can.
///
/// Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (a code or reason that is not allowed, NULL with a length),
/// ENOMEM, ENOTSUP, EPROTO, ETIMEDOUT.
///
/// # Safety
/// The buffer has `len` bytes, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_close(
    s: c_int,
    status: c_int,
    reason: *const c_void,
    len: usize,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's buffer has `len` bytes, or is NULL.
    socket_call(|| sock::close(s, status, unsafe { bytes(reason, len) }, deadline))
}

/// Stores the subprotocol that was agreed on as a string, an empty one if there is none, and returns its
/// length. NULL with length 0: only the length is wanted.
///
/// Errors: EBADF, EINVAL (NULL with a length), EMSGSIZE (it does not fit, with its NUL), ENOTSUP.
///
/// # Safety
/// There is room for `len` bytes, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_subprotocol(s: c_int, buf: *mut c_char, len: usize) -> libc::ssize_t {
    socket_call(|| {
        super::ws::check(s)?;
        // SAFETY: the caller has room for so many bytes, or passes NULL.
        let [place] = unsafe { rooms([(buf, len)]) }?;
        request::agreed_subprotocol(s, place)
    })
}

pub(super) fn not_allowed(rule: &'static str) -> Errno {
    why::note(Errno::EINVAL, Fact::Argument(rule))
}

/// The options of a call that has a bytestream already. EINVAL, ENOMEM.
///
/// # Safety
/// NULL, or options that stay as they are for `'a`.
unsafe fn read<'a>(opts: *const WsOpts) -> Result<WsOptions<'a>> {
    // SAFETY: the caller passes NULL, or options.
    let opts = unsafe { read_struct(opts) }?;
    if !opts.tls.is_null() || !opts.proxy.is_null() || !opts.connect_to.is_null() || opts.redirects != 0 {
        return Err(not_allowed("tls, proxy, connect_to and redirects are for ws_connect only"));
    }
    // SAFETY: a copy of options that stay as they are for `'a`, as the caller says.
    unsafe { read_common(&opts) }
}

/// # Safety
/// NULL, or options.
#[inline(never)]
pub(super) unsafe fn read_struct(opts: *const WsOpts) -> Result<WsOpts> {
    // SAFETY: the caller passes NULL, or options that say how large they are.
    unsafe { options::read(opts) }
        .map_err(|_| not_allowed("the size of struct ws_opts, or a member of a later version"))
}

/// What all calls with options have in common.
///
/// # Safety
/// Options that stay as they are for `'a`.
#[inline(never)]
pub(super) unsafe fn read_common<'a>(opts: &WsOpts) -> Result<WsOptions<'a>> {
    let known = sock::TEXT | sock::NOHTTP | sock::NOGATHER | sock::GATHER | sock::KEEP_HEAD | sock::DEFLATE;
    if opts.flags & !known != 0 {
        return Err(not_allowed("unknown flags"));
    }
    let has = |flag| opts.flags & flag != 0;
    // SAFETY: the options hold NULL, or a string that stays for `'a`.
    let [origin] = unsafe { texts([opts.origin]) };
    let options = WsOptions {
        text: has(sock::TEXT),
        no_http: has(sock::NOHTTP),
        gathers: !has(sock::NOGATHER),
        keeps_head: has(sock::KEEP_HEAD),
        // SAFETY: the options hold NULL, or an array of strings that ends with NULL; all stay for `'a`.
        subprotocols: unsafe { read_list(opts.subprotocols) }?.unwrap_or_default(),
        // SAFETY: the options hold NULL, or an array of strings that ends with NULL; all stay for `'a`.
        headers: unsafe { read_headers(opts.headers) }?,
        origin,
        // SAFETY: the options hold NULL, or an array of strings that ends with NULL; all stay for `'a`.
        origins: unsafe { read_list(opts.origins) }?,
        max_message: Some(opts.max_message).filter(|max| *max > 0),
        // SAFETY: the options hold NULL, or a structure.
        compression: unsafe { read_deflate(opts.flags, opts.deflate) }?,
        pings: read_pings(opts.ping_interval, opts.ping_timeout)?,
        attends: true,
    };
    options.check().map_err(sock::note_argument)?;
    Ok(options)
}

/// Whether a silent peer is asked if it is there. EINVAL.
fn read_pings(interval: i64, timeout: i64) -> Result<Option<Pings>> {
    match (interval, timeout) {
        (0, 0) => Ok(None),
        (0, 1..) => Err(not_allowed("ping_timeout without ping_interval")),
        (1.., 0) => Ok(Some(Pings { interval, timeout: interval })),
        (1.., 1..) => Ok(Some(Pings { interval, timeout })),
        _ => Err(not_allowed("a negative ping_interval or ping_timeout")),
    }
}

/// How messages are compressed, if that is wanted. EINVAL.
///
/// # Safety
/// NULL, or a structure.
unsafe fn read_deflate(flags: c_int, deflate: *const WsDeflate) -> Result<Option<Compression>> {
    if flags & sock::DEFLATE == 0 {
        return if deflate.is_null() { Ok(None) } else { Err(not_allowed("deflate without WS_DEFLATE")) };
    }
    // SAFETY: the caller passes NULL, or a structure that says how large it is.
    let deflate = unsafe { options::read(deflate) }
        .map_err(|_| not_allowed("the size of struct ws_deflate, or a member of a later version"))?;
    if deflate.flags & !(DILL_WS_DEFLATE_CONTEXT | DILL_WS_DEFLATE_PEER_CONTEXT) != 0 {
        return Err(not_allowed("unknown flags in struct ws_deflate"));
    }
    let number = |value: c_int, least: u8, most: u8, rule| match u8::try_from(value) {
        Ok(0) => Ok(None),
        Ok(value) if (least..=most).contains(&value) => Ok(Some(value)),
        _ => Err(not_allowed(rule)),
    };
    let usual = Wishes::default();
    let rule = "RFC 7692, 7.1.2: window bits are 8 to 15";
    let wishes = Wishes {
        window_bits: number(deflate.window_bits, 8, 15, rule)?.unwrap_or(usual.window_bits),
        peer_window_bits: number(deflate.peer_window_bits, 8, 15, rule)?.unwrap_or(usual.peer_window_bits),
        context: deflate.flags & DILL_WS_DEFLATE_CONTEXT != 0,
        peer_context: deflate.flags & DILL_WS_DEFLATE_PEER_CONTEXT != 0,
    };
    let level = number(deflate.level, 1, 9, "the level of compression is 1 to 9")?;
    let threshold = Some(deflate.threshold).filter(|&threshold| threshold > 0);
    Ok(Some(Compression { wishes, level, threshold }))
}

/// # Safety
/// NULL, or an array of strings that ends with NULL and stays as it is for `'a`.
unsafe fn read_list<'a>(list: *const *const c_char) -> Result<Option<Vec<&'a [u8]>>> {
    if list.is_null() {
        return Ok(None);
    }
    let mut strings = Vec::new();
    // SAFETY: the caller passes NULL, or an array of strings that ends with NULL and stays for `'a`.
    for string in unsafe { Strings::new(list) }.map(CStr::to_bytes) {
        try_push(&mut strings, string)?;
    }
    Ok(Some(strings))
}

/// # Safety
/// As `read_list`.
unsafe fn read_headers<'a>(list: *const *const c_char) -> Result<Vec<Header<'a>>> {
    let mut headers = Vec::new();
    // SAFETY: the caller passes NULL, or an array of strings that ends with NULL and stays for `'a`.
    for string in unsafe { Strings::new(list) }.map(CStr::to_bytes) {
        try_push(&mut headers, Header::new(string).map_err(sock::note_argument)?)?;
    }
    Ok(headers)
}
