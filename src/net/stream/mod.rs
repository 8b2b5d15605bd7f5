//! A connected stream socket, TCP or AF_UNIX: what the bytestream calls see, and the buffered view
//! that WebSocket works on.
//!
//! The buffered view (`peek`, `consume`, `fill`, `read`, and the sending functions) loses nothing
//! when a deadline passes. The bytestream calls on top of it are all-or-nothing, and a failure
//! breaks their direction for good, as libdill has it.

mod bytestream;
mod queue;
mod receiving;
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS has records"))]
pub(crate) mod records;
mod sending;
mod shared;

use super::buffers::{RECEIVE_SIZE, UNOPENED};
use super::descriptor::Descriptor;
use super::socket;
use crate::error::{Errno, Result};
use crate::rt::context::{Context, Epoch};
use crate::rt::object::{self, About, Kind, Ref};
use crate::rt::poller::{Direction, Watcher};
use crate::sock::half::Half;
use crate::sock::{BSOCK_TYPE, BsockVfs, TypeId, bsock_vfs};
use core::cell::{Cell, RefCell};
use core::ffi::{c_int, c_void};
use queue::Queue;
use receiving::Saved;
use records::Wire;
pub(crate) use shared::Shared;

/// How much unread input a graceful close takes away, in bytes. What is left after that resets the
/// connection.
const MAX_UNREAD: usize = 128 * 1024;

/// What kind of stream it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    /// Reads ahead.
    Tcp,
    /// Never reads past what is asked for: a descriptor may be travelling behind it.
    Unix,
}

/// The body of a connection's handle.
pub(crate) struct Stream {
    fd: Descriptor,
    /// Tells the streams of a thread apart, also those that are gone.
    id: Cell<u64>,
    family: Family,
    inbound: Half,
    outbound: Half,
    /// Received and not consumed, while the shared buffer is lent to somebody else.
    saved: RefCell<Saved>,
    /// How much may be read beyond what is asked for, at least as long as there is room.
    read_ahead: Cell<usize>,
    /// When the kernel's receive buffer was last found empty.
    drained_in_epoch: Cell<Epoch>,
    /// The kernel may hold more, as far as is known.
    may_hold_more: Cell<bool>,
    /// When the peer was last heard of, in ns, and how often.
    heard: Cell<i64>,
    times_heard: Cell<u64>,
    /// What lies between the view and the wire, if not nothing.
    wire: RefCell<Option<Box<Wire>>>,
    has_records: Cell<bool>,
    /// How many bytes have come through the view, and how many have left.
    received: Cell<u64>,
    sent: Cell<u64>,
    /// Accepted for sending and not yet taken by the kernel. None: nothing is.
    queue: RefCell<Option<Box<Queue>>>,
    /// Error of a background write; the next send reports it.
    failure: Cell<Option<Errno>>,
    close_mode: Cell<CloseMode>,
    sends_at_once: Cell<bool>,
    /// There is neither a queue nor a failure, and what is sent leaves as it is. False: look closer.
    plainly_clear: Cell<bool>,
    /// The peer has said that it sends nothing more.
    peer_eof: Cell<bool>,
    /// Whoever sent last was told that the connection is broken.
    was_reset: Cell<bool>,
}

/// What closing a stream does to bytes that are on their way.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum CloseMode {
    /// They arrive.
    Graceful,
    /// The connection is reset.
    Abort,
}

static TYPE: u8 = 0;
static VIEW_TYPE: u8 = 0;

/// The identity of a bytestream that is a buffered view: that of a stream, or of what lies on one.
pub(crate) const VIEW: TypeId = TypeId::of(&VIEW_TYPE);

/// The view of a bytestream. EBADF, ENOTSUP if it has none.
pub(crate) fn find_view(handle: c_int) -> Result<Ref<Stream>> {
    // SAFETY: only streams answer for this, and those that pass one on.
    unsafe { object::find_interface(handle, VIEW.get()) }
}

