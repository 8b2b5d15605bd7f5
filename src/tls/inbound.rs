//! Receiving: one record at a time, and its plaintext into the caller's memory.
//!
//! Exactly one record is taken from the transport at a time, so that nothing behind the peer's
//! close_notify is touched: it belongs to whoever uses the bytestream afterwards.

use super::Tls;
use super::session::{HEADER, Session};
use crate::error::{Errno, Result};
use crate::iol::{Cursor, Piece, Pieces};
use crate::rt::context::Context;
use core::ptr;

impl Tls {
    /// Fills a list. None: drops everything, until an error or the end of the stream. EPIPE after
    /// the peer's close_notify, or at the end of the stream below unless that is an error.
    pub(super) fn receive(&self, context: &Context, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<()> {
        let mut cursor = pieces.map(|pieces| pieces.cursor());
        loop {
            let place = match &mut cursor {
                Some(cursor) => cursor.piece(),
                None => Some(Piece { base: ptr::null_mut(), len: usize::MAX }),
            };
            let Some(place) = place else { return Ok(()) };
            let len = self.take_plaintext(place);
            if let Some(cursor) = &mut cursor {
                Cursor::advance(cursor, len);
            }
            if len == 0 {
                self.receive_more(context, deadline)?;
            }
        }
    }

    /// Moves plaintext to a place, or drops it; returns how much.
    fn take_plaintext(&self, place: Piece) -> usize {
        let mut session = self.session.borrow_mut();
        let plaintext = session.plaintext();
        let len = plaintext.len().min(place.len);
        if !place.base.is_null() {
            // SAFETY: the pieces of a list to receive into are writable, and they are not the
            // library's own memory.
            unsafe { ptr::copy_nonoverlapping(plaintext.as_ptr(), place.base, len) };
        }
        if len > 0 {
            session.consume(len);
        }
        len
    }

    /// Receives one record. All plaintext has been taken.
    fn receive_more(&self, context: &Context, deadline: i64) -> Result<()> {
        if self.session.borrow().has_ended() {
            return Err(Errno::EPIPE);
        }
        match self.receive_record(context, deadline) {
            // The stream may have been cut by anybody (RFC 8446, 6.1).
            Err(Errno::EPIPE) if self.needs_close_notify => return Err(Errno::ECONNRESET),
            other => other?,
        }
        self.reply(context, deadline);
        Ok(())
    }

    /// Receives one record. What TLS answers is ready to be sent. EPIPE when the stream below ends.
    pub(super) fn receive_record(&self, context: &Context, deadline: i64) -> Result<()> {
        let mut rest = 0;
        self.receive_piece(context, HEADER, deadline, |header| {
            rest = Session::length_of_rest(header);
        })?;
        self.receive_piece(context, rest, deadline, |_| {})
    }

    /// Receives a part of a record. That the header is fed first has what is no TLS found out
    /// before a length is believed.
    fn receive_piece(
        &self,
        context: &Context,
        len: usize,
        deadline: i64,
        mut look: impl FnMut(&[u8]),
    ) -> Result<()> {
        let mut wrong = None;
        let received = self.transport.receive(context, &self.layer, len, deadline, |bytes| {
            look(bytes);
            self.session.borrow_mut().feed(bytes).inspect_err(|&error| wrong = Some(error))
        });
        if wrong.is_some() {
            self.give_up(context);
        }
        received
    }
}
