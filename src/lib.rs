//! Structured concurrency and WebSocket for C: a drop-in `libdill.so.20`.
//!
//! A map of the modules. Data flows one way, from the top to the bottom.
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
//! | `environment` | variables of the process |
//! | [`random`], [`memory`], [`error`], `why` | random bytes, allocation that may fail, what can go wrong, and why it did |
//!
//! A call that waits lets other coroutines run, on the same thread and perhaps in the same object: no
//! borrow is held across it.

#![cfg_attr(not(feature = "sockets"), allow(dead_code, reason = "what only sockets need of the runtime"))]
#![cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub, reason = "what fuzz targets drive is pub"))]
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests may abort"))]

#[cfg(not(any(panic = "abort", test)))]
compile_error!("build with panic = \"abort\": a panic must not unwind into C code");

mod arch;
mod chan;
#[cfg(feature = "sockets")]
mod dial;
#[cfg(feature = "sockets")]
mod environment;
mod error;
pub mod ffi;
#[cfg(feature = "sockets")]
mod http;
#[cfg(feature = "sockets")]
mod iol;
mod memory;
#[cfg(feature = "sockets")]
mod net;
#[cfg(feature = "sockets")]
mod prefix;
#[cfg(feature = "sockets")]
mod probes;
#[cfg(feature = "sockets")]
mod random;
mod rt;
#[cfg(feature = "sockets")]
mod sock;
#[cfg(feature = "sockets")]
mod socks5;
#[cfg(feature = "sockets")]
mod suffix;
#[cfg(feature = "sockets")]
mod term;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "sockets")]
mod transport;
#[cfg(feature = "sockets")]
mod why;
#[cfg(feature = "sockets")]
mod ws;
#[cfg(feature = "sockets")]
mod zlib;

/// What the fuzz targets drive without a socket; no part of any interface.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::error::Errno;
    pub use crate::rt::handle::Id;
    pub use crate::transport::delimiter;

    pub mod certificate {
        pub use crate::tls::certificate::{public_key, validity};
    }
    pub mod records {
        pub use crate::tls::records::ends::{End, connect};
    }
    pub mod dial {
        pub use crate::dial::{no_proxy, proxy, url};
    }
    pub mod http {
        pub use crate::http::grammar;
    }
    pub mod prefix {
        pub use crate::prefix::header::Format;
    }
    pub mod socks5 {
        pub use crate::socks5::{client, proxy};
    }
    pub mod ws {
        pub use crate::ws::decoder::{Decoder, Next, Violation};
        pub use crate::ws::deflate::{Deflate, Effort, Negotiated};
        pub use crate::ws::extension::{Ends, Extension, MIN_ROOM, Undecodable};
        pub use crate::ws::frame::Role;
        pub use crate::ws::handshake;
        pub use crate::ws::utf8::{Utf8, is_valid};
    }
}
