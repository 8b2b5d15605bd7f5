//! What both sides may say besides in the opening handshake: headers, subprotocols, origins.

use super::head::{Head, KEY};
use crate::error::Errno;
use crate::ws::handshake::body::Body;
use crate::ws::handshake::header::Header;
use crate::ws::handshake::*;

fn headers<'a>(texts: &[&'a str]) -> Vec<Header<'a>> {
    texts.iter().map(|text| Header::new(text.as_bytes()).expect("a good header")).collect()
}

fn is_invalid<T>(made: Result<T, BuildError>) -> bool {
    matches!(made, Err(BuildError::Invalid(rule)) if !rule.is_empty())
}

#[test]
fn a_client_sends_all_that_the_program_wants_to_be_said() {
    let headers = headers(&["Cookie: a=b; c=d", "X-Empty:", "X-Text:\t tab\tj\u{fc}st "]);
    let request = ClientRequest {
        origin: Some(b"https://example.org"),
        authorization: Some(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        subprotocols: &[b"mqtt", b"chat"],
        extensions: Some(b"permessage-deflate; client_max_window_bits"),
        headers: &headers,
        ..ClientRequest::new(b"/chat", b"example.com:8080", KEY)
    };
    assert_eq!(
        String::from_utf8(request.to_bytes().expect("a good request")).expect("UTF-8"),
        "GET /chat HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Origin: https://example.org\r\nSec-WebSocket-Protocol: mqtt, chat\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
         Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\
         Cookie: a=b; c=d\r\nX-Empty: \r\nX-Text: tab\tj\u{fc}st\r\n\r\n"
    );
}

#[test]
fn what_cannot_be_made_is_the_callers_fault_or_a_lack_of_memory() {
    assert_eq!(Errno::from(BuildError::Invalid("rule")), Errno::EINVAL);
    assert_eq!(Errno::from(BuildError::NoMemory), Errno::ENOMEM);
}

#[test]
fn headers_that_are_malformed_or_the_handshakes_are_refused() {
    for text in [
        "",
        "X",
        ": x",
        "X : y",
        " X: y",
        "X: y\r\nInjected: 1",
        "X: y\n",
        "X: \ry",
        "X: \0",
        "X: \u{1}",
        "X: \u{7f}",
        "X Y: z",
        "X@: y",
        "\u{fc}: x",
        "Upgrade: h2c",
        "connection: close",
        "SEC-WEBSOCKET-KEY: x",
        "Sec-WebSocket-Anything: x",
        "Content-Length: 0",
        "transfer-encoding: chunked",
    ] {
        assert!(is_invalid(Header::new(text.as_bytes())), "{text:?}");
    }
    for text in ["Upgraded: x", "Sec-WebSocke: x", "Sec: x", "Host: a", "Content-Type: text/html"] {
        assert!(Header::new(text.as_bytes()).is_ok(), "{text:?}");
    }
}

#[test]
fn no_control_character_of_an_argument_gets_out() {
    for byte in (0..0x20).filter(|byte| *byte != b'\t').chain([0x7f]) {
        for text in [vec![byte], vec![b'a', byte], vec![b'a', byte, b'b'], vec![byte, b'a']] {
            let good = ClientRequest::new(b"/", b"a", KEY);
            assert!(is_invalid(ClientRequest { origin: Some(&text), ..good }.to_bytes()));
            assert!(is_invalid(ClientRequest { authorization: Some(&text), ..good }.to_bytes()));
            assert!(is_invalid(ClientRequest { extensions: Some(&text), ..good }.to_bytes()));
            assert!(is_invalid(ClientRequest { subprotocols: &[&text], ..good }.to_bytes()));
            assert!(is_invalid(Header::new(&[b"X: ", &text[..]].concat())));
            assert!(is_invalid(Header::new(&[&text[..], b": x"].concat())));
            assert!(is_invalid(Accept { subprotocol: Some(&text), ..Accept::new(KEY) }.to_bytes()));
            assert!(is_invalid(Accept { extensions: Some(&text), ..Accept::new(KEY) }.to_bytes()));
        }
    }
}

#[test]
fn host_and_authorization_of_the_program_take_the_place_of_ours() {
    let own = headers(&["host: other", "authorization: Bearer x"]);
    let request = ClientRequest {
        authorization: Some(b"Basic eA=="),
        headers: &own,
        ..ClientRequest::new(b"/", b"a", KEY)
    };
    let text = String::from_utf8(request.to_bytes().expect("a good request")).expect("UTF-8");
    assert!(text.contains("host: other\r\n") && !text.contains("Host: a"));
    assert!(text.contains("authorization: Bearer x\r\n") && !text.contains("Basic"));
    for twice in [["Host: a", "HOST: b"], ["Origin: null", "Origin: null"]] {
        let own = headers(&twice);
        assert!(is_invalid(
            ClientRequest { headers: &own, ..ClientRequest::new(b"/", b"a", KEY) }.to_bytes()
        ));
    }
    let own = headers(&["Origin: null"]);
    let request = ClientRequest { headers: &own, ..ClientRequest::new(b"/", b"a", KEY) };
    assert!(request.to_bytes().expect("a good request").ends_with(b"\r\nOrigin: null\r\n\r\n"));
    let request =
        ClientRequest { origin: Some(b"null"), headers: &own, ..ClientRequest::new(b"/", b"a", KEY) };
    assert!(is_invalid(request.to_bytes()));
}

#[test]
fn subprotocols_are_tokens_and_different() {
    for list in [&[&b""[..]][..], &[b"a b"], &[b"a,b"], &[b"a", b"b", b"a"]] {
        assert!(is_invalid(subprotocol::check(list)));
    }
    assert!(subprotocol::check(&[]).is_ok() && subprotocol::check(&[b"a", b"A", b"v1.x"]).is_ok());
}

#[test]
fn the_server_chooses_the_first_of_its_own_that_is_offered() {
    let choose = |offers: &[&str], spoken: &[&'static [u8]]| {
        let mut head = Head::good_request().without("Sec-WebSocket-Protocol");
        for offer in offers {
            head = head.plus(&format!("Sec-WebSocket-Protocol: {offer}"));
        }
        subprotocol::choose(spoken, parse_request_head(&head.bytes()).expect("a good request").fields)
    };
    assert_eq!(choose(&["chat, superchat"], &[b"superchat", b"chat"]), Some(&b"superchat"[..]));
    assert_eq!(choose(&["chat", "superchat"], &[b"superchat"]), Some(&b"superchat"[..]));
    assert_eq!(choose(&["chat,\tx"], &[b"x"]), Some(&b"x"[..]));
    for (offers, spoken) in
        [(&["chat"][..], &b"Chat"[..]), (&["chats"], b"chat"), (&[], b"chat"), (&[""], b"")]
    {
        assert_eq!(choose(offers, &[spoken]), None);
    }
    assert_eq!(choose(&["chat"], &[]), None);
}

#[test]
fn a_client_accepts_what_it_has_offered_and_nothing_else() {
    let accept = |lines: &[&str], subprotocols: &[&[u8]], extensions| {
        let mut head = Head::good_answer();
        for line in lines {
            head = head.plus(line);
        }
        let bytes = head.bytes();
        let answer = parse_answer_head(&bytes).expect("well-formed");
        let accepted = answer.accept(&Offered { key: KEY, subprotocols, extensions });
        accepted.map(|accepted| accepted.subprotocol.map(<[u8]>::to_vec)).map_err(|refusal| refusal.rule)
    };
    let offered: &[&[u8]] = &[b"mqtt", b"chat"];
    assert_eq!(accept(&["Sec-WebSocket-Protocol: chat"], offered, false), Ok(Some(b"chat".to_vec())));
    assert_eq!(accept(&[], offered, false), Ok(None));
    for lines in [
        &["Sec-WebSocket-Protocol: Chat"][..],
        &["Sec-WebSocket-Protocol: chat, mqtt"],
        &["Sec-WebSocket-Protocol: other"],
        &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"],
    ] {
        assert!(accept(lines, offered, false).is_err(), "{lines:?}");
    }
    let extension = &["Sec-WebSocket-Extensions: permessage-deflate"];
    assert_eq!(accept(extension, &[], true), Ok(None));
    assert!(accept(extension, &[], false).is_err());
}

#[test]
fn origins_are_compared_by_scheme_host_and_port() {
    let listed = |origin: &str, listed: &str| origin::is_listed(origin.as_bytes(), &[listed.as_bytes()]);
    for (origin, list) in [
        ("https://example.org", "https://example.org"),
        ("HTTPS://Example.ORG", "https://example.org"),
        ("https://example.org:443", "https://example.org"),
        ("https://example.org", "https://example.org:443"),
        ("http://example.org:80", "http://EXAMPLE.org"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://www.example.org", "https://*.example.org"),
        ("https://a.b.Example.org", "https://*.example.org"),
        ("https://a.example.org:8443", "https://*.example.org:8443"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("wss://example.org", "wss://example.org:443"),
        ("ws://example.org", "ws://example.org:80"),
        ("null", "null"),
    ] {
        assert!(listed(origin, list), "{origin} {list}");
    }
    for (origin, list) in [
        ("http://example.org", "https://example.org"),
        ("https://example.org:8443", "https://example.org"),
        ("https://example.org", "https://*.example.org"),
        ("https://.example.org", "https://*.example.org"),
        ("https://evilexample.org", "https://*.example.org"),
        ("https://example.org.evil.com", "https://example.org"),
        ("https://www.example.org", "https://example.org"),
        ("https://*.example.org", "https://*.example.org"),
        ("https://user@example.org", "https://example.org"),
        ("https://evil.com/.example.org", "https://*.example.org"),
        ("https://evil.com#.example.org", "https://*.example.org"),
        ("https://example.org/", "https://example.org"),
        ("https://example.org, https://example.org", "https://example.org"),
        ("https://exam\u{7f}ple.org", "https://example.org"),
        ("ht~tp://example.org", "http://example.org"),
        ("https://example.org:0", "https://example.org"),
        ("https://example.org:", "https://example.org"),
        ("https://example.org:443:443", "https://example.org"),
        ("https://example.org:+443", "https://example.org"),
        ("https://example.org:65979", "https://example.org"),
        ("https://example.org.", "https://example.org"),
        ("https:example.org", "https://example.org"),
        ("https:///example.org", "https://example.org"),
        ("https://[::1].example.org", "https://*.example.org"),
        ("https://a%2eexample.org", "https://*.example.org"),
        ("https://\u{e4}.example.org", "https://*.example.org"),
        ("https://example.org https://example.org", "https://example.org"),
        ("NULL", "null"),
        ("null", "https://example.org"),
        ("", "https://example.org"),
    ] {
        assert!(!listed(origin, list), "{origin} {list}");
    }
}

#[test]
fn lists_of_origins_are_checked() {
    let check = |origin: &str| origin::check(&[b"null", origin.as_bytes()]);
    for good in ["null", "https://a.b", "http://a:1", "https://*.a.b", "http://[::1]", "app://x"] {
        assert!(check(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "*",
        "example.org",
        "https://",
        "https://*",
        "https://*.",
        "https://a.*.b",
        "https://*a.b",
        "https://a/",
        "https://a:",
        "https://a:x",
        "https://a:65536",
        "https://a b",
        "https://a\r\n",
        "://a",
        "1s://a",
        "https://[::1",
        "https://[x]",
        "https://u@a",
        "https://a:0",
        "https://\u{e4}.b",
        "https://a%62",
        "https://a\"b",
        "Null",
    ] {
        assert!(is_invalid(check(bad)), "{bad}");
    }
}

#[test]
fn a_client_sends_one_origin_and_no_pattern() {
    let send = |origin: &str| {
        ClientRequest { origin: Some(origin.as_bytes()), ..ClientRequest::new(b"/", b"a", KEY) }.to_bytes()
    };
    for good in ["null", "https://a.b", "http://[::1]:1", "app://.", "https://a:65535"] {
        let head = String::from_utf8(send(good).expect("a good origin")).expect("ASCII");
        assert!(head.contains(&format!("\r\nOrigin: {good}\r\n")), "{good}");
    }
    for bad in ["", "a", "https://*.a", "https://a:0", "https://a/", "https://a, https://b", "https://\u{e4}"]
    {
        assert!(is_invalid(send(bad)), "{bad}");
    }
}

#[test]
fn a_request_is_judged_by_its_origin() {
    let status = |head: Head| {
        let bytes = head.bytes();
        let fields = parse_request_head(&bytes).expect("well-formed").fields;
        origin::judge(fields, &[b"http://example.com"]).map_err(|refusal| refusal.status)
    };
    let good = Head::good_request();
    assert_eq!(status(good.clone()), Ok(()));
    assert_eq!(status(good.without("Origin")), Ok(()));
    assert_eq!(status(good.set("Origin", "http://example.org")), Err(Some(403)));
    assert_eq!(status(good.set("Origin", "")), Err(Some(403)));
    assert_eq!(status(good.plus("Origin: http://example.com")), Err(Some(400)));
}

#[test]
fn any_well_formed_request_can_be_asked_about() {
    let head = Head::of(&[
        "POST http://a.example:80/x?y HTTP/1.1",
        "Host: b",
        "cookie: a=b",
        "Accept: text/html",
        "Set-Cookie: x",
        "COOKIE: c=d",
        "accept: */*",
        "Set-Cookie: y",
        "Empty:",
        "Content-Length: 3",
        "Connection: close",
    ]);
    let stored = StoredHead::request(&head.bytes()).expect("memory").expect("well-formed");
    let get = |name: &str| {
        let mut place = [0xff; 32];
        let len = stored.store(name.as_bytes(), Some(&mut place))?;
        assert_eq!((place[len], stored.store(name.as_bytes(), None)), (0, Ok(len)));
        assert_eq!(stored.store(name.as_bytes(), Some(&mut place[..len])), Err(Errno::EMSGSIZE));
        assert!(stored.store(name.as_bytes(), Some(&mut place[..len + 1])).is_ok());
        Ok(String::from_utf8(place[..len].to_vec()).expect("UTF-8"))
    };
    for (name, value) in [
        (":method", "POST"),
        (":Path", "/x?y"),
        (":authority", "a.example:80"),
        ("Host", "b"),
        ("Cookie", "a=b; c=d"),
        ("ACCEPT", "text/html, */*"),
        ("set-cookie", "x"),
        ("Empty", ""),
    ] {
        assert_eq!(get(name), Ok(value.to_string()), "{name}");
    }
    for name in ["X", "", ":status", "Cooki"] {
        assert_eq!(get(name), Err(Errno::ENOENT), "{name}");
    }
    let third = stored.field(2).expect("a field");
    assert_eq!((third.name, third.value), (&b"Accept"[..], &b"text/html"[..]));
    assert!(stored.field(9).is_ok());
    assert_eq!(stored.field(10), Err(Errno::ENOENT));
    let request = stored.as_request().expect("a request");
    assert!(!request.is_upgrade() && !request.is_persistent());
    assert_eq!(request.body, Body::Sized(3));
    assert!(stored.as_answer().is_none());
}

#[test]
fn an_answer_can_be_asked_about() {
    let head = Head::of(&["HTTP/1.1 503 Service Unavailable", "Retry-After: 1"]);
    let stored = StoredHead::answer(&head.bytes()).expect("memory").expect("well-formed");
    let mut place = [0; 8];
    assert_eq!(stored.store(b":status", Some(&mut place)), Ok(3));
    assert_eq!(&place[..4], b"503\0");
    assert_eq!(stored.store(b"retry-after", None), Ok(1));
    let answer = stored.as_answer().expect("an answer");
    assert_eq!((answer.status, answer.reason, answer.minor), (503, &b"Service Unavailable"[..], 1));
    assert!(StoredHead::answer(b"HTTP/1.1\r\n\r\n").expect("memory").is_err());
    assert!(StoredHead::request(b"GET /\r\n\r\n").expect("memory").is_err());
}

#[test]
fn a_stored_head_is_read_as_it_was_judged() {
    let good = Head::good_request().bytes();
    for head in [good.clone(), [b"\r\n", &good[..]].concat()] {
        let stored = StoredHead::request(&head).expect("memory").expect("well-formed");
        let judged = parse_request_head(&head).expect("well-formed");
        assert_eq!(stored.as_request(), Some(judged));
        let all: Vec<_> = judged.fields.iter().collect();
        let by_index: Vec<_> = (0..).map_while(|index| stored.field(index).ok()).collect();
        assert_eq!(by_index, all);
        assert!(all.len() > 4);
    }
}

#[test]
fn requests_of_http_1_0_need_no_host_and_are_no_upgrades() {
    let head = Head::good_request().start("GET / HTTP/1.0");
    let bytes = head.without("Host").bytes();
    let request = parse_request_head(&bytes).expect("well-formed");
    assert_eq!((request.host, request.is_upgrade(), request.is_persistent()), (None, false, false));
    assert_eq!(head.as_request(), 400);
}

#[test]
fn an_upgrade_that_is_wrong_is_one_all_the_same() {
    let good = Head::good_request();
    for (head, status) in [
        (good.clone(), 101),
        (good.start("POST / HTTP/1.1"), 405),
        (good.set("Sec-WebSocket-Version", "8"), 426),
        (good.without("Sec-WebSocket-Key"), 400),
        (good.without("Connection"), 400),
    ] {
        let bytes = head.bytes();
        let request = parse_request_head(&bytes).expect("well-formed");
        assert!(request.is_upgrade());
        assert_eq!(request.upgrade().map_or_else(|refusal| refusal.status, |_| Some(101)), Some(status));
    }
    let bytes = good.set("Upgrade", "h2c").bytes();
    assert!(!parse_request_head(&bytes).expect("well-formed").is_upgrade());
}

#[test]
fn an_interim_answer_is_any_1xx_but_101() {
    for status in 100..=599 {
        let bytes = Head::of(&[&format!("HTTP/1.1 {status} x")]).bytes();
        let interim = parse_answer_head(&bytes).expect("well-formed").is_interim();
        assert_eq!(interim, status < 200 && status != 101, "{status}");
    }
}

#[test]
fn a_reply_says_how_long_it_is() {
    let own = headers(&["Content-Type: text/html"]);
    let reply = |status, len, close| Reply { status, headers: &own, len, close }.to_bytes();
    let text = |made: Result<Vec<u8>, _>| String::from_utf8(made.expect("a good reply")).expect("UTF-8");
    assert_eq!(
        text(reply(200, 1234, false)),
        "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nContent-Type: text/html\r\n\r\n"
    );
    assert_eq!(
        text(reply(599, 0, true)),
        "HTTP/1.1 599 \r\nContent-Length: 0\r\nConnection: close\r\nContent-Type: text/html\r\n\r\n"
    );
    for status in [204, 304] {
        assert!(!text(reply(status, 0, false)).contains("Content-Length"));
        assert!(is_invalid(reply(status, 1, false)));
    }
    assert!(
        text(reply(426, 0, true)).contains(
            "\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: close, Upgrade\r\n"
        )
    );
    assert!(text(reply(426, 0, false)).contains("\r\nConnection: Upgrade\r\n"));
    for status in [0, 100, 101, 199, 600, 999, u16::MAX] {
        assert!(is_invalid(reply(status, 0, false)), "{status}");
    }
    for status in 200..=599 {
        let bytes = reply(status, 0, false).expect("a good reply");
        assert_eq!(parse_answer_head(&bytes).expect("well-formed").status, status);
    }
    let page = Reply { status: 200, headers: &[], len: 3, close: false };
    assert!(page.has_body(b"GET") && !page.has_body(b"HEAD") && !Reply { len: 0, ..page }.has_body(b"GET"));
}
