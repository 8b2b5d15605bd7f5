//! UDP: a message socket that is not connected. A default peer is a destination and a filter, so
//! that nothing but its datagrams is seen; errors of the network are not.

use super::addr::IpAddr;
use super::descriptor::Descriptor;
use super::socket::{self, Fd};
use super::tcp::local_port;
use crate::error::{Errno, Result};
use crate::iol::Pieces;
use crate::rt::budget::{Rounds, SYSTEM_CALL};
use crate::rt::context::Context;
use crate::rt::object::{self, About, Kind, Ref};
use crate::rt::poller::Direction;
use crate::sock::half::Half;
use crate::sock::sink::Sink;
use crate::sock::{MSOCK_TYPE, MessageSocket, MsockVfs, msock_vfs};
use core::ffi::{c_int, c_void};
use core::ptr;

/// Elements of a list that are passed to the kernel as they are: few, since the array lies on a
/// coroutine's stack. The bytes of longer lists are copied.
const BATCH: usize = 16;
/// More bytes than any datagram has.
const MAX_DATAGRAM: usize = 65536;

/// The body of a UDP handle.
pub(crate) struct Udp {
    fd: Descriptor,
    /// The default peer.
    remote: Option<IpAddr>,
    /// Nothing ever ends or breaks it, but there is only one receiver at a time.
    inbound: Half,
}

static TYPE: u8 = 0;

impl Kind for Udp {
    type Vfs = MsockVfs;
    const VFS: MsockVfs = msock_vfs::<Udp>();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        About::on_descriptor("UDP socket", self.fd.get())
    }

    fn interface_id() -> Option<*const c_void> {
        Some(MSOCK_TYPE.get())
    }

    fn close(this: &Ref<Udp>) {
        this.shut();
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        self.shut();
    }
}

impl MessageSocket for Udp {
    fn send(this: &Ref<Udp>, pieces: Pieces<'_>, _deadline: i64) -> Result<()> {
        this.send_to(None, pieces)
    }

