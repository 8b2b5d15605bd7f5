//! Structured concurrency and WebSocket for C: a drop-in `libdill.so.20`.
//!
//! A map of the house. Data flows one way, from the top to the bottom.
//!
//! | module | what it does |
//! |---|---|
//! | [`ffi`] | the C boundary: raw arguments become safe ones, results become `errno` |
//! | [`dial`] | URLs and proxies: what a client connects to |
//! | [`ws`] | WebSocket: state machines that know no socket, and `ws::sock`, which moves their bytes |
//! | [`tls`] | TLS: a bytestream over any other, with the protocol of rustls |
//! | [`http`] | headers of HTTP/1, line by line |
//! | [`socks5`] | both sides of SOCKS5 |
//! | [`prefix`], [`suffix`], [`term`] | messages behind their length, before a delimiter, up to an agreed last one |
//! | `transport` | what a protocol runs on: a buffered view of a stream, TLS on it or not, or any bytestream |
//! | [`net`] | TCP, AF_UNIX, UDP, addresses and names; the buffers of the streams |
//! | [`sock`] | bytestreams and message sockets as C sees them, ours and those written by users |
//! | [`chan`] | channels |
//! | [`rt`] | the runtime of a thread: handles and counted objects behind them, coroutines, bundles, timers, the poller |
//! | [`arch`] | everything that names a processor |
//! | [`iol`] | I/O lists |
//! | `zlib` | the codec of permessage-deflate |
//! | [`random`], [`memory`], [`error`], `why` | random bytes, allocation that may fail, what can go wrong, and why it did |
//!
//! A call that waits lets other coroutines run, on the same thread and perhaps in the same object: no
//! borrow is held across it.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests may abort"))]

#[cfg(not(any(panic = "abort", test)))]
compile_error!("build with panic = \"abort\": a panic must not unwind into C code");

mod arch;
pub mod chan;
#[cfg(feature = "sockets")]
pub mod dial;
pub mod error;
pub mod ffi;
#[cfg(feature = "sockets")]
pub mod http;
#[cfg(feature = "sockets")]
pub mod iol;
pub mod memory;
#[cfg(feature = "sockets")]
pub mod net;
#[cfg(feature = "sockets")]
pub mod prefix;
pub mod random;
pub mod rt;
#[cfg(feature = "sockets")]
pub mod sock;
#[cfg(feature = "sockets")]
pub mod socks5;
#[cfg(feature = "sockets")]
pub mod suffix;
#[cfg(feature = "sockets")]
pub mod term;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "sockets")]
pub mod transport;
#[cfg(feature = "sockets")]
mod why;
#[cfg(feature = "sockets")]
pub mod ws;
#[cfg(feature = "sockets")]
mod zlib;
