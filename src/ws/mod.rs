//! WebSocket (RFC 6455): a core without I/O, and `sock`, which moves bytes.

pub(crate) mod ahead;
mod close;
pub(crate) mod connection;
pub(crate) mod decoder;
pub(crate) mod deflate;
pub(crate) mod encoder;
pub(crate) mod extension;
pub(crate) mod frame;
pub mod handshake;
pub(crate) mod mask;
pub(crate) mod options;
pub(crate) mod sock;
pub(crate) mod utf8;

#[cfg(test)]
mod tests;
