//! Connects to a URL: proxy, addresses, TLS, handshake, and again if the answer says where else.

use super::authority::{Authority, write_host_and_port};
use super::proxy::{self, Proxy};
use super::tunnel::{self, as_c_str, with_nul};
use super::url::Url;
use crate::environment;
use crate::error::{Errno, Result};
use crate::memory::{try_box, try_push};
use crate::net::{happyeyeballs, ipc};
use crate::rt::handle::Id;
use crate::why::{self, Fact, Text};
use crate::ws::handshake::header::Header;
use crate::ws::handshake::{BuildError, StoredHead};
use crate::ws::options::WsOptions;
use crate::ws::sock::head::{note_answer, note_argument};
use crate::ws::sock::{Ask, Asked, ask_for, close_and_fail};
use core::ffi::{CStr, c_int};

/// How to secure a bytestream: it, the host and the port of the URL, whether that is the first one, and the
/// deadline. The bytestream is closed on failure.
pub(crate) type Secure<'a> = &'a dyn Fn(c_int, (&CStr, u16), bool, i64) -> Result<c_int>;

/// How to get where the URL points to.
pub(crate) struct Dial<'a> {
    /// Of the WebSocket.
    pub options: &'a WsOptions<'a>,
    /// For `wss`.
    pub secure: Secure<'a>,
    /// None: the one that the environment names. Empty: none.
    pub proxy: Option<&'a [u8]>,
    /// Instead of the host and port of the first URL.
    pub connect_to: Option<&'a [u8]>,
    /// How many redirects are followed.
    pub redirects: u32,
}

/// Where a connection leads to.
enum DialTarget<'a> {
    Host(&'a [u8], u16),
    Path(&'a [u8]),
}

impl<'a> DialTarget<'a> {
    /// `host:port` or `unix:/path`.
    fn parse(text: &'a [u8]) -> core::result::Result<DialTarget<'a>, BuildError> {
        if let Some(path) = text.strip_prefix(b"unix:").filter(|path| !path.is_empty()) {
            return Ok(DialTarget::Path(path));
        }
        match Authority::parse(text)? {
            Authority { userinfo: None, host, port: Some(port) } => Ok(DialTarget::Host(host, port)),
            _ => Err(BuildError::Invalid("connect_to is neither \"host:port\" nor \"unix:/path\"")),
        }
    }

    /// Who cannot be connected to.
    #[inline(never)]
    fn fact(&self) -> Fact {
        let mut place = Vec::new();
        match self {
            DialTarget::Path(path) => return Fact::Connecting(Text::new(path)),
            DialTarget::Host(host, port) => {
                // It is the fact that matters; without memory it is told without the place.
                let _ = write_host_and_port(&mut place, host, *port);
            }
        }
        Fact::Connecting(Text::new(&place))
    }
}

/// Connects and returns the handle of a WebSocket. EINVAL, EADDRNOTAVAIL if the name has no address, what
/// the last address failed with, EACCES, EPROTO, ELOOP after too many redirects, ECONNRESET, ETIMEDOUT,
/// ECANCELED, ENOMEM, EMFILE, ENFILE.
pub(crate) fn connect(url: &[u8], dial: &Dial<'_>, deadline: i64) -> Result<c_int> {
    let first = prepare(url, dial)?;
    let mut redirected: Option<Box<Url>> = None;
    let mut left = dial.redirects;
    loop {
        let url = redirected.as_ref().unwrap_or(&first);
        let head = match ask(url, &first, dial, deadline)? {
            Asked::WebSocket(handle) => return Ok(handle),
            Asked::Redirected(head) => head,
        };
        redirected = Some(follow(url, head, left)?);
        left -= 1;
    }
}

/// Takes the URL apart. Whatever is wrong with the arguments shows before anything is sent. EINVAL, ENOMEM.
#[inline(never)]
fn prepare(url: &[u8], dial: &Dial<'_>) -> Result<Box<Url>> {
    let url = Url::parse(url).map_err(note_argument)?;
    dial.connect_to.map(DialTarget::parse).transpose().map_err(note_argument)?;
    if let Some(proxy) = dial.proxy.filter(|proxy| !proxy.is_empty()) {
        Proxy::parse(proxy).map_err(note_argument)?;
    }
    check(&url, dial.options)?;
    try_box(url)
}

/// Whether the request can be sent. EINVAL.
#[inline(never)]
fn check(url: &Url, options: &WsOptions<'_>) -> Result<()> {
    let host = url.host_field().map_err(note_argument)?;
    let authorization = url.authorization().map_err(note_argument)?;
    let ask = Ask {
        resource: url.resource(),
        host: &host,
        authorization: authorization.as_deref(),
        headers: &options.headers,
        follows: false,
    };
    ask.check(options)
}

/// Where an answer redirects to, if so many more redirects are followed. ELOOP, EPROTO, ENOMEM.
#[inline(never)]
fn follow(url: &Url, head: StoredHead, left: u32) -> Result<Box<Url>> {
    if left == 0 {
        return Err(note_answer(Errno::ELOOP, "too many redirects", head));
    }
    let location = head.as_answer().and_then(|answer| answer.fields.first("Location"));
    let target = location.map(|location| url.redirect(location));
    match target {
        None => Err(note_answer(Errno::EPROTO, "RFC 9110, 15.4: a redirect without Location", head)),
        Some(Err(BuildError::NoMemory)) => Err(Errno::ENOMEM),
        Some(Err(BuildError::Invalid(rule))) => Err(note_answer(Errno::EPROTO, rule, head)),
        Some(Ok(target)) if url.secure && !target.secure => {
            Err(note_answer(Errno::EPROTO, "redirected from wss to where nothing is encrypted", head))
        }
        Some(Ok(target)) => try_box(target),
    }
}

/// Connects to one URL and asks for a WebSocket.
#[inline(never)]
fn ask(url: &Url, first: &Url, dial: &Dial<'_>, deadline: i64) -> Result<Asked> {
    let at_first = url.is_same_origin(first);
    let mut s = open(url, at_first, dial, deadline)?;
    if url.secure {
        s = secure(s, url, at_first, dial, deadline)?;
    }
    ask_on(s, url, at_first, dial, deadline)
}

/// TLS. On failure the bytestream is closed.
#[inline(never)]
fn secure(s: c_int, url: &Url, at_first: bool, dial: &Dial<'_>, deadline: i64) -> Result<c_int> {
    match with_nul(url.host()) {
        Ok(host) => {
            let place = (as_c_str(&host).unwrap_or_default(), url.port());
            (dial.secure)(s, place, at_first, deadline)
        }
        Err(error) => Err(close_and_fail(s, error)),
    }
}

/// The opening handshake. On failure the bytestream is closed.
#[inline(never)]
fn ask_on(s: c_int, url: &Url, at_first: bool, dial: &Dial<'_>, deadline: i64) -> Result<Asked> {
    let fields = || {
        let host = url.host_field().map_err(note_argument)?;
        let authorization = url.authorization().map_err(note_argument)?;
        Ok((host, authorization, headers(dial.options, at_first)?))
    };
    let (host, authorization, headers) = fields().map_err(|error| close_and_fail(s, error))?;
    let ask = Ask {
        resource: url.resource(),
        host: &host,
        authorization: authorization.as_deref(),
        headers: &headers,
        follows: dial.redirects > 0,
    };
    ask_for(s, &ask, dial.options, deadline)
}

/// The program's headers: to another place than the first one goes nothing that is for that one alone.
#[inline(never)]
fn headers<'a>(options: &WsOptions<'a>, at_first: bool) -> Result<Vec<Header<'a>>> {
    const FIRST_ONLY: [&str; 3] = ["Authorization", "Cookie", "Host"];
    let mut headers = Vec::new();
    for header in &options.headers {
        if at_first || !FIRST_ONLY.iter().any(|name| header.is(name)) {
            try_push(&mut headers, *header)?;
        }
    }
    Ok(headers)
}

