//! PREFIX: headers of every size, and the messages behind them, from a peer that sends anything.

#![no_main]

use dill::ffi::prefix;
use dill::fuzzing::prefix::Format;
use libc::{ECONNRESET, EMSGSIZE, EPIPE};
use libdill_fuzz::{Choices, received};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let (size, little_endian) = (usize::from(choices.byte() % 12), choices.byte() & 1 == 1);
    let Ok(format) = Format::new(size, little_endian) else { return };
    let stream = choices.take(usize::MAX);

    // A length that is understood is written in the same way.
    if let Some(header) = stream.get(..size)
        && let Ok(len) = format.decode(header)
    {
        let mut again = vec![0xff; size];
        assert_eq!(format.encode(len, &mut again), Ok(()));
        assert_eq!(again, header);
    }

    // The messages are those that lie in the stream.
    let h = prefix::dill_prefix_attach(libdill_fuzz::stream_of(stream), size, i32::from(little_endian));
    assert!(h >= 0);
    let mut rest = stream;
    loop {
        let expected = rest.split_at_checked(size).map(|(header, rest)| (format.decode(header), rest));
        match (received(h), expected) {
            (Ok(message), Some((Ok(len), body))) => {
                assert_eq!(message, body[..len]);
                rest = &body[len..];
            }
            (Err(EMSGSIZE), Some((len, _))) => {
                assert!(len.is_err() || len.is_ok_and(|len| len > libdill_fuzz::ROOM));
                break;
            }
            (Err(EPIPE | ECONNRESET), Some((Ok(len), body))) if len > body.len() => break,
            (Err(EPIPE | ECONNRESET), None) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(dill::ffi::handle::dill_hclose(h), 0);
});
