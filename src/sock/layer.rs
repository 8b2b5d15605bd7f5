//! What every protocol on top of another socket has: the handle of that socket, which is its own,
//! and two directions.
//!
//! A socket given to an attaching call belongs to it from then on: it comes back from the detaching
//! call, or is closed.

use super::TypeId;
use super::half::Half;
use crate::error::{Errno, Result};
use crate::rt::handle::{self, Id};
use crate::rt::object::{self, Kind, Ref};
use core::cell::Cell;
use core::ffi::c_int;

/// The socket below, and the state of a protocol's directions.
pub(crate) struct Layer {
    lower: Cell<Id>,
    /// Receiving.
    pub inbound: Half,
    /// Sending.
    pub outbound: Half,
}

/// A protocol on top of another socket.
pub(crate) trait Protocol: Kind {
    /// Its part of this kind.
    fn layer(&self) -> &Layer;
}

impl Layer {
    /// The handle of the socket below; -1 when it was closed.
    pub(crate) fn lower(&self) -> c_int {
        self.lower.get().handle()
    }

    /// Whether the socket can be handed back where it is. ECONNRESET, EBUSY.
    pub(crate) fn check_between_messages(&self) -> Result<()> {
        match self.inbound.check().and_then(|()| self.outbound.check()) {
            Err(Errno::EPIPE) => Err(Errno::ECONNRESET),
            other => other,
        }
    }

    /// Closes the socket below: whoever waits for it fails with EBADF.
    pub(crate) fn close(&self) {
        self.inbound.close();
        self.outbound.close();
        self.lower.replace(Id::NONE).close();
    }
}

/// Puts a protocol on top of a socket that has an interface; `wrong_kind` if it does not. On every
/// failure the socket is closed. EBADF, ECANCELED, ENOMEM.
pub(crate) fn attach<T: Protocol>(
    s: c_int,
    interface: TypeId,
    wrong_kind: Errno,
    make: impl FnOnce(Layer) -> T,
) -> Result<c_int> {
    if handle::query(s, interface.get()).is_err() {
        return Err(close_and_fail(s, wrong_kind));
    }
    // From here on the socket is ours: the number that the caller knows is dead.
    let lower = Id::of(handle::own(s)?);
    let layer = Layer { lower: Cell::new(lower), inbound: Half::default(), outbound: Half::default() };
    object::make(make(layer)).inspect_err(|_| lower.close())
}

/// What an attaching call fails with whose arguments are no good: the socket is closed, as on every
/// other failure. EBADF if there is none.
pub(crate) fn close_and_fail(s: c_int, error: Errno) -> Errno {
    match handle::close(s) {
        Ok(()) => error,
        Err(bad_handle) => bad_handle,
    }
}

/// Takes a protocol off once `finish` has succeeded, and returns the handle of the socket below. A
/// handle of another kind is left alone; on every other failure everything is closed.
pub(crate) fn detach<T: Protocol>(
    handle: c_int,
    finish: impl FnOnce(&Ref<T>) -> Result<()>,
) -> Result<c_int> {
    let this = object::find_unwrapped::<T>(handle)?;
    let finished = finish(&this).and_then(|()| this.layer().lower.get().check());
    if let Err(error) = finished {
        object::close(handle, this);
        return Err(error);
    }
    object::release(handle, this.clone())?;
    Ok(this.layer().lower.replace(Id::NONE).handle())
}
