//! AF_UNIX streams, and descriptors passed through them.

use super::listener::{self, find_stream};
use super::socket::{self, Fd};
use super::stream::Family;
use crate::error::{Errno, Result};
use crate::rt::budget::SYSTEM_CALL;
use crate::rt::clock;
use crate::rt::context::Context;
use crate::rt::handle;
use crate::rt::poller::Direction;
use crate::rt::wait;
use core::ffi::{CStr, c_int};
use core::mem;

/// The byte that carries a descriptor.
const CARRIER: u8 = 0xCC;
/// How often a listener with a full queue is tried again, in milliseconds.
const RETRY_INTERVAL: i64 = 10;
/// Descriptors that fit in one receive; more than one are closed at once.
const MAX_DESCRIPTORS: usize = 16;

fn native(path: &CStr) -> Result<libc::sockaddr_un> {
    // SAFETY: all zeros is a valid address.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let path = path.to_bytes();
    // The empty path would name a socket in the abstract namespace.
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if path.len() >= address.sun_path.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    for (place, byte) in address.sun_path.iter_mut().zip(path) {
        *place = *byte as libc::c_char;
    }
    Ok(address)
}

/// Listens at a path.
pub(crate) fn listen(path: &CStr, backlog: c_int) -> Result<c_int> {
    let address = native(path)?;
    let fd = socket::open_stream(libc::AF_UNIX)?;
    // SAFETY: the address is readable for its size.
    unsafe { socket::bind(fd.get(), (&raw const address).cast(), size_of_val(&address)) }?;
    socket::listen(fd.get(), backlog)?;
    listener::make(fd, Family::Unix)
}

/// Accepts a connection.
pub(crate) fn accept(s: c_int, deadline: i64) -> Result<c_int> {
    let none = core::ptr::null_mut();
    // SAFETY: no address is asked for.
    let fd = unsafe { listener::accept(s, Family::Unix, none, core::ptr::null_mut(), deadline) }?;
    listener::make_stream(fd, Family::Unix)
}

/// Connects to a path. While the listener's queue is full it is tried again until the deadline.
pub(crate) fn connect(path: &CStr, deadline: i64) -> Result<c_int> {
    let address = native(path)?;
    loop {
        let fd = socket::open_stream(libc::AF_UNIX)?;
        let place = (&raw const address).cast();
        // SAFETY: the address is readable for its size.
        match unsafe { listener::connect(fd, place, size_of_val(&address), deadline) } {
            Err(Errno::EAGAIN) => {}
            // What can be said of a network only.
            Err(Errno::EADDRNOTAVAIL | Errno::System(libc::ENETUNREACH | libc::EHOSTUNREACH)) => {
                return Err(Errno::ECONNREFUSED);
            }
            other => return listener::make_stream(other?, Family::Unix),
        }
        let now = clock::now();
        if deadline >= 0 && deadline <= now {
            return Err(Errno::ETIMEDOUT);
        }
        let retry = now + RETRY_INTERVAL;
        wait::sleep(Context::get()?, if deadline < 0 { retry } else { retry.min(deadline) })?;
    }
}

/// Makes a connected pair.
pub(crate) fn pair() -> Result<[c_int; 2]> {
    let [first, second] = socket::pair()?;
    let first = listener::make_stream(first, Family::Unix)?;
    match listener::make_stream(second, Family::Unix) {
        Ok(second) => Ok([first, second]),
        Err(error) => {
            handle::close(first)?;
            Err(error)
        }
    }
}

/// Ends our half.
pub(crate) fn done(s: c_int) -> Result<()> {
    listener::done(s, Family::Unix)
}

/// Ends our half, waits for the end of the peer's, and closes. Closes in any case.
pub(crate) fn close(s: c_int, deadline: i64) -> Result<()> {
    listener::close(s, Family::Unix, deadline)
}

/// Adopts a connected socket.
pub(crate) fn from_fd(fd: c_int) -> Result<c_int> {
    listener::adopt(fd, Family::Unix, false)
}

/// Adopts a listening socket.
pub(crate) fn listener_from_fd(fd: c_int) -> Result<c_int> {
    listener::adopt(fd, Family::Unix, true)
}

/// Room for the ancillary data that carries descriptors, aligned as its header wants.
#[repr(C)]
union Control {
    header: libc::cmsghdr,
    bytes: [u8; 128],
}

