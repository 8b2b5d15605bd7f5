//! The switch from one coroutine to another, x86-64 System V.
//!
//! A suspended coroutine is eight words. Compiled programs contain the code that fills them (the
//! `go` macro of the header), so the layout is part of the ABI:
//!
//! ```text
//!   offset   0    8    16   24   32   40   48   56
//!           rbx  rbp  r12  r13  r14  r15  rsp  resume address
//! ```
//!
//! On resumption `eax` is 1 and `rdx` is the address of the eight words: the macro's inline
//! assembly has `rdx` as an input that the compiler takes to be unchanged.
//!
//! ```text
//!   stack of the one that leaves          stack of the one that goes on
//!   |  its frames            |            |  its frames            |
//!   |  return address        | <- rsp     |                        | <- rsp slot
//!   +------------------------+            |  resume address        |    pushed, then returned to:
//!                                         +------------------------+    keeps call/ret predictors paired
//! ```
//!
//! Neither MXCSR nor the x87 control word is switched, as in libdill.

use core::cell::UnsafeCell;
use core::ffi::c_void;

/// The callee-saved registers of a suspended coroutine.
#[repr(C)]
pub(crate) struct Registers(UnsafeCell<[usize; 8]>);

impl Registers {
    /// Not suspended yet.
    pub(crate) const fn new() -> Registers {
        Registers(UnsafeCell::new([0; 8]))
    }

    /// Where the `go` macro is to save the registers of the coroutine that runs it.
    pub(crate) fn for_program(&self) -> *mut c_void {
        self.0.get().cast()
    }
}

/// Suspends into `save` and resumes `load`. Returns when somebody resumes `save`.
///
/// # Safety
/// `load` was filled by this function or by the `go` macro, its stack is intact, and it is resumed
/// once for each time it was filled.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn switch(save: *const Registers, load: *const Registers) {
    core::arch::naked_asm!(
        "mov [rdi], rbx",
        "mov [rdi + 8], rbp",
        "mov [rdi + 16], r12",
        "mov [rdi + 24], r13",
        "mov [rdi + 32], r14",
        "mov [rdi + 40], r15",
        "pop rax",
        "mov [rdi + 48], rsp",
        "mov [rdi + 56], rax",
        "mov rdx, rsi",
        "mov rbx, [rdx]",
        "mov rbp, [rdx + 8]",
        "mov r12, [rdx + 16]",
        "mov r13, [rdx + 24]",
        "mov r14, [rdx + 32]",
        "mov r15, [rdx + 40]",
        "mov rsp, [rdx + 48]",
        "mov eax, 1",
        "push qword ptr [rdx + 56]",
        "ret",
    )
}

/// Calls a function with `argument` on another stack.
///
/// # Safety
/// `top` is the high end of a stack that nobody is on, a multiple of 16; the function does with its
/// argument what is allowed, and returns.
#[cfg(feature = "tls")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn call_on_stack(
    argument: *mut c_void,
    function: unsafe extern "C" fn(*mut c_void),
    top: *mut u8,
) {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rsp, rdx",
        "call rsi",
        "mov rsp, rbp",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
}
