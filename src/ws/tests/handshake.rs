//! The handshake by mutation: a good head, and what becomes of it with every change.

use super::head::{ACCEPT, Head, KEY};
use super::{Rng, times};
use crate::ws::handshake::*;

/// The same text in other cases.
fn recased(text: &str) -> [String; 3] {
    let swap = |c: char| match c.is_ascii_lowercase() {
        true => c.to_ascii_uppercase(),
        false => c.to_ascii_lowercase(),
    };
    [text.to_ascii_lowercase(), text.to_ascii_uppercase(), text.chars().map(swap).collect()]
}

#[test]
fn the_example_of_the_rfc_is_accepted_on_both_sides() {
    let bytes = Head::good_request().bytes();
    assert_eq!(
        parse_request(&bytes),
        Ok(Request { resource: b"/chat?room=1", host: b"server.example.com", key: KEY })
    );
    assert_eq!(check_response(&Head::good_answer().bytes(), KEY), Ok(()));
    assert_eq!(accept_key(KEY), ACCEPT.as_bytes());
}

#[test]
fn a_request_that_lacks_a_required_field_is_refused_with_400() {
    let good = Head::good_request();
    for index in good.fields() {
        let head = good.with(|lines| drop(lines.remove(index)));
        let expected = match good.field(index).0 {
            "Origin" | "Sec-WebSocket-Protocol" => 101,
            _ => 400,
        };
        assert_eq!(head.as_request(), expected, "{}", good.0[index]);
    }
}

#[test]
fn an_answer_that_lacks_a_required_field_is_refused() {
    let good = Head::good_answer();
    for index in good.fields() {
        let head = good.with(|lines| drop(lines.remove(index)));
        assert_eq!(head.as_answer(), good.field(index).0 == "Server");
    }
}

#[test]
fn a_doubled_field_is_refused_unless_it_is_a_list() {
    let good = Head::good_request();
    for index in good.fields() {
        for place in index..=good.0.len() {
            let head = good.with(|lines| lines.insert(place, lines[index].clone()));
            let expected = match good.field(index).0 {
                "Host" | "Sec-WebSocket-Key" | "Sec-WebSocket-Version" => 400,
                _ => 101,
            };
            assert_eq!(head.as_request(), expected, "{}", good.0[index]);
        }
    }
    let good = Head::good_answer();
    for index in good.fields() {
        for place in index..=good.0.len() {
            let head = good.with(|lines| lines.insert(place, lines[index].clone()));
            let expected = good.field(index).0 != "Sec-WebSocket-Accept";
            assert_eq!(head.as_answer(), expected, "{}", good.0[index]);
        }
    }
}

#[test]
fn the_order_of_the_fields_does_not_matter() {
    for good in [Head::good_request(), Head::good_answer()] {
        for from in good.fields() {
            for to in good.fields() {
                let moved = good.with(|lines| {
                    let line = lines.remove(from);
                    lines.insert(to, line);
                });
                if good.0[0].starts_with("GET") {
                    assert_eq!(moved.as_request(), 101);
                } else {
                    assert!(moved.as_answer());
                }
            }
        }
    }
}

#[test]
fn a_start_line_that_is_not_the_first_is_refused() {
    for from in 1..Head::good_request().0.len() {
        let head = Head::good_request().with(|lines| lines.swap(0, from));
        assert_eq!(head.as_request(), 400);
    }
    for from in 1..Head::good_answer().0.len() {
        let head = Head::good_answer().with(|lines| lines.swap(0, from));
        assert!(!head.as_answer());
    }
}

#[test]
fn field_names_and_tokens_are_understood_in_any_case() {
    let good = Head::good_request();
    for index in good.fields() {
        let (name, value) = good.field(index);
        for name in recased(name) {
            let head = good.with(|lines| lines[index] = format!("{name}: {value}"));
            assert_eq!(head.as_request(), 101, "{name}");
        }
    }
    for value in recased("websocket") {
        assert_eq!(good.set("Upgrade", &value).as_request(), 101, "{value}");
        assert!(Head::good_answer().set("Upgrade", &value).as_answer());
    }
    for value in recased("upgrade") {
        assert_eq!(good.set("Connection", &value).as_request(), 101);
        assert!(Head::good_answer().set("Connection", &value).as_answer());
    }
}

