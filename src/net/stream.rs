//! A connected stream socket, TCP or AF_UNIX: what the bytestream calls see, and the buffered view
//! that WebSocket works on.
//!
//! The buffered view (`peek`, `consume`, `fill`, `read`, and the sending functions) loses nothing
//! when a deadline strikes. The bytestream calls on top of it are all-or-nothing, and a failure
//! breaks their direction for good, as libdill has it.

use super::buffers::{GATHER_LIMIT, RECEIVE_SIZE};
use super::socket;
use crate::error::{Errno, Result};
use crate::iol::{Cursor, Pieces};
use crate::memory::try_extend;
use crate::object::{Kind, Ref};
use crate::rt::context::Context;
use crate::rt::poller::{Direction, Watcher};
use crate::rt::turn::Turn;
use crate::rt::wait::{Clause, Source};
use crate::sock::half::Half;
use crate::sock::{BSOCK_TYPE, BsockVfs, Bytestream, bsock_vfs};
use core::cell::{Cell, RefCell};
use core::ffi::{c_int, c_void};

/// Elements sent in one system call: few, since the array lies on a coroutine's stack.
const BATCH: usize = 16;

/// A payload from this size on, in bytes, is large.
const LARGE: u64 = 64 * 1024;
/// How much is read ahead while payloads are large, in bytes.
const AHEAD_OF_LARGE: usize = 16 * 1024;

/// What kind of stream it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Reads ahead.
    Tcp,
    /// Never reads past what is asked for: a descriptor may be travelling behind it.
    Unix,
}

/// The body of a connection's handle.
pub struct Stream {
    fd: Cell<c_int>,
    family: Family,
    inbound: Half,
    outbound: Half,
    /// Received and not consumed, while the shared buffer is lent to somebody else.
    saved: RefCell<Vec<u8>>,
    /// How much may be read beyond what is asked for, at least as long as there is room.
    read_ahead: Cell<usize>,
    /// The stretch of execution in which the kernel's receive buffer was found empty.
    drained: Cell<u64>,
    /// Accepted for sending and not yet taken by the kernel.
    backlog: RefCell<Vec<u8>>,
    /// To be sent after the backlog; replaced rather than added to.
    tail: RefCell<Vec<u8>>,
    /// What struck bytes whose sender had returned already.
    failure: Cell<Option<Errno>>,
    /// Closing must not destroy what is on its way.
    orderly: Cell<bool>,
    /// The peer has said that it sends nothing more.
    ended: Cell<bool>,
}

static TYPE: u8 = 0;

impl Kind for Stream {
    type Vfs = BsockVfs;
    const VFS: BsockVfs = bsock_vfs::<Stream>();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn interface_id() -> Option<*const c_void> {
        Some(BSOCK_TYPE.get())
    }

    fn close(this: &Ref<Stream>) {
        this.shut();
    }
}

impl Watcher for Stream {
    fn writable(&self) {
        self.push_backlog();
    }

    fn forked(&self) {
        // The parent sends the backlog. What the child sent would come in the middle of it.
        self.fail(Errno::ECONNRESET);
    }
}

impl Stream {
    /// A stream without a socket so far.
    pub fn new(family: Family) -> Stream {
        Stream {
            fd: Cell::new(-1),
            family,
            inbound: Half::default(),
            outbound: Half::default(),
            saved: RefCell::new(Vec::new()),
            read_ahead: Cell::new(if family == Family::Tcp { RECEIVE_SIZE } else { 0 }),
            drained: Cell::new(0),
            backlog: RefCell::new(Vec::new()),
            tail: RefCell::new(Vec::new()),
            failure: Cell::new(None),
            orderly: Cell::new(false),
            ended: Cell::new(false),
        }
    }

    /// Takes a connected, non-blocking socket over.
    pub fn open(&self, fd: socket::Fd) {
        self.fd.set(fd.into_raw());
    }

    /// The descriptor.
    pub fn fd(&self) -> c_int {
        self.fd.get()
    }

    /// TCP or AF_UNIX.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The state for receiving calls.
    pub fn inbound(&self) -> &Half {
        &self.inbound
    }

    /// The error that a send on this stream must fail with before it tries, as after `tcp_done`.
    pub fn check_outbound(&self) -> Result<()> {
        self.outbound.check()
    }

    /// The error that a receive must fail with before it tries.
    pub fn check_inbound(&self) -> Result<()> {
        self.inbound.check()
    }

    /// Whether closing is to end the stream in order instead of resetting it.
    pub fn close_in_order(&self, orderly: bool) {
        self.orderly.set(orderly);
    }

