//! Close codes and reasons, in both directions.

use super::{Observed, ROLES, Receiver, Taking, stride, wire_frame};
use crate::ws::close::{NotAllowed, allowed_on_wire, close_payload};
use crate::ws::frame::{Opcode, Role};

/// The list of the specification, written out: 1000–1003, 1007–1014, 3000–4999.
fn listed(code: u16) -> bool {
    let single = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    single.contains(&code) || (3000..5000).contains(&code)
}

fn receive(role: Role, payload: &[u8]) -> Vec<Observed> {
    let wire = wire_frame(role, true, Opcode::Close, payload);
    Receiver::events(role, Taking::Copied, [&wire[..]])
}

fn closed(code: u16, reason: &[u8]) -> Vec<Observed> {
    let reason = reason.to_vec();
    vec![Observed::Close { code, reason }]
}

#[test]
fn exactly_the_listed_codes_are_allowed_on_the_wire() {
    for code in (0..=u16::MAX).step_by(stride(997)) {
        assert_eq!(allowed_on_wire(code), listed(code), "{code}");
    }
}

#[test]
fn a_received_code_is_delivered_if_listed_and_answered_with_1002_if_not() {
    for role in ROLES {
        for code in (0..=u16::MAX).step_by(stride(997)) {
            for reason in [&b""[..], b"bye"] {
                let payload = [&code.to_be_bytes(), reason].concat();
                let expected = match listed(code) {
                    true => closed(code, reason),
                    false => vec![Observed::Failed { code: 1002 }],
                };
                assert_eq!(receive(role, &payload), expected, "{code}");
            }
        }
    }
}

#[test]
fn an_empty_close_frame_has_no_code() {
    for role in ROLES {
        assert_eq!(receive(role, b""), closed(0, b""));
    }
}

#[test]
fn half_a_code_is_answered_with_1002() {
    for role in ROLES {
        for byte in 0..=255 {
            assert_eq!(receive(role, &[byte]), [Observed::Failed { code: 1002 }]);
        }
    }
}

#[test]
fn a_reason_that_is_not_utf8_is_answered_with_1007() {
    let reasons: [&[u8]; 7] = [
        b"\xff",
        b"abc\x80",
        b"cut short \xe2\x82",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
        b"\xe2",
    ];
    for role in ROLES {
        for reason in reasons {
            let payload = [&1000u16.to_be_bytes(), reason].concat();
            assert_eq!(receive(role, &payload), [Observed::Failed { code: 1007 }]);
        }
    }
}

#[test]
fn a_bad_code_comes_before_a_bad_reason() {
    let payload = [&1005u16.to_be_bytes()[..], b"\xff"].concat();
    assert_eq!(receive(Role::Server, &payload), [Observed::Failed { code: 1002 }]);
}

#[test]
fn reasons_of_every_length_arrive_whole() {
    for role in ROLES {
        for len in 0..=123 {
            let reason: Vec<u8> = "äöü€😀".bytes().cycle().take(len).collect();
            let reason = match std::str::from_utf8(&reason) {
                Ok(_) => reason,
                Err(_) => vec![b'r'; len],
            };
            let payload = [&4321u16.to_be_bytes(), &reason[..]].concat();
            assert_eq!(receive(role, &payload), closed(4321, &reason), "{len}");
        }
    }
}

#[test]
fn a_code_may_be_sent_if_and_only_if_it_is_listed() {
    for code in (1..=u16::MAX).step_by(stride(997)) {
        let payload = close_payload(code, b"bye");
        match payload {
            Ok(payload) => {
                assert!(listed(code), "{code}");
                assert_eq!(payload.as_bytes()[..2], code.to_be_bytes());
                assert_eq!(&payload.as_bytes()[2..], b"bye");
            }
            Err(NotAllowed) => assert!(!listed(code), "{code}"),
        }
    }
}

#[test]
fn no_code_means_no_reason() {
    let empty = close_payload(0, b"");
    assert_eq!(empty.map(|payload| payload.as_bytes().len()), Ok(0));
    assert_eq!(close_payload(0, b"bye"), Err(NotAllowed));
}

#[test]
fn a_sent_reason_fits_beside_the_code() {
    for len in 0..300 {
        let payload = close_payload(1000, &vec![b'x'; len]);
        match len {
            0..=123 => assert_eq!(payload.map(|p| p.as_bytes().len()), Ok(len + 2)),
            _ => assert_eq!(payload, Err(NotAllowed)),
        }
    }
}

#[test]
fn a_sent_reason_is_utf8() {
    assert!(close_payload(1000, "tschüß".as_bytes()).is_ok());
    assert_eq!(close_payload(1000, b"\xff"), Err(NotAllowed));
    assert_eq!(close_payload(1000, b"cut \xe2\x82"), Err(NotAllowed));
}

#[test]
fn what_is_sent_is_what_arrives() {
    for role in ROLES {
        for code in (0..=u16::MAX).filter(|code| listed(*code)).step_by(stride(97)) {
            let payload = close_payload(code, "für später".as_bytes());
            let payload = payload.expect("a listed code");
            let expected = closed(code, "für später".as_bytes());
            assert_eq!(receive(role, payload.as_bytes()), expected);
        }
    }
}
