//! One pointer of the thread's own, initial-exec: one load, where `thread_local!` in a shared library
//! would call a function. Null until it is set.

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

/// This thread's pointer.
#[inline]
pub(crate) fn get<T>() -> *const T {
    let value: *const T;
    // SAFETY: reads this thread's variable, which is defined above.
    unsafe {
        core::arch::asm!(
            "adrp {1}, :gottprel:dill_rt_context",
            "mrs {0}, tpidr_el0",
            "ldr {1}, [{1}, :gottprel_lo12:dill_rt_context]",
            "ldr {0}, [{0}, {1}]",
            out(reg) value,
            out(reg) _,
            options(nostack, preserves_flags, readonly, pure),
        );
    }
    value
}

/// Sets this thread's pointer.
pub(crate) fn set<T>(value: *const T) {
    // SAFETY: writes this thread's variable, which is defined above.
    unsafe {
        core::arch::asm!(
            "adrp {1}, :gottprel:dill_rt_context",
            "mrs {2}, tpidr_el0",
            "ldr {1}, [{1}, :gottprel_lo12:dill_rt_context]",
            "str {0}, [{2}, {1}]",
            in(reg) value,
            out(reg) _,
            out(reg) _,
            options(nostack, preserves_flags),
        );
    }
}