    /// Notes that the peer has said that it sends nothing more.
    pub fn has_ended(&self) {
        self.ended.set(true);
    }

    // ---- waiting ----

    fn wait(&self, context: &Context, direction: Direction, deadline: i64) -> Result<()> {
        context.check_cancelled()?;
        let clause = Clause::new(0, Source::Descriptor(self.fd.get(), direction));
        // SAFETY: the clause stays on this stack until the wait has ended, which withdraws it.
        unsafe { context.poller.wait_own(self.fd.get(), direction, &clause) }?;
        // SAFETY: as above.
        unsafe { context.wait_for(&clause, deadline) }
    }

    // ---- receiving: the buffered view ----

    /// Large payloads go straight to where they are wanted: then little is to be read ahead, for
    /// it has to be copied.
    pub fn read_ahead(&self, payload: u64) {
        if self.family == Family::Tcp {
            self.read_ahead.set(if payload < LARGE { RECEIVE_SIZE } else { AHEAD_OF_LARGE });
        }
    }

    /// Shows what was received and not consumed.
    #[inline]
    pub fn peek<R>(&self, context: &Context, look: impl FnOnce(&[u8]) -> R) -> R {
        match context.buffers.received(self) {
            Some(bytes) => look(bytes),
            None => look(&self.saved.borrow()),
        }
    }

    /// Drops bytes from the front of what `peek` shows.
    #[inline]
    pub fn consume(&self, context: &Context, len: usize) {
        if context.buffers.received(self).is_some() {
            context.buffers.consume(len);
            return;
        }
        let mut saved = self.saved.borrow_mut();
        if len == saved.len() {
            *saved = Vec::new();
        } else {
            saved.drain(..len);
        }
    }

    /// Receives until `peek` shows at least `want` bytes, which is at most half of
    /// `RECEIVE_SIZE`. EPIPE at the end of the stream.
    pub fn fill(&self, context: &Context, want: usize, deadline: i64) -> Result<()> {
        loop {
            let have = self.peek(context, <[u8]>::len);
            if have >= want {
                return Ok(());
            }
            self.receive(context, &mut [], want - have, deadline)?;
        }
    }

    /// Receives at least one byte for `peek` to show. A stream that does not read ahead receives at
    /// most `most`. EPIPE at the end.
    pub fn fill_some(&self, context: &Context, most: usize, deadline: i64) -> Result<()> {
        self.receive(context, &mut [], most, deadline).map(drop)
    }

    /// Receives at least one byte into `place`, from what `peek` shows first. EPIPE at the end.
    pub fn read(&self, context: &Context, place: &mut [u8], deadline: i64) -> Result<usize> {
        let len = self.peek(context, |bytes| {
            let len = bytes.len().min(place.len());
            place[..len].copy_from_slice(&bytes[..len]);
            len
        });
        if len > 0 {
            self.consume(context, len);
            return Ok(len);
        }
        self.receive(context, place, 0, deadline)
    }

    /// Whether the last receive got less than it had room for, and nothing has happened since that could
    /// have brought more.
    fn is_drained(&self, context: &Context) -> bool {
        self.drained.get() == context.run_id()
    }

