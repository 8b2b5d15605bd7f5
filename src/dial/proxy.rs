//! Proxies: which one is to be used, and what is said to one of HTTP. No I/O.

#![forbid(unsafe_code)]

use super::authority::{self, Authority, Login, push, write_host_and_port};
use super::no_proxy;
use crate::ws::handshake::BuildError;
use core::ffi::CStr;

/// What the proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// CONNECT of HTTP (RFC 9110, 9.3.6).
    Http,
    /// SOCKS5 (RFC 1928). The proxy resolves the names.
    Socks5,
}

/// `http://user:password@host:port`
#[derive(Debug, PartialEq, Eq)]
pub struct Proxy {
    /// What it speaks.
    pub protocol: ProxyProtocol,
    userinfo: Option<Vec<u8>>,
    host: Vec<u8>,
    port: u16,
}

impl Proxy {
    /// Takes the URL of a proxy apart: `http`, `socks5`, or `socks5h`, which is the same here. Without a
    /// scheme it is `http`, as in many an environment. Without a port it is 80 or 1080.
    pub fn parse(text: &[u8]) -> Result<Proxy, BuildError> {
        let scheme = text.windows(3).position(|bytes| bytes == b"://");
        let (scheme, rest) = scheme.map_or((&b"http"[..], text), |end| (&text[..end], &text[end + 3..]));
        let (protocol, default_port) = match scheme {
            scheme if scheme.eq_ignore_ascii_case(b"http") => (ProxyProtocol::Http, 80),
            scheme if scheme.eq_ignore_ascii_case(b"socks5") => (ProxyProtocol::Socks5, 1080),
            scheme if scheme.eq_ignore_ascii_case(b"socks5h") => (ProxyProtocol::Socks5, 1080),
            _ => return Err(BuildError::Invalid("the scheme of the proxy is neither http nor socks5")),
        };
        let Authority { userinfo, host, port } = Authority::parse(rest.strip_suffix(b"/").unwrap_or(rest))?;
        let copy = |bytes: &[u8]| {
            let mut copy = Vec::new();
            push(&mut copy, bytes).map(|()| copy)
        };
        Ok(Proxy {
            protocol,
            userinfo: userinfo.map(copy).transpose()?,
            host: copy(host)?,
            port: port.unwrap_or(default_port),
        })
    }

