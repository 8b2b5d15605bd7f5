//! The end of a connection: the close_notify of either side.

use super::{Below, Tls};
use crate::error::{Errno, Result};
use crate::rt::context::Context;
use crate::rt::object;
use crate::sock::layer;
use core::ffi::c_int;

/// Sends the close_notify: the peer reads what was sent, and then the end of the stream. Receiving
/// goes on. EBADF, ENOTSUP, ECONNRESET after a failure, EPIPE if it was done already, EBUSY,
/// ETIMEDOUT, ECANCELED.
pub(crate) fn done(s: c_int, deadline: i64) -> Result<()> {
    object::find::<Tls>(s)?.end(deadline)
}

/// Whether a handle is a connection whose close_notify was sent.
pub(crate) fn is_done(s: c_int) -> bool {
    object::find::<Tls>(s).is_ok_and(|tls| tls.layer.outbound.done.get())
}

/// Fails as the next call would if a direction of a connection has ended, is broken, or is in use. Other handles are
/// left alone.
pub(crate) fn check_directions(s: c_int) -> Result<()> {
    let Ok(tls) = object::find::<Tls>(s) else { return Ok(()) };
    tls.layer.inbound.check().and_then(|()| tls.layer.outbound.check())
}

/// The peer has said, in the protocol above, that it sends nothing more: on such a connection, many browsers end the
/// stream without a close_notify. Other handles are left alone.
pub(crate) fn allow_truncation(s: c_int) {
    let Ok(tls) = object::find::<Tls>(s) else { return };
    match &tls.below {
        Below::Stream(stream) => stream.allow_truncation(),
        Below::Custom(custom) => custom.allow_truncation(),
    }
}

/// Makes TLS on a bytestream that is not the library's own keep what it has received when a deadline passes, for
/// somebody above who goes on then; or lets it break, as libdill has it. What is no such TLS is left alone.
pub(crate) fn keep_input(s: c_int, keep: bool) {
    if let Ok(tls) = object::find::<Tls>(s)
        && let Below::Custom(custom) = &tls.below
    {
        custom.keep_input(keep);
    }
}

/// Ends both directions gracefully and returns the handle of the bytestream below, which stands
/// right behind the peer's close_notify. A handle that is no TLS is left alone; on every other
/// failure everything is closed.
pub(crate) fn detach(s: c_int, deadline: i64) -> Result<c_int> {
    layer::detach::<Tls>(s, |tls| tls.finish(deadline))
}

impl Tls {
    fn end(&self, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        let outbound = &self.layer.outbound;
        if outbound.broken.get() {
            return Err(Errno::ECONNRESET);
        }
        outbound.send(|| match &self.below {
            Below::Stream(stream) => {
                stream.wait_backlog(context, deadline)?;
                stream.end_records(context)?;
                stream.wait_backlog(context, deadline)
            }
            Below::Custom(custom) => custom.end(context, &self.layer, deadline),
        })?;
        outbound.done.set(true);
        Ok(())
    }

    fn finish(&self, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        let (inbound, outbound) = (&self.layer.inbound, &self.layer.outbound);
        if inbound.broken.get() || outbound.broken.get() {
            return Err(Errno::ECONNRESET);
        }
        if !outbound.done.get() {
            match self.end(deadline) {
                // Nobody is left to tell, as at the end of the stream without a close_notify.
                Err(Errno::ECONNRESET) if inbound.done.get() => {}
                other => other?,
            }
        }
        if !inbound.done.get() {
            match inbound.receive(|| self.receive(context, None, deadline)) {
                Ok(()) | Err(Errno::EPIPE) => {}
                Err(error) => return Err(error),
            }
        }
        match &self.below {
            Below::Stream(stream) => stream.take_records(context),
            Below::Custom(_) => Ok(()),
        }
    }
}
