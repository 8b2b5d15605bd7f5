//! Messages in parts, some of which never leave, whatever is agreed on: zlib reads them as they were, in no larger
//! window, and so do we.

#![no_main]

use dill::fuzzing::ws::{Deflate, Effort, Ends, Extension, MIN_ROOM, Negotiated};
use libdill_fuzz::Choices;
use libdill_fuzz::codec::Inflater;
use libfuzzer_sys::fuzz_target;

/// The most that the messages of an input have: some windows, of which the large ones take long.
fn most(window_bits: u8) -> usize {
    (8 << window_bits).min(1 << 16)
}

/// Encodes a part that comes in pieces, with so much room at a time, and forgets it if so much has come of it.
fn encode(
    deflate: &mut Deflate,
    part: &[u8],
    ends: Ends,
    seed: u8,
    place: &mut [u8],
    lost: Option<usize>,
) -> Option<Vec<u8>> {
    let mut pieces = libdill_fuzz::pieces(part, seed).into_iter().map(<[u8]>::len);
    let (mut payload, mut taken, mut given) = (Vec::new(), 0, 0);
    loop {
        if lost.is_some_and(|lost| payload.len() >= lost) {
            deflate.forget_part();
            return None;
        }
        let ends = if given == part.len() { ends } else { Ends::Nothing };
        let progress = deflate.encode(&part[taken..given], ends, place).expect("memory");
        assert!(progress.consumed > 0 || progress.produced > 0 || progress.done || taken == given);
        taken += progress.consumed;
        payload.extend_from_slice(&place[..progress.produced]);
        if progress.done {
            assert!(taken == part.len() && ends != Ends::Nothing);
            deflate.note_part_left();
            return Some(payload);
        }
        if taken == given {
            given += pieces.next().unwrap_or(0);
        }
    }
}

/// All of a message, decoded by ourselves.
fn decode(deflate: &mut Deflate, mut payload: &[u8], place: &mut [u8]) -> Vec<u8> {
    let mut message = Vec::new();
    loop {
        let progress = deflate.decode(payload, true, place).unwrap_or_else(|_| panic!("broken"));
        message.extend_from_slice(&place[..progress.produced]);
        payload = &payload[progress.consumed..];
        if progress.done {
            assert!(payload.is_empty());
            return message;
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let (setup, level, seed, room) = (choices.byte(), choices.byte() % 10, choices.byte(), choices.byte());
    let (window_bits, context) = (8 + (setup & 7), setup & 8 != 0);
    let room = MIN_ROOM + usize::from(room) * if setup & 16 != 0 { 1000 } else { 1 };
    let agreed = Negotiated { window_bits, peer_window_bits: window_bits, context, peer_context: context };
    let mut ours = Deflate::new(agreed, Effort { level, threshold: 0 });
    let mut theirs = Deflate::new(agreed, Effort { level, threshold: 0 });
    // Exactly for small windows; for large ones, that takes long.
    let mut reference = Inflater::new(window_bits, if window_bits < 12 { 1 } else { 32 });
    let mut place = vec![0; room];
    let (mut payload, mut message, mut total) = (Vec::new(), Vec::new(), 0);
    while !choices.is_empty() {
        let (what, len) = (choices.byte(), choices.byte());
        let piece = choices.take(usize::from(len));
        let part = piece.repeat(if what & 1 != 0 { 1 + usize::from(choices.byte()) } else { 1 });
        total += part.len();
        if total > most(window_bits) {
            return;
        }
        let ends = if what & 6 == 0 { Ends::Part } else { Ends::Message };
        let lost = (what & 24 == 24).then(|| usize::from(what >> 5) * room);
        let Some(encoded) = encode(&mut ours, &part, ends, seed, &mut place, lost) else { continue };
        payload.extend(encoded);
        message.extend(part);
        if ends == Ends::Message {
            assert!(!payload.is_empty());
            assert_eq!(reference.message(&payload).as_ref(), Some(&message));
            assert_eq!(decode(&mut theirs, &payload, &mut place), message);
            if !context {
                reference.forget();
            }
            payload.clear();
            message.clear();
        }
    }
});
