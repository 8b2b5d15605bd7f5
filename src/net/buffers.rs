//! The buffers of a thread, lent to whichever stream is moving bytes.
//!
//! One large receive buffer serves all connections of a thread: it is hot in the cache, it takes
//! many small messages in one system call, and an idle connection owns no memory. Only when
//! another stream wants it are the bytes of a partial message copied to the stream they belong to.
//! The send buffer gathers what leaves together, in the same way.

use super::stream::Stream;
use crate::arch::ticks;
use crate::error::{Result, keep_errno};
use crate::memory;
use crate::rt::above::{Hooks, PerThread};
use crate::rt::context::Context;
use crate::rt::object::Ref;
use crate::rt::process::Zeroable;
use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::ptr;

/// The receive buffer, in bytes.
pub(crate) const RECEIVE_SIZE: usize = 512 * 1024;
/// The send buffer, in bytes: a payload of 256 KiB fits in together with its header.
pub(crate) const SEND_SIZE: usize = 260 * 1024;
/// How much may be gathered before it leaves, in bytes.
pub(crate) const GATHER_LIMIT: usize = 128 * 1024;
/// How much is read ahead for streams that nobody receives from, for all of a thread, in bytes.
const MAX_SAVED: usize = 64 * 1024 * 1024;
/// How much is read ahead of somebody who receives while more than that is kept, in bytes.
const CROWDED: usize = 64 * 1024;
/// While bytes are gathered, the clock is read once in so many calls, at the least.
const MAX_STRIDE: u64 = 64;

/// Who a buffer is lent to: nobody, or an open stream, which it keeps alive.
struct Lease {
    /// Its identity, to compare with. An address would not do: the next stream may have it.
    id: Cell<u64>,
    stream: Cell<Option<Ref<Stream>>>,
}

impl Lease {
    #[inline(always)]
    fn is_held_by(&self, stream: &Stream) -> bool {
        self.id.get() == stream.id()
    }

    /// Whoever holds it.
    fn holder(&self) -> Option<Ref<Stream>> {
        let holder = self.stream.take();
        self.stream.set(holder.clone());
        holder
    }

    /// Gives it to a stream. EBADF if that is closed.
    fn give(&self, stream: &Ref<Stream>) -> Result<()> {
        stream.check_open()?;
        self.id.set(stream.id());
        // Dropping a closed stream calls nothing that comes back here: it has left before.
        let before = self.stream.replace(Some(stream.clone()));
        drop(before);
        Ok(())
    }

    fn end(&self) {
        self.id.set(NOBODY);
        let before = self.stream.take();
        drop(before);
    }
}

/// The identity of nobody's lease.
const NOBODY: u64 = 0;
/// The identity of a stream that has not been opened.
pub(crate) const UNOPENED: u64 = u64::MAX;

/// The shared buffers. Mapped on first use.
pub(crate) struct Buffers {
    /// How many streams were opened in this thread.
    streams: Cell<u64>,

    receive: Cell<*mut u8>,
    receiver: Lease,
    start: Cell<usize>,
    end: Cell<usize>,
    /// How many slices of the receive buffer are in use. Counted in debug builds.
    peeks: Cell<usize>,

    /// How many bytes of streams to which the buffer is not lent are kept.
    saved: Cell<usize>,

    /// For whoever seals what it sends, between two uses: the memory of an empty vector, or null.
    scratch: Cell<*mut u8>,
    scratch_size: Cell<usize>,

    send: Cell<*mut u8>,
    sender: Lease,
    gathered: Cell<usize>,
    /// When the oldest gathered bytes came, and when the clock was looked at last, in ticks.
    since: Cell<u64>,
    checked: Cell<u64>,
    /// How many calls lie between two reads of the clock, at the present pace. 0: not known.
    stride: Cell<u32>,
}

// SAFETY: numbers, null pointers, and leases that nobody has: `None` of a reference is null.
unsafe impl Zeroable for Buffers {}

// SAFETY: the first room.
unsafe impl PerThread for Buffers {
    const NUMBER: usize = 0;
}

