//! Who a server is: its certificate chain and its private key, from PEM files.

#![forbid(unsafe_code)]

use super::certificate;
use crate::error::{Errno, Result};
use core::ffi::CStr;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// All certificates in a PEM file, at least one. EFAULT.
pub(super) fn certificates(file: &CStr) -> Result<Vec<CertificateDer<'static>>> {
    let sections = CertificateDer::pem_file_iter(path(file)).map_err(|_| Errno::EFAULT)?;
    let certificates: core::result::Result<Vec<_>, _> = sections.collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(Errno::EFAULT),
    }
}

/// The certificate of a server, with those that lead from it to a trusted one behind it, and the
/// first private key of a file. EFAULT if there is none, or they do not belong together.
pub(super) fn load(cert: &CStr, key: &CStr, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let chain = certificates(cert)?;
    let key = PrivateKeyDer::from_pem_file(path(key)).map_err(|_| Errno::EFAULT)?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| Errno::EFAULT)?;
    let certified = certificate::public_key(&chain[0]).ok_or(Errno::EFAULT)?;
    if key.public_key().is_some_and(|own| own.as_ref() != certified) {
        return Err(Errno::EFAULT);
    }
    Ok(CertifiedKey::new(chain, key))
}

fn path(file: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(file.to_bytes()))
}
