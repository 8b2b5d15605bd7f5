//! Attaching: takes a bytestream over and does the opening handshake, RFC 6455, 4.

use super::background::Keepalive;
use super::head;
use super::info::{PingTimes, Traffic};
use super::turns::Turns;
use super::{GATHER, NOGATHER, NOHTTP, TEXT, Ws};
use crate::environment;
use crate::error::{Errno, Result};
use crate::http::grammar::Malformed;
use crate::memory::{try_box, try_vec};
use crate::probes;
use crate::rt::above::Hooks;
use crate::rt::background::Task;
use crate::rt::context::Context;
use crate::rt::handle::{self, Id};
use crate::rt::mutex::Mutex;
use crate::rt::object;
use crate::sock::BSOCK_TYPE;
use crate::sock::layer::close_and_fail;
use crate::transport::Transport;
use crate::why;
use crate::ws::connection::Connection;
use crate::ws::deflate::{self, Deflate, Effort, Negotiated};
use crate::ws::extension::Extension;
use crate::ws::frame::Role;
use crate::ws::handshake::header::Header;
use crate::ws::handshake::{self, ClientRequest, Offered, Refusal, StoredHead, offer};
use crate::ws::options::WsOptions;
use core::cell::{Cell, RefCell};
use core::ffi::c_int;
use std::sync::OnceLock;

/// The codecs that a thread keeps are freed with its context.
static CODECS: Hooks = Hooks { number: 3, at_end: |_| deflate::free(), in_child: |_| {} };

const NO_ROOM_FOR_RESOURCE: Refusal =
    Refusal { rule: "the resource does not fit in the caller's buffer", status: Some(414) };
const NO_ROOM_FOR_HOST: Refusal =
    Refusal { rule: "the host does not fit in the caller's buffer", status: Some(431) };

/// What is left of a handshake that somebody may ask for.
pub(super) struct Told {
    /// Empty: none.
    pub(super) subprotocol: Vec<u8>,
    /// The peer's.
    pub(super) head: Option<StoredHead>,
}

impl Told {
    /// None if there is nothing to tell. ENOMEM.
    pub(super) fn new(subprotocol: Option<&[u8]>, head: Option<StoredHead>) -> Result<Option<Box<Told>>> {
        if subprotocol.is_none() && head.is_none() {
            return Ok(None);
        }
        try_box(Told { subprotocol: try_vec(subprotocol.unwrap_or_default())?, head }).map(Some)
    }
}

/// What a handshake has led to.
#[derive(Default)]
pub(super) struct HandshakeResult {
    pub(super) told: Option<Box<Told>>,
    /// How messages are compressed.
    pub(super) negotiated: Option<Negotiated>,
}

/// The options that are meant by the flags of libdill's own calls. EINVAL.
pub(crate) fn options_of_flags(flags: c_int) -> Result<WsOptions<'static>> {
    if flags & !(TEXT | NOHTTP | NOGATHER | GATHER) != 0 {
        return Err(why::note(Errno::EINVAL, why::Fact::Argument("unknown flags")));
    }
    Ok(WsOptions {
        text: flags & TEXT != 0,
        no_http: flags & NOHTTP != 0,
        gathers: flags & NOGATHER == 0 && (flags & GATHER != 0 || gathers_by_default()),
        ..WsOptions::default()
    })
}

/// What a client asks a server for, beside what its options say.
pub(crate) struct Ask<'a> {
    /// Such as "/".
    pub resource: &'a [u8],
    /// With the port if it is not the usual one.
    pub host: &'a [u8],
    /// The value of `Authorization`.
    pub authorization: Option<&'a [u8]>,
    /// The program's own.
    pub headers: &'a [Header<'a>],
    /// A redirect is no failure.
    pub follows: bool,
}

impl Ask<'_> {
    /// Whether it can be sent. EINVAL, ENOMEM.
    pub(crate) fn check(&self, options: &WsOptions<'_>) -> Result<()> {
        self.request(options, &[b'0'; handshake::KEY_LEN]).map(drop)
    }

    fn request(&self, options: &WsOptions<'_>, key: &[u8; handshake::KEY_LEN]) -> Result<Vec<u8>> {
        let offer = options.compression.map(|compression| offer::offer(&compression.wishes)).transpose()?;
        let request = ClientRequest {
            origin: options.origin,
            authorization: self.authorization,
            subprotocols: &options.subprotocols,
            headers: self.headers,
            extensions: offer.as_deref(),
            ..ClientRequest::new(self.resource, self.host, key)
        };
        request.to_bytes().map_err(head::note_argument)
    }
}

