//! Listening sockets, TCP and AF_UNIX, and what both kinds of stream share beyond `Stream`.

use super::descriptor::{self, Descriptor};
use super::socket::{self, Fd};
use super::stream::{CloseMode, Family, Stream};
use crate::error::{self, Errno, Result};
use crate::probes;
use crate::rt::budget::{Rounds, SYSTEM_CALL};
use crate::rt::clock;
use crate::rt::context::Context;
use crate::rt::handle;
use crate::rt::object::{self, About, Kind, Ref};
use crate::rt::poller::Direction;
use crate::rt::wait;
use core::cell::Cell;
use core::ffi::{c_int, c_void};

/// For how long an accept that fails for lack of something lets others run, in ms.
const PAUSE: i64 = 10;

/// The body of a listener's handle.
pub(crate) struct Listener {
    fd: Descriptor,
    family: Family,
    busy: Cell<bool>,
}

static TYPE: u8 = 0;

impl Kind for Listener {
    type Vfs = ();
    const VFS: () = ();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        let name = if self.family == Family::Tcp { "TCP listener" } else { "AF_UNIX listener" };
        About::on_descriptor(name, self.fd.get())
    }

    fn close(this: &Ref<Listener>) {
        this.shut();
    }
}

impl Listener {
    fn shut(&self) {
        drop(self.fd.close());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Makes the handle of a listening socket.
pub(crate) fn make(fd: Fd, family: Family) -> Result<c_int> {
    let handle = make_listener(family)?;
    object::find::<Listener>(handle)?.fd.open(fd);
    Ok(handle)
}

fn make_listener(family: Family) -> Result<c_int> {
    object::make(Listener { fd: Descriptor::none(), family, busy: Cell::new(false) })
}

/// Makes the handle of a connection. Closes the descriptor if it cannot, and does nothing else
/// to the socket.
pub(crate) fn make_stream(fd: Fd, family: Family) -> Result<c_int> {
    let handle = object::make(Stream::new(family))?;
    probes::stream(handle, fd.get());
    object::find::<Stream>(handle)?.open(Context::get()?, fd);
    Ok(handle)
}

/// The connection behind a handle. EBADF; ENOTSUP for any other kind, the other family included.
pub(crate) fn find_stream(handle: c_int, family: Family) -> Result<Ref<Stream>> {
    let stream = object::find::<Stream>(handle)?;
    if stream.family() == family { Ok(stream) } else { Err(Errno::ENOTSUP) }
}

/// Accepts a connection. `address` is writable for `len` bytes, or null. EBUSY if somebody else
/// is accepting.
///
/// # Safety
/// `address` is null or writable for `*len` bytes.
pub(crate) unsafe fn accept(
    handle: c_int,
    family: Family,
    address: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
    deadline: i64,
) -> Result<Fd> {
    let context = Context::get()?;
    let listener = object::find::<Listener>(handle)?;
    if listener.family != family {
        return Err(Errno::ENOTSUP);
    }
    if listener.busy.replace(true) {
        return Err(Errno::EBUSY);
    }
    // SAFETY: `address` is null or writable for `*len` bytes, as the caller says.
    let accepted = unsafe { accept_next(context, &listener, address, len, deadline) };
    listener.busy.set(false);
    let error = match accepted {
        Ok(fd) => return Ok(fd),
        Err(error) => error,
    };
    if matches!(error, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) {
        // Most programs just try again. Until something has been freed, that is left to the others.
        let pause = clock::now() + PAUSE;
        wait::sleep(context, if deadline < 0 { pause } else { pause.min(deadline) })?;
    }
    Err(error)
}

/// # Safety
/// `address` is null or writable for `*len` bytes.
unsafe fn accept_next(
    context: &Context,
    listener: &Listener,
    address: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
    deadline: i64,
) -> Result<Fd> {
    let mut rounds = Rounds::default();
    loop {
        // Whoever may not wait takes nobody either: he could not be given a handle.
        context.check_cancelled()?;
        context.admit(SYSTEM_CALL, deadline)?;
        let fd = listener.fd.get();
        // SAFETY: `address` is null or writable for `*len` bytes, as the caller says; `len` is a reference.
        match error::check(unsafe { libc::accept4(fd, address, len, libc::SOCK_NONBLOCK) }) {
            Ok(fd) => return Ok(Fd::new(fd)),
            Err(Errno::EAGAIN) => listener.fd.wait(context, Direction::In, deadline)?,
            Err(error) if is_of_connection(error) => rounds.spend(context, SYSTEM_CALL, deadline)?,
            Err(error) => return Err(error),
        }
    }
}

/// Whether an accept failed because of the connection that it took, which is gone: accept(2) hands on what the
/// network says of it, and what a firewall does. The next one is as good as any.
fn is_of_connection(error: Errno) -> bool {
    match error {
        Errno::EINTR | Errno::ECONNABORTED | Errno::EPROTO | Errno::EPERM | Errno::ENOTSUP => true,
        Errno::System(code) => matches!(
            code,
            libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
        ),
        _ => false,
    }
}

/// Connects, waiting for the outcome.
///
/// # Safety
/// `address` is readable for `len` bytes.
pub(crate) unsafe fn connect(
    fd: Fd,
    address: *const libc::sockaddr,
    len: usize,
    deadline: i64,
) -> Result<Fd> {
    // SAFETY: `address` is readable for `len` bytes, as the caller says.
    if unsafe { socket::connect(fd.get(), address, len) }? {
        return Ok(fd);
    }
    descriptor::wait(Context::get()?, fd.get(), Direction::Out, deadline)?;
    socket::outcome(fd.get())?;
    Ok(fd)
}

/// Ends our half of a connection.
pub(crate) fn done(handle: c_int, family: Family) -> Result<()> {
    find_stream(handle, family)?.done()
}

/// Closes a listener, or a connection gracefully: see `Stream::finish`.
pub(crate) fn close(handle: c_int, family: Family, deadline: i64) -> Result<()> {
    if let Ok(listener) = object::find::<Listener>(handle) {
        if listener.family != family {
            return Err(Errno::ENOTSUP);
        }
        return handle::close(handle);
    }
    let stream = find_stream(handle, family)?;
    let finished = stream.finish(deadline);
    // A reset would destroy what we sent and the peer has not read yet.
    stream.set_close_mode(if finished.is_ok() { CloseMode::Graceful } else { CloseMode::Abort });
    object::close(handle, stream);
    finished
}

/// Adopts a descriptor: a connection, or a listening socket. Fails with the descriptor untouched.
pub(crate) fn adopt(fd: c_int, family: Family, listening: bool) -> Result<c_int> {
    if fd < 0 {
        return Err(Errno::EINVAL);
    }
    if socket::option(fd, libc::SOL_SOCKET, libc::SO_TYPE)? != libc::SOCK_STREAM
        || socket::option(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)? != c_int::from(listening)
        || family_of(fd)? != Some(family)
    {
        return Err(Errno::EINVAL);
    }
    let context = Context::get()?;
    // The old number is closed, as in libdill: a program that closes it once more does no harm.
    // SAFETY: the call takes no pointer.
    let own = Fd::new(error::check(unsafe { libc::dup(fd) })?);
    let handle = if listening { make_listener(family)? } else { object::make(Stream::new(family))? };
    if let Err(error) = prepare(own.get()) {
        handle::close(handle)?;
        return Err(error);
    }
    if listening {
        object::find::<Listener>(handle)?.fd.open(own);
    } else {
        object::find::<Stream>(handle)?.open(context, own);
    }
    // A coroutine that still waits for the descriptor gets EBADF.
    drop(Fd::new(fd));
    Ok(handle)
}

/// Makes an adopted descriptor what the library's own are. If it cannot, nothing has changed.
fn prepare(fd: c_int) -> Result<()> {
    let was_blocking = socket::set_nonblocking(fd, true)?;
    let prepared = socket::reuse_address(fd);
    if prepared.is_err() && was_blocking {
        socket::set_nonblocking(fd, false)?;
    }
    prepared
}

fn family_of(fd: c_int) -> Result<Option<Family>> {
    // SAFETY: all zeros is a valid address to be filled.
    let mut address: libc::sockaddr_storage = unsafe { core::mem::zeroed() };
    let mut len = size_of_val(&address) as libc::socklen_t;
    let place = (&raw mut address).cast();
    // SAFETY: the address is writable for its size.
    error::check(unsafe { libc::getsockname(fd, place, &raw mut len) })?;
    Ok(match c_int::from(address.ss_family) {
        libc::AF_INET | libc::AF_INET6 => Some(Family::Tcp),
        libc::AF_UNIX => Some(Family::Unix),
        _ => None,
    })
}