static HOOKS: Hooks =
    Hooks { number: Buffers::NUMBER, at_end: |context| context.buffers().free(), in_child: |_| {} };

impl Context {
    /// The buffers that this thread lends to whichever stream is moving bytes.
    #[inline(always)]
    pub(crate) fn buffers(&self) -> &Buffers {
        self.kept()
    }
}

impl Buffers {
    /// The identity of the next stream.
    pub(crate) fn next_id(&self, context: &Context) -> u64 {
        context.register(&HOOKS);
        self.streams.set(self.streams.get() + 1);
        self.streams.get()
    }

    /// What was received for a stream and not consumed, if the buffer is lent to it.
    ///
    /// # Safety
    /// Nothing is received, and the buffer is lent to nobody else, while the slice is in use.
    #[inline]
    pub(crate) unsafe fn received(&self, stream: &Stream) -> Option<&[u8]> {
        if !self.receiver.is_held_by(stream) {
            return None;
        }
        let start = self.receive.get().wrapping_add(self.start.get());
        // SAFETY: a buffer that is lent has been mapped. (What is looked at for every message is not
        // compared with null too.)
        unsafe { core::hint::assert_unchecked(!start.is_null()) };
        // SAFETY: `start..end` lies in the buffer and was written by a receive; nothing is written there while
        // the slice is in use, as the caller says.
        Some(unsafe { core::slice::from_raw_parts(start, self.end.get() - self.start.get()) })
    }

    /// Whether `received` shows something of a stream.
    #[inline]
    pub(crate) fn is_lent_to(&self, stream: &Stream) -> bool {
        self.receiver.is_held_by(stream)
    }

    /// Runs what has a slice of the receive buffer: in debug builds, receiving meanwhile panics.
    #[inline]
    pub(crate) fn as_peek<R>(&self, look: impl FnOnce() -> R) -> R {
        if !cfg!(debug_assertions) {
            return look();
        }
        self.peeks.set(self.peeks.get() + 1);
        let result = look();
        self.peeks.set(self.peeks.get() - 1);
        result
    }

    /// Drops bytes from the front.
    #[inline]
    pub(crate) fn consume(&self, len: usize) {
        self.start.set(self.start.get() + len);
        if self.start.get() == self.end.get() {
            self.start.set(0);
            self.end.set(0);
        }
    }

    /// Lends the receive buffer to a stream and brings what it has saved to the front. ENOMEM: nothing
    /// has changed. EBADF: the stream is closed.
    #[inline]
    pub(crate) fn acquire_receive(&self, stream: &Ref<Stream>) -> Result<()> {
        debug_assert_eq!(self.peeks.get(), 0);
        if self.receiver.is_held_by(stream) && self.end.get() <= RECEIVE_SIZE / 2 {
            return Ok(());
        }
        self.acquire_receive_slow(stream)
    }

    #[inline(never)]
    fn acquire_receive_slow(&self, stream: &Ref<Stream>) -> Result<()> {
        if !self.receiver.is_held_by(stream) {
            map_once(&self.receive, RECEIVE_SIZE)?;
            if let Some(holder) = self.receiver.holder() {
                // SAFETY: `save` copies the bytes, and receives nothing.
                let received = unsafe { self.received(&holder) };
                holder.save(self, received.unwrap_or_default())?;
                self.receiver.end();
            }
            self.start.set(0);
            self.end.set(0);
            self.receiver.give(stream)?;
            // SAFETY: the buffer is RECEIVE_SIZE long, and nothing in it is in use.
            let buffer = unsafe { core::slice::from_raw_parts_mut(self.receive.get(), RECEIVE_SIZE) };
            self.end.set(stream.restore(self, buffer));
        } else {
            let len = self.end.get() - self.start.get();
            let from = self.receive.get().wrapping_add(self.start.get());
            // SAFETY: both ranges lie in the buffer; they may overlap.
            unsafe { ptr::copy(from, self.receive.get(), len) };
            self.start.set(0);
            self.end.set(len);
        }
        Ok(())
    }

    /// Whether anything may be read for a stream that nobody receives from: not too much is kept. If not, what is
    /// put off is queued, one after another, from when there is room again.
    pub(crate) fn has_room(&self) -> bool {
        self.saved.get() < MAX_SAVED
    }

