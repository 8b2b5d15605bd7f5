//! Reading from a bytestream up to a delimiter, and not a byte further.

use super::delimiter::{Delimiter, DelimiterScan, MAX_DELIMITER};
use crate::error::{Errno, Result};
use crate::net::stream::{self, Stream};
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::object::Ref;
use crate::sock::call;
use crate::sock::layer::Layer;
use core::ffi::c_int;

/// How far the kernel's receive buffer is searched at a time, in bytes.
const AHEAD: usize = 512;

/// The way to the bytes of the layer below.
pub(crate) struct Reader {
    /// One of our own streams, whose buffer can be searched.
    own: Option<Ref<Stream>>,
}

impl Reader {
    /// For the bytestream behind a handle.
    pub(crate) fn new(lower: c_int) -> Reader {
        Reader { own: stream::find_view(lower).ok() }
    }

    /// Reads one message and its delimiter; `emit` gets the message. EBUSY: nothing was read.
    pub(crate) fn read(
        &self,
        layer: &Layer,
        delimiter: &Delimiter,
        deadline: i64,
        emit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let scan = DelimiterScan::new(delimiter);
        match &self.own {
            Some(stream) => read_own(stream, scan, deadline, emit),
            None => read_custom(layer, scan, deadline, emit),
        }
    }
}

fn read_own(
    stream: &Ref<Stream>,
    mut scan: DelimiterScan<'_>,
    deadline: i64,
    mut emit: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let context = Context::get()?;
    context.admit(0, deadline)?;
    stream.check_inbound()?;
    let (mut first, mut rounds) = (true, Rounds::default());
    loop {
        let fed = stream.peek(context, |bytes| scan.feed(bytes, &mut emit))?;
        stream.consume(context, fed.consumed);
        if fed.complete {
            context.charge(fed.consumed);
            return Ok(());
        }
        let want = match stream.reads_ahead() {
            true => 1,
            false if first => scan.missing(),
            false => look_ahead(stream, &scan),
        };
        first = false;
        rounds.spend(context, fed.consumed, deadline)?;
        stream.fill(context, want, deadline)?;
    }
}

/// How many bytes can be taken from a stream that does not read ahead.
fn look_ahead(stream: &Stream, scan: &DelimiterScan<'_>) -> usize {
    let mut seen = [0; AHEAD];
    let len = stream.look_ahead(&mut seen);
    scan.clone().find(&seen[..len]).consumed.max(scan.missing())
}

/// As many bytes as cannot be behind the delimiter, whatever they are, and again.
fn read_custom(
    layer: &Layer,
    mut scan: DelimiterScan<'_>,
    deadline: i64,
    mut emit: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let context = Context::get()?;
    let mut bytes = [0; MAX_DELIMITER];
    let (mut first, mut rounds) = (true, Rounds::default());
    loop {
        let place = &mut bytes[..scan.missing()];
        call::recv_all(layer.lower(), place, deadline).map_err(|error| match error {
            // In the middle of a message the refusal is a failure like any other.
            Errno::EBUSY if !first => Errno::ECONNRESET,
            other => other,
        })?;
        first = false;
        if scan.feed(place, &mut emit)?.complete {
            return Ok(());
        }
        rounds.spend(context, place.len(), deadline)?;
    }
}
