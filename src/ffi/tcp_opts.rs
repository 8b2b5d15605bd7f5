//! TCP: listeners with options.

use super::options::{self, Versioned};
use super::socket_call;
use crate::error::{Errno, Result};
use crate::net::addr::IpAddr;
use crate::net::tcp::{self, Listening};
use crate::why::{self, Fact};
use core::ffi::c_int;

/// Several sockets may listen at the same address, and the system deals connections out among them: one
/// listener for each thread or process.
pub const DILL_TCP_REUSEPORT: c_int = 1;
/// A listener at an address of IPv6 takes no connections of IPv4.
pub const DILL_TCP_V6ONLY: c_int = 2;

/// What is wanted of a listener: {.size = sizeof(struct tcp_listen_opts), .flags = TCP_REUSEPORT}.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TcpListenOpts {
    /// The size of this structure.
    pub size: usize,
    /// How many connections may wait to be accepted. 0: as many as the system lets.
    pub backlog: c_int,
    /// TCP_REUSEPORT, TCP_V6ONLY.
    pub flags: c_int,
}

// SAFETY: integers.
unsafe impl Versioned for TcpListenOpts {
    const FIRST: usize = 16;
}

/// As `tcp_listen`, with options, which may be NULL.
///
/// Errors: EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ECANCELED, EINVAL (NULL, options that are wrong or
/// do not go together), EMFILE, ENFILE, ENOMEM, ENOPROTOOPT.
///
/// # Safety
/// The address can be read and written, or is NULL; the options can be read, or are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tcp_listen_opts(addr: *mut IpAddr, opts: *const TcpListenOpts) -> c_int {
    // SAFETY: the caller's address can be read and written, and the options read; or they are NULL.
    socket_call(|| unsafe { listen(addr, opts) })
}

/// # Safety
/// As above.
unsafe fn listen(addr: *mut IpAddr, opts: *const TcpListenOpts) -> Result<c_int> {
    // SAFETY: writable or NULL, as the caller says; an address needs no alignment, and nobody else runs
    // before the reference ends.
    let addr = unsafe { addr.as_mut() }.ok_or(Errno::EINVAL)?;
    // SAFETY: the caller's options can be read, or are NULL.
    let opts = unsafe { options::read(opts) }?;
    let not_allowed = |rule| Err(why::note(Errno::EINVAL, Fact::Argument(rule)));
    if opts.flags & !(DILL_TCP_REUSEPORT | DILL_TCP_V6ONLY) != 0 {
        return not_allowed("unknown flags");
    }
    let v6_only = opts.flags & DILL_TCP_V6ONLY != 0;
    if v6_only && addr.family() != libc::AF_INET6 {
        return not_allowed("TCP_V6ONLY, and an address of IPv4");
    }
    if opts.backlog < 0 {
        return not_allowed("a backlog below 0");
    }
    let backlog = if opts.backlog == 0 { libc::SOMAXCONN } else { opts.backlog };
    tcp::listen_with(addr, Listening { backlog, reuse_port: opts.flags & DILL_TCP_REUSEPORT != 0, v6_only })
}
