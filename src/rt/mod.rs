//! The runtime: coroutines, and what they wait for.

#[cfg(feature = "sockets")]
pub(crate) mod big_stack;
pub mod budget;
pub mod bundle;
pub mod clock;
pub mod context;
pub mod coroutine;
#[cfg(not(miri))]
mod debugger;
mod fiber;
pub mod handle;
pub mod list;
pub mod mutex;
pub mod object;
pub(crate) mod outer_loop;
pub mod poller;
pub mod process;
#[cfg(feature = "tls")]
mod reserve;
mod stack;
mod timer;
pub mod wait;
