//! One message to many. It is made once, and shared by all that cannot take it at once: nobody is waited for.

use super::broadcast_message::{BroadcastMessage, Compressed, LONG, compress, masked_frame};
use super::{SEND_FLAGS, Ws};
use crate::error::{Errno, Result};
use crate::net::stream::{Shared, Stream};
use crate::rt::budget::SYSTEM_CALL;
use crate::rt::context::Context;
use crate::rt::handle::Id;
use crate::rt::object::{self, Ref};
use crate::ws::encoder::MessageKind;
use crate::ws::extension::Extension;
use core::ffi::c_int;

/// Sends one message to each WebSocket of a list, without waiting, but to none that has more than `max_backlog`
/// bytes to send already. Tells of each, by its place in the list, what became of it, and returns how many have
/// taken it. Others run while a long message is made ready. `payload` None: NULL with a length. EINVAL, ENOMEM:
/// nobody has taken it.
pub(crate) fn broadcast(
    handles: &[c_int],
    flags: c_int,
    payload: Option<&[u8]>,
    max_backlog: usize,
    tell: impl FnMut(usize, Result<()>),
) -> Result<c_int> {
    let payload = payload.filter(|_| flags & !SEND_FLAGS == 0).ok_or(Errno::EINVAL)?;
    let context = Context::get()?;
    if payload.len() >= LONG {
        return broadcast_long(context, handles, flags, payload, max_backlog, tell);
    }
    send_to_each(context, handles, BroadcastMessage::new(flags, payload, |_| {})?, max_backlog, tell)
}

/// The same for a long message, which is made ready in turns: meanwhile handles may be closed, and the caller's
/// list may change.
#[cold]
fn broadcast_long(
    context: &Context,
    handles: &[c_int],
    flags: c_int,
    payload: &[u8],
    max_backlog: usize,
    tell: impl FnMut(usize, Result<()>),
) -> Result<c_int> {
    let mut ids = try_list(handles.len())?;
    ids.extend(handles.iter().map(|handle| Id::of(*handle)));
    let take_turns = |work| {
        context.charge(work);
        context.pause();
    };
    let mut message = BroadcastMessage::new(flags, payload, take_turns)?;
    for id in &ids {
        let Ok(ws) = find(context, id.handle()) else { continue };
        let how = ws.extension.borrow().as_ref().and_then(|extension| message.missing(extension));
        if let Some(how) = how {
            message.compress_for(how?, take_turns)?;
        }
    }
    let mut open = try_list(ids.len())?;
    open.extend(ids.into_iter().map(Id::handle));
    send_to_each(context, &open, message, max_backlog, tell)
}

fn try_list<T>(len: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    Ok(list)
}

/// Does not switch before everybody has it.
#[inline(never)]
fn send_to_each(
    context: &Context,
    handles: &[c_int],
    mut message: BroadcastMessage<'_>,
    max_backlog: usize,
    mut tell: impl FnMut(usize, Result<()>),
) -> Result<c_int> {
    let plain = message.plain().clone();
    let (frame, len): (&[u8], _) = (&plain, message.payload().len());
    // Nothing is gathered from here on, unless `find` says so.
    context.buffers().flush(context);
    let (mut sent_in_full, mut refused) = (handles.len(), 0);
    for (index, handle) in handles.iter().enumerate() {
        // SAFETY: what is done with it neither switches nor closes anything, and it is not used afterwards.
        let ws = unsafe { object::peek::<Ws>(context, *handle) };
        let sent = match (ws, ws.and_then(|ws| ws.clear_stream(len))) {
            (Some(ws), Some(stream)) => {
                let result = stream.try_send(frame);
                if result == frame.len() as isize {
                    ws.count_sent(len);
                    tell(index, Ok(()));
                    continue;
                }
                ws.take_rest(context, stream, &message, result)
            }
            (Some(ws), None) => ws.take(context, &mut message, max_backlog),
            (None, _) => find(context, *handle).and_then(|ws| ws.take(context, &mut message, max_backlog)),
        };
        sent_in_full -= 1;
        refused += usize::from(sent.is_err());
        tell(index, sent);
    }
    // What was sent can have made any stream of this thread readable.
    context.new_epoch();
    // The others are charged by the stream.
    context.charge(sent_in_full.saturating_mul(SYSTEM_CALL));
    context.pause();
    // There were no more handles than a C int counts.
    Ok((handles.len() - refused) as c_int)
}

#[cold]
fn find(context: &Context, handle: c_int) -> Result<Ref<Ws>> {
    let found = object::find::<Ws>(handle);
    // The program's own types may do anything when they are asked.
    context.buffers().flush(context);
    found.map_err(|error| if error == Errno::EBADF { error } else { Errno::ENOTSUP })
}

