//! What happens on a connection without a coroutine: pings are answered while nobody receives, and a peer of
//! which nothing is heard is asked whether it is still there.

use super::Ws;
use crate::error::{Errno, Result};
use crate::memory::try_box;
use crate::net::stream::{Family, Stream};
use crate::rt::background::{Alarm, Background};
use crate::rt::big_stack::BigStack;
use crate::rt::clock;
use crate::rt::context::Context;
use crate::rt::handle::Id;
use crate::rt::object::Ref;
use crate::transport::Transport;
use crate::why::{self, Fact};
use crate::ws::ahead::{Ahead, Found};
use crate::ws::frame::{ControlPayload, Opcode};
use crate::ws::options::Pings;
use core::cell::Cell;

/// How much of a connection is read while nobody receives, in bytes.
const MAX_UNREAD: usize = 64 * 1024;

/// By what part of its time an alarm is late at most: those of many connections come together then, and the thread
/// polls once for many of them.
const LATENESS: i64 = 64;

/// Asks a silent peer whether it is there.
pub(super) struct Keepalive {
    alarm: Alarm,
    pings: Pings,
    /// When the peer was asked, in ms, and how often it had been heard of then. None: it was not.
    asked: Cell<Option<(i64, u64)>>,
    /// How often it was asked.
    count: Cell<u32>,
    /// It has not answered.
    is_dead: Cell<bool>,
}

impl Keepalive {
    /// None: nobody asks. EINVAL on a bytestream of the program's own. ENOMEM.
    pub(super) fn new(pings: Option<Pings>, transport: &Transport) -> Result<Option<Box<Keepalive>>> {
        let Some(pings) = pings else { return Ok(None) };
        if transport.stream().is_none() {
            const RULE: &str = "ping_interval, and a bytestream that is not of the library's own";
            return Err(why::note(Errno::EINVAL, Fact::Argument(RULE)));
        }
        let (asked, count, is_dead) = (Cell::new(None), Cell::new(0), Cell::new(false));
        try_box(Keepalive { alarm: Alarm::new(), pings, asked, count, is_dead }).map(Some)
    }
}

impl Ws {
    /// Begins with what needs no coroutine. ENOMEM.
    pub(super) fn begin_background(&self, context: &Context, attends: bool) -> Result<()> {
        let Some(stream) = self.transport.stream() else { return Ok(()) };
        // What is done in the background runs there.
        if attends || self.keepalive.is_some() {
            BigStack::get()?;
        }
        if attends && stream.family() == Family::Tcp {
            // SAFETY: ended when this is closed, or leaves the stream.
            unsafe { context.poller.attend(stream.fd(), self) }?;
            self.attends.set(true);
            // Something may have come right behind the handshake.
            self.queue_look_ahead(context, stream);
        }
        if let Some(keepalive) = &self.keepalive {
            self.set_alarm(context, keepalive, clock::now().saturating_add(keepalive.pings.interval));
        }
        Ok(())
    }

    pub(super) fn end_background(&self, context: &Context) {
        if let Some(stream) = self.transport.stream()
            && self.attends.replace(false)
        {
            context.poller.unattend(stream.fd());
        }
        self.task.withdraw();
        self.let_next_look(context);
        self.ahead.take();
        if let Some(keepalive) = &self.keepalive {
            keepalive.alarm.disarm(context);
        }
    }

    // ---- while nobody receives ----

    /// Nobody receives from now on: what is here, or may be, is looked at before the thread polls.
    #[inline(always)]
    pub(super) fn queue_look_ahead(&self, context: &Context, stream: &Stream) {
        if self.attends.get() {
            self.look_ahead_if_needed(context, stream);
        }
    }

    #[inline(never)]
    fn look_ahead_if_needed(&self, context: &Context, stream: &Stream) {
        let is_empty = stream.peek(context, <[u8]>::is_empty);
        if is_empty {
            self.ahead.take();
        }
        if is_empty && !stream.may_hold_more() {
            return;
        }
        // SAFETY: withdrawn when this is closed, or leaves the stream.
        unsafe { context.queue(&self.task, self) };
    }

