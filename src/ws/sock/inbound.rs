//! Receiving: from the transport through the decoder into the caller's memory.

use super::{Inbound, Outbound, PeerClose, Ws};
use crate::error::{Errno, Result};
use crate::iol::{Cursor, Pieces};
use crate::memory::try_extend;
use crate::rt::context::Context;
use crate::rt::turn::Turn;
use crate::ws::close::Violation;
use crate::ws::protocol::Next;

/// How much is asked for at a time when payload is dropped.
const DROPPED_PIECE: u64 = 64 * 1024;

/// Where a message goes.
struct Sink<'a> {
    /// None: nowhere.
    cursor: Option<Cursor<'a>>,
    pieces: Option<Pieces<'a>>,
    /// Bytes of the message so far.
    len: usize,
    /// Some of them went nowhere.
    skipped: bool,
}

impl<'a> Sink<'a> {
    fn new(pieces: Option<Pieces<'a>>) -> Sink<'a> {
        Sink { cursor: pieces.map(|pieces| pieces.cursor()), pieces, len: 0, skipped: false }
    }

    fn room(&self) -> usize {
        self.pieces.map_or(usize::MAX, |pieces| pieces.total() - self.len)
    }

    /// The place for at most `most` bytes, which must not exceed `room`. None: nowhere.
    fn place(&mut self, most: usize) -> (Option<&'a mut [u8]>, usize) {
        let piece = self.cursor.as_mut().and_then(Cursor::piece);
        match piece {
            Some(piece) if piece.base.is_null() => (None, most.min(piece.len)),
            Some(piece) => {
                let len = most.min(piece.len);
                // SAFETY: the pieces of a list to receive into are writable, and nobody else
                // writes there during the call.
                (Some(unsafe { core::slice::from_raw_parts_mut(piece.base, len) }), len)
            }
            None => (None, most),
        }
    }

    fn advance(&mut self, len: usize, skipped: bool) {
        if let Some(cursor) = &mut self.cursor {
            cursor.advance(len);
        }
        self.len += len;
        self.skipped |= skipped && len > 0;
    }

    /// Puts bytes back that an earlier call had received.
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (place, len) = self.place(bytes.len());
            let (now, later) = bytes.split_at(len);
            let skipped = place.is_none();
            if let Some(place) = place {
                place.copy_from_slice(now);
            }
            self.advance(len, skipped);
            bytes = later;
        }
    }

    /// Copies what was received so far, for a later call.
    fn save(&self) -> Result<Vec<u8>> {
        let mut saved = Vec::new();
        let Some(pieces) = self.pieces else { return Ok(saved) };
        for piece in pieces.cursor() {
            let len = piece.len.min(self.len - saved.len());
            if len == 0 {
                break;
            }
            // SAFETY: these bytes were written by this call.
            try_extend(&mut saved, unsafe { core::slice::from_raw_parts(piece.base, len) })?;
        }
        Ok(saved)
    }
}

