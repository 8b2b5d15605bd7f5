//! TCP.

use super::addr::IpAddr;
use super::listener;
use super::socket;
use super::stream::Family;
use crate::error::{self, Result};
use core::ffi::c_int;

/// How to listen.
#[derive(Clone, Copy)]
pub(crate) struct Listening {
    /// How many connections may wait to be accepted.
    pub backlog: c_int,
    /// Others may listen at the same address.
    pub reuse_port: bool,
    /// Connections of IPv4 are not for this one.
    pub v6_only: bool,
}

/// Listens. If the port is 0, the one that the kernel chose is stored in the address.
pub(crate) fn listen(address: &mut IpAddr, backlog: c_int) -> Result<c_int> {
    listen_with(address, Listening { backlog, reuse_port: false, v6_only: false })
}

/// The same, in a particular way.
pub(crate) fn listen_with(address: &mut IpAddr, listening: Listening) -> Result<c_int> {
    let fd = socket::open_stream(address.family())?;
    if listening.reuse_port {
        socket::set_option(fd.get(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    if listening.v6_only {
        socket::set_option(fd.get(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    let len = address.native_len() as usize;
    // SAFETY: the address is readable for its length.
    unsafe { socket::bind(fd.get(), address.native(), len) }?;
    socket::listen(fd.get(), listening.backlog)?;
    let chosen = if address.port() == 0 { Some(local_port(fd.get())?) } else { None };
    let handle = listener::make(fd, Family::Tcp)?;
    if let Some(port) = chosen {
        address.set_port(port);
    }
    Ok(handle)
}

/// The port that a socket is bound to.
pub(crate) fn local_port(fd: c_int) -> Result<c_int> {
    let mut address = IpAddr::UNSPECIFIED;
    let mut len = size_of::<IpAddr>() as libc::socklen_t;
    let place = (&raw mut address).cast();
    // SAFETY: the address is writable for its size.
    error::check(unsafe { libc::getsockname(fd, place, &raw mut len) })?;
    Ok(address.port())
}

/// Accepts a connection; returns its handle and the peer's address.
pub(crate) fn accept(handle: c_int, deadline: i64) -> Result<(c_int, IpAddr)> {
    let mut address = IpAddr::UNSPECIFIED;
    let mut len = size_of::<IpAddr>() as libc::socklen_t;
    let place = (&raw mut address).cast();
    // SAFETY: the address is writable for its size.
    let fd = unsafe { listener::accept(handle, Family::Tcp, place, &raw mut len, deadline) }?;
    Ok((listener::make_stream(fd, Family::Tcp)?, address))
}

/// Connects; returns the handle of the connection.
pub(crate) fn connect(address: &IpAddr, deadline: i64) -> Result<c_int> {
    let fd = socket::open_stream(address.family())?;
    let len = address.native_len() as usize;
    // SAFETY: the address is readable for its length.
    let fd = unsafe { listener::connect(fd, address.native(), len, deadline) }?;
    listener::make_stream(fd, Family::Tcp)
}

/// Ends our half: the peer reads what was sent and then the end of the stream.
pub(crate) fn done(handle: c_int) -> Result<()> {
    listener::done(handle, Family::Tcp)
}

/// Ends our half, waits for the end of the peer's, and closes. Closes in any case.
pub(crate) fn close(handle: c_int, deadline: i64) -> Result<()> {
    listener::close(handle, Family::Tcp, deadline)
}

/// Adopts a connected socket.
pub(crate) fn from_fd(fd: c_int) -> Result<c_int> {
    listener::adopt(fd, Family::Tcp, false)
}

/// Adopts a listening socket.
pub(crate) fn listener_from_fd(fd: c_int) -> Result<c_int> {
    listener::adopt(fd, Family::Tcp, true)
}
