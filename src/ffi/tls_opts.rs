//! TLS as it should be used.

use super::options::{self, Strings};
use super::socket_call;
use super::tls::optional;
use super::tls_structs::{DILL_TLS_NOVERIFY, TlsOpts};
use crate::error::{Errno, Result};
use crate::memory::{try_push, try_vec};
use crate::tls::{self, Options};
use core::ffi::{c_char, c_int};
use core::slice;

/// The longest name of an application protocol (RFC 7301, 3.1), and how long their list may be.
const MAX_ALPN_NAME: usize = 255;
const MAX_ALPN_LIST: usize = 65535;

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
    socket_call(|| tls::attach_client_verifying(s, unsafe { read(opts) }, deadline))
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
/// NULL, or options that stay as they are for `'a`.
pub(super) unsafe fn read<'a>(opts: *const TlsOpts) -> Result<Options<'a>> {
    // SAFETY: by contract.
    let opts = unsafe { options::read(opts) }?;
    if opts.flags & !DILL_TLS_NOVERIFY != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Options {
        // SAFETY: by contract.
        host: unsafe { optional(opts.host) },
        // SAFETY: by contract.
        ca_file: unsafe { optional(opts.ca_file) },
        verify: opts.flags & DILL_TLS_NOVERIFY == 0,
        // SAFETY: by contract.
        alpn: alpn(unsafe { Strings::new(opts.alpn) })?,
    })
}

/// The names of protocols. EINVAL for one that cannot be told the peer.
fn alpn(list: Strings<'_>) -> Result<Vec<Vec<u8>>> {
    let (mut names, mut total) = (Vec::new(), 0);
    for name in list {
        total += 1 + name.len();
        if !(1..=MAX_ALPN_NAME).contains(&name.len()) || total > MAX_ALPN_LIST {
            return Err(Errno::EINVAL);
        }
        try_push(&mut names, try_vec(name)?)?;
    }
    Ok(names)
}
