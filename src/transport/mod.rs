//! What a protocol runs on: one of the library's own streams, whose buffered view it works in, with TLS
//! below that view or without, or a bytestream of any other kind, which is asked for exactly what is needed.

pub mod delimiter;
pub(crate) mod until;

use crate::error::{Errno, Result};
use crate::net::stream::{self, Family, Stream};
use crate::rt::context::Context;
use crate::rt::handle::Id;
use crate::rt::object::Ref;
use crate::sock::call;
use core::cell::{Cell, RefCell};
use core::ffi::c_int;

/// How much text is taken from a custom bytestream at a time: it gives all or nothing, and bytes
/// that are not UTF-8 must be noticed before the end of a long message.
const CUSTOM_PIECE: usize = 4096;

/// The bytestream below a WebSocket.
pub(crate) enum Transport {
    /// Ours. Keeps what has arrived when a deadline passes.
    Stream(Ref<Stream>),
    /// Anything else that has the C function table.
    Custom(CustomStream),
}

/// A bytestream behind a function table.
pub(crate) struct CustomStream {
    id: Id,
    /// The beginning of something that has to be seen whole: a head, a header, a control frame.
    front: RefCell<Vec<u8>>,
    /// How many bytes were received, and how many sent.
    received: Cell<u64>,
    sent: Cell<u64>,
}

impl Transport {
    /// The transport behind a handle that is a bytestream. EPIPE, ECONNRESET or EBUSY if it is the library's own and
    /// one of its directions has ended, is broken, or is in use.
    pub(crate) fn new(id: Id) -> Result<Transport> {
        #[cfg(feature = "tls")]
        crate::tls::check_directions(id.handle())?;
        match stream::find_view(id.handle()) {
            Ok(stream) => {
                stream.check_inbound()?;
                stream.check_outbound()?;
                Ok(Transport::Stream(stream))
            }
            Err(Errno::EBADF) => Err(Errno::EBADF),
            Err(_) => Ok(Transport::Custom(CustomStream {
                id,
                front: RefCell::new(Vec::new()),
                received: Cell::new(0),
                sent: Cell::new(0),
            })),
        }
    }

    /// Our own stream, if it is one.
    pub(crate) fn stream(&self) -> Option<&Ref<Stream>> {
        match self {
            Transport::Stream(stream) => Some(stream),
            Transport::Custom(_) => None,
        }
    }

    /// Our own TCP stream, if it is one.
    pub(crate) fn tcp_stream(&self) -> Option<&Ref<Stream>> {
        self.stream().filter(|stream| stream.family() == Family::Tcp)
    }

    /// Shows what was received and not consumed.
    #[inline]
    pub(crate) fn peek<R>(&self, context: &Context, look: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Transport::Stream(stream) => stream.peek(context, look),
            Transport::Custom(custom) => look(&custom.front.borrow()),
        }
    }

    /// Drops bytes from the front.
    #[inline]
    pub(crate) fn consume(&self, context: &Context, len: usize) {
        match self {
            Transport::Stream(stream) => stream.consume(context, len),
            Transport::Custom(custom) => _ = custom.front.borrow_mut().drain(..len),
        }
    }

    /// Receives because `want` bytes are to be seen: some that are missing, to be looked at whatever comes behind
    /// them, or all if the bytestream is not of the library's own. ECONNRESET when the stream ends.
    pub(crate) fn fill(&self, context: &Context, want: usize, deadline: i64) -> Result<()> {
        let filled = match self {
            Transport::Stream(stream) => {
                let missing = want.saturating_sub(stream.peek(context, <[u8]>::len));
                if missing > 0 { stream.fill_some(context, missing, deadline) } else { Ok(()) }
            }
            Transport::Custom(custom) => custom.fill(want, deadline),
        };
        filled.map_err(abrupt)
    }

    /// Receives the first byte of something, if none can be seen. EPIPE if the stream ends before it.
    pub(crate) fn fill_first(&self, context: &Context, deadline: i64) -> Result<()> {
        match self {
            Transport::Stream(stream) => stream.fill(context, 1, deadline),
            Transport::Custom(custom) => custom.fill(1, deadline),
        }
    }

    /// Receives at least one byte to be seen, and at most `most`, when none can be. ECONNRESET when the
    /// stream ends.
    pub(crate) fn fill_some(&self, context: &Context, most: usize, deadline: i64) -> Result<()> {
        let filled = match self {
            Transport::Stream(stream) => stream.fill_some(context, most, deadline),
            Transport::Custom(custom) => custom.fill(most.min(CUSTOM_PIECE), deadline),
        };
        filled.map_err(abrupt)
    }

    /// Receives at least one byte into `place`. ECONNRESET when the stream ends.
    pub(crate) fn read(
        &self,
        context: &Context,
        place: &mut [u8],
        text: bool,
        deadline: i64,
    ) -> Result<usize> {
        let read = match self {
            Transport::Stream(stream) => stream.read(context, place, deadline),
            Transport::Custom(custom) => {
                let len = if text { place.len().min(CUSTOM_PIECE) } else { place.len() };
                let read = call::recv_all(custom.handle(), &mut place[..len], deadline);
                read.map(|()| custom.count_received(len)).map(|()| len)
            }
        };
        read.map_err(abrupt)
    }

    /// Sends bytes before there is a WebSocket: nothing else is being sent.
    pub(crate) fn send_all(&self, context: &Context, bytes: &[u8], deadline: i64) -> Result<()> {
        match self {
            Transport::Stream(stream) => {
                stream.push_out(context, bytes);
                stream.wait_backlog(context, deadline)
            }
            Transport::Custom(custom) => call::send_all(custom.handle(), bytes, deadline),
        }
    }

    /// How many bytes were consumed.
    pub(crate) fn position(&self, context: &Context) -> u64 {
        match self {
            Transport::Stream(stream) => stream.position(context),
            Transport::Custom(custom) => custom.received.get() - custom.front.borrow().len() as u64,
        }
    }

    /// How many bytes have left.
    pub(crate) fn sent(&self) -> u64 {
        match self {
            Transport::Stream(stream) => stream.sent(),
            Transport::Custom(custom) => custom.sent.get(),
        }
    }

    /// How many bytes were accepted for sending and have not left.
    pub(crate) fn queued(&self, context: &Context) -> usize {
        self.stream().map_or(0, |stream| stream.queued(context))
    }
}

impl CustomStream {
    /// The handle; -1 when it was closed.
    pub(crate) fn handle(&self) -> c_int {
        self.id.handle()
    }

    fn count_received(&self, len: usize) {
        self.received.set(self.received.get() + len as u64);
    }

    /// Counts bytes that were sent.
    pub(crate) fn count_sent(&self, len: usize) {
        self.sent.set(self.sent.get() + len as u64);
    }

    fn fill(&self, want: usize, deadline: i64) -> Result<()> {
        let mut front = self.front.take();
        let mut filled = Ok(());
        while filled.is_ok() && front.len() < want {
            let missing = want - front.len();
            let received = call::recv_behind(self.handle(), &mut front, missing, deadline);
            filled = received.map(|len| self.count_received(len));
        }
        self.front.replace(front);
        filled
    }
}

/// A stream that ends without a close frame was cut off (RFC 6455, 7.1.5), which must not look
/// like a clean end.
fn abrupt(error: Errno) -> Errno {
    if error == Errno::EPIPE { Errno::ECONNRESET } else { error }
}