/// A bytestream to the URL's host, or to what stands in for it, through the proxy if there is one.
#[inline(never)]
fn open(url: &Url, at_first: bool, dial: &Dial<'_>, deadline: i64) -> Result<c_int> {
    let given =
        dial.connect_to.filter(|_| at_first).map(DialTarget::parse).transpose().map_err(note_argument)?;
    let target = given.unwrap_or(DialTarget::Host(url.host(), url.port()));
    let DialTarget::Host(host, port) = target else { return reach(&target, deadline) };
    let proxy = match dial.proxy {
        Some([]) => Ok(None),
        Some(proxy) => Proxy::parse(proxy).map(Some),
        None => proxy::from_environment(url.secure, url.host(), url.port(), environment::variable),
    };
    let Some(proxy) = proxy.map_err(note_argument)? else { return reach(&target, deadline) };
    let s = reach(&DialTarget::Host(proxy.host(), proxy.port()), deadline)?;
    let id = Id::of(s);
    match tunnel::open(s, &proxy, host, port, deadline) {
        Ok(()) => Ok(s),
        Err(error) => {
            id.close();
            Err(error)
        }
    }
}

#[inline(never)]
fn reach(target: &DialTarget<'_>, deadline: i64) -> Result<c_int> {
    let connected = match target {
        DialTarget::Path(path) => with_nul(path).and_then(|path| ipc::connect(as_c_str(&path)?, deadline)),
        DialTarget::Host(host, port) => with_nul(host)
            .and_then(|host| happyeyeballs::connect(as_c_str(&host)?, c_int::from(*port), deadline)),
    };
    connected.map_err(|error| why::note(error, target.fact()))
}
