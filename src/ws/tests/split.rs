//! Streams that arrive in pieces, and headers that claim too much.

use super::{KEY, Observed, ROLES, Receiver, TAKINGS, Taking, stride, wire_frame};
use crate::ws::decoder::{Decoder, Next};
use crate::ws::frame::{Opcode, Role};

/// A stream with everything that a peer may send.
fn conversation(role: Role) -> (Vec<u8>, Vec<Observed>) {
    let long = vec![b'x'; 300];
    let wire = [
        wire_frame(role, true, Opcode::Text, "grüß dich".as_bytes()),
        wire_frame(role, true, Opcode::Binary, b""),
        wire_frame(role, true, Opcode::Ping, b""),
        wire_frame(role, false, Opcode::Text, b"a euro: \xe2"),
        wire_frame(role, true, Opcode::Ping, b"between the fragments"),
        wire_frame(role, false, Opcode::Continuation, b""),
        wire_frame(role, true, Opcode::Pong, b"nobody asked"),
        wire_frame(role, false, Opcode::Continuation, b"\x82"),
        wire_frame(role, true, Opcode::Continuation, b"\xac!"),
        wire_frame(role, true, Opcode::Binary, &long),
        wire_frame(role, true, Opcode::Ping, &long[..125]),
        wire_frame(role, true, Opcode::Close, b"\x03\xe9going away"),
    ];
    let events = [
        Observed::Message { text: true, payload: "grüß dich".into() },
        Observed::Message { text: false, payload: vec![] },
        Observed::Ping(vec![]),
        Observed::Ping(b"between the fragments".to_vec()),
        Observed::Pong,
        Observed::Message { text: true, payload: "a euro: €!".into() },
        Observed::Message { text: false, payload: long.clone() },
        Observed::Ping(long[..125].to_vec()),
        Observed::Close { code: 1001, reason: b"going away".to_vec() },
    ];
    (wire.concat(), events.into())
}

/// The events as seen by somebody who skips all payload.
fn without_payload(events: &[Observed]) -> Vec<Observed> {
    let strip = |event: &Observed| match event {
        &Observed::Message { text, .. } => Observed::Message { text, payload: vec![] },
        other => other.clone(),
    };
    events.iter().map(strip).collect()
}

#[test]
fn a_conversation_split_at_every_byte_is_the_same_conversation() {
    for role in ROLES {
        let (wire, events) = conversation(role);
        for taking in TAKINGS {
            let expected = match taking {
                Taking::Skipped => without_payload(&events),
                _ => events.clone(),
            };
            for cut in (0..=wire.len()).step_by(stride(307)) {
                let (first, second) = wire.split_at(cut);
                let events = Receiver::events(role, taking, [first, second]);
                assert_eq!(events, expected, "{role:?} {taking:?} {cut}");
            }
            for size in (1..20).step_by(stride(9)) {
                let events = Receiver::events(role, taking, wire.chunks(size));
                assert_eq!(events, expected, "{role:?} {taking:?} {size}");
            }
        }
    }
}

#[test]
fn a_reader_that_takes_only_what_is_needed_never_takes_a_byte_too_many() {
    for role in ROLES {
        let (wire, events) = conversation(role);
        let mut receiver = Receiver::new(role, Taking::Copied);
        let mut rest = &wire[..];
        while !receiver.finished() {
            let need = match receiver.in_frame {
                true => receiver.decoder.payload_left() as usize,
                false => match receiver.decoder.next(&receiver.buffer) {
                    Ok(Next::Need(bytes)) => bytes - receiver.buffer.len(),
                    other => panic!("not driven as far as it goes: {other:?}"),
                },
            };
            let (piece, behind) = rest.split_at(need);
            receiver.push(piece);
            rest = behind;
        }
        assert_eq!(receiver.events, events);
        assert_eq!(rest, b"");
        assert_eq!(receiver.buffer, b"");
    }
}

