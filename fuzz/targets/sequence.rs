//! Sequences of calls of the C API with a scripted peer at the other end of a socketpair. Everything
//! runs with the deadline 0, so that every call times out wherever it would wait; what the calls
//! return must be what the reference says of the bytes that the peer has sent.

#![no_main]

use dill::ffi::{handle, ipc, sock, ws};
use libc::{EAGAIN, EBADF, ECONNRESET, EMSGSIZE, EPIPE, EPROTO, ETIMEDOUT};
use libdill_fuzz::Choices;
use libdill_fuzz::reference::{self, Event};
use libfuzzer_sys::fuzz_target;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::ptr;

const TEXT: i32 = 1;
const NOHTTP: i32 = 2;
const GATHER: i32 = 8;
/// More than a message of the peer can have.
const ROOM: usize = 8192;

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

struct Conversation {
    ws: i32,
    server: bool,
    peer: UnixStream,
    /// Everything the peer has sent.
    sent: Vec<u8>,
    cut: bool,
    /// How many of the reference's events the receives have shown.
    shown: usize,
    over: Option<Event>,
    /// The next message was too long for a receive.
    dropping: bool,
    /// A receive has timed out although the reference could judge.
    asked_twice: bool,
    /// Everything the peer has received.
    received: Vec<u8>,
    /// The messages that were sent well, and how our half ended.
    messages: Vec<(bool, Vec<u8>)>,
    done: bool,
}

impl Conversation {
    fn new(server: bool, text: i32) -> Conversation {
        let (ours, peer) = UnixStream::pair().expect("a socketpair");
        peer.set_nonblocking(true).expect("a descriptor of our own");
        let fd = ours.into_raw_fd();
        let s = ipc::dill_ipc_fromfd(fd);
        assert!(s >= 0);
        // SAFETY: the arguments are those of the C API; NULL is not looked at.
        let ws = unsafe {
            if server {
                ws::dill_ws_attach_server(s, text | NOHTTP, ptr::null_mut(), 0, ptr::null_mut(), 0, 0)
            } else {
                ws::dill_ws_attach_client(s, text | NOHTTP, ptr::null(), ptr::null(), 0)
            }
        };
        assert!(ws >= 0);
        Conversation {
            ws,
            server,
            peer,
            sent: Vec::new(),
            cut: false,
            shown: 0,
            over: None,
            dropping: false,
            asked_twice: false,
            received: Vec::new(),
            messages: Vec::new(),
            done: false,
        }
    }

    // ---- the peer ----

