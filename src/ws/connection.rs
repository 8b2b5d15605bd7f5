//! Both halves of a connection as one machine without I/O: what may be received and sent now, what is
//! due to be sent, and how it ends.
//!
//! The inbound half reads the bytes that have arrived, see [`Decoder`]; the outbound half makes frames,
//! see [`Encoder`]. Where one concerns the other, it is decided here: a ping asks for a pong, a violation
//! for a close frame, and after our close frame nothing more is sent.

#![forbid(unsafe_code)]

mod extended;

pub(crate) use extended::{Decoded, NotDecoded, Output, Stop};

use super::close::{self, Violation};
use super::decoder::{Decoder, Next};
use super::encoder::Encoder;
use super::frame::{ControlPayload, Role};
use crate::error::Errno;

/// What became of the inbound half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inbound {
    Open,
    /// The peer's close frame has come.
    Closed,
    /// The peer broke the protocol, or the stream broke.
    Failed,
    /// The handle was closed, perhaps while somebody is inside.
    Gone,
}

/// What became of the outbound half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outbound {
    Open,
    /// Our close frame has gone out, or the connection was failed.
    Done,
    /// It stopped in the middle of a frame.
    Broken,
    /// The handle was closed, perhaps while somebody is inside.
    Gone,
}

/// What the peer's close frame said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerClose {
    /// The code, or 0 if there was none.
    pub code: u16,
    /// UTF-8 of at most 123 bytes.
    pub reason: ControlPayload,
}

/// What [`Connection::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Not enough to say: so many bytes must be at the front in all.
    Need(usize),
    /// The header of a data frame.
    Data,
    /// A ping. A pong is due, unless nothing may be sent any more.
    Ping,
    /// A pong, whose payload has this hash.
    Pong(u64),
    /// The close frame: nothing comes after it.
    Close,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    decoder: Decoder,
    encoder: Encoder,
    role: Role,
    inbound: Inbound,
    outbound: Outbound,
    /// The newest ping that was not answered.
    pending_pong: Option<ControlPayload>,
    /// The code of the close frame that a violation asks for.
    pending_close: Option<u16>,
    peer_close: Option<PeerClose>,
}

impl Connection {
    /// A connection on which we are `role`, before the first frame.
    pub(crate) fn new(role: Role) -> Connection {
        Connection {
            decoder: Decoder::new(role),
            encoder: Encoder::default(),
            role,
            inbound: Inbound::Open,
            outbound: Outbound::Open,
            pending_pong: None,
            pending_close: None,
            peer_close: None,
        }
    }

