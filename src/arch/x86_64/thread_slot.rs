//! How the variable of `arch/thread_slot.rs` is reached.

/// This thread's pointer.
#[inline]
pub(crate) fn get<T>() -> *const T {
    let value: *const T;
    // SAFETY: reads this thread's variable, which `arch/thread_slot.rs` defines.
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
    // SAFETY: writes this thread's variable, which `arch/thread_slot.rs` defines, and the one for debuggers, which the
    // program does not read.
    unsafe {
        core::arch::asm!(
            "mov {1}, qword ptr [rip + dill_rt_context@GOTTPOFF]",
            "mov qword ptr fs:[{1}], {0}",
            "mov qword ptr [rip + dill_slot_offset], {1}",
            in(reg) value,
            out(reg) _,
            options(nostack, preserves_flags),
        );
    }
}
