//! The instruction sequence of a client request.

/// Asks valgrind; 0 outside of it.
pub(crate) fn request(arguments: &[usize; 6]) -> usize {
    let mut result: usize = 0;
    // SAFETY: outside valgrind the rotations cancel out and the last instruction does nothing; inside,
    // only x3 is written. The arguments outlive the block.
    unsafe {
        core::arch::asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            in("x4") arguments.as_ptr(),
            inout("x3") result,
            inout("x12") 0usize => _,
            options(nostack),
        );
    }
    result
}
