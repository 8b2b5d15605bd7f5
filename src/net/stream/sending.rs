//! Sending: what the kernel takes at once, and what is kept for when it takes more.

use super::queue::{BATCH, Queue};
use super::records::SEAL_LIMIT;
use super::{Family, Shared, Stream};
use crate::error::{Errno, Result};
use crate::iol::Cursor;
use crate::memory::try_box;
use crate::net::socket;
use crate::rt::budget::SYSTEM_CALL;
use crate::rt::context::Context;
use crate::rt::poller::Direction;
use std::io::IoSlice;

/// How much of a queue is sent before others have their turn, in bytes.
const TURN: usize = 256 * 1024;
/// The most that a record takes, in bytes.
pub(super) const RECORD: usize = 16 * 1024;

impl Stream {
    /// Sends what the kernel takes at once. EAGAIN: nothing.
    pub(crate) fn send_some(&self, context: &Context, bytes: &[u8]) -> Result<usize> {
        if self.has_records.get() {
            return self.send_sealed(context, &[IoSlice::new(&bytes[..bytes.len().min(SEAL_LIMIT)])]);
        }
        let sent = self.as_own_output(context, || socket::send(self.fd.get(), bytes));
        sent.inspect(|&sent| self.count_sent(sent))
    }

    /// The same for a prefix and the bytes from a position in a list on.
    pub(crate) fn send_some_pieces(
        &self,
        context: &Context,
        prefix: &[u8],
        pieces: &Cursor<'_>,
    ) -> Result<usize> {
        if self.has_records.get() {
            return self.send_sealed_pieces(context, prefix, pieces);
        }
        let mut iov = [libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; BATCH];
        let mut count = 0;
        let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        let parts = prefix.map(|prefix| (prefix.as_ptr().cast_mut().cast(), prefix.len())).into_iter();
        let pieces = pieces.clone().map(|piece| (piece.base.cast(), piece.len));
        for (iov_base, iov_len) in parts.chain(pieces).take(BATCH) {
            iov[count] = libc::iovec { iov_base, iov_len };
            count += 1;
        }
        let message = socket::message(iov.as_mut_ptr(), count);
        // SAFETY: the prefix and the pieces are readable.
        let sent = self.as_own_output(context, || unsafe { socket::send_message(self.fd.get(), &message) });
        sent.inspect(|&sent| self.count_sent(sent))
    }

    pub(super) fn count_sent(&self, len: usize) {
        self.sent.set(self.sent.get() + len as u64);
    }

    /// How many of `len` bytes fill whole segments; all of them if they fill none, or if there are none.
    pub(crate) fn whole_segments(&self, len: usize) -> usize {
        if self.has_records.get() {
            return if len > RECORD { len - len % RECORD } else { len };
        }
        if self.family != Family::Tcp {
            return len;
        }
        match socket::option(self.fd.get(), libc::IPPROTO_TCP, libc::TCP_MAXSEG) {
            Ok(segment @ 1..) if segment as usize <= len => len - len % segment as usize,
            _ => len,
        }
    }

    /// Sends in a new epoch: that can make any *other* stream of this thread readable (a loopback peer's), but
    /// never this one, which stays drained if it was.
    pub(crate) fn as_own_output(
        &self,
        context: &Context,
        send: impl FnOnce() -> Result<usize>,
    ) -> Result<usize> {
        context.charge(SYSTEM_CALL);
        let drained = self.is_drained(context);
        context.new_epoch();
        if drained {
            self.drained_in_epoch.set(context.epoch());
        }
        send().map_err(|error| self.note_send_error(error))
    }

    /// Why nothing can be sent. What broke the connection is told once by the kernel, which then shows the end of
    /// the stream to whoever receives.
    #[cold]
    fn note_send_error(&self, error: Errno) -> Errno {
        match error {
            Errno::EPIPE => return Errno::ECONNRESET,
            Errno::ECONNRESET => self.was_reset.set(true),
            _ => {}
        }
        error
    }

    /// Waits until the kernel may take more.
    pub(crate) fn wait_out(&self, context: &Context, deadline: i64) -> Result<()> {
        self.wait(context, Direction::Out, deadline)?;
        self.note_heard(context);
        Ok(())
    }

    /// Waits until everything that was accepted has been taken by the kernel. Fails with its
    /// error.
    pub(crate) fn wait_backlog(&self, context: &Context, deadline: i64) -> Result<()> {
        while self.has_backlog() {
            self.wait_out(context, deadline)?;
        }
        self.failure.get().map_or(Ok(()), Err)
    }

    /// Whether what is sent now can leave at once and as it is. False: look closer.
    #[inline(always)]
    pub(crate) fn is_plainly_clear(&self) -> bool {
        self.plainly_clear.get()
    }

    /// Whether what is sent now can leave at once, as far as is known.
    #[inline(always)]
    pub(crate) fn is_clear(&self) -> bool {
        self.is_plainly_clear() || self.is_clear_after_all()
    }