    /// How far it has come, for a person.
    pub(crate) fn about(&self) -> &'static str {
        match (self.inbound, self.outbound) {
            (Inbound::Open, Outbound::Open) => "open",
            (Inbound::Closed, Outbound::Open) => "closed by the peer",
            (Inbound::Open, Outbound::Done) => "closed by us",
            (Inbound::Closed, Outbound::Done) => "closed by both sides",
            (Inbound::Gone, _) | (_, Outbound::Gone) => "",
            (Inbound::Failed, _) | (_, Outbound::Broken) => "failed",
        }
    }

    /// Which end we are.
    #[inline]
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Sets how long a received message may be, in bytes.
    pub(crate) fn set_max_message(&mut self, max: u64) {
        self.decoder.set_max_message(max);
    }

    /// Sets the reserved bits that messages of the extension have.
    pub(crate) fn set_extension_bits(&mut self, bits: u8) {
        self.decoder.set_extension_bits(bits);
    }

    // ---- receiving ----

    /// Whether something may be received. EPIPE after the peer's close frame, ECONNRESET, EBADF.
    pub(crate) fn check_inbound(&self) -> Result<(), Errno> {
        match self.inbound {
            Inbound::Open => Ok(()),
            Inbound::Closed => Err(Errno::EPIPE),
            Inbound::Failed => Err(Errno::ECONNRESET),
            Inbound::Gone => Err(Errno::EBADF),
        }
    }

    /// Whether the next byte is the first one of a message, or of a control frame before it.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.decoder.is_between_messages()
    }

    /// Whether the peer's close frame has come.
    pub(crate) fn peer_has_closed(&self) -> bool {
        self.inbound == Inbound::Closed
    }

    /// Whether the handle was closed.
    pub(crate) fn is_gone(&self) -> bool {
        self.inbound == Inbound::Gone
    }

    /// What has begun of the inbound half, to ask it.
    #[inline]
    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Takes a whole message in one frame at once, if that is what comes next and it fits in `place`:
    /// see [`Decoder::whole_message`].
    #[inline(always)]
    pub(crate) fn whole_message(&mut self, front: &[u8], place: &mut [u8]) -> Option<(usize, usize, bool)> {
        self.decoder.whole_message(front, place)
    }

    /// Reads a frame header, or a whole control frame, at the front of what was received: says what it
    /// is, and how many bytes to drop.
    #[inline]
    pub(crate) fn next(&mut self, front: &[u8]) -> Result<(Event, usize), Violation> {
        let next = self.decoder.next(front);
        match next.map_err(|violation| self.fail(violation))? {
            Next::Need(bytes) => Ok((Event::Need(bytes), 0)),
            Next::Data { consumed } => Ok((Event::Data, consumed)),
            // RFC 6455, 5.5.2: "it MUST send a Pong frame in response, unless it already received a
            // Close frame". 5.5.3: only the newest ping needs an answer.
            Next::Ping { consumed, payload } => {
                self.note_ping(payload);
                Ok((Event::Ping, consumed))
            }
            // RFC 6455, 5.5.3: a pong that was not asked for is no error either.
            Next::Pong { consumed, payload } => Ok((Event::Pong(payload.hash()), consumed)),
            Next::Close { consumed, code, reason } => {
                self.peer_close = Some(PeerClose { code, reason });
                self.inbound = Inbound::Closed;
                Ok((Event::Close, consumed))
            }
        }
    }

    /// The same for what was looked at before: no pong is due.
    pub(crate) fn next_again(&mut self, front: &[u8]) -> Result<(Event, usize), Violation> {
        let pong = self.pending_pong;
        let next = self.next(front);
        if matches!(next, Ok((Event::Ping, _))) {
            self.pending_pong = pong;
        }
        next
    }

    /// A ping was seen: a pong is due.
    pub(crate) fn note_ping(&mut self, payload: ControlPayload) {
        self.pending_pong = Some(payload);
    }

    /// The peer's close frame was seen behind what was received.
    pub(crate) fn note_close_seen(&mut self, close: PeerClose) {
        self.peer_close = Some(close);
    }

    /// Whether the peer can be asked for a sign of life, and answer.
    pub(crate) fn can_ask(&self) -> bool {
        self.inbound == Inbound::Open && self.outbound == Outbound::Open && self.peer_close.is_none()
    }

    /// Takes payload from the receive buffer `src` to `dst`. See [`Decoder::payload_copy`].
    #[inline]
    pub(crate) fn payload_copy(&mut self, dst: &mut [u8], src: &[u8]) -> Result<(), Violation> {
        let taken = self.decoder.payload_copy(dst, src);
        taken.map_err(|violation| self.fail(violation))
    }

    /// Takes payload that lies in the user's memory already. See [`Decoder::payload_in_place`].
    #[inline]
    pub(crate) fn payload_in_place(&mut self, buf: &mut [u8]) -> Result<(), Violation> {
        let taken = self.decoder.payload_in_place(buf);
        taken.map_err(|violation| self.fail(violation))
    }

    /// Takes payload that nobody wants. See [`Decoder::payload_skip`].
    pub(crate) fn payload_skip(&mut self, src: &[u8]) -> Result<(), Violation> {
        let taken = self.decoder.payload_skip(src);
        taken.map_err(|violation| self.fail(violation))
    }

    /// Drops payload of the extension's that is not even decoded: see [`Extension::can_skip`].
    pub(crate) fn payload_discard(&mut self, len: usize) {
        self.decoder.discard(len);
    }

    /// Ends the current data frame: says whether it ended the message too. See [`Decoder::end_of_frame`].
    #[inline]
    pub(crate) fn end_of_frame(&mut self) -> Result<bool, Violation> {
        let ended = self.decoder.end_of_frame();
        ended.map_err(|violation| self.fail(violation))
    }

    /// The stream has broken. What has ended otherwise stays so.
    pub(crate) fn note_inbound_lost(&mut self) {
        if self.inbound == Inbound::Open {
            self.inbound = Inbound::Failed;
            self.decoder.stop();
        }
    }

    /// What the peer's close frame said, once it has come.
    pub(crate) fn peer_close(&self) -> Option<&PeerClose> {
        self.peer_close.as_ref()
    }

    /// RFC 6455, 7.1.7: the connection fails, with a close frame if one may be sent.
    #[cold]
    fn fail(&mut self, violation: Violation) -> Violation {
        if self.inbound == Inbound::Open {
            self.inbound = Inbound::Failed;
        }
        if self.outbound == Outbound::Open {
            self.outbound = Outbound::Done;
            self.pending_close = Some(violation.code);
        }
        violation
    }

    // ---- sending ----

    /// Whether something may be sent. EPIPE after our close frame, ECONNRESET, EBADF.
    pub(crate) fn check_outbound(&self) -> Result<(), Errno> {
        match self.outbound {
            Outbound::Open => Ok(()),
            Outbound::Done => Err(Errno::EPIPE),
            Outbound::Broken => Err(Errno::ECONNRESET),
            Outbound::Gone => Err(Errno::EBADF),
        }
    }

    /// Whether something may be sent.
    #[inline]
    pub(crate) fn can_send(&self) -> bool {
        self.outbound == Outbound::Open
    }

    /// Whether a message may begin.
    #[inline]
    pub(crate) fn can_begin_message(&self) -> bool {
        self.outbound == Outbound::Open && !self.encoder.is_in_message()
    }

    /// Whether a message was begun that can still be ended.
    pub(crate) fn has_open_message(&self) -> bool {
        self.outbound == Outbound::Open && self.encoder.is_in_message()
    }

    /// Makes frames.
    #[inline]
    pub(crate) fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Makes frames of messages.
    pub(crate) fn encoder_mut(&mut self) -> &mut Encoder {
        &mut self.encoder
    }

    /// The pong that is due, which the caller sends, unless nothing may be sent any more.
    pub(crate) fn take_pending_pong(&mut self) -> Option<ControlPayload> {
        self.pending_pong.take().filter(|_| self.outbound == Outbound::Open)
    }

    /// The close frame that a violation asks for, which the caller sends, or not at all.
    pub(crate) fn take_pending_close(&mut self) -> Option<ControlPayload> {
        self.pending_close.take().and_then(|code| close::close_payload(code, &[]).ok())
    }

    /// Our close frame has gone out. Does not overwrite a failure.
    pub(crate) fn note_close_sent(&mut self) {
        if self.outbound == Outbound::Open {
            self.outbound = Outbound::Done;
        }
    }

    /// A frame has left in part only, or the stream has broken.
    pub(crate) fn note_outbound_broken(&mut self) {
        if self.outbound == Outbound::Open {
            self.outbound = Outbound::Broken;
        }
    }

    /// Whoever has begun a message will never end it: the connection fails (RFC 6455, 7.1.7). Returns the
    /// payload of the close frame, which the caller sends, or not at all.
    pub(crate) fn note_message_abandoned(&mut self) -> Option<ControlPayload> {
        if !self.has_open_message() {
            return None;
        }
        self.outbound = Outbound::Broken;
        self.note_inbound_lost();
        close::close_payload(close::INTERNAL_ERROR, &[]).ok()
    }

    /// The peer is not there any more.
    pub(crate) fn note_dead(&mut self) {
        self.note_inbound_lost();
        self.note_outbound_broken();
    }

    /// The handle is being closed.
    pub(crate) fn note_gone(&mut self) {
        self.inbound = Inbound::Gone;
        self.decoder.stop();
        self.outbound = Outbound::Gone;
        self.pending_close = None;
    }
}