impl Kind for Stream {
    type Vfs = BsockVfs;
    const VFS: BsockVfs = bsock_vfs::<Stream>();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        let name = if self.family == Family::Tcp { "TCP connection" } else { "AF_UNIX connection" };
        let state = match (self.failure.get(), self.outbound.done.get(), self.inbound.done.get()) {
            (Some(_), ..) => "broken",
            (None, true, true) => "ended by both sides",
            (None, true, false) => "ended by us",
            (None, false, true) => "ended by the peer",
            (None, false, false) => "",
        };
        About::on_descriptor(name, self.fd.get()).in_state(state)
    }

    fn interface_id() -> Option<*const c_void> {
        Some(BSOCK_TYPE.get())
    }

    fn other_interface(this: &Ref<Stream>, id: *const c_void) -> Option<*mut c_void> {
        (id == VIEW.get()).then(|| this.as_interface())
    }

    fn close(this: &Ref<Stream>) {
        this.shut();
    }
}

impl Watcher for Stream {
    fn writable(&self, context: &Context) {
        self.push_backlog(context);
    }

    fn abandoned(&self) {
        // In a child process, the parent sends the backlog. What the child sent would come in the middle of it.
        self.fail(Errno::ECONNRESET);
    }
}

impl Stream {
    /// A stream without a socket so far.
    pub(crate) fn new(family: Family) -> Stream {
        Stream {
            fd: Descriptor::none(),
            id: Cell::new(UNOPENED),
            family,
            inbound: Half::default(),
            outbound: Half::default(),
            saved: RefCell::default(),
            read_ahead: Cell::new(if family == Family::Tcp { RECEIVE_SIZE } else { 0 }),
            drained_in_epoch: Cell::new(Epoch::NEVER),
            may_hold_more: Cell::new(false),
            heard: Cell::new(0),
            times_heard: Cell::new(0),
            wire: RefCell::new(None),
            has_records: Cell::new(false),
            received: Cell::new(0),
            sent: Cell::new(0),
            queue: RefCell::new(None),
            failure: Cell::new(None),
            close_mode: Cell::new(CloseMode::Abort),
            sends_at_once: Cell::new(false),
            peer_eof: Cell::new(false),
            was_reset: Cell::new(false),
            plainly_clear: Cell::new(true),
        }
    }

    /// Takes a connected, non-blocking socket over.
    pub(crate) fn open(&self, context: &Context, fd: socket::Fd) {
        self.id.set(context.buffers().next_id(context));
        self.fd.open(fd);
    }

    /// Tells the streams of a thread apart.
    #[inline(always)]
    pub(crate) fn id(&self) -> u64 {
        self.id.get()
    }

