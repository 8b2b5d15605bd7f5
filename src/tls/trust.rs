//! Whom a client believes.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "runs on the big stack, with memory in reserve"
)]
#![forbid(unsafe_code)]

use super::certificate;
use super::credentials::certificates;
use crate::error::{Errno, Result};
use core::ffi::CStr;
use core::result::Result as CoreResult;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, OnceLock};

/// Accepts every certificate, as libdill does: there is no name to compare it with. Nor does it
/// matter who signed the handshake, since anybody could have made this certificate and its key.
#[derive(Debug)]
pub(super) struct NoVerification;

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
pub(super) struct Trust {
    issued: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

/// Trust in the certificates of a PEM file. EFAULT if there are none.
pub(super) fn in_file(file: &CStr, provider: &Arc<CryptoProvider>) -> Result<Trust> {
    let listed = certificates(file)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(listed.iter().cloned());
    Ok(Trust { issued: verifier(Arc::new(roots), provider)?, listed })
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
    Ok(Trust { issued: verifier(roots, provider)?, listed: Vec::new() })
}

fn verifier(roots: Arc<RootCertStore>, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let builder = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
    builder.build().map_err(|_| Errno::EFAULT)
}

/// The validity and the name of a certificate that is trusted as it is.
fn verify_listed(
    cert: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> CoreResult<ServerCertVerified, Error> {
    let (first, last) = certificate::validity(cert).ok_or(CertificateError::BadEncoding)?;
    let now = now.as_secs();
    if now < first {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > last {
        return Err(CertificateError::Expired.into());
    }
    verify_server_name(&ParsedCertificate::try_from(cert)?, server_name)?;
    Ok(ServerCertVerified::assertion())
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
            return verify_listed(end_entity, server_name, now);
        }
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
