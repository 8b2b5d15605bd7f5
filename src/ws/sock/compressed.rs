//! Messages that go through the extension, in both directions.
//!
//! They pass in pieces: what is compressed leaves in frames of at most 64 KiB, and of what is received no
//! more is decompressed than there is room for. The codec runs on the thread's big stack.

use super::Ws;
use super::message_sink::MessageSink;
use super::outbound::COPY_LIMIT;
use super::outgoing::Outgoing;
use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::net::buffers::GATHER_LIMIT;
use crate::net::stream::Stream;
use crate::rt::big_stack::BigStack;
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::object::Ref;
use crate::sock::call;
use crate::transport::{CustomStream, Transport};
use crate::ws::connection::{Decoded, NotDecoded, Output, Stop};
use crate::ws::encoder::{Encoder, MessageKind};
use crate::ws::extension::{Ends, Extension, MIN_ROOM, NoMemory};
use crate::ws::frame::MAX_HEADER;

/// How much compressed payload a frame has at most, in bytes: its length takes two bytes.
const FRAME: usize = 64 * 1024 - 1;
/// The header of such a frame: four bytes and a key.
const HEADER: usize = 8;
/// How much is compressed or decompressed before others get a chance to run, in bytes.
const STEP: usize = 64 * 1024;
/// And of how much that is, when decompressing, with what a byte of it costs, in bytes moved: there may be blocks with
/// nothing in them.
const STEP_INPUT: usize = 8 * 1024;
const WORK_OF_INPUT: usize = 8;

/// A message on its way out, or a part of one.
pub(super) struct Message<'a> {
    pub(super) text: bool,
    pub(super) payload: Pieces<'a>,
    /// It ends with this payload.
    pub(super) last: bool,
    /// It may wait for what follows it.
    pub(super) gather: bool,
}

/// A frame that was made of the next bytes of a message.
struct Made {
    /// How long it is. 0: all is still in the codec.
    len: usize,
    /// Bytes of the message that are in it, or still in the codec.
    consumed: usize,
    /// All of them are in it, and in the frames before.
    last: bool,
}

impl Ws {
    /// From which length on, in bytes, messages do not take the fast path.
    pub(super) fn slow_path_from(threshold: Option<usize>) -> usize {
        threshold.unwrap_or(usize::MAX).min(COPY_LIMIT - MAX_HEADER + 1)
    }

    /// Whether a message of this length is compressed, if nothing is said against it.
    pub(super) fn compresses(&self, len: usize) -> bool {
        self.extension.borrow().as_ref().is_some_and(|extension| extension.is_worthwhile(len))
    }

    // ---- sending ----

    /// Compresses a message and sends it. The caller has the turn.
    pub(super) fn send_compressed(
        &self,
        context: &Context,
        message: &Message<'_>,
        deadline: i64,
    ) -> Result<()> {
        let (mut done, mut begun, mut rounds) = (0, false, Rounds::default());
        loop {
            let before = *self.connection.borrow().encoder();
            let sent = match &self.transport {
                Transport::Stream(stream) => self.send_own_part(context, stream, message, done, deadline),
                Transport::Custom(custom) => self.send_custom_part(context, custom, message, done, deadline),
            };
            let made = sent.inspect_err(|_| self.part_was_lost(context, begun, before))?;
            if made.last {
                if let Some(extension) = self.extension.borrow_mut().as_mut() {
                    extension.note_part_left();
                }
                return Ok(());
            }
            done += made.consumed;
            begun |= made.len > 0;
            // RFC 6455, 5.4: control frames may stand between the frames of a message.
            let _ = self.send_pending_pong(context, deadline);
            let before = *self.connection.borrow().encoder();
            let spent = rounds.spend(context, made.consumed, deadline);
            spent.inspect_err(|_| self.part_was_lost(context, begun, before))?;
            self.check_outbound()?;
        }
    }

    /// A frame has not left. If none before it has in this call, that may be repeated.
    fn part_was_lost(&self, context: &Context, begun: bool, before: Encoder) {
        if let Some(extension) = self.extension.borrow_mut().as_mut() {
            extension.forget_part();
        }
        match self.transport.stream() {
            _ if !begun => *self.connection.borrow_mut().encoder_mut() = before,
            Some(stream) => self.break_outbound(context, stream),
            None => self.note_broken(context),
        }
    }

