//! Time: milliseconds on the monotonic clock.

/// Milliseconds since an arbitrary point, the clock of every deadline. Never 0 or negative.
pub(crate) fn now() -> i64 {
    milliseconds(nanoseconds())
}

/// The same clock in nanoseconds, for what is shorter than a millisecond.
pub(crate) fn nanoseconds() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable; the call cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// The time of deadlines that a time in nanoseconds is.
pub(crate) fn milliseconds(nanoseconds: i64) -> i64 {
    // One is added so that not even the first millisecond after boot reads 0, which as a deadline
    // means "immediately".
    nanoseconds / 1_000_000 + 1
}
