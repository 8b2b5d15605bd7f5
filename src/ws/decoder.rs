//! The inbound half of a connection: bytes in, frames and violations out.
//!
//! The decoder sees the bytes that have arrived, and never keeps any: it reads headers and
//! control frames at the front of a buffer that belongs to somebody else, and then unmasks the
//! payload of data frames on its way to where the user wants it. It allocates nothing, whatever a
//! header claims.
//!
//! ```text
//!   next ──▶ Need        read more, call next again
//!        ──▶ Ping, Pong, Close
//!        ──▶ Data ──▶ payload_* until payload_left is 0 ──▶ end_of_frame ──▶ next
//! ```
//!
//! The payload of a message that an extension has changed is not the message: it is only unmasked
//! here, and what the extension makes of it comes back to be validated.

#![forbid(unsafe_code)]

mod payload;

use super::close::{self, CloseReason};
use super::frame::{
    BINARY_FRAME, ControlPayload, FIN, LENGTH, LENGTH_16, LENGTH_64, MASK, MAX_CONTROL_PAYLOAD, OPCODE,
    Opcode, RSV, Role, TEXT_FRAME,
};
use super::mask;
use super::utf8::{self, Utf8};

pub use super::close::Violation;

/// The masking key, in bytes.
const KEY_LEN: usize = 4;

/// What stands at the front of the received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Not enough to say: so many bytes must be at the front in all. What is there is good so far.
    Need(usize),
    /// The header of a data frame: `payload_left()` bytes of payload follow it, possibly none.
    Data {
        /// The bytes to drop from the front.
        consumed: usize,
    },
    /// A whole ping.
    Ping {
        /// The bytes to drop from the front.
        consumed: usize,
        /// To be sent back in a pong.
        payload: ControlPayload,
    },
    /// A whole pong.
    Pong {
        /// The bytes to drop from the front.
        consumed: usize,
        /// That of the ping which it answers, if it does.
        payload: ControlPayload,
    },
    /// A whole close frame: nothing comes after it.
    Close {
        /// The bytes to drop from the front.
        consumed: usize,
        /// The code, or 0 if there is none.
        code: u16,
        /// UTF-8 of at most 123 bytes.
        reason: ControlPayload,
    },
}

/// The state of the inbound half between two calls.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// Payload of the current data frame that was not handed over yet.
    left: u64,
    /// How long a message may be.
    max_message: u64,
    /// The length of the current message as far as it is known.
    length: u64,
    /// Set once the connection has failed or the close frame was seen: the answer to every
    /// further call.
    finished: Option<&'static Violation>,
    /// The current data frame's masking key, if its sender is a client.
    key: [u8; 4],
    /// Position within the current data frame's payload, modulo 256 and therefore modulo 4.
    position: u8,
    role: Role,
    /// The reserved bits that may be set in the first frame of a message.
    extension_bits: u8,
    /// The current message has such bits.
    extended: bool,
    /// A data frame has begun and not ended.
    in_frame: bool,
    /// Neither a frame nor a message has begun, and none is out of the question.
    between_messages: bool,
    /// The last data frame was not the last one of its message.
    open: bool,
    /// The current message, or the last one, is text.
    text: bool,
    utf8: Utf8,
}

// Every connection has one, and an idle one has little else.
const _: () = assert!(size_of::<Decoder>() <= 48);

impl Decoder {
    /// The inbound half of a connection on which we are `role`, before the first frame.
    pub fn new(role: Role) -> Decoder {
        Decoder {
            left: 0,
            max_message: u64::MAX,
            length: 0,
            finished: None,
            key: [0; 4],
            position: 0,
            role,
            extension_bits: 0,
            extended: false,
            in_frame: false,
            between_messages: true,
            open: false,
            text: false,
            utf8: Utf8::default(),
        }
    }

    /// Sets how long a message may be, in bytes.
    pub fn set_max_message(&mut self, max: u64) {
        self.max_message = max;
    }

