//! Pings and pongs that the program sends (RFC 6455, 5.5.2 and 5.5.3).

use super::Ws;
use crate::error::{Errno, Result};
use crate::rt::context::Context;
use crate::rt::object;
use crate::why::{self, Fact};
use crate::ws::frame::{ControlPayload, Opcode};
use core::ffi::c_int;

/// Sends a ping. `payload` None: NULL with a length. EBADF, ENOTSUP, EINVAL if it is longer than 125 bytes,
/// EPIPE, ECONNRESET, ETIMEDOUT, ECANCELED, ENOMEM.
pub(crate) fn ping(s: c_int, payload: Option<&[u8]>, deadline: i64) -> Result<()> {
    send(s, Opcode::Ping, payload, deadline)
}

/// Sends a pong that nobody has asked for: the peer learns that we are there. As `ping`.
pub(crate) fn pong(s: c_int, payload: Option<&[u8]>, deadline: i64) -> Result<()> {
    send(s, Opcode::Pong, payload, deadline)
}

fn send(s: c_int, opcode: Opcode, payload: Option<&[u8]>, deadline: i64) -> Result<()> {
    const TOO_LONG: Fact = Fact::Argument("RFC 6455, 5.5: a control frame of more than 125 bytes");
    let ws = object::find::<Ws>(s)?;
    let payload = ControlPayload::concat(&[payload.ok_or(Errno::EINVAL)?])
        .ok_or_else(|| why::note(Errno::EINVAL, TOO_LONG))?;
    let context = Context::get()?;
    ws.as_control_sender(context, deadline, || {
        if opcode == Opcode::Ping {
            ws.ping_times.programs.note(&payload);
        }
        ws.send_control(context, opcode, &payload, false, deadline)
    })
}
