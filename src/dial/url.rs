//! URLs of WebSocket (RFC 6455, 3) and where an answer may redirect to (RFC 9110, 10.2.2). No I/O.

#![forbid(unsafe_code)]

use super::authority::{self, Authority, push, write_host, write_host_and_port};
use crate::ws::handshake::BuildError;

/// `ws://user:password@host:port/path?query`, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Url {
    /// Over TLS.
    pub secure: bool,
    /// Percent-encoded, as it was given.
    userinfo: Option<Vec<u8>>,
    /// A name, or an address without brackets, in lower case.
    host: Vec<u8>,
    port: u16,
    /// The path and the query, as they are to be sent.
    resource: Vec<u8>,
}

impl Url {
    /// Takes a URL of a program apart: `ws` or `wss`, without a fragment.
    pub fn parse(text: &[u8]) -> Result<Url, BuildError> {
        check_characters(text)?;
        if text.contains(&b'#') {
            return Err(BuildError::Invalid("RFC 6455, 3: a fragment in the URL"));
        }
        let (scheme, rest) =
            split_scheme(text).ok_or(BuildError::Invalid("RFC 3986, 3.1: no scheme in the URL"))?;
        let secure = match scheme {
            scheme if scheme.eq_ignore_ascii_case(b"ws") => false,
            scheme if scheme.eq_ignore_ascii_case(b"wss") => true,
            _ => return Err(BuildError::Invalid("RFC 6455, 3: the scheme is neither ws nor wss")),
        };
        Url::absolute(secure, rest)
    }

    /// The URL that an answer redirects to, from this one: of `ws`, `wss`, `http` or `https`, or relative
    /// (RFC 3986, 5.2). A fragment is dropped, since nobody is there to look at it. User name and password
    /// go along to the same origin only.
    pub fn redirect(&self, location: &[u8]) -> Result<Url, BuildError> {
        check_characters(location)?;
        let location = &location[..location.iter().position(|&byte| byte == b'#').unwrap_or(location.len())];
        let mut target = match split_scheme(location) {
            Some((scheme, rest)) => {
                let secure = match scheme {
                    scheme if is_one_of(scheme, [b"ws", b"http"]) => false,
                    scheme if is_one_of(scheme, [b"wss", b"https"]) => true,
                    _ => return Err(BuildError::Invalid("redirected to a scheme that is not of the Web")),
                };
                Url::absolute(secure, rest)?
            }
            None if location.starts_with(b"//") => Url::absolute(self.secure, location)?,
            None => {
                let (host, userinfo) = (copy(&self.host)?, None);
                let resource = self.resolve(location)?;
                Url { secure: self.secure, userinfo, host, port: self.port, resource }
            }
        };
        if target.userinfo.is_none() && self.is_same_origin(&target) {
            target.userinfo = self.userinfo.as_deref().map(copy).transpose()?;
        }
        Ok(target)
    }

    /// From what follows the scheme: `//authority/path?query`.
    fn absolute(secure: bool, rest: &[u8]) -> Result<Url, BuildError> {
        let rest = rest.strip_prefix(b"//").ok_or(BuildError::Invalid("RFC 3986, 3: no host in the URL"))?;
        let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
        let (text, resource) = rest.split_at(end);
        let Authority { userinfo, host, port } = Authority::parse(text)?;
        let mut host = copy(host)?;
        host.make_ascii_lowercase();
        Ok(Url {
            secure,
            userinfo: userinfo.map(copy).transpose()?,
            host,
            port: port.unwrap_or(default_port(secure)),
            resource: as_resource(resource)?,
        })
    }

    /// RFC 3986, 5.2.2, for a reference that has neither a scheme nor an authority.
    fn resolve(&self, reference: &[u8]) -> Result<Vec<u8>, BuildError> {
        let path = &self.resource[..path_len(&self.resource)];
        let mut merged = Vec::new();
        match reference {
            [] => return copy(&self.resource),
            [b'/', ..] => {}
            [b'?', ..] => push(&mut merged, path)?,
            // The last segment is replaced.
            _ => {
                let slash = path.iter().rposition(|&byte| byte == b'/');
                push(&mut merged, &path[..slash.map_or(0, |slash| slash + 1)])?;
            }
        }
        push(&mut merged, reference)?;
        as_resource(&merged)
    }

    /// A name, or an address without brackets, in lower case.
    pub fn host(&self) -> &[u8] {
        &self.host
    }

    /// The one that was given, or the default one of the scheme.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path and the query: the target of the request.
    pub fn resource(&self) -> &[u8] {
        &self.resource
    }

    /// The value of `Host` (RFC 6455, 4.1): the port is there if it is not the default one.
    pub fn host_field(&self) -> Result<Vec<u8>, BuildError> {
        let mut value = Vec::new();
        match self.port == default_port(self.secure) {
            true => write_host(&mut value, &self.host)?,
            false => write_host_and_port(&mut value, &self.host, self.port)?,
        }
        Ok(value)
    }

