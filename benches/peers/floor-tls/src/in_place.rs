//! Records of TLS 1.3 with AES-128-GCM, in place.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

const HEADER: usize = 5;
const TAG: usize = 16;
const MAX_PLAINTEXT: usize = 1 << 14;
const APPLICATION_DATA: u8 = 23;

struct Direction {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Direction {
    fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Direction {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("another cipher") };
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap());
        Direction { key, iv: iv.as_ref().try_into().unwrap(), sequence }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, part) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= part;
        }
        self.sequence += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

pub struct Keys {
    rx: Direction,
    tx: Direction,
}

impl Keys {
    pub fn new(secrets: ExtractedSecrets) -> Keys {
        Keys { rx: Direction::new(secrets.rx), tx: Direction::new(secrets.tx) }
    }

    /// Opens the whole records; returns how much was taken in, and how much came out, at the front.
    pub fn open(&mut self, wire: &mut [u8]) -> Option<(usize, usize)> {
        let (mut used, mut plain) = (0, 0);
        while wire.len() - used >= HEADER {
            let len = usize::from(wire[used + 3]) << 8 | usize::from(wire[used + 4]);
            if wire.len() - used < HEADER + len {
                break;
            }
            let header: [u8; HEADER] = wire[used..used + HEADER].try_into().unwrap();
            let nonce = self.rx.nonce();
            let payload = &mut wire[used + HEADER..used + HEADER + len];
            let opened = self.rx.key.open_in_place(nonce, Aad::from(header), payload).ok()?;
            // Nobody pads here.
            let (&typ, content) = opened.split_last()?;
            if typ != APPLICATION_DATA {
                return None;
            }
            let len_plain = content.len();
            wire.copy_within(used + HEADER..used + HEADER + len_plain, plain);
            used += HEADER + len;
            plain += len_plain;
        }
        Some((used, plain))
    }

    pub fn seal(&mut self, mut plain: &[u8], wire: &mut Vec<u8>) -> Option<()> {
        while !plain.is_empty() {
            let (content, rest) = plain.split_at(plain.len().min(MAX_PLAINTEXT));
            plain = rest;
            let len = content.len() + 1 + TAG;
            let header = [APPLICATION_DATA, 3, 3, (len >> 8) as u8, len as u8];
            wire.extend_from_slice(&header);
            let start = wire.len();
            wire.extend_from_slice(content);
            wire.push(APPLICATION_DATA);
            let nonce = self.tx.nonce();
            let tag =
                self.tx.key.seal_in_place_separate_tag(nonce, Aad::from(header), &mut wire[start..]).ok()?;
            wire.extend_from_slice(tag.as_ref());
        }
        Some(())
    }
}
