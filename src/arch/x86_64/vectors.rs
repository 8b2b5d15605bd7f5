//! AVX2, which not every processor has.

/// Whether `run_wide` may be called.
#[inline(always)]
pub(crate) fn are_wide() -> bool {
    is_x86_feature_detected!("avx2")
}

/// Runs a loop that is compiled for wide vectors, with arguments that travel in registers.
///
/// # Safety
/// `are_wide`.
#[inline(always)]
pub(crate) unsafe fn run_wide<A, B, C>(f: impl FnOnce(A, B, C), a: A, b: B, c: C) {
    // SAFETY: the caller has asked `are_wide`: the processor has AVX2.
    unsafe { with_avx2(f, a, b, c) }
}

#[target_feature(enable = "avx2")]
fn with_avx2<A, B, C>(f: impl FnOnce(A, B, C), a: A, b: B, c: C) {
    f(a, b, c);
}
