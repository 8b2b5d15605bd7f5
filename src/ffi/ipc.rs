//! AF_UNIX streams.

use super::types::{IpcListenerStorage, IpcPairStorage, IpcStorage};
use super::{not_null, socket_call, string};
use crate::error::Result;
use crate::net::ipc;
use core::ffi::{c_char, c_int};

/// Listens for connections of processes on this machine, at the path of a socket file that is made.
///
/// Errors: EACCES, EADDRINUSE (there is such a file), EAFNOSUPPORT, ECANCELED, EINVAL (NULL), ELOOP,
/// EMFILE, ENAMETOOLONG (more than 107 characters), ENFILE, ENOENT, ENOMEM, ENOTDIR, EROFS.
///
/// # Safety
/// The path is a string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipc_listen(addr: *const c_char, backlog: c_int) -> c_int {
    // SAFETY: the caller passes a string, or NULL.
    socket_call(|| ipc::listen(unsafe { string(addr) }?, backlog))
}

/// As `ipc_listen`, with memory of the caller's, which must stay until the listener is closed.
///
/// Errors: those of `ipc_listen`, and EINVAL (no memory given).
///
/// # Safety
/// The path is a string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipc_listen_mem(
    addr: *const c_char,
    backlog: c_int,
    mem: *mut IpcListenerStorage,
) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        // SAFETY: the caller passes a string, or NULL.
        ipc::listen(unsafe { string(addr) }?, backlog)
    })
}

/// Waits for a connection and returns it.
///
/// Errors: EBADF, EBUSY (another coroutine waits for connections), ECANCELED, EMFILE, ENFILE, ENOMEM,
/// ENOTSUP, ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_ipc_accept(s: c_int, deadline: i64) -> c_int {
    socket_call(|| ipc::accept(s, deadline))
}

/// As `ipc_accept`, with memory of the caller's, which must stay until the connection is closed.
///
/// Errors: those of `ipc_accept`, and EINVAL (no memory given).
#[unsafe(no_mangle)]
pub extern "C" fn dill_ipc_accept_mem(s: c_int, mem: *mut IpcStorage, deadline: i64) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        ipc::accept(s, deadline)
    })
}

/// Connects to a socket file and returns the connection.
///
/// Errors: EACCES, EAFNOSUPPORT, EBADF, ECANCELED, ECONNREFUSED (nobody listens there), EINVAL (NULL),
/// ELOOP, EMFILE, ENAMETOOLONG (more than 107 characters), ENFILE, ENOENT, ENOMEM, ENOTDIR, ETIMEDOUT.
///
/// # Safety
/// The path is a string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipc_connect(addr: *const c_char, deadline: i64) -> c_int {
    // SAFETY: the caller passes a string, or NULL.
    socket_call(|| ipc::connect(unsafe { string(addr) }?, deadline))
}

/// As `ipc_connect`, with memory of the caller's, which must stay until the connection is closed.
///
/// Errors: those of `ipc_connect`, and EINVAL (no memory given).
///
/// # Safety
/// The path is a string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipc_connect_mem(
    addr: *const c_char,
    mem: *mut IpcStorage,
    deadline: i64,
) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        // SAFETY: the caller passes a string, or NULL.
        ipc::connect(unsafe { string(addr) }?, deadline)
    })
}

/// Makes a connection of a file descriptor that is a connected AF_UNIX stream socket. The descriptor
/// belongs to the library from then on; if the call fails it is left alone.
///
/// Errors: EBADF, ECANCELED, EINVAL (negative, listening, or no such socket), EMFILE, ENFILE, ENOMEM,
/// ENOTSOCK.
#[unsafe(no_mangle)]
pub extern "C" fn dill_ipc_fromfd(fd: c_int) -> c_int {
    socket_call(|| ipc::from_fd(fd))
}

/// As `ipc_fromfd`, with memory of the caller's, which must stay until the connection is closed.
///
/// Errors: those of `ipc_fromfd`, and EINVAL (no memory given).
#[unsafe(no_mangle)]
pub extern "C" fn dill_ipc_fromfd_mem(fd: c_int, mem: *mut IpcStorage) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        ipc::from_fd(fd)
    })
}

