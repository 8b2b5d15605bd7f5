//! One message to many. It is made once, and shared by all that cannot take it at once: nobody is waited for. It may
//! take longer than a time slice, and then others run, who may close what is on the list.

use super::broadcast_message::{BroadcastMessage, COST_OF_COMPRESSING, Compressed, LONG, Masked, compress};
use super::{SEND_FLAGS, Ws};
use crate::error::{Errno, Result};
use crate::net::stream::{Shared, Stream};
use crate::rt::budget::{Rounds, SYSTEM_CALL};
use crate::rt::context::Context;
use crate::rt::handle::Moment;
use crate::rt::object::{self, Peek, Ref};
use crate::ws::extension::Extension;
use crate::ws::frame::Role;
use core::ffi::c_int;

/// To so many, or of so many bytes, frames are sent in a row before the clock is looked at.
const ROW: usize = 128;
const ROW_BYTES: usize = 256 * 1024;

/// Sends one message to each WebSocket of a list, without waiting, but to none that has more than `max_backlog`
/// bytes to send already. Tells of each, by its place in the list, what became of it, and returns how many have
/// taken it. Others run meanwhile if that takes long. `payload` None: NULL with a length. EINVAL, ENOMEM, ECANCELED:
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
    let mut recipients = Recipients::new(context, handles);
    let mut message = if payload.len() < LONG {
        BroadcastMessage::new(flags, payload, |_| Ok(()))
    } else {
        make_long(context, &mut recipients, flags, payload)
    }?;
    send_to_each(context, &mut recipients, &mut message, max_backlog, tell)
}

/// Makes a long message ready in turns.
#[cold]
fn make_long(
    context: &Context,
    recipients: &mut Recipients<'_>,
    flags: c_int,
    payload: &[u8],
) -> Result<BroadcastMessage> {
    recipients.keep()?;
    let mut rounds = Rounds::default();
    let mut take_turns = |work| rounds.spend(context, work, -1);
    let mut message = BroadcastMessage::new(flags, payload, &mut take_turns)?;
    for handle in recipients.list() {
        take_turns(0)?;
        let Ok(ws) = recipients.find(context, *handle) else { continue };
        let how = ws.extension.borrow().as_ref().and_then(|extension| message.missing(extension));
        if let Some(how) = how {
            message.compress_for(how?, &mut take_turns)?;
        }
    }
    Ok(message)
}

/// Whom a message is for: those who had the handles of the list when the call began.
struct Recipients<'a> {
    handles: &'a [c_int],
    /// A copy, if there is one: while others run they may change the caller's list.
    copy: Vec<c_int>,
    since: Moment,
}

