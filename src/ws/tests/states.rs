//! What a connection says of itself in each state.

use super::{ROLES, wire_frame};
use crate::error::Errno;
use crate::ws::close::MESSAGE_TOO_BIG;
use crate::ws::connection::{Connection, Event};
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

#[test]
fn a_maximum_is_that_of_the_message_and_not_of_its_frames() {
    for role in ROLES {
        let mut connection = Connection::new(role);
        connection.set_max_message(5);
        for (opcode, last, payload) in [(Opcode::Binary, false, "abc"), (Opcode::Continuation, true, "de")] {
            let wire = wire_frame(role, last, opcode, payload.as_bytes());
            let Ok((Event::Data, header)) = connection.next(&wire) else { panic!("{payload}") };
            let mut place = vec![0; payload.len()];
            assert_eq!(connection.payload_copy(&mut place, &wire[header..]), Ok(()));
            assert_eq!(connection.end_of_frame(), Ok(last));
        }
        let wire = wire_frame(role, false, Opcode::Binary, b"abc");
        let Ok((Event::Data, header)) = connection.next(&wire) else { panic!("a new message") };
        assert_eq!(connection.payload_copy(&mut [0; 3], &wire[header..]), Ok(()));
        assert_eq!(connection.end_of_frame(), Ok(false));
        let violation = connection.next(&wire_frame(role, true, Opcode::Continuation, b"def"));
        assert_eq!(violation.map_err(|violation| violation.code), Err(MESSAGE_TOO_BIG));
    }
}
