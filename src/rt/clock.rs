//! Time: milliseconds on the monotonic clock.

/// Milliseconds since an arbitrary point, the clock of every deadline. Never 0 or negative.
pub fn now() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable; the call cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    // One is added so that not even the first millisecond after boot reads 0, which as a deadline
    // means "immediately".
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000 + 1
}