    fn send_own_part(
        &self,
        context: &Context,
        stream: &Ref<Stream>,
        message: &Message<'_>,
        done: usize,
        deadline: i64,
    ) -> Result<Made> {
        let buffers = context.buffers();
        self.wait_clear(context, stream, deadline)?;
        let most = HEADER + FRAME.min(message.payload.total() + MIN_ROOM);
        if buffers.gathered(stream) + most > GATHER_LIMIT {
            buffers.flush(context);
            self.wait_clear(context, stream, deadline)?;
        }
        let begin = buffers.acquire_send(context, stream)?;
        // SAFETY: filled at once.
        let place = unsafe { buffers.send_buf_mut(begin) };
        let made = self.make_part(context, &mut place[..HEADER + FRAME], message, done)?;
        if made.len == 0 {
            return Ok(made);
        }
        let end = begin + made.len;
        if message.gather && made.last {
            buffers.set_gathered(context, end);
            return Ok(made);
        }
        buffers.forget_gathered();
        // SAFETY: sending and queueing copy.
        stream.push_out(context, unsafe { buffers.send_buf(0..end) });
        self.wait_left(context, stream, made.len, deadline)?;
        Ok(made)
    }

    fn send_custom_part(
        &self,
        context: &Context,
        custom: &CustomStream,
        message: &Message<'_>,
        done: usize,
        deadline: i64,
    ) -> Result<Made> {
        let len = HEADER + FRAME.min(message.payload.total() + 2 * MIN_ROOM);
        let mut place = Vec::new();
        place.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
        place.resize(len, 0);
        let made = self.make_part(context, &mut place, message, done)?;
        if made.len == 0 {
            return Ok(made);
        }
        let sent = call::send_all(custom.handle(), &place[..made.len], deadline);
        // It takes all or nothing, and after a failure nothing more.
        sent.inspect_err(|_| self.note_broken(context))?;
        custom.count_sent(made.len);
        Ok(made)
    }

    /// Makes a frame of what follows the first `done` bytes of a message.
    fn make_part(
        &self,
        context: &Context,
        place: &mut [u8],
        message: &Message<'_>,
        done: usize,
    ) -> Result<Made> {
        let key = self.fresh_key(context)?;
        let payload_at = if key.is_some() { HEADER } else { HEADER - 4 };
        let body = &mut place[payload_at..];
        let compress = || self.compress(message, done, body);
        let (filled, made) = BigStack::get()?.run(compress)?;
        if filled == 0 && !made.last {
            return Ok(made);
        }

        let mut kind = MessageKind { text: message.text, extension_bits: 0 };
        let is_whole = message.last && !self.connection.borrow().has_open_message();
        if is_whole && made.last && filled >= message.payload.total() && !self.keeps_context() {
            // It has not become shorter.
            let len = message.payload.total() as u64;
            let frame = self.connection.borrow_mut().encoder_mut().data(kind, true, len, key);
            let len = Outgoing { frame, payload: message.payload }.write_whole(place);
            return Ok(Made { len, ..made });
        }
        kind.extension_bits = self.extension.borrow().as_ref().map_or(0, |extension| extension.bits());
        let last = made.last && message.last;
        let frame = self.connection.borrow_mut().encoder_mut().data(kind, last, filled as u64, key);
        let header = frame.header();
        if header.len() < payload_at {
            place.copy_within(payload_at..payload_at + filled, header.len());
        }
        let len = header.len() + filled;
        place[..header.len()].copy_from_slice(header);
        frame.mask_in_place(&mut place[header.len()..len]);
        Ok(Made { len, ..made })
    }

    fn keeps_context(&self) -> bool {
        self.extension.borrow().as_ref().is_some_and(|extension| extension.negotiated().context)
    }

