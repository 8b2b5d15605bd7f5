//! The system calls on sockets, with errors as `Errno`.

use crate::error::{self, Errno, Result};
use crate::rt::context::Context;
use core::ffi::{c_int, c_void};
use core::mem;

/// A descriptor that is closed when dropped.
pub(crate) struct Fd(c_int);

impl Fd {
    /// Takes a descriptor over that has just been made.
    pub(crate) fn new(fd: c_int) -> Fd {
        if let Some(context) = Context::existing() {
            context.poller.begin_life(context, fd);
        }
        Fd(fd)
    }

    /// Takes a descriptor back that was given away with `into_raw`.
    pub(crate) fn again(fd: c_int) -> Fd {
        Fd(fd)
    }

    /// The number.
    pub(crate) fn get(&self) -> c_int {
        self.0
    }

    /// Gives the descriptor away.
    pub(crate) fn into_raw(self) -> c_int {
        let fd = self.0;
        mem::forget(self);
        fd
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        close(self.0);
    }
}

/// A new non-blocking socket.
pub(crate) fn open(family: c_int, kind: c_int) -> Result<Fd> {
    // SAFETY: the call takes no pointer.
    let fd = error::check(unsafe { libc::socket(family, kind | libc::SOCK_NONBLOCK, 0) })?;
    Ok(Fd::new(fd))
}

/// A new non-blocking stream socket, whose address can be listened at again at once.
pub(crate) fn open_stream(family: c_int) -> Result<Fd> {
    let fd = open(family, libc::SOCK_STREAM)?;
    reuse_address(fd.get())?;
    Ok(fd)
}

/// Lets an address be listened at again at once, and one of datagrams be shared. ENOMEM.
pub(crate) fn reuse_address(fd: c_int) -> Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1).map_err(|_| Errno::ENOMEM)
}

/// Has the kernel wait for nothing before it sends. A connection that is not TCP has no such option, and works.
pub(crate) fn send_at_once(fd: c_int) {
    let _ = set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
}

/// A connected pair of non-blocking AF_UNIX streams.
pub(crate) fn pair() -> Result<[Fd; 2]> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
    // SAFETY: there is room for two descriptors.
    error::check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    let fds = fds.map(Fd::new);
    for fd in &fds {
        reuse_address(fd.get())?;
    }
    Ok(fds)
}

/// How many bytes the kernel has received and holds.
pub(crate) fn unread(fd: c_int) -> usize {
    let mut len: c_int = 0;
    // SAFETY: the call stores an int.
    let result = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut len) };
    if result == 0 { usize::try_from(len).unwrap_or(0) } else { 0 }
}

/// Sets an option that is an int.
pub(crate) fn set_option(fd: c_int, level: c_int, name: c_int, value: c_int) -> Result<()> {
    let size = size_of::<c_int>() as libc::socklen_t;
    let value: *const c_int = &value;
    // SAFETY: the value is readable for its size.
    error::check(unsafe { libc::setsockopt(fd, level, name, value.cast(), size) }).map(|_| ())
}

/// Reads an option that is an int.
pub(crate) fn option(fd: c_int, level: c_int, name: c_int) -> Result<c_int> {
    let mut value: c_int = 0;
    let mut size = size_of::<c_int>() as libc::socklen_t;
    let place = (&raw mut value).cast();
    // SAFETY: the value is writable for its size.
    error::check(unsafe { libc::getsockopt(fd, level, name, place, &raw mut size) })?;
    Ok(value)
}

/// Binds to a native address.
///
/// # Safety
/// `address` is readable for `len` bytes.
pub(crate) unsafe fn bind(fd: c_int, address: *const libc::sockaddr, len: usize) -> Result<()> {
    // SAFETY: `address` is readable for `len` bytes, as the caller says.
    error::check(unsafe { libc::bind(fd, address, len as libc::socklen_t) }).map(|_| ())
}

