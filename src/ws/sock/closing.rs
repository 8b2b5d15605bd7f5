//! The end of a connection: close frames, their codes, and what comes after them.

use super::Ws;
use crate::error::{Errno, Result};
use crate::net::stream::CloseMode;
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::handle::Id;
use crate::rt::object;
use crate::transport::Transport;
use crate::ws::close;
use crate::ws::frame::{ControlPayload, Opcode, Role};
use core::ffi::c_int;

/// How much of what comes behind a close frame is dropped, in bytes.
const MAX_DROPPED: usize = 64 * 1024;

/// Sends the close frame and ends our half. `reason` None: NULL with a length. EINVAL, EPIPE if
/// it was ended already, ECONNRESET, ETIMEDOUT, ECANCELED.
pub(crate) fn done(s: c_int, status: c_int, reason: Option<&[u8]>, deadline: i64) -> Result<()> {
    object::find::<Ws>(s)?.send_close(status, reason, deadline)
}

/// Closes gracefully and returns the handle of the bytestream. A handle that is no WebSocket is left
/// alone; on every other failure everything is closed.
pub(crate) fn detach(s: c_int, status: c_int, reason: Option<&[u8]>, deadline: i64) -> Result<c_int> {
    let ws = object::find_unwrapped::<Ws>(s)?;
    let finished = ws.finish(status, reason, deadline).and_then(|()| ws.lower.get().check());
    if let Err(error) = finished {
        object::close(s, ws);
        return Err(error);
    }
    // Under another number meanwhile: it keeps its bytestream.
    object::release(s, ws.clone())?;
    if let Some(stream) = ws.transport.stream() {
        stream.set_close_mode(CloseMode::Abort);
    }
    ws.end_background(Context::get()?);
    let lower = ws.lower.replace(Id::NONE).handle();
    #[cfg(feature = "tls")]
    {
        crate::tls::allow_truncation(lower);
        crate::tls::keep_input(lower, false);
    }
    Ok(lower)
}

/// Closes gracefully, what is below it too. A handle that is no WebSocket is left alone; on every other
/// failure everything is closed all the same.
pub(crate) fn close(s: c_int, status: c_int, reason: Option<&[u8]>, deadline: i64) -> Result<()> {
    let ws = object::find::<Ws>(s)?;
    let ended = ws.end(status, reason, deadline);
    object::close(s, ws);
    ended
}

/// The code and the reason of the peer's close frame: copies the reason and returns the code, 0 if
/// there is none, and the reason's length. EAGAIN before it came, EMSGSIZE if the reason does not
/// fit.
pub(crate) fn status(s: c_int, buf: Option<&mut [u8]>) -> Result<(c_int, usize)> {
    let ws = object::find::<Ws>(s)?;
    let connection = ws.connection.borrow();
    let peer = connection.peer_close().ok_or(Errno::EAGAIN)?;
    let reason = peer.reason.as_bytes();
    if let Some(buf) = buf {
        buf.get_mut(..reason.len()).ok_or(Errno::EMSGSIZE)?.copy_from_slice(reason);
    }
    Ok((c_int::from(peer.code), reason.len()))
}

/// Ends the sending half of a bytestream as far as it knows how to. Closing it later does not destroy what
/// was sent.
#[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "only TLS has something to say first"))]
pub(super) fn end_output(lower: Id, transport: &Transport, deadline: i64) -> Result<()> {
    #[cfg(feature = "tls")]
    match crate::tls::done(lower.handle(), deadline) {
        Ok(()) | Err(Errno::ENOTSUP) => {}
        Err(error) => return Err(error),
    }
    let Some(stream) = transport.stream() else { return Ok(()) };
    stream.set_close_mode(CloseMode::Graceful);
    stream.done()
}

