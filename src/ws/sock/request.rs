//! A request of HTTP that has arrived on a bytestream: looked at, and then accepted or answered.

use super::attach::{HandshakeResult, Told, check_bytestream, make, take_over};
use super::closing::{end_output, transport_of};
use super::head;
use super::{Ws, close_and_fail};
use crate::error::{Errno, Result};
use crate::memory::try_extend;
use crate::net::stream::CloseMode;
use crate::rt::context::Context;
use crate::rt::handle::{self, Id};
use crate::rt::object::{self, About, Kind, Ref};
use crate::sock::call;
use crate::transport::Transport;
use crate::ws::deflate::Negotiated;
use crate::ws::frame::Role;
use crate::ws::handshake::body::{Skip, Skipped};
use crate::ws::handshake::header::Header;
use crate::ws::handshake::{
    Accept, BuildError, Refusal, Reply, RequestHead, StoredHead, offer, origin, subprotocol,
};
use crate::ws::options::WsOptions;
use core::cell::{Cell, RefCell};
use core::ffi::{c_int, c_void};

/// How much is dropped of what a client still sends that was told that the connection is over.
const MAX_DROPPED: usize = 64 * 1024;
/// The longest body that is copied behind its head, to leave with it in one system call.
const COPIED_BODY: usize = 16 * 1024;

const NO_UPGRADE: Refusal = Refusal { rule: "the request is for no WebSocket", status: Some(426) };

/// The body of a request's handle.
pub(crate) struct PendingRequest {
    /// The bytestream's handle, which is ours alone.
    lower: Cell<Id>,
    head: RefCell<Option<StoredHead>>,
}

static TYPE: u8 = 0;

impl Kind for PendingRequest {
    type Vfs = ();
    const VFS: () = ();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        About::on_handle("HTTP request", self.lower.get().handle())
    }

    /// Drops the connection.
    fn close(this: &Ref<PendingRequest>) {
        this.lower.replace(Id::NONE).close();
    }
}

/// The handle of the bytestream below a request.
#[cfg(feature = "tls")]
pub(super) fn handle_below(handle: c_int) -> Option<c_int> {
    object::find::<PendingRequest>(handle).ok().map(|request| request.lower.get().handle())
}

/// Makes a request of a bytestream, which is closed on failure, except if it is none. EBADF, ENOTSUP,
/// EPIPE if the stream ends before a request, EPROTO, ECONNRESET, ETIMEDOUT, ECANCELED, ENOMEM.
pub(crate) fn receive(s: c_int, deadline: i64) -> Result<c_int> {
    check_bytestream(s)?;
    let context = Context::get()?;
    let lower = Id::of(handle::own(s)?);
    let made = transport_of(lower)
        .inspect_err(|error| {
            // The answer to the last request was the end. It must arrive, whatever the client still sends.
            if *error == Errno::EPIPE {
                drop_rest(lower, deadline);
            }
        })
        .and_then(|transport| {
            transport.fill_first(context, deadline)?;
            match head::receive_request(context, &transport, deadline)? {
                Ok(head) => {
                    // A connection that is dropped in a request is reset, also behind an answer.
                    if let Some(stream) = transport.tcp_stream() {
                        stream.set_close_mode(CloseMode::Abort);
                    }
                    object::make(PendingRequest { lower: Cell::new(lower), head: RefCell::new(Some(head)) })
                }
                Err(refusal) => Err(reject(context, &transport, &refusal, deadline)),
            }
        });
    made.inspect_err(|_| lower.close())
}

/// Drops what comes until the stream ends, or it is too much.
fn drop_rest(lower: Id, deadline: i64) {
    for _ in 0..MAX_DROPPED {
        if call::recv_all(lower.handle(), &mut [0], deadline).is_err() {
            return;
        }
    }
}

/// Answers a request that cannot be accepted.
fn reject(context: &Context, transport: &Transport, refusal: &Refusal, deadline: i64) -> Errno {
    match head::reject(context, transport, refusal.status, deadline) {
        Ok(()) => head::note_refusal(
            if refusal.status == Some(403) { Errno::EACCES } else { Errno::EPROTO },
            refusal,
        ),
        Err(error) => error,
    }
}

/// Whether a handle is a request for a WebSocket.
pub(crate) fn is_upgrade(r: c_int) -> bool {
    let Ok(request) = object::find::<PendingRequest>(r) else { return false };
    let head = request.head.borrow();
    head.as_ref().and_then(StoredHead::as_request).is_some_and(|head| head.is_upgrade())
}