/// Begins to connect; false if that takes a while, and then `outcome` tells how it ended.
///
/// # Safety
/// `address` is readable for `len` bytes.
pub(crate) unsafe fn connect(fd: c_int, address: *const libc::sockaddr, len: usize) -> Result<bool> {
    // SAFETY: `address` is readable for `len` bytes, as the caller says.
    match error::check(unsafe { libc::connect(fd, address, len as libc::socklen_t) }) {
        Ok(_) => Ok(true),
        // A connect that was interrupted goes on by itself, as one that is in progress.
        Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(false),
        Err(error) => Err(of_connect(error)),
    }
}

/// Whether a connection was made.
pub(crate) fn outcome(fd: c_int) -> Result<()> {
    match option(fd, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => Ok(()),
        code => Err(of_connect(Errno::from_code(code))),
    }
}

/// What the network says, in the words of the manual.
fn of_connect(error: Errno) -> Errno {
    match error {
        Errno::EPERM => Errno::EACCES,
        Errno::System(libc::EHOSTDOWN) => Errno::System(libc::EHOSTUNREACH),
        Errno::System(libc::ENETDOWN | libc::ENONET) => Errno::System(libc::ENETUNREACH),
        Errno::EPROTO | Errno::System(libc::ENOPROTOOPT | libc::EPROTOTYPE) => Errno::ECONNREFUSED,
        other => other,
    }
}

/// What befell a connection that was made is told as one thing, whatever the network says.
fn of_receive(error: Errno) -> Errno {
    if error == Errno::EPIPE { Errno::ECONNRESET } else { of_send(error) }
}

/// The same, of sending. EPIPE: the connection had ended before, gracefully or with an error that was told.
fn of_send(error: Errno) -> Errno {
    match error {
        // A connection that the kernel gave up must not look like a deadline.
        Errno::ETIMEDOUT | Errno::ECONNREFUSED | Errno::EPROTO => Errno::ECONNRESET,
        Errno::System(
            libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENETDOWN
            | libc::ENETRESET
            | libc::ENONET
            | libc::ENOPROTOOPT,
        ) => Errno::ECONNRESET,
        other => other,
    }
}

/// Begins to listen.
pub(crate) fn listen(fd: c_int, backlog: c_int) -> Result<()> {
    // SAFETY: the call takes no pointer.
    error::check(unsafe { libc::listen(fd, backlog) }).map(|_| ())
}

/// How often a call that does not wait is made again when a signal is said to have interrupted it.
const MAX_INTERRUPTIONS: u32 = 100;

/// Makes a call that moves bytes of a stream, and does not wait.
#[inline(always)]
fn move_bytes(mut call: impl FnMut() -> libc::ssize_t, explain: fn(Errno) -> Errno) -> Result<usize> {
    match usize::try_from(call()) {
        Ok(len) => Ok(len),
        Err(_) => move_bytes_again(call, explain),
    }
}

/// What has come of a call that failed, which is made again if it was interrupted.
#[cold]
#[inline(never)]
fn move_bytes_again(mut call: impl FnMut() -> libc::ssize_t, explain: fn(Errno) -> Errno) -> Result<usize> {
    let mut outcome = Err(error::last());
    for _ in 0..MAX_INTERRUPTIONS {
        match outcome {
            Err(Errno::EINTR) => outcome = error::check_size(call()),
            other => return other.map_err(explain),
        }
    }
    Err(Errno::ECONNRESET)
}

/// Sends without waiting and without SIGPIPE. EAGAIN: nothing went out. EPIPE: the connection had ended before.
#[inline]
pub(crate) fn send(fd: c_int, bytes: &[u8]) -> Result<usize> {
    let (data, flags) = (bytes.as_ptr().cast(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
    // SAFETY: the bytes are readable.
    move_bytes(|| unsafe { libc::send(fd, data, bytes.len(), flags) }, of_send)
}

/// The same in one attempt, whose result `outcome_of` explains unless it is the length of the bytes.
#[inline(always)]
pub(crate) fn try_send(fd: c_int, bytes: &[u8]) -> libc::ssize_t {
    // SAFETY: the bytes are readable.
    unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) }
}

