//! Finding the end of a head that arrives in pieces, and its limits.

use super::head::{Head, KEY};
use crate::ws::handshake::{HeadScan, MAX_HEAD, Scan, check_response, parse_request};

#[test]
fn a_head_cut_at_every_byte_is_incomplete_and_asks_for_no_byte_too_many() {
    for head in [Head::good_request(), Head::good_answer()] {
        let bytes = head.bytes();
        // Not at its first byte: behind an empty line a head is yet to come.
        for cut in 1..bytes.len() {
            let mut scan = HeadScan::new();
            let Ok(Scan::Incomplete { at_least }) = scan.scan(&bytes[..cut]) else {
                panic!("complete at {cut}");
            };
            // So many bytes can complete it, and fewer cannot.
            let end = b"\r\n\r\n";
            let mut shortest = bytes[..cut].to_vec();
            shortest.extend(&end[4 - at_least..]);
            let complete = HeadScan::new().scan(&shortest);
            assert_eq!(complete, Ok(Scan::Complete(cut + at_least)));
            for fewer in 1..at_least {
                for part in end.windows(fewer) {
                    let tried = [&bytes[..cut], part].concat();
                    let complete = HeadScan::new().scan(&tried);
                    assert!(!matches!(complete, Ok(Scan::Complete(_))));
                }
            }

            // Cut heads are judged without harm too, and never as good ones.
            assert!(parse_request(&bytes[..cut]).is_err());
            assert!(check_response(&bytes[..cut], KEY).is_err());
        }
    }
}

#[test]
fn a_scan_in_steps_of_what_is_missing_ends_at_the_last_byte_of_the_head() {
    for follows in [&b""[..], b"\x82\x00", b"\r\n\r\n", b"\0\n"] {
        let head = Head::good_answer().bytes();
        let stream = [&head[..], follows].concat();
        let (mut scan, mut taken) = (HeadScan::new(), 0);
        let len = loop {
            match scan.scan(&stream[..taken]).expect("a good head") {
                Scan::Complete(len) => break len,
                Scan::Incomplete { at_least } => taken += at_least,
            }
        };
        assert_eq!((len, taken), (head.len(), head.len()));
        // All at once, with what follows.
        let complete = HeadScan::new().scan(&stream);
        assert_eq!(complete, Ok(Scan::Complete(head.len())));
    }
}

#[test]
fn a_scan_looks_at_every_byte_once() {
    let mut bytes = Head::good_request().bytes();
    let mut scan = HeadScan::new();
    for taken in 0..bytes.len() {
        let answer = scan.scan(&bytes[..taken]);
        assert!(matches!(answer, Ok(Scan::Incomplete { .. })));
        // If it were looked at again, it would be refused.
        bytes[..taken].fill(0);
    }
    let len = bytes.len();
    assert_eq!(scan.scan(&bytes), Ok(Scan::Complete(len)));
}

#[test]
fn bad_bytes_are_refused_as_soon_as_they_show() {
    for (bytes, at) in [
        (&b"GET / HTTP/1.1\nHost: x"[..], 15),
        (b"GET / HTTP/1.1\r\r\n", 16),
        (b"GET / HTTP/1.1\rHost: x", 16),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\n", 26),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\rX", 27),
        (b"\x16\x03\x01\x00\xa5 is how TLS begins", 4),
        (b"\n", 1),
    ] {
        for taken in 0..at {
            let answer = HeadScan::new().scan(&bytes[..taken]);
            assert!(matches!(answer, Ok(Scan::Incomplete { .. })), "{taken}");
        }
        for taken in at..=bytes.len() {
            let refusal = HeadScan::new().scan(&bytes[..taken]).expect_err("bad");
            assert_eq!(refusal.status, Some(400));
        }
    }
}

