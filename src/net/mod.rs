//! Transports of the operating system: addresses, TCP, AF_UNIX.

pub mod addr;
pub mod buffers;
pub mod ipc;
pub mod listener;
pub mod resolve;
pub mod socket;
pub mod stream;
pub mod tcp;
