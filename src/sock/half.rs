//! One direction of a socket: what is left of it, and whether somebody is using it.

use crate::error::{Errno, Result};
use core::cell::Cell;

/// The state of a direction.
#[derive(Default)]
pub(crate) struct Half {
    /// It has come to its graceful end.
    pub done: Cell<bool>,
    /// A failure has left it at an unknown place.
    pub broken: Cell<bool>,
    busy: Cell<bool>,
    /// The socket was closed, perhaps while somebody was inside.
    closed: Cell<bool>,
}

impl Half {
    /// The socket is being closed: whoever is inside fails with EBADF, however his operation ends.
    pub(crate) fn close(&self) {
        self.closed.set(true);
    }

    /// EBADF after the close, EBUSY, EPIPE after the graceful end, ECONNRESET after a failure.
    pub(crate) fn check(&self) -> Result<()> {
        if self.closed.get() {
            return Err(Errno::EBADF);
        }
        if self.busy.get() {
            return Err(Errno::EBUSY);
        }
        if self.done.get() {
            return Err(Errno::EPIPE);
        }
        if self.broken.get() { Err(Errno::ECONNRESET) } else { Ok(()) }
    }

    /// Runs an operation that nobody else may run meanwhile.
    pub(crate) fn run<R>(&self, operation: impl FnOnce() -> Result<R>) -> Result<R> {
        self.check()?;
        self.busy.set(true);
        let result = operation();
        self.busy.set(false);
        if self.closed.get() { Err(Errno::EBADF) } else { result }
    }

    /// Notes what a failure of receiving means for later calls.
    pub(crate) fn note<R>(&self, result: Result<R>) -> Result<R> {
        match result {
            Err(Errno::EPIPE) => self.done.set(true),
            Err(_) => self.broken.set(true),
            Ok(_) => {}
        }
        result
    }

    /// Receives for a protocol: runs the operation and notes its failure. EBUSY means that the
    /// layer below refused before anything was received, and changes nothing.
    pub(crate) fn receive<R>(&self, operation: impl FnOnce() -> Result<R>) -> Result<R> {
        self.run(|| match operation() {
            Err(Errno::EBUSY) => Err(Errno::EBUSY),
            other => self.note(other),
        })
    }

    /// The same for an operation that loses nothing when its deadline passes or it is canceled.
    #[cfg(feature = "tls")]
    pub(crate) fn receive_again<R>(&self, operation: impl FnOnce() -> Result<R>) -> Result<R> {
        self.run(|| match operation() {
            Err(error @ (Errno::EBUSY | Errno::ETIMEDOUT | Errno::ECANCELED)) => Err(error),
            other => self.note(other),
        })
    }

    /// The same for sending, where every other failure breaks the direction.
    pub(crate) fn send<R>(&self, operation: impl FnOnce() -> Result<R>) -> Result<R> {
        self.run(|| {
            let result = operation();
            if result.as_ref().is_err_and(|&error| error != Errno::EBUSY) {
                self.broken.set(true);
            }
            result
        })
    }
}
