//! Records between a stream's buffered view and the wire, as TLS has them: what the view shows is what was
//! opened, and what is sent through it is sealed.

use super::{CloseMode, Family, Stream};
use crate::error::{Errno, Result};
use crate::iol::Cursor;
use crate::memory::try_extend;
use crate::net::socket;
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::object::Ref;
use crate::rt::poller::Direction;
use core::cell::RefMut;
use std::io::IoSlice;

/// How much is sealed for one system call, in bytes: a multiple of what a record takes.
pub(super) const SEAL_LIMIT: usize = 256 * 1024;
/// Elements of a list that are sealed together: few, since the array lies on a coroutine's stack.
const BATCH: usize = 16;
/// How much is received at a time, in bytes.
const RECEIVE_LIMIT: usize = 256 * 1024;
/// Memory for the part of a record that is carried over, in bytes: more than a record takes.
const SPARE: usize = 20 * 1024;
/// What it costs to open as much as is done in one call, whatever came out, in bytes moved.
const WORK_OF_OPENING: usize = 32 * 1024;

/// A protocol of records, without I/O.
pub(crate) trait Records {
    /// Opens every whole record at the front of `wire`, as far as the peer's end; what was in them then
    /// lies at the front. An error comes after everything that was received before it.
    fn open(&mut self, wire: &mut [u8]) -> Result<Opened>;

    /// Appends what has to be sent besides: answers, alerts. It leaves before anything else. ENOMEM: nothing was
    /// appended, and the same is still due.
    fn reply(&mut self, wire: &mut Vec<u8>) -> Result<()>;

    /// How many bytes are missing of the record that begins with `front`; at least one.
    fn missing(&self, front: &[u8]) -> usize;

    /// Whether something can still be opened. EPIPE after the peer's end, or the error.
    fn check(&self) -> Result<()>;

    /// What it means that the stream ends without the peer's having said so.
    fn truncated(&self) -> Errno;

    /// Takes such an end for the end from now on: the peer has said that it is over to whoever is above.
    fn allow_truncation(&mut self);

    /// Seals the front of what is to be sent behind what `wire` holds; returns how much. Nothing of it has
    /// left before `commit`.
    fn seal(&mut self, parts: &[IoSlice<'_>], wire: &mut Vec<u8>) -> Result<usize>;

    /// What was sealed since the last commit leaves, or with `false` never did.
    fn commit(&mut self, has_left: bool);

    /// Seals the end of our direction. Once; afterwards `seal` fails.
    fn end(&mut self, wire: &mut Vec<u8>) -> Result<()>;
}

/// What `open` has done.
pub(crate) struct Opened {
    /// How many bytes of the wire were taken in.
    pub used: usize,
    /// How many bytes came out.
    pub plain: usize,
    /// It has done enough for one call: there may be more to open.
    pub more: bool,
}

/// The records of a stream.
pub(super) struct Wire {
    records: Box<dyn Records>,
    /// Received, and not opened: the beginning of a record, or what is behind the peer's end.
    unopened: Vec<u8>,
    /// `unopened` may hold whole records.
    fresh: bool,
    /// There was no memory for more than a part of a record, and so what follows cannot be opened.
    is_lost: bool,
    /// Sealed, and not taken by the kernel.
    unsent: Vec<u8>,
    /// `unsent` leaves with what is sealed next, or before somebody waits for the peer.
    deferred: bool,
    /// What is sealed now is deferred.
    defers: bool,
}

impl Wire {
    /// Whether something waits for the kernel.
    fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() && !self.deferred
    }
}

impl Stream {
    /// Lets records lie between the view and the wire from now on. What the view shows now is theirs.
    /// `first` is sealed already and need not leave before something else does, or before one waits for the peer.
    pub(crate) fn put_records(
        &self,
        context: &Context,
        records: Box<dyn Records>,
        first: Vec<u8>,
    ) -> Result<()> {
        let mut unopened = Vec::new();
        self.peek(context, |bytes| try_extend(&mut unopened, bytes))?;
        let wire = Wire {
            records,
            fresh: !unopened.is_empty(),
            unopened,
            is_lost: false,
            deferred: !first.is_empty(),
            defers: false,
            // The memory of the handshake is not to stay.
            unsent: if first.is_empty() { Vec::new() } else { first },
        };
        let wire = crate::memory::try_box(wire)?;
        let len = wire.unopened.len();
        self.consume(context, len);
        self.wire.replace(Some(wire));
        self.has_records.set(true);
        self.plainly_clear.set(false);
        Ok(())
    }

