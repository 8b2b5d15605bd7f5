//! Request lines and status lines.

use super::head::{Head, KEY};
use crate::ws::handshake::{check_response, parse_request};

#[test]
fn malformed_request_lines_are_refused_with_400() {
    for line in [
        "",
        "GET",
        "GET /",
        "GET / ",
        "GET  HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/\tHTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /\u{1} HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.1x",
        "GET / HTTP/1.",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "GET / HTTP/1.0",
        "GET / HTTP/0.9",
        "GET / HTTP/2.0",
        "GET / HTTP/2",
        "HTTP/1.1 101 Switching Protocols",
    ] {
        let head = Head::good_request().start(line);
        assert_eq!(head.as_request(), 400, "{line:?}");
    }
}

#[test]
fn later_minor_versions_of_http_are_accepted() {
    for minor in 1..=9 {
        let head = Head::good_request().start(&format!("GET / HTTP/1.{minor}"));
        assert_eq!(head.as_request(), 101, "{minor}");
    }
}

#[test]
fn other_methods_are_refused_with_405() {
    for method in ["get", "Get", "POST", "HEAD", "OPTIONS", "CONNECT", "PRI", "GETS"] {
        let head = Head::good_request().start(&format!("{method} / HTTP/1.1"));
        assert_eq!(head.as_request(), 405, "{method}");
    }
}

#[test]
fn the_target_gives_resource_and_host() {
    let parse = |target: &str| {
        let head = Head::good_request().start(&format!("GET {target} HTTP/1.1"));
        let head = head.bytes();
        let request = parse_request(&head).ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((text(request.resource), text(request.host)))
    };
    let some = |resource: &str, host: &str| Some((resource.to_string(), host.to_string()));
    let host = "server.example.com";
    for target in ["/", "/a/b?c=d&e", "//x", "/ä", "chat", "*", "/http://x"] {
        assert_eq!(parse(target), some(target, host));
    }
    // RFC 6455, 4.2.1: an absolute URI, whose host comes before the Host field.
    assert_eq!(parse("http://a.example:80/x?y"), some("/x?y", "a.example:80"));
    assert_eq!(parse("HTTPS://[::1]:443/"), some("/", "[::1]:443"));
    assert_eq!(parse("http://a.example"), some("/", "a.example"));
    for target in ["http://", "http:///x", "http://a?b", "http://a#b", "http://me@a/", "https://"] {
        assert_eq!(parse(target), None, "{target}");
    }
}

#[test]
fn other_statuses_are_reported_and_refused() {
    for status in 0..=999 {
        let head = Head::good_answer().start(&format!("HTTP/1.1 {status:03} Reason"));
        let verdict = check_response(&head.bytes(), KEY);
        match status {
            101 => assert_eq!(verdict, Ok(())),
            _ => {
                let refusal = verdict.expect_err("not 101");
                assert_eq!(refusal.status, Some(status));
            }
        }
    }
}

#[test]
fn the_reason_in_a_status_line_may_be_anything_or_missing() {
    for line in ["HTTP/1.1 101", "HTTP/1.1 101 ", "HTTP/1.1 101 Web Socket Protocol Handshake"] {
        assert!(Head::good_answer().start(line).as_answer(), "{line:?}");
    }
}

#[test]
fn malformed_status_lines_are_refused_without_a_status() {
    for line in [
        "",
        "101",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 10",
        "HTTP/1.1 1O1",
        "HTTP/1.1 1010",
        "HTTP/1.1 101x",
        "HTTP/1.1  101",
        "HTTP/2 101 OK",
        "http/1.1 101 OK",
        "ICY 200 OK",
        "GET / HTTP/1.1",
    ] {
        let bytes = Head::good_answer().start(line).bytes();
        let refusal = check_response(&bytes, KEY).expect_err("malformed");
        assert_eq!(refusal.status, None, "{line:?}");
    }
}

#[test]
fn answers_of_http_1_0_are_understood_but_cannot_accept() {
    for status in [101, 403] {
        let bytes = Head::good_answer().start(&format!("HTTP/1.0 {status} x")).bytes();
        assert_eq!(check_response(&bytes, KEY).expect_err("refused").status, Some(status));
    }
}
