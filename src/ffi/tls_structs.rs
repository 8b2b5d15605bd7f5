//! What the options of TLS look like. A WebSocket's name them too, whether there is TLS or not.

use super::options::Versioned;
use core::ffi::{c_char, c_int};

/// For `tls_opts`: the server's certificate is not verified.
pub const DILL_TLS_NOVERIFY: c_int = 1;

/// What a client wants of a server: {.size = sizeof(struct tls_opts), .host = "example.com"}.
#[derive(Clone, Copy)]
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

// SAFETY: pointers and integers.
unsafe impl Versioned for TlsOpts {
    const FIRST: usize = 40;
}