    /// Allows reserved bits in the first frame of a message, which an extension then has to decode.
    pub fn set_extension_bits(&mut self, bits: u8) {
        self.extension_bits = bits;
    }

    /// Reads a frame header, and the payload too if it is a control frame. To be called between
    /// payloads, with all the bytes that are there.
    ///
    /// A violation is reported from as few bytes as show it. After a violation and after the close
    /// frame the connection is over, and every further call fails.
    #[inline]
    pub fn next(&mut self, front: &[u8]) -> Result<Next, Violation> {
        if let Some(violation) = self.finished {
            return Err(*violation);
        }
        debug_assert!(!self.in_frame, "payload is still to be taken");
        let next = self.frame(front);
        next.map_err(|violation| self.fail(violation))
    }

    /// Takes a whole message in one frame at once, if one lies at the front and fits in `place`:
    /// the bytes to drop from the front, its size, and whether it is text. None if not; then nothing has happened, but
    /// that something may have been written to `place`.
    ///
    /// The short way through `next`, `payload_copy` and `end_of_frame` for what is most common: a
    /// frame without any oddity, of less than 64 KiB. Everything else, violations included, is left
    /// to the long way.
    #[inline(always)]
    pub fn whole_message(&mut self, front: &[u8], place: &mut [u8]) -> Option<(usize, usize, bool)> {
        // Within a payload the front is no header, whatever it looks like.
        if !self.between_messages || front.len() < 4 {
            return None;
        }
        let text = match front[0] {
            TEXT_FRAME => true,
            BINARY_FRAME => false,
            _ => return None,
        };
        let is_masked = matches!(self.role, Role::Server);
        let length = front[1] ^ if is_masked { MASK } else { 0 };
        let (len, header) = match length {
            0..LENGTH_16 => (usize::from(length), 2),
            LENGTH_16 => (usize::from(u16::from_be_bytes([front[2], front[3]])), 4),
            _ => return None,
        };
        let place = place.get_mut(..len)?;
        if len as u64 > self.max_message {
            return None;
        }
        let end = if is_masked {
            let (key, payload) = front.get(header..header + (KEY_LEN + len))?.split_first_chunk()?;
            mask::mask_copy(place, payload, *key, 0);
            header + (KEY_LEN + len)
        } else {
            place.copy_from_slice(front.get(header..header + len)?);
            header + len
        };
        if text && !utf8::is_valid(place) {
            return None;
        }
        self.text = text;
        Some((end, len, text))
    }

    /// The payload of the current data frame that is still to be taken.
    #[inline]
    pub fn payload_left(&self) -> u64 {
        self.left
    }

    /// Whether the next byte is the first one of a message, or of a control frame before it.
    #[inline]
    pub fn is_between_messages(&self) -> bool {
        self.between_messages
    }

    /// Nothing more is to be read, though nothing is wrong with what was.
    pub fn stop(&mut self) {
        self.between_messages = false;
    }

    /// Whether a data frame has begun whose end was not taken note of.
    #[inline]
    pub fn is_in_frame(&self) -> bool {
        self.in_frame
    }

    /// Whether the payload of the current message has to go through the extension.
    #[inline]
    pub fn message_is_extended(&self) -> bool {
        self.extended
    }

    /// Whether the current frame is the last one of its message.
    #[inline]
    pub fn is_last_frame(&self) -> bool {
        !self.open
    }

    /// How long a message that is read frame by frame is so far, in bytes.
    #[inline]
    pub(crate) fn message_len(&self) -> u64 {
        self.length
    }

    /// Whether the current message is text. Keeps its answer until the next message begins.
    #[inline]
    pub fn message_is_text(&self) -> bool {
        self.text
    }

    /// The extension makes more of the message than is allowed.
    pub fn message_too_big(&mut self) -> Violation {
        self.fail(&TOO_BIG)
    }

    /// The extension could not make a message of the payload.
    pub fn message_undecodable(&mut self, violation: &'static Violation) -> Violation {
        self.fail(violation)
    }

