//! What a connection says of itself in each state, and what it does with an extension that takes and puts out bytes
//! as no codec does.

use super::{ROLES, wire_frame};
use crate::error::Errno;
use crate::ws::connection::{Connection, Decoded, Event, NotDecoded, Output, Stop};
use crate::ws::extension::{Ends, Extension, NoMemory, Progress, Undecodable};
use crate::ws::frame::{Opcode, Role};

/// A connection after something has happened.
fn after(role: Role, events: &[fn(&mut Connection)]) -> Connection {
    let mut connection = Connection::new(role);
    for event in events {
        event(&mut connection);
    }
    connection
}

fn receive_close(connection: &mut Connection) {
    let wire = wire_frame(connection.role(), true, Opcode::Close, b"");
    assert!(matches!(connection.next(&wire), Ok((Event::Close, _))));
}

fn receive_nonsense(connection: &mut Connection) {
    assert!(connection.next(&[0xff; 14]).is_err());
}

#[test]
fn a_connection_tells_how_far_it_has_come() {
    for role in ROLES {
        let about = |events: &[fn(&mut Connection)]| after(role, events).about();
        assert_eq!(about(&[]), "open");
        assert_eq!(about(&[receive_close]), "closed by the peer");
        assert_eq!(about(&[Connection::note_close_sent]), "closed by us");
        assert_eq!(about(&[receive_close, Connection::note_close_sent]), "closed by both sides");
        assert_eq!(about(&[receive_nonsense]), "failed");
        assert_eq!(about(&[Connection::note_inbound_lost]), "failed");
        assert_eq!(about(&[Connection::note_outbound_broken]), "failed");
        assert_eq!(about(&[receive_close, Connection::note_outbound_broken]), "failed");
        assert_eq!(about(&[Connection::note_gone]), "");
    }
}

#[test]
fn behind_a_closed_handle_nothing_is_received_sent_or_due() {
    for role in ROLES {
        let mut connection = Connection::new(role);
        let ping = wire_frame(role, true, Opcode::Ping, b"p");
        assert!(matches!(connection.next(&ping), Ok((Event::Ping, _))));
        connection.note_gone();
        assert_eq!(connection.check_inbound(), Err(Errno::EBADF));
        assert_eq!(connection.check_outbound(), Err(Errno::EBADF));
        assert!(connection.is_gone() && !connection.can_send() && !connection.can_ask());
        assert_eq!(connection.take_pending_pong(), None);
        assert_eq!(connection.take_pending_close(), None);
    }
}

#[test]
fn a_close_frame_does_not_mend_a_connection_that_broke() {
    for role in ROLES {
        let connection = after(role, &[Connection::note_outbound_broken, Connection::note_close_sent]);
        assert_eq!(connection.check_outbound(), Err(Errno::ECONNRESET));
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
    let message: Vec<u8> = (0..100).collect();
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