    /// Whether what comes next was dealt with while nobody received.
    pub(super) fn was_looked_at(&self, context: &Context) -> bool {
        let ahead = self.ahead.borrow();
        ahead.as_ref().is_some_and(|ahead| self.transport.position(context) < ahead.position())
    }

    /// Looks ahead at all that was received. False: nothing behind it is to be read.
    fn look_ahead(&self, context: &Context, stream: &Ref<Stream>) -> Result<bool> {
        let position = stream.position(context);
        if self.ahead.borrow().as_ref().is_none_or(|ahead| ahead.position() < position) {
            let ahead = Ahead::new(self.connection.borrow().decoder(), position);
            self.ahead.replace(Some(try_box(ahead)?));
        }
        loop {
            let found = stream.peek(context, |bytes| self.ahead.borrow_mut().as_mut()?.find(bytes, position));
            match found {
                None => break,
                Some(Found::Ping(payload)) => {
                    self.received.count_control(Opcode::Ping);
                    self.connection.borrow_mut().note_ping(payload);
                    // Otherwise whoever is sending does it.
                    if !self.turns.frame_is_taken()
                        && let Some(payload) = self.take_pending_pong()
                    {
                        self.post(context, stream, Opcode::Pong, &payload, true)?;
                    }
                }
                Some(Found::Pong(payload)) => {
                    self.received.count_control(Opcode::Pong);
                    self.ping_times.note_pong(payload.hash());
                }
                Some(Found::Close(close)) => self.connection.borrow_mut().note_close_seen(close),
            }
        }
        Ok(self.ahead.borrow().as_ref().is_some_and(|ahead| !ahead.has_ended()))
    }

    /// Deals with control frames while nobody receives. If more may come than is received at once, that is later.
    fn attend(&self, context: &Context, stream: &Ref<Stream>) -> Result<()> {
        let mut has_received = false;
        while self.look_ahead(context, stream)? {
            let unread = stream.peek(context, <[u8]>::len);
            if !stream.may_hold_more() || unread >= MAX_UNREAD {
                break;
            }
            if !context.buffers().has_room() {
                // SAFETY: withdrawn when this is closed, or leaves the stream.
                unsafe { context.put_off(&self.task, self) };
                break;
            }
            if has_received {
                self.queue_look_ahead(context, stream);
                break;
            }
            stream.receive_now(context, MAX_UNREAD)?;
            has_received = true;
        }
        Ok(())
    }

    /// If there is room, the first of those that were held up by the lack of it looks for what has come.
    fn let_next_look(&self, context: &Context) {
        if context.buffers().has_room() {
            context.queue_put_off();
        }
    }

    // ---- keepalive ----

    fn set_alarm(&self, context: &Context, keepalive: &Keepalive, time: i64) {
        let Pings { interval, timeout } = keepalive.pings;
        let time = together(time, interval.min(timeout) / LATENESS);
        // SAFETY: disarmed when this is closed, or leaves the stream.
        unsafe { context.arm_alarm(&keepalive.alarm, self, time) };
    }

