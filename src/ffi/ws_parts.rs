//! WebSocket: messages in parts.

use crate::ws::sock;
use core::ffi::c_int;

/// When sending: the message is not whole, the next call of the same coroutine goes on with it.
pub const DILL_WS_MORE: c_int = 128;

const _: () = assert!(DILL_WS_MORE == sock::MORE);