    fn recv(this: &Ref<Udp>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<usize> {
        this.recv_from(pieces, deadline).map(|(size, _)| size)
    }
}

/// Opens a socket. If the port of the local address is 0, the one that the kernel chose is stored
/// there. EINVAL if the families differ, EADDRINUSE, EADDRNOTAVAIL, ECANCELED, ENOMEM, EMFILE, ENFILE.
pub(crate) fn open(mut local: Option<&mut IpAddr>, remote: Option<&IpAddr>) -> Result<c_int> {
    let families = (local.as_ref().map(|local| local.family()), remote.map(IpAddr::family));
    let family = match families {
        (Some(local), Some(remote)) if local != remote => return Err(Errno::EINVAL),
        (Some(family), _) | (None, Some(family)) => family,
        (None, None) => libc::AF_INET,
    };
    let fd = socket::open(family, libc::SOCK_DGRAM)?;
    let mut chosen = None;
    if let Some(local) = &local {
        let (len, chooses) = (local.native_len() as usize, local.port() == 0);
        // Now and then the kernel chooses a port that is another one's, if both may share it. For a socket without
        // an address it does so at the first send.
        if !chooses {
            socket::reuse_address(fd.get())?;
        }
        // SAFETY: the address is readable for its length.
        unsafe { socket::bind(fd.get(), local.native(), len) }?;
        if chooses {
            chosen = Some(local_port(fd.get())?);
            socket::reuse_address(fd.get())?;
        }
    }
    let handle = make(fd, remote.copied())?;
    if let (Some(local), Some(port)) = (&mut local, chosen) {
        local.set_port(port);
    }
    Ok(handle)
}

fn make(fd: Fd, remote: Option<IpAddr>) -> Result<c_int> {
    let handle = object::make(Udp { fd: Descriptor::none(), remote, inbound: Half::default() })?;
    // It has its place now.
    object::find::<Udp>(handle)?.fd.open(fd);
    Ok(handle)
}

/// Sends a datagram to an address, or to the default peer. Never waits: what the kernel does not
/// take is lost. EBADF, ENOTSUP, EINVAL if there is no peer, EMSGSIZE, and what the kernel says.
pub(crate) fn send(s: c_int, to: Option<&IpAddr>, pieces: Pieces<'_>) -> Result<()> {
    object::find::<Udp>(s)?.send_to(to, pieces)
}

/// Receives a datagram; returns its size and where it came from. None: drops it. EBADF, ENOTSUP,
/// EBUSY, EMSGSIZE if it did not fit, and then it is lost; ETIMEDOUT, ECANCELED.
pub(crate) fn recv(s: c_int, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<(usize, IpAddr)> {
    object::find::<Udp>(s)?.recv_from(pieces, deadline)
}

/// The parts of a list as the kernel takes them.
struct Vector {
    parts: [libc::iovec; BATCH],
    count: usize,
}

impl Vector {
    fn new() -> Vector {
        Vector { parts: [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH], count: 0 }
    }

    /// None: there are too many.
    fn of(pieces: Pieces<'_>) -> Option<Vector> {
        let mut vector = Vector::new();
        for piece in pieces.cursor() {
            *vector.parts.get_mut(vector.count)? =
                libc::iovec { iov_base: piece.base.cast(), iov_len: piece.len };
            vector.count += 1;
        }
        Some(vector)
    }

    fn message(&mut self, address: &mut IpAddr, len: usize) -> libc::msghdr {
        let mut message = socket::message(self.parts.as_mut_ptr(), self.count);
        message.msg_name = ptr::from_mut(address).cast();
        message.msg_namelen = len as libc::socklen_t;
        message
    }
}

impl Udp {
    fn shut(&self) {
        drop(self.fd.close());
    }

    fn send_to(&self, to: Option<&IpAddr>, pieces: Pieces<'_>) -> Result<()> {
        let context = Context::get()?;
        let mut address = *to.or(self.remote.as_ref()).ok_or(Errno::EINVAL)?;
        let len = address.native_len() as usize;
        let copy;
        let mut vector = match Vector::of(pieces) {
            Some(vector) => vector,
            None => {
                copy = gather(pieces)?;
                let mut vector = Vector::new();
                vector.parts[0].iov_base = copy.as_ptr().cast_mut().cast();
                vector.parts[0].iov_len = copy.len();
                vector.count = 1;
                vector
            }
        };
        let message = vector.message(&mut address, len);
        // SAFETY: the address and the pieces are readable.
        let sent = unsafe { socket::send_message(self.fd.get(), &message) };
        context.charge(SYSTEM_CALL);
        context.pause();
        match sent {
            // What the network does to a datagram is not told.
            Ok(_) | Err(Errno::EAGAIN | Errno::ECONNRESET | Errno::EPIPE) => Ok(()),
            Err(Errno::EPERM) => Err(Errno::EACCES),
            Err(error) => Err(error),
        }
    }

    fn recv_from(&self, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<(usize, IpAddr)> {
        let context = Context::get()?;
        self.inbound.run(|| {
            context.admit(SYSTEM_CALL, deadline)?;
            let mut rounds = Rounds::default();
            loop {
                match self.try_recv(pieces) {
                    Err(Errno::EAGAIN) => self.fd.wait(context, Direction::In, deadline)?,
                    // What became of a datagram that was sent.
                    Err(Errno::ECONNRESET) => rounds.spend(context, SYSTEM_CALL, deadline)?,
                    Err(error) => return Err(error),
                    Ok((_, from)) if self.is_stranger(&from) => {
                        rounds.spend(context, SYSTEM_CALL, deadline)?
                    }
                    Ok((size, _)) if pieces.is_some_and(|pieces| size > pieces.total()) => {
                        return Err(Errno::EMSGSIZE);
                    }
                    Ok(received) => return Ok(received),
                }
            }
        })
    }

    fn is_stranger(&self, from: &IpAddr) -> bool {
        self.remote.as_ref().is_some_and(|remote| !remote.equal(from, false))
    }

    /// Takes one datagram: its size, even where there was not so much room, and its sender. EAGAIN.
    fn try_recv(&self, pieces: Option<Pieces<'_>>) -> Result<(usize, IpAddr)> {
        let Some(pieces) = pieces else { return self.try_recv_vector(Vector::new()) };
        let direct = if pieces.has_null() { None } else { Vector::of(pieces) };
        if let Some(vector) = direct {
            return self.try_recv_vector(vector);
        }
        let room = pieces.total().min(MAX_DATAGRAM);
        let mut copy: Vec<u8> = Vec::new();
        copy.try_reserve_exact(room).map_err(|_| Errno::ENOMEM)?;
        copy.resize(room, 0);
        let mut vector = Vector::new();
        vector.parts[0].iov_base = copy.as_mut_ptr().cast();
        vector.parts[0].iov_len = room;
        vector.count = 1;
        let (size, from) = self.try_recv_vector(vector)?;
        if !self.is_stranger(&from) {
            Sink::new(Some(pieces)).put(&copy[..size.min(room)])?;
        }
        Ok((size, from))
    }

    fn try_recv_vector(&self, mut vector: Vector) -> Result<(usize, IpAddr)> {
        let mut from = IpAddr::UNSPECIFIED;
        let mut message = vector.message(&mut from, size_of::<IpAddr>());
        // SAFETY: the address and the pieces are writable.
        let size = unsafe { socket::recv_message(self.fd.get(), &mut message, libc::MSG_TRUNC) }?;
        Ok((size, from))
    }
}

/// Copies the bytes of a list. EMSGSIZE if no datagram has so many.
fn gather(pieces: Pieces<'_>) -> Result<Vec<u8>> {
    if pieces.total() >= MAX_DATAGRAM {
        return Err(Errno::EMSGSIZE);
    }
    let mut copy = Vec::new();
    for piece in pieces.cursor() {
        if piece.base.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the pieces of a list to send are readable.
        let bytes = unsafe { core::slice::from_raw_parts(piece.base, piece.len) };
        crate::memory::try_extend(&mut copy, bytes)?;
    }
    Ok(copy)
}
