//! Sending: one frame at a time, whole and in the order of the calls.
//!
//! A small frame is copied behind its header into the thread's send buffer and leaves in one
//! system call, together with whatever was gathered there before. A large one leaves from the
//! caller's memory, or in large masked pieces.

use super::compressed::Message;
use super::{GATHER, NODEFLATE, TEXT, Ws};
use crate::error::{Errno, Result};
use crate::iol::{IoList, Pieces};
use crate::net::buffers::GATHER_LIMIT;
use crate::net::stream::Stream;
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::object::Ref;
use crate::sock::call;
use crate::transport::{Foreign, Transport};
use crate::ws::encoder::{Frame, MessageKind};
use crate::ws::frame::{ControlPayload, MAX_CONTROL_PAYLOAD, MAX_HEADER, Opcode, Role, whole_message_at};
use core::ffi::c_int;
use core::ops::Range;

/// Up to this size, in bytes, a frame is copied into the send buffer rather than sent from where
/// it lies.
pub(super) const COPY_LIMIT: usize = 32 * 1024;
/// How much of a masked frame is prepared for a foreign bytestream at a time, in bytes.
const FOREIGN_PIECE: usize = 64 * 1024;

/// What became of a small message.
pub(super) enum FastSend {
    /// It has left, or was gathered.
    Done,
    /// The frame of so many bytes has been accepted; what the kernel did not take is the stream's.
    Partial(usize),
    /// Not taken; use the slow path. No side effect.
    NotTaken,
}

/// A frame that is being sent.
pub(super) struct Outgoing<'a> {
    pub(super) frame: Frame,
    pub(super) payload: Pieces<'a>,
}

impl Outgoing<'_> {
    /// None if it does not fit in memory.
    fn len(&self) -> Option<usize> {
        self.payload.total().checked_add(self.frame.header().len())
    }

    /// Writes the whole frame to a place that has room for it and a few bytes more; returns its
    /// length.
    #[inline(always)]
    pub(super) fn write_whole(&self, place: &mut [u8]) -> usize {
        let Some(piece) = self.payload.single() else {
            return self.write(0, place);
        };
        // SAFETY: the pieces of a list to send are readable.
        let payload = unsafe { core::slice::from_raw_parts(piece.base, piece.len) };
        self.frame.write(place, payload)
    }

    /// Writes the bytes of the frame from `from` on, masked if need be; returns how many fit.
    fn write(&self, from: usize, place: &mut [u8]) -> usize {
        let header = self.frame.header();
        let mut filled = 0;
        if from < header.len() {
            filled = (header.len() - from).min(place.len());
            place[..filled].copy_from_slice(&header[from..from + filled]);
        }
        let mut offset = from.saturating_sub(header.len());
        let mut cursor = self.payload.cursor();
        cursor.jump(offset);
        while let Some(piece) = cursor.piece() {
            let len = piece.len.min(place.len() - filled);
            if len == 0 {
                break;
            }
            // SAFETY: the pieces of a list to send are readable.
            let bytes = unsafe { core::slice::from_raw_parts(piece.base, len) };
            self.frame.write_payload(&mut place[filled..filled + len], bytes, offset);
            cursor.advance(len);
            offset = offset.wrapping_add(len);
            filled += len;
        }
        filled
    }
}

