//! From a URL to a handle: what is dialled, and through which proxy. `connect` puts it together; the rest does
//! no I/O.

pub(crate) mod authority;
pub(crate) mod connect;
pub mod no_proxy;
pub mod proxy;
mod tunnel;
pub mod url;