/// Looks at the head that belongs to a handle: a request's, or that of a WebSocket's peer. EBADF; ENOTSUP if
/// there is none.
fn with_head<R>(h: c_int, look: impl FnOnce(&StoredHead) -> Result<R>) -> Result<R> {
    match object::find::<PendingRequest>(h) {
        Ok(request) => request.head.borrow().as_ref().ok_or(Errno::EBADF).and_then(look),
        Err(Errno::EBADF) => Err(Errno::EBADF),
        Err(_) => {
            let ws = object::find::<Ws>(h)?;
            let head = ws.agreed.as_ref().and_then(|agreed| agreed.head.as_ref());
            look(head.ok_or(Errno::ENOTSUP)?)
        }
    }
}

/// Whether there is a head that belongs to a handle. EBADF, ENOTSUP.
pub(crate) fn check_head(h: c_int) -> Result<()> {
    with_head(h, |_| Ok(()))
}

/// Stores a field as a string and returns its length. EBADF, ENOTSUP, ENOENT, EMSGSIZE.
pub(crate) fn field(h: c_int, name: &[u8], place: Option<&mut [u8]>) -> Result<usize> {
    with_head(h, |head| head.store(name, place))
}

/// Stores the name and the value of the field in that place as strings and returns the value's length.
/// EBADF, ENOTSUP, ENOENT behind the last one, EMSGSIZE.
pub(crate) fn field_at(
    h: c_int,
    index: usize,
    name: Option<&mut [u8]>,
    value: Option<&mut [u8]>,
) -> Result<usize> {
    with_head(h, |head| {
        let field = head.field(index)?;
        if !super::attach::copy_string(field.name, name) || !super::attach::copy_string(field.value, value) {
            return Err(Errno::EMSGSIZE);
        }
        Ok(field.value.len())
    })
}

/// Stores the subprotocol that was agreed on as a string, an empty one if there is none, and returns its
/// length. EBADF, ENOTSUP, EMSGSIZE.
pub(crate) fn agreed_subprotocol(s: c_int, place: Option<&mut [u8]>) -> Result<usize> {
    let ws = object::find::<Ws>(s)?;
    let name = ws.agreed.as_ref().map_or(&[][..], |agreed| &agreed.subprotocol);
    if super::attach::copy_string(name, place) { Ok(name.len()) } else { Err(Errno::EMSGSIZE) }
}

/// Takes a request over: its number is dead from here on, and its bytestream is closed on failure. EBADF,
/// ENOTSUP.
fn take_request(
    r: c_int,
    make: impl FnOnce(&Context, Id, Transport, StoredHead) -> Result<c_int>,
) -> Result<c_int> {
    let request = object::find_unwrapped::<PendingRequest>(r)?;
    let context = Context::get()?;
    let (lower, head) = (request.lower.get(), request.head.take());
    object::release(r, request)?;
    let made = match head {
        Some(head) => Transport::new(lower).and_then(|transport| make(context, lower, transport, head)),
        None => Err(Errno::EBADF),
    };
    made.inspect_err(|_| lower.close())
}

/// Makes a WebSocket of a request, or refuses it. On failure the connection is closed, except if there is
/// none. EBADF, ENOTSUP, EINVAL, EPROTO if it is no proper request for a WebSocket, EACCES if its origin is
/// not in the list, EPIPE, ECONNRESET, ETIMEDOUT, ECANCELED, ENOMEM.
pub(crate) fn accept(r: c_int, options: Result<WsOptions<'_>>, deadline: i64) -> Result<c_int> {
    object::find_unwrapped::<PendingRequest>(r)?;
    let options = options.map_err(|error| close_and_fail(r, error))?;
    take_request(r, |context, lower, transport, head| {
        let answer = match head.as_request() {
            Some(request) => answer_to(&request, &options),
            None => Err(NO_UPGRADE),
        };
        let (answer, chosen, negotiated) = match answer {
            Ok((answer, chosen, negotiated)) => (answer.map_err(head::note_argument)?, chosen, negotiated),
            Err(refusal) => return Err(reject(context, &transport, &refusal, deadline)),
        };
        transport.send_all(context, &answer, deadline)?;
        let told = Told::new(chosen, options.keeps_head.then_some(head))?;
        make(lower, transport, Role::Server, &options, HandshakeResult { told, negotiated })
    })
}

type Built = core::result::Result<Vec<u8>, BuildError>;
/// A head, the subprotocol in it, and how messages are compressed.
type Answered<'o> = (Built, Option<&'o [u8]>, Option<Negotiated>);

