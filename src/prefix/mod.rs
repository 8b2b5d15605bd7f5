//! PREFIX: messages behind their length, over a bytestream.

pub(crate) mod header;

use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::rt::object::{About, Kind, Ref};
use crate::sock::layer::{self, Layer, Protocol};
use crate::sock::list::{IncomingList, OutgoingList};
use crate::sock::{BSOCK_TYPE, MSOCK_TYPE, MessageSocket, MsockVfs, call, msock_vfs};
use core::ffi::{c_int, c_void};
use header::{Format, MAX_HEADER};

/// Flag: the length begins with its highest byte.
pub(crate) const BIG_ENDIAN: c_int = 0;
/// Flag: the length begins with its lowest byte.
pub(crate) const LITTLE_ENDIAN: c_int = 1;

/// The body of a PREFIX handle.
pub(crate) struct Prefix {
    layer: Layer,
    format: Format,
}

static TYPE: u8 = 0;

impl Kind for Prefix {
    type Vfs = MsockVfs;
    const VFS: MsockVfs = msock_vfs::<Prefix>();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        About::on_handle("PREFIX", self.layer.lower())
    }

    fn interface_id() -> Option<*const c_void> {
        Some(MSOCK_TYPE.get())
    }

    fn close(this: &Ref<Prefix>) {
        this.layer.close();
    }
}

impl Protocol for Prefix {
    fn layer(&self) -> &Layer {
        &self.layer
    }
}

impl MessageSocket for Prefix {
    fn send(this: &Ref<Prefix>, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        let outbound = &this.layer.outbound;
        outbound.check()?;
        let mut header = [0; MAX_HEADER];
        let header = &mut header[..this.format.size()];
        // Nothing was sent, so nothing is broken.
        this.format.encode(pieces.total(), header)?;
        outbound.send(|| {
            let mut list = OutgoingList::new();
            list.bytes(header)?;
            list.pieces(pieces)?;
            list.send_bytes(this.layer.lower(), deadline)
        })
    }

    fn recv(this: &Ref<Prefix>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<usize> {
        this.layer.inbound.receive(|| {
            let mut header = [0; MAX_HEADER];
            let header = &mut header[..this.format.size()];
            call::recv_all(this.layer.lower(), header, deadline)?;
            let len = this.format.decode(header)?;
            this.recv_payload(pieces, len, deadline).map_err(|error| match error {
                // In the middle of a message the refusal is a failure like any other.
                Errno::EBUSY => Errno::ECONNRESET,
                other => other,
            })?;
            Ok(len)
        })
    }
}

impl Prefix {
    fn recv_payload(&self, pieces: Option<Pieces<'_>>, len: usize, deadline: i64) -> Result<()> {
        let mut list = IncomingList::new();
        match pieces {
            Some(pieces) if len > pieces.total() => return Err(Errno::EMSGSIZE),
            _ if len == 0 => return Ok(()),
            Some(pieces) => list.pieces(pieces.cursor(), len)?,
            None => list.skip(len)?,
        }
        list.receive_bytes(self.layer.lower(), deadline)
    }
}

/// Cuts a bytestream into messages. It is closed on failure. EBADF, EINVAL unless headers have 1 to
/// 255 bytes, EPROTO if it is no bytestream, ECANCELED, ENOMEM.
pub(crate) fn attach(s: c_int, header_size: usize, flags: c_int) -> Result<c_int> {
    let format = Format::new(header_size, flags & LITTLE_ENDIAN != 0);
    let format = format.map_err(|error| layer::close_and_fail(s, error))?;
    layer::attach(s, BSOCK_TYPE, Errno::EPROTO, |layer| Prefix { layer, format })
}

/// Returns the bytestream, behind the last message that was received. Without any I/O. EBADF,
/// ENOTSUP; ECONNRESET if a message was left half sent or received, EBUSY: then it is closed.
pub(crate) fn detach(handle: c_int) -> Result<c_int> {
    layer::detach::<Prefix>(handle, |this| this.layer.check_between_messages())
}