const DESCRIPTOR_SIZE: usize = size_of::<c_int>();
const _: () = {
    // SAFETY: the macro only computes.
    let room = unsafe { libc::CMSG_SPACE((MAX_DESCRIPTORS * DESCRIPTOR_SIZE) as u32) };
    assert!(room as usize <= size_of::<Control>());
};

/// Sends a descriptor. The caller keeps its own.
pub(crate) fn send_fd(s: c_int, fd: c_int, deadline: i64) -> Result<()> {
    let context = Context::get()?;
    let stream = find_stream(s, Family::Unix)?;
    if fd < 0 {
        return Err(Errno::EINVAL);
    }
    context.admit(SYSTEM_CALL, deadline)?;
    stream.check_outbound()?;
    context.check_cancelled()?;
    let mut control = Control { bytes: [0; 128] };
    let mut carrier = CARRIER;
    let mut iov = libc::iovec { iov_base: (&raw mut carrier).cast(), iov_len: 1 };
    // SAFETY: the macro only computes.
    control.header.cmsg_len = unsafe { libc::CMSG_LEN(DESCRIPTOR_SIZE as u32) } as _;
    control.header.cmsg_level = libc::SOL_SOCKET;
    control.header.cmsg_type = libc::SCM_RIGHTS;
    let place = &raw mut control;
    // SAFETY: the control data has room for a header and a descriptor.
    let data = unsafe { libc::CMSG_DATA(place.cast()) };
    // SAFETY: as above; the place need not be aligned.
    unsafe { data.cast::<c_int>().write_unaligned(fd) };
    let mut message = socket::message(&raw mut iov, 1);
    message.msg_control = place.cast();
    // SAFETY: the macro only computes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(DESCRIPTOR_SIZE as u32) } as _;
    let sent = stream.run_with(context, Direction::Out, deadline, |socket| {
        // SAFETY: the message points to locals that outlive the call.
        stream.as_own_output(context, || unsafe { socket::send_message(socket, &message) })
    });
    match sent {
        Ok(_) => Ok(()),
        // Neither a bad descriptor nor a wait that ended early has touched the stream.
        Err(error @ (Errno::EBADF | Errno::ETIMEDOUT | Errno::ECANCELED | Errno::EBUSY)) => Err(error),
        Err(error) => {
            stream.break_outbound();
            Err(error)
        }
    }
}

/// Receives a descriptor, which is the caller's then.
pub(crate) fn recv_fd(s: c_int, deadline: i64) -> Result<c_int> {
    let context = Context::get()?;
    let stream = find_stream(s, Family::Unix)?;
    context.admit(SYSTEM_CALL, deadline)?;
    let received = stream.run_with(context, Direction::In, deadline, receive_descriptor);
    match received {
        Err(error @ (Errno::ETIMEDOUT | Errno::ECANCELED | Errno::EBUSY)) => Err(error),
        other => stream.note_inbound(other),
    }
}

/// One byte and the descriptor that it carries. EPIPE at the end of the stream, EPROTO if the byte
/// carries none.
fn receive_descriptor(socket: c_int) -> Result<c_int> {
    let mut control = Control { bytes: [0; 128] };
    let mut carrier = 0_u8;
    let mut iov = libc::iovec { iov_base: (&raw mut carrier).cast(), iov_len: 1 };
    let mut message = socket::message(&raw mut iov, 1);
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: the message points to locals that outlive the call.
    if unsafe { socket::recv_message(socket, &mut message, 0) }? == 0 {
        return Err(Errno::EPIPE);
    }
    let mut wanted = None;
    // SAFETY: the kernel has filled the control data in.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: the headers lie within the control data.
    while let Some(header) = unsafe { next.as_ref() } {
        if header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: the macro only computes.
            let data = unsafe { libc::CMSG_DATA(next) }.cast::<c_int>();
            let whole: usize = header.cmsg_len as _;
            let len = whole - (data as usize - next as usize);
            for index in 0..len / DESCRIPTOR_SIZE {
                // SAFETY: the header says that so many descriptors follow it.
                let fd = Fd::new(unsafe { data.wrapping_add(index).read_unaligned() });
                // More than one was not asked for: those are closed.
                if wanted.is_none() {
                    wanted = Some(fd);
                }
            }
        }
        // SAFETY: as above.
        next = unsafe { libc::CMSG_NXTHDR(&raw const message, next) };
    }
    wanted.map(Fd::into_raw).ok_or(Errno::EPROTO)
}
