//! Records opened and sealed in place, with the keys that the handshake agreed on (RFC 8446, 5.2 to 5.4;
//! RFC 5246, 6.2.3.3; RFC 5288; RFC 7905).

#![forbid(unsafe_code)]

use super::records::{HEADER, MAX_PLAINTEXT};
use crate::error::{Errno, Result};
use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use rustls::{ConnectionTrafficSecrets, SupportedCipherSuite};

/// Types of content (RFC 8446, 5.1).
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// What a record has to authenticate it.
const TAG: usize = 16;
/// The number of a record.
const SEQUENCE: usize = size_of::<u64>();
/// The part of the nonce that TLS 1.2's AES-GCM sends with every record (RFC 5288, 3), as long as the number.
const EXPLICIT: usize = SEQUENCE;
/// The most that a record has around its content.
pub(super) const OVERHEAD: usize = HEADER + EXPLICIT + TAG;

/// The key of one direction.
pub(super) struct Cipher {
    key: LessSafeKey,
    /// The part of the nonce that stays as it is, and what the number of a record is mixed with.
    iv: [u8; NONCE_LEN - SEQUENCE],
    pub(super) iv_end: u64,
    /// The type stands behind the content, not in the header.
    is_tls13: bool,
    /// How much of the nonce stands before the content: all of `EXPLICIT` or nothing.
    explicit: usize,
}

/// Why a record is rejected.
pub(super) enum Rejected {
    /// It is not what the peer has sealed.
    Forged,
    /// There is more in it than a record may have.
    TooLong,
    /// It has no type, or it was not sealed at all.
    NoType,
}

impl Cipher {
    /// Of what the handshake, or a new key, has come to.
    pub(super) fn new(suite: SupportedCipherSuite, secrets: &ConnectionTrafficSecrets) -> Result<Cipher> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Errno::EPROTO),
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| Errno::EPROTO)?;
        let (is_tls13, explicit) = match suite {
            SupportedCipherSuite::Tls13(_) => (true, 0),
            SupportedCipherSuite::Tls12(suite) => {
                (false, suite.aead_alg.key_block_shape().explicit_nonce_len)
            }
        };
        let parts = iv.as_ref().split_first_chunk().zip(iv.as_ref().last_chunk());
        let ((iv, _), iv_end) = parts.ok_or(Errno::EPROTO)?;
        let iv_end = u64::from_be_bytes(*iv_end);
        Ok(Cipher { key: LessSafeKey::new(key), iv: *iv, iv_end, is_tls13, explicit })
    }

    /// The nonce of a record that we seal (RFC 8446, 5.3). TLS 1.2's AES-GCM may have any that does not repeat.
    fn nonce(&self, sequence: u64) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        let (front, end) = nonce.split_at_mut(NONCE_LEN - SEQUENCE);
        front.copy_from_slice(&self.iv);
        end.copy_from_slice(&(self.iv_end ^ sequence).to_be_bytes());
        nonce
    }

    /// Which part of what `authenticated` makes is: TLS 1.3 has the header only (RFC 8446, 5.2).
    fn authenticated_from(&self) -> usize {
        if self.is_tls13 { SEQUENCE } else { 0 }
    }

    /// Opens the record that begins at `at` and ends with `wire`, and moves the content to the front. Returns its
    /// type and its length.
    pub(super) fn open(
        &self,
        sequence: u64,
        wire: &mut [u8],
        at: usize,
    ) -> core::result::Result<(u8, usize), Rejected> {
        let (typ, start) = (wire[at], at + HEADER + self.explicit);
        // RFC 8446, 5.2: whatever is sealed passes for application data.
        if self.is_tls13 && typ != APPLICATION_DATA {
            return Err(Rejected::NoType);
        }
        let Some(len) = wire.len().checked_sub(start + TAG) else { return Err(Rejected::Forged) };
        let mut nonce = self.nonce(sequence);
        nonce[NONCE_LEN - self.explicit..].copy_from_slice(&wire[at + HEADER..start]);
        let aad = authenticated(sequence, typ, if self.is_tls13 { len + TAG } else { len });
        let aad = Aad::from(&aad[self.authenticated_from()..]);
        let opened = self.key.open_within(Nonce::assume_unique_for_key(nonce), aad, wire, start..);
        let content = opened.map_err(|_| Rejected::Forged)?;
        if content.len() > MAX_PLAINTEXT + usize::from(self.is_tls13) {
            return Err(Rejected::TooLong);
        }
        if !self.is_tls13 {
            return Ok((typ, content.len()));
        }
        // RFC 8446, 5.4: zeros may follow the type.
        let end = content.iter().rposition(|&byte| byte != 0).ok_or(Rejected::NoType)?;
        Ok((content[end], end))
    }

    /// Seals a record behind what `wire` holds, where there is room for it: `put` appends its content.
    pub(super) fn seal(
        &self,
        sequence: u64,
        typ: u8,
        wire: &mut Vec<u8>,
        put: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        let (at, nonce) = (wire.len(), self.nonce(sequence));
        wire.extend_from_slice(&[0; HEADER]);
        wire.extend_from_slice(&nonce[NONCE_LEN - self.explicit..]);
        let start = wire.len();
        put(wire);
        let len = wire.len() - start;
        if self.is_tls13 {
            wire.push(typ);
        }
        let typ = if self.is_tls13 { APPLICATION_DATA } else { typ };
        let rest = wire.len() + TAG - at - HEADER;
        wire[at..at + HEADER].copy_from_slice(&header(typ, rest));
        let aad = authenticated(sequence, typ, if self.is_tls13 { rest } else { len });
        let aad = Aad::from(&aad[self.authenticated_from()..]);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, aad, &mut wire[start..]);
        wire.extend_from_slice(tag.map_err(|_| Errno::ECONNRESET)?.as_ref());
        Ok(())
    }
}

/// With the version of TLS 1.2, whatever it is (RFC 8446, 5.1).
fn header(typ: u8, len: usize) -> [u8; HEADER] {
    [typ, 3, 3, (len >> 8) as u8, len as u8]
}

/// What is authenticated besides the content (RFC 5246, 6.2.3.3).
fn authenticated(sequence: u64, typ: u8, len: usize) -> [u8; SEQUENCE + HEADER] {
    let mut data = [0; SEQUENCE + HEADER];
    data[..SEQUENCE].copy_from_slice(&sequence.to_be_bytes());
    data[SEQUENCE..].copy_from_slice(&header(typ, len));
    data
}
