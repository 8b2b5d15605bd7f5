//! The runtime: coroutines, and what they wait for.

pub mod bundle;
pub mod clock;
pub mod context;
pub mod coroutine;
pub mod handle;
pub mod list;
pub mod mutex;
pub mod poller;
mod stack;
mod switch_x86_64;
mod timer;
pub mod turn;
pub mod valgrind;
pub mod wait;
