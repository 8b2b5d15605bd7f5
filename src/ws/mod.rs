//! WebSocket (RFC 6455): a core without I/O, and `sock`, which moves bytes.

pub mod close;
pub mod connection;
pub mod decoder;
pub mod deflate;
pub mod encoder;
pub mod extension;
pub mod frame;
pub mod handshake;
pub mod mask;
pub mod options;
pub mod sock;
pub mod utf8;

#[cfg(test)]
mod tests;