    /// How much may be read ahead of somebody who receives, and would read so much: it may be kept for long.
    #[inline]
    pub(crate) fn read_ahead(&self, wanted: usize) -> usize {
        if self.has_room() { wanted } else { wanted.min(CROWDED) }
    }

    /// Counts bytes that a stream keeps from now on.
    pub(crate) fn count_saved(&self, len: usize) {
        self.saved.set(self.saved.get() + len);
    }

    /// Counts bytes that a stream keeps no longer.
    pub(crate) fn count_freed(&self, len: usize) {
        let had_room = self.has_room();
        self.saved.set(self.saved.get().saturating_sub(len));
        if !had_room
            && self.has_room()
            && let Some(context) = Context::existing()
        {
            context.queue_put_off();
        }
    }

    /// The free end of the receive buffer, which is lent to the caller.
    pub(crate) fn room(&self) -> (*mut u8, usize) {
        (self.receive.get().wrapping_add(self.end.get()), RECEIVE_SIZE - self.end.get())
    }

    /// Counts bytes that were received into `room`.
    pub(crate) fn received_more(&self, len: usize) {
        self.end.set(self.end.get() + len);
    }

    /// Drops what was received for a stream; the buffer is nobody's then.
    pub(crate) fn forget_received(&self, stream: &Stream) {
        if self.receiver.is_held_by(stream) {
            self.start.set(0);
            self.end.set(0);
            self.receiver.end();
        }
    }

    /// Takes a stream that is being closed out of the buffers.
    pub(crate) fn forget(&self, stream: &Stream) {
        self.forget_received(stream);
        if self.sender.is_held_by(stream) {
            self.gathered.set(0);
            self.sender.end();
        }
    }

    /// An empty buffer that has perhaps been used before.
    pub(crate) fn take_scratch(&self) -> Vec<u8> {
        let memory = self.scratch.replace(ptr::null_mut());
        if memory.is_null() {
            return Vec::new();
        }
        // SAFETY: that of a vector, kept by `give_scratch` and taken once.
        unsafe { Vec::from_raw_parts(memory, 0, self.scratch_size.get()) }
    }

    /// Gives it back.
    pub(crate) fn give_scratch(&self, scratch: Vec<u8>) {
        drop(self.take_scratch());
        if scratch.capacity() > 0 {
            let mut scratch = ManuallyDrop::new(scratch);
            self.scratch_size.set(scratch.capacity());
            self.scratch.set(scratch.as_mut_ptr());
        }
    }

    /// How many bytes a stream has gathered.
    #[inline]
    pub(crate) fn gathered(&self, stream: &Stream) -> usize {
        if self.sender.is_held_by(stream) { self.gathered.get() } else { 0 }
    }

    /// Sends a stream's gathered bytes, if it has any, as `flush` does.
    #[inline]
    pub(crate) fn flush_gathered(&self, context: &Context, stream: &Stream) {
        if self.gathered(stream) > 0 {
            self.flush(context);
        }
    }

    /// Sends the gathered bytes if they are older than a millisecond. Reading the clock costs as much as a small
    /// message, so it is read once in `stride` calls only; `stride` adapts so that reads are an eighth of the
    /// limit apart.
    #[cold]
    fn check_age(&self, context: &Context) {
        if self.gathered.get() == 0 {
            return;
        }
        let (now, limit) = (ticks::now(), ticks::per_millisecond());
        let pace = now.wrapping_sub(self.checked.get()) / u64::from(self.stride()) + 1;
        self.stride.set((limit / 8 / pace).clamp(1, MAX_STRIDE) as u32);
        if now.wrapping_sub(self.since.get()) > limit {
            self.flush(context)
        } else {
            self.check_again(context, now)
        }
    }

    fn check_again(&self, context: &Context, now: u64) {
        self.checked.set(now);
        context.soon(self.stride(), |context| context.buffers().check_age(context));
    }

    fn stride(&self) -> u32 {
        self.stride.get().max(1)
    }

