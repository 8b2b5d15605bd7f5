//! SUFFIX: the search for a delimiter in pieces, and messages from a peer that sends anything.

#![no_main]

use dill::ffi::suffix;
use dill::fuzzing::delimiter::{Delimiter, DelimiterScan};
use libc::{ECONNRESET, EPIPE};
use libdill_fuzz::{Choices, pieces, received};
use libfuzzer_sys::fuzz_target;

/// The first message, cut off in the obvious way, and what follows its delimiter.
fn split<'s>(stream: &'s [u8], delimiter: &[u8]) -> Option<(&'s [u8], &'s [u8])> {
    let at = stream.windows(delimiter.len()).position(|window| window == delimiter)?;
    Some((&stream[..at], &stream[at + delimiter.len()..]))
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let (len, seed) = (usize::from(choices.byte() % 34), choices.byte());
    let delimiter = choices.take(len);
    let stream = choices.take(usize::MAX);
    let Ok(parsed) = Delimiter::new(delimiter) else {
        assert!(delimiter.is_empty() || delimiter.len() > 32);
        return;
    };

    // In pieces.
    let (mut scan, mut message, mut consumed, mut complete) =
        (DelimiterScan::new(&parsed), Vec::new(), 0, false);
    for piece in pieces(stream, seed) {
        assert!((1..=delimiter.len()).contains(&scan.missing()));
        let fed = scan.feed(piece, |part| {
            message.extend_from_slice(part);
            Ok(())
        });
        let fed = fed.expect("nobody fails");
        consumed += fed.consumed;
        if fed.complete {
            complete = true;
            break;
        }
        assert_eq!(fed.consumed, piece.len());
    }
    match split(stream, delimiter) {
        Some((expected, rest)) => {
            assert!(complete && message == expected);
            assert_eq!(consumed, stream.len() - rest.len());
        }
        None => assert!(!complete && stream.starts_with(&message)),
    }

    // From a peer.
    // SAFETY: the delimiter is as long as is said.
    let h = unsafe {
        suffix::dill_suffix_attach(
            libdill_fuzz::stream_of(stream),
            delimiter.as_ptr().cast(),
            delimiter.len(),
        )
    };
    assert!(h >= 0);
    let mut rest = stream;
    loop {
        match (received(h), split(rest, delimiter)) {
            (Ok(message), Some((expected, behind))) => {
                assert_eq!(message, expected);
                rest = behind;
            }
            (Err(EPIPE | ECONNRESET), None) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(dill::ffi::handle::dill_hclose(h), 0);
});
