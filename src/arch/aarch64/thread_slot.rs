//! How the variable of `arch/thread_slot.rs` is reached.

/// This thread's pointer.
#[inline]
pub(crate) fn get<T>() -> *const T {
    let value: *const T;
    // SAFETY: reads this thread's variable, which `arch/thread_slot.rs` defines.
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
    // SAFETY: writes this thread's variable, which `arch/thread_slot.rs` defines, and the one for debuggers, which the
    // program does not read.
    unsafe {
        core::arch::asm!(
            "adrp {1}, :gottprel:dill_rt_context",
            "mrs {2}, tpidr_el0",
            "ldr {1}, [{1}, :gottprel_lo12:dill_rt_context]",
            "str {0}, [{2}, {1}]",
            "adrp {2}, dill_slot_offset",
            "str {1}, [{2}, :lo12:dill_slot_offset]",
            in(reg) value,
            out(reg) _,
            out(reg) _,
            options(nostack, preserves_flags),
        );
    }
}