impl Ws {
    /// Receives one message: whether it is text, and its size. EBUSY, EPIPE after the peer's close
    /// frame, ECONNRESET, EPROTO, EMSGSIZE, ETIMEDOUT, ECANCELED, ENOMEM.
    pub(super) fn recv_message(&self, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<(bool, usize)> {
        let context = Context::get()?;
        if self.receiving.get() {
            return Err(Errno::EBUSY);
        }
        let mut place = pieces.and_then(|pieces| pieces.single()).map(|piece| {
            // SAFETY: the pieces of a list to receive into are writable, and nobody else writes there
            // during the call.
            unsafe { core::slice::from_raw_parts_mut(piece.base, piece.len) }
        });
        self.flush_overdue(context);
        self.receiving.set(true);
        let received = self.recv_one_piece(context, place.as_deref_mut(), deadline);
        let received = received.unwrap_or_else(|| self.recv_whole(context, pieces, deadline));
        self.receiving.set(false);
        received
    }

    /// Takes a message that lies whole in the receive buffer: whether it is text, and its size. None:
    /// this is not the case, and nothing has happened. Does not switch.
    #[inline]
    pub(super) fn recv_at_hand(&self, context: &Context, place: &mut [u8]) -> Option<(bool, usize)> {
        if self.inbound.get() != Inbound::Open || self.receiving.get() {
            return None;
        }
        self.flush_overdue(context);
        self.take_whole(context, place)
    }

    #[inline(always)]
    fn take_whole(&self, context: &Context, place: &mut [u8]) -> Option<(bool, usize)> {
        let front = context.buffers.received(self.transport.own()?)?;
        let mut decoder = self.decoder.borrow_mut();
        let (consumed, size) = decoder.whole_message(front, place)?;
        context.buffers.consume(consumed);
        Some((decoder.message_is_text(), size))
    }

    /// Receives a message that comes in one frame and in one piece. None: it did not; nothing of it was
    /// taken.
    fn recv_one_piece(
        &self,
        context: &Context,
        place: Option<&mut [u8]>,
        deadline: i64,
    ) -> Option<Result<(bool, usize)>> {
        let place = place?;
        if self.inbound.get() != Inbound::Open || !self.decoder.borrow().is_between_messages() {
            return None;
        }
        if self.transport.peek(context, <[u8]>::is_empty)
            && let Err(error) = self.fill(context, 2, deadline)
        {
            return Some(Err(error));
        }
        let (text, size) = self.take_whole(context, place)?;
        if let Some(stream) = self.transport.own() {
            stream.read_ahead(size as u64);
        }
        Some(Ok((text, size)))
    }

    fn recv_whole(
        &self,
        context: &Context,
        pieces: Option<Pieces<'_>>,
        deadline: i64,
    ) -> Result<(bool, usize)> {
        match self.inbound.get() {
            Inbound::Open => {}
            Inbound::Closed => return Err(Errno::EPIPE),
            Inbound::Failed => return Err(Errno::ECONNRESET),
        }
        if self.dropping.get() {
            self.run(context, &mut Sink::new(None), deadline)?;
            self.dropping.set(false);
        }
        let mut sink = Sink::new(pieces);
        let partial = self.partial.take();
        // The call that took the header may have had more room than this one.
        let left = self.decoder.borrow().payload_left();
        if left.saturating_add(partial.len() as u64) > sink.room() as u64 {
            self.dropping.set(true);
            return Err(Errno::EMSGSIZE);
        }
        sink.put(&partial);
        match self.run(context, &mut sink, deadline) {
            Ok(()) => Ok((self.decoder.borrow().message_is_text(), sink.len)),
            Err(error) => Err(self.keep(&sink, error)),
        }
    }

    /// Keeps what was received of a message whose receive failed. Bytes that the caller did not
    /// want to have are gone, and so such a message is dropped.
    fn keep(&self, sink: &Sink<'_>, error: Errno) -> Errno {
        if self.inbound.get() != Inbound::Open || self.dropping.get() || sink.len == 0 {
            return error;
        }
        if sink.skipped {
            self.dropping.set(true);
            return error;
        }
        match sink.save() {
            Ok(saved) => {
                self.partial.replace(saved);
                error
            }
            Err(no_memory) => {
                self.dropping.set(true);
                no_memory
            }
        }
    }

    /// Receives the rest of the current message, or the next one, into the sink.
    fn run(&self, context: &Context, sink: &mut Sink<'_>, deadline: i64) -> Result<()> {
        // Pings, fragments and payload that is dropped may come faster than they are dealt with.
        let (mut turn, mut before) = (Turn::default(), sink.len);
        loop {
            turn.step(context, sink.len - before, deadline)?;
            before = sink.len;
            let left = self.decoder.borrow().payload_left();
            if left > 0 {
                self.take_payload(context, sink, left, deadline)?;
                if self.decoder.borrow().payload_left() > 0 {
                    continue;
                }
            } else if !self.take_header(context, deadline)? {
                continue;
            } else {
                let left = self.decoder.borrow().payload_left();
                if let Some(stream) = self.transport.own() {
                    stream.read_ahead(left);
                }
                if left > sink.room() as u64 {
                    self.dropping.set(true);
                    return Err(Errno::EMSGSIZE);
                }
                if left > 0 {
                    continue;
                }
            }
            let ended = self.decoder.borrow_mut().end_of_frame();
            if ended.map_err(|violation| self.fail_connection(context, violation))? {
                return Ok(());
            }
        }
    }

    /// Takes some payload of the current data frame.
    #[inline]
    fn take_payload(&self, context: &Context, sink: &mut Sink<'_>, left: u64, deadline: i64) -> Result<()> {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let (place, len) = sink.place(most);
        let mut decoder = self.decoder.borrow_mut();
        let (taken, skipped, judged) = match place {
            Some(place) => {
                let (taken, judged) = self.transport.peek(context, |bytes| {
                    let taken = bytes.len().min(len);
                    (taken, decoder.payload_copy(&mut place[..taken], &bytes[..taken]))
                });
                let text = decoder.message_is_text();
                drop(decoder);
                if taken > 0 {
                    self.transport.consume(context, taken);
                    (taken, false, judged)
                } else {
                    let read = self.transport.read(context, place, text, deadline);
                    let taken = read.map_err(|error| self.lose_inbound(error))?;
                    (taken, false, self.decoder.borrow_mut().payload_in_place(&mut place[..taken]))
                }
            }
            None => {
                let (taken, judged) = self.transport.peek(context, |bytes| {
                    let taken = bytes.len().min(len);
                    (taken, decoder.payload_skip(&bytes[..taken]))
                });
                drop(decoder);
                self.transport.consume(context, taken);
                if taken == 0 {
                    let want = (len as u64).min(DROPPED_PIECE) as usize;
                    self.fill(context, want, deadline)?;
                }
                (taken, true, judged)
            }
        };
        sink.advance(taken, skipped);
        judged.map_err(|violation| self.fail_connection(context, violation))
    }

    /// Takes one frame header, or one control frame, which is dealt with here. True: a data frame
    /// has begun.
    #[inline]
    fn take_header(&self, context: &Context, deadline: i64) -> Result<bool> {
        let next = self.transport.peek(context, |front| self.decoder.borrow_mut().next(front));
        match next {
            Ok(Next::Data { consumed }) => {
                self.transport.consume(context, consumed);
                return Ok(true);
            }
            Ok(Next::Need(want)) => self.fill(context, want, deadline)?,
            Ok(Next::Ping { consumed, payload }) => {
                self.transport.consume(context, consumed);
                self.pong(context, payload, deadline)?;
            }
            // RFC 6455, 5.5.3: a pong that was not asked for is no error either.
            Ok(Next::Pong { consumed }) => self.transport.consume(context, consumed),
            Ok(Next::Close { consumed, code, reason }) => {
                self.transport.consume(context, consumed);
                self.peer_close.replace(Some(PeerClose { code, reason }));
                self.inbound.set(Inbound::Closed);
                return Err(Errno::EPIPE);
            }
            Err(violation) => return Err(self.fail_connection(context, violation)),
        }
        Ok(false)
    }

    fn fill(&self, context: &Context, want: usize, deadline: i64) -> Result<()> {
        self.transport.fill(context, want, deadline).map_err(|error| self.lose_inbound(error))
    }

    /// Notes an error of the transport. A wait that ended early changes nothing.
    fn lose_inbound(&self, error: Errno) -> Errno {
        if !matches!(error, Errno::ETIMEDOUT | Errno::ECANCELED | Errno::ENOMEM | Errno::EBUSY) {
            self.inbound.set(Inbound::Failed);
        }
        error
    }

    /// RFC 6455, 7.1.7: fails the connection, with a close frame if it can go out at once.
    #[cold]
    fn fail_connection(&self, context: &Context, violation: Violation) -> Errno {
        self.inbound.set(Inbound::Failed);
        if self.outbound.get() == Outbound::Open {
            self.close_at_once(context, violation.code);
            self.outbound.set(Outbound::Done);
        }
        Errno::EPROTO
    }
}
