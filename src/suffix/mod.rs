//! SUFFIX: messages that end with a delimiter, over a bytestream.

use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::rt::object::{About, Kind, Ref};
use crate::sock::layer::{self, Layer, Protocol};
use crate::sock::list::OutgoingList;
use crate::sock::sink::Sink;
use crate::sock::{BSOCK_TYPE, MSOCK_TYPE, MessageSocket, MsockVfs, msock_vfs};
use crate::transport::delimiter::Delimiter;
use crate::transport::until::Reader;
use core::ffi::{c_int, c_void};

/// The body of a SUFFIX handle.
pub(crate) struct Suffix {
    layer: Layer,
    delimiter: Delimiter,
    reader: Reader,
}

static TYPE: u8 = 0;

impl Kind for Suffix {
    type Vfs = MsockVfs;
    const VFS: MsockVfs = msock_vfs::<Suffix>();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        About::on_handle("SUFFIX", self.layer.lower())
    }

    fn interface_id() -> Option<*const c_void> {
        Some(MSOCK_TYPE.get())
    }

    fn close(this: &Ref<Suffix>) {
        this.layer.close();
    }
}

impl Protocol for Suffix {
    fn layer(&self) -> &Layer {
        &self.layer
    }
}

impl MessageSocket for Suffix {
    fn send(this: &Ref<Suffix>, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        this.layer.outbound.send(|| {
            let mut list = OutgoingList::new();
            list.pieces(pieces)?;
            list.bytes(this.delimiter.as_bytes())?;
            list.send_bytes(this.layer.lower(), deadline)
        })
    }

    fn recv(this: &Ref<Suffix>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<usize> {
        this.layer.inbound.receive(|| {
            let mut sink = Sink::new(pieces);
            this.reader.read(&this.layer, &this.delimiter, deadline, |bytes| sink.put(bytes))?;
            Ok(sink.len())
        })
    }
}

/// Cuts a bytestream into messages. It is closed on failure. EBADF, EINVAL unless the delimiter has
/// 1 to 32 bytes, EPROTO if it is no bytestream, ECANCELED, ENOMEM.
pub(crate) fn attach(s: c_int, delimiter: &[u8]) -> Result<c_int> {
    let delimiter = Delimiter::new(delimiter).map_err(|error| layer::close_and_fail(s, error))?;
    layer::attach(s, BSOCK_TYPE, Errno::EPROTO, |layer| {
        let reader = Reader::new(layer.lower());
        Suffix { layer, delimiter, reader }
    })
}

/// Returns the bytestream, behind the last message that was received. Without any I/O. EBADF,
/// ENOTSUP; ECONNRESET if a message was left half sent or received, EBUSY: then it is closed.
pub(crate) fn detach(handle: c_int) -> Result<c_int> {
    layer::detach::<Suffix>(handle, |this| this.layer.check_between_messages())
}