    /// The value of `Authorization`, if there are a user name and a password.
    pub fn authorization(&self) -> Result<Option<Vec<u8>>, BuildError> {
        self.userinfo.as_deref().map(authority::basic).transpose()
    }

    /// Whether what is for one of them alone is for the other one, too.
    pub fn is_same_origin(&self, other: &Url) -> bool {
        (self.secure, self.port, &self.host) == (other.secure, other.port, &other.host)
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn is_one_of(scheme: &[u8], schemes: [&[u8]; 2]) -> bool {
    schemes.iter().any(|other| scheme.eq_ignore_ascii_case(other))
}

fn copy(bytes: &[u8]) -> Result<Vec<u8>, BuildError> {
    let mut copy = Vec::new();
    push(&mut copy, bytes)?;
    Ok(copy)
}

fn check_characters(text: &[u8]) -> Result<(), BuildError> {
    match text.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
        true => Err(BuildError::Invalid("RFC 3986, 2: space or control character in the URL")),
        false => Ok(()),
    }
}

/// What stands before the colon that follows a scheme (RFC 3986, 3.1), and what behind it.
fn split_scheme(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let in_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let end = text.iter().position(|byte| !in_scheme(byte))?;
    let (scheme, rest) = text.split_at(end);
    let good = scheme.first().is_some_and(u8::is_ascii_alphabetic) && rest[0] == b':';
    good.then(|| (scheme, &rest[1..]))
}

fn path_len(resource: &[u8]) -> usize {
    resource.iter().position(|&byte| byte == b'?').unwrap_or(resource.len())
}

/// A path and a query as a request names them: `/` for an empty path (RFC 6455, 3), without dot segments
/// (RFC 3986, 5.2.4), and with the bytes percent-encoded that are not ASCII, as browsers do. All else is
/// left as it is.
fn as_resource(text: &[u8]) -> Result<Vec<u8>, BuildError> {
    let (path, query) = text.split_at(path_len(text));
    let mut plain = Vec::new();
    let mut segments = path.strip_prefix(b"/").unwrap_or(path).split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    plain.truncate(plain.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
                }
                if segments.peek().is_none() {
                    push(&mut plain, b"/")?;
                }
            }
            _ => {
                push(&mut plain, b"/")?;
                push(&mut plain, segment)?;
            }
        }
    }
    push(&mut plain, query)?;
    let mut resource = Vec::new();
    for &byte in &plain {
        let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
        match byte.is_ascii() {
            true => push(&mut resource, &[byte])?,
            false => push(&mut resource, &[b'%', digit(byte >> 4), digit(byte & 15)])?,
        }
    }
    Ok(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As text: scheme, host with port, resource.
    fn show(url: &Url) -> String {
        let scheme = if url.secure { "wss" } else { "ws" };
        let host = String::from_utf8(url.host_field().unwrap()).unwrap();
        format!("{scheme}://{host}{}", core::str::from_utf8(url.resource()).unwrap())
    }

    fn parse(text: &str) -> Option<String> {
        Url::parse(text.as_bytes()).ok().map(|url| show(&url))
    }

    #[test]
    fn a_url_is_scheme_host_port_and_resource() {
        for (text, shown) in [
            ("ws://example.org", "ws://example.org/"),
            ("WSS://Example.ORG/Path", "wss://example.org/Path"),
            ("ws://a:80/", "ws://a/"),
            ("ws://a:443/", "ws://a:443/"),
            ("wss://a:443/", "wss://a/"),
            ("wss://a:8443", "wss://a:8443/"),
            ("ws://a:", "ws://a/"),
            ("ws://[::1]:9000/x", "ws://[::1]:9000/x"),
            ("ws://[2001:DB8::1]", "ws://[2001:db8::1]/"),
            ("ws://a?b=c", "ws://a/?b=c"),
            ("ws://a/?", "ws://a/?"),
            ("ws://a/b%20c/%zz?d=%26&e[]=f|g", "ws://a/b%20c/%zz?d=%26&e[]=f|g"),
            ("ws://a/b/../c/./d?/../e", "ws://a/c/d?/../e"),
            ("ws://a/\u{e4}?\u{20ac}", "ws://a/%C3%A4?%E2%82%AC"),
            ("ws://me:secret@a/x@y:z", "ws://a/x@y:z"),
            ("ws://a//b//", "ws://a//b//"),
        ] {
            assert_eq!(parse(text).as_deref(), Some(shown), "{text}");
        }
    }

    #[test]
    fn malformed_urls_are_refused() {
        for text in [
            "",
            "a",
            "ws:",
            "ws:/",
            "ws://",
            "ws:///",
            "ws://?",
            "ws:a",
            "://a",
            "//a",
            "/a",
            "http://a",
            "https://a",
            "ftp://a",
            "ws ://a",
            "ws://a b",
            "ws://a/ ",
            " ws://a",
            "ws://a/\t",
            "ws://a/\r\n",
            "ws://a/\0",
            "ws://a/\u{7f}",
            "ws://a/#",
            "ws://a#b",
            "ws://a:0",
            "ws://a:65536",
            "ws://a:x",
            "ws://[::1",
            "ws://[x]",
            "ws://::1",
            "ws://u@",
            "ws://u@v@a",
            "ws://%zz@a",
            "ws://a%20b",
            "ws://\u{e4}",
            "ws://a\\b",
            "ws://a,b",
            "wsss://a",
            "1ws://a",
        ] {
            assert!(
                matches!(Url::parse(text.as_bytes()), Err(BuildError::Invalid(rule)) if !rule.is_empty()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn user_and_password_become_an_authorization() {
        let authorization = |text: &str| Url::parse(text.as_bytes()).unwrap().authorization().unwrap();
        assert_eq!(authorization("ws://a"), None);
        let expected = Some(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_vec());
        assert_eq!(authorization("ws://Aladdin:open%20sesame@a"), expected);
    }

    #[test]
    fn references_are_resolved_as_rfc_3986_shows() {
        // RFC 3986, 5.4, as far as it is about paths.
        let base = Url::parse(b"ws://a/b/c/d;p?q").unwrap();
        for (reference, resource) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            ("g?y#s", "/b/c/g?y"),
            (";x", "/b/c/;x"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            ("..g", "/b/c/..g"),
            ("./../g", "/b/g"),
            ("./g/.", "/b/c/g/"),
            ("g/../h", "/b/c/h"),
            ("g;x=1/../y", "/b/c/y"),
            ("g?y/../x", "/b/c/g?y/../x"),
            ("g#s/../x", "/b/c/g"),
        ] {
            let target = base.redirect(reference.as_bytes()).unwrap();
            assert_eq!(show(&target), format!("ws://a{resource}"), "{reference}");
        }
    }

    #[test]
    fn a_redirect_may_lead_to_another_place() {
        let base = Url::parse(b"wss://me:secret@a:8443/x").unwrap();
        for (location, shown, credentials) in [
            ("https://a:8443/y", "wss://a:8443/y", true),
            ("WSS://A:8443", "wss://a:8443/", true),
            ("/y", "wss://a:8443/y", true),
            ("//a:8443/y", "wss://a:8443/y", true),
            ("//a/y", "wss://a/y", false),
            ("https://b/y", "wss://b/y", false),
            ("https://a/y", "wss://a/y", false),
            ("http://a:8443/y", "ws://a:8443/y", false),
            ("ws://other@b", "ws://b/", true),
        ] {
            let target = base.redirect(location.as_bytes()).unwrap();
            assert_eq!(show(&target), shown, "{location}");
            assert_eq!(target.authorization().unwrap().is_some(), credentials, "{location}");
        }
        for location in [
            "ftp://a",
            "mailto:a",
            "https:a",
            "https://",
            "a:b",
            "/a b",
            "/a\n",
            "//",
            "//a:0",
            "javascript:x",
        ] {
            assert!(base.redirect(location.as_bytes()).is_err(), "{location:?}");
        }
    }

    #[test]
    fn what_is_accepted_can_be_sent_and_is_its_own_redirect() {
        let parts = [
            "ws", "wss", "://", ":", "/", "//", "a", "..", ".", "?", "#", "@", "[", "]", "::1", "%", "80",
            "\u{e4}", "\\",
        ];
        let mut state = 1_u32;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % limit
        };
        let (base, mut good) = (Url::parse(b"wss://b/c/d?e").unwrap(), 0);
        for _ in 0..200_000 {
            let tail: String = (0..below(8)).map(|_| parts[below(parts.len())]).collect();
            for text in [format!("ws://a{tail}"), tail] {
                let parsed = [Url::parse(text.as_bytes()).ok(), base.redirect(text.as_bytes()).ok()];
                for url in parsed.into_iter().flatten() {
                    good += 1;
                    assert!(crate::http::grammar::is_word(url.resource()) && url.resource()[0] == b'/');
                    assert!(url.resource().is_ascii() && !url.host().is_empty() && url.port() > 0);
                    let again = Url::parse(show(&url).as_bytes()).unwrap();
                    assert_eq!(
                        (again.resource(), again.is_same_origin(&url)),
                        (url.resource(), true),
                        "{text}"
                    );
                    assert_eq!(url.redirect(b"").unwrap(), url, "{text}");
                }
            }
        }
        assert!(good > 10_000);
    }
}
