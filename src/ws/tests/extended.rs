//! Messages that go through an extension: compressed ones, and those of an extension that takes and puts out bytes as
//! no codec does.

use super::deflate::{FRESH, deflate, encode};
use super::{ROLES, wire_frame};
use crate::ws::connection::{Connection, Decoded, Event, NotDecoded, Output, Stop};
use crate::ws::deflate::{Deflate, Negotiated};
use crate::ws::extension::{Ends, Extension, NoMemory, Progress, Undecodable};
use crate::ws::frame::{Opcode, Role};

/// A connection that receives one compressed message, in frames of so many bytes.
struct Receiving {
    connection: Connection,
    deflate: Deflate,
    wire: Vec<u8>,
}

impl Receiving {
    fn new(role: Role, agreed: Negotiated, opcode: Opcode, payload: &[u8], frame: usize) -> Receiving {
        let (mut wire, mut opcode, mut bits) = (Vec::new(), opcode, 0x40);
        let mut pieces = payload.chunks(frame).peekable();
        while let Some(piece) = pieces.next() {
            let start = wire.len();
            wire.extend(wire_frame(role, pieces.peek().is_none(), opcode, piece));
            wire[start] |= bits;
            (opcode, bits) = (Opcode::Continuation, 0);
        }
        let mut connection = Connection::new(role);
        let deflate = deflate(agreed);
        connection.set_extension_bits(deflate.bits());
        Receiving { connection, deflate, wire }
    }

    /// One step with what is here: what came out of it, and whether the message has ended.
    fn step(&mut self, output: Output<'_>) -> Result<(Decoded, bool), NotDecoded> {
        if !self.connection.decoder().is_in_frame() {
            let next = self.connection.next(&self.wire).map_err(NotDecoded::Violation)?;
            let (Event::Data, consumed) = next else { panic!("{next:?}") };
            assert!(self.connection.decoder().message_is_extended());
            self.wire.drain(..consumed);
        }
        let decoded = self.connection.decode(&mut self.deflate, &self.wire, output)?;
        self.wire.drain(..decoded.consumed);
        let ended = decoded.stop == Stop::EndOfFrame
            && self.connection.end_of_frame().map_err(NotDecoded::Violation)?;
        Ok((decoded, ended))
    }
}

#[test]
fn a_message_is_decoded_from_its_frames_into_exactly_its_length() {
    let message = "grüß dich ".repeat(4000).into_bytes();
    let payload = encode(&mut deflate(FRESH), &message, 1 << 20, 1 << 20);
    for role in ROLES {
        for (frame, room) in [(1 << 20, message.len()), (7, message.len()), (50, 1000), (1 << 20, 1)] {
            let mut receiving = Receiving::new(role, FRESH, Opcode::Text, &payload, frame);
            let mut received = vec![0; message.len()];
            let mut len = 0;
            loop {
                let end = (len + room).min(received.len());
                let (decoded, ended) = receiving.step(Output::Place(&mut received[len..end])).expect("good");
                len += decoded.produced;
                if ended {
                    break;
                }
                assert!(decoded.stop != Stop::NeedRoom || len < message.len());
            }
            assert!(received == message);
            assert!(receiving.wire.is_empty() && receiving.connection.is_between_messages());
        }
    }
}

#[test]
fn a_bomb_costs_its_limit() {
    let payload = encode(&mut deflate(FRESH), &vec![0; 64 << 20], 1 << 20, 1 << 20);
    assert!(payload.len() < 128 << 10);
    for role in ROLES {
        // The caller's buffer is full: no byte more, and little of the payload was looked at.
        let mut receiving = Receiving::new(role, FRESH, Opcode::Binary, &payload, 1 << 20);
        let mut place = vec![1; 1000];
        let (decoded, ended) = receiving.step(Output::Place(&mut place)).expect("good so far");
        assert_eq!((decoded.produced, decoded.stop, ended), (1000, Stop::NeedRoom, false));
        assert!(decoded.consumed < 5000);
        let (decoded, _) = receiving.step(Output::Skip(500)).expect("good so far");
        assert_eq!((decoded.produced, decoded.stop), (500, Stop::NeedRoom));
        assert!(receiving.deflate.skip_message());

        // There is a maximum.
        for room in [1000, 999, 1 << 20] {
            let mut receiving = Receiving::new(role, FRESH, Opcode::Binary, &payload, 1 << 20);
            receiving.connection.set_max_message(1000);
            let mut place = vec![1; room];
            let result = receiving.step(Output::Place(&mut place));
            match result {
                Err(NotDecoded::Violation(violation)) => assert_eq!(violation.code, 1009),
                Ok((decoded, _)) if room < 1000 => {
                    assert_eq!((decoded.produced, decoded.stop), (room, Stop::NeedRoom));
                }
                result => panic!("{result:?}"),
            }
            assert!(place.get(1000..).is_none_or(|rest| rest.iter().all(|&byte| byte == 1)));
        }
    }
}

#[test]
fn a_message_of_the_maximum_is_received() {
    for len in [1, 1000, 1001] {
        let payload = encode(&mut deflate(FRESH), &vec![b'x'; len], 1 << 20, 1 << 20);
        for frame in [1 << 20, 1, 3] {
            let mut receiving = Receiving::new(Role::Server, FRESH, Opcode::Binary, &payload, frame);
            receiving.connection.set_max_message(1000);
            let mut place = vec![0; 2000];
            let mut filled = 0;
            let result = loop {
                match receiving.step(Output::Place(&mut place[filled..])) {
                    Ok((decoded, false)) => filled += decoded.produced,
                    Ok((decoded, true)) => break Ok(filled + decoded.produced),
                    Err(error) => break Err(error),
                }
            };
            match result {
                Ok(filled) => assert!(filled == len && len <= 1000),
                Err(NotDecoded::Violation(violation)) => assert!(violation.code == 1009 && len > 1000),
                Err(NotDecoded::NoMemory) => panic!("no memory"),
            }
        }
    }
}

