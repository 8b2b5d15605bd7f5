//! Encoding headers, and the peek at a buffer.

use super::{KEY, ROLES, Rng, stride, times, wire_frame};
use crate::ws::frame::{ControlPayload, FIN, FrameHeader, MAX_HEADER, Opcode, Role, whole_message_at};

const OPCODES: [Opcode; 6] =
    [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];

#[test]
fn headers_of_the_rfcs_examples() {
    // RFC 6455, 5.7.
    let header = |fin, opcode, len, mask| {
        let header = FrameHeader::encode(if fin { FIN } else { 0 }, opcode, len, mask);
        header.as_bytes().to_vec()
    };
    assert_eq!(header(true, Opcode::Text, 5, None), [0x81, 0x05]);
    assert_eq!(header(true, Opcode::Text, 5, Some(KEY)), [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d]);
    assert_eq!(header(false, Opcode::Text, 3, None), [0x01, 0x03]);
    assert_eq!(header(true, Opcode::Continuation, 2, None), [0x80, 0x02]);
    assert_eq!(header(true, Opcode::Ping, 5, None), [0x89, 0x05]);
    assert_eq!(header(true, Opcode::Binary, 256, None), [0x82, 0x7e, 0x01, 0x00]);
    assert_eq!(header(true, Opcode::Binary, 65536, None), [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn every_length_takes_the_fewest_bytes() {
    let lengths = (0..70_000).step_by(stride(1009)).chain([1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1]);
    for len in lengths {
        for mask in [None, Some(KEY)] {
            let header = FrameHeader::encode(FIN, Opcode::Binary, len, mask);
            let bytes = header.as_bytes();
            let mask_bit = if mask.is_some() { 0x80 } else { 0 };
            let (short, extended) = match len {
                0..126 => (len as u8, vec![]),
                126..65536 => (126, len.to_be_bytes()[6..].to_vec()),
                _ => (127, len.to_be_bytes().to_vec()),
            };
            let key = mask.map_or(vec![], |key| key.to_vec());
            let expected = [vec![0x82, mask_bit | short], extended, key].concat();
            assert_eq!(bytes, expected, "{len}");
            assert!(bytes.len() <= MAX_HEADER);
        }
    }
}

#[test]
fn fin_and_opcode_share_the_first_byte() {
    for opcode in OPCODES {
        for fin in [false, true] {
            let header = FrameHeader::encode(if fin { FIN } else { 0 }, opcode, 0, None);
            let first = header.as_bytes()[0];
            assert_eq!(first & 0x0f, opcode as u8);
            assert_eq!(first & 0x80 != 0, fin);
            assert_eq!(first & 0x70, 0);
            assert_eq!(Opcode::from_first_byte(first), Some(opcode));
            assert_eq!(opcode.is_control(), opcode as u8 >= 8);
        }
    }
    let known = (0..16).filter_map(Opcode::from_first_byte);
    assert_eq!(known.collect::<Vec<_>>(), OPCODES);
}

#[test]
fn a_whole_message_is_seen_from_its_last_byte_on() {
    for role in ROLES {
        for len in [0, 1, 2, 125, 126, 127, 300, 65535, 65536] {
            for opcode in [Opcode::Text, Opcode::Binary] {
                let mut wire = wire_frame(role, true, opcode, &vec![7; len]);
                let whole = wire.len();
                wire.extend(b"the beginning of the next frame");
                let cuts = (0..whole.min(20)).chain([whole / 2, whole - 1]);
                for cut in cuts.filter(|cut| *cut < whole) {
                    assert!(!whole_message_at(&wire[..cut], role), "{role:?} {len} {cut}");
                }
                for cut in whole..wire.len() {
                    assert!(whole_message_at(&wire[..cut], role), "{role:?} {len} {cut}");
                }
            }
        }
    }
}

#[test]
fn neither_fragments_nor_control_frames_are_whole_messages() {
    for role in ROLES {
        for opcode in OPCODES {
            for fin in [false, true] {
                let wire = wire_frame(role, fin, opcode, b"payload");
                let message = fin && matches!(opcode, Opcode::Text | Opcode::Binary);
                assert_eq!(whole_message_at(&wire, role), message, "{opcode:?} {fin}");
            }
        }
    }
}

/// RFC 6455, 5.2, by the book: FIN, a data opcode, and as many bytes as the header says.
fn is_whole_message(bytes: &[u8], role: Role) -> bool {
    let [first, second, ..] = bytes else { return false };
    let extended =
        [126, 127].iter().position(|special| second % 128 == *special).map_or(0, |place| [2, 8][place]);
    let length = match bytes.get(2..2 + extended) {
        Some([]) => u128::from(second % 128),
        Some(length) => length.iter().fold(0, |length, byte| length * 256 + u128::from(*byte)) % (1 << 63),
        None => return false,
    };
    let key = if role == Role::Server { 4 } else { 0 };
    let is_data = matches!((first / 128, first % 16), (1, 1 | 2));
    is_data && bytes.len() as u128 >= 2 + extended as u128 + key + length
}

#[test]
fn the_peek_sees_in_any_bytes_what_is_there() {
    let mut random = Rng::new(3);
    let mut seen = [0_u32; 2];
    for _ in 0..times(200_000) {
        let first = random.pick(&[0x81, 0x82, 0xc1, 0x01, 0x02, 0x80, 0x88, 0x8f, 0xff, 0]);
        let second = random.pick(&[0, 1, 5, 20, 125, 126, 127, 0x80, 0x85, 0xfe, 0xff]);
        let rest = random.below(40);
        let rest = (0..rest)
            .map(|place| if place < 8 { random.pick(&[0, 0, 0, 0, 0, 1, 9, 0x80, 0xff]) } else { 7 });
        let bytes: Vec<u8> = [first, second].into_iter().chain(rest).collect();
        let bytes = &bytes[..bytes.len() - random.below(2)];
        for role in ROLES {
            let is_whole = is_whole_message(bytes, role);
            assert_eq!(whole_message_at(bytes, role), is_whole, "{role:?} {bytes:02x?}");
            seen[usize::from(is_whole)] += 1;
        }
    }
    assert!(seen[0] > seen[1] && seen[1] > seen[0] / 50, "{seen:?}");
    let endless = [&[0x82, 0x7f][..], &[0xff; 100]].concat();
    assert!(!whole_message_at(&endless, Role::Client));
}

#[test]
fn a_control_payload_holds_at_most_125_bytes() {
    let bytes = [b'x'; 200];
    for (first, second) in [(0, 0), (125, 0), (0, 125), (2, 123), (60, 65)] {
        let payload = ControlPayload::concat(&[&bytes[..first], &bytes[..second]]);
        let len = payload.map(|payload| payload.as_bytes().len());
        assert_eq!(len, Some(first + second));
    }
    for (first, second) in [(126, 0), (0, 126), (2, 124), (125, 1), (200, 200)] {
        assert_eq!(ControlPayload::concat(&[&bytes[..first], &bytes[..second]]), None);
    }
}
