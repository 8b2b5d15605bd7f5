//! SOCKS5.

use super::{not_null, socket_call, store, strings};
use crate::error::Errno;
use crate::net::addr::IpAddr;
use crate::socks5::{self, client, proxy, wire};
use core::ffi::{CStr, c_char, c_int};
use core::ptr;

/// The client asks for a connection to the address.
pub const DILL_SOCKS5_CONNECT: c_int = 1;
/// The client asks for a port that the address can connect to.
pub const DILL_SOCKS5_BIND: c_int = 2;
/// The client asks for datagrams to be passed on.
pub const DILL_SOCKS5_UDP_ASSOCIATE: c_int = 3;

/// The connection was made.
pub const DILL_SOCKS5_SUCCESS: c_int = 0;
/// Failed, unspecified reason. The client's EIO.
pub const DILL_SOCKS5_GENERAL_FAILURE: c_int = 1;
/// The proxy does not allow it. The client's EACCES.
pub const DILL_SOCKS5_CONNECTION_NOT_ALLOWED: c_int = 2;
/// The client's ENETUNREACH.
pub const DILL_SOCKS5_NETWORK_UNREACHABLE: c_int = 3;
/// The client's EHOSTUNREACH.
pub const DILL_SOCKS5_HOST_UNREACHABLE: c_int = 4;
/// The client's ECONNREFUSED.
pub const DILL_SOCKS5_CONNECTION_REFUSED: c_int = 5;
/// The client's ETIMEDOUT.
pub const DILL_SOCKS5_TTL_EXPIRED: c_int = 6;
/// The client's EOPNOTSUPP.
pub const DILL_SOCKS5_COMMAND_NOT_SUPPORTED: c_int = 7;
/// The client's EAFNOSUPPORT.
pub const DILL_SOCKS5_ADDRESS_TYPE_NOT_SUPPORTED: c_int = 8;

const _: () = {
    assert!(DILL_SOCKS5_CONNECT == wire::CONNECT && DILL_SOCKS5_BIND == wire::BIND);
    assert!(DILL_SOCKS5_UDP_ASSOCIATE == wire::UDP_ASSOCIATE);
    assert!(DILL_SOCKS5_ADDRESS_TYPE_NOT_SUPPORTED == wire::LAST_REPLY as c_int);
};

/// Asks the proxy at the other end of a bytestream for a connection to an address. After that the bytes
/// on the bytestream are those of the connection. User name and password are given both, or NULL. The
/// bytestream stays the caller's; if the call fails, there is nothing to be done with it but to close it.
///
/// Errors: EACCES (user name, password, or the proxy's rules), EAFNOSUPPORT, EBADF, EBUSY, ECANCELED,
/// ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINVAL (more than 255 bytes, no address), EIO, ENETUNREACH,
/// ENOMEM, ENOTSUP (no bytestream, or the proxy does not do this), EPIPE, EPROTO, ETIMEDOUT.
///
/// # Safety
/// User name and password are strings or NULL, and the address can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_socks5_client_connect(
    s: c_int,
    username: *const c_char,
    password: *const c_char,
    addr: *mut IpAddr,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        let s = socks5::find_bytestream(s)?;
        not_null(addr)?;
        // SAFETY: the caller passes strings, or NULL.
        let [username, password] = unsafe { strings([username, password]) };
        // SAFETY: not null, as was checked, and the caller's address can be read.
        let address = unsafe { *addr };
        client::connect(s, (username, password), &address, deadline)
    })
}

/// As `socks5_client_connect`, with a name that the proxy looks up, and a port (1 to 65535).
///
/// Errors: those of `socks5_client_connect`.
///
/// # Safety
/// All three are strings or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_socks5_client_connectbyname(
    s: c_int,
    username: *const c_char,
    password: *const c_char,
    hostname: *const c_char,
    port: c_int,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        let s = socks5::find_bytestream(s)?;
        // SAFETY: the caller passes strings, or NULL.
        let [username, password, name] = unsafe { strings([username, password, hostname]) };
        client::connect_by_name(s, (username, password), name.ok_or(Errno::EINVAL)?, port, deadline)
    })
}

