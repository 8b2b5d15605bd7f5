//! The side that asks for a connection.

use super::wire::{
    self, AUTH_VERSION, CONNECT, METHOD_NONE, METHOD_PASSWORD, METHOD_REFUSED, VERSION, WireMessage,
};
use super::{SocksText, recv, recv_message};
use crate::error::{Errno, Result};
use crate::net::addr::IpAddr;
use crate::rt::handle::Id;
use crate::sock::call;
use core::ffi::{CStr, c_int};

/// User name and password, as the caller gave them.
pub type Credentials<'a> = (Option<&'a CStr>, Option<&'a CStr>);

/// Asks the proxy for a connection to an address. EINVAL, EPROTO, EACCES, and what
/// the proxy answers.
pub fn connect(s: Id, login: Credentials<'_>, address: &IpAddr, deadline: i64) -> Result<()> {
    ask(s, login, || wire::with_address(CONNECT as u8, address), deadline)
}

/// Asks the proxy for a connection to a name. As above.
pub fn connect_by_name(s: Id, login: Credentials<'_>, name: &CStr, port: c_int, deadline: i64) -> Result<()> {
    ask(s, login, || wire::with_name(CONNECT as u8, name, port), deadline)
}

fn ask(
    s: Id,
    login: Credentials<'_>,
    request: impl Fn() -> Result<WireMessage>,
    deadline: i64,
) -> Result<()> {
    // Whatever is wrong with the arguments shows before anything is sent.
    check(login, &request)?;
    match (agree(s, login, deadline)?, login) {
        (METHOD_NONE, _) => {}
        (METHOD_PASSWORD, (Some(username), Some(password))) => log_in(s, username, password, deadline)?,
        (METHOD_REFUSED, _) => return Err(Errno::EACCES),
        // A method that was not offered, too.
        _ => return Err(Errno::EPROTO),
    }
    send(s, &request, deadline)?;
    wire::outcome(recv_reply(s, deadline)?)
}

#[inline(never)]
fn check((username, password): Credentials<'_>, request: &impl Fn() -> Result<WireMessage>) -> Result<()> {
    wire::login(username.unwrap_or_default().to_bytes(), password.unwrap_or_default().to_bytes())?;
    request().map(drop)
}

/// RFC 1928, 3: offers methods; returns the one that the proxy has chosen.
fn agree(s: Id, login: Credentials<'_>, deadline: i64) -> Result<u8> {
    let offer: &[u8] = match login {
        (Some(_), Some(_)) => &[VERSION, 2, METHOD_NONE, METHOD_PASSWORD],
        _ => &[VERSION, 1, METHOD_NONE],
    };
    call::send_all(s.handle(), offer, deadline)?;
    match recv(s, deadline)? {
        [VERSION, method] => Ok(method),
        _ => Err(Errno::EPROTO),
    }
}

/// RFC 1929, 2.
#[inline(never)]
fn log_in(s: Id, username: &CStr, password: &CStr, deadline: i64) -> Result<()> {
    call::send_all(s.handle(), wire::login(username.to_bytes(), password.to_bytes())?.as_bytes(), deadline)?;
    match recv(s, deadline)? {
        [AUTH_VERSION, 0] => Ok(()),
        [AUTH_VERSION, _] => Err(Errno::EACCES),
        _ => Err(Errno::EPROTO),
    }
}

/// RFC 1928, 4.
#[inline(never)]
fn send(s: Id, request: &impl Fn() -> Result<WireMessage>, deadline: i64) -> Result<()> {
    call::send_all(s.handle(), request()?.as_bytes(), deadline)
}

/// RFC 1928, 6. The address that the proxy connects from is of no use here.
#[inline(never)]
fn recv_reply(s: Id, deadline: i64) -> Result<u8> {
    recv_message(s, &mut SocksText::new(), deadline).map(|(reply, _)| reply)
}