    /// Sends what was gathered, as far as the kernel takes it at once; its stream keeps the rest.
    pub(crate) fn flush(&self, context: &Context) {
        let len = self.gathered.replace(0);
        if len == 0 {
            return;
        }
        if let Some(holder) = self.sender.holder() {
            // SAFETY: the first bytes of the buffer were written when they were gathered.
            let gathered = unsafe { core::slice::from_raw_parts(self.send.get(), len) };
            // What becomes of it is no matter of the call that happens to be made now.
            keep_errno(|| holder.push_out(context, gathered));
        }
    }

    /// Lends the send buffer to a stream: what another one gathered leaves first. Returns how much
    /// the stream itself has gathered, which is at the front.
    #[inline(always)]
    pub(crate) fn acquire_send(&self, context: &Context, stream: &Ref<Stream>) -> Result<usize> {
        if !self.sender.is_held_by(stream) {
            self.acquire_send_slow(context, stream)?;
        }
        Ok(self.gathered.get())
    }

    fn acquire_send_slow(&self, context: &Context, stream: &Ref<Stream>) -> Result<()> {
        map_once(&self.send, SEND_SIZE)?;
        self.flush(context);
        self.sender.give(stream)
    }

    /// The send buffer, which is lent to the caller, from a position on. (A closure that fills it would
    /// not be inlined, and that costs 2 ns a message.)
    ///
    /// # Safety
    /// Nothing else is done with the buffer while this slice is in use.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "the buffer is no part of this value")]
    pub(crate) unsafe fn send_buf_mut(&self, from: usize) -> &mut [u8] {
        // SAFETY: whoever it is lent to has it mapped, SEND_SIZE long; the caller has no other slice of it.
        let buffer = unsafe { core::slice::from_raw_parts_mut(self.send.get(), SEND_SIZE) };
        &mut buffer[from..]
    }

    /// A part of the send buffer, which is lent to the caller and was filled as far as that.
    ///
    /// # Safety
    /// Nothing is written into the buffer while this slice is in use.
    #[inline]
    pub(crate) unsafe fn send_buf(&self, part: Range<usize>) -> &[u8] {
        // SAFETY: whoever it is lent to has it mapped, SEND_SIZE long; the caller writes nothing.
        let buffer = unsafe { core::slice::from_raw_parts(self.send.get(), SEND_SIZE) };
        &buffer[part]
    }

    /// Keeps only `end` of the filled part, as gathered bytes.
    #[inline]
    pub(crate) fn retain_tail(&self, context: &Context, end: Range<usize>) {
        if end.is_empty() {
            return self.forget_gathered();
        }
        if end.start >= self.gathered.get() {
            // The oldest of these bytes are new.
            self.forget_gathered();
        }
        let len = end.len();
        // SAFETY: the buffer is lent to the caller, who has no slice of it.
        unsafe { self.send_buf_mut(0) }.copy_within(end, 0);
        self.set_gathered(context, len);
    }

    /// Notes how much of the send buffer now holds gathered bytes.
    #[inline]
    pub(crate) fn set_gathered(&self, context: &Context, len: usize) {
        if self.gathered.get() == 0 && len > 0 {
            context.before_wait(|context| context.buffers().flush(context));
            let now = ticks::now();
            self.since.set(now);
            self.check_again(context, now);
        }
        self.gathered.set(len);
    }

    /// Notes that nothing is gathered any more: what was is on its way.
    #[inline]
    pub(crate) fn forget_gathered(&self) {
        self.gathered.set(0);
    }

    fn free(&self) {
        self.receiver.end();
        self.sender.end();
        drop(self.take_scratch());
        for (place, size) in [(&self.receive, RECEIVE_SIZE), (&self.send, SEND_SIZE)] {
            let place = place.replace(ptr::null_mut());
            if !place.is_null() {
                // SAFETY: mapped with this size by `map_once`.
                unsafe { libc::munmap(place.cast(), size) };
            }
        }
    }
}

fn map_once(place: &Cell<*mut u8>, size: usize) -> Result<()> {
    if place.get().is_null() {
        place.set(memory::map(size, 0)?);
    }
    Ok(())
}
