//! IP addresses.

use super::{not_null, socket_call, store, string};
use crate::error::{Errno, Result};
use crate::net::addr::{self, IpAddr};
pub use crate::net::addr::{IPV4, IPV6, MAX_TEXT, PREFER_IPV4, PREFER_IPV6};
use crate::net::resolve;
use core::ffi::{c_char, c_int};
use core::ptr;

/// Finds an address of this machine: that of a network interface (`"eth0"`), the one that the text
/// says (`"127.0.0.1"`), or, if the name is NULL, the one that stands for all. Never waits.
///
/// Errors: EINVAL (NULL for the address, port not in 0 to 65535, no such mode), EMFILE, ENFILE, ENODEV,
/// ENOMEM.
///
/// # Safety
/// There is room for an address, and the name is a string or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipaddr_local(
    addr: *mut IpAddr,
    name: *const c_char,
    port: c_int,
    mode: c_int,
) -> c_int {
    socket_call(|| {
        not_null(addr)?;
        // SAFETY: the caller passes a string, or NULL.
        let name = if name.is_null() { None } else { Some(unsafe { string(name) }?) };
        let found = addr::local(name, port, mode)?;
        // SAFETY: not null, as was checked, and the caller has room for an address.
        unsafe { addr.write(found) };
        Ok(())
    })
}

/// Finds an address of another machine, given its name or its address as text. Only the calling
/// coroutine waits while a name server is asked.
///
/// Errors: EADDRNOTAVAIL (there is none), EAGAIN (no thread to be had), EBADF, ECANCELED, EINVAL (NULL,
/// port not in 0 to 65535, no such mode), EMFILE, ENFILE, ENOMEM, ETIMEDOUT.
///
/// # Safety
/// There is room for an address, and the name is a string or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipaddr_remote(
    addr: *mut IpAddr,
    name: *const c_char,
    port: c_int,
    mode: c_int,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        not_null(addr)?;
        // SAFETY: the caller passes a string, or NULL.
        let name = unsafe { string(name) }?;
        let found = resolve::remote(name, port, mode, deadline)?;
        // SAFETY: not null, as was checked, and the caller has room for an address.
        unsafe { addr.write(found) };
        Ok(())
    })
}

/// Finds the addresses of another machine, at most `naddrs`, those of the preferred family first.
/// Returns how many there are; having none is not an error.
///
/// Errors: EAGAIN (no thread to be had), EBADF, ECANCELED, EINVAL (NULL, no room, port not in 0 to
/// 65535, no such mode), EMFILE, ENFILE, ENOMEM, ETIMEDOUT.
///
/// # Safety
/// There is room for `naddrs` addresses, and the name is a string or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipaddr_remotes(
    addrs: *mut IpAddr,
    naddrs: c_int,
    name: *const c_char,
    port: c_int,
    mode: c_int,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        let most = usize::try_from(naddrs).map_err(|_| Errno::EINVAL)?;
        if most == 0 {
            return Err(Errno::EINVAL);
        }
        not_null(addrs)?;
        // SAFETY: the caller passes a string, or NULL.
        let name = unsafe { string(name) }?;
        let found = resolve::remotes(name, port, mode, most, deadline)?;
        let count = found.len().min(most);
        // SAFETY: not null, and the caller has room for `most` addresses, of which these are no more.
        unsafe { ptr::copy_nonoverlapping(found.as_ptr(), addrs, count) };
        // No more than `naddrs`.
        Ok(count as c_int)
    })
}

/// Writes an address as text, without its port, and returns the buffer, which must have room for
/// IPADDR_MAXSTRLEN characters.
///
/// # Safety
/// The address can be read, and the buffer has the room; or either is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipaddr_str(addr: *const IpAddr, buf: *mut c_char) -> *const c_char {
    // SAFETY: the caller's address can be read, or is NULL; it needs no alignment.
    if let Some(addr) = unsafe { addr.as_ref() }
        && !buf.is_null()
    {
        let text = addr.text();
        let text = text.as_bytes_with_nul();
        // SAFETY: no text is longer than the room that there must be.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), buf.cast(), text.len()) };
    }
    buf
}

/// The family of an address: AF_INET or AF_INET6.
///
/// # Safety
/// The address can be read, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipaddr_family(addr: *const IpAddr) -> c_int {
    // SAFETY: the caller's address can be read, or is NULL.
    unsafe { read(addr) }.map_or(libc::AF_UNSPEC, |addr| addr.family())
}

/// The address as the functions of the operating system take it: the same memory.
#[unsafe(no_mangle)]
pub extern "C" fn dill_ipaddr_sockaddr(addr: *const IpAddr) -> *const libc::sockaddr {
    addr.cast()
}

/// The size in bytes of what `ipaddr_sockaddr` returns.
///
/// # Safety
/// The address can be read, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipaddr_len(addr: *const IpAddr) -> c_int {
    // SAFETY: the caller's address can be read, or is NULL.
    unsafe { read(addr) }.map_or(0, |addr| addr.native_len())
}

/// The port of an address, 0 to 65535.
///
/// # Safety
/// The address can be read, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipaddr_port(addr: *const IpAddr) -> c_int {
    // SAFETY: the caller's address can be read, or is NULL.
    unsafe { read(addr) }.map_or(0, |addr| addr.port())
}

/// Sets the port of an address, to the low 16 bits of `port`.
///
/// # Safety
/// The address can be written, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipaddr_setport(addr: *mut IpAddr, port: c_int) {
    // SAFETY: the caller's address can be written, or is NULL; it needs no alignment.
    if let Some(addr) = unsafe { addr.as_mut() } {
        addr.set_port(port);
    }
}

/// Whether two addresses are the same, 1 or 0; their ports too unless `ignore_port` is set.
///
/// # Safety
/// The addresses can be read, or are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipaddr_equal(
    addr1: *const IpAddr,
    addr2: *const IpAddr,
    ignore_port: c_int,
) -> c_int {
    // SAFETY: the caller's address can be read, or is NULL.
    let Ok(first) = (unsafe { read(addr1) }) else { return 0 };
    // SAFETY: the caller's address can be read, or is NULL.
    let Ok(second) = (unsafe { read(addr2) }) else { return 0 };
    c_int::from(first.equal(&second, ignore_port != 0))
}

/// A copy of an address argument, which the caller may change while a call waits. EINVAL if NULL.
///
/// # Safety
/// Null or readable.
pub(super) unsafe fn read(addr: *const IpAddr) -> Result<IpAddr> {
    // SAFETY: readable or NULL, as the caller says; an address needs no alignment.
    unsafe { addr.as_ref() }.copied().ok_or(Errno::EINVAL)
}

/// Stores an address for a caller who may not want it.
///
/// # Safety
/// Null or writable.
pub(super) unsafe fn write(place: *mut IpAddr, addr: IpAddr) {
    // SAFETY: null or writable, as the caller says; an address needs no alignment.
    unsafe { store(place, addr) };
}