impl Ws {
    /// Sends one message.
    pub(super) fn send_message(&self, flags: c_int, payload: Pieces<'_>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        if payload.has_null() {
            return Err(Errno::EINVAL);
        }
        if let Some(piece) = payload.single() {
            // SAFETY: the pieces of a list to send are readable.
            let payload = unsafe { core::slice::from_raw_parts(piece.base, piece.len) };
            match self.send_fast(context, flags, payload) {
                FastSend::Done => return Ok(()),
                FastSend::Partial(len) => return self.send_rest(context, len, deadline),
                FastSend::NotTaken => {}
            }
        }
        let stream = self.transport.own();
        if let Some(stream) = stream {
            context.buffers.flush_overdue(stream);
        }
        self.as_sender(context, deadline, || {
            let more = || stream.is_some_and(|stream| self.next_message_is_here(context, stream));
            let gather = stream.is_some() && (flags & GATHER != 0 || (self.gathers && more()));
            let text = flags & TEXT != 0;
            if flags & NODEFLATE == 0 && self.compresses(payload.total()) {
                return self.send_compressed(context, &Message { text, payload, gather }, deadline);
            }
            let key = self.fresh_key(context)?;
            let kind = MessageKind { text, extension_bits: 0 };
            let len = payload.total() as u64;
            let frame = self.connection.borrow_mut().encoder_mut().data(kind, true, len, key);
            self.send_frame(context, &Outgoing { frame, payload }, gather, deadline)
        })
    }

    /// Copies a small message behind what was gathered, where it stays if there is a reason, or else
    /// leaves at once together with that. Does not switch.
    #[inline(always)]
    pub(super) fn send_fast(&self, context: &Context, flags: c_int, payload: &[u8]) -> FastSend {
        let Some(stream) = self.transport.own() else { return FastSend::NotTaken };
        let buffers = &context.buffers;
        buffers.flush_overdue(stream);
        context.charge(payload.len());
        let connection = self.connection.borrow();
        if payload.len() >= self.slow_path_from
            || self.sending.is_taken()
            || !connection.can_begin_message()
            || !stream.is_clear()
        {
            return FastSend::NotTaken;
        }
        let Ok(begin) = buffers.lend_send(stream) else { return FastSend::NotTaken };
        let role = connection.role();
        let Ok(key) = fresh_key(context, role) else { return FastSend::NotTaken };
        let frame = connection.encoder().whole_message(flags & TEXT != 0, payload.len() as u64, key);
        drop(connection);
        // SAFETY: filled at once.
        let place = unsafe { buffers.send_place(begin) };
        let end = begin + frame.write(place, payload);
        let more = flags & GATHER != 0 || (self.gathers && next_message_is_here(context, stream, role));
        if more && end <= GATHER_LIMIT {
            buffers.set_gathered(end);
            return FastSend::Done;
        }
        send_filled(context, stream, begin..end, more)
    }

    /// Waits until the rest of a small message has left.
    #[cold]
    pub(super) fn send_rest(&self, context: &Context, len: usize, deadline: i64) -> Result<()> {
        let Some(stream) = self.transport.own() else { return Ok(()) };
        self.as_sender(context, deadline, || self.wait_left(context, stream, len, deadline))
    }

    /// Whether the caller can go on without waiting, so that this message can wait for the next.
    fn next_message_is_here(&self, context: &Context, stream: &Stream) -> bool {
        next_message_is_here(context, stream, self.connection.borrow().role())
    }

    /// Runs a sending operation when its turn has come, and answers a ping that came meanwhile.
    pub(super) fn as_sender(
        &self,
        context: &Context,
        deadline: i64,
        send: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.check_outbound()?;
        self.sending.run(context, deadline, || {
            let sent = self.check_outbound().and_then(|()| send());
            if self.connection.borrow().is_gone() {
                return Err(Errno::EBADF);
            }
            // What fails here is noted and will be reported by the next send.
            let _ = self.send_pending_pong(context, deadline);
            sent
        })
    }

    pub(super) fn check_outbound(&self) -> Result<()> {
        self.connection.borrow().check_outbound()
    }

    /// Sends one frame. The caller has the turn.
    fn send_frame(&self, context: &Context, frame: &Outgoing<'_>, gather: bool, deadline: i64) -> Result<()> {
        let len = frame.len().ok_or(Errno::EMSGSIZE)?;
        match &self.transport {
            Transport::Own(stream) if len <= COPY_LIMIT => {
                self.send_copied(context, stream, frame, len, gather, deadline)
            }
            Transport::Own(stream) => self.send_large(context, stream, frame, len, deadline),
            Transport::Foreign(foreign) => self.send_foreign(foreign, frame, len, deadline),
        }
    }

    pub(super) fn fresh_key(&self, context: &Context) -> Result<Option<[u8; 4]>> {
        fresh_key(context, self.connection.borrow().role())
    }

    /// Waits until nothing stands before this frame.
    pub(super) fn wait_clear(&self, context: &Context, stream: &Stream, deadline: i64) -> Result<()> {
        stream.wait_backlog(context, deadline).inspect_err(|_| {
            if stream.failure().is_some() {
                self.note_broken();
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
        if context.buffers.gathered(stream) + len > GATHER_LIMIT {
            context.buffers.flush();
            self.wait_clear(context, stream, deadline)?;
        }
        let gathered = context.buffers.lend_send(stream)?;
        // SAFETY: filled at once.
        let end = gathered + frame.write_whole(unsafe { context.buffers.send_place(gathered) });
        if gather {
            context.buffers.set_gathered(end);
            return Ok(());
        }
        context.buffers.set_gathered(0);
        stream.push_out(context.buffers.filled_send(0..end));
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
            if self.connection.borrow().can_send() && !stream.take_back(len) {
                self.break_outbound(stream);
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
        if context.buffers.gathered(stream) > 0 {
            context.buffers.flush();
        }
        self.wait_clear(context, stream, deadline)?;
        let header = frame.frame.header();
        let mut cursor = frame.payload.cursor();
        let (mut done, mut rounds) = (0, Rounds::default());
        while done < len {
            let sent = if frame.frame.is_masked() {
                context.buffers.lend_send(stream)?;
                // SAFETY: filled at once.
                let mut place = unsafe { context.buffers.send_place(0) };
                if len - done > place.len() {
                    let most = stream.whole_segments(place.len());
                    place = &mut place[..most];
                }
                let filled = frame.write(done, place);
                stream.send_some(context, context.buffers.filled_send(0..filled))
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
                    self.break_outbound(stream);
                }
            })?;
        }
        // Records that were made of it may not all have left.
        self.wait_clear(context, stream, deadline).inspect_err(|_| self.break_outbound(stream))
    }

    pub(super) fn note_broken(&self) {
        self.connection.borrow_mut().note_outbound_broken();
    }

    pub(super) fn break_outbound(&self, stream: &Stream) {
        self.note_broken();
        if stream.failure().is_none() {
            stream.fail(Errno::ECONNRESET);
        }
    }

    /// A foreign bytestream takes all or nothing, and after a failure nothing more.
    fn send_foreign(&self, foreign: &Foreign, frame: &Outgoing<'_>, len: usize, deadline: i64) -> Result<()> {
        let sent = if frame.frame.is_masked() {
            send_foreign_masked(foreign, frame, len, deadline)
        } else {
            send_foreign_plain(foreign, frame, deadline)
        };
        sent.inspect_err(|_| self.note_broken())
    }

    // ---- control frames ----

    /// Sends a control frame. The caller has the turn.
    pub(super) fn send_control(
        &self,
        context: &Context,
        opcode: Opcode,
        payload: &ControlPayload,
        deadline: i64,
    ) -> Result<()> {
        let frame = self.control_frame(context, opcode, payload)?;
        let element = element_of(payload.as_bytes());
        self.send_frame(context, &Outgoing { frame, payload: Pieces::one(&element) }, false, deadline)
    }

    fn control_frame(&self, context: &Context, opcode: Opcode, payload: &ControlPayload) -> Result<Frame> {
        let key = self.fresh_key(context)?;
        Ok(self.connection.borrow().encoder().control(opcode, payload.as_bytes().len() as u64, key))
    }

    /// Answers the newest ping, from inside the receiving call. Whoever is sending does it otherwise.
    pub(super) fn answer_ping(&self, context: &Context, deadline: i64) -> Result<()> {
        if self.sending.is_taken() {
            return Ok(());
        }
        match &self.transport {
            Transport::Own(_) => self.send_pending_pong(context, deadline),
            // The transport may make us wait, and nobody may begin a frame meanwhile.
            Transport::Foreign(_) => {
                let send = || self.send_pending_pong(context, deadline);
                match self.as_sender(context, deadline, send) {
                    Err(error @ (Errno::ETIMEDOUT | Errno::ECANCELED)) => Err(error),
                    // The next send reports what became of the outbound half.
                    _ => Ok(()),
                }
            }
        }
    }

    /// Sends the pong that is due, if one is. Nobody else may be sending.
    pub(super) fn send_pending_pong(&self, context: &Context, deadline: i64) -> Result<()> {
        let pong = self.connection.borrow_mut().take_pending_pong();
        let Some(payload) = pong else { return Ok(()) };
        match &self.transport {
            Transport::Own(stream) => self.post(context, stream, Opcode::Pong, &payload),
            Transport::Foreign(_) => self.send_control(context, Opcode::Pong, &payload, deadline),
        }
    }

    /// Sends a control frame without waiting: what the kernel does not take now leaves later.
    fn post(
        &self,
        context: &Context,
        stream: &Ref<Stream>,
        opcode: Opcode,
        payload: &ControlPayload,
    ) -> Result<()> {
        let frame = self.control_frame(context, opcode, payload)?;
        if !stream.has_backlog() {
            let gathered = context.buffers.lend_send(stream)?;
            // Gathered bytes leave plenty of room for a control frame.
            // SAFETY: filled at once.
            let place = unsafe { context.buffers.send_place(gathered) };
            let end = gathered + frame.write(place, payload.as_bytes());
            context.buffers.set_gathered(end);
            if !(self.gathers && end <= GATHER_LIMIT && self.next_message_is_here(context, stream)) {
                context.buffers.flush();
            }
            return Ok(());
        }
        let mut bytes = [0; MAX_HEADER + MAX_CONTROL_PAYLOAD];
        let len = frame.write(&mut bytes, payload.as_bytes());
        stream.push_last(&bytes[..len]);
        Ok(())
    }

    /// Sends the close frame of a connection that has failed, if that is possible without waiting.
    pub(super) fn close_at_once(&self, context: &Context, payload: &ControlPayload) {
        if self.sending.is_taken() {
            return;
        }
        // An error leaves the peer without the code, and the connection fails all the same.
        match &self.transport {
            Transport::Own(stream) => {
                if !stream.has_backlog() {
                    let _ = self.post(context, stream, Opcode::Close, payload);
                    if context.buffers.gathered(stream) > 0 {
                        context.buffers.flush();
                    }
                    stream.close_in_order(true);
                }
            }
            Transport::Foreign(_) => {
                let send = || self.send_control(context, Opcode::Close, payload, 0);
                let _ = self.sending.run(context, 0, send);
            }
        }
    }
}

/// RFC 6455, 5.3: a client masks, with a fresh key for every frame.
#[inline(always)]
fn fresh_key(context: &Context, role: Role) -> Result<Option<[u8; 4]>> {
    match role {
        Role::Client => context.random.take().map(Some),
        Role::Server => Ok(None),
    }
}

/// Whether what comes next lies in the receive buffer already, as `role` receives it.
#[inline(always)]
fn next_message_is_here(context: &Context, stream: &Stream, role: Role) -> bool {
    let front = context.buffers.received(stream);
    front.is_some_and(|front| whole_message_at(front, role))
}

/// Sends what the send buffer is filled with, of which `frame` is the newest. While more follows, the part
/// of a segment at the end waits for it: a segment on its own costs both sides as much as a full one.
#[inline(never)]
fn send_filled(context: &Context, stream: &Stream, frame: Range<usize>, more: bool) -> FastSend {
    let buffers = &context.buffers;
    let leaving = if more { stream.whole_segments(frame.end) } else { frame.end };
    // A call that succeeds at once leaves errno alone, though the kernel may have refused at first.
    let errno = errno::errno();
    match stream.send_some(context, buffers.filled_send(0..leaving)) {
        Ok(sent) if sent == leaving => {
            buffers.keep_filled(leaving..frame.end);
            // Records that were made of it may not all have left.
            if stream.has_backlog() { FastSend::Partial(frame.len()) } else { FastSend::Done }
        }
        Ok(sent) => {
            buffers.set_gathered(0);
            stream.push_out(buffers.filled_send(sent..frame.end));
            FastSend::Partial(frame.len())
        }
        Err(_) => {
            errno::set_errno(errno);
            FastSend::NotTaken
        }
    }
}

/// A list of one element over bytes that are only read.
pub(super) fn element_of(bytes: &[u8]) -> IoList {
    call::one_element(bytes.as_ptr().cast_mut().cast(), bytes.len())
}

/// The header in front of the caller's own list.
fn send_foreign_plain(foreign: &Foreign, frame: &Outgoing<'_>, deadline: i64) -> Result<()> {
    let mut header = element_of(frame.frame.header());
    let (first, last) = frame.payload.ends();
    header.iol_next = first.cast_mut();
    // SAFETY: the header is on this stack, and the list behind it was checked.
    unsafe { call::bsendl(foreign.handle(), &raw mut header, last.cast_mut(), deadline) }
}

/// Masked copies, since the caller's memory is never written to.
fn send_foreign_masked(foreign: &Foreign, frame: &Outgoing<'_>, len: usize, deadline: i64) -> Result<()> {
    let mut copy = Vec::new();
    let mut done = 0;
    while done < len {
        let size = FOREIGN_PIECE.min(len - done);
        if copy.len() < size {
            copy.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
            copy.resize(size, 0);
        }
        let filled = frame.write(done, &mut copy[..size]);
        call::send_all(foreign.handle(), &copy[..filled], deadline)?;
        done += filled;
    }
    Ok(())
}