/// What a client has got.
pub(crate) enum Asked {
    /// The handle of a WebSocket.
    WebSocket(c_int),
    /// An answer with the status of a redirect. The bytestream is closed.
    Redirected(StoredHead),
}

/// Makes a client's WebSocket of a bytestream, which is closed on failure. EBADF, ENOTSUP, EINVAL,
/// EPROTO, ECONNRESET, ETIMEDOUT, ECANCELED, ENOMEM.
pub(crate) fn attach_client(
    s: c_int,
    resource: Option<&[u8]>,
    host: Option<&[u8]>,
    options: &WsOptions<'_>,
    deadline: i64,
) -> Result<c_int> {
    if options.no_http {
        return take_over(s, |_, lower, transport| {
            make(lower, transport, Role::Client, options, HandshakeResult::default())
        });
    }
    let (Some(resource), Some(host)) = (resource, host) else { return Err(close_and_fail(s, Errno::EINVAL)) };
    let ask = Ask { resource, host, authorization: None, headers: &options.headers, follows: false };
    match ask_for(s, &ask, options, deadline)? {
        Asked::WebSocket(handle) => Ok(handle),
        Asked::Redirected(_) => Err(Errno::EPROTO),
    }
}

/// The same, for somebody who may follow redirects.
pub(crate) fn ask_for(s: c_int, ask: &Ask<'_>, options: &WsOptions<'_>, deadline: i64) -> Result<Asked> {
    let mut redirected = None;
    let made = take_over(s, |context, lower, transport| {
        match shake_hands(context, &transport, ask, options, deadline)? {
            Ok(agreed) => make(lower, transport, Role::Client, options, agreed),
            Err(head) => {
                redirected = Some(head);
                Err(Errno::EPROTO)
            }
        }
    });
    match redirected {
        Some(head) => Ok(Asked::Redirected(head)),
        None => made.map(Asked::WebSocket),
    }
}

/// The error in it is a redirect that may be followed.
fn shake_hands(
    context: &Context,
    transport: &Transport,
    ask: &Ask<'_>,
    options: &WsOptions<'_>,
    deadline: i64,
) -> Result<core::result::Result<HandshakeResult, StoredHead>> {
    let key = request_key_from(context)?;
    transport.send_all(context, &ask.request(options, &key)?, deadline)?;
    let answer = head::receive_answer(context, transport, deadline)?;
    if ask.follows
        && let Ok(stored) = &answer
        && stored.as_answer().is_some_and(|answer| matches!(answer.status, 301 | 302 | 303 | 307 | 308))
    {
        return answer.map(Err).map_err(|_| Errno::EPROTO);
    }
    let offered =
        Offered { key: &key, subprotocols: &options.subprotocols, extensions: options.compression.is_some() };
    let ((subprotocol, negotiated), head) = head::judge_answer(answer, |answer| {
        let chosen = answer.accept(&offered)?.subprotocol;
        let subprotocol = options.subprotocols.iter().find(|offered| Some(**offered) == chosen);
        let negotiated = options.compression.map(|compression| {
            let agreed = offer::agreed(&compression.wishes, answer.fields);
            agreed.map_err(|Malformed(rule)| Refusal { rule, status: Some(answer.status) })
        });
        Ok((subprotocol, negotiated.transpose()?.flatten()))
    })?;
    let told = Told::new(subprotocol.copied(), options.keeps_head.then_some(head))?;
    Ok(Ok(HandshakeResult { told, negotiated }))
}