    /// Ends the current data frame, whose payload has been taken: says whether it ended the
    /// message too.
    #[inline]
    pub fn end_of_frame(&mut self) -> Result<bool, Violation> {
        debug_assert_eq!(self.left, 0, "payload is still to be taken");
        if let Some(violation) = self.finished {
            return Err(*violation);
        }
        self.in_frame = false;
        if self.open {
            return Ok(false);
        }
        // RFC 6455, 8.1; a fragment may end inside a character (5.6), a message may not.
        if self.utf8.finish().is_err() {
            return Err(self.fail(&TEXT_CUT_SHORT));
        }
        self.between_messages = true;
        Ok(true)
    }

    #[inline]
    fn frame(&mut self, front: &[u8]) -> Result<Next, &'static Violation> {
        let Some(&first) = front.first() else {
            return Ok(Next::Need(2));
        };
        // RFC 6455, 5.2: "MUST be 0 unless an extension is negotiated that defines meanings for
        // non-zero values". RFC 7692, 6.1: only in the first frame of a message.
        let allowed = if matches!(first & OPCODE, 1 | 2) { self.extension_bits } else { 0 };
        if first & RSV & !allowed != 0 {
            return Err(&RESERVED_BITS);
        }
        // RFC 6455, 5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the
        // WebSocket Connection_."
        let opcode = Opcode::from_first_byte(first).ok_or(&RESERVED_OPCODE)?;
        let fin = first & FIN != 0;
        match opcode {
            // RFC 6455, 5.4: a fragment continues a message, and "the fragments of one message
            // MUST NOT be interleaved between the fragments of another message".
            Opcode::Continuation if !self.open => return Err(&NOTHING_TO_CONTINUE),
            Opcode::Text | Opcode::Binary if self.open => return Err(&MESSAGE_IN_MESSAGE),
            // RFC 6455, 5.5: control frames "MUST NOT be fragmented".
            Opcode::Close | Opcode::Ping | Opcode::Pong if !fin => {
                return Err(&CONTROL_FRAGMENTED);
            }
            _ => {}
        }

        let Some(&second) = front.get(1) else {
            return Ok(Next::Need(2));
        };
        // RFC 6455, 5.1: a server closes the connection on an unmasked frame, and a client on a
        // masked one.
        let (masked, key_len) = match self.role {
            Role::Server => (true, KEY_LEN),
            Role::Client => (false, 0),
        };
        if (second & MASK != 0) != masked {
            return Err(match self.role {
                Role::Server => &UNMASKED,
                Role::Client => &MASKED,
            });
        }
        let length = second & LENGTH;
        if opcode.is_control() {
            return self.control(opcode, usize::from(length), key_len, front);
        }

