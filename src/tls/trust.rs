//! Whom a client believes, and a server.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "runs on the big stack, with memory in reserve"
)]
#![forbid(unsafe_code)]

use super::certificate;
use super::credentials::{certificates, unusable};
use crate::error::{Errno, Result};
use crate::why::{self, Fact, Text};
use core::ffi::CStr;
use core::result::Result as CoreResult;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use std::sync::{Arc, OnceLock};

/// The longest chain that is looked at. (Java has this limit, too.) Each certificate in it may cost a signature to
/// verify: with P-384, a millisecond, in which no other coroutine runs.
const MAX_CHAIN: usize = 10;

/// Accepts every certificate, as libdill does: there is no name to compare it with. Nor does it
/// matter who signed the handshake, since anybody could have made this certificate and its key.
#[derive(Debug)]
pub(crate) struct NoVerification;

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> CoreResult<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> CoreResult<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> CoreResult<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
        ]
    }
}

/// Accepts the certificates of the host that were issued by a trusted one, or are listed
/// themselves: a self-signed certificate is trusted by naming it.
#[derive(Debug)]
pub(crate) struct Trust {
    issued: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

/// Trust in the certificates of a PEM file. EINVAL, or why it cannot be read.
pub(super) fn in_file(file: &CStr, provider: &Arc<CryptoProvider>) -> Result<Trust> {
    let (listed, roots) = authorities(file)?;
    let issued = verifier(roots, provider).ok_or_else(|| unusable(file, "no certificate of an authority"))?;
    Ok(Trust { issued, listed })
}

/// The certificates of a PEM file, and those of them that can have issued others.
fn authorities(file: &CStr) -> Result<(Vec<CertificateDer<'static>>, Arc<RootCertStore>)> {
    let listed = certificates(file)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(listed.iter().cloned());
    Ok((listed, Arc::new(roots)))
}

/// Trust in what the system trusts, as of the first time that this process asks. EFAULT if that is
/// nobody.
pub(super) fn in_system(provider: &Arc<CryptoProvider>) -> Result<Trust> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = match SYSTEM.get() {
        Some(roots) => roots.clone(),
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let roots = Arc::new(roots);
            if !roots.is_empty() {
                // Another thread may have been faster.
                let _ = SYSTEM.set(roots.clone());
            }
            roots
        }
    };
    let none = || {
        let problem = "the system has no certificates to trust";
        why::note(Errno::EFAULT, Fact::Tls(Text::new(problem.as_bytes())))
    };
    Ok(Trust { issued: verifier(roots, provider).ok_or_else(none)?, listed: Vec::new() })
}

fn verifier(roots: Arc<RootCertStore>, provider: &Arc<CryptoProvider>) -> Option<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build().ok()
}

/// The validity of a certificate that is trusted as it is.
fn check_validity(cert: &CertificateDer<'_>, time: UnixTime) -> CoreResult<(), Error> {
    let (first, last) = certificate::validity(cert).ok_or(CertificateError::BadEncoding)?;
    let at = |seconds| UnixTime::since_unix_epoch(core::time::Duration::from_secs(seconds));
    if time.as_secs() < first {
        return Err(CertificateError::NotValidYetContext { time, not_before: at(first) }.into());
    }
    if time.as_secs() > last {
        return Err(CertificateError::ExpiredContext { time, not_after: at(last) }.into());
    }
    Ok(())
}

/// Refuses a chain that is too long.
fn check_length(intermediates: &[CertificateDer<'_>]) -> CoreResult<(), Error> {
    if intermediates.len() < MAX_CHAIN {
        return Ok(());
    }
    Err(CertificateError::ApplicationVerificationFailure.into())
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> CoreResult<ServerCertVerified, Error> {
        if self.listed.contains(end_entity) {
            check_validity(end_entity, now)?;
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        check_length(intermediates)?;
        self.issued.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> CoreResult<HandshakeSignatureValid, Error> {
        self.issued.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> CoreResult<HandshakeSignatureValid, Error> {
        self.issued.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}

/// Accepts the certificates of clients in the same way.
#[derive(Debug)]
pub(super) struct ClientTrust {
    issued: Arc<dyn ClientCertVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

/// Trust in the certificates of a PEM file. Whoever has none is accepted unless it is `needed`. EINVAL, or why
/// the file cannot be read.
pub(super) fn of_clients(
    file: &CStr,
    needed: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>> {
    let (listed, roots) = authorities(file)?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    if !needed {
        builder = builder.allow_unauthenticated();
    }
    let issued = builder.build().map_err(|_| unusable(file, "no certificate of an authority"))?;
    Ok(Arc::new(ClientTrust { issued, listed }))
}

impl ClientCertVerifier for ClientTrust {
    fn client_auth_mandatory(&self) -> bool {
        self.issued.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.issued.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> CoreResult<ClientCertVerified, Error> {
        if self.listed.contains(end_entity) {
            return check_validity(end_entity, now).map(|()| ClientCertVerified::assertion());
        }
        check_length(intermediates)?;
        self.issued.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> CoreResult<HandshakeSignatureValid, Error> {
        self.issued.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> CoreResult<HandshakeSignatureValid, Error> {
        self.issued.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}
