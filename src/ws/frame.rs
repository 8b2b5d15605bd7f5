//! The frame header of RFC 6455, 5.2: its vocabulary, its encoder, and a peek at a buffer.

#![forbid(unsafe_code)]

/// The longest header: two bytes, a 64-bit length and a masking key.
pub(crate) const MAX_HEADER: usize = 14;

/// RFC 6455, 5.5: "All control frames MUST have a payload length of 125 bytes or less".
pub(crate) const MAX_CONTROL_PAYLOAD: usize = 125;

/// In the first byte: this frame is the last one of its message.
pub(crate) const FIN: u8 = 0x80;
/// In the first byte: the three bits that are reserved for extensions.
pub(crate) const RSV: u8 = 0x70;
/// In the first byte: the opcode.
pub(crate) const OPCODE: u8 = 0x0f;
/// In the second byte: a masking key follows the length.
pub(crate) const MASK: u8 = 0x80;
/// In the second byte: the length, or one of the two escapes below.
pub(crate) const LENGTH: u8 = 0x7f;
/// The length is in the next two bytes.
pub(crate) const LENGTH_16: u8 = 126;
/// The length is in the next eight bytes.
pub(crate) const LENGTH_64: u8 = 127;
/// The first byte of a text message in one frame, without an extension.
pub(crate) const TEXT_FRAME: u8 = FIN | Opcode::Text as u8;
/// The first byte of a binary message in one frame, without an extension.
pub(crate) const BINARY_FRAME: u8 = FIN | Opcode::Binary as u8;

/// Which end of the connection we are. RFC 6455, 5.1: frames from the client are masked, frames
/// from the server are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We opened the connection: we send masked frames and receive unmasked ones.
    Client,
    /// We accepted the connection: we send unmasked frames and receive masked ones.
    Server,
}

/// What a frame is (RFC 6455, 5.2). The other ten values are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Opcode {
    /// A further fragment of the message that is being sent.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The last frame of its direction.
    Close = 8,
    /// To be answered with a pong that has the same payload.
    Ping = 9,
    /// The answer to a ping, or an unsolicited sign of life.
    Pong = 10,
}

impl Opcode {
    /// The opcode in the low four bits of a header's first byte, or `None` if it is reserved.
    #[inline]
    pub(crate) fn from_first_byte(first: u8) -> Option<Opcode> {
        match first & OPCODE {
            0 => Some(Opcode::Continuation),
            1 => Some(Opcode::Text),
            2 => Some(Opcode::Binary),
            8 => Some(Opcode::Close),
            9 => Some(Opcode::Ping),
            10 => Some(Opcode::Pong),
            _ => None,
        }
    }

    /// RFC 6455, 5.5: "Control frames are identified by opcodes where the most significant bit of
    /// the opcode is 1."
    #[inline]
    pub(crate) fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// An encoded frame header of 2 to [`MAX_HEADER`] bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameHeader {
    /// [`MAX_HEADER`] bytes and two that are never used.
    bytes: [u8; 16],
    len: u8,
}

impl FrameHeader {
    /// Encodes a header; `bits` are FIN and the reserved bits that are set. RFC 6455, 5.2: "the minimal number
    /// of bytes MUST be used to encode the length". `payload_len` is below 2^63, as the length of everything in
    /// memory is.
    #[inline(always)]
    pub(crate) fn encode(bits: u8, opcode: Opcode, payload_len: u64, mask: Option<[u8; 4]>) -> FrameHeader {
        // Gathered in a register and stored at once: the header is about to be copied, and a load
        // that spans several fresh stores stalls. The first byte is the least significant one.
        let mut header = u128::from(opcode as u8 | bits);
        let mut len = match payload_len {
            0..=125 => {
                header |= u128::from(payload_len) << 8;
                2
            }
            126..=0xffff => {
                let network_order = u16::from_le_bytes((payload_len as u16).to_be_bytes());
                header |= u128::from(LENGTH_16) << 8 | u128::from(network_order) << 16;
                4
            }
            _ => {
                let network_order = u64::from_le_bytes(payload_len.to_be_bytes());
                header |= u128::from(LENGTH_64) << 8 | u128::from(network_order) << 16;
                10
            }
        };
        if let Some(key) = mask {
            header |= u128::from(MASK) << 8 | u128::from(u32::from_le_bytes(key)) << (8 * len);
            len += 4;
        }
        FrameHeader { bytes: header.to_le_bytes(), len }
    }

    /// The header as it goes out, and bytes without a meaning behind it.
    #[inline]
    pub(crate) fn as_padded(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// The header as it goes out.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The payload of one control frame: at most [`MAX_CONTROL_PAYLOAD`] bytes, held by value.
#[derive(Clone, Copy)]
pub struct ControlPayload {
    bytes: [u8; MAX_CONTROL_PAYLOAD],
    len: u8,
}

impl ControlPayload {
    /// No payload.
    pub const EMPTY: ControlPayload = ControlPayload { bytes: [0; MAX_CONTROL_PAYLOAD], len: 0 };

    /// The parts one after the other, or `None` if they are too long for a control frame.
    pub fn concat(parts: &[&[u8]]) -> Option<ControlPayload> {
        let mut payload = ControlPayload::EMPTY;
        let mut end = 0;
        for part in parts {
            let start = end;
            end = part.len().checked_add(start)?;
            payload.bytes.get_mut(start..end)?.copy_from_slice(part);
        }
        payload.len = u8::try_from(end).ok()?;
        Some(payload)
    }

    /// The bytes of the payload.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// A number that tells the pings of one connection apart (FNV-1a).
    pub(crate) fn hash(&self) -> u64 {
        let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        self.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, add)
    }

    /// The bytes of the payload, to mask or unmask them.
    #[inline]
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_bytes().fmt(f)
    }
}

impl PartialEq for ControlPayload {
    fn eq(&self, other: &ControlPayload) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for ControlPayload {}

/// Whether a whole message in one frame lies at the front of the bytes that `role` has received.
///
/// A hint for batching and not a check: the decoder still judges the frame when its turn comes.
#[inline(always)]
pub(crate) fn whole_message_at(front: &[u8], role: Role) -> bool {
    let &[first, second, ref rest @ ..] = front else {
        return false;
    };
    if !matches!(first & (FIN | OPCODE), TEXT_FRAME | BINARY_FRAME) {
        return false;
    }
    let (length, extension) = match second & LENGTH {
        LENGTH_16 => match rest.first_chunk() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2),
            None => return false,
        },
        LENGTH_64 => match rest.first_chunk() {
            // The top bit of a length is 0, or else the decoder says so.
            Some(bytes) => (u64::from_be_bytes(*bytes) & i64::MAX as u64, 8),
            None => return false,
        },
        short => (u64::from(short), 0),
    };
    let key = match role {
        Role::Client => 0,
        Role::Server => 4,
    };
    rest.len() as u64 >= length + extension + key
}
