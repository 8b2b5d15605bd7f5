//! The time-stamp counter: the cheapest way to see that little time has passed.

/// Its present value.
pub(crate) fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// How many ticks are a millisecond or less: no time-stamp counter is slower than 1 GHz.
pub(crate) fn per_millisecond() -> u64 {
    1_000_000
}
