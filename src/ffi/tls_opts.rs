//! TLS as it should be used.

use super::options::{self, Strings};
use super::tls_structs::{
    DILL_TLS_1_2, DILL_TLS_1_3, DILL_TLS_CLIENT_CERT_NEEDED, DILL_TLS_CLIENT_CERT_WANTED, DILL_TLS_NOVERIFY,
    TlsOpts, TlsServerOpts,
};
use super::ws_opts::not_allowed;
use super::{socket_call, strings};
use crate::error::Result;
use crate::memory::{try_push, try_vec};
use crate::tls::{self, ClientOptions, Clients, Pair, ServerOptions};
use core::ffi::{CStr, c_int};

/// The longest name of an application protocol (RFC 7301, 3.1), and how long their list may be.
const MAX_ALPN_NAME: usize = 255;
const MAX_ALPN_LIST: usize = 65535;

/// Makes a TLS client of a bytestream, and makes sure that the server is who it should be: its
/// certificate has to be valid, issued by an authority that is trusted, and made out to `opts->host`.
/// Otherwise as `tls_attach_client`. Files are read once, and again when they have changed. A session is
/// resumed with the same options and port.
///
/// Errors: EACCES (the certificate of either side is not accepted, or a file may not be read), EBADF,
/// ECANCELED, ECONNRESET, EFAULT (the system has no certificates to trust), EINVAL (NULL, wrong size, no host
/// though it is to be verified, no proper name, unknown flags or version, a file with something else in it, a
/// key that does not belong to its certificate), EIO, EISDIR, EMFILE, ENFILE, ENOENT and others of open() (a
/// file cannot be read), ENOMEM, EPROTO (no bytestream, or the handshake failed), ETIMEDOUT.
///
/// # Safety
/// The options can be read, or are NULL; what they point to are strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tls_attach_client_opts(s: c_int, opts: *const TlsOpts, deadline: i64) -> c_int {
    // SAFETY: the caller's options can be read, or are NULL, and stay as they are during the call.
    socket_call(|| tls::attach_client_verifying(s, || unsafe { read(opts) }, deadline))
}

/// Makes a TLS server of a bytestream: waits for a client's handshake, and returns the handle of a bytestream,
/// which the one below belongs to from then on. Files are read once for all connections with the same options,
/// and again when they have changed; if they are no good then, what was read before goes on, and `ws_errmsg`
/// tells. Clients get tickets, to resume their sessions. If the call fails, the bytestream is closed.
///
/// Errors: EACCES (the certificate of either side is not accepted, or a file may not be read), EBADF,
/// ECANCELED, ECONNRESET (also if the stream ends in the handshake), EINVAL (NULL, wrong size, no certificate,
/// or one without its key, unknown flags or version, flags and `client_ca_file` that do not go together, a file
/// with something else in it, a key that does not belong to its certificate), EIO, EISDIR, EMFILE, ENFILE,
/// ENOENT and others of open() (a file cannot be read), ENOMEM, EPROTO (no bytestream, or the handshake failed),
/// ETIMEDOUT.
///
/// # Safety
/// The options can be read, or are NULL; what they point to are strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tls_attach_server_opts(
    s: c_int,
    opts: *const TlsServerOpts,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's options can be read, or are NULL, and stay as they are during the call.
    socket_call(|| tls::attach_server(s, || unsafe { read_server(opts) }, deadline))
}

