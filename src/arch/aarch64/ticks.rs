//! The virtual counter: the cheapest way to see that little time has passed.

/// Its present value.
pub(crate) fn now() -> u64 {
    let ticks: u64;
    // SAFETY: Linux lets programs read the register.
    unsafe {
        core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nostack, nomem, preserves_flags))
    };
    ticks
}

/// How many ticks a millisecond has: from 1 MHz to 1 GHz, as the machine says.
pub(crate) fn per_millisecond() -> u64 {
    let frequency: u64;
    // SAFETY: Linux lets programs read the register.
    unsafe {
        core::arch::asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nostack, nomem, preserves_flags, pure));
    }
    frequency / 1000
}
