//! The switch from one coroutine to another, AAPCS64.
//!
//! Compiled programs contain the code that suspends the one that launches a coroutine, in one of two ways:
//!
//! - Programs compiled with libdill's header call `sigsetjmp(*ctx, 0)` and are resumed by
//!   `siglongjmp(*ctx, 1)`. So what they are given must be large enough for a `sigjmp_buf`, which has 312 bytes
//!   with glibc and with musl. They write the first 184 of them: no mask of signals, for which the rest is.
//! - The `go` macro of our header stores the registers itself, as `switch` does.
//!
//! ```text
//!   offset   0 .. 63     64 .. 127    272  280  288  296  304
//!           x21 .. x28   d8 .. d15    x29  x30  x19  x20  sp       x30: where to go on
//! ```
//!
//! Both are resumed in the same way, since what is stored last lies where `sigsetjmp` does not write: before
//! the program comes to it, its x30 is made the address of code that calls `siglongjmp`.
//!
//! On resumption `w0` is 1 and `x1` is the address of the registers: the macro's code relies on that. It is
//! reached by a return, so that no landing pad is needed for `-mbranch-protection`. The macro's code does
//! not store d8 to d15, which it tells the compiler.
//!
//! The control register of floating point is not switched, as in libdill.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};

// SAFETY: as POSIX declares it.
unsafe extern "C" {
    fn siglongjmp(environment: *mut c_void, value: c_int) -> !;
}

/// The callee-saved registers of a suspended coroutine, in the room of a `sigjmp_buf`.
#[repr(C, align(16))]
pub(crate) struct Registers(UnsafeCell<[usize; 39]>);

// The words in which it says how to go on.
const X30: usize = 35;
const X19: usize = 36;
const SP: usize = 38;

impl Registers {
    /// Not suspended yet.
    pub(crate) const fn new() -> Registers {
        Registers(UnsafeCell::new([0; 39]))
    }

    /// Where the `go` macro is to save the registers of the coroutine that runs it. To be called by that
    /// coroutine.
    pub(crate) fn for_program(&self) -> *mut c_void {
        let words = self.0.get();
        let sp: usize;
        // SAFETY: reads a register.
        unsafe { core::arch::asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
        // `siglongjmp` is called on the stack of the suspended coroutine, below all that it still needs.
        for (index, value) in [(X30, resume_program as *const () as usize), (X19, words as usize), (SP, sp)] {
            // SAFETY: the coroutine is running, so that nobody else uses its registers' place.
            unsafe { (*words)[index] = value };
        }
        words.cast()
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
    // whose caller's registers are still there or already saved; then it is that of the one that goes on. Where the
    // caller's d8 to d15 are is not told.
    core::arch::naked_asm!(
        ".cfi_startproc",
        "stp x21, x22, [x0]",
        "stp x23, x24, [x0, #16]",
        "stp x25, x26, [x0, #32]",
        "stp x27, x28, [x0, #48]",
        "stp d8, d9, [x0, #64]",
        "stp d10, d11, [x0, #80]",
        "stp d12, d13, [x0, #96]",
        "stp d14, d15, [x0, #112]",
        "stp x29, x30, [x0, #272]",
        "stp x19, x20, [x0, #288]",
        "mov x9, sp",
        "str x9, [x0, #304]",
        ".cfi_escape {saved}, 21, 2, {at_x0}, 0",
        ".cfi_escape {saved}, 22, 2, {at_x0}, 8",
        ".cfi_escape {saved}, 23, 2, {at_x0}, 16",
        ".cfi_escape {saved}, 24, 2, {at_x0}, 24",
        ".cfi_escape {saved}, 25, 2, {at_x0}, 32",
        ".cfi_escape {saved}, 26, 2, {at_x0}, 40",
        ".cfi_escape {saved}, 27, 2, {at_x0}, 48",
        ".cfi_escape {saved}, 28, 2, {at_x0}, 56",
        ".cfi_escape {saved}, 29, 3, {at_x0}, 0x90, 2",
        ".cfi_escape {saved}, 30, 3, {at_x0}, 0x98, 2",
        ".cfi_escape {saved}, 19, 3, {at_x0}, 0xa0, 2",
        ".cfi_escape {saved}, 20, 3, {at_x0}, 0xa8, 2",
        "ldp x21, x22, [x1]",
        "ldp x23, x24, [x1, #16]",
        "ldp x25, x26, [x1, #32]",
        "ldp x27, x28, [x1, #48]",
        "ldp d8, d9, [x1, #64]",
        "ldp d10, d11, [x1, #80]",
        "ldp d12, d13, [x1, #96]",
        "ldp d14, d15, [x1, #112]",
        "ldp x29, x30, [x1, #272]",
        "ldp x19, x20, [x1, #288]",
        "ldr x9, [x1, #304]",
        "mov sp, x9",
        ".cfi_same_value x21",
        ".cfi_same_value x22",
        ".cfi_same_value x23",
        ".cfi_same_value x24",
        ".cfi_same_value x25",
        ".cfi_same_value x26",
        ".cfi_same_value x27",
        ".cfi_same_value x28",
        ".cfi_same_value x29",
        ".cfi_same_value x30",
        ".cfi_same_value x19",
        ".cfi_same_value x20",
        "mov w0, #1",
        "ret",
        ".cfi_endproc",
        // DW_CFA_expression: a register's caller's value is in memory. DW_OP_breg0: x0 and an offset, as SLEB128.
        saved = const 0x10,
        at_x0 = const 0x70,
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
        "stp x29, x30, [sp, #-16]!",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset x29, -16",
        ".cfi_offset x30, -8",
        "mov x29, sp",
        ".cfi_def_cfa_register x29",
        "mov sp, x2",
        "blr x1",
        "mov sp, x29",
        "ldp x29, x30, [sp], #16",
        ".cfi_def_cfa sp, 0",
        "ret",
        ".cfi_endproc",
    )
}

/// Goes on in a program that has called `sigsetjmp`; x19 is where.
#[unsafe(naked)]
unsafe extern "C" fn resume_program() -> ! {
    core::arch::naked_asm!(
        "mov x0, x19",
        "mov w1, #1",
        "b {siglongjmp}",
        siglongjmp = sym siglongjmp,
    )
}
