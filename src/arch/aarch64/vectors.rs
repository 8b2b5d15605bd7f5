//! NEON, which every processor has.

/// Whether `run_wide` may be called.
#[inline(always)]
pub(crate) fn are_wide() -> bool {
    true
}

/// Runs a loop that is compiled for wide vectors.
///
/// # Safety
/// `are_wide`.
#[inline(always)]
pub(crate) unsafe fn run_wide(f: impl FnOnce()) {
    f();
}
