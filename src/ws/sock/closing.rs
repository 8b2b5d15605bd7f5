//! The end of a connection: close frames, their codes, and what comes after them.

use super::Ws;
use crate::error::{Errno, Result};
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::handle::Id;
use crate::rt::object;
use crate::ws::close;
use crate::ws::frame::{ControlPayload, Opcode};
use core::ffi::c_int;

/// Sends the close frame and ends our half. `reason` None: NULL with a length. EINVAL, EPIPE if
/// it was ended already, ECONNRESET, ETIMEDOUT, ECANCELED.
pub fn done(s: c_int, status: c_int, reason: Option<&[u8]>, deadline: i64) -> Result<()> {
    object::find::<Ws>(s)?.send_close(status, reason, deadline)
}

/// Closes in order and returns the handle of the bytestream. A handle that is no WebSocket is left
/// alone; on every other failure everything is closed.
pub fn detach(s: c_int, status: c_int, reason: Option<&[u8]>, deadline: i64) -> Result<c_int> {
    let ws = object::find::<Ws>(s)?;
    let finished = ws.finish(status, reason, deadline).and_then(|()| ws.lower.get().check());
    if let Err(error) = finished {
        object::close(s, ws);
        return Err(error);
    }
    let lower = ws.lower.replace(Id::NONE).handle();
    if let Some(stream) = ws.transport.own() {
        stream.close_in_order(false);
    }
    object::release(s, ws)?;
    Ok(lower)
}

/// The code and the reason of the peer's close frame: copies the reason and returns the code, 0 if
/// there is none, and the reason's length. EAGAIN before it came, EMSGSIZE if the reason does not
/// fit.
pub fn status(s: c_int, buf: Option<&mut [u8]>) -> Result<(c_int, usize)> {
    let ws = object::find::<Ws>(s)?;
    let connection = ws.connection.borrow();
    let peer = connection.peer_close().ok_or(Errno::EAGAIN)?;
    let reason = peer.reason.as_bytes();
    if let Some(buf) = buf {
        buf.get_mut(..reason.len()).ok_or(Errno::EMSGSIZE)?.copy_from_slice(reason);
    }
    Ok((c_int::from(peer.code), reason.len()))
}

/// The payload of a close frame, if its parts are allowed.
fn payload(status: c_int, reason: Option<&[u8]>) -> Result<ControlPayload> {
    let code = u16::try_from(status).map_err(|_| Errno::EINVAL)?;
    close::close_payload(code, reason.ok_or(Errno::EINVAL)?).map_err(|_| Errno::EINVAL)
}

impl Ws {
    fn send_close(&self, status: c_int, reason: Option<&[u8]>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        let payload = payload(status, reason)?;
        self.as_sender(context, deadline, || {
            self.send_control(context, Opcode::Close, &payload, deadline)?;
            self.connection.borrow_mut().note_close_sent();
            Ok(())
        })?;
        if let Some(stream) = self.transport.own_tcp() {
            stream.close_in_order(true);
        }
        Ok(())
    }

    /// Both close frames, and everything of ours in the kernel's hands.
    fn finish(&self, status: c_int, reason: Option<&[u8]>, deadline: i64) -> Result<()> {
        if self.check_outbound() != Err(Errno::EPIPE) {
            self.send_close(status, reason, deadline)?;
        }
        let (context, mut rounds) = (Context::get()?, Rounds::default());
        while !self.connection.borrow().peer_has_closed() {
            match self.recv_message(None, deadline) {
                Ok((_, len)) => rounds.spend(context, len, deadline)?,
                Err(Errno::EPIPE) => {}
                Err(error) => return Err(error),
            }
        }
        match self.transport.own() {
            Some(stream) => stream.wait_backlog(context, deadline),
            None => Ok(()),
        }
    }
}
