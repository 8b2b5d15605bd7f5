//! Attaching: takes a bytestream over and does the opening handshake, RFC 6455, 4.

use super::{GATHER, NOGATHER, NOHTTP, TEXT, Ws};
use crate::error::{Errno, Result};
use crate::net::socket;
use crate::rt::context::Context;
use crate::rt::handle::{self, Id};
use crate::rt::mutex::Mutex;
use crate::rt::object;
use crate::sock::BSOCK_TYPE;
use crate::sock::layer::close_and_fail;
use crate::transport::Transport;
use crate::ws::connection::Connection;
use crate::ws::frame::Role;
use crate::ws::handshake::{self, AnswerHead, HeadScan, MAX_INTERIM, Offered, Refusal, Scan};
use core::cell::{Cell, RefCell};
use core::ffi::{CStr, c_int};
use std::sync::OnceLock;

const NO_ROOM_FOR_RESOURCE: Refusal =
    Refusal { rule: "the resource does not fit in the caller's buffer", status: Some(414) };
const NO_ROOM_FOR_HOST: Refusal =
    Refusal { rule: "the host does not fit in the caller's buffer", status: Some(431) };
const TOO_MANY_INTERIM: Refusal = Refusal { rule: "more than 16 interim answers", status: None };

/// Makes a client's WebSocket of a bytestream, which is closed on failure. EBADF, ENOTSUP, EINVAL,
/// EPROTO, ECONNRESET, ETIMEDOUT, ECANCELED, ENOMEM.
pub fn attach_client(
    s: c_int,
    flags: c_int,
    resource: Option<&[u8]>,
    host: Option<&[u8]>,
    deadline: i64,
) -> Result<c_int> {
    attach(s, flags, Role::Client, |context, transport| {
        let key = request_key_from(context)?;
        let resource = resource.ok_or(Errno::EINVAL)?;
        let request = handshake::request(resource, host.ok_or(Errno::EINVAL)?, &key)?;
        transport.send_all(context, &request, deadline)?;
        with_answer(context, transport, deadline, |answer| {
            answer.accept(&Offered { key: &key, subprotocols: &[], extensions: false }).map(|_| ())
        })?
        .map_err(|_| Errno::EPROTO)
    })
}

/// Makes a server's WebSocket of a bytestream, which is closed on failure. The strings that the
/// client asked for are written with a NUL. As `attach_client`, and EMSGSIZE if one does not fit.
pub fn attach_server(
    s: c_int,
    flags: c_int,
    resource: Option<&mut [u8]>,
    host: Option<&mut [u8]>,
    deadline: i64,
) -> Result<c_int> {
    attach(s, flags, Role::Server, |context, transport| {
        let answer = with_head(context, transport, deadline, |head| {
            let request = handshake::parse_request(head)?;
            if !copy_string(request.resource, resource) {
                return Err(NO_ROOM_FOR_RESOURCE);
            }
            if !copy_string(request.host, host) {
                return Err(NO_ROOM_FOR_HOST);
            }
            Ok(handshake::response(request.key))
        })?;
        match answer {
            Ok(response) => transport.send_all(context, &response?, deadline),
            Err(refusal) => Err(reject_request(context, transport, &refusal, deadline)),
        }
    })
}

/// Answers a request that cannot be accepted.
fn reject_request(context: &Context, transport: &Transport, refusal: &Refusal, deadline: i64) -> Errno {
    let status = refusal.status.unwrap_or(400);
    if let Err(error @ (Errno::ETIMEDOUT | Errno::ECANCELED)) =
        transport.send_all(context, handshake::refusal_response(status), deadline)
    {
        return error;
    }
    // The reset that otherwise ends a TCP connection could overtake the answer.
    if let Some(stream) = transport.own_tcp() {
        stream.close_in_order(true);
    }
    match status {
        414 | 431 => Errno::EMSGSIZE,
        _ => Errno::EPROTO,
    }
}

/// Copies a string and its NUL. False: it does not fit.
fn copy_string(string: &[u8], place: Option<&mut [u8]>) -> bool {
    let Some(place) = place else { return true };
    let Some(end) = place.get_mut(string.len()) else { return false };
    *end = 0;
    place[..string.len()].copy_from_slice(string);
    true
}

