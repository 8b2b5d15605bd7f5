//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept`.

#![forbid(unsafe_code)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The length of `Sec-WebSocket-Key`: base64 of 16 bytes.
pub const KEY_LEN: usize = 24;
/// The length of `Sec-WebSocket-Accept`: base64 of a SHA-1 hash.
pub const ACCEPT_LEN: usize = 28;

/// RFC 6455, 1.3: what the key is hashed with.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The key for 16 random bytes.
pub fn encode_key(nonce: [u8; 16]) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    let encoded = STANDARD.encode_slice(nonce, &mut key);
    debug_assert_eq!(encoded, Ok(KEY_LEN));
    key
}

/// Whether a key is the base64 of exactly 16 bytes (RFC 6455, 4.2.1).
///
/// The 4 unused low bits of the last character are not checked (RFC 4648, 3.5): nobody decodes a key, and
/// other servers do not check them either.
pub fn is_valid_key(key: &[u8]) -> bool {
    match key.split_at_checked(KEY_LEN - 2) {
        Some((digits, padding)) => {
            padding == b"==" && digits.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        }
        None => false,
    }
}

/// The proof that a server has understood the key (RFC 6455, 4.2.2).
pub fn accept_key(key: &[u8]) -> [u8; ACCEPT_LEN] {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; ACCEPT_LEN];
    let encoded = STANDARD.encode_slice(hash, &mut accept);
    debug_assert_eq!(encoded, Ok(ACCEPT_LEN));
    accept
}
