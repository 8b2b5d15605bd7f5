//! Which of its certificates a server shows: one that is made out to the host that the client means (SNI,
//! RFC 6066, 3), with a key that it can deal with.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "runs on the big stack, with memory in reserve"
)]
#![forbid(unsafe_code)]

use super::certificate;
use super::config::Pair;
use super::credentials;
use crate::error::Result;
use core::cell::Cell;
use core::mem::ManuallyDrop;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

/// The longest name of a host (RFC 1035, 2.3.4).
const MAX_HOST: usize = 255;

thread_local! {
    /// The host that a client has just asked for: rustls tells it to whom it asks for a certificate, and no
    /// one else. It is taken as soon as rustls returns, so that nothing is left when the thread ends.
    static ASKED_FOR: Cell<ManuallyDrop<Vec<u8>>> = const { Cell::new(ManuallyDrop::new(Vec::new())) };
}

/// Takes the host that a client has asked for, if it has just done so, out to a place.
pub(super) fn take_asked_for(place: &mut Vec<u8>) {
    let host = ManuallyDrop::into_inner(ASKED_FOR.take());
    // It does so again after a HelloRetryRequest (RFC 8446, 4.1.2).
    if !host.is_empty() {
        *place = host;
    }
}

fn note_asked_for(host: &str) {
    let host = host.as_bytes()[..host.len().min(MAX_HOST)].to_vec();
    drop(ManuallyDrop::into_inner(ASKED_FOR.replace(ManuallyDrop::new(host))));
}

#[derive(Debug)]
pub(super) struct Chooser {
    /// At least one.
    certs: Vec<Arc<CertifiedKey>>,
    /// Which of them are made out to a host, in their order.
    by_host: HashMap<String, Vec<usize>>,
}

impl Chooser {
    /// The certificates of these files, of which there is at least one.
    pub(super) fn load(files: &[Pair<'_>], provider: &CryptoProvider) -> Result<Chooser> {
        let mut chooser = Chooser { certs: Vec::new(), by_host: HashMap::new() };
        for (cert, key) in files {
            let loaded = credentials::load(cert, key, provider)?;
            for host in certificate::hosts(&loaded.cert[0]) {
                chooser.by_host.entry(host).or_default().push(chooser.certs.len());
            }
            chooser.certs.push(Arc::new(loaded));
        }
        Ok(chooser)
    }

    fn choose(&self, host: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let candidates = host.and_then(|host| self.for_host(host)).unwrap_or(&[0]);
        let usable = candidates.iter().find(|&&index| self.certs[index].key.choose_scheme(schemes).is_some());
        self.certs.get(*usable.or_else(|| candidates.first())?)
    }

    /// Those that name the host, or else all at its place (RFC 6125, 6.4.3).
    fn for_host(&self, host: &str) -> Option<&[usize]> {
        let host = host.to_ascii_lowercase();
        let by_place = || self.by_host.get(&format!("*.{}", host.split_once('.')?.1));
        self.by_host.get(&host).or_else(by_place).map(Vec::as_slice)
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.server_name().inspect(|host| note_asked_for(host));
        self.choose(hello.server_name(), hello.signature_schemes()).cloned()
    }
}
