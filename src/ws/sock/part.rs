//! Receiving a message in parts, as they come.

use super::message_sink::{MessageSink, PartialChunk};
use super::{MORE, TEXT, Ws};
use crate::error::{Errno, Result};
use crate::iol::{Cursor, Pieces};
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::object;
use crate::sock::call;
use core::ffi::{c_int, c_void};

/// What was received of a message.
pub(super) struct Part {
    text: bool,
    len: usize,
    /// The message has ended.
    last: bool,
}

/// Receives at least one byte of the current message, or its end: the flags that tell about it, and how many
/// bytes. NULL drops them. EBADF, ENOTSUP, EINVAL if there is no room, EBUSY, EPIPE, ECONNRESET, EPROTO,
/// ETIMEDOUT, ECANCELED, ENOMEM.
///
/// # Safety
/// The place is NULL, or writable for its length by nobody else during the call.
pub(crate) unsafe fn recv_some(
    s: c_int,
    place: *mut c_void,
    len: usize,
    deadline: i64,
) -> Result<(c_int, usize)> {
    let ws = object::find::<Ws>(s)?;
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    let element = call::one_element(place, len);
    // SAFETY: the place is writable by nobody else, as the caller says, or NULL.
    let pieces = unsafe { Pieces::one(&element) };
    let part = ws.as_receiver(deadline, |context| ws.recv_part(context, pieces, deadline))?;
    let more = if part.last { 0 } else { MORE };
    Ok((if part.text { TEXT | more } else { more }, part.len))
}

impl Ws {
    fn recv_part(&self, context: &Context, pieces: Pieces<'_>, deadline: i64) -> Result<Part> {
        self.drop_unwanted(context, deadline)?;
        if let Some(len) = self.take_partial(pieces.cursor()) {
            return Ok(self.part(len, false));
        }
        let mut sink = MessageSink::new(Some(pieces));
        sink.takes_some = true;
        let mut rounds = Rounds::default();
        loop {
            let ended = self.step(context, &mut sink, deadline)?;
            let work = core::mem::take(&mut sink.work);
            if ended || sink.len > 0 {
                context.charge(work);
                return Ok(self.part(sink.len, ended));
            }
            rounds.spend(context, work, deadline)?;
        }
    }

    fn part(&self, len: usize, last: bool) -> Part {
        self.in_part.set(!last);
        Part { text: self.connection.borrow().decoder().message_is_text(), len, last }
    }

    /// Takes some of what an earlier call had received. None: there is nothing.
    fn take_partial(&self, mut place: Cursor<'_>) -> Option<usize> {
        let (mut partial, room) = (self.partial.borrow_mut(), place.piece()?);
        if !room.base.is_null() {
            // What that call has skipped is gone.
            partial.retain(|chunk| matches!(chunk, PartialChunk::Bytes { .. }));
        }
        let first = partial.first_mut()?;
        let taken = first.len().min(room.len);
        match first {
            PartialChunk::Bytes { bytes, given } => {
                if !room.base.is_null() {
                    // SAFETY: the pieces of a list to receive into are writable, and nobody else writes there
                    // during the call.
                    let place = unsafe { core::slice::from_raw_parts_mut(room.base, taken) };
                    place.copy_from_slice(&bytes[*given..*given + taken]);
                }
                *given += taken;
            }
            PartialChunk::Dropped(len) => *len -= taken,
        }
        if first.len() == 0 {
            partial.remove(0);
        }
        Some(taken)
    }

    /// What is left of a message of which a part was received is not wanted.
    pub(super) fn drop_rest(&self) {
        if self.in_part.take() {
            self.partial.take();
            self.dropping.set(true);
        }
    }
}