    /// Asks the peer, or judges it. Returns when to come back, in ms. None: never.
    fn keep_alive(&self, context: &Context, keepalive: &Keepalive, now: i64) -> Option<i64> {
        let stream = self.transport.stream()?;
        // A peer that has sent its close frame answers no more, and after ours nothing is asked.
        if !self.connection.borrow().can_ask() {
            return None;
        }
        let Pings { interval, timeout } = keepalive.pings;
        let heard = clock::milliseconds(stream.heard());
        match keepalive.asked.get() {
            Some((asked, times)) if times == stream.times_heard() => {
                if now < asked.saturating_add(timeout) {
                    return Some(asked.saturating_add(timeout));
                }
                if !stream.holds_input() {
                    self.die(context, keepalive);
                    return None;
                }
                keepalive.asked.set(None);
                Some(now.saturating_add(interval))
            }
            _ if now < heard.saturating_add(interval) => {
                keepalive.asked.set(None);
                Some(heard.saturating_add(interval))
            }
            // Somebody is sending and does not wait: a ping comes behind the frame.
            _ if self.turns.frame_is_taken() && !stream.is_held_up(context) => Some(now),
            _ => {
                keepalive.asked.set(Some((now, stream.times_heard())));
                self.ask(context, stream, keepalive);
                // If it answers at once, it is asked again after the interval.
                Some(now.saturating_add(timeout.min(interval)))
            }
        }
    }

    /// Sends a ping, if that is possible without waiting. A peer that does not take what was sent before would
    /// not see it, but shows by taking it that it is there.
    fn ask(&self, context: &Context, stream: &Ref<Stream>, keepalive: &Keepalive) {
        let count = keepalive.count.get().wrapping_add(1);
        keepalive.count.set(count);
        let Some(payload) = ControlPayload::concat(&[&count.to_be_bytes()]) else { return };
        if self.turns.frame_is_taken() || stream.has_backlog() {
            return;
        }
        self.ping_times.keepalives.note(&payload);
        // What fails is noted, and the next send reports it.
        let _ = self.post(context, stream, Opcode::Ping, &payload, false);
    }

    /// The peer is not there any more.
    fn die(&self, context: &Context, keepalive: &Keepalive) {
        keepalive.is_dead.set(true);
        self.connection.borrow_mut().note_dead();
        self.end_background(context);
        // Whoever waits fails, and is told why.
        self.turns.dismiss(context);
        self.receiving.dismiss(context);
        self.lower.replace(Id::NONE).close();
    }

    /// Why a call has failed, if the reason is that the peer is not there any more.
    pub(super) fn explain<R>(&self, result: Result<R>) -> Result<R> {
        let of_dead = self.keepalive.as_ref().filter(|keepalive| keepalive.is_dead.get());
        result.map_err(|error| match of_dead {
            Some(keepalive) if !self.connection.borrow().is_gone() => {
                why::note(Errno::ECONNRESET, Fact::NoAnswer(keepalive.pings.timeout))
            }
            _ => error,
        })
    }
}

/// The first multiple of `step` from `time` on.
fn together(time: i64, step: i64) -> i64 {
    let step = step.max(1);
    time.checked_add(step - 1).map_or(time, |last| last - last.rem_euclid(step))
}

impl Background for Ws {
    fn input_comes(&self, context: &Context) {
        let Some(stream) = self.transport.stream() else { return };
        stream.note_input();
        self.queue_look_ahead(context, stream);
    }

    fn work(&self, context: &Context) {
        let Some(stream) = self.transport.stream() else { return };
        let is_open = self.connection.borrow().check_inbound().is_ok();
        if self.attends.get() && is_open && !self.receiving.is_taken() {
            // The next receive finds out what is wrong.
            let _ = self.attend(context, stream);
        }
        self.let_next_look(context);
    }

    fn alarm(&self, context: &Context, now: i64) {
        let Some(keepalive) = &self.keepalive else { return };
        if let Some(time) = self.keep_alive(context, keepalive, now) {
            self.set_alarm(context, keepalive, time.max(now + 1));
        }
    }

    fn abandoned(&self) {
        self.attends.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::together;

    #[test]
    fn alarms_come_together_and_never_early() {
        assert_eq!(
            [1000, 1001, 1100, 1156, 1157].map(|time| together(time, 156)),
            [1092, 1092, 1248, 1248, 1248]
        );
        assert_eq!([together(5, 0), together(5, 1)], [5, 5]);
        assert_eq!(together(i64::MAX, 100), i64::MAX);
    }
}
