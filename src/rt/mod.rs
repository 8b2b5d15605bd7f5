//! The runtime: coroutines, and what they wait for.

pub(crate) mod above;
#[cfg(feature = "sockets")]
pub(crate) mod background;
#[cfg(feature = "sockets")]
pub(crate) mod big_stack;
pub(crate) mod budget;
pub(crate) mod bundle;
pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod coroutine;
#[cfg(not(miri))]
mod debugger;
pub(crate) mod dump;
mod fiber;
pub(crate) mod handle;
pub(crate) mod list;
pub(crate) mod mutex;
pub(crate) mod object;
pub(crate) mod outer_loop;
pub(crate) mod poller;
pub(crate) mod process;
#[cfg(feature = "tls")]
mod reserve;
mod stack;
mod timer;
pub(crate) mod wait;