/// As a proxy, lets a client in. With `auth_fn`, the client must name a user and a password for which it
/// does not return 0; without, it need not. The bytestream stays the caller's.
///
/// Errors: EACCES (the client was rejected), EBADF, EBUSY, ECANCELED, ECONNRESET, ENOMEM, ENOTSUP,
/// EPIPE, EPROTO, ETIMEDOUT.
///
/// # Safety
/// The function can be called with two strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_socks5_proxy_auth(
    s: c_int,
    auth_fn: Option<unsafe extern "C" fn(username: *const c_char, password: *const c_char) -> c_int>,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        let s = socks5::find_bytestream(s)?;
        let Some(function) = auth_fn else { return proxy::auth(s, None, deadline) };
        // SAFETY: the caller's function takes two strings, and that is what these are.
        let mut accept =
            |username: &CStr, password: &CStr| unsafe { function(username.as_ptr(), password.as_ptr()) != 0 };
        proxy::auth(s, Some(&mut accept), deadline)
    })
}

/// As a proxy, receives the client's command and the address it is about. A name is looked up. Returns
/// SOCKS5_CONNECT, SOCKS5_BIND or SOCKS5_UDP_ASSOCIATE.
///
/// Errors: EADDRNOTAVAIL (the name has no address), EAGAIN (no thread to be had), EBADF, EBUSY, ECANCELED,
/// ECONNRESET, EINVAL (NULL), EMFILE, ENFILE, ENOMEM, ENOTSUP, EPIPE, EPROTO, ETIMEDOUT.
///
/// # Safety
/// There is room for an address, or it is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_socks5_proxy_recvcommand(
    s: c_int,
    ipaddr: *mut IpAddr,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        let s = socks5::find_bytestream(s)?;
        not_null(ipaddr)?;
        let (command, address) = proxy::recv_command(s, deadline)?;
        // SAFETY: the caller has room for an address, or passes NULL.
        unsafe { store(ipaddr, address) };
        Ok(command)
    })
}

/// As `socks5_proxy_recvcommand`, but names are not looked up: `host` gets the name, or the text of the
/// address.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EINVAL (NULL), ENOTSUP, EPIPE, EPROTO, ETIMEDOUT.
///
/// # Safety
/// `host` has room for 256 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_socks5_proxy_recvcommandbyname(
    s: c_int,
    host: *mut c_char,
    port: *mut c_int,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        let s = socks5::find_bytestream(s)?;
        not_null(host)?;
        not_null(port)?;
        let (command, number) = proxy::recv_command_by_name(s, deadline, |text| {
            // SAFETY: the text has at most 256 bytes, for which the caller has room, and is on this stack.
            unsafe { ptr::copy_nonoverlapping(text.as_ptr().cast(), host, text.len()) };
        })?;
        // SAFETY: the caller has room for the port, or passes NULL.
        unsafe { store(port, number) };
        Ok(command)
    })
}

/// As a proxy, answers a command: with SOCKS5_SUCCESS and the address that the proxy connects from, or with
/// one of the other SOCKS5_ numbers.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EINVAL (no such answer, no address), ENOMEM, ENOTSUP,
/// EPIPE, ETIMEDOUT.
///
/// # Safety
/// The address can be read, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_socks5_proxy_sendreply(
    s: c_int,
    reply: c_int,
    ipaddr: *mut IpAddr,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        let s = socks5::find_bytestream(s)?;
        not_null(ipaddr)?;
        // SAFETY: not null, as was checked, and the caller's address can be read.
        let address = unsafe { *ipaddr };
        proxy::send_reply(s, reply, &address, deadline)
    })
}
