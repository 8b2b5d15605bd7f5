//! HTTP: start lines and header fields of HTTP/1, over a bytestream. Bodies are exchanged on the
//! bytestream that comes back from detaching.

pub mod grammar;
pub(crate) mod syntax;

use crate::error::{Errno, Result};
use crate::memory::try_extend;
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::object::{self, About, Kind, Ref};
use crate::sock::BSOCK_TYPE;
use crate::sock::layer::{self, Layer, Protocol};
use crate::sock::list::OutgoingList;
use crate::transport::delimiter::Delimiter;
use crate::transport::until::Reader;
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use syntax::MAX_LINE;

const END_OF_LINE: &[u8] = b"\r\n";
/// Longer lines are received into memory of the heap.
const SHORT_LINE: usize = 256;

/// The body of a HTTP handle.
pub(crate) struct Http {
    layer: Layer,
    end_of_line: Delimiter,
    reader: Reader,
    /// A line has come.
    begun: Cell<bool>,
    /// The peer's blank line has come.
    ended: Cell<bool>,
}

static TYPE: u8 = 0;

impl Kind for Http {
    type Vfs = ();
    const VFS: () = ();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        About::on_handle("HTTP", self.layer.lower())
    }

    fn close(this: &Ref<Http>) {
        this.layer.close();
    }
}

impl Protocol for Http {
    fn layer(&self) -> &Layer {
        &self.layer
    }
}

impl Http {
    fn send_line(&self, parts: &[&[u8]], deadline: i64) -> Result<()> {
        self.layer.outbound.send(|| {
            let mut list = OutgoingList::new();
            for part in parts {
                list.bytes(part)?;
            }
            list.bytes(END_OF_LINE)?;
            list.send_bytes(self.layer.lower(), deadline)
        })
    }

    fn send_blank_line(&self, deadline: i64) -> Result<()> {
        self.send_line(&[], deadline)?;
        self.layer.outbound.done.set(true);
        Ok(())
    }

    /// Receives a line, whose parts `emit` gets. EPIPE if it is the blank one, except for a first one if
    /// `skip_first` says so.
    fn recv_line(
        &self,
        deadline: i64,
        skip_first: bool,
        mut emit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.layer.inbound.receive(|| {
            loop {
                let mut blank = true;
                let read = self.reader.read(&self.layer, &self.end_of_line, deadline, |part| {
                    blank = false;
                    emit(part)
                });
                read.map_err(|error| match error {
                    // The end of the stream is not the end of the header.
                    Errno::EPIPE => Errno::ECONNRESET,
                    other => other,
                })?;
                let is_first = !self.begun.replace(true);
                if !blank {
                    return Ok(());
                }
                if !(is_first && skip_first) {
                    self.ended.set(true);
                    return Err(Errno::EPIPE);
                }
            }
        })
    }

    /// Receives a line of at most `MAX_LINE` bytes and has it taken apart. EPROTO if it is longer, which
    /// leaves the stream in its middle.
    fn parse_line<R>(
        &self,
        deadline: i64,
        skip_first: bool,
        parse: impl FnOnce(&[u8]) -> Result<R>,
    ) -> Result<R> {
        let mut line = LineBuffer::new();
        self.recv_line(deadline, skip_first, |part| line.push(part))?;
        parse(line.as_bytes())
    }

    /// Both blank lines.
    fn finish(&self, deadline: i64) -> Result<()> {
        if !self.layer.outbound.done.get() {
            self.send_blank_line(deadline)?;
        }
        let (context, mut rounds) = (Context::get()?, Rounds::default());
        while !self.ended.get() {
            rounds.spend(context, 0, deadline)?;
            match self.recv_line(deadline, false, |_| Ok(())) {
                Err(Errno::EPIPE) => {}
                other => other?,
            }
        }
        Ok(())
    }
}

/// A line that is being received: on the stack unless it is long.
struct LineBuffer {
    short: [u8; SHORT_LINE],
    len: usize,
    /// All of it once it is longer than that.
    long: Vec<u8>,
}

impl LineBuffer {
    fn new() -> LineBuffer {
        LineBuffer { short: [0; SHORT_LINE], len: 0, long: Vec::new() }
    }

