//! Looking ahead at what nobody has received.

use super::{ROLES, Rng, wire_frame};
use crate::ws::ahead::{Ahead, Found};
use crate::ws::decoder::{Decoder, Next};
use crate::ws::frame::{ControlPayload, Opcode, Role};

/// All control frames that are found when the bytes come in pieces of so many.
fn found(role: Role, wire: &[u8], piece: usize) -> (Vec<String>, Ahead) {
    let mut ahead = Ahead::new(&Decoder::new(role), 1000);
    let mut seen = Vec::new();
    for end in (0..wire.len()).step_by(piece).map(|at| (at + piece).min(wire.len())) {
        while let Some(frame) = ahead.find(&wire[..end], 1000) {
            seen.push(match frame {
                Found::Ping(payload) => format!("ping {}", String::from_utf8_lossy(payload.as_bytes())),
                Found::Pong(payload) => format!("pong {}", String::from_utf8_lossy(payload.as_bytes())),
                Found::Close(close) => format!("close {}", close.code),
            });
        }
    }
    (seen, ahead)
}

#[test]
fn control_frames_are_found_wherever_the_bytes_are_cut_and_nothing_behind_a_close_frame() {
    for role in ROLES {
        let wire = [
            wire_frame(role, true, Opcode::Ping, b"a"),
            wire_frame(
                role,
                false,
                Opcode::Text,
                "half of \u{20ac}".as_bytes().split_last().expect("text").1,
            ),
            wire_frame(role, true, Opcode::Pong, b"b"),
            wire_frame(role, true, Opcode::Continuation, &[0x89; 70_000]),
            wire_frame(role, true, Opcode::Binary, b""),
            wire_frame(role, true, Opcode::Ping, b"c"),
            wire_frame(role, true, Opcode::Close, &1001_u16.to_be_bytes()),
        ]
        .concat();
        let behind = [wire.clone(), wire_frame(role, true, Opcode::Ping, b"never")].concat();
        for piece in [1, 2, 7, 1000, usize::MAX / 2] {
            let (seen, ahead) = found(role, &behind, piece.min(behind.len()));
            assert_eq!(seen, ["ping a", "pong b", "ping c", "close 1001"]);
            assert!(ahead.has_ended());
            assert_eq!(ahead.position(), 1000 + wire.len() as u64);
        }
    }
}

#[test]
fn a_violation_ends_it_and_is_left_for_the_one_who_receives() {
    for role in ROLES {
        let good = wire_frame(role, true, Opcode::Ping, b"a");
        let wire = [good.clone(), vec![0xf3, 0], wire_frame(role, true, Opcode::Ping, b"never")].concat();
        let (seen, ahead) = found(role, &wire, wire.len());
        assert_eq!(seen, ["ping a"]);
        assert!(ahead.has_ended());
        assert_eq!(ahead.position(), 1000 + good.len() as u64);
    }
}

#[test]
fn it_begins_in_the_middle_of_a_frame_where_the_connection_has_come_to() {
    let mut random = Rng::new(9);
    for role in ROLES {
        let wire =
            [wire_frame(role, true, Opcode::Binary, &[7; 300]), wire_frame(role, true, Opcode::Ping, b"a")]
                .concat();
        for _ in 0..50 {
            let mut decoder = Decoder::new(role);
            let Ok(Next::Data { consumed }) = decoder.next(&wire) else { panic!("a data frame") };
            let taken = random.below(300);
            decoder.payload_skip(&wire[consumed..consumed + taken]).expect("binary");
            let at = consumed + taken;
            let mut ahead = Ahead::new(&decoder, at as u64);
            let frame = ahead.find(&wire[at..], at as u64);
            let payload = ControlPayload::concat(&[b"a"]).expect("short");
            assert!(matches!(frame, Some(Found::Ping(found)) if found == payload));
            assert!(ahead.find(&wire[at..], at as u64).is_none());
            assert_eq!(ahead.position(), wire.len() as u64);
        }
    }
}
