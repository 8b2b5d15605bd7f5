//! Sending: records leave whole and in the order in which they were encrypted.
//!
//! Whatever is encrypted goes into the line at once: into the session's queue, and from there, on
//! one of our own streams, into the stream's. So a coroutine that receives can answer the peer
//! while another one is in the middle of sending. A foreign bytestream takes one sender at a time:
//! whoever has the turn sends the session's queue until it is empty.

use super::Tls;
use super::transport::Transport;
use crate::error::{Errno, Result};
use crate::iol::{Cursor, Pieces};
use crate::net::stream::Stream;
use crate::rt::context::Context;
use crate::rt::object::Ref;
use crate::sock::call;
use std::io::IoSlice;

/// Elements of a list that are encrypted together.
const BATCH: usize = 16;

/// How much leaves in one call of a foreign bytestream, in bytes.
const FOREIGN_PIECE: usize = 32 * 1024;

impl Tls {
    /// Sends a list. EFAULT, and nothing is sent, if there is NULL in it.
    pub(super) fn send_list(&self, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        self.layer.outbound.check()?;
        if pieces.has_null() {
            return Err(Errno::EFAULT);
        }
        self.layer.outbound.send(|| self.send_pieces(context, pieces, deadline))
    }

    fn send_pieces(&self, context: &Context, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        let mut cursor = pieces.cursor();
        while cursor.piece().is_some() {
            let len = self.encrypt(&cursor)?;
            cursor.jump(len);
            self.flush(context, deadline)?;
        }
        Ok(())
    }

    /// Encrypts the front of what is left of a list; returns how much.
    fn encrypt(&self, cursor: &Cursor<'_>) -> Result<usize> {
        let mut batch = [IoSlice::new(&[]); BATCH];
        for (place, piece) in batch.iter_mut().zip(cursor.clone()) {
            // SAFETY: the pieces of a list to send are readable, and none is null.
            *place = IoSlice::new(unsafe { core::slice::from_raw_parts(piece.base, piece.len) });
        }
        let mut session = self.session.borrow_mut();
        // After a fatal alert nothing may follow (RFC 8446, 6.2).
        if self.layer.outbound.broken.get() {
            return Err(Errno::ECONNRESET);
        }
        session.encrypt(&batch)
    }

    /// Sends what is to be sent, and waits until it is in the transport's hands.
    pub(super) fn flush(&self, context: &Context, deadline: i64) -> Result<()> {
        match &self.transport {
            Transport::Own(stream) => {
                self.push(context, stream)?;
                stream.wait_backlog(context, deadline)
            }
            Transport::Foreign => self.turn.run(context, deadline, || self.send_foreign(deadline)),
        }
    }

    /// Moves records into the stream's line. An error of the stream shows when it is waited for.
    fn push(&self, context: &Context, stream: &Ref<Stream>) -> Result<()> {
        loop {
            context.buffers.lend_send(stream)?;
            // SAFETY: filled at once.
            let len = self.session.borrow_mut().take_output(unsafe { context.buffers.send_place(0) });
            if len == 0 {
                return Ok(());
            }
            stream.push_out(context.buffers.filled_send(0..len));
        }
    }

    /// Sends records on a foreign bytestream. The caller has the turn.
    fn send_foreign(&self, deadline: i64) -> Result<()> {
        // Whoever had the turn before may have lost records.
        if self.layer.outbound.broken.get() {
            return Err(Errno::ECONNRESET);
        }
        let mut records = Vec::new();
        while self.session.borrow().has_output() {
            if records.is_empty() {
                records.try_reserve_exact(FOREIGN_PIECE).map_err(|_| Errno::ENOMEM)?;
                records.resize(FOREIGN_PIECE, 0);
            }
            let len = self.session.borrow_mut().take_output(&mut records);
            let sent = call::send_all(self.layer.lower(), &records[..len], deadline);
            // The records are lost, and with them the place in the stream.
            sent.map_err(|error| if error == Errno::EBUSY { Errno::ECONNRESET } else { error })?;
        }
        Ok(())
    }

    /// Sends what receiving has made necessary, unless our direction has ended. Whoever is sending
    /// takes it along.
    pub(super) fn reply(&self, context: &Context, deadline: i64) {
        let outbound = &self.layer.outbound;
        if outbound.done.get() || outbound.broken.get() || !self.session.borrow().has_output() {
            return;
        }
        let sent = match &self.transport {
            Transport::Own(stream) => self.push(context, stream),
            Transport::Foreign if self.turn.is_taken() => Ok(()),
            Transport::Foreign => self.turn.run(context, deadline, || self.send_foreign(deadline)),
        };
        // The next send will tell.
        if sent.is_err() {
            outbound.broken.set(true);
        }
    }

    /// Ends a connection on which the peer broke the protocol: sends the alert that says so, if
    /// that is possible without waiting. Nothing may follow it in either direction.
    #[cold]
    pub(super) fn give_up(&self, context: &Context) {
        self.reply(context, 0);
        self.layer.outbound.broken.set(true);
        // The reset that otherwise ends a TCP connection could overtake the alert.
        if let Some(stream) = self.transport.own_tcp() {
            stream.close_in_order(true);
        }
    }
}
