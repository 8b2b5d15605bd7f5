//! Messages of a peer that may be anything, however they are cut, against what zlib makes of them: the same, or a
//! violation where it finds one.

#![no_main]

use dill::fuzzing::ws::{Deflate, Effort, Extension, Negotiated, Undecodable};
use libdill_fuzz::Choices;
use libdill_fuzz::codec::Inflater;
use libfuzzer_sys::fuzz_target;

/// Messages above this length, in bytes, are decoded with much room.
const LONG: usize = 8192;

/// What comes of a payload that arrives in pieces, with so much room at a time. None: it is broken, which must show
/// at the end at the latest.
fn decode(deflate: &mut Deflate, payload: &[u8], seed: u8, place: &mut [u8]) -> Option<Vec<u8>> {
    let mut pieces = libdill_fuzz::pieces(payload, seed).into_iter().map(<[u8]>::len);
    let (mut message, mut taken, mut arrived) = (Vec::new(), 0, 0);
    loop {
        let last = arrived == payload.len();
        let progress = match deflate.decode(&payload[taken..arrived], last, place) {
            Ok(progress) => progress,
            Err(Undecodable::Broken(violation)) => {
                assert_eq!(violation.code, 1007);
                return None;
            }
            Err(Undecodable::NoMemory) => panic!("no memory"),
        };
        assert!(progress.produced <= place.len());
        taken += progress.consumed;
        assert!(taken <= arrived);
        message.extend_from_slice(&place[..progress.produced]);
        if progress.done {
            assert!(last && taken == payload.len());
            return Some(message);
        }
        // It stops for nothing else.
        assert!(progress.produced == place.len() || taken == arrived && !last);
        if taken == arrived {
            arrived += pieces.next().unwrap_or(0);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let (setup, seed) = (choices.byte(), choices.byte());
    let peer_context = setup & 1 != 0;
    let room = match setup >> 1 & 3 {
        0 => 1,
        1 => 1 + usize::from(seed),
        _ => 1 << 16,
    };
    let agreed = Negotiated { window_bits: 15, peer_window_bits: 15, context: false, peer_context };
    let mut deflate = Deflate::new(agreed, Effort { level: 4, threshold: 0 });
    let mut reference = Inflater::new(15, 1 << 16);
    let mut place = vec![0; 1 << 16];
    while !choices.is_empty() {
        let len = usize::from(u16::from_le_bytes([choices.byte(), choices.byte()]));
        let payload = choices.take(len);
        let expected = reference.message(payload);
        // A byte at a time, a long message takes long.
        let is_long = expected.as_ref().is_some_and(|message| message.len() > LONG);
        let room = if is_long { place.len() } else { room };
        assert_eq!(decode(&mut deflate, payload, seed, &mut place[..room]), expected);
        if expected.is_none() {
            return;
        }
        if !peer_context {
            reference.forget();
        }
    }
});
