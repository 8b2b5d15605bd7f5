//! What both sides of a connection have agreed on.

#![forbid(unsafe_code)]

use super::Tls;
use crate::error::{Errno, Result};
use crate::rt::object;
use core::cell::Ref;
use core::ffi::c_int;
use rustls::{ProtocolVersion, SupportedCipherSuite};

/// For as long as the connection lives.
pub(crate) struct NegotiatedTls {
    /// As on the wire: 0x0303 is TLS 1.2, 0x0304 is TLS 1.3.
    pub version: u16,
    /// A session was resumed.
    pub resumed: bool,
    /// The peer has shown a certificate that is trusted.
    pub verified: bool,
    /// The name of the cipher suite without "TLS_" in front.
    suite: &'static str,
    /// The protocol (ALPN, RFC 7301); empty: none.
    pub alpn: Vec<u8>,
    /// The host that the client has asked for; empty: none.
    pub sni: Vec<u8>,
    /// The certificates of the peer in DER, its own first.
    pub chain: Vec<Vec<u8>>,
}

impl NegotiatedTls {
    pub(super) fn new(suite: SupportedCipherSuite) -> NegotiatedTls {
        let version = match suite {
            SupportedCipherSuite::Tls13(_) => ProtocolVersion::TLSv1_3,
            SupportedCipherSuite::Tls12(_) => ProtocolVersion::TLSv1_2,
        };
        let name = suite.suite().as_str().unwrap_or_default();
        NegotiatedTls {
            version: u16::from(version),
            resumed: false,
            verified: false,
            suite: name.trim_start_matches("TLS13_").trim_start_matches("TLS_"),
            alpn: Vec::new(),
            sni: Vec::new(),
            chain: Vec::new(),
        }
    }

    /// The registered name of the cipher suite, in two parts.
    pub(crate) fn suite(&self) -> [&'static str; 2] {
        ["TLS_", self.suite]
    }
}

/// Looks at what was agreed on. EBADF, ENOTSUP.
pub(crate) fn with_negotiated<R>(s: c_int, look: impl FnOnce(&NegotiatedTls) -> Result<R>) -> Result<R> {
    let tls = object::find::<Tls>(s)?;
    let agreed = Ref::filter_map(tls.agreed.borrow(), Option::as_ref);
    agreed.map_err(|_| Errno::EBADF).and_then(|agreed| look(&agreed))
}
