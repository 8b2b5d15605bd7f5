//! One message to many. It is made once, and shared by all that cannot take it at once: nobody is waited for.

use super::{NODEFLATE, SEND_FLAGS, TEXT, Ws};
use crate::error::{Errno, Result};
use crate::net::stream::{Shared, Stream};
use crate::rt::big_stack::BigStack;
use crate::rt::context::Context;
use crate::rt::object::{self, Ref};
use crate::ws::deflate::Deflate;
use crate::ws::encoder::{Encoder, MessageKind};
use crate::ws::extension::{Ends, Extension, MIN_ROOM};
use crate::ws::frame::{MAX_HEADER, Role};
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
    let mut taken = 0;
    for (index, handle) in handles.iter().enumerate() {
        // SAFETY: `take` neither switches nor closes anything, and the object is not used afterwards.
        let sent = match unsafe { object::peek::<Ws>(context, *handle) } {
            Some(ws) => ws.take(context, &mut message, max_backlog),
            None => find(*handle).and_then(|ws| ws.take(context, &mut message, max_backlog)),
        };
        taken += c_int::from(sent.is_ok());
        tell(index, sent);
    }
    context.pause();
    Ok(taken)
}

#[cold]
fn find(handle: c_int) -> Result<Ref<Ws>> {
    object::find::<Ws>(handle).map_err(|error| match error {
        Errno::EBADF => Errno::EBADF,
        // Whatever the program's own types say.
        _ => Errno::ENOTSUP,
    })
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
    /// Takes a message behind everything that waits to be sent. EAGAIN: that is too much.
    #[inline(always)]
    fn take(&self, context: &Context, message: &mut BroadcastMessage<'_>, max_backlog: usize) -> Result<()> {
        let stream = self.transport.stream().ok_or(Errno::ENOTSUP)?;
        context.buffers().flush_gathered(stream);
        let connection = self.connection.borrow();
        let is_plain = connection.role() == Role::Server && self.slow_path_from > message.payload.len();
        if is_plain && connection.can_begin_message() && !self.turns.is_taken() && stream.is_clear() {
            drop(connection);
            let sent = stream.send_shared_first(context, &message.plain);
            if sent.is_err() {
                return self.note_sent(sent);
            }
            self.count_sent(message.payload.len());
            return sent;
        }
        drop(connection);
        self.take_slow(context, stream, message, max_backlog)
    }

    #[inline(never)]
    fn take_slow(
        &self,
        context: &Context,
        stream: &Stream,
        message: &mut BroadcastMessage<'_>,
        max_backlog: usize,
    ) -> Result<()> {
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
            let Ok(progress) = deflate.decode(left, true, &mut message[len..room]) else { panic!("broken") };
            (left, len, done) = (&left[progress.consumed..], len + progress.produced, progress.done);
        }
        assert!(message[..len] == payload);
    }
}