#[test]
fn keys_are_compared_with_case() {
    for accept in recased(ACCEPT) {
        let head = Head::good_answer().set("Sec-WebSocket-Accept", &accept);
        assert!(!head.as_answer(), "{accept}");
    }
}

#[test]
fn upgrade_and_connection_are_lists() {
    let request = Head::good_request();
    let answer = Head::good_answer();
    let check = |name: &str, value: &str, good: bool| {
        let status = request.set(name, value).as_request();
        assert_eq!(status, if good { 101 } else { 400 }, "{name}: {value}");
        assert_eq!(answer.set(name, value).as_answer(), good, "{name}: {value}");
        // As two fields.
        let head = request.without(name).plus(&format!("{name}: other"));
        let status = head.plus(&format!("{name}: {value}")).as_request();
        assert_eq!(status, if good { 101 } else { 400 }, "{name}: {value}");
    };
    for value in
        ["keep-alive, Upgrade", "Upgrade,keep-alive", "a,b , upgrade\t, c", ",,upgrade,,", "upgrade,upgrade"]
    {
        check("Connection", value, true);
    }
    for value in ["h2c, websocket", "websocket , x", ",websocket"] {
        check("Upgrade", value, true);
    }
    for value in ["", "close", "keep-alive", "upgraded", "up grade", "upgrade;q=1", "\"upgrade\""] {
        check("Connection", value, false);
    }
    for value in ["", "h2c", "websockets", "web socket", "websocket/13", "xwebsocket"] {
        check("Upgrade", value, false);
    }
}

#[test]
fn white_space_around_a_value_means_nothing() {
    for good in [Head::good_request(), Head::good_answer()] {
        for index in good.fields() {
            let (name, value) = good.field(index);
            for (before, after) in [("", ""), ("  ", " "), ("\t", "\t \t"), (" \t ", "")] {
                let line = format!("{name}:{before}{value}{after}");
                let head = good.with(|lines| lines[index] = line);
                match good.0[0].starts_with("GET") {
                    true => assert_eq!(head.as_request(), 101),
                    false => assert!(head.as_answer()),
                }
            }
        }
    }
}

#[test]
fn what_other_parsers_might_read_differently_is_refused() {
    for good in [Head::good_request(), Head::good_answer()] {
        for index in good.fields() {
            let (name, value) = good.field(index);
            for line in [
                // Folded: the value on a line of its own.
                format!("{name}:\r\n {value}"),
                format!("{name}: {value}\r\n\tmore"),
                format!(" {name}: {value}"),
                // Space before the colon.
                format!("{name} : {value}"),
                format!("{name}\t: {value}"),
                // Not a name.
                name.to_string(),
                format!(": {value}"),
                format!("na me: {value}"),
                format!("näme: {value}"),
                format!("name\u{7f}: {value}"),
                // Bare line ends and control characters.
                format!("{name}: {value}\n"),
                format!("{name}: {value}\r"),
                format!("{name}: {value}\r\r"),
                format!("{name}: \r{value}"),
                format!("{name}: {value}\nInjected: 1"),
                format!("{name}: {value}\rInjected: 1"),
                format!("{name}: {value}\0"),
                format!("\0{name}: {value}"),
                format!("{name}: {value}\u{1}"),
                format!("{name}: {value}\u{b}"),
                format!("{name}: {value}\u{c}"),
                format!("{name}: \u{c}{value}"),
                format!("{name}: {value}\u{7f}"),
            ] {
                let head = good.with(|lines| lines[index] = line.clone());
                match good.0[0].starts_with("GET") {
                    true => assert_eq!(head.as_request(), 400, "{line:?}"),
                    false => assert!(!head.as_answer(), "{line:?}"),
                }
            }
        }
    }
}

#[test]
fn text_in_any_encoding_passes_in_values() {
    let head = Head::good_request().plus("X-Name: Jürgen").plus("Empty:");
    assert_eq!(head.as_request(), 101);
}

#[test]
fn other_websocket_versions_are_refused_with_426() {
    for version in ["8", "7", "0", "14", "130", "013", "13, 8", "13;", "", "x"] {
        let head = Head::good_request().set("Sec-WebSocket-Version", version);
        assert_eq!(head.as_request(), 426, "{version:?}");
    }
}

