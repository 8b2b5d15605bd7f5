//! 64-bit ARM, AAPCS64.

pub(crate) mod switch;
pub(crate) mod thread_slot;
#[cfg(feature = "sockets")]
pub(crate) mod ticks;
#[cfg(feature = "sockets")]
pub(crate) mod utf8;
pub(super) mod valgrind;
#[cfg(feature = "sockets")]
pub(crate) mod vectors;
