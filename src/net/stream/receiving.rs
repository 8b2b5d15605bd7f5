//! Receiving through the thread's receive buffer.

use super::{Family, Stream};
use crate::error::{Errno, Result};
use crate::memory::try_extend;
use crate::net::buffers::{Buffers, RECEIVE_SIZE};
use crate::net::socket;
use crate::rt::budget::SYSTEM_CALL;
use crate::rt::context::Context;
use crate::rt::object::Ref;
use crate::rt::poller::Direction;

/// A payload from this size on, in bytes, is large.
const LARGE: u64 = 64 * 1024;
/// How much is read ahead while payloads are large, in bytes.
const AHEAD_OF_LARGE: usize = 16 * 1024;

/// When so many times more was consumed than is left, what is left is moved.
const MIN_CONSUMED: usize = 8;

/// Bytes that were received and not consumed.
#[derive(Default)]
pub(super) struct Saved {
    bytes: Vec<u8>,
    /// How many of them were consumed since.
    start: usize,
}

impl Saved {
    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Returns how many bytes are kept no longer.
    fn consume(&mut self, len: usize) -> usize {
        self.start += len;
        if self.unread().len() > self.start / MIN_CONSUMED {
            return 0;
        }
        // The little that is left may stay for long, and the rest of the memory is not to stay with it.
        let mut bytes = Vec::new();
        if try_extend(&mut bytes, self.unread()).is_err() {
            return 0;
        }
        let freed = self.start;
        *self = Saved { bytes, start: 0 };
        freed
    }
}

impl Stream {
    /// Large payloads go straight to where they are wanted: then little is to be read ahead, for
    /// it has to be copied.
    pub(crate) fn read_ahead(&self, payload: u64) {
        if self.family == Family::Tcp {
            self.read_ahead.set(if payload < LARGE { RECEIVE_SIZE } else { AHEAD_OF_LARGE });
        }
    }

    /// Shows what was received and not consumed. `look` receives nothing.
    #[inline]
    pub(crate) fn peek<R>(&self, context: &Context, look: impl FnOnce(&[u8]) -> R) -> R {
        // SAFETY: what looks is a decoder or a copy, which receives nothing; in debug builds this is checked.
        match unsafe { context.buffers().received(self) } {
            Some(bytes) => context.buffers().as_peek(|| look(bytes)),
            None => look(self.saved.borrow().unread()),
        }
    }

    /// Drops bytes from the front of what `peek` shows.
    #[inline]
    pub(crate) fn consume(&self, context: &Context, len: usize) {
        if context.buffers().is_lent_to(self) {
            context.buffers().consume(len);
            return;
        }
        let freed = self.saved.borrow_mut().consume(len);
        context.buffers().count_freed(freed);
    }

    /// Whether the last receive got less than it had room for, and nothing has happened since that could
    /// have brought more.
    pub(super) fn is_drained(&self, context: &Context) -> bool {
        self.drained_in_epoch.get() == context.epoch()
    }

    /// Notes that something was received, and whether it filled all the room, or was cut.
    pub(super) fn note_received(&self, context: &Context, is_full: bool) {
        self.note_heard(context);
        let state = context.poller.state_of(self.fd.get());
        let may_hold_more = is_full || state.urgent;
        self.may_hold_more.set(may_hold_more);
        if !may_hold_more && !state.hung_up {
            self.drained_in_epoch.set(context.epoch());
        }
    }

    /// The end that the kernel shows: EPIPE, or ECONNRESET if it told a sender that the connection is broken.
    pub(super) fn end(&self) -> Errno {
        if self.was_reset.get() { Errno::ECONNRESET } else { Errno::EPIPE }
    }

    /// Looks at what the kernel holds for a stream that does not read ahead, and leaves it there;
    /// returns how much that is. Not beyond it, and nothing that `peek` shows.
    pub(crate) fn look_ahead(&self, place: &mut [u8]) -> usize {
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: the place is writable.
        let seen = unsafe { libc::recv(self.fd.get(), place.as_mut_ptr().cast(), place.len(), flags) };
        usize::try_from(seen).unwrap_or(0)
    }

    /// Takes the bytes over that are pushed out of the shared buffer.
    pub(crate) fn save(&self, buffers: &Buffers, bytes: &[u8]) -> Result<()> {
        try_extend(&mut self.saved.borrow_mut().bytes, bytes)?;
        buffers.count_saved(bytes.len());
        Ok(())
    }

    /// Drops what was saved.
    pub(super) fn forget_saved(&self, context: &Context) {
        let saved = self.saved.take();
        context.buffers().count_freed(saved.bytes.len());
    }

    /// Receives without waiting; how much, and whether the kernel has cut it, though more may be there.
    ///
    /// # Safety
    /// `place` is writable for `len` bytes.
    #[inline(always)]
    pub(super) unsafe fn receive_one(&self, place: *mut u8, len: usize) -> Result<(usize, bool)> {
        match self.family {
            // SAFETY: `place` is writable for `len` bytes, as the caller says.
            Family::Tcp => unsafe { socket::recv(self.fd.get(), place, len) }.map(|len| (len, false)),
            Family::Unix => {
                let mut iov = [libc::iovec { iov_base: place.cast(), iov_len: len }];
                // SAFETY: as above.
                unsafe { self.receive_scattered(&mut iov) }
            }
        }
    }

