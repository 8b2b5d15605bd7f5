//! TLS 1.2 and 1.3: a bytestream over any other bytestream.
//!
//! `session` is the protocol, which knows no socket; `transport` is the bytestream below; `attach`
//! and `closing` begin and end a connection, `inbound` and `outbound` are its two directions.
//! `trust` decides whom a client believes, `credentials` says who a server is.
//!
//! The session is one object for both directions: it is borrowed for as long as it takes to
//! encrypt or decrypt, and never while a coroutine waits.

mod attach;
pub mod certificate;
mod closing;
mod credentials;
mod inbound;
mod outbound;
mod session;
mod transport;
mod trust;

pub use attach::{Options, attach_client, attach_client_verifying, attach_server};
pub use closing::{detach, done};

use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::rt::context::Context;
use crate::rt::mutex::Mutex;
use crate::rt::object::{self, Kind, Ref};
use crate::sock::layer::{Layer, Protocol};
use crate::sock::{BSOCK_TYPE, BsockVfs, Bytestream, bsock_vfs};
use core::cell::RefCell;
use core::ffi::{c_int, c_void};
use session::Session;
use transport::Transport;

/// The body of a TLS handle.
pub struct Tls {
    layer: Layer,
    transport: Transport,
    session: RefCell<Session>,
    /// Whether the end of the stream below is an error without the peer's close_notify. It is not for
    /// those who cannot tell the peer from an attacker anyway, and whose programs wait for EPIPE.
    needs_close_notify: bool,
    /// Who may send on a bytestream that is not ours.
    turn: Mutex,
}

static TYPE: u8 = 0;

impl Kind for Tls {
    type Vfs = BsockVfs;
    const VFS: BsockVfs = bsock_vfs::<Tls>();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn interface_id() -> Option<*const c_void> {
        Some(BSOCK_TYPE.get())
    }

    /// Drops the connection without a word. Whoever is inside fails with EBADF.
    fn close(this: &Ref<Tls>) {
        this.layer.inbound.broken.set(true);
        this.layer.outbound.broken.set(true);
        if let Ok(context) = Context::get() {
            this.turn.dismiss(context);
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
    fn send(this: &Ref<Tls>, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        this.send_list(pieces, deadline)
    }

    fn recv(this: &Ref<Tls>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        this.layer.inbound.receive(|| this.receive(context, pieces, deadline))
    }
}

/// Copies the name of the protocol that was agreed on (ALPN, RFC 7301) and a NUL; the empty string
/// if there is none. EBADF, ENOTSUP, EINVAL without a place, EMSGSIZE if it does not fit.
pub fn alpn(s: c_int, place: Option<&mut [u8]>) -> Result<()> {
    let tls = object::find::<Tls>(s)?;
    let session = tls.session.borrow();
    let (name, place) = (session.alpn(), place.ok_or(Errno::EINVAL)?);
    *place.get_mut(name.len()).ok_or(Errno::EMSGSIZE)? = 0;
    place[..name.len()].copy_from_slice(name);
    Ok(())
}
