//! One message to many. It is made once, and shared by all that cannot take it at once: nobody is waited for.

use super::{NODEFLATE, SEND_FLAGS, TEXT, Ws};
use crate::error::{Errno, Result};
use crate::net::stream::{Shared, Stream};
use crate::rt::big_stack::BigStack;
use crate::rt::budget::SYSTEM_CALL;
use crate::rt::context::Context;
use crate::rt::object::{self, Ref};
use crate::ws::deflate::Deflate;
use crate::ws::encoder::{Encoder, MessageKind};
use crate::ws::extension::{Ends, Extension, MIN_ROOM};
use crate::ws::frame::MAX_HEADER;
use core::ffi::c_int;

/// Sends one message to each WebSocket of a list, without waiting, but to none that has more than `max_backlog`
/// bytes to send already. Tells of each, by its place in the list, what became of it, and returns how many have
/// taken it. `payload` None: NULL with a length. EINVAL, ENOMEM: nobody has.
pub(crate) fn broadcast(
    handles: &[c_int],
    flags: c_int,
    payload: Option<&[u8]>,
    max_backlog: usize,
    mut tell: impl FnMut(usize, Result<()>),
) -> Result<c_int> {
    let payload = payload.filter(|_| flags & !SEND_FLAGS == 0).ok_or(Errno::EINVAL)?;
    let context = Context::get()?;
    let mut message = BroadcastMessage::new(flags, payload)?;
    let plain = message.plain.clone();
    let frame: &[u8] = &plain;
    // Nothing is gathered from here on, unless `find` says so.
    context.buffers().flush();
    let mut refused = 0;
    for (index, handle) in handles.iter().enumerate() {
        // SAFETY: what is done with it neither switches nor closes anything, and it is not used afterwards.
        let ws = unsafe { object::peek::<Ws>(context, *handle) };
        let sent = match (ws, ws.and_then(|ws| ws.clear_stream(payload.len()))) {
            (Some(ws), Some(stream)) => {
                let result = stream.try_send(frame);
                if result == frame.len() as isize {
                    ws.count_sent(payload.len());
                    tell(index, Ok(()));
                    continue;
                }
                ws.take_rest(context, stream, &message, result)
            }
            (Some(ws), None) => ws.take(context, &mut message, max_backlog),
            (None, _) => find(context, *handle).and_then(|ws| ws.take(context, &mut message, max_backlog)),
        };
        refused += usize::from(sent.is_err());
        tell(index, sent);
    }
    // What was sent can have made any stream of this thread readable.
    context.new_epoch();
    context.charge(handles.len().saturating_mul(SYSTEM_CALL));
    context.pause();
    // There were no more handles than a C int counts.
    Ok((handles.len() - refused) as c_int)
}

#[cold]
fn find(context: &Context, handle: c_int) -> Result<Ref<Ws>> {
    let found = object::find::<Ws>(handle);
    // The program's own types may do anything when they are asked.
    context.buffers().flush();
    found.map_err(|error| if error == Errno::EBADF { error } else { Errno::ENOTSUP })
}

/// A message on its way to many.
struct BroadcastMessage<'a> {
    text: bool,
    payload: &'a [u8],
    may_compress: bool,
    /// The frame as servers send it.
    plain: Shared,
    /// What became of it with each set of parameters so far, or None if it did not become shorter.
    compressed: Vec<(Deflate, Option<Compressed>)>,
}

/// A frame that was compressed.
#[derive(Clone)]
struct Compressed {
    bits: u8,
    header: usize,
    frame: Shared,
}

