//! permessage-deflate: the examples of RFC 7692, round trips, broken streams, and bombs.

use super::Rng;
use super::inflater::inflate;
use crate::ws::deflate::{Deflate, Effort, Negotiated};
use crate::ws::extension::{Ends, Extension, MIN_ROOM, Progress, Undecodable};

pub(super) const FRESH: Negotiated =
    Negotiated { window_bits: 15, peer_window_bits: 15, context: false, peer_context: false };
const KEPT: Negotiated = Negotiated { context: true, peer_context: true, ..FRESH };
const EFFORT: Effort = Effort { level: 4, threshold: 0 };

pub(super) fn deflate(agreed: Negotiated) -> Deflate {
    Deflate::new(agreed, EFFORT)
}

/// Encodes a message that comes in pieces of so many bytes, with so much room at a time.
pub(super) fn encode(deflate: &mut Deflate, message: &[u8], piece: usize, room: usize) -> Vec<u8> {
    encode_part(deflate, message, Ends::Message, piece, room)
}

fn encode_part(deflate: &mut Deflate, message: &[u8], ends: Ends, piece: usize, room: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut pieces = message.chunks(piece).peekable();
    let mut input: &[u8] = pieces.next().unwrap_or_default();
    loop {
        let last = pieces.peek().is_none();
        let mut place = vec![0; room];
        let ends = if last { ends } else { Ends::Nothing };
        let progress = deflate.encode(input, ends, &mut place).expect("memory");
        payload.extend(&place[..progress.produced]);
        input = &input[progress.consumed..];
        if progress.done {
            return payload;
        }
        if input.is_empty() && !last {
            input = pieces.next().unwrap_or_default();
        }
    }
}

/// Decodes payload that comes in pieces of so many bytes, with so much room at a time.
fn decode(deflate: &mut Deflate, payload: &[u8], piece: usize, room: usize) -> Result<Vec<u8>, Undecodable> {
    let mut message = Vec::new();
    let mut arrived = piece.min(payload.len());
    let mut taken = 0;
    loop {
        let last = arrived == payload.len();
        let mut place = vec![0; room];
        let progress = deflate.decode(&payload[taken..arrived], last, &mut place)?;
        message.extend(&place[..progress.produced]);
        taken += progress.consumed;
        if progress.done {
            assert_eq!(taken, payload.len());
            return Ok(message);
        }
        if taken == arrived {
            arrived = (arrived + piece).min(payload.len());
        }
    }
}

fn text(random: &mut Rng, len: usize) -> Vec<u8> {
    let words: [&[u8]; 6] =
        [b"\"id\":", b"true,", b"null", b"{\"name\":\"", b"1234", b"the quick brown fox "];
    let mut text = Vec::new();
    while text.len() < len {
        match random.below(5) {
            0 => text.push(random.next() as u8),
            _ => text.extend(random.pick(&words)),
        }
    }
    text.truncate(len);
    text
}

#[test]
fn the_examples_of_rfc_7692_are_understood() {
    let examples: [&[u8]; 4] = [
        // 7.2.3.1, one block; 7.2.3.3, a stored block; 7.2.3.4, a final block; 7.2.3.5, two blocks.
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ];
    for agreed in [FRESH, KEPT] {
        let mut receiver = deflate(agreed);
        for example in examples.iter().chain(&examples) {
            for piece in 1..=example.len() {
                for room in 1..7 {
                    assert_eq!(decode(&mut receiver, example, piece, room), Ok(b"Hello".to_vec()));
                }
            }
        }
    }
    // 7.2.3.2: the second message refers to the first one.
    let (first, second) = ([0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], [0xf2, 0x00, 0x11, 0x00, 0x00]);
    let mut receiver = deflate(KEPT);
    assert_eq!(decode(&mut receiver, &first, 9, 9), Ok(b"Hello".to_vec()));
    assert_eq!(decode(&mut receiver, &second, 1, 1), Ok(b"Hello".to_vec()));
    let mut receiver = deflate(FRESH);
    assert_eq!(decode(&mut receiver, &first, 9, 9), Ok(b"Hello".to_vec()));
    assert!(decode(&mut receiver, &second, 9, 9).is_err());
    // 7.2.3.6: an empty message; and one without any payload.
    assert_eq!(decode(&mut deflate(FRESH), &[0x00], 1, 1), Ok(vec![]));
    assert_eq!(decode(&mut deflate(FRESH), &[], 1, 1), Ok(vec![]));
}