    /// EBADF after the close.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.fd.check_open()
    }

    /// The descriptor.
    pub(crate) fn fd(&self) -> c_int {
        self.fd.get()
    }

    /// Has the kernel wait for nothing before it sends on this TCP stream.
    pub(crate) fn send_at_once(&self) {
        if !self.sends_at_once.replace(true) {
            socket::send_at_once(self.fd.get());
        }
    }

    /// TCP or AF_UNIX.
    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// Whether more may be received than is asked for.
    pub(crate) fn reads_ahead(&self) -> bool {
        self.family == Family::Tcp || self.has_records.get()
    }

    /// Whether records lie between the view and the wire.
    pub(crate) fn has_records(&self) -> bool {
        self.has_records.get()
    }

    /// The error that a send on this stream must fail with before it tries, as after `tcp_done`.
    pub(crate) fn check_outbound(&self) -> Result<()> {
        self.outbound.check()
    }

    /// The error that a receive must fail with before it tries.
    pub(crate) fn check_inbound(&self) -> Result<()> {
        self.inbound.check()
    }

    /// Sets what `shut` does: a stream is reset unless it was told otherwise.
    pub(crate) fn set_close_mode(&self, mode: CloseMode) {
        self.close_mode.set(mode);
    }

    /// Notes, before the close, that the peer has said that it sends nothing more.
    pub(crate) fn note_peer_eof(&self) {
        self.peer_eof.set(true);
    }

    /// How many bytes of the stream were consumed, by whoever has the view.
    pub(crate) fn position(&self, context: &Context) -> u64 {
        self.received.get() - self.peek(context, <[u8]>::len) as u64
    }

    /// How many bytes have been taken by the kernel, or made records of.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// How many bytes were accepted for sending and have not left.
    pub(crate) fn queued(&self, context: &Context) -> usize {
        let later = self.queue.borrow().as_ref().map_or(0, |queue| queue.len());
        context.buffers().gathered(self) + later + self.unsent_len()
    }

    /// Notes that the peer has given a sign of life.
    fn note_heard(&self, context: &Context) {
        self.heard.set(context.last_clock_read());
        self.times_heard.set(self.times_heard.get() + 1);
    }

    /// When the peer was last heard of, in ns: when something was received, or when it had made room for more.
    pub(crate) fn heard(&self) -> i64 {
        self.heard.get()
    }

    /// How often that was.
    pub(crate) fn times_heard(&self) -> u64 {
        self.times_heard.get()
    }

    /// Notes that input has come that nobody waits for.
    pub(crate) fn note_input(&self) {
        self.may_hold_more.set(true);
    }

    /// Whether there may be something to receive, as far as is known without asking the kernel.
    pub(crate) fn may_hold_more(&self) -> bool {
        self.may_hold_more.get() || self.has_something_to_open()
    }

    /// Whether the kernel holds something, the end of the stream not counted. Asks it.
    pub(crate) fn holds_input(&self) -> bool {
        socket::unread(self.fd.get()) > 0
    }

    /// Whether something waits for the kernel to take more, be it somebody or what was accepted.
    pub(crate) fn is_held_up(&self, context: &Context) -> bool {
        self.has_backlog() || context.poller.waiting(self.fd.get(), Direction::Out).is_some()
    }

    /// Ends the wait of whoever receives, if somebody does.
    pub(crate) fn wake_receiver(&self, context: &Context, error: Errno) {
        if let Some(clause) = context.poller.waiting(self.fd.get(), Direction::In) {
            // SAFETY: a registered clause is alive; firing it unregisters it.
            context.fire(unsafe { clause.as_ref() }, Some(error));
        }
    }

    fn wait(&self, context: &Context, direction: Direction, deadline: i64) -> Result<()> {
        self.fd.wait(context, direction, deadline)
    }

    /// Has what was gathered or deferred leave, before the close; returns how that has to be.
    fn flush_last(&self, context: &Context) -> CloseMode {
        let (mode, has_gathered) = (self.close_mode.get(), context.buffers().gathered(self) > 0);
        let ends = self.has_records.get() && mode == CloseMode::Graceful && !self.has_backlog();
        if ends {
            // Whoever has ended our direction before has said so.
            let _ = self.end_records(context);
        } else {
            context.buffers().flush_gathered(context, self);
            let _ = self.push_deferred(context);
        }
        // A stream that is cut short does not end gracefully.
        if self.has_backlog() && (has_gathered || !ends) { CloseMode::Abort } else { mode }
    }

    /// Closes the socket and wakes whoever waits for it with EBADF.
    pub(crate) fn shut(&self) {
        let Some(context) = Context::existing() else { return drop(self.fd.close()) };
        let mode = self.flush_last(context);
        context.buffers().forget(self);
        self.forget_saved(context);
        let is_empty = self.peer_eof.get() && self.is_drained(context);
        let Some(fd) = self.fd.close() else { return };
        self.queue.take();
        self.inbound.close();
        self.outbound.close();
        context.new_epoch();
        match mode {
            CloseMode::Graceful if is_empty => {}
            CloseMode::Graceful => drop_unread(fd.get()),
            CloseMode::Abort => socket::make_close_abortive(fd.get()),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Takes what has arrived out of the kernel's hands: closing with unread bytes would send a reset,
/// which can overtake what we sent last.
#[inline(never)]
fn drop_unread(fd: c_int) {
    let mut dropped = [0_u8; 1024];
    for _ in 0..MAX_UNREAD / dropped.len() {
        // SAFETY: the array is writable.
        match unsafe { socket::recv(fd, dropped.as_mut_ptr(), dropped.len()) } {
            Ok(len) if len > 0 => {}
            _ => return,
        }
    }
}
