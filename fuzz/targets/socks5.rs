//! SOCKS5: both sides, with a peer that sends anything.

#![no_main]

use dill::fuzzing::socks5::{client, proxy};
use dill::fuzzing::{Errno, Id};
use libdill_fuzz::Choices;
use libfuzzer_sys::fuzz_target;

/// What a peer can bring about; anything else would be our fault.
fn check(error: Errno) {
    let system = [libc::EIO, libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EAFNOSUPPORT].map(Errno::System);
    let own = [
        Errno::EPIPE,
        Errno::ECONNRESET,
        Errno::EPROTO,
        Errno::EACCES,
        Errno::ECONNREFUSED,
        Errno::ETIMEDOUT,
        Errno::ENOTSUP,
    ];
    assert!(own.contains(&error) || system.contains(&error), "{error:?}");
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let role = choices.byte();
    let stream = choices.take(usize::MAX);
    let handle = libdill_fuzz::stream_of(stream);
    let s = Id::of(handle);
    let wants_login = role & 1 == 1;
    let outcome = if role & 2 == 0 {
        let login = if wants_login { (Some(c"me"), Some(c"secret")) } else { (None, None) };
        let made = client::connect_by_name(s, login, c"example.org", 80, 0);
        // Nobody is let through who did not say so.
        assert!(made.is_err() || stream.starts_with(b"\x05"));
        made
    } else {
        let mut asked = false;
        let mut judge = |name: &core::ffi::CStr, password: &core::ffi::CStr| {
            asked = true;
            name.to_bytes().len() + password.to_bytes().len() < 100
        };
        let judge: &mut proxy::Authenticator<'_> = &mut judge;
        let let_in = proxy::auth(s, if wants_login { Some(judge) } else { None }, 0);
        assert!(let_in.is_err() || asked == wants_login);
        let_in.and_then(|()| {
            proxy::recv_command_by_name(s, 0, |text| {
                assert!(text.len() <= 256 && text.last() == Some(&0));
            })
            .map(|(command, port)| assert!((1..=3).contains(&command) && (0..=65535).contains(&port)))
        })
    };
    if let Err(error) = outcome {
        check(error);
    }
    assert_eq!(dill::ffi::handle::dill_hclose(handle), 0);
});