#[test]
fn the_tail_may_complete_a_final_block_but_not_hold_its_end_inside() {
    let of_every_size = |payload: &[u8]| -> Vec<Result<Vec<u8>, Undecodable>> {
        let sizes = (1..4).flat_map(|piece| (1..10).map(move |room| (piece, room)));
        sizes.map(|(piece, room)| decode(&mut deflate(FRESH), payload, piece, room)).collect()
    };
    // A final stored block whose length is the tail.
    assert!(of_every_size(&[1]).iter().all(|message| *message == Ok(vec![])));
    let hello = of_every_size(b"\x00\x05\x00\xfa\xffHello\x01");
    assert!(hello.iter().all(|message| *message == Ok(b"Hello".to_vec())));
    // A block of fixed codes that ends in the second byte of the tail.
    let broken = of_every_size(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0xff, 0xca, 0xc9]);
    assert!(broken.iter().all(|message| matches!(message, Err(Undecodable::Broken(_)))));
    // What comes behind such a message.
    let mut receiver = deflate(KEPT);
    assert_eq!(decode(&mut receiver, &[1], 1, 1), Ok(vec![]));
    assert_eq!(
        decode(&mut receiver, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 1, 1),
        Ok(b"Hello".to_vec())
    );
}

#[test]
fn what_is_encoded_is_decoded_whatever_the_pieces_and_whoever_decodes() {
    let mut random = Rng::new(77);
    for (context, level) in [(false, 1), (false, 4), (true, 4), (true, 6), (false, 9), (false, 0)] {
        for window_bits in 8..=15 {
            let agreed = Negotiated { window_bits, context, peer_context: context, ..FRESH };
            let mut sender = Deflate::new(agreed, Effort { level, threshold: 0 });
            let mut receiver = deflate(agreed);
            let (mut stream, mut messages) = (Vec::new(), Vec::new());
            for len in [0, 1, 5, 100, 0, 0, 5000, 70_000, 3] {
                let message = text(&mut random, len);
                let (piece, room) = (1 + random.below(len + 1), 16 + random.below(300));
                let payload = encode(&mut sender, &message, piece, room);
                assert!(!payload.is_empty());
                let piece = 1 + random.below(payload.len());
                let room = 1 + random.below(len + 300);
                assert_eq!(decode(&mut receiver, &payload, piece, room), Ok(message.clone()));
                if !context {
                    (stream, messages) = (Vec::new(), Vec::new());
                }
                stream.extend(payload);
                stream.extend([0, 0, 0xff, 0xff]);
                messages.extend(message);
                let (inflated, distance) = inflate(&stream).expect("a deflate stream");
                assert!(inflated == messages);
                assert!(distance <= 1 << window_bits, "{distance} with {window_bits} bits, level {level}");
            }
        }
    }
}

#[test]
fn a_message_is_encoded_in_any_room_from_the_least_on() {
    let message: Vec<u8> = (0..60_u8).map(|byte| byte.wrapping_mul(byte)).collect();
    for agreed in [FRESH, KEPT] {
        let (mut sender, mut receiver) = (deflate(agreed), deflate(agreed));
        let less = sender.encode(&message, Ends::Message, &mut [0; MIN_ROOM - 1]).expect("memory");
        assert_eq!(less, Progress { consumed: 0, produced: 0, done: false });
        for room in MIN_ROOM..200 {
            let payload = encode(&mut sender, &message, 99, room);
            assert_eq!(decode(&mut receiver, &payload, 99, 99), Ok(message.clone()), "{room}");
        }
    }
}

#[test]
fn a_message_that_does_not_leave_is_forgotten() {
    let mut random = Rng::new(3);
    for agreed in [FRESH, KEPT] {
        let (mut sender, mut receiver) = (deflate(agreed), deflate(agreed));
        let message = text(&mut random, 3000);
        for round in 0..4 {
            let payload = encode(&mut sender, &message, 999, 100);
            assert_eq!(decode(&mut receiver, &payload, 99, 99), Ok(message.clone()));
            if round % 2 == 0 {
                encode(&mut sender, b"It does not leave.", 7, 50);
            } else {
                sender.encode(b"It leaves in part only", Ends::Nothing, &mut [0; 50]).expect("memory");
            }
            sender.forget_part();
        }
    }
}

#[test]
fn parts_are_one_message_and_each_can_be_decoded_when_it_has_come() {
    let mut random = Rng::new(7);
    for agreed in [FRESH, KEPT] {
        let (mut sender, mut receiver) = (deflate(agreed), deflate(agreed));
        for _ in 0..50 {
            let (mut payload, mut message) = (Vec::new(), Vec::new());
            for _ in 0..random.below(5) {
                let len = random.pick(&[0, 1, 50, 700]);
                let part = text(&mut random, len);
                payload.extend(encode_part(&mut sender, &part, Ends::Part, 99, 40));
                message.extend(part);
                if agreed == FRESH {
                    let mut seen = vec![0; 4000];
                    let progress = deflate(FRESH).decode(&payload, false, &mut seen).expect("whole blocks");
                    assert_eq!(seen[..progress.produced], message);
                }
            }
            let last = text(&mut random, 300);
            payload.extend(encode(&mut sender, &last, 99, 40));
            message.extend(last);
            assert_eq!(decode(&mut receiver, &payload, 77, 99), Ok(message));
        }
    }
}

