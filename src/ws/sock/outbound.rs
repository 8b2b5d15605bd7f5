//! Sending: one frame at a time, whole and in the order of the calls.
//!
//! A small frame is copied behind its header into the thread's send buffer and leaves in one
//! system call, together with whatever was gathered there before. A large one leaves from the
//! caller's memory, or in large masked pieces.

use super::compressed::Message;
use super::outgoing::Outgoing;
use super::{GATHER, MORE, NODEFLATE, TEXT, Ws};
use crate::error::{Errno, Result, keep_errno};
use crate::iol::Pieces;
use crate::net::buffers::GATHER_LIMIT;
use crate::net::stream::Stream;
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::object::Ref;
use crate::transport::{CustomStream, Transport};
use crate::ws::encoder::MessageKind;
use crate::ws::frame::{Role, whole_message_at};
use core::ffi::c_int;
use core::ops::Range;

/// Up to this size, in bytes, a frame is copied into the send buffer rather than sent from where
/// it lies.
pub(super) const COPY_LIMIT: usize = 32 * 1024;

/// What became of a small message.
pub(crate) enum FastSend {
    /// It has left, or was gathered.
    Done,
    /// The same, and it is others' turn.
    Spent,
    /// The frame of so many bytes has been accepted; what the kernel did not take is the stream's.
    Partial(usize),
    /// Not taken; use the slow path. No side effect.
    NotTaken,
}

