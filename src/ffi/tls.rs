//! TLS.

use super::types::TlsStorage;
use super::{not_null, socket_call, strings};
use crate::error::Result;
use crate::sock::layer::close_and_fail;
use crate::tls;
use core::ffi::{c_char, c_int};

/// Makes a TLS client of a bytestream: does the handshake and returns the handle of a bytestream, which
/// the one below belongs to from then on. If the call fails, the bytestream is closed.
///
/// WARNING: the server's certificate is not verified, not even looked at: whoever is on the way can read
/// and change everything. There is no host name in this call to compare it with. Use
/// `tls_attach_client_opts`.
///
/// Errors: EBADF, ECANCELED, ECONNRESET (also if the stream ends in the handshake), ENOMEM, EPROTO (no
/// bytestream, or the handshake failed), ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_tls_attach_client(s: c_int, deadline: i64) -> c_int {
    socket_call(|| tls::attach_client(s, deadline))
}

/// As `tls_attach_client`, with memory of the caller's, which must stay until the connection is closed
/// or detached.
///
/// Errors: those of `tls_attach_client`, and EINVAL (no memory given).
#[unsafe(no_mangle)]
pub extern "C" fn dill_tls_attach_client_mem(s: c_int, mem: *mut TlsStorage, deadline: i64) -> c_int {
    socket_call(|| {
        not_null(mem).map_err(|error| close_and_fail(s, error))?;
        tls::attach_client(s, deadline)
    })
}

/// Makes a TLS server of a bytestream: waits for a client's handshake, and returns the handle of a
/// bytestream, which the one below belongs to from then on. `cert` and `pkey` are the names of PEM files:
/// the server's certificate, followed by those that lead from it to an authority, and its private key.
/// They are read once, and again when they have changed; if they are no good then, those that were read before
/// go on. If the call fails, the bytestream is closed.
///
/// Errors: EBADF, ECANCELED, ECONNRESET (also if the stream ends in the handshake), EFAULT (a file cannot
/// be read, is no PEM file, or they do not belong together), ENOMEM, EPROTO (no bytestream, or the
/// handshake failed), ETIMEDOUT.
///
/// # Safety
/// Both are strings, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tls_attach_server(
    s: c_int,
    cert: *const c_char,
    pkey: *const c_char,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller passes strings, or NULL.
    socket_call(|| unsafe { attach_server(s, cert, pkey, deadline) })
}

/// As `tls_attach_server`, with memory of the caller's, which must stay until the connection is closed
/// or detached.
///
/// Errors: those of `tls_attach_server`, and EINVAL (no memory given).
///
/// # Safety
/// Both are strings, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tls_attach_server_mem(
    s: c_int,
    cert: *const c_char,
    pkey: *const c_char,
    mem: *mut TlsStorage,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        not_null(mem).map_err(|error| close_and_fail(s, error))?;
        // SAFETY: the caller passes strings, or NULL.
        unsafe { attach_server(s, cert, pkey, deadline) }
    })
}

unsafe fn attach_server(s: c_int, cert: *const c_char, pkey: *const c_char, deadline: i64) -> Result<c_int> {
    // SAFETY: both callers have them from theirs: strings, or NULL.
    let [cert, pkey] = unsafe { strings([cert, pkey]) };
    tls::attach_server_plain(s, cert, pkey, deadline)
}

/// Ends this side of a connection: the peer receives what was sent, and then EPIPE. Receiving goes on.
///
/// Errors: EBADF, EBUSY (another coroutine is sending), ECANCELED, ECONNRESET, ENOMEM, ENOTSUP, EPIPE
/// (already done), ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_tls_done(s: c_int, deadline: i64) -> c_int {
    socket_call(|| tls::done(s, deadline))
}

/// Ends a connection gracefully: ends this side as `tls_done` does, unless that was done, drops
/// what the peer still sends until it has ended its own side, and returns the bytestream below, which can
/// be used further. If the call fails, everything is closed, except after EBADF and ENOTSUP.
///
/// Errors: EBADF, EBUSY (another coroutine is using it), ECANCELED, ECONNRESET (also if anything failed
/// before), ENOMEM, ENOTSUP, EPROTO, ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_tls_detach(s: c_int, deadline: i64) -> c_int {
    socket_call(|| tls::detach(s, deadline))
}
