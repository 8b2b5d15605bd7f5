//! For those who write types of sockets of their own: the variables of `libdillimpl.h`, whose
//! declarations are in `header/`.

use crate::sock::{BSOCK_TYPE, MSOCK_TYPE, TypeId};

/// Stands for the bytestream interface, in `hquery` and in the `query` functions of socket types.
#[unsafe(no_mangle)]
pub static dill_bsock_type: TypeId = BSOCK_TYPE;

/// Stands for the message socket interface.
#[unsafe(no_mangle)]
pub static dill_msock_type: TypeId = MSOCK_TYPE;