    /// A name, or an address without brackets.
    pub fn host(&self) -> &[u8] {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// User name and password, decoded.
    pub fn login(&self) -> Result<Option<Login>, BuildError> {
        self.userinfo.as_deref().map(authority::login).transpose()
    }

    /// The head that asks a proxy of HTTP for a tunnel, to be sent in one write. It has answered well if
    /// the status is 200 to 299; what follows that head is the tunnel.
    pub fn connect_request(&self, host: &[u8], port: u16) -> Result<Vec<u8>, BuildError> {
        let mut head = Vec::new();
        push(&mut head, b"CONNECT ")?;
        write_host_and_port(&mut head, host, port)?;
        // RFC 9112, 3.2: for the authority-form, Host is the same.
        push(&mut head, b" HTTP/1.1\r\nHost: ")?;
        write_host_and_port(&mut head, host, port)?;
        if let Some(userinfo) = &self.userinfo {
            push(&mut head, b"\r\nProxy-Authorization: ")?;
            push(&mut head, &authority::basic(userinfo)?)?;
        }
        push(&mut head, b"\r\n\r\n")?;
        Ok(head)
    }
}

/// The proxy that the environment names for a URL. `variable` gets the value of one of its variables; an
/// empty one is as good as none.
///
/// Never `HTTP_PROXY`: a server that runs programs for its clients (CGI) has it set by them.
pub fn from_environment<'v>(
    secure: bool,
    host: &[u8],
    port: u16,
    variable: impl Fn(&CStr) -> Option<&'v [u8]>,
) -> Result<Option<Proxy>, BuildError> {
    let names: &[&CStr] = match secure {
        true => &[c"wss_proxy", c"WSS_PROXY", c"https_proxy", c"HTTPS_PROXY", c"all_proxy", c"ALL_PROXY"],
        false => &[c"ws_proxy", c"WS_PROXY", c"http_proxy", c"all_proxy", c"ALL_PROXY"],
    };
    let set = |name: &&CStr| variable(name).filter(|value| !value.is_empty());
    let exceptions = [c"no_proxy", c"NO_PROXY"].iter().find_map(set).unwrap_or_default();
    match names.iter().find_map(set) {
        Some(proxy) if !no_proxy::matches(exceptions, host, port) => Proxy::parse(proxy).map(Some),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_protocol_host_port_and_login() {
        for (text, protocol, host, port) in [
            ("http://a", ProxyProtocol::Http, "a", 80),
            ("HTTP://a:3128/", ProxyProtocol::Http, "a", 3128),
            ("a:3128", ProxyProtocol::Http, "a", 3128),
            ("socks5://[::1]", ProxyProtocol::Socks5, "::1", 1080),
            ("Socks5h://me:secret@a:9050", ProxyProtocol::Socks5, "a", 9050),
        ] {
            let proxy = Proxy::parse(text.as_bytes()).unwrap();
            assert_eq!(
                (proxy.protocol, proxy.host(), proxy.port()),
                (protocol, host.as_bytes(), port),
                "{text}"
            );
        }
        for text in [
            "",
            "://a",
            "https://a",
            "socks4://a",
            "http://",
            "http://a/b",
            "http:///",
            "http://a b",
            "a:0",
            "a\r\n",
        ] {
            assert!(Proxy::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        let login = |text: &str| Proxy::parse(text.as_bytes()).unwrap().login().unwrap();
        assert_eq!(login("http://a"), None);
        assert_eq!(login("socks5://me:%73ecret@a"), Some((b"me".to_vec(), b"secret".to_vec())));
    }

    #[test]
    fn a_tunnel_is_asked_for_by_host_and_port() {
        let ask = |proxy: &str, host: &str, port| {
            let head = Proxy::parse(proxy.as_bytes()).unwrap().connect_request(host.as_bytes(), port);
            String::from_utf8(head.unwrap()).unwrap()
        };
        assert_eq!(ask("http://a", "b", 443), "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n");
        assert_eq!(
            ask("http://Aladdin:open%20sesame@a", "::1", 80),
            "CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        );
    }

    #[test]
    fn the_environment_names_a_proxy_for_each_scheme() {
        let choose = |secure: bool, variables: &[(&str, &'static str)]| {
            let get = |name: &CStr| {
                let found = variables.iter().find(|(other, _)| other.as_bytes() == name.to_bytes());
                found.map(|(_, value)| value.as_bytes())
            };
            let proxy = from_environment(secure, b"www.example.org", 443, get);
            proxy.map(|proxy| proxy.map(|proxy| String::from_utf8(proxy.host).unwrap())).map_err(|_| ())
        };
        let some = |host: &str| Ok(Some(host.to_string()));
        assert_eq!(choose(true, &[]), Ok(None));
        assert_eq!(choose(true, &[("https_proxy", "a"), ("all_proxy", "b")]), some("a"));
        assert_eq!(choose(true, &[("https_proxy", "a"), ("wss_proxy", "b")]), some("b"));
        assert_eq!(choose(true, &[("HTTPS_PROXY", "a"), ("https_proxy", "b")]), some("b"));
        assert_eq!(choose(true, &[("https_proxy", ""), ("HTTPS_PROXY", "b")]), some("b"));
        assert_eq!(choose(true, &[("http_proxy", "a"), ("ALL_PROXY", "b")]), some("b"));
        assert_eq!(choose(false, &[("https_proxy", "a")]), Ok(None));
        assert_eq!(choose(false, &[("http_proxy", "a")]), some("a"));
        assert_eq!(choose(false, &[("ws_proxy", "a"), ("http_proxy", "b")]), some("a"));
        assert_eq!(choose(false, &[("HTTP_PROXY", "a")]), Ok(None));
        assert_eq!(choose(true, &[("https_proxy", "a"), ("no_proxy", "example.org")]), Ok(None));
        assert_eq!(choose(true, &[("https_proxy", "a"), ("NO_PROXY", "*")]), Ok(None));
        assert_eq!(choose(true, &[("https_proxy", "ftp://a")]), Err(()));
        assert_eq!(choose(true, &[("https_proxy", "ftp://a"), ("no_proxy", "*")]), Ok(None));
    }
}
