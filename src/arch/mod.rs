//! Everything that names a processor, one directory for each. Imports nothing of the crate.
//!
//! | module | what it does |
//! |---|---|
//! | [`switch`] | from one coroutine to another |
//! | [`thread_slot`] | one pointer of the thread's own, in a single load |
//! | [`ticks`] | the processor's clock |
//! | [`valgrind`] | client requests |
//! | [`weak`] | symbols that the process may have or not |
//! | [`vectors`] | loops compiled once more for processors with wider vectors |
//! | [`utf8`] | whether a whole text is UTF-8 |

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    target_endian = "little"
)))]
compile_error!("this library runs on Linux on x86-64 and 64-bit ARM only");

#[cfg_attr(miri, path = "interpreted.rs")]
#[cfg_attr(all(target_arch = "x86_64", not(miri)), path = "x86_64/mod.rs")]
#[cfg_attr(all(target_arch = "aarch64", not(miri)), path = "aarch64/mod.rs")]
mod cpu;

pub(crate) mod thread_slot;
pub(crate) mod valgrind;
pub(crate) mod weak;

pub(crate) use cpu::switch;
#[cfg(feature = "sockets")]
pub(crate) use cpu::{ticks, utf8, vectors};
