//! WebSocket: from a URL to a handle.

use super::ws_opts::{WsOpts, not_allowed, read_common, read_struct};
use super::{socket_call, texts};
use crate::dial::connect::{self, Dial};
use crate::error::{Errno, Result};
use crate::memory::try_box;
use crate::ws::options::WsOptions;
use core::ffi::{CStr, c_char, c_int};

/// Connects to a WebSocket: "ws://host/path", "wss://host:port/path?query", with options, which may be NULL.
/// Names are looked up without blocking the thread, all addresses are tried, TLS verifies the server, and
/// proxies that the environment names are used, all within one deadline. Returns the handle of the WebSocket.
///
/// Errors: EACCES (the server's certificate is not accepted, or a proxy forbids it), EADDRNOTAVAIL (the
/// name has no address), EAFNOSUPPORT, EAGAIN, EBADF, ECANCELED, ECONNREFUSED, ECONNRESET, EFAULT (the
/// system has no certificates to trust), EHOSTUNREACH, EINVAL (no URL of WebSocket, options that are wrong
/// or do not go together, or a file of TLS with something else in it), EIO, EISDIR, ELOOP (too many
/// redirects), EMFILE, ENAMETOOLONG (a path of more than 107 characters), ENETUNREACH, ENFILE, ENOENT (no such
/// path or file), ENOMEM, ENOTDIR, ENOTSUP (wss, and the library has no TLS), EPROTO (the server or a proxy
/// refused, see `ws_errstatus`, or does not speak WebSocket), ETIMEDOUT.
///
/// # Safety
/// The URL is a string, or NULL; so is what is in the options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_connect(url: *const c_char, opts: *const WsOpts, deadline: i64) -> c_int {
    socket_call(|| {
        // SAFETY: the caller passes options, or NULL.
        let opts = unsafe { keep_struct(opts) }?;
        // SAFETY: what the caller's options point to stays as it is during the call.
        let options = unsafe { keep_options(&opts) }?;
        // SAFETY: what the caller's options point to stays as it is during the call.
        unsafe { check_tls(&opts) }?;
        let redirects = u32::try_from(opts.redirects).map_err(|_| not_allowed("redirects below 0"))?;
        // SAFETY: strings of the caller's, or NULL, which stay for as long as the call lasts.
        let [url, proxy, connect_to] = unsafe { texts([url, opts.proxy, opts.connect_to]) };
        let dial = Dial {
            options: &options,
            // SAFETY: what the caller's options point to stays as it is during the call.
            secure: &|s, place, at_first, deadline| unsafe { secure(s, &opts, place, at_first, deadline) },
            proxy,
            connect_to,
            redirects,
        };
        connect::connect(url.ok_or(Errno::EINVAL)?, &dial, deadline)
    })
}

// What stays during the call is on the heap: below it run handshakes that take what a small stack has.

/// # Safety
/// NULL, or options.
#[inline(never)]
unsafe fn keep_struct(opts: *const WsOpts) -> Result<Box<WsOpts>> {
    // SAFETY: the caller passes NULL, or options.
    try_box(unsafe { read_struct(opts) }?)
}

/// # Safety
/// Options that stay as they are for `'a`.
#[inline(never)]
unsafe fn keep_options<'a>(opts: &WsOpts) -> Result<Box<WsOptions<'a>>> {
    // SAFETY: what they point to stays as it is for `'a`, as the caller says.
    let options = unsafe { read_common(opts) }?;
    if options.no_http {
        return Err(not_allowed("WS_NOHTTP, and a URL"));
    }
    try_box(options)
}

/// Whether the options of TLS are any good, before anything is sent. EINVAL, ENOMEM.
///
/// # Safety
/// The options that they point to stay as they are during the call.
#[cfg(feature = "tls")]
#[inline(never)]
unsafe fn check_tls(opts: &WsOpts) -> Result<()> {
    // SAFETY: the options for TLS stay as they are during the call, as the caller says.
    unsafe { super::tls_opts::read(opts.tls) }.map(drop)
}

/// # Safety
/// None.
#[cfg(not(feature = "tls"))]
unsafe fn check_tls(opts: &WsOpts) -> Result<()> {
    if opts.tls.is_null() { Ok(()) } else { Err(not_allowed("struct tls_opts, without TLS")) }
}

/// TLS as the options want it: the host is that of the URL, unless it is given for the first one, which alone is shown
/// our certificate.
///
/// # Safety
/// The options that they point to stay as they are during the call.
#[cfg(feature = "tls")]
#[inline(never)]
unsafe fn secure(
    s: c_int,
    opts: &WsOpts,
    (host, port): (&CStr, u16),
    at_first: bool,
    deadline: i64,
) -> Result<c_int> {
    let options = || {
        // SAFETY: the options for TLS stay as they are during the call, as the caller says.
        let mut options = unsafe { super::tls_opts::read(opts.tls) }?;
        options.host = options.host.filter(|_| at_first).or(Some(host));
        options.cert = options.cert.filter(|_| at_first);
        options.port = Some(port);
        if options.alpn.is_empty() {
            crate::memory::try_push(&mut options.alpn, crate::memory::try_vec(b"http/1.1")?)?;
        }
        Ok(options)
    };
    crate::tls::attach_client_verifying(s, options, deadline)
}

/// # Safety
/// None.
#[cfg(not(feature = "tls"))]
unsafe fn secure(s: c_int, _: &WsOpts, _: (&CStr, u16), _: bool, _: i64) -> Result<c_int> {
    Err(crate::sock::layer::close_and_fail(s, Errno::ENOTSUP))
}
