//! Control frames: they leave between the frames of messages.

use super::Ws;
use super::outbound::COPY_LIMIT;
use super::outgoing::{Outgoing, element_of};
use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::net::buffers::{GATHER_LIMIT, SEND_SIZE};
use crate::net::stream::{CloseMode, Stream};
use crate::probes;
use crate::rt::context::Context;
use crate::rt::coroutine::EndWatcher;
use crate::rt::object::Ref;
use crate::transport::Transport;
use crate::ws::close::close_code;
use crate::ws::encoder::Frame;
use crate::ws::frame::{ControlPayload, MAX_CONTROL_PAYLOAD, MAX_HEADER, Opcode};

// What was gathered, one more frame that is copied, and a control frame fit into the send buffer.
const _: () = assert!(GATHER_LIMIT + COPY_LIMIT + MAX_HEADER + MAX_CONTROL_PAYLOAD <= SEND_SIZE);

impl Ws {
    /// Sends a control frame. With `gather` it may stay to leave together with something else. The caller has the turn.
    pub(super) fn send_control(
        &self,
        context: &Context,
        opcode: Opcode,
        payload: &ControlPayload,
        gather: bool,
        deadline: i64,
    ) -> Result<()> {
        let frame = self.control_frame(context, opcode, payload)?;
        let element = element_of(payload.as_bytes());
        // SAFETY: the element is that of the payload, which stays until this returns.
        let payload = unsafe { Pieces::one(&element) };
        self.send_frame(context, &Outgoing { frame, payload }, gather, deadline)?;
        self.sent.count_control(opcode);
        Ok(())
    }

    fn control_frame(&self, context: &Context, opcode: Opcode, payload: &ControlPayload) -> Result<Frame> {
        let key = self.fresh_key(context)?;
        if opcode == Opcode::Close {
            probes::close_sent(self, close_code(payload.as_bytes()));
        }
        Ok(self.connection.borrow().encoder().control(opcode, payload.as_bytes().len() as u64, key))
    }

    /// Answers the newest ping, from inside the receiving call. Whoever is sending does it otherwise.
    pub(super) fn answer_ping(&self, context: &Context, deadline: i64) -> Result<()> {
        if self.turns.frame_is_taken() {
            return Ok(());
        }
        match &self.transport {
            Transport::Stream(_) => self.send_pending_pong(context, deadline),
            // The transport may make us wait, and nobody may begin a frame meanwhile.
            Transport::Custom(_) => {
                let send = || self.send_pending_pong(context, deadline);
                match self.as_control_sender(context, deadline, send) {
                    Err(error @ (Errno::ETIMEDOUT | Errno::ECANCELED)) => Err(error),
                    // The next send reports what became of the outbound half.
                    _ => Ok(()),
                }
            }
        }
    }

    /// Sends the pong that is due, if one is. Nobody else may be sending.
    pub(super) fn send_pending_pong(&self, context: &Context, deadline: i64) -> Result<()> {
        let Some(payload) = self.take_pending_pong() else { return Ok(()) };
        match &self.transport {
            Transport::Stream(stream) => {
                let more = self.gathers && self.next_message_is_here(context, stream);
                self.post(context, stream, Opcode::Pong, &payload, more)
            }
            Transport::Custom(_) => self.send_control(context, Opcode::Pong, &payload, false, deadline),
        }
    }

    pub(super) fn take_pending_pong(&self) -> Option<ControlPayload> {
        self.connection.borrow_mut().take_pending_pong()
    }

    /// Sends a control frame without waiting: what the kernel does not take now leaves later. While `more` follows,
    /// it may stay to leave together with that.
    pub(super) fn post(
        &self,
        context: &Context,
        stream: &Ref<Stream>,
        opcode: Opcode,
        payload: &ControlPayload,
        more: bool,
    ) -> Result<()> {
        let frame = self.control_frame(context, opcode, payload)?;
        self.sent.count_control(opcode);
        if !stream.has_backlog() {
            let gathered = context.buffers().acquire_send(context, stream)?;
            // Gathered bytes leave plenty of room for a control frame.
            // SAFETY: filled at once.
            let place = unsafe { context.buffers().send_buf_mut(gathered) };
            let end = gathered + frame.write(place, payload.as_bytes());
            context.buffers().set_gathered(context, end);
            if !(more && end <= GATHER_LIMIT) {
                context.buffers().flush(context);
            }
            return Ok(());
        }
        queue_control_frame(context, stream, &frame, payload);
        Ok(())
    }

    /// Sends the close frame of a connection that has failed, without waiting, unless a frame is being sent.
    pub(super) fn close_at_once(&self, context: &Context, payload: &ControlPayload) {
        if !self.turns.frame_is_taken() {
            // An error leaves the peer without the code, and the connection fails all the same.
            let _ = self.turns.run_frame(context, 0, || self.close_in_turn(context, payload));
        }
    }

    fn close_in_turn(&self, context: &Context, payload: &ControlPayload) -> Result<()> {
        match &self.transport {
            Transport::Stream(stream) => {
                stream.set_close_mode(CloseMode::Graceful);
                self.post(context, stream, Opcode::Close, payload, false)
            }
            Transport::Custom(_) => self.send_control(context, Opcode::Close, payload, false, 0),
        }
    }

    /// Sends the close frame of a connection that has failed while a frame was being sent. The caller has the turn.
    #[inline(never)]
    pub(super) fn send_pending_close(&self, context: &Context) {
        let close = self.connection.borrow_mut().take_pending_close();
        if let Some(payload) = close {
            let _ = self.close_in_turn(context, &payload);
        }
    }
}

/// Sends a control frame behind all that waits for the kernel. (On its own, for what it takes of the stack.)
#[inline(never)]
fn queue_control_frame(context: &Context, stream: &Stream, frame: &Frame, payload: &ControlPayload) {
    let mut bytes = [0; MAX_HEADER + MAX_CONTROL_PAYLOAD];
    let len = frame.write(&mut bytes, payload.as_bytes());
    stream.queue_control(context, &bytes[..len]);
}

impl EndWatcher for Ws {
    /// Whoever ends has begun a message, which nobody can end now.
    fn coroutine_ends(&self, context: &Context) {
        let close = self.connection.borrow_mut().note_message_abandoned();
        if let Some(stream) = self.transport.stream() {
            if let Some(payload) = close {
                self.close_at_once(context, &payload);
            }
            stream.wake_receiver(context, Errno::ECONNRESET);
        }
        self.turns.release_idle(context);
    }
}
