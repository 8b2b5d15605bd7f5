//! The WebSocket handle: the one part of `ws` that moves bytes.
//!
//! `attach` makes it, `inbound` and `outbound` are its two halves, `closing` ends it. Nothing of
//! a half is borrowed while a coroutine waits: others may use the handle, or close it, meanwhile.

mod attach;
mod background;
mod broadcast;
mod broadcast_message;
mod closing;
mod compressed;
mod control;
pub(crate) mod head;
mod inbound;
mod info;
mod message_sink;
mod outbound;
mod outgoing;
mod part;
mod ping;
pub(crate) mod request;
mod resumed;
mod turns;

pub(crate) use crate::sock::layer::close_and_fail;
pub(crate) use attach::{
    Ask, Asked, ask_for, attach_client, attach_server, check_bytestream, options_of_flags, request_key,
    response_key,
};
pub(crate) use broadcast::broadcast;
pub(crate) use closing::{close, detach, done, status};
pub(crate) use head::note_argument;
pub(crate) use info::{Info, info};
pub(crate) use part::recv_some;
pub(crate) use ping::{ping, pong};

use super::ahead::Ahead;
use super::connection::Connection;
use super::deflate::Deflate;
use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::rt::background::Task;
use crate::rt::context::Context;
use crate::rt::handle::Id;
use crate::rt::mutex::Mutex;
use crate::rt::object::{self, About, Kind, Ref};
use crate::sock::call;
use crate::sock::{MSOCK_TYPE, MessageSocket, MsockVfs, msock_vfs};
use crate::transport::Transport;
use attach::Told;
use background::Keepalive;
use core::cell::{Cell, RefCell};
use core::ffi::{c_int, c_void};
use core::ptr;
use info::{PingTimes, Traffic};
use message_sink::PartialChunk;
pub(crate) use outbound::FastSend;
use turns::Turns;

/// Flag: binary messages.
pub(crate) const BINARY: c_int = 0;
/// Flag: text messages.
pub(crate) const TEXT: c_int = 1;
/// Flag of the attaching calls: the handshake is the caller's.
pub(crate) const NOHTTP: c_int = 2;
/// Flag of the attaching calls: every message leaves before its send returns, whatever the environment says.
pub(crate) const NOGATHER: c_int = 4;
/// Flag of the attaching calls: a message may wait while the next one to receive is there already. Flag of
/// the sending calls: more follows, so this one may wait to leave together with it.
pub(crate) const GATHER: c_int = 8;
/// Flag of the attaching calls with options: messages are compressed, if the peer can do that.
pub(crate) const DEFLATE: c_int = 16;
/// Flag of the sending calls: this message is not compressed.
pub(crate) const NODEFLATE: c_int = 64;
/// Flag of the attaching calls with options: the peer's head is kept.
pub(crate) const KEEP_HEAD: c_int = 32;
/// Flag of the sending calls: the message goes on with the next call.
pub(crate) const MORE: c_int = 128;
/// What the sending calls take for whole messages.
const SEND_FLAGS: c_int = TEXT | NOHTTP | NOGATHER | GATHER | NODEFLATE;

/// The body of a WebSocket's handle.
pub(crate) struct Ws {
    /// The bytestream's handle, which is ours alone.
    lower: Cell<Id>,
    transport: Transport,
    /// The type of messages for the generic calls.
    text: bool,
    /// Messages may wait while the next one to receive is there already.
    gathers: bool,
    /// None: the handshake has left nothing that could be asked for.
    agreed: Option<Box<Told>>,

    /// What payload goes through between frames and messages, if that was agreed on.
    extension: RefCell<Option<Box<Deflate>>>,
    /// From this length on, in bytes, messages do not take the fast path.
    slow_path_from: usize,
    /// What may be received and sent.
    connection: RefCell<Connection>,
    /// For whoever receives. Others are told so; while `ws_close` waits for the end, they wait.
    receiving: Mutex,
    closing: Cell<bool>,
    /// The front of the current message, from receives that a deadline ended.
    partial: RefCell<Vec<PartialChunk>>,
    /// The rest of the current message is not wanted.
    dropping: Cell<bool>,
    /// The front of the current message was received by itself.
    in_part: Cell<bool>,
    /// For whoever sends.
    turns: Turns,
    received: Traffic,
    sent: Traffic,
    ping_times: PingTimes,
    /// The close frame is being sent: nothing comes behind it.
    ending: Cell<bool>,