#[test]
fn text_is_validated_as_it_is_decoded() {
    let mut message = vec![b'x'; 100_000];
    message[50_000] = 0xff;
    let payload = encode(&mut deflate(FRESH), &message, 1 << 20, 1 << 20);
    let mut receiving = Receiving::new(Role::Client, FRESH, Opcode::Text, &payload, 1 << 20);
    let mut place = vec![0; 60_000];
    let result = receiving.step(Output::Place(&mut place));
    assert!(matches!(result, Err(NotDecoded::Violation(violation)) if violation.code == 1007));
    let mut receiving = Receiving::new(Role::Client, FRESH, Opcode::Binary, &payload, 1 << 20);
    assert!(receiving.step(Output::Skip(1 << 20)).is_ok_and(|(_, ended)| ended));
}

#[test]
fn the_bit_is_refused_in_control_frames_and_later_frames_and_without_an_agreement() {
    for (bits, first, next) in [
        (0, 0xc1, None),
        (0x40, 0xc9, None),
        (0x40, 0x41, Some(0xc0)),
        (0x40, 0xe1, None),
        (0x40, 0xa1, None),
    ] {
        let mut connection = Connection::new(Role::Client);
        connection.set_extension_bits(bits);
        let mut answer = connection.next(&[first, 0]);
        if let Some(next) = next {
            assert_eq!(answer, Ok((Event::Data, 2)));
            assert_eq!(connection.end_of_frame(), Ok(false));
            answer = connection.next(&[next, 0]);
        }
        assert!(matches!(answer, Err(violation) if violation.code == 1002), "{first:x}: {answer:?}");
    }
}

/// Puts out what it was given: takes so much at once, and puts out so much at once. Once, it lacks memory.
struct Slow {
    takes: usize,
    puts_out: usize,
    held: Vec<u8>,
    lacks_memory: bool,
}

impl Extension for Slow {
    fn bits(&self) -> u8 {
        0x40
    }

    fn decode(&mut self, input: &[u8], last: bool, output: &mut [u8]) -> Result<Progress, Undecodable> {
        if core::mem::take(&mut self.lacks_memory) {
            return Err(Undecodable::NoMemory);
        }
        let consumed = input.len().min(self.takes);
        self.held.extend(&input[..consumed]);
        let produced = output.len().min(self.puts_out).min(self.held.len());
        output[..produced].copy_from_slice(&self.held[..produced]);
        self.held.drain(..produced);
        Ok(Progress { consumed, produced, done: last && consumed == input.len() && self.held.is_empty() })
    }

    fn skip_message(&mut self) -> bool {
        false
    }

    fn is_worthwhile(&self, _: usize) -> bool {
        false
    }

    fn encode(&mut self, _: &[u8], _: Ends, _: &mut [u8]) -> Result<Progress, NoMemory> {
        Err(NoMemory)
    }

    fn note_part_left(&mut self) {}

    fn forget_part(&mut self) {}
}

/// A connection behind the header of a message for the extension, and the message's payload as it was sent.
fn in_message(role: Role, message: &[u8]) -> (Connection, Vec<u8>) {
    let mut connection = Connection::new(role);
    connection.set_extension_bits(0x40);
    let mut wire = wire_frame(role, true, Opcode::Binary, message);
    wire[0] |= 0x40;
    let Ok((Event::Data, consumed)) = connection.next(&wire) else { panic!("a header") };
    wire.drain(..consumed);
    (connection, wire)
}

#[test]
fn a_message_passes_however_an_extension_takes_it_and_puts_it_out() {
    let message: Vec<u8> = (0..if cfg!(miri) { 20 } else { 100 }).collect();
    for role in ROLES {
        for (takes, puts_out) in [(1, 100), (100, 1), (1, 1), (7, 3), (3, 7), (100, 100)] {
            for room in [1, 10, 100] {
                let mut extension = Slow { takes, puts_out, held: Vec::new(), lacks_memory: false };
                let (mut connection, mut wire) = in_message(role, &message);
                let mut received: Vec<u8> = Vec::new();
                loop {
                    let mut place = vec![0; room];
                    let decoded = connection.decode(&mut extension, &wire, Output::Place(&mut place));
                    let Decoded { consumed, produced, stop } = decoded.expect("all is well");
                    received.extend(&place[..produced]);
                    wire.drain(..consumed);
                    if stop == Stop::EndOfFrame {
                        break;
                    }
                    assert_eq!((stop, produced), (Stop::NeedRoom, room));
                }
                assert_eq!(received, message);
                assert_eq!(connection.end_of_frame(), Ok(true));
            }
        }
    }
}

#[test]
fn an_extension_without_memory_has_taken_nothing_and_may_be_tried_again() {
    for role in ROLES {
        let mut extension = Slow { takes: 9, puts_out: 9, held: Vec::new(), lacks_memory: true };
        let (mut connection, wire) = in_message(role, b"hello");
        let mut place = [0; 9];
        let failed = connection.decode(&mut extension, &wire, Output::Place(&mut place));
        assert_eq!(failed, Err(NotDecoded::NoMemory));
        assert_eq!(connection.check_inbound(), Ok(()));
        let decoded = connection.decode(&mut extension, &wire, Output::Place(&mut place));
        assert_eq!(decoded, Ok(Decoded { consumed: 5, produced: 5, stop: Stop::EndOfFrame }));
        assert_eq!(&place[..5], b"hello");
    }
}
