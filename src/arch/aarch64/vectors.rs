//! NEON, which every processor has.

/// Whether `run_wide` may be called.
#[inline(always)]
pub(crate) fn are_wide() -> bool {
    true
}

/// Runs a loop that is compiled for wide vectors, with arguments that travel in registers.
///
/// # Safety
/// `are_wide`.
#[inline(always)]
pub(crate) unsafe fn run_wide<A, B, C>(f: impl FnOnce(A, B, C), a: A, b: B, c: C) {
    f(a, b, c);
}
