//! UTF-8 validation against a table of the Unicode standard, byte by byte.

use super::{Observed, ROLES, Receiver, Rng, TAKINGS, times, wire_frame};
use crate::arch;
use crate::ws::frame::{Opcode, Role};
use crate::ws::utf8::{Invalid, Utf8, is_valid};

/// The Unicode standard's table 3-7 (well-formed UTF-8 byte sequences), one row a line.
const WELL_FORMED: [&[(u8, u8)]; 9] = [
    &[(0x00, 0x7f)],
    &[(0xc2, 0xdf), (0x80, 0xbf)],
    &[(0xe0, 0xe0), (0xa0, 0xbf), (0x80, 0xbf)],
    &[(0xe1, 0xec), (0x80, 0xbf), (0x80, 0xbf)],
    &[(0xed, 0xed), (0x80, 0x9f), (0x80, 0xbf)],
    &[(0xee, 0xef), (0x80, 0xbf), (0x80, 0xbf)],
    &[(0xf0, 0xf0), (0x90, 0xbf), (0x80, 0xbf), (0x80, 0xbf)],
    &[(0xf1, 0xf3), (0x80, 0xbf), (0x80, 0xbf), (0x80, 0xbf)],
    &[(0xf4, 0xf4), (0x80, 0x8f), (0x80, 0xbf), (0x80, 0xbf)],
];

/// What the table says of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Utf8Verdict {
    Good,
    /// Every byte is good, but the last sequence is not complete.
    Incomplete,
    /// The index of the first byte that fits no row.
    Bad(usize),
}

fn judge(text: &[u8]) -> Utf8Verdict {
    let mut sequence: Vec<u8> = Vec::new();
    for (index, &byte) in text.iter().enumerate() {
        sequence.push(byte);
        let fits = |row: &&&[(u8, u8)]| {
            row.len() >= sequence.len()
                && (sequence.iter().zip(**row)).all(|(byte, (low, high))| (low..=high).contains(&byte))
        };
        match WELL_FORMED.iter().find(fits) {
            None => return Utf8Verdict::Bad(index),
            Some(row) if row.len() == sequence.len() => sequence.clear(),
            Some(_) => {}
        }
    }
    match sequence.is_empty() {
        true => Utf8Verdict::Good,
        false => Utf8Verdict::Incomplete,
    }
}

/// What the validator says of a text in pieces: for a bad byte, the piece that it failed in.
fn validate<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Utf8Verdict {
    let mut utf8 = Utf8::default();
    for (index, piece) in pieces.into_iter().enumerate() {
        if utf8.push(piece).is_err() {
            return Utf8Verdict::Bad(index);
        }
    }
    match utf8.finish() {
        Ok(()) => Utf8Verdict::Good,
        Err(Invalid { .. }) => Utf8Verdict::Incomplete,
    }
}

/// Both ends of every range in the table, and their neighbours.
const BOUNDARIES: [u8; 24] = [
    0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
    0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
];

/// Every sequence of up to `len` boundary bytes.
fn boundary_texts(len: usize) -> Vec<Vec<u8>> {
    let mut texts = vec![Vec::new()];
    let mut start = 0;
    for _ in 0..len {
        let end = texts.len();
        for index in start..end {
            for byte in BOUNDARIES {
                let mut text = texts[index].clone();
                text.push(byte);
                texts.push(text);
            }
        }
        start = end;
    }
    texts
}

/// Sequences on the borders of what is allowed, good and bad.
const SEQUENCES: [&[u8]; 38] = [
    b"\x00",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xec\xbf\xbf",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf3\xbf\xbf\xbf",
    b"\xf4\x8f\xbf\xbf",
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc2\x7f",
    b"\xc2\xc0",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xe1\x80\x7f",
    b"\xe1\x80\xc0",
    b"\xed\xa0\x80",
    b"\xed\xaf\xbf",
    b"\xed\xbf\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf1\x80\x80\x7f",
    b"\xf1\x80\x80\xc0",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xff",
    b"\xc2",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\xe2a",
    b"\xf0\x9fa",
    b"\xf0\x9f\x98a",
];

/// All ways to cut a text into pieces that are not empty.
fn cuts(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    (0..1u32 << text.len().saturating_sub(1)).map(move |bits| {
        let mut pieces = Vec::new();
        let mut start = 0;
        for end in 1..=text.len() {
            if end == text.len() || bits >> (end - 1) & 1 == 1 {
                pieces.push(&text[start..end]);
                start = end;
            }
        }
        pieces
    })
}

/// What all implementations say that the processor has, and the choice among them; they agree.
fn is_valid_for_each(text: &[u8]) -> bool {
    let valid = is_valid(text);
    for (name, is_valid) in arch::utf8::each_implementation() {
        assert_eq!(is_valid(text), valid, "{name}: {text:x?}");
    }
    valid
}

