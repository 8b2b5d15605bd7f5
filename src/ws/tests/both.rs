//! Every sequence of up to five events on both halves of a connection, against a model of what RFC 6455
//! says about their interplay: what a peer's frame makes due, and what may still be sent and received.
//!
//! As in `model`, sequences that have left the connection in the very same state are continued as one.
//! The peer's frames are those that differ for this: every opcode, FIN or not, a reserved bit or not,
//! masked or not, and four lengths. Whatever we send is read by a decoder in the peer's role.

use std::collections::BTreeMap;

use super::model::{ModelFrame, Open, Verdict, judge};
use super::{KEY, ROLES, stride, wire_frame};
use crate::error::Errno;
use crate::ws::connection::{Connection, Event};
use crate::ws::decoder::{Decoder, Next};
use crate::ws::encoder::{self, MessageKind};
use crate::ws::frame::{ControlPayload, Opcode, Role};

const EVENTS: usize = if cfg!(miri) { 3 } else { 5 };

#[derive(Clone, Copy, Debug)]
enum Symbol {
    Receives(ModelFrame),
    /// The stream ends without a close frame.
    Loses,
    Sends {
        text: bool,
        last: bool,
    },
    SendsPing,
    /// Sends the pong that is due.
    Answers,
    Closes,
    /// A frame leaves in part only.
    Breaks,
}

fn symbols() -> Vec<Symbol> {
    let frames =
        ModelFrame::all().filter(|frame| [0, 1, 125, 126].contains(&frame.length) && frame.rsv & 3 == 0);
    let frames = frames.step_by(stride(11));
    let sends = [(false, false), (false, true), (true, false), (true, true)];
    frames
        .map(Symbol::Receives)
        .chain(sends.map(|(text, last)| Symbol::Sends { text, last }))
        .chain([Symbol::Loses, Symbol::SendsPing, Symbol::Answers, Symbol::Closes, Symbol::Breaks])
        .collect()
}

/// What the model knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Model {
    /// The message that the peer has begun.
    open: Open,
    /// Why nothing more can be received.
    inbound: Option<&'static str>,
    /// Why nothing more can be sent.
    outbound: Option<&'static str>,
    /// We have begun a message.
    sending: bool,
    /// The payload of the newest ping that was not answered.
    pong: Option<Vec<u8>>,
}

fn errno(reason: Option<&str>) -> Result<(), Errno> {
    match reason {
        None => Ok(()),
        Some("closed") => Err(Errno::EPIPE),
        Some(_) => Err(Errno::ECONNRESET),
    }
}

#[derive(Clone)]
struct State {
    model: Model,
    connection: Connection,
    /// Reads what we send.
    peer: Decoder,
}

impl State {
    fn new(role: Role) -> State {
        let peer = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        State {
            model: Model { open: None, inbound: None, outbound: None, sending: false, pong: None },
            connection: Connection::new(role),
            peer: Decoder::new(peer),
        }
    }

    /// All that later answers can depend on. The length of a message cannot: there is no limit.
    fn key(&self) -> (Model, String) {
        let state = format!("{:?} {:?}", self.connection, self.peer);
        let known = state.split(", ").filter(|field| !field.starts_with("length: ")).collect();
        (self.model.clone(), known)
    }

    fn check(&self) {
        assert_eq!(self.connection.check_inbound(), errno(self.model.inbound), "{:?}", self.model);
        assert_eq!(self.connection.check_outbound(), errno(self.model.outbound), "{:?}", self.model);
        let between = self.model.open.is_none() && self.model.inbound.is_none();
        assert_eq!(self.connection.is_between_messages(), between, "{:?}", self.model);
        let hello = wire_frame(self.connection.role(), true, Opcode::Text, b"hello");
        let mut copy = self.connection;
        let taken = copy.whole_message(&hello, &mut [0; 5]);
        assert_eq!(taken.is_some(), between, "{:?}", self.model);
        assert_eq!(self.connection.can_begin_message(), self.model.outbound.is_none() && !self.model.sending);
    }

