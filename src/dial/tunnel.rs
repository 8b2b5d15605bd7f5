//! Through a proxy: a bytestream to it becomes one to whom it connects to.

use super::proxy::{Proxy, ProxyProtocol};
use crate::error::{Errno, Result};
use crate::memory::try_extend;
use crate::net::addr::{self, Mode};
use crate::rt::clock;
use crate::rt::context::Context;
use crate::rt::handle::Id;
use crate::socks5::client;
use crate::transport::Transport;
use crate::ws::handshake::Refusal;
use crate::ws::sock::head::{self, note_argument};
use core::ffi::{CStr, c_int};

const NO_TUNNEL: Refusal = Refusal { rule: "RFC 9110, 9.3.6: the proxy makes no tunnel", status: None };

/// A string for C. EINVAL if there is a NUL in it; ENOMEM.
pub(super) fn with_nul(text: &[u8]) -> Result<Vec<u8>> {
    let mut string = Vec::new();
    try_extend(&mut string, text)?;
    try_extend(&mut string, &[0])?;
    if text.contains(&0) { Err(Errno::EINVAL) } else { Ok(string) }
}

/// The same, where it lies.
pub(super) fn as_c_str(string: &[u8]) -> Result<&CStr> {
    CStr::from_bytes_with_nul(string).map_err(|_| Errno::EINVAL)
}

/// Asks the proxy at the other end for a tunnel to the host. EPROTO if it says no, and what it says went
/// wrong; ECONNRESET, ETIMEDOUT, ECANCELED, ENOMEM.
pub(super) fn open(s: c_int, proxy: &Proxy, host: &[u8], port: u16, deadline: i64) -> Result<()> {
    match proxy.protocol {
        ProxyProtocol::Http => open_by_http(s, proxy, host, port, deadline),
        ProxyProtocol::Socks5 => open_by_socks(s, proxy, host, port, deadline),
    }
}

#[inline(never)]
fn open_by_http(s: c_int, proxy: &Proxy, host: &[u8], port: u16, deadline: i64) -> Result<()> {
    let context = Context::get()?;
    let transport = Transport::new(Id::of(s))?;
    let request = proxy.connect_request(host, port).map_err(note_argument)?;
    transport.send_all(context, &request, deadline)?;
    let answer = head::receive_answer(context, &transport, deadline)?;
    head::judge_answer(answer, |answer| match answer.status {
        200..=299 => Ok(()),
        _ => Err(NO_TUNNEL),
    })?;
    Ok(())
}

#[inline(never)]
fn open_by_socks(s: c_int, proxy: &Proxy, host: &[u8], port: u16, deadline: i64) -> Result<()> {
    let login = proxy.login().map_err(note_argument)?;
    let login = match &login {
        Some((name, password)) => Some((with_nul(name)?, with_nul(password)?)),
        None => None,
    };
    let login = match &login {
        Some((name, password)) => (Some(as_c_str(name)?), Some(as_c_str(password)?)),
        None => (None, None),
    };
    let host = with_nul(host)?;
    let host = as_c_str(&host)?;
    let asked = match addr::literal(host, port, Mode::new(0)?) {
        Some(address) => client::connect(Id::of(s), login, &address, deadline),
        None => client::connect_by_name(Id::of(s), login, host, c_int::from(port), deadline),
    };
    asked.map_err(|error| match error {
        // The proxy's own wait has ended, or this one.
        Errno::ETIMEDOUT if deadline < 0 || clock::now() < deadline => Errno::EPROTO,
        Errno::ENOTSUP | Errno::System(libc::EIO | libc::EAFNOSUPPORT) => Errno::EPROTO,
        Errno::EPIPE => Errno::ECONNRESET,
        error => error,
    })
}
