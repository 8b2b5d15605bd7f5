//! Transports of the operating system: addresses, TCP, AF_UNIX, UDP.

pub mod addr;
pub mod buffers;
pub mod descriptor;
pub mod happyeyeballs;
pub mod ipc;
pub mod listener;
mod question;
pub mod resolve;
pub mod socket;
pub mod stream;
pub mod tcp;
pub mod udp;
