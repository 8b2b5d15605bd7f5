//! Going on with a message whose receive failed: what comes is received behind what is kept of it. In the caller's
//! memory, each call that fails again would copy all of it there and back.

use super::Ws;
use super::message_sink::{MessageSink, PartialChunk};
use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::sock::call::one_element;

/// How much is received at a time, in bytes.
const STEP: usize = 64 * 1024;

impl Ws {
    /// Receives the rest of the current message and puts all of it into the sink, which has one place.
    #[inline(never)]
    pub(super) fn recv_resumed(
        &self,
        context: &Context,
        mut sink: MessageSink<'_>,
        mut partial: Vec<PartialChunk>,
        deadline: i64,
    ) -> Result<usize> {
        if let [PartialChunk::Bytes { bytes, .. }] = &mut partial[..]
            && let Err(error) = self.recv_behind(context, bytes, sink.room(), deadline)
        {
            if self.is_in_wanted_message() {
                self.partial.replace(partial);
            }
            return Err(error);
        }
        for chunk in &partial {
            sink.put(chunk);
        }
        Ok(sink.len)
    }

    /// Receives the rest of the current message behind its beginning. EMSGSIZE if it becomes longer than `room`.
    fn recv_behind(&self, context: &Context, bytes: &mut Vec<u8>, room: usize, deadline: i64) -> Result<()> {
        let mut rounds = Rounds::default();
        loop {
            let (len, is_plain) = (bytes.len(), !self.is_in_extended());
            let left = room - len;
            if is_plain && self.payload_left() > left as u64 {
                self.dropping.set(true);
                return Err(Errno::EMSGSIZE);
            }
            let step = left.min(STEP);
            bytes.try_reserve(step).map_err(|_| Errno::ENOMEM)?;
            bytes.resize(len + step, 0);
            let element = one_element(bytes[len..].as_mut_ptr().cast(), step);
            // SAFETY: the place is writable, and nobody else looks at it before the sink is gone.
            let mut sink = MessageSink::new(Some(unsafe { Pieces::one(&element) }));
            sink.takes_some = left > 0;
            let has_ended = self.step(context, &mut sink, deadline);
            let (received, work) = (sink.len, sink.work);
            bytes.truncate(len + received);
            if has_ended? {
                context.charge(work);
                return Ok(());
            }
            rounds.spend(context, work, deadline)?;
        }
    }
}