/// Makes a server's WebSocket of a bytestream, which is closed on failure. The strings that the
/// client asked for are written with a NUL. As `attach_client`, and EMSGSIZE if one does not fit.
pub(crate) fn attach_server(
    s: c_int,
    resource: Option<&mut [u8]>,
    host: Option<&mut [u8]>,
    options: &WsOptions<'_>,
    deadline: i64,
) -> Result<c_int> {
    take_over(s, |context, lower, transport| {
        if !options.no_http {
            let answer = head::receive(context, &transport, deadline, |head| {
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
                Ok(response) => transport.send_all(context, &response?, deadline)?,
                Err(refusal) => {
                    head::reject(context, &transport, refusal.status, deadline)?;
                    let is_too_long = matches!(refusal.status, Some(414 | 431));
                    let error = if is_too_long { Errno::EMSGSIZE } else { Errno::EPROTO };
                    return Err(head::note_refusal(error, &refusal));
                }
            }
        }
        make(lower, transport, Role::Server, options, HandshakeResult::default())
    })
}

/// Copies a string and its NUL. False: it does not fit.
pub(super) fn copy_string(string: &[u8], place: Option<&mut [u8]>) -> bool {
    let Some(place) = place else { return true };
    let Some(end) = place.get_mut(string.len()) else { return false };
    *end = 0;
    place[..string.len()].copy_from_slice(string);
    true
}

/// Makes something else of a bytestream, whose number is dead from here on, and which is closed on failure.
pub(super) fn take_over(
    s: c_int,
    make: impl FnOnce(&Context, Id, Transport) -> Result<c_int>,
) -> Result<c_int> {
    let context = Context::get()?;
    let lower = Id::of(handle::own(s)?);
    let made = Transport::new(lower).and_then(|transport| make(context, lower, transport));
    made.inspect_err(|_| lower.close())
}

/// Makes a WebSocket, whose handshake is done.
pub(super) fn make(
    lower: Id,
    transport: Transport,
    role: Role,
    options: &WsOptions<'_>,
    agreed: HandshakeResult,
) -> Result<c_int> {
    if let Some(stream) = transport.tcp_stream() {
        stream.send_at_once();
    }
    #[cfg(feature = "tls")]
    crate::tls::keep_input(lower.handle(), true);
    let context = Context::get()?;
    let compression = agreed.negotiated.zip(options.compression);
    let compression = compression.map(|(negotiated, how)| (negotiated, how.effort(&negotiated)));
    let extension = compression.map(|(negotiated, effort)| make_extension(context, negotiated, effort));
    let extension = extension.transpose()?;
    let threshold = compression.map(|(_, effort)| effort.threshold);
    let keepalive = Keepalive::new(options.pings, &transport)?;
    let handle = object::make_with(|| Ws {
        lower: Cell::new(lower),
        received: Traffic::from(transport.position(context)),
        sent: Traffic::from(transport.sent() + transport.queued(context) as u64),
        ping_times: PingTimes::new(),
        transport,
        text: options.text,
        gathers: options.gathers,
        agreed: agreed.told,
        extension: RefCell::new(extension),
        slow_path_from: Ws::slow_path_from(threshold),
        connection: RefCell::new(Connection::new(role)),
        receiving: Mutex::new(),
        closing: Cell::new(false),
        partial: RefCell::new(Vec::new()),
        dropping: Cell::new(false),
        in_part: Cell::new(false),
        turns: Turns::new(if role == Role::Client { 0 } else { threshold.unwrap_or(usize::MAX) }),
        ending: Cell::new(false),
        attends: Cell::new(false),
        ahead: RefCell::new(None),
        task: Task::new(),
        keepalive,
    })?;
    let ws = object::find::<Ws>(handle)?;
    if let Some(max) = options.max_message {
        ws.connection.borrow_mut().set_max_message(max);
    }
    if let Some(extension) = ws.extension.borrow().as_ref() {
        ws.connection.borrow_mut().set_extension_bits(extension.bits());
    }
    if let Err(error) = ws.begin_background(context, options.attends) {
        object::close(handle, ws);
        return Err(error);
    }
    probes::handshake(&*ws, handle, role == Role::Server, compression.is_some());
    Ok(handle)
}

/// ENOMEM. (On its own, for what it takes of the stack.)
#[inline(never)]
fn make_extension(context: &Context, negotiated: Negotiated, effort: Effort) -> Result<Box<Deflate>> {
    let deflate = try_box(Deflate::new(negotiated, effort))?;
    context.register(&CODECS);
    Ok(deflate)
}

/// Whether the environment asks for it, for programs that cannot be changed.
fn gathers_by_default() -> bool {
    static ASKED: OnceLock<bool> = OnceLock::new();
    *ASKED.get_or_init(|| environment::variable(c"DILL_WS_GATHER") == Some(b"1"))
}

/// Refuses what is no bytestream. EBADF, ENOTSUP.
pub(crate) fn check_bytestream(s: c_int) -> Result<()> {
    handle::query(s, BSOCK_TYPE.get()).map(drop)
}

fn request_key_from(context: &Context) -> Result<[u8; handshake::KEY_LEN]> {
    Ok(handshake::encode_key(context.random()?))
}

/// A fresh key for a client's request.
pub(crate) fn request_key() -> Result<[u8; handshake::KEY_LEN]> {
    request_key_from(Context::get()?)
}

/// The server's answer to a key. EPROTO if that is not the base64 of 16 bytes.
pub(crate) fn response_key(key: &[u8]) -> Result<[u8; handshake::ACCEPT_LEN]> {
    if handshake::is_valid_key(key) { Ok(handshake::accept_key(key)) } else { Err(Errno::EPROTO) }
}