#[test]
fn a_part_that_does_not_leave_is_forgotten_and_the_message_goes_on() {
    let mut random = Rng::new(8);
    for agreed in [FRESH, KEPT] {
        let (mut sender, mut receiver) = (deflate(agreed), deflate(agreed));
        for round in 0..3_usize.pow(3) {
            // Nothing is lost before a part, or something is, or all that was to be in it.
            let lose = |sender: &mut Deflate, at: u32, ends| match round / 3_usize.pow(at) % 3 {
                0 => {}
                1 => sender.forget_part(),
                _ => {
                    let ends = if at == 1 { ends } else { Ends::Nothing };
                    sender.encode(b"It does not leave.", ends, &mut [0; 60]).expect("memory");
                    sender.forget_part();
                    sender.encode(b"Nor does it.", ends, &mut [0; 60]).expect("memory");
                    sender.forget_part();
                }
            };
            let (mut payload, mut message) = (Vec::new(), Vec::new());
            for (at, ends) in [Ends::Part, Ends::Part, Ends::Message].into_iter().enumerate() {
                lose(&mut sender, at as u32, ends);
                let part = text(&mut random, 500);
                payload.extend(encode_part(&mut sender, &part, ends, 99, 100));
                sender.note_part_left();
                message.extend(part);
            }
            assert_eq!(decode(&mut receiver, &payload, 77, 99), Ok(message));
        }
    }
}

#[test]
fn what_a_forgotten_part_has_left_in_the_codec_is_no_part_of_the_next_message() {
    let mut random = Rng::new(9);
    for agreed in [FRESH, KEPT] {
        for level in 0..10 {
            let effort = Effort { level, threshold: 0 };
            let (mut sender, mut receiver) = (Deflate::new(agreed, effort), deflate(agreed));
            for _ in 0..40 {
                let len = random.below(300);
                let lost = text(&mut random, len).repeat(1 + random.below(60));
                let (mut rest, room) = (&lost[..], 40 + random.below(200));
                for _ in 0..random.below(4) {
                    let piece = rest.len().min(1 + random.below(9000));
                    let ends = if piece == rest.len() { Ends::Message } else { Ends::Nothing };
                    let progress = sender.encode(&rest[..piece], ends, &mut vec![0; room]).expect("memory");
                    rest = &rest[progress.consumed..];
                    if progress.done {
                        break;
                    }
                }
                sender.forget_part();
                let message = text(&mut random, 50);
                let payload = encode(&mut sender, &message, 99, 100);
                assert_eq!(decode(&mut receiver, &payload, 99, 99), Ok(message), "{level}");
            }
        }
    }
}

#[test]
fn what_a_skipped_message_has_left_in_the_codec_is_no_part_of_the_next_message() {
    let mut random = Rng::new(10);
    for level in 0..10 {
        let effort = Effort { level, threshold: 0 };
        let (mut sender, mut receiver) = (Deflate::new(FRESH, effort), deflate(FRESH));
        for _ in 0..40 {
            let len = random.below(300);
            let skipped = text(&mut random, len).repeat(1 + random.below(60));
            let payload = encode(&mut sender, &skipped, 9999, 9999);
            let (mut rest, room) = (&payload[..], 1 + random.below(200));
            for _ in 0..random.below(4) {
                let piece = rest.len().min(1 + random.below(900));
                let progress = receiver.decode(&rest[..piece], false, &mut vec![0; room]).expect("a message");
                rest = &rest[progress.consumed..];
            }
            assert!(receiver.skip_message());
            let message = text(&mut random, 50);
            let payload = encode(&mut sender, &message, 99, 100);
            assert_eq!(decode(&mut receiver, &payload, 99, 99), Ok(message), "{level}");
        }
    }
}

#[test]
fn a_message_that_is_cut_short_or_changed_at_any_byte_is_an_error_or_another_message() {
    let message = text(&mut Rng::new(4), 600);
    for level in [0, 1, 6] {
        let mut sender = Deflate::new(FRESH, Effort { level, threshold: 0 });
        let payload = encode(&mut sender, &message, 1000, 1000);
        let mut errors = 0;
        for at in 1..payload.len() {
            match decode(&mut deflate(FRESH), &payload[..at], 50, 50) {
                Ok(shorter) => assert!(shorter.len() <= message.len()),
                Err(undecodable) => {
                    let Undecodable::Broken(violation) = undecodable else { panic!("no memory") };
                    assert_eq!(violation.code, 1007);
                    errors += 1;
                }
            }
        }
        // But for those that end with a block by chance.
        assert!(errors + 4 >= payload.len());
        for at in 0..payload.len() {
            for bit in 0..8 {
                let mut changed = payload.clone();
                changed[at] ^= 1 << bit;
                if let Ok(other) = decode(&mut deflate(FRESH), &changed, 1000, 1000) {
                    assert!(
                        inflate(&[&changed[..], &[0, 0, 0xff, 0xff]].concat())
                            .is_none_or(|(inflated, _)| inflated == other)
                    );
                }
            }
        }
    }
}
