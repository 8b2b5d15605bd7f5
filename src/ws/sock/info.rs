//! What can be told about a connection: what it is, and what has passed on it.

use super::Ws;
use crate::error::Result;
use crate::probes;
use crate::rt::clock;
use crate::rt::context::Context;
use crate::rt::object;
use crate::ws::deflate::Negotiated;
use crate::ws::frame::{ControlPayload, Opcode, Role};
use core::cell::Cell;
use core::ffi::c_int;

/// What has passed in one direction.
///
/// The two that each message adds to are not neighbours: to add to both with one vector costs more than twice as many
/// instructions as to add to each.
#[derive(Default)]
#[repr(C)]
pub(super) struct Traffic {
    messages: Cell<u64>,
    /// Where the first frame began, in bytes of the stream.
    origin: Cell<u64>,
    /// Bytes of messages, as the program sees them.
    payload: Cell<u64>,
    pings: Cell<u64>,
    pongs: Cell<u64>,
}

impl Ws {
    /// Counts a whole message that is sent.
    #[inline(always)]
    pub(super) fn count_sent(&self, len: usize) {
        self.sent.count_message(len);
        probes::message_sent(self, len as u64);
    }

    /// Counts a whole message that was received.
    #[inline(always)]
    pub(super) fn count_received(&self, len: usize) {
        self.received.count_message(len);
        probes::message_received(self, len as u64);
    }
}

impl Traffic {
    pub(super) fn from(origin: u64) -> Traffic {
        Traffic { origin: Cell::new(origin), ..Traffic::default() }
    }

    /// Counts a whole message.
    #[inline(always)]
    fn count_message(&self, len: usize) {
        self.messages.set(self.messages.get() + 1);
        self.count_payload(len);
    }

    /// Takes a message back that was counted and is sent in another way.
    #[cold]
    pub(super) fn discount_message(&self, len: usize) {
        self.messages.set(self.messages.get() - 1);
        self.payload.set(self.payload.get() - len as u64);
    }

    #[inline(always)]
    pub(super) fn count_payload(&self, len: usize) {
        self.payload.set(self.payload.get() + len as u64);
    }

    pub(super) fn count_end(&self) {
        self.messages.set(self.messages.get() + 1);
    }

    pub(super) fn count_control(&self, opcode: Opcode) {
        match opcode {
            Opcode::Ping => self.pings.set(self.pings.get() + 1),
            Opcode::Pong => self.pongs.set(self.pongs.get() + 1),
            _ => {}
        }
    }

    fn totals(&self, position: u64) -> Totals {
        Totals {
            messages: self.messages.get(),
            payload: self.payload.get(),
            wire: position.saturating_sub(self.origin.get()),
            pings: self.pings.get(),
            pongs: self.pongs.get(),
        }
    }
}

/// The newest pings that we have sent, and how long an answer has taken.
pub(super) struct PingTimes {
    pub(super) programs: SentPing,
    pub(super) keepalives: SentPing,
    /// In microseconds; negative: no ping has been answered.
    round_trip: Cell<i64>,
}

/// A ping on its way.
pub(super) struct SentPing {
    /// Of its payload.
    hash: Cell<u64>,
    /// When it was sent, in ns; 0: it was answered.
    time: Cell<i64>,
}

impl SentPing {
    const fn new() -> SentPing {
        SentPing { hash: Cell::new(0), time: Cell::new(0) }
    }

    pub(super) fn note(&self, payload: &ControlPayload) {
        self.hash.set(payload.hash());
        self.time.set(clock::nanoseconds());
    }
}

impl PingTimes {
    pub(super) const fn new() -> PingTimes {
        PingTimes { programs: SentPing::new(), keepalives: SentPing::new(), round_trip: Cell::new(-1) }
    }

    /// RFC 6455, 5.5.3: the answer has the payload of the ping.
    pub(super) fn note_pong(&self, hash: u64) {
        for ping in [&self.programs, &self.keepalives] {
            if ping.time.get() != 0 && ping.hash.get() == hash {
                self.round_trip.set((clock::nanoseconds() - ping.time.take()) / 1000);
            }
        }
    }
}

/// What has passed in one direction.
pub(crate) struct Totals {
    pub(crate) messages: u64,
    pub(crate) payload: u64,
    /// Bytes of frames.
    pub(crate) wire: u64,
    pub(crate) pings: u64,
    pub(crate) pongs: u64,
}

/// What a connection is, and what has passed on it.
pub(crate) struct Info {
    pub(crate) is_server: bool,
    pub(crate) text: bool,
    /// None: messages are not compressed.
    pub(crate) compression: Option<Negotiated>,
    pub(crate) sent: Totals,
    pub(crate) received: Totals,
    /// Of the last ping that was answered, in microseconds; negative: none was.
    pub(crate) round_trip: i64,
    /// Bytes that were accepted for sending and have not left.
    pub(crate) queued: usize,
}

/// Tells about a connection. EBADF, ENOTSUP.
pub(crate) fn info(s: c_int) -> Result<Info> {
    let ws = object::find::<Ws>(s)?;
    let context = Context::get()?;
    Ok(ws.info(context))
}

impl Ws {
    fn info(&self, context: &Context) -> Info {
        Info {
            is_server: self.connection.borrow().role() == Role::Server,
            text: self.text,
            compression: self.extension.borrow().as_ref().map(|extension| *extension.negotiated()),
            sent: self.sent.totals(self.transport.sent()),
            received: self.received.totals(self.transport.position(context)),
            round_trip: self.ping_times.round_trip.get(),
            queued: self.transport.queued(context),
        }
    }
}
