//! Every sequence of up to five frames, against a model of the rules of RFC 6455.
//!
//! A frame header is one of 6,656: 16 opcodes, FIN or not, the 8 values of the reserved bits,
//! masked or not, and 13 lengths. Sequences end at a violation, after a close frame, and after a
//! header that announces more payload than a test can send. What remains is still far too much to
//! run one by one, and need not be: the decoder's answer depends on its state and the bytes and on
//! nothing else. So after each frame, sequences that have left the decoder in the very same state
//! are continued as one, and the number of sequences that they stand for is carried along. The
//! total is compared with what the model alone predicts.

use std::collections::BTreeMap;

use super::{KEY, Observed, ROLES, Receiver, Rng, TAKINGS, times};
use crate::ws::decoder::{Decoder, Next};
use crate::ws::frame::Role;

const LENGTHS: [u64; 13] =
    [0, 1, 125, 126, 127, 65535, 65536, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, 1 << 63, u64::MAX];

/// Up to this length the payload is sent too.
const SENT: u64 = 65536;

#[derive(Clone, Copy, Debug)]
pub(super) struct ModelFrame {
    pub(super) fin: bool,
    pub(super) rsv: u8,
    pub(super) opcode: u8,
    pub(super) masked: bool,
    pub(super) length: u64,
}

impl ModelFrame {
    pub(super) fn all() -> impl Iterator<Item = ModelFrame> {
        (0..16 * 2 * 8 * 2 * LENGTHS.len()).map(|number| ModelFrame {
            opcode: (number % 16) as u8,
            fin: number / 16 % 2 == 1,
            rsv: (number / 32 % 8) as u8,
            masked: number / 256 % 2 == 1,
            length: LENGTHS[number / 512],
        })
    }

    pub(super) fn header(self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        let mask = u8::from(self.masked) << 7;
        if self.length <= 125 {
            bytes.push(mask | self.length as u8);
        } else if self.length <= 65535 {
            bytes.push(mask | 126);
            bytes.extend((self.length as u16).to_be_bytes());
        } else {
            bytes.push(mask | 127);
            bytes.extend(self.length.to_be_bytes());
        }
        if self.masked {
            bytes.extend(KEY);
        }
        bytes
    }

    /// What the payload says: ASCII, after a good close code where one is due.
    pub(super) fn plain_payload(self) -> Vec<u8> {
        let mut payload = vec![b'p'; self.length as usize];
        if self.opcode == 8 && payload.len() >= 2 {
            payload[..2].copy_from_slice(&1000u16.to_be_bytes());
        }
        payload
    }

    pub(super) fn payload(self) -> Vec<u8> {
        let mut payload = self.plain_payload();
        if self.masked {
            for (i, byte) in payload.iter_mut().enumerate() {
                *byte ^= KEY[i % 4];
            }
        }
        payload
    }
}

/// What the model knows between two frames: the type of the message that is open.
pub(super) type Open = Option<u8>;

/// What the RFC says of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Fails with 1002 as soon as so many of its bytes are there.
    Violation(usize),
    /// A fragment or a whole message; then the message that is open.
    Data(Open),
    /// Too long to be sent here.
    Huge,
    Ping,
    Pong,
    Close,
}

pub(super) fn judge(role: Role, open: Open, frame: ModelFrame) -> Verdict {
    let ModelFrame { fin, rsv, opcode, masked, length } = frame;
    let control = opcode >= 8;
    // What the first byte shows.
    if rsv != 0
        || (3..=7).contains(&opcode)
        || opcode >= 11
        || (control && !fin)
        || (opcode == 0 && open.is_none())
        || ((opcode == 1 || opcode == 2) && open.is_some())
    {
        return Verdict::Violation(1);
    }
    // What the second byte shows.
    if masked != (role == Role::Server) || (control && length > 125) {
        return Verdict::Violation(2);
    }
    // The length's first byte.
    if length >= 1 << 63 {
        return Verdict::Violation(3);
    }
    match opcode {
        // The whole frame, for its payload is too short.
        8 if length == 1 => Verdict::Violation(frame.header().len() + 1),
        8 => Verdict::Close,
        9 => Verdict::Ping,
        10 => Verdict::Pong,
        _ if length > SENT => Verdict::Huge,
        _ if fin => Verdict::Data(None),
        0 => Verdict::Data(open),
        _ => Verdict::Data(Some(opcode)),
    }
}