    fn peer_sends(&mut self, bytes: &[u8]) {
        if self.cut {
            return;
        }
        match self.peer.write(bytes) {
            Ok(len) => self.sent.extend_from_slice(&bytes[..len]),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::BrokenPipe)),
        }
    }

    fn peer_sends_frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        let mask = if self.server { 0x80 } else { 0 };
        match payload.len() {
            len @ 0..126 => frame.push(mask | len as u8),
            len => {
                frame.push(mask | 126);
                frame.extend((len as u16).to_be_bytes());
            }
        }
        if self.server {
            frame.extend([0x11, 0x82, 0x40, 0xff]);
        }
        let key: &[u8] = if self.server { &[0x11, 0x82, 0x40, 0xff] } else { &[0] };
        frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.peer_sends(&frame);
    }

    fn peer_receives(&mut self) {
        let mut buf = [0; 4096];
        while let Ok(len @ 1..) = self.peer.read(&mut buf) {
            self.received.extend_from_slice(&buf[..len]);
        }
    }

    // ---- our side ----

    /// What the reference expects of the next receive.
    fn next_event(&mut self) -> Option<Event> {
        let events = reference::read(&self.sent, self.server).events;
        if self.dropping && matches!(events.get(self.shown), Some(Event::Message { .. })) {
            self.shown += 1;
            self.dropping = false;
        }
        events.get(self.shown).cloned()
    }

    fn check_failure(&mut self, error: i32, room: usize) {
        match self.next_event() {
            _ if error == EMSGSIZE => self.check_too_long(room),
            Some(end @ Event::Close { .. }) if error == EPIPE => self.over = Some(end),
            Some(end @ Event::Violation(_)) if error == EPROTO => self.over = Some(end),
            None if self.cut && error == ECONNRESET => self.over = Some(Event::Violation(0)),
            // A header whose first byte is wrong may still be waited for.
            Some(Event::Violation(1002)) if self.cut && error == ECONNRESET => {
                self.over = Some(Event::Violation(0))
            }
            Some(Event::Violation(_)) if error == ETIMEDOUT && !self.asked_twice => self.asked_twice = true,
            None => assert_eq!(error, ETIMEDOUT),
            event => panic!("errno {error} instead of {event:?}"),
        }
    }

    /// The message is longer than the room, or will be, unless it is found to be wrong: the next
    /// receive drops it.
    fn check_too_long(&mut self, room: usize) {
        if let Some(Event::Message { payload, .. }) = self.next_event() {
            assert!(payload.len() > room);
        }
        assert!(!self.dropping);
        self.dropping = true;
    }

    fn check_after_end(&self, error: i32) {
        match self.over {
            Some(Event::Close { .. }) => assert_eq!(error, EPIPE),
            _ => assert_eq!(error, ECONNRESET),
        }
    }

    fn receives(&mut self, room: usize) {
        let mut buf = vec![0_u8; room];
        let mut flags = -1;
        // SAFETY: the buffer has that size.
        let len = unsafe { ws::dill_ws_recv(self.ws, &raw mut flags, buf.as_mut_ptr().cast(), room, 0) };
        let error = errno();
        if self.over.is_some() {
            assert_eq!(len, -1);
            return self.check_after_end(error);
        }
        let Ok(len) = usize::try_from(len) else { return self.check_failure(error, room) };
        assert!(len <= room, "a message of {len} bytes in a buffer of {room}");
        buf.truncate(len);
        let event = self.next_event();
        assert_eq!(event, Some(Event::Message { text: flags == TEXT, payload: buf }));
        self.shown += 1;
    }

    /// Sends ASCII, for the library does not judge what it sends.
    fn sends(&mut self, flags: i32, payload: &[u8]) {
        let payload: Vec<u8> = payload.iter().map(|byte| byte & 0x7f).collect();
        // SAFETY: the payload is readable.
        let rc = unsafe { ws::dill_ws_send(self.ws, flags, payload.as_ptr().cast(), payload.len(), 0) };
        if rc == 0 {
            assert!(!self.done);
            self.messages.push((flags & TEXT != 0, payload));
        } else {
            assert!(matches!(errno(), EPIPE | ECONNRESET | ETIMEDOUT));
        }
    }

    fn finishes(&mut self, code: u16, reason: &[u8]) {
        // SAFETY: the reason is readable.
        let rc =
            unsafe { ws::dill_ws_done(self.ws, i32::from(code), reason.as_ptr().cast(), reason.len(), 0) };
        self.done |= rc == 0;
        if rc != 0 {
            assert!(matches!(errno(), libc::EINVAL | EPIPE | ECONNRESET | ETIMEDOUT));
        }
    }

    fn asks_for_status(&self) {
        let mut code = -1;
        let mut buf = [0_u8; 123];
        // SAFETY: the buffer has that size.
        let len = unsafe { ws::dill_ws_status(self.ws, &raw mut code, buf.as_mut_ptr().cast(), buf.len()) };
        match &self.over {
            Some(Event::Close { code: expected, reason }) => {
                assert_eq!(code, i32::from(*expected));
                assert_eq!(&buf[..len as usize], &reason[..]);
            }
            _ => assert_eq!((len, errno()), (-1, EAGAIN)),
        }
    }

    /// What left is a sequence of good frames: the messages in order, with pongs and at most one
    /// close frame.
    fn check_received(&mut self) {
        self.peer_receives();
        let seen = reference::read(&self.received, !self.server);
        let messages = seen.events.iter().filter_map(|event| match event {
            Event::Message { text, payload } => Some((*text, payload.clone())),
            Event::Close { .. } => None,
            Event::Violation(code) => panic!("our frames break a rule: {code}"),
        });
        assert!(messages.eq(self.messages.iter().cloned()));
    }

    fn ends(mut self, detach: bool) {
        if !detach {
            assert_eq!(handle::dill_hclose(self.ws), 0);
            self.check_received();
            return;
        }
        // SAFETY: NULL with length 0 is an empty reason.
        let s = unsafe { ws::dill_ws_detach(self.ws, 1000, ptr::null(), 0, 0) };
        assert_eq!((handle::dill_hclose(self.ws), errno()), (-1, EBADF));
        self.check_received();
        if s < 0 {
            return;
        }
        // What follows the close frame belongs to whoever comes next.
        let seen = reference::read(&self.sent, self.server);
        assert!(matches!(seen.events.last(), Some(Event::Close { .. })));
        let mut byte = 0_u8;
        // SAFETY: one byte is writable.
        let rc = unsafe { sock::dill_brecv(s, (&raw mut byte).cast(), 1, 0) };
        assert!(rc == 0 || matches!(errno(), EPIPE | ETIMEDOUT));
        assert_eq!(handle::dill_hclose(s), 0);
    }
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let how = choices.byte();
    let mut c = Conversation::new(how & 1 != 0, i32::from(how >> 1 & 1));
    while !choices.is_empty() && c.sent.len() < ROOM / 2 {
        match choices.byte() % 14 {
            0 => {
                let len = usize::from(choices.byte());
                c.peer_sends(choices.take(len));
            }
            step @ 1..=4 => {
                let first = [0x81, 0x82, 0x01, 0x80][usize::from(step - 1)];
                let len = usize::from(choices.byte());
                c.peer_sends_frame(first, choices.take(len));
            }
            5 => {
                let len = usize::from(choices.byte() % 126);
                c.peer_sends_frame(0x89, choices.take(len));
            }
            6 => {
                let len = usize::from(choices.byte() % 126);
                c.peer_sends_frame(0x88, choices.take(len));
            }
            7 | 8 => c.receives(ROOM),
            9 => {
                let room = usize::from(choices.byte());
                c.receives(room);
            }
            10 => {
                let len = usize::from(choices.byte());
                c.sends(if how & 4 == 0 { 0 } else { TEXT | GATHER }, choices.take(len));
            }
            11 => {
                let code = u16::from_be_bytes([choices.byte(), choices.byte()]);
                c.finishes(code, choices.take(usize::from(how >> 3)));
            }
            12 => c.asks_for_status(),
            _ => {
                c.peer_receives();
                if choices.byte() == 0 {
                    c.cut = true;
                    c.peer.shutdown(Shutdown::Write).expect("a connected socket");
                }
            }
        }
    }
    c.ends(how & 0x80 != 0);
});
