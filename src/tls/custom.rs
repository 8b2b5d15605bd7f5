//! TLS over a bytestream that is not the library's own: it is asked for exactly what is needed, and takes
//! one sender at a time.

use super::handshake::Handshake;
use super::records::{HEADER, Session};
use crate::error::{Errno, Result};
use crate::iol::{Cursor, Piece, Pieces};
use crate::memory::try_extend;
use crate::net::stream::records::Records;
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::mutex::Mutex;
use crate::sock::call;
use crate::sock::layer::Layer;
use core::cell::{Cell, RefCell};
use core::ptr;
use std::io::IoSlice;

/// Elements of a list that are sealed together.
const BATCH: usize = 16;
/// How much is sealed for one call of the bytestream, in bytes.
const PIECE: usize = 32 * 1024;

/// The state of a connection.
pub(super) struct Custom {
    /// None during the handshake.
    session: RefCell<Option<Box<Session>>>,
    /// The beginning of a record.
    partial: RefCell<Vec<u8>>,
    /// What was opened and not received.
    opened: RefCell<Vec<u8>>,
    /// How much of it was received.
    taken: Cell<usize>,
    /// What was received when a deadline passes is for the next call. Otherwise that breaks the direction, as libdill
    /// has it.
    keeps_input: Cell<bool>,
    /// For whoever sends.
    turn: Mutex,
}

impl Custom {
    /// Before the handshake.
    pub(super) fn new() -> Custom {
        Custom {
            session: RefCell::new(None),
            partial: RefCell::new(Vec::new()),
            opened: RefCell::new(Vec::new()),
            taken: Cell::new(0),
            keeps_input: Cell::new(false),
            turn: Mutex::new(),
        }
    }

    /// The handshake is over.
    pub(super) fn open(&self, session: Box<Session>) {
        self.session.replace(Some(session));
    }

    /// Takes the end of the stream for the peer's, even if it does not say so.
    pub(super) fn allow_truncation(&self) {
        if let Some(session) = self.session.borrow_mut().as_mut() {
            session.allow_truncation();
        }
    }

    /// Keeps what was received when a deadline passes, or does not.
    pub(super) fn keep_input(&self, keep: bool) {
        self.keeps_input.set(keep);
    }

    /// Whether it does.
    pub(super) fn keeps_input(&self) -> bool {
        self.keeps_input.get()
    }

    /// Fails the calls of all that wait for their turn.
    pub(super) fn dismiss(&self) {
        if let Some(context) = Context::existing() {
            self.turn.dismiss(context);
        }
    }

    fn with<R>(&self, run: impl FnOnce(&mut Session) -> Result<R>) -> Result<R> {
        run(self.session.borrow_mut().as_mut().ok_or(Errno::EBADF)?)
    }

    /// Sends a list, whose elements are readable.
    pub(super) fn send(
        &self,
        context: &Context,
        layer: &Layer,
        pieces: Pieces<'_>,
        deadline: i64,
    ) -> Result<()> {
        self.turn.run(context, deadline, || {
            let mut cursor = pieces.cursor();
            let mut sealed = Vec::new();
            while cursor.piece().is_some() {
                self.check_outbound(layer)?;
                sealed.clear();
                self.with(|session| session.reply(&mut sealed))?;
                let len = self.seal(&cursor, &mut sealed);
                // Receiving has failed meanwhile: the alert is the last that leaves.
                let len = len.inspect_err(|_| _ = send_all(layer, &sealed, deadline))?;
                cursor.jump(len);
                send_all(layer, &sealed, deadline)?;
            }
            self.send_alert(layer, deadline);
            Ok(())
        })
    }

    /// Whoever had the turn before may have lost records.
    fn check_outbound(&self, layer: &Layer) -> Result<()> {
        if layer.outbound.broken.get() { Err(Errno::ECONNRESET) } else { Ok(()) }
    }

    fn seal(&self, cursor: &Cursor<'_>, sealed: &mut Vec<u8>) -> Result<usize> {
        let mut parts = [IoSlice::new(&[]); BATCH];
        let (mut count, mut left) = (0, PIECE);
        for piece in cursor.clone().take(BATCH) {
            let len = piece.len.min(left);
            // SAFETY: the pieces of a list to send are readable, and none is null.
            parts[count] = IoSlice::new(unsafe { core::slice::from_raw_parts(piece.base, len) });
            (count, left) = (count + 1, left - len);
        }
        self.with(|session| {
            let len = session.seal(&parts[..count], sealed)?;
            session.commit(true);
            Ok(len)
        })
    }

    /// Fills a list. None: drops everything, until an error or the end of the stream.
    pub(super) fn receive(
        &self,
        context: &Context,
        layer: &Layer,
        pieces: Option<Pieces<'_>>,
        deadline: i64,
    ) -> Result<()> {
        let mut given = 0;
        let received = self.fill(context, layer, pieces, deadline, &mut given);
        if let Err(Errno::ETIMEDOUT | Errno::ECANCELED) = received
            && self.keeps_input()
        {
            self.put_back(pieces.ok_or(Errno::ECONNRESET)?, given)?;
        }
        received
    }

    /// Makes the first bytes of a list, which were received into it, the next ones to be received.
    fn put_back(&self, pieces: Pieces<'_>, mut len: usize) -> Result<()> {
        let mut unread = Vec::new();
        for piece in pieces.cursor() {
            let part = piece.len.min(len);
            if part > 0 && piece.base.is_null() {
                return Err(Errno::ECONNRESET);
            }
            if part > 0 {
                // SAFETY: the pieces of a list to receive into are the caller's until the call returns, and these
                // bytes were written.
                try_extend(&mut unread, unsafe { core::slice::from_raw_parts(piece.base, part) })?;
            }
            len -= part;
        }
        try_extend(&mut unread, &self.opened.borrow()[self.taken.replace(0)..])?;
        self.opened.replace(unread);
        Ok(())
    }

