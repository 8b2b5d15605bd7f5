//! What is read from PEM files: certificates, and private keys.

// It runs on the big stack, with memory in reserve.
#![forbid(unsafe_code)]

use super::certificate;
use crate::error::{Errno, Result};
use crate::why::{self, Fact, Text};
use core::ffi::CStr;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The largest file that is read, in bytes. (The certificates that a system trusts take 250 KB.)
const MAX_FILE: u64 = 1024 * 1024;

/// All certificates in a PEM file, at least one. EINVAL, or why it cannot be read.
pub(super) fn certificates(file: &CStr) -> Result<Vec<CertificateDer<'static>>> {
    certificates_in(&read(file)?).ok_or_else(|| unusable(file, "no certificates in PEM"))
}

fn certificates_in(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<core::result::Result<_, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

/// Who we are: our certificate, with those that lead from it to a trusted one behind it, and the first
/// private key of a file. EINVAL if they cannot be used or do not belong together, or why a file cannot be read.
pub(super) fn load(cert: &CStr, key_file: &CStr, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let chain = certificates(cert)?;
    let pem = read(key_file)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let is_encrypted = pem.windows(9).any(|word| word == b"ENCRYPTED");
        unusable(key_file, if is_encrypted { "the key is encrypted" } else { "no private key in PEM" })
    })?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|_| unusable(key_file, "a private key of a kind that is not supported"))?;
    let certified = certificate::public_key(&chain[0]);
    let certified = certified.ok_or_else(|| unusable(cert, "the certificate is malformed"))?;
    if key.public_key().is_some_and(|own| own.as_ref() != certified) {
        return Err(unusable(key_file, "the key does not belong to the certificate"));
    }
    Ok(CertifiedKey::new(chain, key))
}

/// The errno of opening or reading it.
fn read(file: &CStr) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = File::open(path(file)).and_then(|opened| {
        let len = opened.metadata()?.len().min(MAX_FILE);
        bytes.try_reserve_exact(len as usize + 1).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        opened.take(MAX_FILE + 1).read_to_end(&mut bytes)
    });
    match opened {
        Ok(len) if len as u64 <= MAX_FILE => Ok(bytes),
        Ok(_) => Err(unusable(file, "it is larger than 1 MiB")),
        Err(error) => {
            let code = error.raw_os_error().unwrap_or(libc::ENOMEM);
            Err(why::note(Errno::from_code(code), Fact::Unreadable(Text::new(file.to_bytes()), code)))
        }
    }
}

pub(super) fn unusable(file: &CStr, rule: &'static str) -> Errno {
    why::note(Errno::EINVAL, Fact::File(Text::new(file.to_bytes()), rule))
}

pub(super) fn path(file: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(file.to_bytes()))
}
