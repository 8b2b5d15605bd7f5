//! URLs, redirects, proxies and `no_proxy`. The input is a URL, a Location, a proxy and a list, in lines.

#![no_main]

use dill::fuzzing::dial::no_proxy;
use dill::fuzzing::dial::proxy::{self, Proxy};
use dill::fuzzing::dial::url::Url;
use dill::fuzzing::http::grammar::{is_text, is_word};
use dill::fuzzing::ws::handshake::{ClientRequest, KEY_LEN, parse_request_head};
use libfuzzer_sys::fuzz_target;

const KEY: &[u8; KEY_LEN] = b"dGhlIHNhbXBsZSBub25jZQ==";

fn check(url: &Url) {
    assert!(is_word(url.resource()) && url.resource()[0] == b'/' && url.resource().is_ascii());
    let host = url.host_field().expect("memory");
    let authorization = url.authorization().expect("what was accepted is well-formed");
    assert!(authorization.as_deref().is_none_or(is_text));
    let request = ClientRequest {
        authorization: authorization.as_deref(),
        ..ClientRequest::new(url.resource(), &host, KEY)
    };
    let bytes = request.to_bytes().expect("what was accepted can be sent");
    let parsed = parse_request_head(&bytes).expect("a good request");
    assert_eq!((parsed.resource, parsed.host), (url.resource(), Some(&host[..])));
    let scheme: &[u8] = if url.secure { b"wss://" } else { b"ws://" };
    let again = Url::parse(&[scheme, &host, url.resource()].concat()).expect("a good URL");
    assert!(again.is_same_origin(url) && again.resource() == url.resource());
}

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (url, location, proxy, list) = (line(), line(), line(), line());
    let url = Url::parse(url)
        .or_else(|_| Url::parse(b"wss://user:password@example.org:8443/a/b/c?d"))
        .expect("a good URL");
    check(&url);
    if let Ok(target) = url.redirect(location) {
        check(&target);
        assert!(
            url.is_same_origin(&target) || target.authorization() == Ok(None) || location.contains(&b'@')
        );
    }
    if let Ok(proxy) = Proxy::parse(proxy) {
        let head = proxy.connect_request(url.host(), url.port()).expect("memory");
        assert_eq!(parse_request_head(&head).expect("a good request").method, b"CONNECT");
        assert!(proxy.login().is_ok() && proxy.port() > 0);
    }
    let bypassed = no_proxy::matches(list, url.host(), url.port());
    let chosen = proxy::from_environment(true, url.host(), url.port(), |name| match name.to_bytes() {
        b"https_proxy" => Some(proxy),
        b"no_proxy" => Some(list),
        _ => None,
    });
    assert!(!bypassed || chosen == Ok(None));
});
