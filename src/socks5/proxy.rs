//! The proxy.

use super::wire::{
    self, AUTH_VERSION, BIND, CONNECT, METHOD_NONE, METHOD_PASSWORD, METHOD_REFUSED, UDP_ASSOCIATE, VERSION,
};
use super::{Destination, SocksText, recv, recv_message};
use crate::error::{Errno, Result};
use crate::net::addr::{self, IpAddr};
use crate::net::resolve;
use crate::rt::handle::Id;
use crate::sock::call;
use core::ffi::{CStr, c_int};

/// Judges a user name and a password.
pub type Authenticator<'a> = dyn FnMut(&CStr, &CStr) -> bool + 'a;

/// Agrees upon a method with the client and, if `accept` is given, has it judge user name and
/// password. EPROTO; EACCES if the client was rejected.
pub fn auth(s: Id, accept: Option<&mut Authenticator<'_>>, deadline: i64) -> Result<()> {
    // RFC 1928, 3.
    let [version] = recv(s, deadline)?;
    if version != VERSION {
        return Err(Errno::EPROTO);
    }
    let mut offer = SocksText::new();
    offer.recv(s, deadline)?;
    let wanted = if accept.is_some() { METHOD_PASSWORD } else { METHOD_NONE };
    if !offer.bytes[..offer.len].contains(&wanted) {
        call::send_all(s.handle(), &[VERSION, METHOD_REFUSED], deadline)?;
        return Err(Errno::EACCES);
    }
    call::send_all(s.handle(), &[VERSION, wanted], deadline)?;
    match accept {
        Some(accept) => check_login(s, accept, deadline),
        None => Ok(()),
    }
}

/// RFC 1929, 2.
fn check_login(s: Id, accept: &mut Authenticator<'_>, deadline: i64) -> Result<()> {
    let [version] = recv(s, deadline)?;
    if version != AUTH_VERSION {
        return Err(Errno::EPROTO);
    }
    let (mut username, mut password) = (SocksText::new(), SocksText::new());
    username.recv(s, deadline)?;
    password.recv(s, deadline)?;
    let accepted = accept(as_c_string(&username)?, as_c_string(&password)?);
    call::send_all(s.handle(), &[AUTH_VERSION, if accepted { 0 } else { 0xff }], deadline)?;
    if accepted { Ok(()) } else { Err(Errno::EACCES) }
}

/// A text with a NUL in it ends there, as C sees it.
fn as_c_string(text: &SocksText) -> Result<&CStr> {
    CStr::from_bytes_until_nul(text.with_nul()).map_err(|_| Errno::EPROTO)
}

fn recv_request(s: Id, name: &mut SocksText, deadline: i64) -> Result<(c_int, Destination)> {
    let (code, target) = recv_message(s, name, deadline)?;
    match c_int::from(code) {
        command @ (CONNECT | BIND | UDP_ASSOCIATE) => Ok((command, target)),
        _ => Err(Errno::EPROTO),
    }
}

/// Receives a command and the address it is about; a name is looked up. EPROTO, and
/// the errors of the look-up.
pub fn recv_command(s: Id, deadline: i64) -> Result<(c_int, IpAddr)> {
    let mut name = SocksText::new();
    let (command, target) = recv_request(s, &mut name, deadline)?;
    let address = match target {
        Destination::Address(address) => address,
        Destination::Name(port) => {
            resolve::remote(as_c_string(&name)?, c_int::from(port), addr::PREFER_IPV4, deadline)?
        }
    };
    Ok((command, address))
}

/// Receives a command and the name it is about, or the text of the address. `store` gets the text
/// with a NUL behind it, at most 256 bytes. As above.
pub fn recv_command_by_name(s: Id, deadline: i64, store: impl FnOnce(&[u8])) -> Result<(c_int, c_int)> {
    let mut name = SocksText::new();
    let (command, target) = recv_request(s, &mut name, deadline)?;
    let port = match target {
        Destination::Address(address) => {
            store(address.text().as_bytes_with_nul());
            address.port()
        }
        Destination::Name(port) => {
            store(name.with_nul());
            c_int::from(port)
        }
    };
    Ok((command, port))
}

/// Answers a command. EINVAL if there is no such reply, or the address is of no IP
/// family.
pub fn send_reply(s: Id, reply: c_int, address: &IpAddr, deadline: i64) -> Result<()> {
    let reply = u8::try_from(reply).ok().filter(|&reply| reply <= wire::LAST_REPLY);
    let message = wire::with_address(reply.ok_or(Errno::EINVAL)?, address)?;
    call::send_all(s.handle(), message.as_bytes(), deadline)
}
