//! TLS.

use super::types::TlsStorage;
use super::{not_null, socket_call, string};
use crate::error::{Errno, Result};
use crate::sock::layer::refuse;
use crate::tls::{self, Options};
use core::ffi::{CStr, c_char, c_int};
use core::slice;

/// For `tls_opts`: the server's certificate is not verified.
pub const DILL_TLS_NOVERIFY: c_int = 1;

/// The longest name of an application protocol (RFC 7301, 3.1), and how long their list may be.
const MOST_ALPN_NAME: usize = 255;
const MOST_ALPN_LIST: usize = 65535;

/// More than any version of `tls_opts` will ever have.
const MOST_OPTS: usize = 4096;

/// What a client wants of a server. Members that are 0 mean the usual. `size` is sizeof(struct tls_opts),
/// so that later versions can add members: { .size = sizeof(struct tls_opts), .host = "example.com" }.
#[repr(C)]
pub struct TlsOpts {
    /// The size of this structure.
    pub size: usize,
    /// The name or the literal address of the server, which its certificate must be made out to.
    pub host: *const c_char,
    /// A PEM file with the certificates to trust: those of authorities, or the server's own. NULL: those
    /// that the system trusts; SSL_CERT_FILE and SSL_CERT_DIR in the environment are obeyed.
    pub ca_file: *const c_char,
    /// The application protocols to offer, such as {"h2", "http/1.1", NULL}, the preferred one first.
    /// NULL: none.
    pub alpn: *const *const c_char,
    /// 0 or TLS_NOVERIFY.
    pub flags: c_int,
}

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
        not_null(mem).map_err(|error| refuse(s, error))?;
        tls::attach_client(s, deadline)
    })
}

/// Makes a TLS client of a bytestream, and makes sure that the server is who it should be: its
/// certificate has to be valid, issued by an authority that is trusted, and made out to `opts->host`.
/// Otherwise as `tls_attach_client`.
///
/// Errors: EACCES (the certificate is not accepted), EBADF, ECANCELED, ECONNRESET, EFAULT (no
/// certificates to trust can be read), EINVAL (NULL, wrong size, no host though it is to be verified, no
/// proper name, unknown flags), ENOMEM, EPROTO (no bytestream, or the handshake failed), ETIMEDOUT.
///
/// # Safety
/// The options can be read, or are NULL; what they point to are strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tls_attach_client_opts(s: c_int, opts: *const TlsOpts, deadline: i64) -> c_int {
    // SAFETY: by contract.
    socket_call(|| tls::attach_client_verifying(s, unsafe { options(opts) }, deadline))
}

/// Makes a TLS server of a bytestream: waits for a client's handshake, and returns the handle of a
/// bytestream, which the one below belongs to from then on. `cert` and `pkey` are the names of PEM files:
/// the server's certificate, followed by those that lead from it to an authority, and its private key.
/// If the call fails, the bytestream is closed.
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
    // SAFETY: by contract.
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
        not_null(mem).map_err(|error| refuse(s, error))?;
        // SAFETY: by contract.
        unsafe { attach_server(s, cert, pkey, deadline) }
    })
}

unsafe fn attach_server(s: c_int, cert: *const c_char, pkey: *const c_char, deadline: i64) -> Result<c_int> {
    // SAFETY: by contract.
    let cert = unsafe { optional(cert) };
    // SAFETY: by contract.
    let pkey = unsafe { optional(pkey) };
    tls::attach_server(s, cert, pkey, deadline)
}

/// Ends this side of a connection: the peer receives what was sent, and then EPIPE. Receiving goes on.
///
/// Errors: EBADF, EBUSY (another coroutine is sending), ECANCELED, ECONNRESET, ENOTSUP, EPIPE (already
/// done), ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_tls_done(s: c_int, deadline: i64) -> c_int {
    socket_call(|| tls::done(s, deadline))
}

/// Ends a connection in an orderly way: ends this side as `tls_done` does, unless that was done, drops
/// what the peer still sends until it has ended its own side, and returns the bytestream below, which can
/// be used further. If the call fails, everything is closed, except after EBADF and ENOTSUP.
///
/// Errors: EBADF, EBUSY (another coroutine is using it), ECANCELED, ECONNRESET (also if anything failed
/// before), ENOTSUP, EPROTO, ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_tls_detach(s: c_int, deadline: i64) -> c_int {
    socket_call(|| tls::detach(s, deadline))
}

/// Stores the name of the application protocol that was agreed on, as a string in a buffer of `len`
/// bytes; an empty one if there is none.
///
/// Errors: EBADF, EINVAL (NULL), EMSGSIZE (it does not fit; 256 bytes are always enough), ENOTSUP.
///
/// # Safety
/// There is room for `len` bytes, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tls_alpn(s: c_int, buf: *mut c_char, len: usize) -> c_int {
    socket_call(|| {
        // No buffer is larger than half of the address space.
        let len = len.min(isize::MAX as usize);
        // SAFETY: by contract, and not null.
        let place = (!buf.is_null()).then(|| unsafe { slice::from_raw_parts_mut(buf.cast(), len) });
        tls::alpn(s, place)
    })
}

/// # Safety
/// Null, or a string that stays as it is for `'a`.
unsafe fn optional<'a>(pointer: *const c_char) -> Option<&'a CStr> {
    // SAFETY: by contract.
    unsafe { string(pointer) }.ok()
}

/// # Safety
/// Null, or options that stay as they are for `'a`.
unsafe fn options<'a>(opts: *const TlsOpts) -> Result<Options<'a>> {
    not_null(opts)?;
    // SAFETY: by contract; every version begins with its size.
    let size = unsafe { opts.cast::<usize>().read() };
    let unknown = size.checked_sub(size_of::<TlsOpts>()).ok_or(Errno::EINVAL)?;
    if size > MOST_OPTS {
        return Err(Errno::EINVAL);
    }
    // SAFETY: the options have the size that they say.
    let unknown = unsafe { slice::from_raw_parts(opts.wrapping_add(1).cast::<u8>(), unknown) };
    // SAFETY: as above.
    let opts = unsafe { &*opts };
    // Whoever was compiled for a later version must not believe in what this one does not know.
    if unknown.iter().any(|&byte| byte != 0) || opts.flags & !DILL_TLS_NOVERIFY != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Options {
        // SAFETY: by contract.
        host: unsafe { optional(opts.host) },
        // SAFETY: by contract.
        ca_file: unsafe { optional(opts.ca_file) },
        verify: opts.flags & DILL_TLS_NOVERIFY == 0,
        // SAFETY: by contract.
        alpn: unsafe { names(opts.alpn) }?,
    })
}

/// # Safety
/// Null, or an array of strings that ends with null.
unsafe fn names(mut next: *const *const c_char) -> Result<Vec<Vec<u8>>> {
    let (mut names, mut total) = (Vec::new(), 0);
    // SAFETY: by contract.
    while let Some(&name) = unsafe { next.as_ref() } {
        // SAFETY: by contract.
        let Some(name) = (unsafe { optional(name) }) else { break };
        total += 1 + name.count_bytes();
        if !(1..=MOST_ALPN_NAME).contains(&name.count_bytes()) || total > MOST_ALPN_LIST {
            return Err(Errno::EINVAL);
        }
        names.push(name.to_bytes().to_vec());
        next = next.wrapping_add(1);
    }
    Ok(names)
}