/// What runs on the bytestream, unless its sending half was ended: EPIPE.
pub(super) fn transport_of(lower: Id) -> Result<Transport> {
    #[cfg(feature = "tls")]
    if crate::tls::is_done(lower.handle()) {
        return Err(Errno::EPIPE);
    }
    Transport::new(lower)
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
        self.explain(self.check_outbound())?;
        let sent = self.turns.run_last(context, deadline, || {
            self.send_in_turn(context, deadline, || {
                self.ending.set(true);
                let sent =
                    self.send_control(context, Opcode::Close, &payload, self.ends_now(context), deadline);
                self.ending.set(false);
                sent?;
                self.connection.borrow_mut().note_close_sent();
                Ok(())
            })
        });
        self.release_ended_message(context);
        self.explain(sent)?;
        if let Some(stream) = self.transport.tcp_stream() {
            stream.set_close_mode(CloseMode::Graceful);
        }
        Ok(())
    }

    /// Whether our close frame may stay to leave together with the end of TLS: it answers the peer's, and so nothing
    /// else is left to come. Messages that were gathered leave before, while somebody waits for them.
    fn ends_now(&self, context: &Context) -> bool {
        let stream = self.transport.stream().filter(|stream| stream.has_records());
        let is_alone = stream.is_some_and(|stream| context.buffers().gathered(stream) == 0);
        is_alone && self.connection.borrow().peer_has_closed() && (self.gathers || self.closing.get())
    }

    /// Both close frames, and the end of the bytestream, which the server begins (RFC 6455, 7.1.1).
    fn end(&self, status: c_int, reason: Option<&[u8]>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        let payload = payload(status, reason)?;
        self.closing.set(true);
        // EPIPE: another coroutine has sent the close frame, perhaps while this one waited to send its own.
        if self.check_outbound() != Err(Errno::EPIPE)
            && let Err(error) = self.send_close(status, reason, deadline)
            && self.check_outbound() != Err(Errno::EPIPE)
        {
            // It leaves all the same if it can without waiting.
            if self.check_outbound().is_ok() {
                self.connection.borrow_mut().note_close_sent();
                self.close_at_once(context, &payload);
            }
            return Err(error);
        }
        self.wait_for_close(context, deadline)?;
        if let Some(stream) = self.transport.stream() {
            stream.wait_backlog(context, deadline)?;
        }
        // Both sides know that it is over: whatever happens from here on is nobody's loss.
        let lower = self.lower.get();
        if self.connection.borrow().role() == Role::Client {
            self.wait_for_end(context, deadline);
            if self.connection.borrow().is_gone() {
                return Err(Errno::EBADF);
            }
        }
        let _ = end_output(lower, &self.transport, deadline);
        Ok(())
    }

    /// Waits for the end of the stream, and drops what comes before it; not for ever.
    fn wait_for_end(&self, context: &Context, deadline: i64) {
        let (Some(stream), mut dropped) = (self.transport.stream(), 0) else { return };
        while dropped < MAX_DROPPED {
            let len = stream.peek(context, <[u8]>::len);
            stream.consume(context, len);
            dropped += len;
            if stream.fill_some(context, MAX_DROPPED, deadline).is_err() {
                return;
            }
        }
    }

    /// Drops messages until the peer's close frame. In `close`, if another coroutine is receiving, that one
    /// reads.
    fn wait_for_close(&self, context: &Context, deadline: i64) -> Result<()> {
        let mut rounds = Rounds::default();
        while !self.connection.borrow().peer_has_closed() {
            if self.closing.get() && self.receiving.is_taken() {
                self.receiving.run(context, deadline, || Ok(()))?;
                // It may want the next message, too.
                context.yield_now()?;
                continue;
            }
            self.drop_rest();
            match self.recv_message(None, deadline) {
                Ok(len) => rounds.spend(context, len, deadline)?,
                Err(Errno::EPIPE) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Both close frames, and everything of ours in the kernel's hands.
    fn finish(&self, status: c_int, reason: Option<&[u8]>, deadline: i64) -> Result<()> {
        if self.check_outbound() != Err(Errno::EPIPE) {
            self.send_close(status, reason, deadline)?;
        }
        let context = Context::get()?;
        self.wait_for_close(context, deadline)?;
        let Some(stream) = self.transport.stream() else { return Ok(()) };
        context.buffers().flush_gathered(context, stream);
        stream.wait_backlog(context, deadline)
    }
}