/// Shows a frame to a decoder, with ever more of it at the front, and compares every answer with
/// the model's. Says how the decoder stands after the frame, unless the sequence ends with it.
fn check(role: Role, open: Open, before: Decoder, frame: ModelFrame) -> Option<(Open, Decoder)> {
    let header = frame.header();
    let control = frame.opcode >= 8;
    let verdict = judge(role, open, frame);
    let mut wire = header.clone();
    if control && frame.length <= 125 {
        wire.extend(frame.payload());
    }

    // The earliest answer other than "more".
    let due = match verdict {
        Verdict::Violation(at) => at,
        _ => wire.len(),
    };
    let mut decoder = before;
    for present in 0..due {
        let answer = decoder.next(&wire[..present]);
        let Ok(Next::Need(need)) = answer else {
            panic!("{frame:?} with {present} bytes: {answer:?}");
        };
        // More than is there, but never more than a peer that follows the rules will send.
        assert!(need > present && need <= wire.len().max(2), "{frame:?}: {need}");
    }
    let answer = decoder.next(&wire[..due]);
    let after = match (verdict, answer) {
        (Verdict::Violation(_), Err(violation)) => {
            assert_eq!(violation.code, 1002, "{frame:?}");
            assert!(violation.rule.starts_with("RFC 6455, "));
            // The decoder is finished.
            assert_eq!(decoder.next(&wire), Err(violation));
            assert_eq!(decoder.next(&[]), Err(violation));
            None
        }
        (Verdict::Huge, Ok(Next::Data { consumed })) => {
            assert_eq!(consumed, header.len());
            assert_eq!(decoder.payload_left(), frame.length);
            None
        }
        (Verdict::Data(open_after), Ok(Next::Data { consumed })) => {
            assert_eq!(consumed, header.len());
            assert_eq!(decoder.payload_left(), frame.length);
            let kind = if frame.opcode == 0 { open } else { Some(frame.opcode) };
            assert_eq!(decoder.message_is_text(), kind == Some(1), "{frame:?}");
            take_payload(&mut decoder, frame);
            assert_eq!(decoder.end_of_frame(), Ok(open_after.is_none()), "{frame:?}");
            Some((open_after, decoder))
        }
        (Verdict::Ping, Ok(Next::Ping { consumed, payload })) => {
            assert_eq!(consumed, wire.len());
            assert_eq!(payload.as_bytes(), frame.plain_payload());
            Some((open, decoder))
        }
        (Verdict::Pong, Ok(Next::Pong { consumed, .. })) => {
            assert_eq!(consumed, wire.len());
            Some((open, decoder))
        }
        (Verdict::Close, Ok(Next::Close { consumed, code, reason })) => {
            assert_eq!(consumed, wire.len());
            let plain = frame.plain_payload();
            assert_eq!(code, if plain.is_empty() { 0 } else { 1000 });
            assert_eq!(reason.as_bytes(), plain.get(2..).unwrap_or_default());
            // Nothing comes after it.
            assert!(decoder.next(b"\x82\x00").is_err());
            None
        }
        (verdict, answer) => panic!("{open:?} {frame:?}: {verdict:?}, but {answer:?}"),
    };

    // With all of it, and with more behind it, the answer is the same.
    let mut at_once = before;
    wire.extend(b"\x82\x00more");
    let answer_at_once = at_once.next(&wire);
    match answer {
        Err(_) => assert!(answer_at_once.is_err(), "{frame:?}"),
        Ok(_) => assert_eq!(answer_at_once, answer, "{frame:?}"),
    }
    after
}

/// Takes the payload in two pieces of which the first has an odd length.
fn take_payload(decoder: &mut Decoder, frame: ModelFrame) {
    let wire = frame.payload();
    let mut payload = vec![0; wire.len()];
    let cut = (wire.len() / 3) | usize::from(!wire.is_empty());
    let (first, second) = payload.split_at_mut(cut);
    assert_eq!(decoder.payload_copy(first, &wire[..cut]), Ok(()));
    assert_eq!(decoder.payload_left(), (wire.len() - cut) as u64);
    assert_eq!(decoder.payload_copy(second, &wire[cut..]), Ok(()));
    assert_eq!(decoder.payload_left(), 0);
    assert_eq!(payload, frame.plain_payload());
}

/// How many sequences of up to `frames` frames there are, from the model alone: with no message
/// open, 20 frames leave none open (whole messages of 2 types and 7 lengths, pings and pongs of 3)
/// and 14 open one; with a message open, 13 keep it open and 7 end it.
fn predicted(frames: usize) -> u128 {
    let (mut none, mut open) = (1, 0);
    let mut total = 0;
    for _ in 0..frames {
        total += (none + open) * 6656;
        (none, open) = (20 * none + 7 * open, 14 * none + 13 * open);
    }
    total
}