    #[inline(never)]
    fn is_clear_after_all(&self) -> bool {
        let has_failed = self.failure.get().is_some();
        self.plainly_clear.set(!has_failed && self.queue.borrow().is_none() && !self.has_records.get());
        !has_failed && !self.has_backlog()
    }

    #[inline(always)]
    fn queue_is_clear(&self) -> bool {
        self.queue.borrow().as_ref().is_none_or(|queue| queue.is_clear())
    }

    /// Whether something accepted has not been taken by the kernel.
    #[inline(always)]
    pub(crate) fn has_backlog(&self) -> bool {
        !self.queue_is_clear() || self.has_unsent()
    }

    /// The error of a background write.
    pub(crate) fn failure(&self) -> Option<Errno> {
        self.failure.get()
    }

    /// Sends bytes, in order, as far as the kernel takes them at once, and keeps the rest for when
    /// it takes more. An error is kept for the next sender.
    pub(crate) fn push_out(&self, context: &Context, bytes: &[u8]) {
        if self.failure.get().is_some() {
            return;
        }
        if self.has_backlog() {
            return self.keep(context, bytes);
        }
        match self.send_some(context, bytes) {
            Ok(sent) if sent == bytes.len() => {}
            Ok(sent) => self.keep(context, &bytes[sent..]),
            Err(Errno::EAGAIN) => self.keep(context, bytes),
            Err(error) => self.fail(error),
        }
    }

    fn keep(&self, context: &Context, bytes: &[u8]) {
        if let Err(error) = self.enqueue(context, |queue| queue.push(bytes)) {
            self.fail(error);
        }
    }

    /// Adds to the queue, which is sent when the kernel takes more. ENOMEM.
    fn enqueue(&self, context: &Context, add: impl FnOnce(&mut Queue) -> Result<()>) -> Result<()> {
        self.add_to_queue(add)?;
        // No borrow is held: the poller may call back.
        self.watch(context)
    }

    fn add_to_queue(&self, add: impl FnOnce(&mut Queue) -> Result<()>) -> Result<()> {
        self.plainly_clear.set(false);
        let mut queue = self.queue.borrow_mut();
        if queue.is_none() {
            *queue = Some(try_box(Queue::default())?);
        }
        queue.as_mut().map_or(Ok(()), |queue| add(queue))
    }

    /// Sends bytes that can leave at once and as they are, in one attempt. If the result is not their length, what
    /// `outcome_of_try` says is for `queue_rest`. The caller begins a new epoch before anything is received, and charges
    /// the call.
    #[inline(always)]
    pub(crate) fn try_send(&self, bytes: &[u8]) -> isize {
        let result = socket::try_send(self.fd.get(), bytes);
        if result == bytes.len() as isize {
            self.count_sent(bytes.len());
        }
        result
    }

    /// How many bytes have left in the end, if `try_send` has not sent all of them. EAGAIN: none.
    #[cold]
    pub(crate) fn outcome_of_try(&self, context: &Context, bytes: &[u8], result: isize) -> Result<usize> {
        match socket::outcome_of(result) {
            Err(Errno::EINTR) => self.send_some(context, bytes),
            Err(error) => Err(self.note_send_error(error)),
            Ok(sent) => {
                self.count_sent(sent);
                Ok(sent)
            }
        }
    }

    /// Sends shared bytes behind everything else, without waiting: what the kernel does not take at once stays
    /// queued. The error that has broken the stream. ENOMEM: they were not taken.
    pub(crate) fn send_shared(&self, context: &Context, bytes: &Shared) -> Result<()> {
        if self.is_clear() {
            let sent = self.send_some(context, bytes);
            self.queue_rest(context, bytes, sent)
        } else {
            self.queue_shared(context, bytes)
        }
    }

    /// Queues what the kernel has not taken. The error that has broken the stream.
    pub(crate) fn queue_rest(&self, context: &Context, bytes: &Shared, sent: Result<usize>) -> Result<()> {
        let queued = match sent {
            Ok(sent) if sent == bytes.len() => return Ok(()),
            Ok(sent) => self.enqueue(context, |queue| queue.push_shared(bytes, sent)),
            Err(Errno::EAGAIN) => return self.queue_shared(context, bytes),
            Err(error) => Err(error),
        };
        // A frame that is cut ends the stream.
        queued.inspect_err(|error| self.fail(*error))?;
        if self.has_records.get() {
            // No more was sealed, but the kernel has not refused anything, and so will not say when it takes more.
            self.push_backlog(context);
        }
        self.failure.get().map_or(Ok(()), Err)
    }

    fn queue_shared(&self, context: &Context, bytes: &Shared) -> Result<()> {
        self.failure.get().map_or(Ok(()), Err)?;
        self.enqueue(context, |queue| queue.push_shared(bytes, 0))
    }

