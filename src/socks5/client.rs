//! The side that asks for a connection.

use super::wire::{
    self, AUTH_VERSION, CONNECT, MAX_MESSAGE, METHOD_NONE, METHOD_PASSWORD, METHOD_REFUSED, Message, VERSION,
};
use super::{recv, recv_message};
use crate::error::{Errno, Result};
use crate::net::addr::IpAddr;
use crate::rt::handle::Id;
use crate::sock::call;
use core::ffi::{CStr, c_int};

/// User name and password, as the caller gave them.
pub type Login<'a> = (Option<&'a CStr>, Option<&'a CStr>);

/// Asks the proxy for a connection to an address. EINVAL, EPROTO, EACCES, and what
/// the proxy answers.
pub fn connect(s: Id, login: Login<'_>, address: &IpAddr, deadline: i64) -> Result<()> {
    ask(s, login, || wire::with_address(CONNECT as u8, address), deadline)
}

/// Asks the proxy for a connection to a name. As above.
pub fn connect_by_name(s: Id, login: Login<'_>, name: &CStr, port: c_int, deadline: i64) -> Result<()> {
    ask(s, login, || wire::with_name(CONNECT as u8, name, port), deadline)
}

fn ask(
    s: Id,
    (username, password): Login<'_>,
    request: impl FnOnce() -> Result<Message<MAX_MESSAGE>>,
    deadline: i64,
) -> Result<()> {
    // Whatever is wrong with the arguments shows before anything is sent.
    let (name, word) = (username.unwrap_or_default(), password.unwrap_or_default());
    let login = wire::login(name.to_bytes(), word.to_bytes())?;
    let login = (username.is_some() && password.is_some()).then_some(login);
    let request = request()?;

    // RFC 1928, 3.
    let methods: &[u8] = if login.is_some() { &[METHOD_NONE, METHOD_PASSWORD] } else { &[METHOD_NONE] };
    let mut offer = [VERSION, methods.len() as u8, 0, 0];
    offer[2..2 + methods.len()].copy_from_slice(methods);
    call::send_all(s.handle(), &offer[..2 + methods.len()], deadline)?;
    let [version, method] = recv(s, deadline)?;
    match (version, method, login) {
        (VERSION, METHOD_NONE, _) => {}
        (VERSION, METHOD_PASSWORD, Some(login)) => {
            // RFC 1929, 2.
            call::send_all(s.handle(), login.as_bytes(), deadline)?;
            match recv(s, deadline)? {
                [AUTH_VERSION, 0] => {}
                [AUTH_VERSION, _] => return Err(Errno::EACCES),
                _ => return Err(Errno::EPROTO),
            }
        }
        (VERSION, METHOD_REFUSED, _) => return Err(Errno::EACCES),
        // A method that was not offered, too.
        _ => return Err(Errno::EPROTO),
    }

    // RFC 1928, 4 and 6. The address that the proxy connects from is of no use here.
    call::send_all(s.handle(), request.as_bytes(), deadline)?;
    let (reply, _) = recv_message(s, deadline)?;
    wire::outcome(reply)
}