#[test]
fn a_head_of_64_kib_passes_and_a_longer_one_is_refused_with_431() {
    let good = Head::good_request();
    let room = MAX_HEAD - good.bytes().len() - "X: \r\n".len();
    let full = good.plus(&format!("X: {}", "x".repeat(room)));
    assert_eq!(full.bytes().len(), MAX_HEAD);
    assert_eq!(full.as_request(), 101);
    let over = good.plus(&format!("X: {}", "x".repeat(room + 1)));
    assert_eq!(over.as_request(), 431);

    // The same with a resource or an answer.
    let resource = "/".repeat(MAX_HEAD - good.bytes().len() + "/chat?room=1".len());
    let start = |resource: &str| good.start(&format!("GET {resource} HTTP/1.1"));
    assert_eq!(start(&resource).bytes().len(), MAX_HEAD);
    assert_eq!(start(&resource).as_request(), 101);
    assert_eq!(start(&(resource + "x")).as_request(), 431);
    let answer = Head::good_answer();
    let room = MAX_HEAD - answer.bytes().len() - "X: \r\n".len();
    assert!(answer.plus(&format!("X: {}", "x".repeat(room))).as_answer());
    assert!(!answer.plus(&format!("X: {}", "x".repeat(room + 1))).as_answer());
}

#[test]
fn every_field_may_be_as_long_as_the_head_allows() {
    for good in [Head::good_request(), Head::good_answer()] {
        let room = MAX_HEAD - good.bytes().len();
        for index in good.fields() {
            let (name, value) = good.field(index);
            for (more, fits) in [(0, true), (room, true), (room + 1, false)] {
                let line = format!("{name}: {}{value}", " ".repeat(more));
                let head = good.with(|lines| lines[index] = line);
                assert_eq!(head.bytes().len() <= MAX_HEAD, fits);
                match good.0[0].starts_with("GET") {
                    true => assert_eq!(head.as_request(), if fits { 101 } else { 431 }, "{name}"),
                    false => assert_eq!(head.as_answer(), fits, "{name}"),
                }
            }
        }
    }
}

#[test]
fn an_endless_head_is_refused_once_it_cannot_end_in_time() {
    let endless = [&b"GET /"[..], &[b'x'; 2 * MAX_HEAD]].concat();
    let mut scan = HeadScan::new();
    let mut taken = 0;
    while scan.scan(&endless[..taken]).is_ok() {
        taken += 1;
    }
    // With the empty line it would have one byte too many.
    assert_eq!(taken + 4, MAX_HEAD + 1);
    let refusal = scan.scan(&endless).expect_err("keeps its answer");
    assert_eq!(refusal.status, Some(431));
}

#[test]
fn a_head_of_128_fields_passes_and_one_of_129_is_refused_with_431() {
    for (good, total) in [(Head::good_request(), 128), (Head::good_request(), 129)] {
        let head = good.with(|lines| {
            while lines.len() < total + 1 {
                lines.push(format!("X-{}: y", lines.len()));
            }
        });
        assert_eq!(head.as_request(), if total == 128 { 101 } else { 431 });
    }
}

#[test]
fn one_empty_line_before_a_request_is_ignored() {
    let request = Head::good_request().bytes();
    let head = [b"\r\n", &request[..]].concat();
    for cut in 0..=head.len() {
        let mut scan = HeadScan::new();
        let first = scan.scan(&head[..cut]);
        assert_eq!(first.is_ok_and(|seen| seen == Scan::Complete(head.len())), cut == head.len());
        assert_eq!(scan.scan(&head), Ok(Scan::Complete(head.len())));
    }
    assert_eq!(parse_request(&head), parse_request(&request));
    for lines in [&b"\r\n\r\n"[..], b"\r\n\r\nGET / HTTP/1.1\r\n"] {
        assert_eq!(HeadScan::new().scan(lines).expect_err("two empty lines").status, Some(400));
    }
    // Two letters are not one.
    assert!(HeadScan::new().scan(b"ab\r\n").is_ok());
    let answer = [b"\r\n", &Head::good_answer().bytes()[..]].concat();
    assert!(check_response(&answer, KEY).is_err());
}