    /// The same for several places. What AF_UNIX carries with the bytes is dropped, and the kernel cuts behind
    /// those that carry something.
    ///
    /// # Safety
    /// The places are writable.
    #[inline(never)]
    unsafe fn receive_scattered(&self, places: &mut [libc::iovec]) -> Result<(usize, bool)> {
        let mut message = socket::message(places.as_mut_ptr(), places.len());
        // SAFETY: the places are writable, as the caller says.
        let len = unsafe { socket::recv_message(self.fd.get(), &mut message, 0) }?;
        Ok((len, message.msg_flags & libc::MSG_CTRUNC != 0))
    }

    /// Puts the saved bytes at the front of the shared buffer; returns how many.
    pub(crate) fn restore(&self, buffers: &Buffers, buffer: &mut [u8]) -> usize {
        let saved = self.saved.take();
        buffers.count_freed(saved.bytes.len());
        let unread = saved.unread();
        buffer[..unread.len()].copy_from_slice(unread);
        unread.len()
    }
}

impl Ref<Stream> {
    /// Receives until `peek` shows at least `want` bytes, which is at most half of
    /// `RECEIVE_SIZE`. EPIPE at the end of the stream.
    pub(crate) fn fill(&self, context: &Context, want: usize, deadline: i64) -> Result<()> {
        loop {
            let have = self.peek(context, <[u8]>::len);
            if have >= want {
                return Ok(());
            }
            self.receive(context, &mut [], want - have, deadline)?;
        }
    }

    /// Receives at least one byte for `peek` to show. A stream that does not read ahead receives at
    /// most `most`. EPIPE at the end.
    pub(crate) fn fill_some(&self, context: &Context, most: usize, deadline: i64) -> Result<()> {
        self.receive(context, &mut [], most, deadline).map(drop)
    }

    /// Receives at least one byte into `place`, from what `peek` shows first. EPIPE at the end.
    pub(crate) fn read(&self, context: &Context, place: &mut [u8], deadline: i64) -> Result<usize> {
        let len = self.peek(context, |bytes| {
            let len = bytes.len().min(place.len());
            place[..len].copy_from_slice(&bytes[..len]);
            len
        });
        if len > 0 {
            self.consume(context, len);
            return Ok(len);
        }
        self.receive(context, place, 0, deadline)
    }

    /// Receives at least one byte: into `place` first, and what does not fit there into the shared
    /// buffer. Returns how much went into `place`. `ahead` is how much more is wanted than `place`.
    pub(super) fn receive(
        &self,
        context: &Context,
        place: &mut [u8],
        ahead: usize,
        deadline: i64,
    ) -> Result<usize> {
        if self.has_records.get() {
            return self.receive_records(context, place, deadline);
        }
        let mut wait_first = self.is_drained(context);
        loop {
            if wait_first {
                self.wait(context, Direction::In, deadline)?;
            }
            context.charge(SYSTEM_CALL);
            context.buffers().acquire_receive(self)?;
            let (buffer, room) = context.buffers().room();
            let room = room.min(ahead.max(context.buffers().read_ahead(self.read_ahead.get())));
            let received = if place.is_empty() {
                // SAFETY: the free end of the buffer is writable.
                unsafe { self.receive_one(buffer, room) }
            } else {
                let mut iov = [
                    libc::iovec { iov_base: place.as_mut_ptr().cast(), iov_len: place.len() },
                    libc::iovec { iov_base: buffer.cast(), iov_len: room },
                ];
                // SAFETY: both ranges are writable.
                unsafe { self.receive_scattered(&mut iov[..if room > 0 { 2 } else { 1 }]) }
            };
            match received {
                Ok((0, _)) => return Err(self.end()),
                Ok((len, is_cut)) => {
                    self.note_received(context, is_cut || len == place.len() + room);
                    self.received.set(self.received.get() + len as u64);
                    let placed = len.min(place.len());
                    context.buffers().received_more(len - placed);
                    return Ok(placed);
                }
                Err(Errno::EAGAIN) => {
                    self.may_hold_more.set(false);
                    wait_first = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives what is there, for `peek` to show, which then shows at most `limit` bytes or little more. EAGAIN:
    /// nothing. EPIPE at the end.
    pub(crate) fn receive_now(&self, context: &Context, limit: usize) -> Result<()> {
        context.buffers().acquire_receive(self)?;
        let most = limit.saturating_sub(self.peek(context, <[u8]>::len));
        if self.has_records.get() {
            return self.receive_records_now(context, most);
        }
        let (buffer, room) = context.buffers().room();
        let room = room.min(most);
        // SAFETY: the free end of the buffer is writable.
        match unsafe { socket::recv(self.fd.get(), buffer, room) } {
            Ok(0) => Err(self.end()),
            Ok(len) => {
                self.note_received(context, len == room);
                self.received.set(self.received.get() + len as u64);
                context.buffers().received_more(len);
                Ok(())
            }
            Err(error) => {
                self.may_hold_more.set(false);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Saved;

    #[test]
    fn consuming_saved_bytes_moves_few_of_them_and_keeps_little_memory() {
        let mut saved = Saved { bytes: (0..=255).cycle().take(100_000).collect(), start: 0 };
        let (mut end, mut moved, mut freed) = (saved.unread().as_ptr_range().end, 0, 0);
        for consumed in 0..100_000 {
            assert_eq!(saved.unread()[0], consumed as u8);
            freed += saved.consume(1);
            if saved.unread().as_ptr_range().end != end {
                moved += saved.unread().len();
                end = saved.unread().as_ptr_range().end;
            }
            assert!(saved.bytes.capacity() <= 16 + 9 * saved.unread().len());
        }
        assert!(saved.unread().is_empty());
        assert_eq!(saved.bytes.capacity(), 0);
        assert_eq!(freed, 100_000);
        assert!(moved < 100_000 / 7);
    }
}
