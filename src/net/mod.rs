//! Transports of the operating system: addresses, TCP, AF_UNIX, UDP.

pub(crate) mod addr;
pub(crate) mod buffers;
pub(crate) mod descriptor;
pub(crate) mod happyeyeballs;
pub(crate) mod ipc;
pub(crate) mod listener;
mod question;
pub(crate) mod resolve;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod tcp;
pub(crate) mod udp;