#[test]
fn a_whole_text_is_judged_like_its_bytes_wherever_a_sequence_stands() {
    // Around the ends of the blocks of vector code, after ASCII and after other text.
    for before in ["a", "\u{e9}", "\u{20ac}", "\u{1f600}"] {
        for len in (0_usize..8).chain(56..72).chain(120..136).chain(250..262) {
            for sequence in SEQUENCES.iter().copied().chain([b"".as_slice()]) {
                for after in ["", "a", "\u{20ac}", &"b".repeat(70)] {
                    let mut text = before.repeat(len.div_ceil(before.len())).into_bytes();
                    text.extend(sequence);
                    text.extend(after.as_bytes());
                    let good = judge(&text) == Utf8Verdict::Good;
                    assert_eq!(is_valid_for_each(&text), good, "{before} {len} {sequence:x?} {after}");
                }
            }
        }
    }
    for text in boundary_texts(4) {
        let good = judge(&text) == Utf8Verdict::Good;
        assert_eq!(is_valid_for_each(&text), good, "{text:x?}");
        let behind_a_block = [&[b'a'; 62], text.as_slice()].concat();
        assert_eq!(is_valid_for_each(&behind_a_block), good, "{text:x?}");
    }
}

#[test]
fn every_text_of_four_boundary_bytes_fails_at_its_first_bad_byte() {
    for text in boundary_texts(4) {
        assert_eq!(validate(text.chunks(1)), judge(&text), "{text:02x?}");
    }
}

#[test]
fn every_text_of_three_boundary_bytes_cut_in_every_way_fails_in_the_right_piece() {
    for text in boundary_texts(3) {
        for pieces in cuts(&text) {
            let expected = match judge(&text) {
                Utf8Verdict::Bad(index) => {
                    let ends = pieces.iter().scan(0, |end, piece| {
                        *end += piece.len();
                        Some(*end)
                    });
                    Utf8Verdict::Bad(ends.take_while(|end| *end <= index).count())
                }
                verdict => verdict,
            };
            assert_eq!(validate(pieces.iter().copied()), expected, "{pieces:02x?}");
        }
    }
}

#[test]
fn the_table_agrees_with_the_standard_library() {
    for text in boundary_texts(4) {
        let expected = match std::str::from_utf8(&text) {
            Ok(_) => Utf8Verdict::Good,
            Err(error) => match error.error_len() {
                None => Utf8Verdict::Incomplete,
                // The sequence is as long as its good part, or one byte if none of it is good.
                Some(len) => match judge(&text[error.valid_up_to()..][..len]) {
                    Utf8Verdict::Bad(_) => Utf8Verdict::Bad(error.valid_up_to()),
                    _ => Utf8Verdict::Bad(error.valid_up_to() + len),
                },
            },
        };
        assert_eq!(judge(&text), expected, "{text:02x?}");
    }
}

#[test]
fn a_sequence_is_judged_alike_at_every_place_of_a_long_text() {
    // Beyond the blocks of the vector code, and across the limit of the short path.
    for sequence in SEQUENCES {
        for before in (0..140).chain(250..260) {
            for after in [0, 1, 70, 300] {
                let text = [&vec![b'a'; before], sequence, &vec![b'z'; after]].concat();
                let expected = judge(&text);
                let whole = validate([&text[..]]);
                match expected {
                    Utf8Verdict::Bad(_) => assert_eq!(whole, Utf8Verdict::Bad(0)),
                    _ => assert_eq!(whole, expected),
                }
                for cut in before..=before + sequence.len() {
                    let (first, second) = text.split_at(cut);
                    let expected = match expected {
                        Utf8Verdict::Bad(index) => Utf8Verdict::Bad(usize::from(index >= cut)),
                        verdict => verdict,
                    };
                    let verdict = validate([first, second]);
                    assert_eq!(verdict, expected, "{sequence:02x?} {before} {after} {cut}");
                }
            }
        }
    }
}

#[test]
fn the_error_counts_the_good_bytes_of_its_piece() {
    let mut utf8 = Utf8::default();
    assert_eq!(utf8.push("grün\u{ff}".as_bytes()), Ok(()));
    assert_eq!(utf8.push(b"abc\xff"), Err(Invalid { valid: 3 }));

    // The sequence began in the first piece and goes wrong in the second one.
    let mut utf8 = Utf8::default();
    assert_eq!(utf8.push(b"abc\xe2"), Ok(()));
    assert_eq!(utf8.push(b"\x82a"), Err(Invalid { valid: 0 }));

    // The carried sequence is completed first, and what follows is bad.
    let mut utf8 = Utf8::default();
    assert_eq!(utf8.push(b"\xe2"), Ok(()));
    assert_eq!(utf8.push(b"\x82\xacab\xc0"), Err(Invalid { valid: 4 }));
}

