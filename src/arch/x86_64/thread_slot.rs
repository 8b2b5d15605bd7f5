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
            "mov {0}, qword ptr [rip + dill_rt_context@GOTTPOFF]",
            "mov {0}, qword ptr fs:[{0}]",
            out(reg) value,
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
            "mov {1}, qword ptr [rip + dill_rt_context@GOTTPOFF]",
            "mov qword ptr fs:[{1}], {0}",
            in(reg) value,
            out(reg) _,
            options(nostack, preserves_flags),
        );
    }
}
