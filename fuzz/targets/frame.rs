//! The decoder against the reference, as client and as server, over every way of cutting the bytes.

#![no_main]

use dill::fuzzing::ws::{Decoder, Next, Role, Violation};
use libdill_fuzz::reference::{self, Event};
use libfuzzer_sys::fuzz_target;

/// The decoder with the buffers that it needs, driven as the library drives it.
struct Driver {
    decoder: Decoder,
    front: Vec<u8>,
    message: Vec<u8>,
    turn: u8,
    events: Vec<Event>,
    pings: Vec<Vec<u8>>,
}

impl Driver {
    fn feed(&mut self, piece: &[u8]) -> Result<(), Violation> {
        self.front.extend_from_slice(piece);
        loop {
            if self.decoder.payload_left() > 0 && !self.payload()? {
                return Ok(());
            }
            match self.decoder.next(&self.front)? {
                Next::Need(want) => {
                    assert!(want > self.front.len() && want <= 131);
                    return Ok(());
                }
                Next::Data { consumed } => {
                    self.front.drain(..consumed);
                    if self.decoder.payload_left() == 0 {
                        self.end_of_frame()?;
                    }
                }
                Next::Ping { consumed, payload } => {
                    self.front.drain(..consumed);
                    self.pings.push(payload.as_bytes().to_vec());
                }
                Next::Pong { consumed, .. } => _ = self.front.drain(..consumed),
                Next::Close { consumed, code, reason } => {
                    self.front.drain(..consumed);
                    self.events.push(Event::Close { code, reason: reason.as_bytes().to_vec() });
                    return Ok(());
                }
            }
        }
    }

    /// Takes payload in one of the ways that there are. False: more bytes are needed.
    fn payload(&mut self) -> Result<bool, Violation> {
        let left = usize::try_from(self.decoder.payload_left()).unwrap_or(usize::MAX);
        let len = left.min(self.front.len());
        let mut piece: Vec<u8> = self.front.drain(..len).collect();
        self.turn = self.turn.wrapping_add(1);
        if self.turn % 2 == 0 {
            let src = piece.clone();
            self.decoder.payload_copy(&mut piece, &src)?;
        } else {
            self.decoder.payload_in_place(&mut piece)?;
        }
        self.message.append(&mut piece);
        if self.decoder.payload_left() > 0 {
            return Ok(false);
        }
        self.end_of_frame()?;
        Ok(true)
    }

    fn end_of_frame(&mut self) -> Result<(), Violation> {
        if self.decoder.end_of_frame()? {
            let payload = std::mem::take(&mut self.message);
            self.events.push(Event::Message { text: self.decoder.message_is_text(), payload });
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        matches!(self.events.last(), Some(Event::Close { .. } | Event::Violation(_)))
    }
}

/// The same bytes, but nobody wants the payload: the judgement is the same.
fn skip_all(stream: &[u8], role: Role) -> Option<u16> {
    let (mut decoder, mut rest) = (Decoder::new(role), stream);
    loop {
        match decoder.next(rest) {
            Ok(Next::Need(_) | Next::Close { .. }) => return None,
            Ok(Next::Ping { consumed, .. } | Next::Pong { consumed, .. }) => {
                rest = &rest[consumed..];
                continue;
            }
            Ok(Next::Data { consumed }) => rest = &rest[consumed..],
            Err(violation) => return Some(violation.code),
        }
        let left = usize::try_from(decoder.payload_left()).unwrap_or(usize::MAX);
        let (payload, after) = rest.split_at(left.min(rest.len()));
        rest = after;
        if let Err(violation) = decoder.payload_skip(payload) {
            return Some(violation.code);
        }
        if decoder.payload_left() > 0 {
            return None;
        }
        if let Err(violation) = decoder.end_of_frame() {
            return Some(violation.code);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [how, seed, stream @ ..] = data else { return };
    let (role, server) = if how & 1 == 0 { (Role::Client, false) } else { (Role::Server, true) };
    let mut driver = Driver {
        decoder: Decoder::new(role),
        front: Vec::new(),
        message: Vec::new(),
        turn: *how,
        events: Vec::new(),
        pings: Vec::new(),
    };
    let mut arrived = 0;
    for piece in libdill_fuzz::pieces(stream, *seed) {
        arrived += piece.len();
        if let Err(violation) = driver.feed(piece) {
            driver.events.push(Event::Violation(violation.code));
        }
        let expected = reference::read(&stream[..arrived], server);
        assert_eq!(driver.events, expected.events);
        assert_eq!(driver.pings, expected.pings);
        if driver.is_over() {
            assert!(driver.decoder.payload_left() > 0 || driver.decoder.next(b"").is_err());
            break;
        }
    }
    let violation = match reference::read(stream, server).events.last() {
        Some(Event::Violation(code)) => Some(*code),
        _ => None,
    };
    assert_eq!(skip_all(stream, role), violation);
});