impl Ws {
    /// The stream, if a message of so many bytes can leave on it at once, and as it is.
    #[inline(always)]
    fn clear_stream(&self, len: usize) -> Option<&Ref<Stream>> {
        let stream = self.transport.stream()?;
        let can_send = {
            let connection = self.connection.borrow();
            // Whoever has begun a message and not ended it keeps the turn.
            debug_assert!(self.turns.is_taken() || connection.can_begin_message() || !connection.can_send());
            connection.can_send()
        };
        let is_clear = can_send && len < self.broadcast_changed_from && !self.turns.is_taken();
        (is_clear && stream.is_plainly_clear()).then_some(stream)
    }

    /// Takes the rest of a message that has begun to leave, or tried to.
    #[cold]
    fn take_rest(
        &self,
        context: &Context,
        stream: &Stream,
        message: &BroadcastMessage<'_>,
        result: isize,
    ) -> Result<()> {
        let sent = stream.queue_rest_of(context, message.plain(), result);
        self.note_sent(context, sent).inspect(|()| self.count_sent(message.payload().len()))
    }

    /// Takes a message behind everything that waits to be sent. EAGAIN: that is too much.
    #[inline(never)]
    fn take(&self, context: &Context, message: &mut BroadcastMessage<'_>, max_backlog: usize) -> Result<()> {
        let stream = self.transport.stream().ok_or(Errno::ENOTSUP)?;
        self.check_outbound()?;
        if self.ending.get() {
            return Err(Errno::EPIPE);
        }
        if stream.failure().is_some() {
            return self.note_sent(context, Err(Errno::ECONNRESET));
        }
        if stream.queued(context) > max_backlog {
            return Err(Errno::EAGAIN);
        }
        let must_wait = self.turns.is_taken() || !self.connection.borrow().can_begin_message();
        let frame = self.frame_of(context, message, must_wait);
        if must_wait {
            return stream.hold(&frame?).inspect(|()| self.count_sent(message.payload().len()));
        }
        let sent = frame.and_then(|frame| stream.send_shared(context, &frame));
        if sent.is_err()
            && let Some(extension) = self.extension.borrow_mut().as_mut()
        {
            // A window that is kept must not have what the peer has not got.
            extension.forget_part();
        }
        self.note_sent(context, sent).inspect(|()| self.count_sent(message.payload().len()))
    }

    /// The message as this connection sends it.
    fn frame_of(
        &self,
        context: &Context,
        message: &mut BroadcastMessage<'_>,
        is_busy: bool,
    ) -> Result<Shared> {
        let compressed = self.compressed(message, is_busy);
        let Some(key) = self.fresh_key(context)? else {
            return Ok(compressed.map_or_else(|| message.plain().clone(), |compressed| compressed.frame));
        };
        let (extension_bits, payload) = match &compressed {
            Some(compressed) => (compressed.bits, &compressed.frame[compressed.header..]),
            None => (0, message.payload()),
        };
        masked_frame(MessageKind { text: message.text(), extension_bits }, payload, key)
    }

    /// None: it leaves as it is.
    fn compressed(&self, message: &mut BroadcastMessage<'_>, is_busy: bool) -> Option<Compressed> {
        let mut extension = self.extension.borrow_mut();
        let extension = extension.as_mut().filter(|extension| message.is_compressed_by(extension))?;
        let keeps_window = extension.negotiated().context;
        // The window is the message's that is being sent.
        if keeps_window && is_busy {
            return None;
        }
        if keeps_window && !message.is_long() {
            return compress(extension, message.text(), message.payload(), |_| {}).ok();
        }
        let made = message.compressed_like(extension);
        if keeps_window && made.is_some() {
            // It refers to nothing in this window, which begins anew behind it.
            extension.forget_part();
        }
        made
    }

    /// Notes that a frame could not leave, and what that means.
    #[cold]
    fn note_sent(&self, context: &Context, sent: Result<()>) -> Result<()> {
        match sent {
            // Nothing has happened.
            Err(Errno::ENOMEM)
                if self.transport.stream().is_some_and(|stream| stream.failure().is_none()) =>
            {
                sent
            }
            Err(_) => {
                self.note_broken(context);
                Err(Errno::ECONNRESET)
            }
            Ok(()) => Ok(()),
        }
    }

    /// Lets broadcasts follow a message, if that has ended.
    pub(super) fn release_broadcasts(&self, context: &Context) {
        let Some(stream) = self.transport.stream() else { return };
        if stream.has_held() {
            let connection = self.connection.borrow();
            let (may_follow, never) = (connection.can_begin_message(), !connection.can_send());
            drop(connection);
            if may_follow || never {
                stream.release_held(context, may_follow);
            }
        }
    }
}
