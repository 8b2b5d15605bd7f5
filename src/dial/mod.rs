//! From a URL to a handle: what is dialled, and through which proxy.

pub mod authority;
pub mod no_proxy;
pub mod proxy;
pub mod url;