    fn fill(
        &self,
        context: &Context,
        layer: &Layer,
        pieces: Option<Pieces<'_>>,
        deadline: i64,
        given: &mut usize,
    ) -> Result<()> {
        let mut cursor = pieces.map(|pieces| pieces.cursor());
        let mut rounds = Rounds::default();
        loop {
            let place = match &mut cursor {
                Some(cursor) => cursor.piece(),
                None => Some(Piece { base: ptr::null_mut(), len: usize::MAX }),
            };
            let Some(place) = place else { return Ok(()) };
            let len = self.take(place);
            *given += len;
            if let Some(cursor) = &mut cursor {
                cursor.advance(len);
            }
            if len == 0 {
                self.with(|session| session.check())?;
                let received = self.receive_record(layer, deadline);
                self.answer(context, layer);
                received?;
            }
            rounds.spend(context, len, deadline)?;
        }
    }

    /// Moves plaintext to a place, or drops it; returns how much.
    fn take(&self, place: Piece) -> usize {
        let mut opened = self.opened.borrow_mut();
        let plain = &opened[self.taken.get()..];
        let len = plain.len().min(place.len);
        if !place.base.is_null() {
            // SAFETY: the pieces of a list to receive into are writable, and they are not the
            // library's own memory.
            unsafe { ptr::copy_nonoverlapping(plain.as_ptr(), place.base, len) };
        }
        self.taken.set(self.taken.get() + len);
        if self.taken.get() == opened.len() {
            *opened = Vec::new();
            self.taken.set(0);
        }
        len
    }

    /// Receives one record and opens it. All plaintext has been taken.
    fn receive_record(&self, layer: &Layer, deadline: i64) -> Result<()> {
        let mut record = self.partial.take();
        match self.open_record(&mut record, layer, deadline) {
            Ok(()) => _ = self.opened.replace(record),
            Err(error) => {
                self.partial.replace(record);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Receives the rest of a record, which then is what was in it.
    fn open_record(&self, record: &mut Vec<u8>, layer: &Layer, deadline: i64) -> Result<()> {
        // The header alone shows what is no record, before a length is believed.
        loop {
            let missing = self.with(|session| Ok(session.missing(record)))?;
            receive_into(record, layer, missing, deadline).map_err(|error| self.end_of(error))?;
            let opened = self.with(|session| session.open(record))?;
            if opened.used > 0 {
                record.truncate(opened.plain);
                return Ok(());
            }
        }
    }

    fn end_of(&self, error: Errno) -> Errno {
        match error {
            Errno::EPIPE => self.with(|session| Ok(session.truncated())).unwrap_or(error),
            Errno::EBUSY => Errno::ECONNRESET,
            other => other,
        }
    }

    /// Sends the alert that receiving has made necessary, without waiting for a peer that does not read: whether or not
    /// it gets there, the connection is of no more use, for peers that are refused to renegotiate end it, too. Whoever
    /// is sending takes it along. A new key waits for the next send, before which it is due (RFC 8446, 4.6.3), since a
    /// call that fails half way breaks the bytestream.
    fn answer(&self, context: &Context, layer: &Layer) {
        let has_alert = self.with(|session| Ok(session.has_alert())).unwrap_or(false);
        if has_alert && !self.turn.is_taken() {
            // The next send will tell.
            let _ = self.turn.run(context, 0, || {
                self.send_alert(layer, 0);
                Ok(())
            });
        }
    }

    /// Sends the alert that is due, if one is, unless our direction has ended.
    fn send_alert(&self, layer: &Layer, deadline: i64) {
        let outbound = &layer.outbound;
        let has_alert = self.with(|session| Ok(session.has_alert())).unwrap_or(false);
        if !has_alert || outbound.done.get() || outbound.broken.get() {
            return;
        }
        let mut alert = Vec::new();
        let sealed = self.with(|session| session.reply(&mut alert));
        if sealed.and_then(|()| send_all(layer, &alert, deadline)).is_err() {
            outbound.broken.set(true);
        }
    }

    /// Sends the close_notify.
    pub(super) fn end(&self, context: &Context, layer: &Layer, deadline: i64) -> Result<()> {
        self.turn.run(context, deadline, || {
            self.check_outbound(layer)?;
            let mut sealed = Vec::new();
            self.with(|session| session.end(&mut sealed))?;
            send_all(layer, &sealed, deadline)
        })
    }
}

/// Sends records. If that fails they are lost, and with them the place in the stream.
pub(super) fn send_all(layer: &Layer, records: &[u8], deadline: i64) -> Result<()> {
    let sent = call::send_all(layer.lower(), records, deadline);
    sent.map_err(|error| if error == Errno::EBUSY { Errno::ECONNRESET } else { error })
}

fn receive_into(record: &mut Vec<u8>, layer: &Layer, mut len: usize, deadline: i64) -> Result<()> {
    // What has not come takes no more memory than a piece, whatever its header says.
    while len > 0 {
        len -= call::recv_behind(layer.lower(), record, len, deadline)?;
    }
    Ok(())
}

/// Receives a record of the handshake and has it taken in; whether the handshake is over.
pub(super) fn advance(
    layer: &Layer,
    handshake: &mut Handshake,
    outgoing: &mut Vec<u8>,
    deadline: i64,
) -> Result<bool> {
    let mut header = [0; HEADER];
    call::recv_all(layer.lower(), &mut header, deadline)?;
    handshake.advance(&header, outgoing)?;
    let mut record = Vec::new();
    receive_into(&mut record, layer, Handshake::length_of_rest(&header), deadline)?;
    handshake.advance(&record, outgoing)
}
