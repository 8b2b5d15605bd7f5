//! What opens and seals records, with the keys that the handshake agreed on.

#![forbid(unsafe_code)]

use crate::error::{Errno, Result};
use rustls::crypto::cipher::{AeadKey, Iv, MessageDecrypter, MessageEncrypter};
use rustls::{ConnectionTrafficSecrets, SupportedCipherSuite, Tls12CipherSuite};

fn parts_of(secrets: ConnectionTrafficSecrets) -> Result<(AeadKey, Iv)> {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => Ok((key, iv)),
        _ => Err(Errno::EPROTO),
    }
}

/// How many bytes of the nonce are fixed: the others of TLS 1.2's AES-GCM are sent (RFC 5288, 3).
fn fixed_len(suite: &Tls12CipherSuite) -> usize {
    suite.aead_alg.key_block_shape().fixed_iv_len
}

pub(super) fn decrypter(
    suite: SupportedCipherSuite,
    secrets: ConnectionTrafficSecrets,
) -> Result<Box<dyn MessageDecrypter>> {
    let (key, iv) = parts_of(secrets)?;
    Ok(match suite {
        SupportedCipherSuite::Tls13(suite) => suite.aead_alg.decrypter(key, iv),
        SupportedCipherSuite::Tls12(suite) => suite.aead_alg.decrypter(key, &iv.as_ref()[..fixed_len(suite)]),
    })
}

pub(super) fn encrypter(
    suite: SupportedCipherSuite,
    secrets: ConnectionTrafficSecrets,
) -> Result<Box<dyn MessageEncrypter>> {
    let (key, iv) = parts_of(secrets)?;
    Ok(match suite {
        SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
        SupportedCipherSuite::Tls12(suite) => {
            let (fixed, explicit) = iv.as_ref().split_at(fixed_len(suite));
            suite.aead_alg.encrypter(key, fixed, explicit)
        }
    })
}
