//! The bytestream calls on top of the buffered view: all or nothing, and a failure breaks their direction.

use super::Stream;
use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::net::buffers::RECEIVE_SIZE;
use crate::net::socket;
use crate::rt::budget::Rounds;
use crate::rt::context::{Context, Epoch};
use crate::rt::object::Ref;
use crate::rt::poller::Direction;
use crate::sock::Bytestream;
use core::ffi::c_int;

impl Stream {
    /// Sends a list for a bytestream call; no state is noted.
    pub(crate) fn send_pieces(&self, context: &Context, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        context.buffers().flush_gathered(context, self);
        self.wait_backlog(context, deadline)?;
        let (mut cursor, mut rounds) = (pieces.cursor(), Rounds::default());
        while let Some(piece) = cursor.piece() {
            let sent = if piece.len == pieces.total() && !piece.base.is_null() {
                // SAFETY: the bytes of a list to send are readable.
                let bytes = unsafe { core::slice::from_raw_parts(piece.base, piece.len) };
                self.send_some(context, bytes)
            } else {
                self.send_some_pieces(context, &[], &cursor)
            };
            match sent {
                Ok(sent) => {
                    cursor.jump(sent);
                    // The kernel took a part: a reader as fast as that would have it go on for ever.
                    if cursor.piece().is_some() {
                        rounds.spend(context, sent, deadline)?;
                    }
                }
                Err(Errno::EAGAIN) => self.wait_out(context, deadline)?,
                Err(error) => return Err(error),
            }
        }
        // Records that were accepted have to leave, too.
        if self.has_unsent() { self.wait_backlog(context, deadline) } else { Ok(()) }
    }

    /// Ends the outbound half. EPIPE if it was ended already.
    pub(crate) fn done(&self) -> Result<()> {
        let context = Context::get()?;
        self.outbound.check()?;
        context.buffers().flush_gathered(context, self);
        context.new_epoch();
        match socket::shutdown_write(self.fd.get()) {
            Ok(()) => {
                self.outbound.done.set(true);
                Ok(())
            }
            Err(error) => {
                self.outbound.broken.set(true);
                Err(if error == Errno::ENOMEM { Errno::ENOMEM } else { Errno::ECONNRESET })
            }
        }
    }

    /// Tries an operation until the kernel lets it succeed or fail (`ipc_sendfd`, `ipc_recvfd`).
    pub(crate) fn run_with<R>(
        &self,
        context: &Context,
        direction: Direction,
        deadline: i64,
        mut attempt: impl FnMut(c_int) -> Result<R>,
    ) -> Result<R> {
        let half = match direction {
            Direction::In => &self.inbound,
            Direction::Out => &self.outbound,
        };
        half.run(|| {
            loop {
                match attempt(self.fd.get()) {
                    Err(Errno::EAGAIN) => self.wait(context, direction, deadline)?,
                    other => return other,
                }
            }
        })
    }

    /// Breaks the inbound half for the bytestream calls.
    pub(crate) fn note_inbound<R>(&self, result: Result<R>) -> Result<R> {
        self.inbound.note(result)
    }

    /// Breaks the outbound half for the bytestream calls.
    pub(crate) fn break_outbound(&self) {
        self.outbound.broken.set(true);
    }
}

impl Ref<Stream> {
    /// The graceful close: ends our half and waits for the end of the peer's.
    pub(crate) fn finish(&self, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        if self.inbound.broken.get() || self.outbound.broken.get() {
            return Err(Errno::ECONNRESET);
        }
        if !self.outbound.done.get() {
            self.done()?;
        }
        if self.inbound.done.get() {
            return Ok(());
        }
        // What can be seen at once must be seen without letting others run.
        self.drained_in_epoch.set(Epoch::NEVER);
        match self.inbound.run(|| Err::<(), _>(self.discard_all(context, deadline))) {
            Err(Errno::EPIPE) => Ok(()),
            other => other,
        }
    }

    pub(crate) fn recv_pieces(&self, context: &Context, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        let (mut cursor, mut rounds) = (pieces.cursor(), Rounds::default());
        while let Some(piece) = cursor.piece() {
            let len = if piece.base.is_null() {
                self.discard(context, piece.len, deadline)?
            } else {
                // SAFETY: the pieces of a list to receive into are writable.
                let place = unsafe { core::slice::from_raw_parts_mut(piece.base, piece.len) };
                self.read(context, place, deadline)?
            };
            cursor.advance(len);
            rounds.spend(context, len, deadline)?;
        }
        Ok(())
    }

    /// Drops at least one and at most `most` bytes.
    fn discard(&self, context: &Context, most: usize, deadline: i64) -> Result<usize> {
        if self.peek(context, <[u8]>::is_empty) {
            self.receive(context, &mut [], most.min(RECEIVE_SIZE / 2), deadline)?;
        }
        let len = self.peek(context, <[u8]>::len).min(most);
        self.consume(context, len);
        Ok(len)
    }

    /// Drops everything until the stream ends: EPIPE, or the error that ended it.
    pub(crate) fn discard_all(&self, context: &Context, deadline: i64) -> Errno {
        let mut rounds = Rounds::default();
        loop {
            let discarded = self.discard(context, usize::MAX, deadline);
            if let Err(error) = discarded.and_then(|len| rounds.spend(context, len, deadline)) {
                return error;
            }
        }
    }
}

impl Bytestream for Stream {
    fn send(this: &Ref<Stream>, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        context.charge(pieces.total());
        let sent = this.outbound.run(|| {
            let sent = this.send_pieces(context, pieces, deadline);
            if sent.is_err() {
                this.outbound.broken.set(true);
            }
            sent
        });
        context.pause();
        sent
    }

    fn recv(this: &Ref<Stream>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        this.inbound.run(|| {
            context.admit(0, deadline)?;
            let received = match pieces {
                Some(pieces) => this.recv_pieces(context, pieces, deadline),
                None => Err(this.discard_all(context, deadline)),
            };
            this.inbound.note(received)
        })
    }
}
