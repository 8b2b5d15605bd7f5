//! The records of TLS below a stream's view. The input is a program for the peer, which seals what it may and what
//! it may not, changes and repeats records, and for how the wire is cut. Whatever it does, what comes out is the
//! front of what went in, and unless it broke a rule all of it.

#![no_main]

use dill::fuzzing::records::{End, connect};
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;

/// Every key update beyond them is refused.
const KEY_UPDATES: usize = 30;
/// The most that one end ever answers to what the other one sends at a time.
const MAX_REPLY: usize = 200;

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        front
    }
}

struct Run {
    ours: End,
    peer: End,
    is_tls13: bool,
    /// Sealed by the peer, and not delivered.
    wire: Vec<u8>,
    /// Where the records begin that the peer has sealed, of those that were not delivered.
    last: usize,
    /// Delivered, and not opened.
    front: Vec<u8>,
    sent: Vec<u8>,
    received: Vec<u8>,
    /// The peer has broken no rule.
    is_good: bool,
    ended: bool,
    key_updates: usize,
}

impl Run {
    fn step(&mut self, op: u8, input: &mut Input<'_>) -> Option<()> {
        let start = self.wire.len();
        match op % 12 {
            0 => self.send(input.bytes(usize::from(op >> 4))),
            1 => self.send(&vec![op; usize::from(input.byte()?) * 300]),
            2 => self.alert(input),
            3 => {
                let payload = input.bytes(usize::from(op >> 4));
                self.is_good = false;
                let _ = self.peer.seal_record(22, payload, &mut self.wire);
            }
            4 if self.is_tls13 => {
                self.key_updates += 1;
                self.is_good &= self.key_updates <= KEY_UPDATES;
                let _ = self.peer.update_key(op & 128 != 0, &mut self.wire);
            }
            5 => {
                self.is_good = false;
                self.wire.extend_from_slice(input.bytes(usize::from(op >> 4)));
            }
            6 => self.change(input)?,
            7 => self.repeat(),
            8 => self.deliver(usize::from(input.byte()?)),
            9 => self.deliver(usize::MAX),
            10 => self.answer(input.bytes(usize::from(op >> 4))),
            11 => {
                // RFC 8446, 5.4: 0 would be padding, and the payload's last byte the type.
                let typ = input.byte()?.max(1);
                self.is_good &= typ == 23;
                let payload = input.bytes(usize::from(op >> 4));
                if self.peer.seal_record(typ, payload, &mut self.wire).is_ok() && typ == 23 {
                    self.sent.extend_from_slice(payload);
                }
            }
            _ => {}
        }
        if self.wire.len() > start {
            self.last = start;
        }
        Some(())
    }

    fn send(&mut self, data: &[u8]) {
        let half = data.len() / 2;
        let has_left = data.len() % 7 != 6;
        let sealed = self.peer.seal(&[&data[..half], &data[half..]], has_left, &mut self.wire);
        if let Ok(len) = sealed
            && has_left
        {
            assert_eq!(len, data.len());
            self.sent.extend_from_slice(data);
        }
    }

    fn alert(&mut self, input: &mut Input<'_>) {
        let alert = input.bytes(2);
        self.is_good = false;
        let _ = self.peer.seal_record(21, alert, &mut self.wire);
    }

    fn change(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (at, with) = (usize::from(input.byte()?), input.byte()?);
        let record = &mut self.wire[self.last..];
        if !record.is_empty() && with != 0 {
            self.is_good = false;
            let at = at % record.len();
            record[at] ^= with;
        }
        Some(())
    }

    fn repeat(&mut self) {
        let record = self.wire[self.last..].to_vec();
        self.is_good &= record.is_empty();
        self.wire.extend_from_slice(&record);
    }

    fn deliver(&mut self, most: usize) {
        let len = most.min(self.wire.len());
        self.front.extend(self.wire.drain(..len));
        self.last = self.last.saturating_sub(len);
        loop {
            let before = self.front.len();
            let missing = self.ours.missing(&self.front);
            assert!(missing >= 1);
            match self.ours.open(&mut self.front) {
                Ok((used, plain)) => {
                    assert!(plain <= used && used <= before);
                    self.received.extend_from_slice(&self.front[..plain]);
                    self.front.drain(..used);
                    if used == 0 {
                        break;
                    }
                }
                Err(_) => {
                    assert!(!self.is_good && self.ours.check().is_err());
                    break;
                }
            }
        }
        assert!(self.sent.starts_with(&self.received));
    }

    /// Our end answers what it was asked, and sends something.
    fn answer(&mut self, data: &[u8]) {
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        self.ours.reply(&mut wire).unwrap();
        assert!(wire.len() <= MAX_REPLY);
        let may_send = self.ours.check().is_ok();
        let sealed = self.ours.seal(&[data], true, &mut wire);
        assert!(sealed.is_ok() || !self.is_good || !may_send);
        while !wire.is_empty() && self.peer.check().is_ok() {
            match self.peer.open(&mut wire) {
                Ok((used, len)) => {
                    plain.extend_from_slice(&wire[..len]);
                    wire.drain(..used);
                    assert!(used > 0);
                }
                // The peer is told that it broke a rule.
                Err(_) => {
                    assert!(!self.is_good);
                    break;
                }
            }
        }
        if self.is_good && sealed.is_ok() && !self.ended {
            assert_eq!(plain, data);
        }
    }
}

thread_local! {
    /// A connection of each version that has been used before.
    static CONNECTIONS: [Cell<Option<(End, End)>>; 2] = const { [Cell::new(None), Cell::new(None)] };
}

/// The client and the server of a connection that looks fresh.
fn take_connection(is_tls13: bool) -> (End, End) {
    let kept = CONNECTIONS.with(|kept| kept[usize::from(is_tls13)].take());
    kept.unwrap_or_else(|| connect(is_tls13))
}

fn give_back(is_tls13: bool, mut client: End, mut server: End) {
    if client.begin_again() & server.begin_again() {
        CONNECTIONS.with(|kept| kept[usize::from(is_tls13)].set(Some((client, server))));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&setup, program)) = data.split_first() else { return };
    let is_tls13 = setup & 1 == 0;
    let (client, server) = take_connection(is_tls13);
    let (ours, peer) = if setup & 2 == 0 { (server, client) } else { (client, server) };
    let mut run = Run {
        ours,
        peer,
        is_tls13,
        wire: Vec::new(),
        last: 0,
        front: Vec::new(),
        sent: Vec::new(),
        received: Vec::new(),
        is_good: true,
        ended: false,
        key_updates: 0,
    };
    let mut input = Input(program);
    while let Some(op) = input.byte() {
        if run.step(op, &mut input).is_none() {
            break;
        }
    }
    if setup & 4 != 0 {
        run.ended = run.peer.end(&mut run.wire).is_ok();
    }
    run.deliver(usize::MAX);
    run.answer(b"last");
    if run.is_good {
        assert_eq!(run.received, run.sent);
        assert_eq!(run.ours.check().is_err(), run.ended);
    }
    let (client, server) = if setup & 2 == 0 { (run.peer, run.ours) } else { (run.ours, run.peer) };
    give_back(is_tls13, client, server);
});