#[test]
fn a_request_with_a_body_is_refused() {
    let good = Head::good_request();
    assert_eq!(good.plus("Content-Length: 0").as_request(), 101);
    assert_eq!(good.plus("Content-Length: 5").as_request(), 400);
    assert_eq!(good.plus("Content-Length:").as_request(), 400);
    assert_eq!(good.plus("Transfer-Encoding: chunked").as_request(), 400);
}

#[test]
fn an_empty_host_is_a_host() {
    let bytes = Head::good_request().set("Host", "").bytes();
    let request = parse_request(&bytes).expect("a good request");
    assert_eq!(request.host, b"");
}

#[test]
fn an_answer_to_another_key_is_refused() {
    let bytes = Head::good_answer().bytes();
    assert!(check_response(&bytes, b"AAAAAAAAAAAAAAAAAAAAAA==").is_err());
}

#[test]
fn extensions_and_subprotocols_that_were_not_asked_for_are_refused() {
    let good = Head::good_answer();
    for name in ["Sec-WebSocket-Extensions", "sec-websocket-protocol"] {
        assert!(good.plus(&format!("{name}:")).as_answer());
        assert!(!good.plus(&format!("{name}: x")).as_answer());
        assert!(!good.plus(&format!("{name}:")).plus(&format!("{name}: x")).as_answer());
    }
}

#[test]
fn every_single_byte_changed_to_every_other_is_judged_without_harm() {
    let request = Head::good_request().bytes();
    let answer = Head::good_answer().bytes();
    for index in 0..request.len() {
        for byte in 0..=255 {
            let mut bytes = request.clone();
            bytes[index] = byte;
            if let Ok(Scan::Complete(len)) = HeadScan::new().scan(&bytes)
                && let Ok(request) = parse_request(&bytes[..len])
            {
                assert!(is_valid_key(request.key));
                assert!(request.resource.iter().all(|&b| b > b' ' && b != 0x7f));
                assert!(!request.host.iter().any(|&b| b == 0 || b == b'\r' || b == b'\n'));
            }
            // Without the scan before it.
            let _ = parse_request(&bytes);
        }
    }
    let start = answer.windows(2).position(|bytes| bytes == b"s3");
    let accept = start.expect("the accept key")..;
    for index in 0..answer.len() {
        for byte in (0..=255).filter(|byte| *byte != answer[index]) {
            let mut bytes = answer.clone();
            bytes[index] = byte;
            let scan = HeadScan::new().scan(&bytes);
            let verdict = check_response(&bytes, KEY);
            if scan.is_ok() && verdict.is_ok() {
                let key = accept.start..accept.start + 28;
                assert!(!key.contains(&index), "accepted another key");
            }
        }
    }
}

#[test]
fn random_bytes_are_judged_without_harm() {
    let mut random = Rng::new(7);
    let parts: [&[u8]; 16] = [
        b"GET ",
        b"/",
        b" HTTP/1.1",
        b"\r\n",
        b"\r",
        b"\n",
        b":",
        b" ",
        b"\t",
        b"Host",
        b"Upgrade",
        b"websocket",
        b"Connection",
        b"HTTP/1.1 101 ",
        b"\0",
        b"http://",
    ];
    for _ in 0..times(50_000) {
        let picks = random.below(20);
        let bytes = (0..picks).map(|_| random.pick(&parts)).collect::<Vec<_>>();
        let bytes = bytes.concat();
        let _ = HeadScan::new().scan(&bytes);
        let _ = parse_request(&bytes);
        let _ = check_response(&bytes, KEY);
    }
}

#[test]
fn a_refusal_names_the_rule() {
    let good = Head::good_request();
    for (line, rule) in [
        ("X: y\r\n z", "RFC 9112, 5.2: folded line"),
        ("X: y\r\n\tz", "RFC 9112, 5.2: folded line"),
        ("X : y", "RFC 9112, 5.1: space before the colon"),
        ("X\t: y", "RFC 9112, 5.1: space before the colon"),
        ("X", "RFC 9112, 5: no colon"),
        ("X@: y", "RFC 9110, 5.1: malformed field name"),
        ("X: \u{1}", "RFC 9110, 5.5: control character in a field"),
    ] {
        let bytes = good.plus(line).bytes();
        let refusal = parse_request(&bytes).expect_err("malformed");
        assert_eq!(refusal.rule, rule, "{line:?}");
    }
}
