//! The function tables of the library's own sockets: besides `ffi` the only place that C calls into, and
//! that sets errno.

use super::{BsockVfs, Bytestream, MessageSocket, MsockVfs};
use crate::error::{Errno, Result};
use crate::iol::{IoList, Pieces};
use crate::rt::object::{Kind, Ref};
use crate::rt::wait;
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
    if first.is_null() && last.is_null() {
        return 0;
    }
    // SAFETY: the caller's list is alive during the call.
    let pieces = unsafe { Pieces::to_send(first, last) };
    // SAFETY: the table is that of a living object of this type.
    unsafe { call(vfs, |this: &Ref<T>| T::send(this, pieces?, deadline).map(|()| 0)) as c_int }
}

unsafe extern "C" fn brecvl<T: Bytestream>(
    vfs: *mut BsockVfs,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's list is alive during the call.
    let pieces = unsafe { receive_list(first, last) };
    // SAFETY: the table is that of a living object of this type.
    unsafe { call(vfs, |this: &Ref<T>| T::recv(this, pieces?, deadline).map(|()| 0)) as c_int }
}

unsafe extern "C" fn msendl<T: MessageSocket>(
    vfs: *mut MsockVfs,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> c_int {
    // SAFETY: the caller's list is alive during the call.
    let pieces = unsafe { Pieces::to_send(first, last) };
    // SAFETY: the table is that of a living object of this type.
    unsafe { call(vfs, |this: &Ref<T>| T::send(this, pieces?, deadline).map(|()| 0)) as c_int }
}

unsafe extern "C" fn mrecvl<T: MessageSocket>(
    vfs: *mut MsockVfs,
    first: *mut IoList,
    last: *mut IoList,
    deadline: i64,
) -> libc::ssize_t {
    // SAFETY: the caller's list is alive during the call.
    let pieces = unsafe { receive_list(first, last) };
    // SAFETY: the table is that of a living object of this type.
    unsafe { call(vfs, |this: &Ref<T>| T::recv(this, pieces?, deadline)) }
}

/// The list of a receiving call: both ends NULL means "drop".
///
/// # Safety
/// As `Pieces::to_receive`.
pub(crate) unsafe fn receive_list<'a>(first: *mut IoList, last: *mut IoList) -> Result<Option<Pieces<'a>>> {
    if ptr::eq(first, last) && first.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller answers for the elements, as `to_receive` asks.
    unsafe { Pieces::to_receive(first, last) }.map(Some)
}

/// Runs an operation of the object that a table belongs to and reports it as C expects: errno is set after
/// everything was dropped.
///
/// # Safety
/// The table is that of a living object of this type.
unsafe fn call<T: Kind>(vfs: *mut T::Vfs, operation: impl FnOnce(&Ref<T>) -> Result<usize>) -> libc::ssize_t {
    // SAFETY: the table is that of a living object of this type, as the caller says.
    let this: Ref<T> = unsafe { Ref::from_vfs(vfs) };
    let waits = wait::count();
    let result = operation(&this);
    drop(this);
    match result.and_then(|size| libc::ssize_t::try_from(size).map_err(|_| Errno::EMSGSIZE)) {
        Ok(size) => {
            if wait::count() != waits {
                set_errno(0);
            }
            size
        }
        Err(error) => {
            set_errno(error.code());
            -1
        }
    }
}

/// The last thing that an entry point does.
fn set_errno(code: c_int) {
    errno::set_errno(errno::Errno(code));
}
