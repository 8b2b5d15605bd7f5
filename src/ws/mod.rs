//! WebSocket (RFC 6455): sans-I/O cores, and `sock`, the one file that moves bytes.

pub mod close;
pub mod frame;
pub mod handshake;
pub mod mask;
pub mod protocol;
pub mod sock;
pub mod utf8;

#[cfg(test)]
mod tests;
