//! AVX2, which not every processor has.

/// Whether `run_wide` may be called.
#[inline(always)]
pub(crate) fn are_wide() -> bool {
    is_x86_feature_detected!("avx2")
}

/// Runs a loop that is compiled for wide vectors.
///
/// # Safety
/// `are_wide`.
#[inline(always)]
pub(crate) unsafe fn run_wide(f: impl FnOnce()) {
    // SAFETY: the caller has asked `are_wide`: the processor has AVX2.
    unsafe { with_avx2(f) }
}

#[target_feature(enable = "avx2")]
fn with_avx2(f: impl FnOnce()) {
    f();
}