/// The answer that accepts a request, and what it agrees to.
fn answer_to<'o>(
    request: &RequestHead<'_>,
    options: &WsOptions<'o>,
) -> core::result::Result<Answered<'o>, Refusal> {
    if !request.is_upgrade() {
        return Err(NO_UPGRADE);
    }
    let key = request.upgrade()?.key;
    options.origins.as_deref().map_or(Ok(()), |list| origin::judge(request.fields, list))?;
    let chosen = subprotocol::choose(&options.subprotocols, request.fields);
    let accepted = match options.compression.map(|how| offer::accept(&how.wishes, request.fields)) {
        Some(Ok(accepted)) => accepted,
        Some(Err(_)) => return Ok((Err(BuildError::NoMemory), chosen, None)),
        None => None,
    };
    let extensions = accepted.as_ref().map(|(_, answer)| answer.as_slice());
    let accept = Accept { subprotocol: chosen, extensions, headers: &options.headers, ..Accept::new(key) };
    Ok((accept.to_bytes(), chosen, accepted.as_ref().map(|(negotiated, _)| *negotiated)))
}

/// Receives a request and accepts it: as both calls.
pub(crate) fn attach_server(s: c_int, options: Result<WsOptions<'_>>, deadline: i64) -> Result<c_int> {
    check_bytestream(s)?;
    let options = options.map_err(|error| close_and_fail(s, error))?;
    if options.no_http {
        return take_over(s, |_, lower, transport| {
            make(lower, transport, Role::Server, &options, HandshakeResult::default())
        });
    }
    accept(receive(s, deadline)?, Ok(options), deadline)
}

/// Answers a request with something else than a WebSocket, and returns the bytestream. On failure the
/// connection is closed, except if there is none. EBADF, ENOTSUP, EINVAL, EPIPE, ECONNRESET, ETIMEDOUT,
/// ECANCELED, ENOMEM.
pub(crate) fn reply(
    r: c_int,
    status: c_int,
    headers: Result<Vec<Header<'_>>>,
    body: Option<&[u8]>,
    deadline: i64,
) -> Result<c_int> {
    object::find_unwrapped::<PendingRequest>(r)?;
    let arguments = headers.and_then(|headers| Ok((headers, body.ok_or(Errno::EINVAL)?)));
    let (headers, body) = arguments.map_err(|error| close_and_fail(r, error))?;
    take_request(r, |context, lower, transport, head| {
        let request = head.as_request().ok_or(Errno::EBADF)?;
        let status = u16::try_from(status).unwrap_or(0);
        let mut reply = Reply { status, headers: &headers, len: body.len(), close: true };
        // What is wrong with the arguments shows before anything is received.
        reply.to_bytes().map_err(head::note_argument)?;
        reply.close = !request.is_persistent() || !skip_body(context, &transport, &request, deadline)?;
        let mut answer = reply.to_bytes().map_err(head::note_argument)?;
        let body = if reply.has_body(request.method) { body } else { &[] };
        let (copied, rest) = if body.len() <= COPIED_BODY { (body, &[][..]) } else { (&[][..], body) };
        try_extend(&mut answer, copied)?;
        transport.send_all(context, &answer, deadline)?;
        if !rest.is_empty() {
            transport.send_all(context, rest, deadline)?;
        }
        if reply.close {
            end_output(lower, &transport, deadline)?;
        } else if let Some(stream) = transport.tcp_stream() {
            // The reset that otherwise ends a TCP connection could overtake the answer.
            stream.set_close_mode(CloseMode::Graceful);
        }
        lower.check()?;
        Ok(lower.handle())
    })
}

/// Passes over the body of a request. False: it is too long, or it waits to be asked for.
fn skip_body(
    context: &Context,
    transport: &Transport,
    request: &RequestHead<'_>,
    deadline: i64,
) -> Result<bool> {
    if request.body.is_empty() {
        return Ok(true);
    }
    // RFC 9110, 10.1.1: such a client may send the body after the answer, or not at all.
    if request.fields.first("Expect").is_some() {
        return Ok(false);
    }
    let Some(mut skip) = Skip::new(request.body) else { return Ok(false) };
    loop {
        let (skipped, have) = transport.peek(context, |bytes| (skip.feed(bytes), bytes.len()));
        match skipped {
            Ok(Skipped::Complete(len)) => {
                transport.consume(context, len);
                return Ok(true);
            }
            Ok(Skipped::Incomplete { at_least }) => {
                transport.consume(context, have);
                let at_least = usize::try_from(at_least).unwrap_or(usize::MAX);
                transport.fill_some(context, at_least, deadline)?;
            }
            Err(_) => return Ok(false),
        }
    }
}
