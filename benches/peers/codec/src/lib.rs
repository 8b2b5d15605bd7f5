//! Exports the functions of zlib.

pub use libz_rs_sys::*;