#[test]
fn what_follows_the_close_frame_is_left_alone() {
    for role in ROLES {
        let (mut wire, events) = conversation(role);
        wire.extend(b"another protocol");
        let mut receiver = Receiver::new(role, Taking::Copied);
        receiver.push(&wire);
        assert_eq!(receiver.events, events);
        assert_eq!(receiver.buffer, b"another protocol");
    }
}

#[test]
fn a_decoder_that_has_failed_keeps_its_answer() {
    for role in ROLES {
        let mut decoder = Decoder::new(role);
        let violation = decoder.next(&[0x83]).expect_err("reserved opcode");
        assert_eq!(decoder.next(&[0x82, 0x00]), Err(violation));
        assert_eq!(decoder.payload_copy(&mut [], &[]), Err(violation));
        assert_eq!(decoder.payload_in_place(&mut []), Err(violation));
        assert_eq!(decoder.payload_skip(&[]), Err(violation));
        assert_eq!(decoder.end_of_frame(), Err(violation));
    }
}

#[test]
fn text_that_has_failed_stays_failed() {
    let mut decoder = Decoder::new(Role::Client);
    let next = decoder.next(b"\x81\x05");
    assert_eq!(next, Ok(Next::Data { consumed: 2 }));
    let violation = decoder.payload_skip(b"\xff").expect_err("not UTF-8");
    assert_eq!(violation.code, 1007);
    assert_eq!(decoder.payload_skip(b"good"), Err(violation));
    assert_eq!(decoder.end_of_frame(), Err(violation));
    assert_eq!(decoder.next(b"\x81\x00"), Err(violation));
}

#[test]
fn a_header_that_claims_2_to_the_62_bytes_allocates_nothing() {
    /// What may be copied byte by byte owns no memory.
    fn owns_nothing<T: Copy>(_: &T) -> usize {
        size_of::<T>()
    }
    for role in ROLES {
        let mut header = vec![0x82, 0x7f];
        header.extend((1u64 << 62).to_be_bytes());
        if role == Role::Server {
            header[1] |= 0x80;
            header.extend(KEY);
        }
        let mut decoder = Decoder::new(role);
        let consumed = header.len();
        assert_eq!(decoder.next(&header), Ok(Next::Data { consumed }));
        assert_eq!(decoder.payload_left(), 1 << 62);
        assert_eq!(decoder.payload_skip(&[1, 2, 3]), Ok(()));
        assert_eq!(decoder.payload_left(), (1 << 62) - 3);
        assert!(owns_nothing(&decoder) <= 64);
    }
}

#[test]
fn a_length_in_a_longer_form_than_necessary_is_understood() {
    for header in [&[0x82, 0x03][..], &[0x82, 0x7e, 0, 3], &[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0, 3]] {
        let wire = [header, b"abc"].concat();
        let events = Receiver::events(Role::Client, Taking::Copied, wire.chunks(1));
        let payload = b"abc".to_vec();
        assert_eq!(events, [Observed::Message { text: false, payload }]);
    }
}

#[test]
fn a_control_frame_cannot_hide_its_length_in_a_longer_form() {
    for second in [126, 127] {
        let wire = [0x89, second, 0, 0, 0, 0, 0, 0, 0, 3];
        let events = Receiver::events(Role::Client, Taking::Copied, [&wire[..]]);
        assert_eq!(events, [Observed::Failed { code: 1002 }]);
    }
}

#[test]
fn skipped_payload_of_every_size_keeps_the_framing() {
    for role in ROLES {
        for opcode in [Opcode::Text, Opcode::Binary] {
            for len in [0, 1, 125, 126, 255, 256, 257, 511, 512, 513, 1000] {
                let mut wire = wire_frame(role, true, opcode, &vec![b'x'; len]);
                wire.extend(wire_frame(role, true, Opcode::Pong, b""));
                let events = Receiver::events(role, Taking::Skipped, wire.chunks(300));
                assert!(matches!(events[..], [Observed::Message { .. }, Observed::Pong]));
            }
        }
    }
}