    /// Pings are answered while nobody receives.
    attends: Cell<bool>,
    /// How far was looked then.
    ahead: RefCell<Option<Box<Ahead>>>,
    task: Task,
    /// None: the peer is not asked whether it is there.
    keepalive: Option<Box<Keepalive>>,
}

/// The handle of the bytestream below a WebSocket or a request.
#[cfg(feature = "tls")]
pub(crate) fn handle_below(handle: c_int) -> Option<c_int> {
    let ws = object::find::<Ws>(handle).map(|ws| ws.lower.get().handle());
    ws.ok().or_else(|| request::handle_below(handle))
}

static TYPE: u8 = 0;

impl Kind for Ws {
    type Vfs = MsockVfs;
    const VFS: MsockVfs = msock_vfs::<Ws>();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        let state = self.connection.try_borrow().map_or("", |connection| connection.about());
        About::on_handle("WebSocket", self.lower.get().handle()).in_state(state)
    }

    fn interface_id() -> Option<*const c_void> {
        Some(MSOCK_TYPE.get())
    }

    /// Drops the connection. Whoever is inside fails with EBADF.
    fn close(this: &Ref<Ws>) {
        let Ok(context) = Context::get() else { return };
        if this.connection.borrow().peer_has_closed()
            && let Some(stream) = this.transport.stream()
        {
            stream.note_peer_eof();
        }
        this.connection.borrow_mut().note_gone();
        this.end_background(context);
        this.turns.dismiss(context);
        this.receiving.dismiss(context);
        this.lower.replace(Id::NONE).close();
    }
}

impl MessageSocket for Ws {
    fn send(this: &Ref<Ws>, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        this.send_message(if this.text { TEXT } else { BINARY }, pieces, deadline)
    }