    /// Takes them away again: the view shows what was received behind them.
    pub(crate) fn take_records(&self, context: &Context) -> Result<()> {
        let Some(wire) = self.wire.take() else { return Ok(()) };
        self.has_records.set(false);
        context.buffers().forget_received(self);
        self.forget_saved(context);
        self.received.set(self.received.get() + wire.unopened.len() as u64);
        self.save(context.buffers(), &wire.unopened)
    }

    fn wire(&self) -> Option<RefMut<'_, Box<Wire>>> {
        RefMut::filter_map(self.wire.borrow_mut(), Option::as_mut).ok()
    }

    /// Whether something sealed waits for the kernel.
    #[inline(always)]
    pub(super) fn has_unsent(&self) -> bool {
        self.has_records.get() && self.wire.borrow().as_ref().is_some_and(|wire| wire.has_unsent())
    }

    /// Whether something was received that may be opened.
    pub(super) fn has_something_to_open(&self) -> bool {
        self.has_records.get() && self.wire().is_some_and(|wire| wire.fresh)
    }

    /// How much sealed waits for the kernel.
    pub(super) fn unsent_len(&self) -> usize {
        if self.has_unsent() { self.wire().map_or(0, |wire| wire.unsent.len()) } else { 0 }
    }

    pub(super) fn drop_unsent(&self) {
        if let Some(mut wire) = self.wire() {
            wire.unsent = Vec::new();
        }
    }

    /// Sends what was sealed before. False: the kernel does not take all of it now.
    pub(super) fn push_unsent(&self, context: &Context) -> Result<bool> {
        let Some(mut wire) = self.wire() else { return Ok(true) };
        while wire.has_unsent() {
            match self.as_own_output(context, || socket::send(self.fd.get(), &wire.unsent)) {
                Ok(sent) if sent == wire.unsent.len() => wire.unsent = Vec::new(),
                Ok(sent) => _ = wire.unsent.drain(..sent),
                Err(Errno::EAGAIN) => return Ok(false),
                Err(error) => return Err(error),
            }
            // The kernel has refused it before.
            self.note_heard(context);
        }
        Ok(true)
    }

