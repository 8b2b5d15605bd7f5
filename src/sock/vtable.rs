//! The function tables of the library's own sockets: besides `ffi` the only place that C calls into, and
//! that sets errno.

use super::{BsockVfs, Bytestream, MessageSocket, MsockVfs};
use crate::error::{Errno, Result};
use crate::iol::{IoList, Pieces};
use crate::rt::object::{Kind, Ref};
use core::ffi::c_int;
use core::ptr;

/// The table of a bytestream type.
pub(crate) const fn bsock_vfs<T: Bytestream>() -> BsockVfs {
    BsockVfs { bsendl: Some(bsendl::<T>), brecvl: Some(brecvl::<T>) }
}

/// The table of a message socket type.
pub(crate) const fn msock_vfs<T: MessageSocket>() -> MsockVfs {
    MsockVfs { msendl: Some(msendl::<T>), mrecvl: Some(mrecvl::<T>) }
}

unsafe extern "C" fn bsendl<T: Bytestream>(
    vfs: *mut BsockVfs,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> c_int {
    // SAFETY: the table is that of a living object of this type.
    let this: Ref<T> = unsafe { Ref::from_vfs(vfs) };
    if first.is_null() && last.is_null() {
        return 0;
    }
    // SAFETY: the caller's list is alive during the call.
    let pieces = unsafe { Pieces::to_send(first, last) };
    status(this, |this| T::send(this, pieces?, deadline))
}

unsafe extern "C" fn brecvl<T: Bytestream>(
    vfs: *mut BsockVfs,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> c_int {
    // SAFETY: the table is that of a living object of this type.
    let this: Ref<T> = unsafe { Ref::from_vfs(vfs) };
    // SAFETY: the caller's list is alive during the call.
    let pieces = unsafe { receive_list(first, last) };
    status(this, |this| T::recv(this, pieces?, deadline))
}

unsafe extern "C" fn msendl<T: MessageSocket>(
    vfs: *mut MsockVfs,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> c_int {
    // SAFETY: the table is that of a living object of this type.
    let this: Ref<T> = unsafe { Ref::from_vfs(vfs) };
    // SAFETY: the caller's list is alive during the call.
    let pieces = unsafe { Pieces::to_send(first, last) };
    status(this, |this| T::send(this, pieces?, deadline))
}

unsafe extern "C" fn mrecvl<T: MessageSocket>(
    vfs: *mut MsockVfs,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> libc::ssize_t {
    // SAFETY: the table is that of a living object of this type.
    let this: Ref<T> = unsafe { Ref::from_vfs(vfs) };
    // SAFETY: the caller's list is alive during the call.
    let pieces = unsafe { receive_list(first, last) };
    let result = pieces.and_then(|pieces| T::recv(&this, pieces, deadline));
    drop(this);
    size_status(result)
}

/// The list of a receiving call: both ends NULL means "drop".
///
/// # Safety
/// As `Pieces::to_receive`.
pub(crate) unsafe fn receive_list<'a>(first: *mut IoList, last: *mut IoList) -> Result<Option<Pieces<'a>>> {
    if ptr::eq(first, last) && first.is_null() {
        return Ok(None);
    }
    // SAFETY: by contract.
    unsafe { Pieces::to_receive(first, last) }.map(Some)
}

/// Runs an operation and reports it as C expects: errno is set after everything was dropped.
fn status<T: Kind>(this: Ref<T>, run: impl FnOnce(&Ref<T>) -> Result<()>) -> c_int {
    let result = run(&this);
    drop(this);
    match result {
        Ok(()) => 0,
        Err(error) => {
            set_errno(error);
            -1
        }
    }
}

fn size_status(result: Result<usize>) -> libc::ssize_t {
    match result.and_then(|size| libc::ssize_t::try_from(size).map_err(|_| Errno::EMSGSIZE)) {
        Ok(size) => size,
        Err(error) => {
            set_errno(error);
            -1
        }
    }
}

/// The last thing that a failing entry point does.
fn set_errno(error: Errno) {
    errno::set_errno(errno::Errno(error.code()));
}