impl<'a> Recipients<'a> {
    fn new(context: &Context, handles: &'a [c_int]) -> Recipients<'a> {
        Recipients { handles, copy: Vec::new(), since: Moment::now(context) }
    }

    fn list(&self) -> &[c_int] {
        if self.copy.is_empty() { self.handles } else { &self.copy }
    }

    /// Makes the copy. ENOMEM.
    fn keep(&mut self) -> Result<()> {
        if self.copy.is_empty() {
            self.copy.try_reserve_exact(self.handles.len()).map_err(|_| Errno::ENOMEM)?;
            self.copy.extend_from_slice(self.handles);
        }
        Ok(())
    }

    /// Whether nobody can have got the number of another.
    fn are_all(&self, context: &Context) -> bool {
        Moment::now(context) == self.since
    }

    #[cold]
    fn find(&self, context: &Context, handle: c_int) -> Result<Ref<Ws>> {
        if !self.since.had(context, handle) {
            return Err(Errno::EBADF);
        }
        let found = object::find::<Ws>(handle);
        // The program's own types may do anything when they are asked.
        context.buffers().flush(context);
        found.map_err(|_| Errno::ENOTSUP)
    }
}

#[inline(never)]
fn send_to_each(
    context: &Context,
    recipients: &mut Recipients<'_>,
    message: &mut BroadcastMessage,
    max_backlog: usize,
    mut tell: impl FnMut(usize, Result<()>),
) -> Result<c_int> {
    let longest_row = (ROW_BYTES / message.plain().len()).clamp(1, ROW);
    let cost = SYSTEM_CALL + message.plain().len();
    let (count, mut done, mut refused) = (recipients.handles.len(), 0, 0);
    while done < count {
        // Nothing is gathered from here on, unless somebody else runs.
        context.buffers().flush(context);
        let list = &recipients.list()[done..];
        let row = &list[..longest_row.min(list.len())];
        let (left, attempt) = if recipients.are_all(context) {
            send_in_row(context, row, message.plain(), message.payload().len())
        } else {
            (row, None)
        };
        let sent = row.len() - left.len();
        // What was sent can have made any stream of this thread readable.
        context.new_epoch();
        context.charge(cost.saturating_mul(sent + usize::from(attempt.is_some())));
        (done..done + sent).for_each(|index| tell(index, Ok(())));
        done += sent;
        let mut go_on = Ok(());
        if let Some(handle) = left.first() {
            let taken = match attempt {
                Some(sent) => {
                    recipients.find(context, *handle).and_then(|ws| ws.take_rest(context, message, sent))
                }
                None => give(context, recipients, *handle, message, max_backlog),
            };
            if taken == Err(Errno::ECANCELED) {
                go_on = taken;
            } else {
                refused += usize::from(taken.is_err());
                tell(done, taken);
                done += 1;
            }
        }
        // Without memory for a copy of the list nobody else can run.
        if go_on.is_ok() && done < count && context.must_give_way() && recipients.keep().is_ok() {
            go_on = context.give_way();
        }
        if let Err(error) = go_on {
            (done..count).for_each(|index| tell(index, Err(error)));
            refused += count - done;
            break;
        }
    }
    context.pause();
    // There were no more handles than a C int counts.
    Ok((count - refused) as c_int)
}

/// Gives a message to whoever has the handle, in whatever state the connection is. ECANCELED: others get no more of it.
fn give(
    context: &Context,
    recipients: &Recipients<'_>,
    handle: c_int,
    message: &mut BroadcastMessage,
    max_backlog: usize,
) -> Result<()> {
    let ws = recipients.find(context, handle)?;
    if !message.is_long() || ws.connection.borrow().role() == Role::Server {
        return ws.take(context, message, None, max_backlog);
    }
    ws.check_room(context, max_backlog)?;
    let compressed = ws.common_form(message);
    drop(ws);
    let mut rounds = Rounds::default();
    let masked = message.masked(context.random()?, compressed, |work| rounds.spend(context, work, -1))?;
    // Others have run.
    recipients.find(context, handle)?.take(context, message, Some(masked), max_backlog)
}

/// Sends a frame with so much payload to all that can take it at once and as it is, up to the first that cannot. Returns
/// who is left, and what came of an attempt to send it to the first of them. The caller begins a new epoch, and charges it.
#[inline(never)]
fn send_in_row<'a>(
    context: &Context,
    handles: &'a [c_int],
    frame: &[u8],
    len: usize,
) -> (&'a [c_int], Option<Result<usize>>) {
    // SAFETY: what is done with what it shows neither switches nor opens or closes anything.
    let objects = unsafe { Peek::new(context) };
    let mut left = handles;
    while let [handle, behind @ ..] = left {
        let Some(ws) = objects.get::<Ws>(*handle) else { break };
        let Some(stream) = ws.clear_stream(len) else { break };
        let result = stream.try_send(frame);
        if result != frame.len() as isize {
            return (left, Some(stream.outcome_of_try(context, frame, result)));
        }
        ws.count_sent(len);
        left = behind;
    }
    (left, None)
}

