//! TERM: a message socket on which either side says with an agreed message that it is done.

use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::object::{self, About, Kind, Ref};
use crate::sock::layer::{self, Layer, Protocol};
use crate::sock::list::{IncomingList, OutgoingList, drop_message};
use crate::sock::sink::Sink;
use crate::sock::{MSOCK_TYPE, MessageSocket, MsockVfs, msock_vfs};
use core::ffi::{c_int, c_void};

/// The longest terminator, in bytes.
pub(crate) const MAX_TERMINATOR: usize = 32;

/// The body of a TERM handle. Of the directions only `done` is used: what is broken is known to the
/// layer below.
pub(crate) struct Term {
    layer: Layer,
    terminator: [u8; MAX_TERMINATOR],
    len: usize,
}

static TYPE: u8 = 0;

impl Kind for Term {
    type Vfs = MsockVfs;
    const VFS: MsockVfs = msock_vfs::<Term>();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        About::on_handle("TERM", self.layer.lower())
    }

    fn interface_id() -> Option<*const c_void> {
        Some(MSOCK_TYPE.get())
    }

    fn close(this: &Ref<Term>) {
        this.layer.close();
    }
}

impl Protocol for Term {
    fn layer(&self) -> &Layer {
        &self.layer
    }
}

/// What was received.
enum Received {
    Message(usize),
    Terminator,
}

impl MessageSocket for Term {
    fn send(this: &Ref<Term>, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        this.layer.outbound.run(|| {
            let mut list = OutgoingList::new();
            list.pieces(pieces)?;
            list.send_message(this.layer.lower(), deadline)
        })
    }

    fn recv(this: &Ref<Term>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<usize> {
        match this.receive(pieces, deadline)? {
            Received::Message(size) => Ok(size),
            Received::Terminator => Err(Errno::EPIPE),
        }
    }
}

impl Term {
    fn terminator(&self) -> &[u8] {
        &self.terminator[..self.len]
    }

    /// Receives one message, unless the terminator has come already: EPIPE.
    fn receive(&self, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<Received> {
        self.layer.inbound.run(|| {
            let mut front = [0; MAX_TERMINATOR];
            let size = self.receive_split(&mut front[..self.len], pieces, deadline)?;
            let front = &front[..size.min(self.len)];
            if size == self.len && front == self.terminator() {
                self.layer.inbound.done.set(true);
                return Ok(Received::Terminator);
            }
            if pieces.is_some_and(|pieces| size > pieces.total()) {
                return Err(Errno::EMSGSIZE);
            }
            Sink::new(pieces).put(front)?;
            Ok(Received::Message(size))
        })
    }

    /// Receives the bytes that may be the terminator into `front`, where they can be looked at
    /// even if the caller drops them or has no room, and all others where the caller wants them.
    fn receive_split(&self, front: &mut [u8], pieces: Option<Pieces<'_>>, deadline: i64) -> Result<usize> {
        let mut list = IncomingList::new();
        let taken = front.len();
        if taken > 0 {
            list.place(front)?;
        }
        match pieces {
            Some(pieces) => {
                let mut rest = pieces.cursor();
                rest.jump(taken);
                list.pieces(rest, usize::MAX)?;
            }
            None if taken == 0 => return drop_message(self.layer.lower(), deadline),
            None => list.skip(usize::MAX - taken)?,
        }
        list.receive_message(self.layer.lower(), deadline)
    }

    fn send_terminator(&self, deadline: i64) -> Result<()> {
        self.layer.outbound.run(|| {
            let mut list = OutgoingList::new();
            list.bytes(self.terminator())?;
            list.send_message(self.layer.lower(), deadline)?;
            self.layer.outbound.done.set(true);
            Ok(())
        })
    }

    /// Both terminators.
    fn finish(&self, deadline: i64) -> Result<()> {
        if !self.layer.outbound.done.get() {
            self.send_terminator(deadline)?;
        }
        let (context, mut rounds) = (Context::get()?, Rounds::default());
        while !self.layer.inbound.done.get() {
            rounds.spend(context, 0, deadline)?;
            // The end of the layer below is not the end that was agreed upon.
            self.receive(None, deadline).map_err(|error| match error {
                Errno::EPIPE => Errno::ECONNRESET,
                other => other,
            })?;
        }
        Ok(())
    }
}

/// Agrees upon a terminator; none means the empty message. The message socket is closed on failure.
/// EBADF, EINVAL if the terminator has more than 32 bytes, EPROTO if it is no message socket,
/// ECANCELED, ENOMEM.
pub(crate) fn attach(s: c_int, terminator: &[u8]) -> Result<c_int> {
    let len = terminator.len();
    let mut copy = [0; MAX_TERMINATOR];
    let place = copy.get_mut(..len).ok_or(Errno::EINVAL);
    place.map_err(|error| layer::close_and_fail(s, error))?.copy_from_slice(terminator);
    layer::attach(s, MSOCK_TYPE, Errno::EPROTO, |layer| Term { layer, terminator: copy, len })
}

/// Sends the terminator and ends our half. EBADF, ENOTSUP, EBUSY, EPIPE if it was ended already, and
/// the errors of the message socket.
pub(crate) fn done(handle: c_int, deadline: i64) -> Result<()> {
    object::find::<Term>(handle)?.send_terminator(deadline)
}

/// Sends the terminator unless that was done, drops messages until the peer's, and returns the
/// message socket. EBADF, ENOTSUP; on any other failure everything is closed.
pub(crate) fn detach(handle: c_int, deadline: i64) -> Result<c_int> {
    layer::detach::<Term>(handle, |this| this.finish(deadline))
}
