//! What TLS runs on: one of our own streams, whose buffers it works in, or a bytestream of any
//! other kind, which is asked for exactly what is needed.

use crate::error::{Errno, Result};
use crate::net::socket;
use crate::net::stream::{Family, Stream};
use crate::rt::context::Context;
use crate::rt::object::{self, Ref};
use crate::sock::call;
use crate::sock::layer::Layer;
use core::ffi::c_int;

/// How much is asked of a foreign bytestream at a time, in bytes.
const PIECE: usize = 1024;

/// The bytestream below.
pub enum Transport {
    /// Ours.
    Own(Ref<Stream>),
    /// Anything else that has the C function table, by its handle.
    Foreign,
}

impl Transport {
    /// The transport behind a handle that is a bytestream.
    pub fn new(handle: c_int) -> Transport {
        object::find::<Stream>(handle).map_or(Transport::Foreign, Transport::Own)
    }

    /// Makes it ready to carry a connection. ECONNRESET if one of its directions has ended.
    pub fn prepare(&self, context: &Context) -> Result<()> {
        let Transport::Own(stream) = self else { return Ok(()) };
        stream.check_inbound().and_then(|()| stream.check_outbound()).map_err(ended)?;
        if context.buffers.gathered(stream) > 0 {
            context.buffers.flush();
        }
        // Whatever leaves is complete: to wait for more of it would only cost time.
        if let Some(stream) = self.own_tcp() {
            socket::send_at_once(stream.fd());
        }
        Ok(())
    }

    /// Whether something was received and not taken.
    pub fn has_more(&self, context: &Context) -> bool {
        match self {
            Transport::Own(stream) => stream.peek(context, |bytes| !bytes.is_empty()),
            Transport::Foreign => false,
        }
    }

    /// Our own TCP stream, if it is one.
    pub fn own_tcp(&self) -> Option<&Ref<Stream>> {
        match self {
            Transport::Own(stream) if stream.family() == Family::Tcp => Some(stream),
            _ => None,
        }
    }

    /// Receives `len` bytes and hands them on, in pieces. EPIPE when the stream ends.
    pub fn receive(
        &self,
        context: &Context,
        layer: &Layer,
        len: usize,
        deadline: i64,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let Transport::Own(stream) = self else {
            return receive_foreign(layer, len, deadline, take);
        };
        stream.fill(context, len, deadline).map_err(refused)?;
        let taken = stream.peek(context, |bytes| take(&bytes[..len]));
        stream.consume(context, len);
        taken
    }
}

fn receive_foreign(
    layer: &Layer,
    mut len: usize,
    deadline: i64,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut piece = [0; PIECE];
    while len > 0 {
        let piece = &mut piece[..len.min(PIECE)];
        call::recv_all(layer.lower(), piece, deadline).map_err(refused)?;
        take(piece)?;
        len -= piece.len();
    }
    Ok(())
}

/// A refusal in the middle of a record breaks TLS.
fn refused(error: Errno) -> Errno {
    if error == Errno::EBUSY { Errno::ECONNRESET } else { error }
}

/// A direction that has ended cannot carry a connection.
fn ended(error: Errno) -> Errno {
    if error == Errno::EPIPE { Errno::ECONNRESET } else { refused(error) }
}
