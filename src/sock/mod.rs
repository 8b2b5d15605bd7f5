//! Sockets as C sees them: function tables for bytestreams and for message sockets.

pub(crate) mod call;
pub(crate) mod half;
pub(crate) mod layer;
pub(crate) mod list;
pub(crate) mod sink;
mod vtable;

pub(crate) use vtable::{bsock_vfs, msock_vfs, receive_list};

use crate::error::Result;
use crate::iol::{IoList, Pieces};
use crate::rt::object::{Kind, Ref};
use core::ffi::{c_int, c_void};

/// A function of a bytestream's table.
pub(crate) type BytestreamFn = unsafe extern "C" fn(*mut BsockVfs, *mut IoList, *mut IoList, i64) -> c_int;

/// The functions of a bytestream. Part of the ABI of socket types written in C.
#[repr(C)]
pub(crate) struct BsockVfs {
    /// Sends all bytes, or fails.
    pub bsendl: Option<BytestreamFn>,
    /// Receives as many bytes as the list has room for, or fails.
    pub brecvl: Option<BytestreamFn>,
}

/// The sending function of a message socket's table.
pub(crate) type MsendlFn = unsafe extern "C" fn(*mut MsockVfs, *mut IoList, *mut IoList, i64) -> c_int;
/// The receiving function of a message socket's table.
pub(crate) type MrecvlFn =
    unsafe extern "C" fn(*mut MsockVfs, *mut IoList, *mut IoList, i64) -> libc::ssize_t;

/// The functions of a message socket. Part of the ABI of socket types written in C.
#[repr(C)]
pub(crate) struct MsockVfs {
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
pub(crate) const BSOCK_TYPE: TypeId = TypeId((&raw const BYTESTREAM).cast());
/// The identity of the message socket interface.
pub(crate) const MSOCK_TYPE: TypeId = TypeId((&raw const MESSAGE).cast());

/// A bytestream of the library's own.
pub(crate) trait Bytestream: Kind<Vfs = BsockVfs> {
    /// Sends all bytes, or fails.
    fn send(this: &Ref<Self>, pieces: Pieces<'_>, deadline: i64) -> Result<()>;
    /// Fills all pieces, or fails. None: drops everything until an error or the end of the stream.
    fn recv(this: &Ref<Self>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<()>;
}

/// A message socket of the library's own.
pub(crate) trait MessageSocket: Kind<Vfs = MsockVfs> {
    /// Sends one message.
    fn send(this: &Ref<Self>, pieces: Pieces<'_>, deadline: i64) -> Result<()>;
    /// Receives one message and returns its size. None: drops it.
    fn recv(this: &Ref<Self>, pieces: Option<Pieces<'_>>, deadline: i64) -> Result<usize>;
}