/// # Safety
/// NULL, or options that stay as they are for `'a`.
pub(super) unsafe fn read<'a>(opts: *const TlsOpts) -> Result<ClientOptions<'a>> {
    // SAFETY: the caller passes NULL, or options that say how large they are.
    let opts = unsafe { options::read(opts) }.map_err(|_| not_allowed("the size of struct tls_opts"))?;
    if opts.flags & !DILL_TLS_NOVERIFY != 0 {
        return Err(not_allowed("unknown flags for TLS"));
    }
    // SAFETY: the options hold NULL, or strings that stay for `'a`.
    let [cert, key, host, ca_file] = unsafe { strings([opts.cert, opts.key, opts.host, opts.ca_file]) };
    Ok(ClientOptions {
        host,
        port: None,
        ca_file,
        verify: opts.flags & DILL_TLS_NOVERIFY == 0,
        // SAFETY: the options hold NULL, or an array of strings that ends with NULL; all stay for `'a`.
        alpn: alpn(unsafe { Strings::new(opts.alpn) })?,
        cert: pair(cert, key)?,
        only_tls13: is_tls13(opts.min_version)?,
    })
}

/// # Safety
/// NULL, or options that stay as they are for `'a`.
unsafe fn read_server<'a>(opts: *const TlsServerOpts) -> Result<ServerOptions<'a>> {
    // SAFETY: the caller passes NULL, or options that say how large they are.
    let opts =
        unsafe { options::read(opts) }.map_err(|_| not_allowed("the size of struct tls_server_opts"))?;
    // SAFETY: the options hold NULL, or an array of strings that ends with NULL; all stay for `'a`.
    let mut files = unsafe { Strings::new(opts.certs) };
    let mut certs = Vec::new();
    while let Some(cert) = files.next() {
        if let Some(pair) = pair(Some(cert), files.next())? {
            try_push(&mut certs, pair)?;
        }
    }
    if certs.is_empty() {
        return Err(not_allowed("a server without a certificate"));
    }
    // SAFETY: the options hold NULL, or a string that stays for `'a`.
    let [ca_file] = unsafe { strings([opts.client_ca_file]) };
    let clients = match (opts.flags, ca_file) {
        (0, None) => None,
        (DILL_TLS_CLIENT_CERT_WANTED, Some(ca_file)) => Some(Clients { ca_file, needed: false }),
        (DILL_TLS_CLIENT_CERT_NEEDED, Some(ca_file)) => Some(Clients { ca_file, needed: true }),
        (0, Some(_)) => return Err(not_allowed("client_ca_file without TLS_CLIENT_CERT_WANTED or _NEEDED")),
        (DILL_TLS_CLIENT_CERT_WANTED | DILL_TLS_CLIENT_CERT_NEEDED, None) => {
            return Err(not_allowed("certificates of clients without client_ca_file"));
        }
        _ => return Err(not_allowed("unknown flags for TLS, or both TLS_CLIENT_CERT_WANTED and _NEEDED")),
    };
    Ok(ServerOptions {
        certs,
        clients,
        // SAFETY: the options hold NULL, or an array of strings that ends with NULL; all stay for `'a`.
        alpn: alpn(unsafe { Strings::new(opts.alpn) })?,
        only_tls13: is_tls13(opts.min_version)?,
        tickets: true,
    })
}

fn pair<'a>(cert: Option<&'a CStr>, key: Option<&'a CStr>) -> Result<Option<Pair<'a>>> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        _ => Err(not_allowed("a certificate without a key, or the other way round")),
    }
}

fn is_tls13(version: c_int) -> Result<bool> {
    match version {
        0 | DILL_TLS_1_2 => Ok(false),
        DILL_TLS_1_3 => Ok(true),
        _ => Err(not_allowed("min_version: TLS 1.2 and 1.3 are supported")),
    }
}

/// The names of protocols. EINVAL for one that cannot be told the peer.
fn alpn(list: Strings<'_>) -> Result<Vec<Vec<u8>>> {
    let (mut names, mut total) = (Vec::new(), 0);
    for name in list.map(CStr::to_bytes) {
        total += 1 + name.len();
        if !(1..=MAX_ALPN_NAME).contains(&name.len()) || total > MAX_ALPN_LIST {
            return Err(not_allowed("names of application protocols have 1 to 255 bytes"));
        }
        try_push(&mut names, try_vec(name)?)?;
    }
    Ok(names)
}
