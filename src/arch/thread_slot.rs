//! One pointer of the thread's own, initial-exec: one load, where `thread_local!` in a shared library
//! would call a function. Null until it is set.

pub(crate) use super::cpu::thread_slot::{get, set};

#[cfg(not(miri))]
core::arch::global_asm!(
    ".pushsection .tbss, \"awT\", @nobits",
    ".balign 8",
    ".globl dill_rt_context",
    ".hidden dill_rt_context",
    ".type dill_rt_context, @object",
    ".size dill_rt_context, 8",
    "dill_rt_context:",
    ".zero 8",
    ".popsection",
);