    /// Keeps shared bytes behind what somebody is still sending. ENOMEM.
    pub(crate) fn hold(&self, bytes: &Shared) -> Result<()> {
        self.add_to_queue(|queue| queue.hold(bytes))
    }

    /// Whether something is kept behind what somebody is still sending.
    #[inline]
    pub(crate) fn has_held(&self) -> bool {
        self.queue.borrow().as_ref().is_some_and(|queue| queue.has_held())
    }

    /// Sends it, if the end of that has been accepted; drops it otherwise.
    pub(crate) fn release_held(&self, context: &Context, wanted: bool) {
        context.buffers().flush_gathered(context, self);
        let was_clear = !self.has_backlog();
        let released = match self.queue.borrow_mut().as_mut() {
            Some(queue) if wanted => queue.release(),
            Some(queue) => return queue.drop_held(),
            None => return,
        };
        if released.is_ok() && was_clear {
            self.push_backlog(context);
        }
        let watched = released.and_then(|()| if self.has_backlog() { self.watch(context) } else { Ok(()) });
        if let Err(error) = watched {
            // Who has sent it was told that it leaves.
            self.fail(error);
        }
    }

    /// Asks to be told when the kernel takes more.
    pub(super) fn watch(&self, context: &Context) -> Result<()> {
        // SAFETY: the stream stops watching before it goes away.
        unsafe { context.poller.watch(self.fd.get(), self) }
    }

    /// Drops the last `len` bytes of the queue if none of them has left.
    pub(crate) fn drop_unsent_tail(&self, len: usize) -> bool {
        self.queue.borrow_mut().as_mut().is_some_and(|queue| queue.drop_unsent_tail(len))
    }

    /// Sends a control frame after everything else; if that has to wait, only the newest is kept.
    pub(crate) fn queue_control(&self, context: &Context, bytes: &[u8]) {
        if !self.has_backlog() {
            return self.push_out(context, bytes);
        }
        if let Err(error) = self.enqueue(context, |queue| queue.set_pending_control(bytes)) {
            self.fail(error);
        }
    }

    /// Breaks the outbound half: what was not sent is dropped.
    pub(crate) fn fail(&self, error: Errno) {
        self.failure.set(Some(error));
        self.plainly_clear.set(false);
        self.queue.take();
        self.drop_unsent();
    }

    pub(super) fn push_backlog(&self, context: &Context) {
        match self.push_unsent(context) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => self.fail(error),
        }
        // Out of its place meanwhile: sending may call the poller, which may call back.
        let Some(mut queue) = self.queue.take() else { return self.watch_no_more(context) };
        let pushed = self.push_queue(context, &mut queue);
        if self.failure.get().is_some() {
            return;
        }
        match pushed {
            Ok(()) if queue.has_held() => _ = self.queue.replace(Some(queue)),
            Ok(()) => {}
            Err(Errno::EAGAIN) => {
                self.queue.replace(Some(queue));
                return;
            }
            Err(error) => self.fail(error),
        }
        self.watch_no_more(context);
    }

    fn push_queue(&self, context: &Context, queue: &mut Queue) -> Result<()> {
        let mut left = TURN;
        loop {
            if queue.is_clear() {
                return Ok(());
            }
            if left == 0 {
                // A reader as fast as this would have it go on to the end.
                context.poller.tell_again(self.fd.get())?;
                return Err(Errno::EAGAIN);
            }
            let mut slices = [IoSlice::new(&[]); BATCH];
            let count = queue.front(&mut slices, left);
            if count == 0 {
                queue.queue_pending_control()?;
                continue;
            }
            let sent = self.send_slices(context, &mut slices[..count])?;
            self.note_heard(context);
            queue.advance(sent);
            left -= sent;
        }
    }

    /// Sends what the kernel takes at once. EAGAIN: nothing.
    fn send_slices(&self, context: &Context, slices: &mut [IoSlice<'_>]) -> Result<usize> {
        if let [bytes] = slices {
            return self.send_some(context, bytes);
        }
        if !self.has_records.get() {
            let message = socket::message(slices.as_mut_ptr().cast(), slices.len());
            // SAFETY: a slice is laid out as the system has it, and its bytes are readable.
            let sent =
                self.as_own_output(context, || unsafe { socket::send_message(self.fd.get(), &message) });
            return sent.inspect(|&sent| self.count_sent(sent));
        }
        let (mut count, mut left) = (0, SEAL_LIMIT);
        for slice in slices.iter() {
            let Some(rest) = left.checked_sub(slice.len()) else { break };
            (count, left) = (count + 1, rest);
        }
        if count == 0 {
            self.send_some(context, &slices[0])
        } else {
            self.send_sealed(context, &slices[..count])
        }
    }

    fn watch_no_more(&self, context: &Context) {
        if !self.has_unsent() {
            context.poller.unwatch(self.fd.get());
        }
    }
}