    /// Compresses until the payload, the room or the step ends: how much was filled, and what with.
    fn compress(&self, message: &Message<'_>, done: usize, body: &mut [u8]) -> Result<(usize, Made)> {
        let payload = message.payload;
        let mut extension = self.extension.borrow_mut();
        let extension = extension.as_mut().ok_or(Errno::EPIPE)?;
        let mut cursor = payload.cursor();
        cursor.jump(done);
        let (mut filled, mut consumed) = (0, 0);
        loop {
            let input: &[u8] = match cursor.piece() {
                // SAFETY: the pieces of a list to send are readable.
                Some(piece) => unsafe {
                    core::slice::from_raw_parts(piece.base, piece.len.min(STEP - consumed))
                },
                None => &[],
            };
            let ends = match done + consumed + input.len() == payload.total() {
                true if message.last => Ends::Message,
                true => Ends::Part,
                false => Ends::Nothing,
            };
            let progress = extension.encode(input, ends, &mut body[filled..]);
            let progress = progress.map_err(|NoMemory| Errno::ENOMEM)?;
            cursor.advance(progress.consumed);
            consumed += progress.consumed;
            filled += progress.produced;
            if progress.done || body.len() - filled < MIN_ROOM || consumed == STEP {
                return Ok((filled, Made { len: 0, consumed, last: progress.done }));
            }
        }
    }

    // ---- receiving ----

    /// Takes some payload of a data frame of the extension's. True: all of it was taken.
    pub(super) fn take_compressed(
        &self,
        context: &Context,
        sink: &mut MessageSink<'_>,
        deadline: i64,
    ) -> Result<bool> {
        if self.dropping.get() && self.skips_message() {
            return self.discard_payload(context, deadline);
        }
        let (place, len) = sink.place(sink.room().min(STEP));
        let output = match place {
            Some(place) => Output::Place(place),
            None => Output::Skip(len),
        };
        let step = |front: &[u8]| self.decompress(&front[..front.len().min(STEP_INPUT)], output);
        let decoded = self.transport.peek(context, step)?;
        let Decoded { consumed, produced, stop } = decoded.map_err(|error| match error {
            NotDecoded::Violation(violation) => self.fail_connection(context, violation),
            NotDecoded::NoMemory => Errno::ENOMEM,
        })?;
        self.transport.consume(context, consumed);
        sink.advance(produced);
        sink.work += WORK_OF_INPUT * consumed;
        self.received.count_payload(produced);
        match stop {
            Stop::EndOfFrame => return Ok(true),
            Stop::NeedRoom if sink.room() == 0 && !sink.takes_some => {
                self.dropping.set(true);
                return Err(Errno::EMSGSIZE);
            }
            Stop::NeedRoom => {}
            // It is given before more is waited for.
            Stop::NeedPayload if sink.takes_some && produced > 0 => {}
            Stop::NeedPayload if !self.transport.peek(context, <[u8]>::is_empty) => {}
            Stop::NeedPayload => self.fill_payload(context, deadline)?,
        }
        Ok(false)
    }

    fn decompress(
        &self,
        front: &[u8],
        output: Output<'_>,
    ) -> Result<core::result::Result<Decoded, NotDecoded>> {
        let mut extension = self.extension.borrow_mut();
        let extension = extension.as_mut().ok_or(Errno::EPIPE)?;
        let mut connection = self.connection.borrow_mut();
        Ok(BigStack::get()?.run(|| connection.decode(&mut **extension, front, output)))
    }

    /// Whether the rest of a message that nobody wants need not be decompressed.
    fn skips_message(&self) -> bool {
        self.extension.borrow_mut().as_mut().is_none_or(|extension| extension.skip_message())
    }

    fn discard_payload(&self, context: &Context, deadline: i64) -> Result<bool> {
        let left = usize::try_from(self.payload_left()).unwrap_or(usize::MAX);
        let taken = self.transport.peek(context, |front| front.len().min(left));
        self.connection.borrow_mut().payload_discard(taken);
        self.transport.consume(context, taken);
        if taken < left {
            self.fill_payload(context, deadline)?;
        }
        Ok(taken == left)
    }

    fn fill_payload(&self, context: &Context, deadline: i64) -> Result<()> {
        let left = usize::try_from(self.payload_left()).unwrap_or(usize::MAX);
        self.transport.fill_some(context, left, deadline).map_err(|error| self.lose_inbound(error))
    }
}