impl<'a> BroadcastMessage<'a> {
    fn new(flags: c_int, payload: &'a [u8]) -> Result<BroadcastMessage<'a>> {
        let text = flags & TEXT != 0;
        let plain = frame(MessageKind { text, extension_bits: 0 }, payload, None)?;
        let may_compress = flags & NODEFLATE == 0;
        Ok(BroadcastMessage { text, payload, may_compress, plain, compressed: Vec::new() })
    }

    /// It as those compress it that do not keep their window. If there is no memory for that, it leaves as it is.
    fn compressed_like(&mut self, extension: &Deflate) -> Option<Compressed> {
        if let Some((_, known)) = self.compressed.iter().find(|(how, _)| how.compresses_like(extension)) {
            return known.clone();
        }
        let mut how = extension.for_several()?;
        let made = compress(&mut how, self.text, self.payload).ok()?;
        let made = made.filter(|made| made.frame.len() < self.plain.len());
        self.compressed.try_reserve(1).ok()?;
        self.compressed.push((how, made.clone()));
        made
    }
}

/// A whole message as one frame. ENOMEM.
fn frame(kind: MessageKind, payload: &[u8], key: Option<[u8; 4]>) -> Result<Shared> {
    let frame = Encoder::default().data(kind, true, payload.len() as u64, key);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(payload.len() + 2 * MAX_HEADER).map_err(|_| Errno::ENOMEM)?;
    bytes.resize(payload.len() + 2 * MAX_HEADER, 0);
    let len = frame.write(&mut bytes, payload);
    bytes.truncate(len);
    Shared::new(bytes, 0)
}

/// Compresses a whole message. ENOMEM, and nothing has happened.
fn compress(extension: &mut Deflate, text: bool, payload: &[u8]) -> Result<Option<Compressed>> {
    let mut bytes = Vec::new();
    let made = BigStack::get()?.run(|| compress_to(extension, payload, &mut bytes));
    let (bits, mut header) = (extension.bits(), 0);
    let made = made.and_then(|()| {
        let kind = MessageKind { text, extension_bits: bits };
        let frame = Encoder::default().data(kind, true, (bytes.len() - MAX_HEADER) as u64, None);
        header = frame.header().len();
        let start = MAX_HEADER - header;
        bytes[start..MAX_HEADER].copy_from_slice(frame.header());
        Shared::new(bytes, start)
    });
    let frame = made.inspect_err(|_| extension.forget_part())?;
    Ok(Some(Compressed { bits, header, frame }))
}

/// The same, behind room for a header.
fn compress_to(extension: &mut Deflate, payload: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
    let (mut filled, mut consumed) = (MAX_HEADER, 0);
    loop {
        let len = filled + (payload.len() - consumed) + 4 * MIN_ROOM;
        if len > bytes.len() {
            bytes.try_reserve(len - bytes.len()).map_err(|_| Errno::ENOMEM)?;
            bytes.resize(len, 0);
        }
        let progress = extension.encode(&payload[consumed..], Ends::Message, &mut bytes[filled..]);
        let progress = progress.map_err(|_| Errno::ENOMEM)?;
        consumed += progress.consumed;
        filled += progress.produced;
        if progress.done {
            bytes.truncate(filled);
            return Ok(());
        }
    }
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
        let sent = stream.queue_rest_of(context, &message.plain, result);
        self.note_sent(sent).inspect(|()| self.count_sent(message.payload.len()))
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
            return self.note_sent(Err(Errno::ECONNRESET));
        }
        if stream.queued(context) > max_backlog {
            return Err(Errno::EAGAIN);
        }
        let must_wait = self.turns.is_taken() || !self.connection.borrow().can_begin_message();
        let frame = self.frame_of(context, message, must_wait);
        if must_wait {
            return stream.hold(&frame?).inspect(|()| self.count_sent(message.payload.len()));
        }
        let sent = frame.and_then(|frame| stream.send_shared(context, &frame));
        if sent.is_err()
            && let Some(extension) = self.extension.borrow_mut().as_mut()
        {
            // A window that is kept must not have what the peer has not got.
            extension.forget_part();
        }
        self.note_sent(sent).inspect(|()| self.count_sent(message.payload.len()))
    }

    /// The message as this connection sends it.
    fn frame_of(
        &self,
        context: &Context,
        message: &mut BroadcastMessage<'_>,
        is_busy: bool,
    ) -> Result<Shared> {
        let compressed = if message.may_compress { self.compressed(message, is_busy) } else { None };
        let Some(key) = self.fresh_key(context)? else {
            return Ok(compressed.map_or_else(|| message.plain.clone(), |compressed| compressed.frame));
        };
        let (extension_bits, payload) = match &compressed {
            Some(compressed) => (compressed.bits, &compressed.frame[compressed.header..]),
            None => (0, message.payload),
        };
        frame(MessageKind { text: message.text, extension_bits }, payload, Some(key))
    }

    /// None: it leaves as it is.
    fn compressed(&self, message: &mut BroadcastMessage<'_>, is_busy: bool) -> Option<Compressed> {
        let mut extension = self.extension.borrow_mut();
        let extension =
            extension.as_mut().filter(|extension| extension.is_worthwhile(message.payload.len()))?;
        if !extension.negotiated().context {
            return message.compressed_like(extension);
        }
        // The window is the message's that is being sent.
        if is_busy { None } else { compress(extension, message.text, message.payload).ok()? }
    }

    /// Notes that a frame could not leave, and what that means.
    #[cold]
    fn note_sent(&self, sent: Result<()>) -> Result<()> {
        match sent {
            // Nothing has happened.
            Err(Errno::ENOMEM)
                if self.transport.stream().is_some_and(|stream| stream.failure().is_none()) =>
            {
                sent
            }
            Err(_) => {
                self.note_broken();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::deflate::{Effort, Negotiated};

    #[test]
    fn a_message_that_is_longer_than_what_the_codec_takes_at_once_is_compressed_whole() {
        let agreed =
            Negotiated { window_bits: 15, peer_window_bits: 15, context: false, peer_context: false };
        let mut deflate = Deflate::new(agreed, Effort::usual(false));
        let (payload, mut bytes) = (vec![7; 5 << 20], Vec::new());
        compress_to(&mut deflate, &payload, &mut bytes).unwrap_or_else(|_| panic!("no memory"));
        let (mut left, mut message) = (&bytes[MAX_HEADER..], vec![0; 6 << 20]);
        let (mut len, mut done) = (0, false);
        while !done {
            let room = (len + (1 << 16)).min(message.len());
            let progress = deflate.decode(left, true, &mut message[len..room]).expect("a message");
            (left, len, done) = (&left[progress.consumed..], len + progress.produced, progress.done);
        }
        assert!(message[..len] == payload);
    }
}
