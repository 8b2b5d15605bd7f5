//! TLS 1.2 and 1.3: a bytestream over any other bytestream.
//!
//! `handshake` and `records` are the protocol, which knows no socket. Over one of the library's own streams
//! the records lie below the stream's buffered view, so that whatever runs on the connection works in that
//! view as it does without TLS; `custom` is for any other bytestream. `attach` and `closing` begin and end a
//! connection. `config` makes configurations of options, which `cache` keeps: `trust` decides whom one believes,
//! `credentials` says who one is, and `chooser` as whom a server appears.

mod attach;
mod cache;
pub(crate) mod certificate;
mod chooser;
mod ciphers;
mod closing;
mod config;
mod credentials;
mod custom;
mod handshake;
mod negotiated;
pub(crate) mod records;
mod refusal;
mod trust;

pub(crate) use attach::{attach_client, attach_client_verifying, attach_server, attach_server_plain};
pub(crate) use closing::{allow_truncation, check_directions, is_done, keep_input};
pub(crate) use closing::{detach, done};
pub(crate) use config::{ClientOptions, Clients, Pair, ServerOptions};
pub(crate) use negotiated::{NegotiatedTls, with_negotiated};

use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::net::stream::{self, Stream};
use crate::rt::context::Context;
use crate::rt::object::{About, Kind, Ref};
use crate::sock::layer::{Layer, Protocol};
use crate::sock::{BSOCK_TYPE, BsockVfs, Bytestream, bsock_vfs};
use core::cell::RefCell;
use core::ffi::c_void;
use custom::Custom;

/// The body of a TLS handle.
pub(crate) struct Tls {
    layer: Layer,
    below: Below,
    /// None during the handshake.
    agreed: RefCell<Option<NegotiatedTls>>,
}

/// The bytestream below.
enum Below {
    /// The library's own, with the records below its view.
    Stream(Ref<Stream>),
    /// Anything else that has the C function table.
    Custom(Box<Custom>),
}

static TYPE: u8 = 0;

impl Kind for Tls {
    type Vfs = BsockVfs;
    const VFS: BsockVfs = bsock_vfs::<Tls>();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        About::on_handle("TLS", self.layer.lower())
    }

    fn interface_id() -> Option<*const c_void> {
        Some(BSOCK_TYPE.get())
    }

    /// The stream's view shows what was decrypted.
    fn other_interface(this: &Ref<Tls>, id: *const c_void) -> Option<*mut c_void> {
        match &this.below {
            // A direction that was ended or broken here is so for whatever runs on it.
            Below::Stream(stream)
                if id == stream::VIEW.get() && this.layer.check_between_messages().is_ok() =>
            {
                Some(stream.as_interface())
            }
            _ => None,
        }
    }

    /// Drops the connection without a word. Whoever is inside fails with EBADF.
    fn close(this: &Ref<Tls>) {
        this.layer.inbound.broken.set(true);
        this.layer.outbound.broken.set(true);
        if let Below::Custom(custom) = &this.below {
            custom.dismiss();
        }
        this.layer.close();
    }
}

impl Protocol for Tls {
    fn layer(&self) -> &Layer {
        &self.layer
    }
}

impl Bytestream for Tls {
    /// EFAULT, and nothing is sent, if there is NULL in the list.
    fn send(this: &Ref<Tls>, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        let outbound = &this.layer.outbound;
        outbound.check()?;
        if pieces.has_null() {
            return Err(Errno::EFAULT);
        }
        context.charge(pieces.total());
        let sent = outbound.send(|| match &this.below {
            Below::Stream(stream) => stream.send_pieces(context, pieces, deadline),
            Below::Custom(custom) => custom.send(context, &this.layer, pieces, deadline),
        });
        context.pause();
        sent
    }

    fn recv(this: &Ref<Tls>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        let receive = || this.receive(context, pieces, deadline);
        match &this.below {
            Below::Custom(custom) if custom.keeps_input() => this.layer.inbound.receive_again(receive),
            _ => this.layer.inbound.receive(receive),
        }
    }
}

impl Tls {
    /// Fills a list. None: drops everything, until an error or the end of the stream. EPIPE after
    /// the peer's close_notify.
    fn receive(&self, context: &Context, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<()> {
        match (&self.below, pieces) {
            (Below::Stream(stream), Some(pieces)) => stream.recv_pieces(context, pieces, deadline),
            (Below::Stream(stream), None) => Err(stream.discard_all(context, deadline)),
            (Below::Custom(custom), pieces) => custom.receive(context, &self.layer, pieces, deadline),
        }
    }
}
