//! UDP.

use super::types::UdpStorage;
use super::{not_null, socket_call, store};
use crate::error::Result;
use crate::iol::{IoList, Pieces};
use crate::net::addr::IpAddr;
use crate::net::udp;
use crate::sock::call::one_element;
use crate::sock::receive_list;
use core::ffi::{c_int, c_void};

/// Opens a message socket for datagrams. `local` is the address to receive at; if its port is 0, the one
/// that was chosen is stored there. With `remote`, datagrams go there unless another address is given, and
/// only those that come from there are received. Either may be NULL.
///
/// Errors: EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ECANCELED, EINVAL (two families), EMFILE,
/// ENFILE, ENOMEM.
///
/// # Safety
/// The addresses can be read, and the local one written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_udp_open(local: *mut IpAddr, remote: *const IpAddr) -> c_int {
    // SAFETY: the caller's addresses can be read, and the local one written, or are NULL.
    socket_call(|| unsafe { open(local, remote) })
}

/// As `udp_open`, with memory of the caller's, which must stay until the socket is closed.
///
/// Errors: those of `udp_open`, and EINVAL (no memory given).
///
/// # Safety
/// The addresses can be read, and the local one written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_udp_open_mem(
    local: *mut IpAddr,
    remote: *const IpAddr,
    mem: *mut UdpStorage,
) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        // SAFETY: the caller's addresses can be read, and the local one written, or are NULL.
        unsafe { open(local, remote) }
    })
}

unsafe fn open(local: *mut IpAddr, remote: *const IpAddr) -> Result<c_int> {
    // Copied, since both may be the same.
    // SAFETY: readable or NULL, as the callers say; an address needs no alignment.
    let remote = unsafe { remote.as_ref() }.copied();
    // SAFETY: writable or NULL, as the callers say, and the copy of the other one is no borrow.
    udp::open(unsafe { local.as_mut() }, remote.as_ref())
}

/// Sends a datagram to an address, or to the default one if that is NULL. Never waits: a datagram that the
/// system does not take is lost, as it may be on its way.
///
/// Errors: EACCES, EAFNOSUPPORT, EBADF, EFAULT (NULL with a length), EHOSTUNREACH, EINVAL (no address),
/// EMSGSIZE, ENETUNREACH, ENOMEM, ENOTSUP.
///
/// # Safety
/// The address can be read, or is NULL, and the buffer has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_udp_send(
    s: c_int,
    addr: *const IpAddr,
    buf: *const c_void,
    len: usize,
) -> c_int {
    socket_call(|| {
        let element = one_element(buf.cast_mut(), len);
        // SAFETY: the caller's address can be read, or is NULL; it needs no alignment.
        let addr = unsafe { addr.as_ref() };
        // SAFETY: the caller's buffer has `len` readable bytes, or is NULL.
        udp::send(s, addr, unsafe { Pieces::one(&element) })
    })
}

/// Receives a datagram, stores where it came from unless `addr` is NULL, and returns its size.
///
/// Errors: EBADF, EBUSY, ECANCELED, EMSGSIZE (it does not fit, and is lost), ENOMEM, ENOTSUP, ETIMEDOUT.
///
/// # Safety
/// There is room for an address, or it is NULL, and for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_udp_recv(
    s: c_int,
    addr: *mut IpAddr,
    buf: *mut c_void,
    len: usize,
    deadline: i64,
) -> libc::ssize_t {
    socket_call(|| {
        let element = one_element(buf, len);
        // SAFETY: the caller has room for `len` bytes, or passes NULL, which drops them.
        let pieces = unsafe { Pieces::one(&element) };
        let (size, from) = udp::recv(s, Some(pieces), deadline)?;
        // SAFETY: the caller has room for an address, or passes NULL.
        unsafe { store(addr, from) };
        Ok(size)
    })
}

/// As `udp_send`, from a list of buffers.
///
/// Errors: those of `udp_send`, and EINVAL (malformed list).
///
/// # Safety
/// The address can be read, or is NULL; the list and its buffers can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_udp_sendl(
    s: c_int,
    addr: *const IpAddr,
    first: *mut IoList,
    last: *mut IoList,
) -> c_int {
    socket_call(|| {
        crate::rt::object::find::<udp::Udp>(s)?;
        // SAFETY: the caller's list and its buffers can be read, and stay until this returns.
        let pieces = unsafe { Pieces::to_send(first, last) }?;
        // SAFETY: the caller's address can be read, or is NULL; it needs no alignment.
        udp::send(s, unsafe { addr.as_ref() }, pieces)
    })
}

/// As `udp_recv`, into a list of buffers. NULL in place of a buffer drops bytes; NULL in place of the list
/// drops the datagram.
///
/// Errors: those of `udp_recv`, and EINVAL (malformed list).
///
/// # Safety
/// There is room for an address, or it is NULL; the list can be read and its buffers written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_udp_recvl(
    s: c_int,
    addr: *mut IpAddr,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> libc::ssize_t {
    socket_call(|| {
        crate::rt::object::find::<udp::Udp>(s)?;
        // SAFETY: the caller's list can be read and its buffers written until this returns.
        let pieces = unsafe { receive_list(first, last) }?;
        let (size, from) = udp::recv(s, pieces, deadline)?;
        // SAFETY: the caller has room for an address, or passes NULL.
        unsafe { store(addr, from) };
        Ok(size)
    })
}