    fn recv(this: &Ref<Ws>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<usize> {
        let size = this.recv_message(pieces, deadline)?;
        this.of_expected_type(this.received_text(), size)
    }
}

impl Ws {
    /// The size of a message that a generic call has received. EPROTO: it is of the wrong type. It is gone, and the
    /// connection lives on.
    #[inline(always)]
    fn of_expected_type(&self, text: bool, size: usize) -> Result<usize> {
        if text == self.text { Ok(size) } else { Err(Errno::EPROTO) }
    }
}

/// Where one message is received to.
pub(crate) enum Place<'a> {
    /// A buffer that it fits in.
    Buffer(&'a mut [u8]),
    /// Nowhere: a message of at most so many bytes is dropped.
    Skip(usize),
}

/// Sends a small message as far as that takes no waiting. Leaves errno alone.
///
/// This and `recv_at_once`, and their like for the generic calls, are where a server of many small messages
/// spends its time, and so they count no reference.
#[inline(always)]
pub(crate) fn send_at_once(s: c_int, flags: c_int, payload: &[u8]) -> FastSend {
    if flags & !SEND_FLAGS != 0 { FastSend::NotTaken } else { try_send(s, |_| flags, payload) }
}

/// The same with a message of the type that the generic calls send. Not taken either if the handle is something else's.
#[inline(always)]
pub(crate) fn msend_at_once(s: c_int, payload: &[u8]) -> FastSend {
    try_send(s, |ws| flag_of(ws.text), payload)
}

#[inline(always)]
fn try_send(s: c_int, flags: impl FnOnce(&Ws) -> c_int, payload: &[u8]) -> FastSend {
    let Some(context) = Context::existing() else { return FastSend::NotTaken };
    // SAFETY: `send_fast` neither switches nor closes anything, and the object is not used afterwards.
    let Some(ws) = (unsafe { object::peek::<Ws>(context, s) }) else { return FastSend::NotTaken };
    match ws.send_fast(context, flags(ws), payload) {
        FastSend::Done if context.is_spent() => FastSend::Spent,
        sent => sent,
    }
}

/// Completes what `send_at_once` has begun with a message, or a part of one, that lies in one buffer. None: NULL
/// with a length, or more bytes than there can be. EBADF, ENOTSUP, EINVAL, EPIPE, ECONNRESET, ETIMEDOUT, ECANCELED.
#[inline(never)]
pub(crate) fn complete_send(
    sent: FastSend,
    s: c_int,
    flags: c_int,
    payload: Option<&[u8]>,
    deadline: i64,
) -> Result<()> {
    match sent {
        FastSend::Done => Ok(()),
        FastSend::Spent => Context::get().map(Context::pause),
        FastSend::Partial(len) => {
            let payload = payload.map_or(0, <[u8]>::len);
            object::find::<Ws>(s)?.send_rest(Context::get()?, len, payload, deadline)
        }
        FastSend::NotTaken => {
            let ws = find_sender(s, flags)?;
            let element = outgoing::element_of(payload.ok_or(Errno::EINVAL)?);
            // SAFETY: the element is that of the payload, which stays until this returns.
            let payload = unsafe { Pieces::one(&element) };
            ws.send_message(flags, payload, deadline)
        }
    }
}

/// Sends one message, or a part of one. EBADF, ENOTSUP, EINVAL, EPIPE, ECONNRESET, ETIMEDOUT, ECANCELED.
pub(crate) fn send(s: c_int, flags: c_int, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
    find_sender(s, flags)?.send_message(flags, pieces, deadline)
}

fn find_sender(s: c_int, flags: c_int) -> Result<Ref<Ws>> {
    let ws = object::find::<Ws>(s)?;
    if flags & !(SEND_FLAGS | MORE) != 0 { Err(Errno::EINVAL) } else { Ok(ws) }
}

/// Receives one message into one buffer; returns its type and size. EBADF, ENOTSUP, EBUSY, EPIPE,
/// ECONNRESET, EPROTO, EMSGSIZE, ETIMEDOUT, ECANCELED, ENOMEM.
pub(crate) fn recv_buffer(s: c_int, place: Place<'_>, deadline: i64) -> Result<(c_int, usize)> {
    let ws = object::find::<Ws>(s)?;
    let size = match place {
        Place::Buffer(buffer) => ws.recv_into(buffer, deadline),
        Place::Skip(len) => {
            let element = call::one_element(ptr::null_mut(), len);
            // SAFETY: the element skips bytes.
            ws.recv_message(Some(unsafe { Pieces::one(&element) }), deadline)
        }
    }?;
    Ok((flag_of(ws.received_text()), size))
}

/// Receives a message that has arrived already; returns its type and size. None: this is not the
/// case, and nothing was taken. Leaves errno alone.
#[inline(always)]
pub(crate) fn recv_at_once(s: c_int, place: &mut [u8]) -> Option<(c_int, usize)> {
    try_recv(s, place, |_, text, size| (flag_of(text), size))
}

/// The same as the generic calls receive: its size, or EPROTO if it is of the wrong type. None also if the handle is
/// something else's.
#[inline(always)]
pub(crate) fn mrecv_at_once(s: c_int, place: &mut [u8]) -> Option<Result<usize>> {
    try_recv(s, place, Ws::of_expected_type)
}

#[inline(always)]
fn try_recv<R>(s: c_int, place: &mut [u8], received: impl FnOnce(&Ws, bool, usize) -> R) -> Option<R> {
    let context = Context::existing()?;
    // SAFETY: taking what is there neither switches nor closes anything.
    let ws = unsafe { object::peek::<Ws>(context, s) }?;
    let (text, size) = ws.try_recv_buffered(context, place)?;
    Some(received(ws, text, size))
}

/// The flag that tells the type of a message.
#[inline(always)]
fn flag_of(text: bool) -> c_int {
    const { assert!(BINARY == 0 && TEXT == 1) };
    c_int::from(text)
}

/// As `recv_buffer`, into a list of buffers. None: drops the message.
pub(crate) fn recv(s: c_int, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<(c_int, usize)> {
    let ws = object::find::<Ws>(s)?;
    let size = ws.recv_message(pieces, deadline)?;
    Ok((flag_of(ws.received_text()), size))
}
