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
    // How far that is from the thread pointer, which is the same in all threads: for debuggers that cannot ask the C
    // library, since the process is on another machine or dead. `set` writes it.
    ".pushsection .bss.dill_slot_offset, \"aw\", @nobits",
    ".balign 8",
    ".globl dill_slot_offset",
    ".hidden dill_slot_offset",
    ".type dill_slot_offset, @object",
    ".size dill_slot_offset, 8",
    "dill_slot_offset:",
    ".zero 8",
    ".popsection",
);
