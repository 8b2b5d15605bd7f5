//! What the options of TLS look like. A WebSocket's name them too, whether there is TLS or not.

use super::options::Versioned;
use core::ffi::{c_char, c_int};

/// For `tls_opts`: the server's certificate is not verified.
pub const DILL_TLS_NOVERIFY: c_int = 1;
/// For `tls_server_opts`: clients are asked for a certificate. It has to be a good one, or none.
pub const DILL_TLS_CLIENT_CERT_WANTED: c_int = 2;
/// For `tls_server_opts`: nobody is accepted without a certificate.
pub const DILL_TLS_CLIENT_CERT_NEEDED: c_int = 4;

/// Versions of TLS: for `min_version`, and what `tls_info` says.
pub const DILL_TLS_1_2: c_int = 0x0303;
/// The one after that.
pub const DILL_TLS_1_3: c_int = 0x0304;

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
    /// PEM files of our own certificate, with those that lead from it to an authority behind it, and of its
    /// private key. NULL: the server gets none.
    pub cert: *const c_char,
    /// See `cert`.
    pub key: *const c_char,
    /// TLS_1_2 or TLS_1_3. 0: TLS_1_2.
    pub min_version: c_int,
}

// SAFETY: pointers and integers.
unsafe impl Versioned for TlsOpts {
    const FIRST: usize = 40;
}

/// What a server has to offer: {.size = sizeof(struct tls_server_opts), .certs = certs}.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TlsServerOpts {
    /// The size of this structure.
    pub size: usize,
    /// 0, TLS_CLIENT_CERT_WANTED or TLS_CLIENT_CERT_NEEDED.
    pub flags: c_int,
    /// PEM files: {"cert.pem", "key.pem", NULL}, and more such pairs. The first one is for clients that do not
    /// say which host they mean, or another one; the others are for the hosts that their certificates name.
    pub certs: *const *const c_char,
    /// A PEM file with the certificates to trust in clients: those of authorities, or the clients' own.
    pub client_ca_file: *const c_char,
    /// The application protocols, such as {"h2", "http/1.1", NULL}, the preferred one first. A client that
    /// offers others only is refused. NULL: none is agreed on.
    pub alpn: *const *const c_char,
    /// TLS_1_2 or TLS_1_3. 0: TLS_1_2.
    pub min_version: c_int,
}

// SAFETY: pointers and integers.
unsafe impl Versioned for TlsServerOpts {
    const FIRST: usize = 48;
}