        self.data(first, opcode, length, key_len, front)
    }

    /// The header of a data frame.
    #[inline]
    fn data(
        &mut self,
        first: u8,
        opcode: Opcode,
        length: u8,
        key_len: usize,
        front: &[u8],
    ) -> Result<Next, &'static Violation> {
        // RFC 6455, 5.2: a sender must use the shortest form of the length. A longer one is
        // tolerated here, as is customary: its meaning is plain.
        let (left, key_at) = match length {
            LENGTH_16 => match front[2..].first_chunk() {
                Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 4),
                None => return Ok(Next::Need(4 + key_len)),
            },
            LENGTH_64 => {
                // RFC 6455, 5.2: "the most significant bit MUST be 0".
                if front.get(2).is_some_and(|top| top & 0x80 != 0) {
                    return Err(&LENGTH_TOP_BIT);
                }
                match front[2..].first_chunk() {
                    Some(bytes) => (u64::from_be_bytes(*bytes), 10),
                    None => return Ok(Next::Need(10 + key_len)),
                }
            }
            short => (u64::from(short), 2),
        };
        let (so_far, extended) = match opcode {
            Opcode::Continuation => (self.length, self.extended),
            _ => (0, first & RSV != 0),
        };
        // How long a message of an extension is shows when it is decoded.
        let message = if extended { so_far } else { so_far.saturating_add(left) };
        // RFC 6455, 7.4.1: from the header, long before the payload has come.
        if message > self.max_message {
            return Err(&TOO_BIG);
        }
        if key_len > 0 {
            match front[key_at..].first_chunk() {
                Some(key) => self.key = *key,
                None => return Ok(Next::Need(key_at + key_len)),
            }
        }
        self.left = left;
        self.length = message;
        self.position = 0;
        self.in_frame = true;
        self.between_messages = false;
        self.open = first & FIN == 0;
        self.extended = extended;
        if opcode != Opcode::Continuation {
            self.text = opcode == Opcode::Text;
        }
        Ok(Next::Data { consumed: key_at + key_len })
    }

    /// A control frame, whose length fits in the second byte or breaks the rule.
    fn control(
        &mut self,
        opcode: Opcode,
        length: usize,
        key_len: usize,
        front: &[u8],
    ) -> Result<Next, &'static Violation> {
        // RFC 6455, 5.5.
        if length > MAX_CONTROL_PAYLOAD {
            return Err(&CONTROL_TOO_LONG);
        }
        let consumed = 2 + key_len + length;
        let Some(frame) = front.get(..consumed) else {
            return Ok(Next::Need(consumed));
        };
        let (header, payload) = frame.split_at(2 + key_len);
        let mut payload = ControlPayload::concat(&[payload]).ok_or(&CONTROL_TOO_LONG)?;
        if let Some(key) = header[2..].first_chunk() {
            mask::mask_in_place(payload.as_mut_bytes(), *key, 0);
        }
        match opcode {
            Opcode::Ping => return Ok(Next::Ping { consumed, payload }),
            Opcode::Pong => return Ok(Next::Pong { consumed, payload }),
            _ => {}
        }
        let CloseReason { code, reason } = close::parse_payload(payload.as_bytes())?;
        let reason = ControlPayload::concat(&[reason]).ok_or(&CONTROL_TOO_LONG)?;
        // RFC 6455, 5.5.1: no more frames come after it.
        self.finished = Some(&AFTER_CLOSE);
        self.between_messages = false;
        Ok(Next::Close { consumed, code, reason })
    }

    #[cold]
    fn fail(&mut self, violation: &'static Violation) -> Violation {
        self.finished = Some(violation);
        self.between_messages = false;
        *violation
    }
}

static RESERVED_BITS: Violation = Violation::protocol("RFC 6455, 5.2: reserved bits set");
static RESERVED_OPCODE: Violation = Violation::protocol("RFC 6455, 5.2: reserved opcode");
static LENGTH_TOP_BIT: Violation = Violation::protocol("RFC 6455, 5.2: length of 2^63 or more");
static UNMASKED: Violation = Violation::protocol("RFC 6455, 5.1: unmasked frame from a client");
static MASKED: Violation = Violation::protocol("RFC 6455, 5.1: masked frame from a server");
static NOTHING_TO_CONTINUE: Violation =
    Violation::protocol("RFC 6455, 5.4: continuation frame with nothing to continue");
static MESSAGE_IN_MESSAGE: Violation =
    Violation::protocol("RFC 6455, 5.4: new message inside a fragmented one");
static CONTROL_FRAGMENTED: Violation = Violation::protocol("RFC 6455, 5.5: fragmented control frame");
static CONTROL_TOO_LONG: Violation =
    Violation::protocol("RFC 6455, 5.5: control frame longer than 125 bytes");
static AFTER_CLOSE: Violation = Violation::protocol("RFC 6455, 5.5.1: frame after the close frame");
static TOO_BIG: Violation =
    Violation { code: close::MESSAGE_TOO_BIG, rule: "RFC 6455, 7.4.1: message longer than the maximum" };
static TEXT_NOT_UTF8: Violation = Violation::payload("RFC 6455, 8.1: text message that is not UTF-8");
static TEXT_CUT_SHORT: Violation =
    Violation::payload("RFC 6455, 8.1: text message that ends inside a UTF-8 sequence");