    /// None: this cannot happen any more.
    fn step(mut self, symbol: Symbol) -> Option<State> {
        match symbol {
            Symbol::Receives(_) | Symbol::Loses if self.model.inbound.is_some() => return None,
            Symbol::Receives(frame) => self.receive(frame),
            Symbol::Loses => {
                self.connection.note_inbound_lost();
                self.model.inbound = Some("lost");
            }
            Symbol::Answers => self.answer(),
            _ if self.model.outbound.is_some() => return None,
            Symbol::Sends { text, last } => self.send(text, last),
            Symbol::SendsPing => {
                let frame = self.connection.encoder().control(Opcode::Ping, 2, self.mask());
                let ping = ControlPayload::concat(&[b"hi"]).expect("short");
                let next = self.peer_reads(&frame, b"hi");
                assert!(matches!(next, Next::Ping { payload, .. } if payload == ping));
            }
            Symbol::Closes => {
                let frame = self.connection.encoder().control(Opcode::Close, 0, self.mask());
                assert!(matches!(self.peer_reads(&frame, b""), Next::Close { code: 0, .. }));
                self.connection.note_close_sent();
                self.model.outbound = Some("closed");
                self.model.pong = None;
            }
            Symbol::Breaks => {
                self.connection.note_outbound_broken();
                self.model.outbound = Some("broken");
            }
        }
        self.check();
        Some(self)
    }

    fn mask(&self) -> Option<[u8; 4]> {
        (self.connection.role() == Role::Client).then_some(KEY)
    }

    fn peer_reads(&mut self, frame: &encoder::Frame, payload: &[u8]) -> Next {
        let mut wire = [0; 200];
        let len = frame.write(&mut wire, payload);
        let next = self.peer.next(&wire[..len]).expect("what we send follows the rules");
        if let Next::Data { consumed } = next {
            let mut payload = wire[consumed..len].to_vec();
            assert_eq!(self.peer.payload_in_place(&mut payload), Ok(()));
        }
        next
    }

    fn send(&mut self, text: bool, last: bool) {
        let mask = self.mask();
        let kind = MessageKind { text, extension_bits: 0 };
        let at_once =
            (last && !self.model.sending).then(|| self.connection.encoder().whole_message(text, 5, mask));
        let frame = self.connection.encoder_mut().data(kind, last, 5, mask);
        assert!(at_once.is_none_or(|whole| whole.header() == frame.header()));
        let opcode = if self.model.sending { 0 } else { 2 - u8::from(text) };
        assert_eq!(frame.header()[0], u8::from(last) << 7 | opcode);
        assert!(matches!(self.peer_reads(&frame, b"hello"), Next::Data { .. }));
        assert_eq!(self.peer.end_of_frame(), Ok(last));
        self.model.sending = !last;
    }

    fn answer(&mut self) {
        let pong = self.connection.take_pending_pong();
        let due = self.model.pong.take().filter(|_| self.model.outbound.is_none());
        assert_eq!(pong.map(|pong| pong.as_bytes().to_vec()), due);
    }

    fn receive(&mut self, frame: ModelFrame) {
        let wire = [frame.header(), frame.payload()].concat();
        let (mut at_once, mut place) = (self.connection, [0; 200]);
        let taken = at_once.whole_message(&wire, &mut place);
        let was_open = self.model.open.is_some();
        let answer = self.connection.next(&wire);
        if !matches!(answer, Ok((Event::Data, _))) {
            assert!(taken.is_none(), "{frame:?}");
        }
        match (judge(self.connection.role(), self.model.open, frame), answer) {
            (Verdict::Violation(_), Err(violation)) => {
                assert_eq!(violation.code, 1002);
                // RFC 6455, 7.1.7: a close frame if one may still be sent, and no pong.
                let close = self.connection.take_pending_close();
                assert_eq!(close.is_some(), self.model.outbound.is_none());
                assert_eq!(
                    close
                        .map_or(1002, |close| u16::from_be_bytes([close.as_bytes()[0], close.as_bytes()[1]])),
                    1002
                );
                self.model.inbound = Some("failed");
                self.model.outbound = self.model.outbound.or(Some("closed"));
                self.model.pong = None;
                assert_eq!(self.connection.next(b"\x82\x00"), Err(violation));
            }
            (Verdict::Ping, Ok((Event::Ping, consumed))) => {
                assert_eq!(consumed, wire.len());
                if self.model.outbound.is_none() {
                    self.model.pong = Some(frame.plain_payload());
                }
            }
            (Verdict::Pong, Ok((Event::Pong(hash), consumed))) => {
                assert_eq!(consumed, wire.len());
                let payload = ControlPayload::concat(&[&frame.plain_payload()]).expect("short");
                assert_eq!(hash, payload.hash());
            }
            (Verdict::Close, Ok((Event::Close, consumed))) => {
                assert_eq!(consumed, wire.len());
                let close = self.connection.peer_close().expect("it has come");
                assert_eq!(close.code, if frame.length == 0 { 0 } else { 1000 });
                assert_eq!(close.reason.as_bytes(), frame.plain_payload().get(2..).unwrap_or_default());
                self.model.inbound = Some("closed");
            }
            (Verdict::Data(open), Ok((Event::Data, consumed))) => {
                assert_eq!(consumed, frame.header().len());
                let mut payload = wire[consumed..].to_vec();
                assert_eq!(self.connection.payload_in_place(&mut payload), Ok(()));
                assert_eq!(payload, frame.plain_payload());
                assert_eq!(self.connection.end_of_frame(), Ok(open.is_none()));
                self.model.open = open;
                // In less than four bytes there is not always a header to read at once.
                let is_whole = !was_open && open.is_none() && wire.len() >= 4;
                assert_eq!(taken.is_some(), is_whole, "{frame:?}");
                if let Some((consumed, len, text)) = taken {
                    assert_eq!((consumed, text), (wire.len(), self.connection.decoder().message_is_text()));
                    assert_eq!(place[..len], payload);
                    assert!(at_once.is_between_messages());
                    assert_eq!(at_once.decoder().message_is_text(), text);
                }
            }
            (verdict, answer) => panic!("{:?} {frame:?}: {verdict:?}, but {answer:?}", self.model),
        }
    }
}