/// What the result of the last system call means. EINTR: it is to be made again.
#[cold]
pub(crate) fn outcome_of(result: libc::ssize_t) -> Result<usize> {
    error::check_size(result).map_err(of_send)
}

/// The same for scattered bytes and ancillary data.
///
/// # Safety
/// What the message points to is readable.
pub(crate) unsafe fn send_message(fd: c_int, message: &libc::msghdr) -> Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: what the message points to is readable, as the caller says.
    move_bytes(|| unsafe { libc::sendmsg(fd, message, flags) }, of_send)
}

/// Receives without waiting; 0: end of the stream. EAGAIN: nothing is there.
///
/// # Safety
/// `place` is writable for `len` bytes.
#[inline]
pub(crate) unsafe fn recv(fd: c_int, place: *mut u8, len: usize) -> Result<usize> {
    // SAFETY: `place` is writable for `len` bytes, as the caller says.
    move_bytes(|| unsafe { libc::recv(fd, place.cast(), len, libc::MSG_DONTWAIT) }, of_receive)
}

/// The same for scattered memory and ancillary data.
///
/// # Safety
/// What the message points to is writable.
pub(crate) unsafe fn recv_message(fd: c_int, message: &mut libc::msghdr, flags: c_int) -> Result<usize> {
    // SAFETY: what the message points to is writable, as the caller says.
    move_bytes(|| unsafe { libc::recvmsg(fd, message, libc::MSG_DONTWAIT | flags) }, of_receive)
}

/// A message header for scattered bytes.
pub(crate) fn message(iov: *mut libc::iovec, count: usize) -> libc::msghdr {
    // SAFETY: all zeros is a valid message header: no name, no ancillary data.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = iov;
    message.msg_iovlen = count as _;
    message
}

/// The port at the other end of a TCP connection.
#[cfg(feature = "tls")]
pub(crate) fn port_of_peer(fd: c_int) -> Option<u16> {
    let mut address = libc::sockaddr_in6 {
        sin6_family: 0,
        sin6_port: 0,
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
        sin6_scope_id: 0,
    };
    let mut len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: there is room for as much as `len` says.
    let found = unsafe { libc::getpeername(fd, (&raw mut address).cast(), &raw mut len) };
    // Of both families it is in the same place.
    let is_ip = matches!(c_int::from(address.sin6_family), libc::AF_INET | libc::AF_INET6);
    (found == 0 && is_ip).then(|| u16::from_be(address.sin6_port))
}

/// Ends the outbound half.
pub(crate) fn shutdown_write(fd: c_int) -> Result<()> {
    // SAFETY: the call takes no pointer.
    error::check(unsafe { libc::shutdown(fd, libc::SHUT_WR) }).map(|_| ())
}

/// Makes `close` drop the connection at once: TCP sends a reset.
pub(crate) fn make_close_abortive(fd: c_int) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (value, size): (*const c_void, _) = ((&raw const linger).cast(), size_of::<libc::linger>());
    // An error leaves a graceful close, which is no worse.
    // SAFETY: the value is readable for its size.
    unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, value, size as libc::socklen_t) };
}

/// Makes the descriptor non-blocking, or blocking. Returns whether that has changed anything.
pub(crate) fn set_nonblocking(fd: c_int, nonblocking: bool) -> Result<bool> {
    // SAFETY: the call takes no pointer.
    let flags = error::check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    let wanted = if nonblocking { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    if flags != wanted {
        // SAFETY: as above.
        error::check(unsafe { libc::fcntl(fd, libc::F_SETFL, wanted) })?;
    }
    Ok(flags != wanted)
}

/// Closes a descriptor; this thread's poller forgets it. If the number has become another file's, that one is left
/// alone.
pub(crate) fn close(fd: c_int) {
    if let Some(context) = Context::existing()
        && !context.poller.forget_socket(fd)
    {
        return;
    }
    // SAFETY: the descriptor is the library's; Linux frees the number whatever the result.
    unsafe { libc::close(fd) };
}
