//! Receiving: from the transport through the decoder into the caller's memory.

use super::Ws;
use super::message_sink::{MessageSink, PartialChunk};
use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::net::stream::Stream;
use crate::probes;
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::sock::call::one_element;
use crate::why::{self, Fact};
use crate::ws::close::Violation;
use crate::ws::connection::Event;
use crate::ws::frame::Opcode;

impl Ws {
    /// Receives one message and returns its size; its type is that of `received_text` then. EBUSY, EPIPE after the
    /// peer's close frame, ECONNRESET, EPROTO, EMSGSIZE, ETIMEDOUT, ECANCELED, ENOMEM.
    pub(super) fn recv_message(&self, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<usize> {
        if let Some(piece) = pieces.and_then(|pieces| pieces.single()) {
            // SAFETY: the pieces of a list to receive into are writable, and nobody else writes there during the call.
            let place = unsafe { core::slice::from_raw_parts_mut(piece.base, piece.len) };
            return self.recv_into(place, deadline);
        }
        self.check_no_part()?;
        self.as_receiver(deadline, |context| self.recv_whole(context, pieces, deadline))
    }

    /// The same into one place.
    pub(super) fn recv_into(&self, place: &mut [u8], deadline: i64) -> Result<usize> {
        self.check_no_part()?;
        self.as_receiver(deadline, |context| {
            if let Some(received) = self.recv_in_one_frame(context, place, deadline) {
                return received;
            }
            let element = one_element(place.as_mut_ptr().cast(), place.len());
            // SAFETY: the element is that of `place`, which nobody else uses meanwhile.
            self.recv_whole(context, Some(unsafe { Pieces::one(&element) }), deadline)
        })
    }

    /// EBUSY: the beginning of this message was received by itself.
    fn check_no_part(&self) -> Result<()> {
        let has_part = self.in_part.get() && self.connection.borrow().check_inbound().is_ok();
        if has_part { Err(Errno::EBUSY) } else { Ok(()) }
    }

    /// Runs a receiving operation, which nobody else does meanwhile. EBUSY; EBADF if the handle is closed.
    pub(super) fn as_receiver<R>(
        &self,
        deadline: i64,
        receive: impl FnOnce(&Context) -> Result<R>,
    ) -> Result<R> {
        let context = Context::get()?;
        if self.receiving.is_taken() && !self.closing.get() {
            return Err(Errno::EBUSY);
        }
        let mut received = Err(Errno::EBUSY);
        let result = self.receiving.run(context, deadline, || {
            context.admit(0, deadline)?;
            received = receive(context);
            Ok(())
        });
        if self.connection.borrow().is_gone() {
            return Err(Errno::EBADF);
        }
        if let Some(stream) = self.transport.stream() {
            self.queue_look_ahead(context, stream);
        }
        self.explain(result.and(received))
    }

    /// Takes a message that lies whole in the receive buffer: whether it is text, and its size. None: this is not the
    /// case, and nothing has happened. Does not switch.
    #[inline(always)]
    pub(super) fn try_recv_buffered(&self, context: &Context, place: &mut [u8]) -> Option<(bool, usize)> {
        let stream = self.transport.stream()?;
        if self.receiving.is_taken() || !context.charge_at_once(0) {
            return None;
        }
        self.take_whole(context, stream, place)
    }

    #[inline(always)]
    fn take_whole(&self, context: &Context, stream: &Stream, place: &mut [u8]) -> Option<(bool, usize)> {
        // SAFETY: the decoder only reads it, and it is not used after `consume`.
        let Some(front) = (unsafe { context.buffers().received(stream) }) else {
            return self.take_whole_saved(context, stream, place);
        };
        let mut connection = self.connection.borrow_mut();
        let (consumed, size, text) = connection.whole_message(front, place)?;
        context.buffers().consume(consumed);
        self.count_received(size);
        Some((text, size))
    }

    /// The same while the receive buffer is lent to somebody else.
    #[inline(never)]
    fn take_whole_saved(
        &self,
        context: &Context,
        stream: &Stream,
        place: &mut [u8],
    ) -> Option<(bool, usize)> {
        let mut connection = self.connection.borrow_mut();
        let (consumed, size, text) = stream.peek(context, |front| connection.whole_message(front, place))?;
        stream.consume(context, consumed);
        self.count_received(size);
        Some((text, size))
    }

    /// Whether the message that was received last is text.
    #[inline(always)]
    pub(super) fn received_text(&self) -> bool {
        self.connection.borrow().decoder().message_is_text()
    }

    /// Receives a message that comes in one frame, all of it at once. None: it did not; nothing of it was taken.
    fn recv_in_one_frame(&self, context: &Context, place: &mut [u8], deadline: i64) -> Option<Result<usize>> {
        let stream = self.transport.stream()?;
        if !self.connection.borrow().is_between_messages() {
            return None;
        }
        if stream.peek(context, <[u8]>::is_empty)
            && let Err(error) = self.transport.fill_some(context, 2, deadline)
        {
            return Some(Err(self.lose_inbound(error)));
        }
        let (_, size) = self.take_whole(context, stream, place)?;
        stream.read_ahead(size as u64);
        Some(Ok(size))
    }

    fn recv_whole(&self, context: &Context, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<usize> {
        self.drop_unwanted(context, deadline)?;
        let mut sink = MessageSink::new(pieces);
        let partial = self.partial.take();
        // The call that took the header may have had more room than this one.
        let left = if self.is_in_extended() { 0 } else { self.payload_left() };
        let taken: usize = partial.iter().map(PartialChunk::len).sum();
        if left.saturating_add(taken as u64) > sink.room() as u64 {
            self.dropping.set(true);
            return Err(Errno::EMSGSIZE);
        }
        if matches!(partial[..], [PartialChunk::Bytes { .. }])
            && pieces.is_some_and(|pieces| pieces.single().is_some())
        {
            return self.recv_resumed(context, sink, partial, deadline);
        }
        if !partial.iter().all(|chunk| sink.put(chunk)) {
            self.dropping.set(true);
            return self.recv_whole(context, pieces, deadline);
        }
        match self.run(context, &mut sink, deadline) {
            Ok(()) => Ok(sink.len),
            Err(error) => Err(self.keep(&sink, error)),
        }
    }

    /// Drops the rest of a message that is not wanted, if there is one.
    pub(super) fn drop_unwanted(&self, context: &Context, deadline: i64) -> Result<()> {
        self.connection.borrow().check_inbound()?;
        if self.dropping.get() {
            self.run(context, &mut MessageSink::new(None), deadline)?;
            self.dropping.set(false);
        }
        Ok(())
    }

    /// Keeps what was received of a message whose receive failed.
    fn keep(&self, sink: &MessageSink<'_>, error: Errno) -> Errno {
        if !self.is_in_wanted_message() || sink.len == 0 {
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
    fn run(&self, context: &Context, sink: &mut MessageSink<'_>, deadline: i64) -> Result<()> {
        // Pings, fragments and payload that is dropped may come faster than they are dealt with.
        let mut rounds = Rounds::default();
        sink.work = 0;
        loop {
            let has_ended = self.step(context, sink, deadline)?;
            let work = core::mem::take(&mut sink.work);
            if has_ended {
                // The message is there whatever the time is: the next call yields.
                context.charge(work);
                return Ok(());
            }
            rounds.spend(context, work, deadline)?;
        }
    }

    /// Takes what comes next: a header, or some payload. True: the message has ended.
    pub(super) fn step(&self, context: &Context, sink: &mut MessageSink<'_>, deadline: i64) -> Result<bool> {
        if self.is_in_extended() {
            if !self.take_compressed(context, sink, deadline)? {
                return Ok(false);
            }
        } else if self.payload_left() > 0 {
            self.take_payload(context, sink, deadline)?;
            if self.payload_left() > 0 {
                return Ok(false);
            }
        } else if !self.take_header(context, deadline)? {
            return Ok(false);
        } else {
            let left = self.payload_left();
            if let Some(stream) = self.transport.stream() {
                stream.read_ahead(left);
            }
            if self.is_in_extended() {
                return Ok(false);
            }
            if left > sink.room() as u64 && !sink.takes_some {
                self.dropping.set(true);
                return Err(Errno::EMSGSIZE);
            }
            if left > 0 {
                return Ok(false);
            }
        }
        let ended = self.connection.borrow_mut().end_of_frame();
        let ended = ended.map_err(|violation| self.fail_connection(context, violation))?;
        if ended {
            self.received.count_end();
            probes::message_received(self, self.connection.borrow().decoder().message_len());
        }
        Ok(ended)
    }

    /// Whether the next call may go on with a message whose receive failed.
    pub(super) fn is_in_wanted_message(&self) -> bool {
        self.connection.borrow().check_inbound().is_ok() && !self.dropping.get()
    }

    /// Whether a data frame has begun whose payload has to be decompressed.
    pub(super) fn is_in_extended(&self) -> bool {
        let connection = self.connection.borrow();
        connection.decoder().is_in_frame() && connection.decoder().message_is_extended()
    }

    pub(super) fn payload_left(&self) -> u64 {
        self.connection.borrow().decoder().payload_left()
    }

    /// Takes some payload of the current data frame.
    #[inline]
    fn take_payload(&self, context: &Context, sink: &mut MessageSink<'_>, deadline: i64) -> Result<()> {
        let most = usize::try_from(self.payload_left()).unwrap_or(usize::MAX);
        let (place, len) = sink.place(most);
        let mut connection = self.connection.borrow_mut();
        let (taken, judged) = match place {
            Some(place) => {
                let (taken, judged) = self.transport.peek(context, |bytes| {
                    let taken = bytes.len().min(len);
                    (taken, connection.payload_copy(&mut place[..taken], &bytes[..taken]))
                });
                let text = connection.decoder().message_is_text();
                drop(connection);
                if taken > 0 {
                    self.transport.consume(context, taken);
                    (taken, judged)
                } else {
                    let read = self.transport.read(context, place, text, deadline);
                    let taken = read.map_err(|error| self.lose_inbound(error))?;
                    (taken, self.connection.borrow_mut().payload_in_place(&mut place[..taken]))
                }
            }
            None => {
                let (taken, judged) = self.transport.peek(context, |bytes| {
                    let taken = bytes.len().min(len);
                    (taken, connection.payload_skip(&bytes[..taken]))
                });
                drop(connection);
                self.transport.consume(context, taken);
                if taken == 0 {
                    let filled = self.transport.fill_some(context, len, deadline);
                    filled.map_err(|error| self.lose_inbound(error))?;
                }
                (taken, judged)
            }
        };
        sink.advance(taken);
        self.received.count_payload(taken);
        judged.map_err(|violation| self.fail_connection(context, violation))
    }

    /// Takes one frame header, or one control frame, which is dealt with here. True: a data frame
    /// has begun.
    #[inline]
    fn take_header(&self, context: &Context, deadline: i64) -> Result<bool> {
        let was_looked_at = self.was_looked_at(context);
        let next = self.transport.peek(context, |front| {
            let mut connection = self.connection.borrow_mut();
            if was_looked_at { connection.next_again(front) } else { connection.next(front) }
        });
        let (event, consumed) = next.map_err(|violation| self.fail_connection(context, violation))?;
        self.transport.consume(context, consumed);
        match event {
            Event::Data => return Ok(true),
            Event::Need(want) => self.fill(context, want, deadline)?,
            Event::Ping | Event::Pong(_) if was_looked_at => {}
            Event::Ping => {
                self.received.count_control(Opcode::Ping);
                self.answer_ping(context, deadline)?;
            }
            Event::Pong(hash) => {
                self.received.count_control(Opcode::Pong);
                self.ping_times.note_pong(hash);
            }
            Event::Close => {
                let code = self.connection.borrow().peer_close().map_or(0, |close| close.code);
                probes::close_received(self, code);
                return Err(Errno::EPIPE);
            }
        }
        Ok(false)
    }

    fn fill(&self, context: &Context, want: usize, deadline: i64) -> Result<()> {
        self.transport.fill(context, want, deadline).map_err(|error| self.lose_inbound(error))
    }

    /// Notes an error of the transport. A wait that ended early changes nothing.
    pub(super) fn lose_inbound(&self, error: Errno) -> Errno {
        if !matches!(error, Errno::ETIMEDOUT | Errno::ECANCELED | Errno::ENOMEM | Errno::EBUSY) {
            self.connection.borrow_mut().note_inbound_lost();
        }
        why::note_end(error, "a close frame came")
    }

    /// RFC 6455, 7.1.7: fails the connection, with a close frame. Whoever is sending a frame sends that behind it.
    #[cold]
    pub(super) fn fail_connection(&self, context: &Context, violation: Violation) -> Errno {
        if !self.turns.frame_is_taken() {
            let _ = self.turns.run_frame(context, 0, || {
                self.send_pending_close(context);
                Ok(())
            });
        }
        self.release_ended_message(context);
        why::note(Errno::EPROTO, Fact::Peer(violation.rule))
    }
}