    /// EPROTO, ENOMEM.
    fn push(&mut self, part: &[u8]) -> Result<()> {
        let len = self.len + part.len();
        if len > MAX_LINE {
            return Err(Errno::EPROTO);
        }
        match self.short.get_mut(self.len..len) {
            Some(place) if self.long.is_empty() => place.copy_from_slice(part),
            _ => {
                if self.long.is_empty() {
                    try_extend(&mut self.long, &self.short[..self.len])?;
                }
                try_extend(&mut self.long, part)?;
            }
        }
        self.len = len;
        Ok(())
    }

    fn as_bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..self.len] } else { &self.long }
    }
}

/// Makes ready to exchange headers on a bytestream, which is closed on failure. EBADF, ENOTSUP,
/// ECANCELED, ENOMEM.
pub(crate) fn attach(s: c_int) -> Result<c_int> {
    let end_of_line = Delimiter::new(END_OF_LINE).map_err(|error| layer::close_and_fail(s, error))?;
    layer::attach(s, BSOCK_TYPE, Errno::ENOTSUP, |layer| {
        let reader = Reader::new(layer.lower());
        Http { layer, end_of_line, reader, begun: Cell::new(false), ended: Cell::new(false) }
    })
}

/// Sends the blank line that ends our header. EBADF, ENOTSUP, EPIPE if that was done already, and
/// the errors of the bytestream.
pub(crate) fn done(handle: c_int, deadline: i64) -> Result<()> {
    object::find::<Http>(handle)?.send_blank_line(deadline)
}

/// Sends the blank line unless that was done, drops lines until the peer's, and returns the
/// bytestream. EBADF, ENOTSUP; on any other failure everything is closed.
pub(crate) fn detach(handle: c_int, deadline: i64) -> Result<c_int> {
    layer::detach::<Http>(handle, |this| this.finish(deadline))
}

/// Sends a request line. EINVAL if a part is empty, or has white space or control characters in it.
pub(crate) fn send_request(handle: c_int, command: &[u8], resource: &[u8], deadline: i64) -> Result<()> {
    let http = object::find::<Http>(handle)?;
    syntax::check_word(command)?;
    syntax::check_word(resource)?;
    http.send_line(&[command, b" ", resource, b" HTTP/1.1"], deadline)
}

/// Receives a request line. A blank line before it is ignored if nothing else has come (RFC 9112, 2.2).
/// EPIPE if it is blank, EPROTO if it is none or too long; EMSGSIZE if a part does not fit, its NUL
/// included; ECONNRESET if the stream ends before the blank line.
pub(crate) fn recv_request(
    handle: c_int,
    command: &mut [u8],
    resource: &mut [u8],
    deadline: i64,
) -> Result<()> {
    let http = object::find::<Http>(handle)?;
    http.parse_line(deadline, true, |line| syntax::parse_request(line, command, resource))
}

/// Sends a status line. EINVAL if the status is not 100 to 599, or the reason has control characters
/// in it.
pub(crate) fn send_status(handle: c_int, status: c_int, reason: &[u8], deadline: i64) -> Result<()> {
    let http = object::find::<Http>(handle)?;
    let digits = syntax::status_digits(status)?;
    syntax::check_text(reason)?;
    http.send_line(&[b"HTTP/1.1 ", &digits, b" ", reason], deadline)
}

/// Receives a status line and returns the status. As `recv_request`.
pub(crate) fn recv_status(handle: c_int, reason: &mut [u8], deadline: i64) -> Result<c_int> {
    let http = object::find::<Http>(handle)?;
    http.parse_line(deadline, false, |line| syntax::parse_status(line, reason))
}

/// Sends a field. EINVAL if the name is empty, has separators or white space in it, or either has
/// control characters in it; EPROTO if the value is empty.
pub(crate) fn send_field(handle: c_int, name: &[u8], value: &[u8], deadline: i64) -> Result<()> {
    let http = object::find::<Http>(handle)?;
    syntax::check_name(name)?;
    let value = syntax::value_to_send(value)?;
    http.send_line(&[name, b": ", value], deadline)
}

/// Receives a field. EPIPE if there are no more; otherwise as `recv_request`.
pub(crate) fn recv_field(handle: c_int, name: &mut [u8], value: &mut [u8], deadline: i64) -> Result<()> {
    let http = object::find::<Http>(handle)?;
    http.parse_line(deadline, false, |line| syntax::parse_field(line, name, value))
}