#[test]
fn every_sequence_of_five_events_on_both_halves_ends_as_the_rfc_says() {
    let symbols = symbols();
    for role in ROLES {
        let (mut sequences, mut checks) = (0_u128, 0);
        let fresh = State::new(role);
        let mut states = BTreeMap::from([(fresh.key(), (fresh, 1_u128))]);
        for _ in 0..EVENTS {
            let mut next_states = BTreeMap::new();
            for (state, count) in states.into_values() {
                for &symbol in &symbols {
                    if let Some(next) = state.clone().step(symbol) {
                        checks += 1;
                        sequences += count;
                        next_states.entry(next.key()).or_insert((next, 0)).1 += count;
                    }
                }
            }
            states = next_states;
        }
        println!(
            "{role:?}: {sequences} sequences of up to {EVENTS} events, by {checks} checks of a state and an event"
        );
        // What the model alone counts: see `predicted`.
        assert_eq!(sequences, predicted(role, &symbols));
    }
}

/// How many sequences there are, from the model alone.
fn predicted(role: Role, symbols: &[Symbol]) -> u128 {
    let mut total = 0;
    // By the message that is open and whether each half has ended.
    let mut states = BTreeMap::from([((None, false, false), 1_u128)]);
    for _ in 0..EVENTS {
        let mut next_states = BTreeMap::new();
        for ((open, received, sent), count) in states {
            for symbol in symbols {
                let next = match *symbol {
                    Symbol::Receives(_) | Symbol::Loses if received => continue,
                    Symbol::Receives(frame) => match judge(role, open, frame) {
                        Verdict::Violation(_) => (open, true, true),
                        Verdict::Close => (open, true, sent),
                        Verdict::Data(open) => (open, false, sent),
                        _ => (open, false, sent),
                    },
                    Symbol::Loses => (open, true, sent),
                    Symbol::Answers => (open, received, sent),
                    _ if sent => continue,
                    Symbol::Closes | Symbol::Breaks => (open, received, true),
                    Symbol::Sends { .. } | Symbol::SendsPing => (open, received, sent),
                };
                total += count;
                *next_states.entry(next).or_insert(0) += count;
            }
        }
        states = next_states;
    }
    total
}

#[test]
fn a_message_that_nobody_will_end_fails_the_connection_with_1011() {
    for role in ROLES {
        let mut connection = Connection::new(role);
        assert_eq!(connection.note_message_abandoned(), None);
        assert_eq!(connection.check_outbound(), Ok(()));
        let kind = MessageKind { text: true, extension_bits: 0 };
        connection.encoder_mut().data(kind, false, 5, (role == Role::Client).then_some(KEY));
        assert!(connection.has_open_message());
        let close = connection.note_message_abandoned().expect("a close frame is due");
        assert_eq!(close.as_bytes(), 1011_u16.to_be_bytes());
        assert_eq!(connection.check_outbound(), Err(Errno::ECONNRESET));
        assert_eq!(connection.check_inbound(), Err(Errno::ECONNRESET));
        assert!(!connection.has_open_message() && !connection.is_between_messages());
    }
}
