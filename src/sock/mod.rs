//! Sockets as C sees them: function tables for bytestreams and for message sockets.

pub mod call;
pub mod half;
pub mod layer;
pub mod list;
pub mod sink;

use crate::error::{Errno, Result};
use crate::iol::{IoList, Pieces};
use crate::rt::object::{Kind, Ref};
use core::ffi::{c_int, c_void};
use core::ptr;

/// A function of a bytestream's table.
pub type BytestreamFn = unsafe extern "C" fn(*mut BsockVfs, *mut IoList, *mut IoList, i64) -> c_int;

/// The functions of a bytestream. Part of the ABI of socket types written in C.
#[repr(C)]
pub struct BsockVfs {
    /// Sends all bytes, or fails.
    pub bsendl: Option<BytestreamFn>,
    /// Receives as many bytes as the list has room for, or fails.
    pub brecvl: Option<BytestreamFn>,
}

/// The sending function of a message socket's table.
pub type MsendlFn = unsafe extern "C" fn(*mut MsockVfs, *mut IoList, *mut IoList, i64) -> c_int;
/// The receiving function of a message socket's table.
pub type MrecvlFn = unsafe extern "C" fn(*mut MsockVfs, *mut IoList, *mut IoList, i64) -> libc::ssize_t;

/// The functions of a message socket. Part of the ABI of socket types written in C.
#[repr(C)]
pub struct MsockVfs {
    /// Sends one message.
    pub msendl: Option<MsendlFn>,
    /// Receives one message and returns its size.
    pub mrecvl: Option<MrecvlFn>,
}

/// What an exported data symbol holds: an address that stands for an interface.
#[repr(transparent)]
pub struct TypeId(*const c_void);

// SAFETY: the address is compared, never followed.
unsafe impl Sync for TypeId {}

impl TypeId {
    /// The identity that a place in memory gives.
    pub(crate) const fn of(place: &'static u8) -> TypeId {
        TypeId(core::ptr::from_ref(place).cast())
    }

    /// The identity itself.
    pub fn get(&self) -> *const c_void {
        self.0
    }
}

static BYTESTREAM: u8 = 0;
static MESSAGE: u8 = 0;

/// The identity of the bytestream interface.
pub const BSOCK_TYPE: TypeId = TypeId((&raw const BYTESTREAM).cast());
/// The identity of the message socket interface.
pub const MSOCK_TYPE: TypeId = TypeId((&raw const MESSAGE).cast());

/// A bytestream of the library's own.
pub trait Bytestream: Kind<Vfs = BsockVfs> {
    /// Sends all bytes, or fails.
    fn send(this: &Ref<Self>, pieces: Pieces<'_>, deadline: i64) -> Result<()>;
    /// Fills all pieces, or fails. None: drops everything until an error or the end of the stream.
    fn recv(this: &Ref<Self>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<()>;
}

/// A message socket of the library's own.
pub trait MessageSocket: Kind<Vfs = MsockVfs> {
    /// Sends one message.
    fn send(this: &Ref<Self>, pieces: Pieces<'_>, deadline: i64) -> Result<()>;
    /// Receives one message and returns its size. None: drops it.
    fn recv(this: &Ref<Self>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<usize>;
}

/// The table of a bytestream type.
pub const fn bsock_vfs<T: Bytestream>() -> BsockVfs {
    BsockVfs { bsendl: Some(bsendl::<T>), brecvl: Some(brecvl::<T>) }
}

/// The table of a message socket type.
pub const fn msock_vfs<T: MessageSocket>() -> MsockVfs {
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
pub unsafe fn receive_list<'a>(first: *mut IoList, last: *mut IoList) -> Result<Option<Pieces<'a>>> {
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
pub fn set_errno(error: Errno) {
    errno::set_errno(errno::Errno(error.code()));
}
