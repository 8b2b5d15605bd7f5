//! Tests of the sans-I/O core, and what they have in common.

mod ahead;
mod body;
mod both;
mod close;
mod deflate;
mod extended;
mod frame;
mod handshake;
mod head;
mod inflater;
mod mask;
mod model;
mod negotiation;
mod offer;
mod requests;
mod scan;
mod sent;
mod split;
mod start_line;
mod states;
mod utf8;

use crate::ws::decoder::{Decoder, Next};
use crate::ws::frame::{Opcode, Role};

/// A small generator of repeatable random numbers (Marsaglia's xorshift).
struct Rng(u64);

impl Rng {
    fn new(seed: u64) -> Rng {
        Rng(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// How often something is tried: seldom in Miri, where it takes a thousand times as long.
const fn times(often: usize) -> usize {
    if cfg!(miri) { often / 2000 + 1 } else { often }
}

/// The step through all that there is: in Miri, not all of it is tried.
const fn stride(in_miri: usize) -> usize {
    if cfg!(miri) { in_miri } else { 1 }
}

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// The key of the example in RFC 6455, 5.7.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as a peer of `role` that follows the rules sends it, encoded without the code under
/// test.
fn wire_frame(role: Role, fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut wire = vec![if fin { 0x80 } else { 0 } | opcode as u8];
    let mask = if role == Role::Server { 0x80 } else { 0 };
    match payload.len() {
        short @ 0..126 => wire.push(mask | short as u8),
        medium @ 126..65536 => {
            wire.push(mask | 126);
            wire.extend((medium as u16).to_be_bytes());
        }
        long => {
            wire.push(mask | 127);
            wire.extend((long as u64).to_be_bytes());
        }
    }
    match role {
        Role::Client => wire.extend(payload),
        Role::Server => {
            wire.extend(KEY);
            wire.extend((0..).zip(payload).map(|(i, byte)| byte ^ KEY[i % 4]));
        }
    }
    wire
}

/// What a program would see of the inbound half.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Observed {
    Message { text: bool, payload: Vec<u8> },
    Ping(Vec<u8>),
    Pong,
    Close { code: u16, reason: Vec<u8> },
    Failed { code: u16 },
}

/// The ways to take payload out of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taking {
    Copied,
    InPlace,
    /// At once with its header where a whole message lies there, or else copied.
    Whole,
    Skipped,
}

const TAKINGS: [Taking; 4] = [Taking::Copied, Taking::InPlace, Taking::Whole, Taking::Skipped];

/// A decoder with a receive buffer, which drives it as far as the bytes allow.
struct Receiver {
    decoder: Decoder,
    taking: Taking,
    buffer: Vec<u8>,
    in_frame: bool,
    message: Vec<u8>,
    events: Vec<Observed>,
}

impl Receiver {
    fn new(role: Role, taking: Taking) -> Receiver {
        Receiver {
            decoder: Decoder::new(role),
            taking,
            buffer: Vec::new(),
            in_frame: false,
            message: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The events of a stream that arrives in these pieces. Payload that is skipped is not seen in
    /// them.
    fn events<'a>(role: Role, taking: Taking, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Observed> {
        let mut receiver = Receiver::new(role, taking);
        for piece in pieces {
            receiver.push(piece);
        }
        receiver.events
    }

    /// Whether the connection has failed, or ended with a close frame.
    fn finished(&self) -> bool {
        matches!(self.events.last(), Some(Observed::Failed { .. } | Observed::Close { .. }))
    }

    fn push(&mut self, piece: &[u8]) {
        self.buffer.extend(piece);
        while !self.finished() && self.step() {}
    }

    /// Says whether there may be more to do with the bytes that are there.
    fn step(&mut self) -> bool {
        if self.in_frame {
            return self.payload();
        }
        if self.taking == Taking::Whole && self.whole_message() {
            return true;
        }
        let next = match self.decoder.next(&self.buffer) {
            Ok(next) => next,
            Err(violation) => return self.fail(violation.code),
        };
        let (consumed, event) = match next {
            Next::Need(bytes) => {
                assert!(bytes > self.buffer.len(), "asked for what is there");
                return false;
            }
            Next::Data { consumed } => {
                self.in_frame = true;
                (consumed, None)
            }
            Next::Ping { consumed, payload } => (consumed, Some(Observed::Ping(payload.as_bytes().to_vec()))),
            Next::Pong { consumed, .. } => (consumed, Some(Observed::Pong)),
            Next::Close { consumed, code, reason } => {
                let reason = reason.as_bytes().to_vec();
                (consumed, Some(Observed::Close { code, reason }))
            }
        };
        self.buffer.drain(..consumed);
        self.events.extend(event);
        true
    }

    /// False: no whole message lies there.
    fn whole_message(&mut self) -> bool {
        let mut payload = vec![0; self.buffer.len()];
        let Some((consumed, size, text)) = self.decoder.whole_message(&self.buffer, &mut payload) else {
            return false;
        };
        self.buffer.drain(..consumed);
        payload.truncate(size);
        self.events.push(Observed::Message { text, payload });
        true
    }

    fn payload(&mut self) -> bool {
        let left = usize::try_from(self.decoder.payload_left()).unwrap_or(usize::MAX);
        let mut piece: Vec<u8> = self.buffer.drain(..left.min(self.buffer.len())).collect();
        let taken = match self.taking {
            Taking::Copied | Taking::Whole => {
                let source = piece.clone();
                self.decoder.payload_copy(&mut piece, &source)
            }
            Taking::InPlace => self.decoder.payload_in_place(&mut piece),
            Taking::Skipped => {
                let taken = self.decoder.payload_skip(&piece);
                piece.clear();
                taken
            }
        };
        if let Err(violation) = taken {
            return self.fail(violation.code);
        }
        self.message.extend(piece);
        if self.decoder.payload_left() > 0 {
            return false;
        }
        self.in_frame = false;
        match self.decoder.end_of_frame() {
            Ok(true) => self.events.push(Observed::Message {
                text: self.decoder.message_is_text(),
                payload: std::mem::take(&mut self.message),
            }),
            Ok(false) => {}
            Err(violation) => return self.fail(violation.code),
        }
        true
    }

    fn fail(&mut self, code: u16) -> bool {
        self.events.push(Observed::Failed { code });
        false
    }
}