    /// Receives at least one byte: into `place` first, and what does not fit there into the shared
    /// buffer. Returns how much went into `place`. `ahead` is how much more is wanted than `place`.
    fn receive(&self, context: &Context, place: &mut [u8], ahead: usize, deadline: i64) -> Result<usize> {
        let mut wait_first = self.is_drained(context);
        loop {
            if wait_first {
                self.wait(context, Direction::In, deadline)?;
            }
            context.buffers.lend_receive(self)?;
            let (buffer, room) = context.buffers.room();
            let room = room.min(ahead.max(self.read_ahead.get()));
            let received = if place.is_empty() {
                // SAFETY: the free end of the buffer is writable.
                unsafe { socket::recv(self.fd.get(), buffer, room) }
            } else {
                let mut iov = [
                    libc::iovec { iov_base: place.as_mut_ptr().cast(), iov_len: place.len() },
                    libc::iovec { iov_base: buffer.cast(), iov_len: room },
                ];
                let mut message = socket::message(iov.as_mut_ptr(), if room > 0 { 2 } else { 1 });
                // SAFETY: both ranges are writable.
                unsafe { socket::recv_message(self.fd.get(), &mut message, 0) }
            };
            match received {
                Ok(0) => return Err(Errno::EPIPE),
                Ok(len) => {
                    if len < place.len() + room && !context.poller.hung_up(self.fd.get()) {
                        self.drained.set(context.run_id());
                    }
                    let placed = len.min(place.len());
                    context.buffers.received_more(len - placed);
                    return Ok(placed);
                }
                Err(Errno::EAGAIN) => wait_first = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks at what the kernel holds for a stream that does not read ahead, and leaves it there;
    /// returns how much that is. Not beyond it, and nothing that `peek` shows.
    pub fn look_ahead(&self, place: &mut [u8]) -> usize {
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: the place is writable.
        let seen = unsafe { libc::recv(self.fd.get(), place.as_mut_ptr().cast(), place.len(), flags) };
        usize::try_from(seen).unwrap_or(0)
    }

    /// Takes the bytes over that are pushed out of the shared buffer.
    pub fn save(&self, bytes: &[u8]) -> Result<()> {
        try_extend(&mut self.saved.borrow_mut(), bytes)
    }

    /// Puts the saved bytes at the front of the shared buffer; returns how many.
    pub fn restore(&self, buffer: &mut [u8]) -> usize {
        let saved = self.saved.take();
        buffer[..saved.len()].copy_from_slice(&saved);
        saved.len()
    }

    // ---- sending: the buffered view ----

    /// Sends what the kernel takes at once. EAGAIN: nothing.
    pub fn send_some(&self, context: &Context, bytes: &[u8]) -> Result<usize> {
        self.as_own_output(context, || socket::send(self.fd.get(), bytes))
    }

    /// How many of `len` bytes fill whole segments.
    pub fn whole_segments(&self, len: usize) -> usize {
        if self.family != Family::Tcp {
            return len;
        }
        match socket::option(self.fd.get(), libc::IPPROTO_TCP, libc::TCP_MAXSEG) {
            Ok(segment @ 1..) if segment as usize <= len => len - len % segment as usize,
            _ => len,
        }
    }

    /// The same for a prefix and the bytes from a position in a list on.
    pub fn send_some_pieces(
        &self,
        context: &Context,
        prefix: [&[u8]; 2],
        pieces: &Cursor<'_>,
    ) -> Result<usize> {
        let mut iov = [libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; BATCH];
        let mut count = 0;
        let parts = prefix.iter().filter(|part| !part.is_empty());
        let parts = parts.map(|part| (part.as_ptr().cast_mut().cast(), part.len()));
        let pieces = pieces.clone().map(|piece| (piece.base.cast(), piece.len));
        for (iov_base, iov_len) in parts.chain(pieces).take(BATCH) {
            iov[count] = libc::iovec { iov_base, iov_len };
            count += 1;
        }
        let message = socket::message(iov.as_mut_ptr(), count);
        // SAFETY: the prefix and the pieces are readable.
        self.as_own_output(context, || unsafe { socket::send_message(self.fd.get(), &message) })
    }

    /// Sending may bring something to any other stream of this thread, but nothing to this one
    /// before its peer has run.
    fn as_own_output<R>(&self, context: &Context, send: impl FnOnce() -> R) -> R {
        let drained = self.is_drained(context);
        context.next_run();
        if drained {
            self.drained.set(context.run_id());
        }
        send()
    }

    /// Waits until the kernel may take more.
    pub fn wait_out(&self, context: &Context, deadline: i64) -> Result<()> {
        self.wait(context, Direction::Out, deadline)
    }

    /// Waits until everything that was accepted has been taken by the kernel. Fails with the error
    /// that struck it.
    pub fn wait_backlog(&self, context: &Context, deadline: i64) -> Result<()> {
        while self.has_backlog() {
            self.wait_out(context, deadline)?;
        }
        self.failure.get().map_or(Ok(()), Err)
    }

    /// Whether what is sent now can leave at once, as far as is known.
    #[inline]
    pub fn is_clear(&self) -> bool {
        !self.has_backlog() && self.failure.get().is_none()
    }

    /// Whether something accepted has not been taken by the kernel.
    pub fn has_backlog(&self) -> bool {
        !self.backlog.borrow().is_empty()
    }

    /// The error that struck bytes whose sender had returned already.
    pub fn failure(&self) -> Option<Errno> {
        self.failure.get()
    }

    /// Sends bytes, in order, as far as the kernel takes them at once, and keeps the rest for when
    /// it takes more. An error is kept for the next sender.
    pub fn push_out(&self, bytes: &[u8]) {
        let Ok(context) = Context::get() else { return };
        if self.failure.get().is_some() {
            return;
        }
        if self.has_backlog() {
            return self.keep(context, bytes);
        }
        match self.send_some(context, bytes) {
            Ok(sent) if sent == bytes.len() => {}
            Ok(sent) => self.keep(context, &bytes[sent..]),
            Err(Errno::EAGAIN) => self.keep(context, bytes),
            Err(error) => self.fail(error),
        }
    }

    fn keep(&self, context: &Context, bytes: &[u8]) {
        let kept = try_extend(&mut self.backlog.borrow_mut(), bytes);
        // SAFETY: the stream stops watching before it goes away.
        let watched = kept.and_then(|()| unsafe { context.poller.watch(self.fd.get(), self) });
        if let Err(error) = watched {
            self.fail(error);
        }
    }

    /// Gives up the last bytes of the backlog if they are all still there.
    pub fn take_back(&self, len: usize) -> bool {
        let mut backlog = self.backlog.borrow_mut();
        let Some(rest) = backlog.len().checked_sub(len) else { return false };
        backlog.truncate(rest);
        true
    }

    /// Sends bytes after everything else; if that has to wait, only the newest such bytes are kept.
    pub fn push_last(&self, bytes: &[u8]) {
        if !self.has_backlog() {
            return self.push_out(bytes);
        }
        let mut tail = self.tail.borrow_mut();
        tail.clear();
        if let Err(error) = try_extend(&mut tail, bytes) {
            self.fail(error);
        }
    }

    /// Breaks the outbound half: what was not sent is dropped.
    pub fn fail(&self, error: Errno) {
        self.failure.set(Some(error));
        self.backlog.take();
        self.tail.take();
    }

    fn push_backlog(&self) {
        let Ok(context) = Context::get() else { return };
        loop {
            let sent = self.send_some(context, &self.backlog.borrow());
            match sent {
                Ok(sent) => _ = self.backlog.borrow_mut().drain(..sent),
                Err(Errno::EAGAIN) => return,
                Err(error) => self.fail(error),
            }
            if !self.has_backlog() {
                self.backlog.swap(&self.tail);
                if !self.has_backlog() {
                    break;
                }
            }
        }
        *self.backlog.borrow_mut() = Vec::new();
        context.poller.unwatch(self.fd.get());
    }

    // ---- the bytestream calls ----

    /// Sends a list for a bytestream call; no state is noted.
    fn send_pieces(&self, context: &Context, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        if context.buffers.gathered(self) > 0 {
            context.buffers.flush();
        }
        self.wait_backlog(context, deadline)?;
        let mut cursor = pieces.cursor();
        while let Some(piece) = cursor.piece() {
            let sent = if piece.len == pieces.total() && !piece.base.is_null() {
                // SAFETY: the bytes of a list to send are readable.
                let bytes = unsafe { core::slice::from_raw_parts(piece.base, piece.len) };
                self.send_some(context, bytes)
            } else {
                self.send_some_pieces(context, [&[], &[]], &cursor)
            };
            match sent {
                Ok(sent) => cursor.jump(sent),
                Err(Errno::EAGAIN) => self.wait_out(context, deadline)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn recv_pieces(&self, context: &Context, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        let mut cursor = pieces.cursor();
        let (mut turn, mut len) = (Turn::default(), 0);
        while let Some(piece) = cursor.piece() {
            turn.step(context, len, deadline)?;
            len = if piece.base.is_null() {
                self.discard(context, piece.len, deadline)?
            } else {
                // SAFETY: the pieces of a list to receive into are writable.
                let place = unsafe { core::slice::from_raw_parts_mut(piece.base, piece.len) };
                self.read(context, place, deadline)?
            };
            cursor.advance(len);
        }
        Ok(())
    }

    /// Drops at least one and at most `most` bytes.
    fn discard(&self, context: &Context, most: usize, deadline: i64) -> Result<usize> {
        if self.peek(context, <[u8]>::is_empty) {
            self.receive(context, &mut [], most.min(RECEIVE_SIZE / 2), deadline)?;
        }
        let len = self.peek(context, <[u8]>::len).min(most);
        self.consume(context, len);
        Ok(len)
    }

    /// Drops everything until the stream ends: EPIPE, or the error that ended it.
    fn discard_all(&self, context: &Context, deadline: i64) -> Errno {
        let mut turn = Turn::default();
        loop {
            let discarded = self.discard(context, usize::MAX, deadline);
            if let Err(error) = discarded.and_then(|len| turn.step(context, len, deadline)) {
                return error;
            }
        }
    }

    /// Ends the outbound half. EPIPE if it was ended already.
    pub fn done(&self) -> Result<()> {
        let context = Context::get()?;
        self.outbound.check()?;
        if context.buffers.gathered(self) > 0 {
            context.buffers.flush();
        }
        context.next_run();
        match socket::shutdown_write(self.fd.get()) {
            Ok(()) => {
                self.outbound.done.set(true);
                Ok(())
            }
            Err(error) => {
                self.outbound.broken.set(true);
                Err(if error == Errno::ENOBUFS { Errno::ENOMEM } else { Errno::ECONNRESET })
            }
        }
    }

    /// The orderly close: ends our half and waits for the end of the peer's.
    pub fn finish(&self, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        if self.inbound.broken.get() || self.outbound.broken.get() {
            return Err(Errno::ECONNRESET);
        }
        if !self.outbound.done.get() {
            self.done()?;
        }
        if self.inbound.done.get() {
            return Ok(());
        }
        // What can be seen at once must be seen without letting others run.
        self.drained.set(0);
        match self.inbound.run(|| Err::<(), _>(self.discard_all(context, deadline))) {
            Err(Errno::EPIPE) => Ok(()),
            other => other,
        }
    }

    /// Closes the socket and wakes whoever waits for it with EBADF.
    pub fn shut(&self) {
        let Ok(context) = Context::get() else { return };
        let fd = self.fd.replace(-1);
        if fd < 0 {
            return;
        }
        let is_empty = self.ended.get() && self.is_drained(context);
        for direction in [Direction::In, Direction::Out] {
            if let Some(clause) = context.poller.waiting(fd, direction) {
                // SAFETY: a registered clause is alive; firing it unregisters it.
                context.fire(unsafe { clause.as_ref() }, Some(Errno::EBADF));
            }
        }
        if context.buffers.gathered(self) > 0 {
            self.fd.set(fd);
            context.buffers.flush();
            self.fd.set(-1);
        }
        context.buffers.forget(self);
        context.poller.forget_own(fd);
        context.next_run();
        match self.orderly.get() {
            true if is_empty => {}
            true => drop_unread(fd),
            false => socket::make_close_abortive(fd),
        }
        socket::close(fd);
    }

    /// Runs an operation that waits by itself on the inbound half (`ipc_recvfd`).
    pub fn receive_with<R>(
        &self,
        context: &Context,
        deadline: i64,
        mut attempt: impl FnMut(c_int) -> Result<R>,
    ) -> Result<R> {
        self.inbound.run(|| {
            loop {
                match attempt(self.fd.get()) {
                    Err(Errno::EAGAIN) => self.wait(context, Direction::In, deadline)?,
                    other => return other,
                }
            }
        })
    }

    /// Runs an operation that waits by itself on the outbound half (`ipc_sendfd`).
    pub fn send_with<R>(
        &self,
        context: &Context,
        deadline: i64,
        mut attempt: impl FnMut(c_int) -> Result<R>,
    ) -> Result<R> {
        self.outbound.run(|| {
            loop {
                match self.as_own_output(context, || attempt(self.fd.get())) {
                    Err(Errno::EAGAIN) => self.wait(context, Direction::Out, deadline)?,
                    other => return other,
                }
            }
        })
    }

    /// Breaks the inbound half for the bytestream calls.
    pub fn note_inbound<R>(&self, result: Result<R>) -> Result<R> {
        self.inbound.note(result)
    }

    /// Breaks the outbound half for the bytestream calls.
    pub fn break_outbound(&self) {
        self.outbound.broken.set(true);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Takes what has arrived out of the kernel's hands: closing with unread bytes would send a reset,
/// which can overtake what we sent last.
fn drop_unread(fd: c_int) {
    let mut dropped = [0_u8; 1024];
    for _ in 0..GATHER_LIMIT / dropped.len() {
        // SAFETY: the array is writable.
        match unsafe { socket::recv(fd, dropped.as_mut_ptr(), dropped.len()) } {
            Ok(len) if len > 0 => {}
            _ => return,
        }
    }
}

impl Bytestream for Stream {
    fn send(this: &Ref<Stream>, pieces: Pieces<'_>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        this.outbound.run(|| {
            let sent = this.send_pieces(context, pieces, deadline);
            if sent.is_err() {
                this.outbound.broken.set(true);
            }
            sent
        })
    }

    fn recv(this: &Ref<Stream>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        this.inbound.run(|| {
            let received = match pieces {
                Some(pieces) => this.recv_pieces(context, pieces, deadline),
                None => Err(this.discard_all(context, deadline)),
            };
            this.inbound.note(received)
        })
    }
}
