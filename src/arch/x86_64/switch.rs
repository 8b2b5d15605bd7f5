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
    // For debuggers and profilers: until the stack pointer is loaded, this is the frame of the one that leaves,
    // whose caller's registers are still there or already saved; then it is that of the one that goes on.
    core::arch::naked_asm!(
        ".cfi_startproc",
        "mov [rdi], rbx",
        "mov [rdi + 8], rbp",
        "mov [rdi + 16], r12",
        "mov [rdi + 24], r13",
        "mov [rdi + 32], r14",
        "mov [rdi + 40], r15",
        "pop rax",
        ".cfi_def_cfa_offset 0",
        ".cfi_register rip, rax",
        "mov [rdi + 48], rsp",
        "mov [rdi + 56], rax",
        "mov rdx, rsi",
        ".cfi_escape {saved}, {rbx}, 2, {at_rdi}, 0",
        ".cfi_escape {saved}, {rbp}, 2, {at_rdi}, 8",
        ".cfi_escape {saved}, {r12}, 2, {at_rdi}, 16",
        ".cfi_escape {saved}, {r13}, 2, {at_rdi}, 24",
        ".cfi_escape {saved}, {r14}, 2, {at_rdi}, 32",
        ".cfi_escape {saved}, {r15}, 2, {at_rdi}, 40",
        "mov rbx, [rdx]",
        "mov rbp, [rdx + 8]",
        "mov r12, [rdx + 16]",
        "mov r13, [rdx + 24]",
        "mov r14, [rdx + 32]",
        "mov r15, [rdx + 40]",
        "mov rsp, [rdx + 48]",
        ".cfi_same_value rbx",
        ".cfi_same_value rbp",
        ".cfi_same_value r12",
        ".cfi_same_value r13",
        ".cfi_same_value r14",
        ".cfi_same_value r15",
        ".cfi_escape {saved}, {rip}, 2, {at_rdx}, 56",
        "mov eax, 1",
        "push qword ptr [rdx + 56]",
        ".cfi_def_cfa_offset 8",
        ".cfi_offset rip, -8",
        "ret",
        ".cfi_endproc",
        // DW_CFA_expression: a register's caller's value is in memory; the numbers of the registers are DWARF's.
        saved = const 0x10,
        rbx = const 3,
        rbp = const 6,
        r12 = const 12,
        r13 = const 13,
        r14 = const 14,
        r15 = const 15,
        rip = const 16,
        // DW_OP_breg1, DW_OP_breg5: the register and an offset.
        at_rdx = const 0x71,
        at_rdi = const 0x75,
    )
}

/// Calls a function with `argument` on another stack.
///
/// # Safety
/// `top` is the high end of a stack that nobody is on, a multiple of 16; the function does with its
/// argument what is allowed, and returns.
#[cfg(feature = "sockets")]
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