/// Receives a head and nothing behind it, and has it judged.
fn with_head<R>(
    context: &Context,
    transport: &Transport,
    deadline: i64,
    judge: impl FnOnce(&[u8]) -> core::result::Result<R, Refusal>,
) -> Result<core::result::Result<R, Refusal>> {
    let mut scan = HeadScan::new();
    loop {
        let (seen, have) = transport.peek(context, |bytes| (scan.scan(bytes), bytes.len()));
        match seen {
            Ok(Scan::Complete(len)) => {
                let judged = transport.peek(context, |bytes| judge(&bytes[..len]));
                transport.consume(context, len);
                return Ok(judged);
            }
            Ok(Scan::Incomplete { at_least }) => transport.fill(context, have + at_least, deadline)?,
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
}

/// Receives the head of an answer and nothing behind it, and has it judged. Interim answers before it
/// are passed over (RFC 9110, 15.2).
fn with_answer<R>(
    context: &Context,
    transport: &Transport,
    deadline: i64,
    judge: impl Fn(&AnswerHead<'_>) -> core::result::Result<R, Refusal>,
) -> Result<core::result::Result<R, Refusal>> {
    for _ in 0..MAX_INTERIM {
        let judged = with_head(context, transport, deadline, |head| {
            let answer = handshake::parse_answer_head(head)?;
            if answer.is_interim() { Ok(None) } else { judge(&answer).map(Some) }
        })?;
        if let Some(judged) = judged.transpose() {
            return Ok(judged);
        }
    }
    Ok(Err(TOO_MANY_INTERIM))
}

fn attach(
    s: c_int,
    flags: c_int,
    role: Role,
    shake_hands: impl FnOnce(&Context, &Transport) -> Result<()>,
) -> Result<c_int> {
    let context = Context::get()?;
    if let Err(error) = check(s, flags) {
        return Err(close_and_fail(s, error));
    }
    // From here on the bytestream is ours: the number that the caller knows is dead.
    let lower = Id::of(handle::own(s)?);
    let made = Transport::new(lower).and_then(|transport| {
        if flags & NOHTTP == 0 {
            shake_hands(context, &transport)?;
        }
        if let Some(stream) = transport.own_tcp() {
            socket::send_at_once(stream.fd());
        }
        object::make(Ws {
            lower: Cell::new(lower),
            transport,
            text: flags & TEXT != 0,
            gathers: flags & NOGATHER == 0 && (flags & GATHER != 0 || gathers_by_default()),
            extension: RefCell::new(None),
            slow_path_from: Ws::slow_path_from(None),
            connection: RefCell::new(Connection::new(role)),
            receiving: Cell::new(false),
            partial: RefCell::new(Vec::new()),
            dropping: Cell::new(false),
            sending: Mutex::new(),
        })
    });
    made.inspect_err(|_| lower.close())
}

/// Whether the environment asks for it, for programs that cannot be changed.
fn gathers_by_default() -> bool {
    static ASKED: OnceLock<bool> = OnceLock::new();
    *ASKED.get_or_init(|| {
        // SAFETY: a string that ends with NUL; nobody changes the environment while threads run.
        let value = unsafe { libc::getenv(c"DILL_WS_GATHER".as_ptr()) };
        // SAFETY: a value of the environment is a string.
        !value.is_null() && unsafe { CStr::from_ptr(value) } == c"1"
    })
}

fn check(s: c_int, flags: c_int) -> Result<()> {
    handle::query(s, BSOCK_TYPE.get())?;
    if flags & !(TEXT | NOHTTP | NOGATHER | GATHER) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

fn request_key_from(context: &Context) -> Result<[u8; handshake::KEY_LEN]> {
    Ok(handshake::encode_key(context.random.take()?))
}

/// A fresh key for a client's request.
pub fn request_key() -> Result<[u8; handshake::KEY_LEN]> {
    request_key_from(Context::get()?)
}

/// The server's answer to a key. EPROTO if that is not the base64 of 16 bytes.
pub fn response_key(key: &[u8]) -> Result<[u8; handshake::ACCEPT_LEN]> {
    if handshake::is_valid_key(key) { Ok(handshake::accept_key(key)) } else { Err(Errno::EPROTO) }
}