impl Ws {
    /// Sends one message, or a part of one.
    pub(super) fn send_message(&self, flags: c_int, payload: Pieces<'_>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        if payload.has_null() {
            return Err(Errno::EINVAL);
        }
        if flags & MORE == 0
            && let Some(piece) = payload.single()
        {
            // SAFETY: the pieces of a list to send are readable.
            let payload = unsafe { core::slice::from_raw_parts(piece.base, piece.len) };
            match self.send_fast(context, flags, payload) {
                FastSend::Done | FastSend::Spent => return Ok(()),
                FastSend::Partial(len) => return self.send_rest(context, len, payload.len(), deadline),
                FastSend::NotTaken => {}
            }
        }
        // What was gathered long ago leaves first.
        context.charge_at_once(0);
        let stream = self.transport.stream();
        let last = flags & MORE == 0;
        let sent = self.as_message_sender(context, deadline, || {
            let follows = || stream.is_some_and(|stream| self.next_message_is_here(context, stream));
            let gather = stream.is_some() && (flags & GATHER != 0 || (self.gathers && follows()));
            let text = flags & TEXT != 0;
            if self.is_compressed(flags, payload.total()) {
                return self.send_compressed(context, &Message { text, payload, last, gather }, deadline);
            }
            let key = self.fresh_key(context)?;
            let kind = MessageKind { text, extension_bits: 0 };
            let len = payload.total() as u64;
            let before = *self.connection.borrow().encoder();
            let frame = self.connection.borrow_mut().encoder_mut().data(kind, last, len, key);
            let sent = self.send_frame(context, &Outgoing { frame, payload }, gather, deadline);
            // If a part of the frame has left, nothing is sent any more.
            sent.inspect_err(|_| *self.connection.borrow_mut().encoder_mut() = before)
        });
        sent.inspect(|()| {
            if last {
                self.count_sent(payload.total());
            } else {
                self.sent.count_payload(payload.total());
            }
        })
    }

    /// Whether what is sent goes through the extension: for a message in parts, its first part says so.
    fn is_compressed(&self, flags: c_int, len: usize) -> bool {
        let connection = self.connection.borrow();
        if connection.has_open_message() {
            return connection.encoder().message_is_extended();
        }
        flags & NODEFLATE == 0 && self.compresses(if flags & MORE == 0 { len } else { usize::MAX })
    }

    /// The fast path of a small message: appends the frame to the gather buffer, and flushes that unless
    /// gathering is on. Does not switch.
    #[inline(always)]
    pub(super) fn send_fast(&self, context: &Context, flags: c_int, payload: &[u8]) -> FastSend {
        let Some(stream) = self.transport.stream() else { return FastSend::NotTaken };
        let buffers = context.buffers();
        context.charge(payload.len());
        let connection = self.connection.borrow_mut();
        if payload.len() >= self.slow_path_from
            || self.turns.is_taken()
            || !connection.can_begin_message()
            || !stream.is_clear()
        {
            return FastSend::NotTaken;
        }
        let Ok(begin) = buffers.acquire_send(context, stream) else { return FastSend::NotTaken };
        let role = connection.role();
        let Ok(key) = fresh_key(context, role) else { return FastSend::NotTaken };
        let frame = connection.encoder().whole_message(flags & TEXT != 0, payload.len() as u64, key);
        drop(connection);
        // SAFETY: filled at once.
        let place = unsafe { buffers.send_buf_mut(begin) };
        let end = begin + frame.write(place, payload);
        self.count_sent(payload.len());
        let more = flags & GATHER != 0 || (self.gathers && next_message_is_here(context, stream, role));
        if more && end <= GATHER_LIMIT {
            buffers.set_gathered(context, end);
            return FastSend::Done;
        }
        self.send_filled(context, stream, begin..end, more, payload.len())
    }

    /// Sends what the send buffer is filled with, of which `frame` is the newest. While more follows, the part
    /// of a segment at the end waits for it: a segment on its own costs both sides as much as a full one.
    #[inline(never)]
    fn send_filled(
        &self,
        context: &Context,
        stream: &Stream,
        frame: Range<usize>,
        more: bool,
        payload: usize,
    ) -> FastSend {
        let buffers = context.buffers();
        let leaving = if more { stream.whole_segments(frame.end) } else { frame.end };
        // SAFETY: sending copies, or seals into other memory.
        keep_errno(|| match stream.send_some(context, unsafe { buffers.send_buf(0..leaving) }) {
            Ok(sent) if sent == leaving => {
                buffers.retain_tail(context, leaving..frame.end);
                // Records that were made of it may not all have left.
                if stream.has_backlog() { FastSend::Partial(frame.len()) } else { FastSend::Done }
            }
            Ok(sent) => {
                buffers.forget_gathered();
                // SAFETY: sending and queueing copy.
                stream.push_out(context, unsafe { buffers.send_buf(sent..frame.end) });
                FastSend::Partial(frame.len())
            }
            Err(_) => {
                self.sent.discount_message(payload);
                FastSend::NotTaken
            }
        })
    }

    /// Waits until the rest of a small message has left.
    #[cold]
    pub(super) fn send_rest(
        &self,
        context: &Context,
        len: usize,
        payload: usize,
        deadline: i64,
    ) -> Result<()> {
        let Some(stream) = self.transport.stream() else { return Ok(()) };
        let left =
            self.as_message_sender(context, deadline, || self.wait_left(context, stream, len, deadline));
        left.inspect_err(|_| self.sent.discount_message(payload))
    }

    /// Whether the caller can go on without waiting, so that this message can wait for the next.
    pub(super) fn next_message_is_here(&self, context: &Context, stream: &Stream) -> bool {
        next_message_is_here(context, stream, self.connection.borrow().role())
    }

    /// Sends a message, or a part of one, when its turn has come.
    fn as_message_sender(
        &self,
        context: &Context,
        deadline: i64,
        send: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.explain(self.check_outbound())?;
        let is_open = || self.connection.borrow().has_open_message();
        let send = || self.send_in_turn(context, deadline, send);
        // SAFETY: the turns are a part of this object, and are dismissed when it is closed.
        let sent = unsafe { self.turns.run_message(context, deadline, is_open, self, send) };
        self.explain(sent)
    }

    /// Sends control frames between the frames of others.
    pub(super) fn as_control_sender(
        &self,
        context: &Context,
        deadline: i64,
        send: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.explain(self.check_outbound())?;
        let sent = self.turns.run_frame(context, deadline, || self.send_in_turn(context, deadline, send));
        self.explain(sent)
    }

    /// Sends something whose turn has come, and answers a ping, or a violation, that came meanwhile.
    pub(super) fn send_in_turn(
        &self,
        context: &Context,
        deadline: i64,
        send: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let sent = self.check_outbound().and_then(|()| send());
        if self.connection.borrow().is_gone() {
            return Err(Errno::EBADF);
        }
        self.release_broadcasts(context);
        self.send_pending_close(context);
        // What fails here is noted and will be reported by the next send.
        let _ = self.send_pending_pong(context, deadline);
        sent
    }

    /// If a message in parts cannot be ended any more, those who wait for its end are let go on.
    pub(super) fn release_ended_message(&self, context: &Context) {
        if !self.connection.borrow().has_open_message() {
            self.turns.release_idle(context);
        }
    }

    pub(super) fn check_outbound(&self) -> Result<()> {
        self.connection.borrow().check_outbound()
    }

    /// Sends one frame. The caller has the turn.
    pub(super) fn send_frame(
        &self,
        context: &Context,
        frame: &Outgoing<'_>,
        gather: bool,
        deadline: i64,
    ) -> Result<()> {
        let len = frame.len().ok_or(Errno::EMSGSIZE)?;
        match &self.transport {
            Transport::Stream(stream) if len <= COPY_LIMIT => {
                self.send_copied(context, stream, frame, len, gather, deadline)
            }
            Transport::Stream(stream) => self.send_large(context, stream, frame, len, deadline),
            Transport::Custom(custom) => self.send_custom(context, custom, frame, len, deadline),
        }
    }

    pub(super) fn fresh_key(&self, context: &Context) -> Result<Option<[u8; 4]>> {
        fresh_key(context, self.connection.borrow().role())
    }

    /// Waits until nothing stands before this frame.
    pub(super) fn wait_clear(&self, context: &Context, stream: &Stream, deadline: i64) -> Result<()> {
        stream.wait_backlog(context, deadline).inspect_err(|_| {
            if stream.failure().is_some() {
                self.note_broken(context);
            }
        })
    }

    fn send_copied(
        &self,
        context: &Context,
        stream: &Ref<Stream>,
        frame: &Outgoing<'_>,
        len: usize,
        gather: bool,
        deadline: i64,
    ) -> Result<()> {
        self.wait_clear(context, stream, deadline)?;
        if context.buffers().gathered(stream) + len > GATHER_LIMIT {
            context.buffers().flush(context);
            self.wait_clear(context, stream, deadline)?;
        }
        let gathered = context.buffers().acquire_send(context, stream)?;
        // SAFETY: filled at once.
        let end = gathered + frame.write_whole(unsafe { context.buffers().send_buf_mut(gathered) });
        if gather {
            context.buffers().set_gathered(context, end);
            return Ok(());
        }
        context.buffers().forget_gathered();
        // SAFETY: sending and queueing copy.
        stream.push_out(context, unsafe { context.buffers().send_buf(0..end) });
        self.wait_left(context, stream, len, deadline)
    }

    /// Waits until the frame of `len` bytes that was pushed out last has left. What has not begun
    /// to leave is taken back on failure, and the call may be repeated.
    pub(super) fn wait_left(
        &self,
        context: &Context,
        stream: &Stream,
        len: usize,
        deadline: i64,
    ) -> Result<()> {
        self.wait_clear(context, stream, deadline).inspect_err(|_| {
            if self.connection.borrow().can_send() && !stream.drop_unsent_tail(len) {
                self.break_outbound(context, stream);
            }
        })
    }

    fn send_large(
        &self,
        context: &Context,
        stream: &Ref<Stream>,
        frame: &Outgoing<'_>,
        len: usize,
        deadline: i64,
    ) -> Result<()> {
        context.buffers().flush_gathered(context, stream);
        self.wait_clear(context, stream, deadline)?;
        let header = frame.frame.header();
        let mut cursor = frame.payload.cursor();
        let (mut done, mut rounds) = (0, Rounds::default());
        while done < len {
            let sent = if frame.frame.is_masked() {
                context.buffers().acquire_send(context, stream)?;
                // SAFETY: filled at once.
                let mut place = unsafe { context.buffers().send_buf_mut(0) };
                if len - done > place.len() {
                    let most = stream.whole_segments(place.len());
                    place = &mut place[..most];
                }
                let filled = frame.write(done, place);
                // SAFETY: sending copies, or seals into other memory.
                stream.send_some(context, unsafe { context.buffers().send_buf(0..filled) })
            } else {
                stream.send_some_pieces(context, &header[done.min(header.len())..], &cursor)
            };
            let waited = match sent {
                Ok(sent) => {
                    let of_header = header.len().saturating_sub(done).min(sent);
                    cursor.jump(sent - of_header);
                    done += sent;
                    if done < len { rounds.spend(context, sent, deadline) } else { Ok(()) }
                }
                Err(Errno::EAGAIN) => stream.wait_out(context, deadline),
                Err(error) => {
                    stream.fail(error);
                    Err(error)
                }
            };
            waited.inspect_err(|_| {
                if done > 0 || stream.failure().is_some() {
                    self.break_outbound(context, stream);
                }
            })?;
        }
        // Records that were made of it may not all have left.
        self.wait_clear(context, stream, deadline).inspect_err(|_| self.break_outbound(context, stream))
    }

    pub(super) fn note_broken(&self, context: &Context) {
        self.connection.borrow_mut().note_outbound_broken();
        self.release_ended_message(context);
    }

    pub(super) fn break_outbound(&self, context: &Context, stream: &Stream) {
        self.note_broken(context);
        if stream.failure().is_none() {
            stream.fail(Errno::ECONNRESET);
        }
    }

    /// A custom bytestream takes all or nothing, and after a failure nothing more.
    fn send_custom(
        &self,
        context: &Context,
        custom: &CustomStream,
        frame: &Outgoing<'_>,
        len: usize,
        deadline: i64,
    ) -> Result<()> {
        let sent = frame.send_to(custom, len, deadline);
        sent.inspect(|()| custom.count_sent(len)).inspect_err(|_| self.note_broken(context))
    }
}

/// RFC 6455, 5.3: a client masks, with a fresh key for every frame.
#[inline(always)]
fn fresh_key(context: &Context, role: Role) -> Result<Option<[u8; 4]>> {
    match role {
        Role::Client => context.random().map(Some),
        Role::Server => Ok(None),
    }
}

/// Whether what comes next lies in the receive buffer already, as `role` receives it.
#[inline(always)]
fn next_message_is_here(context: &Context, stream: &Stream, role: Role) -> bool {
    // SAFETY: the slice is only read, at once.
    let front = unsafe { context.buffers().received(stream) };
    front.is_some_and(|front| whole_message_at(front, role))
}
