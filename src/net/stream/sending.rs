//! Sending: what the kernel takes at once, and what is kept for when it takes more.

use super::records::SEAL_LIMIT;
use super::{Family, Stream};
use crate::error::{Errno, Result};
use crate::iol::Cursor;
use crate::memory::try_extend;
use crate::net::socket;
use crate::rt::budget::SYSTEM_CALL;
use crate::rt::context::Context;
use crate::rt::poller::Direction;
use std::io::IoSlice;

/// The most that a record takes, in bytes.
pub(super) const RECORD: usize = 16 * 1024;
/// Elements sent in one system call: few, since the array lies on a coroutine's stack.
const BATCH: usize = 16;

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

    /// Sending may bring something to any other stream of this thread, but nothing to this one
    /// before its peer has run.
    pub(super) fn as_own_output<R>(&self, context: &Context, send: impl FnOnce() -> R) -> R {
        context.charge(SYSTEM_CALL);
        let drained = self.is_drained(context);
        context.next_run();
        if drained {
            self.drained.set(context.run_id());
        }
        send()
    }

    /// Waits until the kernel may take more.
    pub(crate) fn wait_out(&self, context: &Context, deadline: i64) -> Result<()> {
        self.wait(context, Direction::Out, deadline)
    }

    /// Waits until everything that was accepted has been taken by the kernel. Fails with the error
    /// that struck it.
    pub(crate) fn wait_backlog(&self, context: &Context, deadline: i64) -> Result<()> {
        while self.has_backlog() {
            self.wait_out(context, deadline)?;
        }
        self.failure.get().map_or(Ok(()), Err)
    }

    /// Whether what is sent now can leave at once, as far as is known.
    #[inline(always)]
    pub(crate) fn is_clear(&self) -> bool {
        !self.has_backlog() && self.failure.get().is_none()
    }

    /// Whether something accepted has not been taken by the kernel.
    #[inline(always)]
    pub(crate) fn has_backlog(&self) -> bool {
        !self.backlog.borrow().is_empty() || self.has_unsent()
    }

    /// The error that struck bytes whose sender had returned already.
    pub(crate) fn failure(&self) -> Option<Errno> {
        self.failure.get()
    }

    /// Sends bytes, in order, as far as the kernel takes them at once, and keeps the rest for when
    /// it takes more. An error is kept for the next sender.
    pub(crate) fn push_out(&self, bytes: &[u8]) {
        let Ok(context) = Context::get() else { return };
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
        let kept = try_extend(&mut self.backlog.borrow_mut(), bytes);
        // SAFETY: the stream stops watching before it goes away.
        let watched = kept.and_then(|()| unsafe { context.poller.watch(self.fd.get(), self) });
        if let Err(error) = watched {
            self.fail(error);
        }
    }

    /// Gives up the last bytes of the backlog if they are all still there.
    pub(crate) fn take_back(&self, len: usize) -> bool {
        let mut backlog = self.backlog.borrow_mut();
        let Some(rest) = backlog.len().checked_sub(len) else { return false };
        backlog.truncate(rest);
        true
    }

    /// Sends bytes after everything else; if that has to wait, only the newest such bytes are kept.
    pub(crate) fn push_last(&self, bytes: &[u8]) {
        if !self.has_backlog() {
            return self.push_out(bytes);
        }
        let mut tail = self.tail.borrow_mut();
        tail.clear();
        if let Err(error) = try_extend(&mut tail, bytes) {
            self.fail(error);
        }
    }

    /// Breaks the outbound half: what was not sent is dropped.
    pub(crate) fn fail(&self, error: Errno) {
        self.failure.set(Some(error));
        self.backlog.take();
        self.tail.take();
        self.drop_unsent();
    }

    pub(super) fn push_backlog(&self) {
        let Ok(context) = Context::get() else { return };
        match self.push_unsent(context) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => self.fail(error),
        }
        loop {
            if self.backlog.borrow().is_empty() {
                self.backlog.swap(&self.tail);
                if self.backlog.borrow().is_empty() {
                    break;
                }
            }
            let sent = self.send_some(context, &self.backlog.borrow());
            match sent {
                Ok(sent) => _ = self.backlog.borrow_mut().drain(..sent),
                Err(Errno::EAGAIN) => return,
                Err(error) => self.fail(error),
            }
        }
        *self.backlog.borrow_mut() = Vec::new();
        if !self.has_unsent() {
            context.poller.unwatch(self.fd.get());
        }
    }
}