impl Ws {
    /// The stream, if a message of so many bytes can leave on it at once, and as it is.
    #[inline(always)]
    fn clear_stream(&self, len: usize) -> Option<&Ref<Stream>> {
        let stream = self.transport.stream()?;
        // Whoever has begun a message and not ended it keeps the turn.
        debug_assert!({
            let connection = self.connection.borrow();
            self.turns.is_taken() || connection.can_begin_message() || !connection.can_send()
        });
        // SAFETY: whoever borrows it gives it back before anything else runs, so nobody has it now.
        let can_send = unsafe { &*self.connection.as_ptr() }.can_send();
        let is_clear = can_send && self.turns.let_broadcast_pass(len);
        (is_clear && stream.is_plainly_clear()).then_some(stream)
    }

    /// Takes the rest of a message of which some has left, or could not.
    #[cold]
    fn take_rest(&self, context: &Context, message: &BroadcastMessage, sent: Result<usize>) -> Result<()> {
        let stream = self.transport.stream().ok_or(Errno::ENOTSUP)?;
        let sent = stream.queue_rest(context, message.plain(), sent);
        self.note_sent(context, sent).inspect(|()| self.count_sent(message.payload().len()))
    }

    /// Whether a message can be taken now. EAGAIN: too much waits to be sent.
    fn check_room(&self, context: &Context, max_backlog: usize) -> Result<()> {
        let stream = self.transport.stream().ok_or(Errno::ENOTSUP)?;
        self.check_outbound()?;
        if self.ending.get() {
            return Err(Errno::EPIPE);
        }
        if stream.failure().is_some() {
            return self.note_sent(context, Err(Errno::ECONNRESET));
        }
        if stream.queued(context) > max_backlog { Err(Errno::EAGAIN) } else { Ok(()) }
    }

    /// Whether somebody is sending, behind whom it waits.
    fn is_sending(&self) -> bool {
        self.turns.is_taken() || !self.connection.borrow().can_begin_message()
    }

    /// Takes a message behind everything that waits to be sent; it may have been masked before. EAGAIN: that is too much.
    #[inline(never)]
    fn take(
        &self,
        context: &Context,
        message: &mut BroadcastMessage,
        masked: Option<Masked>,
        max_backlog: usize,
    ) -> Result<()> {
        self.check_room(context, max_backlog)?;
        let stream = self.transport.stream().ok_or(Errno::ENOTSUP)?;
        let must_wait = self.is_sending();
        let frame = self.frame_of(context, message, masked, must_wait);
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
        message: &mut BroadcastMessage,
        masked: Option<Masked>,
        is_busy: bool,
    ) -> Result<Shared> {
        let compressed = self.compressed(context, message, is_busy);
        if let Some(masked) = masked.filter(|masked| masked.is_compressed == compressed.is_some()) {
            return Ok(masked.frame);
        }
        let Some(key) = self.fresh_key(context)? else {
            return Ok(compressed.map_or_else(|| message.plain().clone(), |compressed| compressed.frame));
        };
        context.charge(message.payload().len());
        message.masked(key, compressed, |_| Ok(())).map(|masked| masked.frame)
    }

    /// A long message as it is compressed for this connection; None: it is not.
    fn common_form(&self, message: &BroadcastMessage) -> Option<Compressed> {
        let extension = self.extension.borrow();
        let extension = extension.as_ref().filter(|extension| message.is_compressed_by(extension))?;
        if extension.negotiated().context && self.is_sending() { None } else { message.known(extension) }
    }

    /// None: it leaves as it is.
    fn compressed(
        &self,
        context: &Context,
        message: &mut BroadcastMessage,
        is_busy: bool,
    ) -> Option<Compressed> {
        let mut extension = self.extension.borrow_mut();
        let extension = extension.as_mut().filter(|extension| message.is_compressed_by(extension))?;
        let keeps_window = extension.negotiated().context;
        // The window is the message's that is being sent.
        if keeps_window && is_busy {
            return None;
        }
        if keeps_window && !message.is_long() {
            context.charge(COST_OF_COMPRESSING * message.payload().len());
            return compress(extension, message.text(), message.payload(), |_| Ok(())).ok();
        }
        let made = message.compressed_like(context, extension);
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