/// All that later answers can depend on. The length of a message cannot: there is no limit.
fn known(decoder: &Decoder) -> String {
    format!("{decoder:?}").split(", ").filter(|field| !field.starts_with("length: ")).collect()
}

#[test]
fn every_sequence_of_five_frames_is_judged_as_the_rfc_says() {
    const FRAMES: usize = if cfg!(miri) { 1 } else { 5 };
    let mut checks = 0;
    for role in ROLES {
        let mut sequences = 0;
        // By all that is known of a decoder: its state, and how many sequences have led there.
        let mut states = BTreeMap::new();
        let fresh = Decoder::new(role);
        states.insert((None, known(&fresh)), (fresh, 1u128));
        for _ in 0..FRAMES {
            let mut next_states = BTreeMap::new();
            for ((open, _), (decoder, count)) in states {
                for frame in ModelFrame::all() {
                    checks += 1;
                    sequences += count;
                    if let Some((open, decoder)) = check(role, open, decoder, frame) {
                        let key = (open, known(&decoder));
                        next_states.entry(key).or_insert((decoder, 0)).1 += count;
                    }
                }
            }
            states = next_states;
        }
        assert_eq!(sequences, predicted(FRAMES));
        println!("{role:?}: {sequences} sequences of up to {FRAMES} frames");
    }
    println!("by {checks} checks of a state and a frame");
}

#[test]
fn random_streams_in_random_pieces_are_judged_as_the_rfc_says() {
    let mut random = Rng::new(5);
    for _ in 0..times(20_000) {
        let role = random.pick(&ROLES);
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        let (mut open, mut message) = (None, Vec::new());
        for _ in 0..random.below(12) {
            let frame = ModelFrame {
                fin: random.below(3) > 0,
                rsv: if random.below(50) == 0 { random.pick(&[1, 2, 4, 7]) } else { 0 },
                opcode: random.pick(&[0, 0, 0, 1, 2, 1, 2, 9, 10, 8, 3]),
                masked: (role == Role::Server) != (random.below(50) == 0),
                length: random.pick(&LENGTHS[..5]),
            };
            wire.extend(frame.header());
            wire.extend(frame.payload());
            let payload = frame.plain_payload();
            match judge(role, open, frame) {
                Verdict::Violation(_) => expected.push(Observed::Failed { code: 1002 }),
                Verdict::Ping => expected.push(Observed::Ping(payload)),
                Verdict::Pong => expected.push(Observed::Pong),
                Verdict::Close => expected.push(Observed::Close {
                    code: if payload.is_empty() { 0 } else { 1000 },
                    reason: payload.get(2..).unwrap_or_default().to_vec(),
                }),
                Verdict::Huge => unreachable!("all lengths are small"),
                Verdict::Data(open_after) => {
                    let text = open.unwrap_or(frame.opcode) == 1;
                    message.extend(payload);
                    if open_after.is_none() {
                        let payload = std::mem::take(&mut message);
                        expected.push(Observed::Message { text, payload });
                    }
                    open = open_after;
                }
            }
            if matches!(expected.last(), Some(Observed::Failed { .. } | Observed::Close { .. })) {
                break;
            }
        }
        let taking = random.pick(&TAKINGS[..3]);
        let mut receiver = Receiver::new(role, taking);
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(random.below(40).min(rest.len()));
            receiver.push(piece);
            rest = behind;
        }
        assert_eq!(receiver.events, expected);
    }
}

#[test]
fn any_bytes_are_the_same_events_however_they_come() {
    let mut random = Rng::new(6);
    for _ in 0..times(100_000) {
        let role = random.pick(&ROLES);
        let bytes: Vec<u8> = (0..random.below(60))
            .map(|_| match random.below(2) {
                0 => random.pick(&[0, 1, 2, 0x7e, 0x7f, 0x80, 0x81, 0x82, 0x88, 0x89, 0xfe, 0xff]),
                _ => random.next() as u8,
            })
            .collect();
        let taking = random.pick(&TAKINGS);
        let in_pieces = Receiver::events(role, taking, bytes.chunks(1 + random.below(20)));
        assert_eq!(in_pieces, Receiver::events(role, taking, [&bytes[..]]), "{role:?} {taking:?} {bytes:x?}");
    }
}
