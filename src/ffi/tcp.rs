//! TCP.

use super::ipaddr::{read, write};
use super::types::{TcpListenerStorage, TcpStorage};
use super::{not_null, socket_call};
use crate::error::{Errno, Result};
use crate::net::addr::IpAddr;
use crate::net::tcp;
use core::ffi::c_int;

/// Listens for connections. If the port of the address is 0, the one that the system chose is stored
/// in it. `backlog` is as for the `listen` of the operating system.
///
/// Errors: EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ECANCELED, EINVAL (NULL), EMFILE, ENFILE,
/// ENOMEM.
///
/// # Safety
/// The address can be read and written, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tcp_listen(addr: *mut IpAddr, backlog: c_int) -> c_int {
    // SAFETY: the caller's address can be read and written, or is NULL.
    socket_call(|| unsafe { listen(addr, backlog) })
}

/// As `tcp_listen`, with memory of the caller's, which must stay until the listener is closed.
///
/// Errors: those of `tcp_listen`, and EINVAL (no memory given).
///
/// # Safety
/// The address can be read and written, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tcp_listen_mem(
    addr: *mut IpAddr,
    backlog: c_int,
    mem: *mut TcpListenerStorage,
) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        // SAFETY: the caller's address can be read and written, or is NULL.
        unsafe { listen(addr, backlog) }
    })
}

unsafe fn listen(addr: *mut IpAddr, backlog: c_int) -> Result<c_int> {
    // SAFETY: writable or NULL, as the callers say; an address needs no alignment, and nobody else runs
    // before the reference ends.
    let addr = unsafe { addr.as_mut() }.ok_or(Errno::EINVAL)?;
    tcp::listen(addr, backlog)
}

/// Waits for a connection and returns it. The peer's address is stored in `addr`, unless that is NULL.
///
/// Errors: EBADF, EBUSY (another coroutine waits for connections), ECANCELED, EMFILE, ENFILE, ENOMEM,
/// ENOTSUP, ETIMEDOUT.
///
/// # Safety
/// There is room for an address, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tcp_accept(s: c_int, addr: *mut IpAddr, deadline: i64) -> c_int {
    // SAFETY: the caller has room for an address, or passes NULL.
    socket_call(|| unsafe { accept(s, addr, deadline) })
}

/// As `tcp_accept`, with memory of the caller's, which must stay until the connection is closed.
///
/// Errors: those of `tcp_accept`, and EINVAL (no memory given).
///
/// # Safety
/// There is room for an address, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tcp_accept_mem(
    s: c_int,
    addr: *mut IpAddr,
    mem: *mut TcpStorage,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        // SAFETY: the caller has room for an address, or passes NULL.
        unsafe { accept(s, addr, deadline) }
    })
}

unsafe fn accept(s: c_int, addr: *mut IpAddr, deadline: i64) -> Result<c_int> {
    let (handle, peer) = tcp::accept(s, deadline)?;
    // SAFETY: both callers have it from theirs: room for an address, or NULL.
    unsafe { write(addr, peer) };
    Ok(handle)
}

/// Connects and returns the connection.
///
/// Errors: EACCES, EADDRNOTAVAIL, EAFNOSUPPORT, EBADF, ECANCELED, ECONNREFUSED, ECONNRESET,
/// EHOSTUNREACH, EINVAL (NULL), EMFILE, ENETUNREACH, ENFILE, ENOMEM, ETIMEDOUT.
///
/// # Safety
/// The address can be read, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tcp_connect(addr: *const IpAddr, deadline: i64) -> c_int {
    // SAFETY: the caller's address can be read, or is NULL.
    socket_call(|| tcp::connect(&unsafe { read(addr) }?, deadline))
}

/// As `tcp_connect`, with memory of the caller's, which must stay until the connection is closed.
///
/// Errors: those of `tcp_connect`, and EINVAL (no memory given).
///
/// # Safety
/// The address can be read, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tcp_connect_mem(
    addr: *const IpAddr,
    mem: *mut TcpStorage,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        // SAFETY: the caller's address can be read, or is NULL.
        tcp::connect(&unsafe { read(addr) }?, deadline)
    })
}

/// Makes a connection of a file descriptor that is a connected TCP socket. The descriptor belongs to
/// the library from then on; if the call fails it is left alone.
///
/// Errors: EBADF, ECANCELED, EINVAL (negative, listening, or no TCP socket), EMFILE, ENFILE, ENOMEM,
/// ENOTSOCK.
#[unsafe(no_mangle)]
pub extern "C" fn dill_tcp_fromfd(fd: c_int) -> c_int {
    socket_call(|| tcp::from_fd(fd))
}

/// As `tcp_fromfd`, with memory of the caller's, which must stay until the connection is closed.
///
/// Errors: those of `tcp_fromfd`, and EINVAL (no memory given).
#[unsafe(no_mangle)]
pub extern "C" fn dill_tcp_fromfd_mem(fd: c_int, mem: *mut TcpStorage) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        tcp::from_fd(fd)
    })
}

/// Makes a listener of a file descriptor that is a listening TCP socket. The descriptor belongs to the
/// library from then on; if the call fails it is left alone.
///
/// Errors: EBADF, ECANCELED, EINVAL (negative, not listening, or no TCP socket), EMFILE, ENFILE,
/// ENOMEM, ENOTSOCK.
#[unsafe(no_mangle)]
pub extern "C" fn dill_tcp_listener_fromfd(fd: c_int) -> c_int {
    socket_call(|| tcp::listener_from_fd(fd))
}

/// As `tcp_listener_fromfd`, with memory of the caller's, which must stay until the listener is closed.
///
/// Errors: those of `tcp_listener_fromfd`, and EINVAL (no memory given).
#[unsafe(no_mangle)]
pub extern "C" fn dill_tcp_listener_fromfd_mem(fd: c_int, mem: *mut TcpListenerStorage) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        tcp::listener_from_fd(fd)
    })
}

/// Closes this side of a connection: the peer reads what was sent, and then the end of the stream.
/// Receiving goes on as before. Never waits.
///
/// Errors: EBADF, EBUSY (another coroutine is sending), ECONNRESET, ENOMEM, ENOTSUP, EPIPE (already done).
#[unsafe(no_mangle)]
pub extern "C" fn dill_tcp_done(s: c_int, deadline: i64) -> c_int {
    let _ = deadline;
    socket_call(|| tcp::done(s))
}

/// Closes a connection gracefully: closes this side unless that was done, and waits until the
/// peer has closed its own, dropping what it still sends. Success means that the peer has come to the
/// end too. The handle is gone in any case, except after EBADF and ENOTSUP. A listener is just closed.
///
/// Errors: EBADF, EBUSY (another coroutine is using it), ECANCELED, ECONNRESET, ENOMEM, ENOTSUP, ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_tcp_close(s: c_int, deadline: i64) -> c_int {
    socket_call(|| tcp::close(s, deadline))
}