/// Makes a listener of a file descriptor that is a listening AF_UNIX stream socket. The descriptor
/// belongs to the library from then on; if the call fails it is left alone.
///
/// Errors: EBADF, ECANCELED, EINVAL (negative, not listening, or no such socket), EMFILE, ENFILE,
/// ENOMEM, ENOTSOCK.
#[unsafe(no_mangle)]
pub extern "C" fn dill_ipc_listener_fromfd(fd: c_int) -> c_int {
    socket_call(|| ipc::listener_from_fd(fd))
}

/// As `ipc_listener_fromfd`, with memory of the caller's, which must stay until the listener is closed.
///
/// Errors: those of `ipc_listener_fromfd`, and EINVAL (no memory given).
#[unsafe(no_mangle)]
pub extern "C" fn dill_ipc_listener_fromfd_mem(fd: c_int, mem: *mut IpcListenerStorage) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        ipc::listener_from_fd(fd)
    })
}

/// Makes two connections that are each other's peers.
///
/// Errors: EAFNOSUPPORT, ECANCELED, EINVAL (NULL), EMFILE, ENFILE, ENOMEM.
///
/// # Safety
/// There is room for two handles.
///
/// cbindgen:ptrs-as-arrays=[[s;2]]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipc_pair(s: *mut c_int) -> c_int {
    // SAFETY: the caller has room for two handles, or passes NULL.
    socket_call(|| unsafe { pair(s) })
}

/// As `ipc_pair`, with memory of the caller's, which must stay until both connections are closed.
///
/// Errors: those of `ipc_pair`, and EINVAL (no memory given).
///
/// # Safety
/// There is room for two handles.
///
/// cbindgen:ptrs-as-arrays=[[s;2]]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ipc_pair_mem(mem: *mut IpcPairStorage, s: *mut c_int) -> c_int {
    socket_call(|| {
        not_null(mem)?;
        // SAFETY: the caller has room for two handles, or passes NULL.
        unsafe { pair(s) }
    })
}

unsafe fn pair(s: *mut c_int) -> Result<()> {
    not_null(s)?;
    let ends = ipc::pair()?;
    // SAFETY: not null, as was checked, and the callers have room for two handles.
    unsafe { s.cast::<[c_int; 2]>().write(ends) };
    Ok(())
}

/// Sends a file descriptor, of which the peer gets a copy with `ipc_recvfd`. It stays the caller's.
///
/// Errors: EBADF (the handle, or the descriptor), EBUSY, ECANCELED, ECONNRESET, EINVAL (negative),
/// ENOMEM, ENOTSUP, EPIPE (this side is done), ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_ipc_sendfd(s: c_int, fd: c_int, deadline: i64) -> c_int {
    socket_call(|| ipc::send_fd(s, fd, deadline))
}

/// Receives a file descriptor and returns it. It is the caller's.
///
/// Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EMFILE, ENOMEM, ENOTSUP, EPIPE (the peer is done),
/// EPROTO (something else was sent), ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_ipc_recvfd(s: c_int, deadline: i64) -> c_int {
    socket_call(|| ipc::recv_fd(s, deadline))
}

/// Closes this side of a connection: the peer reads what was sent, and then the end of the stream.
/// Receiving goes on as before. Never waits.
///
/// Errors: EBADF, EBUSY (another coroutine is sending), ECONNRESET, ENOMEM, ENOTSUP, EPIPE (already done).
#[unsafe(no_mangle)]
pub extern "C" fn dill_ipc_done(s: c_int, deadline: i64) -> c_int {
    let _ = deadline;
    socket_call(|| ipc::done(s))
}

/// Closes a connection gracefully: closes this side unless that was done, and waits until the
/// peer has closed its own, dropping what it still sends. Success means that the peer has come to the
/// end too. The handle is gone in any case, except after EBADF and ENOTSUP. A listener is just closed.
///
/// Errors: EBADF, EBUSY (another coroutine is using it), ECANCELED, ECONNRESET, ENOMEM, ENOTSUP, ETIMEDOUT.
#[unsafe(no_mangle)]
pub extern "C" fn dill_ipc_close(s: c_int, deadline: i64) -> c_int {
    socket_call(|| ipc::close(s, deadline))
}
