//! Looking ahead: what nobody has received yet is searched for control frames, which are dealt with though
//! the messages before them wait.

#![forbid(unsafe_code)]

use super::connection::PeerClose;
use super::decoder::{Decoder, Next};
use super::frame::ControlPayload;

/// How far somebody has looked ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    decoder: Decoder,
    /// What lies before this place was looked at, in bytes of the stream.
    position: u64,
    /// Nothing behind this place is to be looked at.
    ended: bool,
}

/// A control frame that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Ping(ControlPayload),
    Pong(ControlPayload),
    Close(PeerClose),
}

impl Ahead {
    /// Begins where the connection's own decoder has come to.
    pub(crate) fn new(decoder: &Decoder, position: u64) -> Ahead {
        Ahead { decoder: *decoder, position, ended: false }
    }

    /// What lies before this place was looked at.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Whether a close frame was found, or a violation, which is for whoever receives.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next control frame in what was received and begins at `start`. None: there is no whole one.
    pub(crate) fn find(&mut self, received: &[u8], start: u64) -> Option<Found> {
        let at = usize::try_from(self.position.saturating_sub(start)).unwrap_or(usize::MAX);
        let mut front = received.get(at..)?;
        while !self.ended {
            if self.decoder.is_in_frame() {
                let passed = self.decoder.pass(front.len());
                front = self.advance(front, passed);
                if self.decoder.is_in_frame() {
                    return None;
                }
            }
            match self.decoder.next(front) {
                Ok(Next::Need(_)) => return None,
                Ok(Next::Data { consumed }) => front = self.advance(front, consumed),
                Ok(Next::Ping { consumed, payload }) => {
                    self.advance(front, consumed);
                    return Some(Found::Ping(payload));
                }
                Ok(Next::Pong { consumed, payload }) => {
                    self.advance(front, consumed);
                    return Some(Found::Pong(payload));
                }
                Ok(Next::Close { consumed, code, reason }) => {
                    self.advance(front, consumed);
                    self.ended = true;
                    return Some(Found::Close(PeerClose { code, reason }));
                }
                Err(_) => self.ended = true,
            }
        }
        None
    }

    fn advance<'a>(&mut self, front: &'a [u8], len: usize) -> &'a [u8] {
        self.position += len as u64;
        &front[len..]
    }
}