#[test]
fn every_character_passes_whole_and_in_single_bytes() {
    for character in '\0'..=char::MAX {
        let mut buffer = [0; 4];
        let text = character.encode_utf8(&mut buffer).as_bytes();
        assert_eq!(validate([text]), Utf8Verdict::Good, "{character:?}");
        assert_eq!(validate(text.chunks(1)), Utf8Verdict::Good, "{character:?}");
    }
}

#[test]
fn random_texts_in_random_pieces_are_judged_like_the_whole() {
    let mut random = Rng::new(4);
    for _ in 0..times(20_000) {
        let mut text = Vec::new();
        for _ in 0..random.below(40) {
            match random.below(30) {
                0 => text.push(random.next() as u8),
                1 => text.extend(random.pick(&SEQUENCES)),
                _ => text.extend(random.pick(&["a", "ß", "€", "😀", "some ASCII "]).bytes()),
            }
        }
        let expected = judge(&text);
        let mut utf8 = Utf8::default();
        let mut start = 0;
        let verdict = loop {
            if start == text.len() {
                break match utf8.finish() {
                    Ok(()) => Utf8Verdict::Good,
                    Err(_) => Utf8Verdict::Incomplete,
                };
            }
            let end = text.len().min(start + random.below(20));
            let good_so_far = !matches!(expected, Utf8Verdict::Bad(index) if index < end);
            assert_eq!(utf8.push(&text[start..end]).is_ok(), good_so_far);
            if !good_so_far {
                break expected;
            }
            start = end;
        };
        assert_eq!(verdict, expected, "{text:02x?}");
    }
}

/// A text message in these fragments, and where each byte of its payload lies on the wire.
fn message(role: Role, fragments: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
    let (mut wire, mut places) = (Vec::new(), Vec::new());
    for (index, fragment) in fragments.iter().enumerate() {
        let opcode = match index {
            0 => Opcode::Text,
            _ => Opcode::Continuation,
        };
        wire.extend(wire_frame(role, index + 1 == fragments.len(), opcode, fragment));
        places.extend(wire.len() - fragment.len()..wire.len());
    }
    (wire, places)
}

#[test]
fn text_over_every_fragmentation_fails_at_its_first_bad_byte() {
    for (role, taking) in ROLES.into_iter().flat_map(|role| TAKINGS.map(|taking| (role, taking))) {
        for sequence in SEQUENCES {
            let text = [b"a", sequence, b"z"].concat();
            // With and without a byte after it, which would complain about an incomplete one.
            for text in [&text[..], &text[..text.len() - 1]] {
                for fragments in cuts(text) {
                    let (wire, places) = message(role, &fragments);
                    let mut receiver = Receiver::new(role, taking);
                    let taken = wire.chunks(1).position(|byte| {
                        receiver.push(byte);
                        receiver.finished()
                    });
                    let failure = Some(&Observed::Failed { code: 1007 });
                    match judge(text) {
                        Utf8Verdict::Good => {
                            assert!(matches!(&receiver.events[..], [Observed::Message { text: true, .. }]))
                        }
                        Utf8Verdict::Incomplete => {
                            assert_eq!(receiver.events.last(), failure);
                            assert_eq!(taken, Some(wire.len() - 1), "{fragments:02x?}");
                        }
                        Utf8Verdict::Bad(index) => {
                            assert_eq!(receiver.events.last(), failure);
                            assert_eq!(taken, Some(places[index]), "{fragments:02x?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn text_split_at_every_byte_is_judged_like_the_whole() {
    for (role, taking) in ROLES.into_iter().flat_map(|role| TAKINGS.map(|taking| (role, taking))) {
        for sequence in SEQUENCES {
            let text = [&[b'a'; 300], sequence, &[b'z'; 5]].concat();
            let (wire, _) = message(role, &[&text[..200], &text[200..301], &text[301..]]);
            let whole = Receiver::events(role, taking, [&wire[..]]);
            for cut in (0..20).chain(280..wire.len()) {
                let (first, second) = wire.split_at(cut);
                let split = Receiver::events(role, taking, [first, second]);
                assert_eq!(split, whole, "{sequence:02x?} {cut}");
            }
        }
    }
}

#[test]
fn binary_messages_may_hold_anything() {
    for (role, taking) in ROLES.into_iter().flat_map(|role| TAKINGS.map(|taking| (role, taking))) {
        for sequence in SEQUENCES {
            let wire = wire_frame(role, true, Opcode::Binary, sequence);
            let events = Receiver::events(role, taking, wire.chunks(1));
            assert!(matches!(&events[..], [Observed::Message { text: false, .. }]));
        }
    }
}
