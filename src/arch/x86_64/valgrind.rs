//! The instruction sequence of a client request.

/// Asks valgrind; 0 outside of it.
pub(crate) fn request(arguments: &[usize; 6]) -> usize {
    let mut result: usize = 0;
    // SAFETY: outside valgrind the rotations cancel out and the exchange does nothing; inside,
    // only rdx is written. The arguments outlive the block.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") result,
            inout("rdi") 0usize => _,
            options(nostack),
        );
    }
    result
}