    /// Seals and sends what the kernel takes at once. EAGAIN: nothing was accepted.
    pub(super) fn send_sealed(&self, context: &Context, parts: &[IoSlice<'_>]) -> Result<usize> {
        if !self.push_unsent(context)? || !self.push_replies(context)? {
            return Err(Errno::EAGAIN);
        }
        let mut scratch = context.buffers().take_scratch();
        let accepted = self.seal_and_send(context, parts, &mut scratch);
        context.buffers().give_scratch(scratch);
        accepted
    }

    fn seal_and_send(&self, context: &Context, parts: &[IoSlice<'_>], sealed: &mut Vec<u8>) -> Result<usize> {
        let Some(mut wire) = self.wire() else { return Err(Errno::EBADF) };
        // All of it is deferred.
        try_extend(sealed, &wire.unsent)?;
        let sealed_now = wire.records.seal(parts, sealed);
        let len = sealed_now.inspect_err(|_| wire.records.commit(false))?;
        let before = wire.unsent.len();
        // Without memory for that it leaves at once.
        if wire.defers && try_extend(&mut wire.unsent, &sealed[before..]).is_ok() {
            wire.records.commit(true);
            wire.deferred = true;
            self.count_sent(len);
            return Ok(len);
        }
        let sent = self.as_own_output(context, || socket::send(self.fd.get(), sealed));
        wire.records.commit(sent.is_ok());
        let rest = &sealed[sent?..];
        if wire.deferred {
            (wire.deferred, wire.unsent) = (false, Vec::new());
        }
        self.count_sent(len);
        if !rest.is_empty() {
            let kept = try_extend(&mut wire.unsent, rest);
            drop(wire);
            // Until the kernel has said that it takes no more, it need not say when it does again.
            let kept = kept.and_then(|()| self.push_later(context));
            // A record that is cut for lack of memory ends the stream.
            kept.inspect_err(|error| self.fail(*error))?;
        }
        Ok(len)
    }

    /// The same for a prefix and the bytes from a position in a list on.
    pub(super) fn send_sealed_pieces(
        &self,
        context: &Context,
        prefix: &[u8],
        pieces: &Cursor<'_>,
    ) -> Result<usize> {
        let mut parts = [IoSlice::new(&[]); BATCH];
        let (mut count, mut left) = (0, SEAL_LIMIT);
        if !prefix.is_empty() {
            parts[0] = IoSlice::new(prefix);
            (count, left) = (1, left - prefix.len());
        }
        for piece in pieces.clone() {
            if count == BATCH || left == 0 {
                break;
            }
            // SAFETY: the pieces of a list to send are readable.
            let bytes = unsafe { core::slice::from_raw_parts(piece.base, piece.len.min(left)) };
            parts[count] = IoSlice::new(bytes);
            (count, left) = (count + 1, left - bytes.len());
        }
        self.send_sealed(context, &parts[..count])
    }

    /// Ends our direction behind everything that was accepted; what was gathered leaves together with that. The kernel
    /// takes it now or later.
    pub(crate) fn end_records(&self, context: &Context) -> Result<()> {
        self.set_defers(true);
        context.buffers().flush_gathered(context, self);
        self.set_defers(false);
        // What is cut short has no end that says so.
        self.failure.get().map_or(Ok(()), Err)?;
        let ended = self.wire().map_or(Ok(()), |mut wire| {
            let Wire { records, unsent, deferred, .. } = &mut **wire;
            *deferred = false;
            records.end(unsent)
        });
        // What was accepted leaves also without that.
        self.push_later(context).and(ended)
    }

    fn set_defers(&self, defers: bool) {
        if let Some(mut wire) = self.wire() {
            wire.defers = defers;
        }
    }

    /// Takes the end of the stream for the peer's, even if it does not say so.
    pub(crate) fn allow_truncation(&self) {
        if let Some(mut wire) = self.wire() {
            wire.records.allow_truncation();
        }
    }

    /// Sends what receiving has made necessary. False: the kernel does not take all of it now.
    fn push_replies(&self, context: &Context) -> Result<bool> {
        if let Some(mut wire) = self.wire() {
            let Wire { records, unsent, deferred, .. } = &mut **wire;
            let before = unsent.len();
            records.reply(unsent)?;
            *deferred &= unsent.len() == before;
        }
        self.push_unsent(context)
    }

    /// Has what is deferred leave.
    pub(super) fn push_deferred(&self, context: &Context) -> Result<()> {
        match self.wire() {
            Some(mut wire) if wire.deferred => wire.deferred = false,
            _ => return Ok(()),
        }
        self.push_later(context)
    }

    /// Sends what was sealed now or when the kernel takes it.
    fn push_later(&self, context: &Context) -> Result<()> {
        let has_left = self.push_unsent(context)?;
        self.push_when_possible(context, has_left)
    }

    /// What has not left does so when the kernel takes it.
    fn push_when_possible(&self, context: &Context, has_left: bool) -> Result<()> {
        if has_left { Ok(()) } else { self.watch(context) }
    }
}

impl Ref<Stream> {
    /// `receive` for a stream with records.
    pub(super) fn receive_records(
        &self,
        context: &Context,
        place: &mut [u8],
        deadline: i64,
    ) -> Result<usize> {
        let mut rounds = Rounds::default();
        let mut wait_first = self.has_nothing_to_open(context);
        loop {
            self.wire().ok_or(Errno::EBADF)?.records.check()?;
            if wait_first {
                self.push_deferred(context).unwrap_or_else(|error| self.fail(error));
                self.wait(context, Direction::In, deadline)?;
            }
            context.buffers().acquire_receive(self)?;
            let opened = self.open_more(context, RECEIVE_LIMIT);
            self.answer(context, opened.is_ok());
            match opened {
                Ok(0) => {
                    rounds.spend(context, crate::rt::budget::SYSTEM_CALL, deadline)?;
                    wait_first = self.has_nothing_to_open(context);
                }
                Ok(_) if place.is_empty() => return Ok(0),
                Ok(_) => return self.read(context, place, deadline),
                Err(Errno::EAGAIN) => wait_first = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether one has to wait before there can be anything to open.
    fn has_nothing_to_open(&self, context: &Context) -> bool {
        self.is_drained(context) && !self.has_something_to_open()
    }

    /// Sends what received has made necessary. If that is not possible, the next send tells.
    fn answer(&self, context: &Context, lives_on: bool) {
        if !lives_on {
            if self.family == Family::Tcp {
                // The reset that otherwise ends a TCP connection could overtake the alert.
                self.set_close_mode(CloseMode::Graceful);
            }
        } else if self.has_unsent() {
            // A peer that asks and does not read is answered when it does.
            return;
        }
        let replied = self.push_replies(context);
        match replied.and_then(|has_left| self.push_when_possible(context, has_left)) {
            Ok(()) => {}
            // It is still due.
            Err(Errno::ENOMEM) if !self.has_unsent() => {}
            Err(error) => self.fail(error),
        }
    }

    /// `receive_now` for a stream with records.
    pub(super) fn receive_records_now(&self, context: &Context, most: usize) -> Result<()> {
        self.wire().ok_or(Errno::EBADF)?.records.check()?;
        let opened = self.open_more(context, most);
        if opened == Err(Errno::EAGAIN) {
            self.may_hold_more.set(false);
            return Err(Errno::EAGAIN);
        }
        self.answer(context, opened.is_ok());
        opened.map(drop)
    }

    /// Receives at most so much and opens it; returns how much the view shows more. EAGAIN.
    fn open_more(&self, context: &Context, most: usize) -> Result<usize> {
        let mut spare = context.buffers().take_scratch();
        let opened = self.open_with(context, most, &mut spare);
        context.buffers().give_scratch(spare);
        opened
    }

    /// The same with memory to spare for what cannot be opened yet: when that has come it is too late for ENOMEM.
    fn open_with(&self, context: &Context, most: usize, spare: &mut Vec<u8>) -> Result<usize> {
        let mut wire = self.wire().ok_or(Errno::EBADF)?;
        let wire = &mut **wire;
        if wire.is_lost || spare.try_reserve_exact(SPARE).is_err() {
            return Err(Errno::ENOMEM);
        }
        let (buffer, room) = context.buffers().room();
        // SAFETY: the free end of the buffer, which is lent to this stream.
        let region = unsafe { core::slice::from_raw_parts_mut(buffer, room.min(wire.unopened.len() + most)) };
        // What the handshake has left may be more than there is room for.
        let carried = wire.unopened.len().min(region.len());
        region[..carried].copy_from_slice(&wire.unopened[..carried]);
        let received = if wire.fresh { 0 } else { self.receive_wire(context, wire, region)? };
        let filled = carried + received;
        let carried_over = core::mem::take(&mut wire.unopened);
        wire.fresh = carried < carried_over.len();
        let opened = wire.records.open(&mut region[..filled]);
        let used = opened.as_ref().map_or(filled, |opened| opened.used);
        let rest = filled - used + carried_over.len() - carried;
        if wire.unopened.try_reserve_exact(rest).is_err() {
            core::mem::swap(&mut wire.unopened, spare);
        }
        wire.is_lost = wire.unopened.capacity() < rest;
        wire.fresh |= wire.is_lost;
        if !wire.is_lost {
            wire.unopened.extend_from_slice(&region[used..filled]);
            wire.unopened.extend_from_slice(&carried_over[carried..]);
        }
        let Opened { plain, more, .. } = opened?;
        if more {
            wire.fresh = true;
            context.charge(WORK_OF_OPENING);
        }
        self.received.set(self.received.get() + plain as u64);
        context.buffers().received_more(plain);
        Ok(plain)
    }

    /// Receives behind what is carried over.
    fn receive_wire(&self, context: &Context, wire: &Wire, region: &mut [u8]) -> Result<usize> {
        let carried = wire.unopened.len();
        let room = match self.family {
            Family::Tcp => region.len() - carried,
            Family::Unix => wire.records.missing(&wire.unopened),
        };
        let place = &mut region[carried..carried + room];
        context.charge(crate::rt::budget::SYSTEM_CALL);
        // SAFETY: the place is writable.
        match unsafe { self.receive_one(place.as_mut_ptr(), place.len()) }? {
            (0, _) if self.was_reset.get() => Err(Errno::ECONNRESET),
            (0, _) => Err(wire.records.truncated()),
            (len, is_cut) => {
                self.note_received(context, is_cut || len == room);
                Ok(len)
            }
        }
    }
}
