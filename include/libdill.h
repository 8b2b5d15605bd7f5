/* libdill.h - structured concurrency, sockets and WebSocket for C.

   Generated from header/ and src/ffi/ by build.rs; changes made here are lost.

   Every name exists twice: dill_xxx, and xxx unless DILL_DISABLE_RAW_NAMES is defined. The comments
   use the short names. Every function that fails returns -1 (a pointer: NULL) and sets errno.
   Deadlines are points in time on the clock of now(), in milliseconds; 0 is "at once", -1 is "never".
   Handles belong to the thread that made them.

   What may be defined before this file is included:

   DILL_DISABLE_RAW_NAMES   only names that begin with dill_ and DILL_
   DILL_DISABLE_SOCKETS     nothing that has to do with sockets, TLS among them
   DILL_DISABLE_TLS         nothing that has to do with TLS
   DILL_NO_EXPORTS          (not 0) functions are declared without an attribute of visibility */

#ifndef LIBDILL_H_INCLUDED
#define LIBDILL_H_INCLUDED

#if !defined __GNUC__ && !defined __clang__
#error "libdill needs a compiler that understands GNU C, such as gcc or clang"
#endif
#if (!defined __x86_64__ && !defined __AARCH64EL__) || !defined __LP64__ || !defined __linux__
#error "this libdill runs on Linux on x86-64 and 64-bit ARM only"
#endif

#include <alloca.h>
#include <errno.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* The version of the ABI, as libtool counts it. */
#define DILL_VERSION_CURRENT 25
#define DILL_VERSION_REVISION 0
#define DILL_VERSION_AGE 5

#if defined DILL_NO_EXPORTS && (DILL_NO_EXPORTS + 0)
#define DILL_EXPORT
#else
#define DILL_EXPORT __attribute__((__visibility__("default")))
#endif

/* No storage structure needs to be aligned. */
#define DILL_ALIGN

#ifdef __cplusplus
extern "C" {

/* Another name of the function dill_xxx. */
#define DILL_ALIAS_(xxx) extern DILL_EXPORT __typeof__(dill_##xxx) xxx __asm__("dill_" #xxx)
#endif

/* --- Time --------------------------------------------------------------------------------------- */

/* The time in milliseconds, on a clock that never goes backwards and starts anywhere. Never 0 or
   negative. A deadline is a point on this clock: `now() + 1000` is a second from now, 0 does not
   wait at all, and -1 waits for as long as it takes. */
DILL_EXPORT int64_t dill_now(void);

/* Sleeps until the deadline; with -1 until the coroutine is cancelled. Others run meanwhile.

   Errors: ECANCELED, ENOMEM. */
DILL_EXPORT int dill_msleep(int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#ifdef __cplusplus
DILL_ALIAS_(now);
DILL_ALIAS_(msleep);
#else
#define now dill_now
#define msleep dill_msleep
#endif
#endif

/* --- File descriptors --------------------------------------------------------------------------- */

/* Waits until a file descriptor is readable, has reached its end, or has failed. Descriptors that
   cannot be waited for, such as those of regular files, give ENOTSUP.

   Errors: EBADF, EBUSY (another coroutine waits for the same), ECANCELED, EMFILE, ENFILE, ENOMEM, ENOTSUP,
   ETIMEDOUT. */
DILL_EXPORT int dill_fdin(int fd, int64_t deadline);

/* Waits until a file descriptor is writable or has failed.

   Errors: EBADF, EBUSY (another coroutine waits for the same), ECANCELED, EMFILE, ENFILE, ENOMEM, ENOTSUP,
   ETIMEDOUT. */
DILL_EXPORT int dill_fdout(int fd, int64_t deadline);

/* Makes the library forget a file descriptor that was waited for. To be called before it is closed
   or handed to other code.

   Errors: EBUSY (a coroutine waits for it, or it is a socket of the library), EMFILE, ENFILE, ENOMEM. */
DILL_EXPORT int dill_fdclean(int fd);

#ifndef DILL_DISABLE_RAW_NAMES
#ifdef __cplusplus
DILL_ALIAS_(fdin);
DILL_ALIAS_(fdout);
DILL_ALIAS_(fdclean);
#else
#define fdin dill_fdin
#define fdout dill_fdout
#define fdclean dill_fdclean
#endif
#endif

/* --- Handles ------------------------------------------------------------------------------------ */

/* Moves an object to a new handle, which is returned. The old one is invalid from then on, whatever
   happens: if no new handle can be had, the object is closed.

   Errors: EBADF, ECANCELED, ENOMEM. */
DILL_EXPORT int dill_hown(int h);

/* Closes a handle and everything that belongs to it. Closing a bundle cancels its coroutines and
   waits until they have ended; a connection is cut off at once. Works in cancelled coroutines too.

   Errors: EBADF. */
DILL_EXPORT int dill_hclose(int h);

#ifndef DILL_DISABLE_RAW_NAMES
#ifdef __cplusplus
DILL_ALIAS_(hown);
DILL_ALIAS_(hclose);
#else
#define hown dill_hown
#define hclose dill_hclose
#endif
#endif

/* --- Coroutines --------------------------------------------------------------------------------- */

/* In front of a function that is launched by the go macros: it must have a frame of its own, and the
   compiler must not conclude from its code that a pointer given to it is forgotten when the call is over.
   clang cannot be told the latter: there, a local variable that the coroutine changes through a pointer
   while its launcher goes on is to be volatile. */
#if defined __has_attribute && !defined __clang__
#if __has_attribute(__noipa__)
#define dill_coroutine __attribute__((__noipa__))
#endif
#endif
#ifndef dill_coroutine
#define dill_coroutine __attribute__((__noinline__))
#endif

/* The first half of the go macros; not to be called otherwise.

   Makes a coroutine and lets it be the running one. Where the caller is to save its registers is
   stored in `ctx`, and the new coroutine's stack pointer in `ptr`, which holds the stack to use, or
   NULL, before. A negative `bndl` stands for a new bundle, whose handle is returned.

   Required: Called by the macros, which go on as the new coroutine. */
DILL_EXPORT __attribute__((__noinline__)) int dill_prologue(jmp_buf **ctx, void **ptr, size_t len,
    int bndl, const char *file, int line);

/* The second half of the go macros; not to be called otherwise. Ends the coroutine: never returns,
   though no compiler must be told so, for then it would reuse what the parent still needs.

   Required: Called by the macros, on the stack of a coroutine. */
DILL_EXPORT __attribute__((__noinline__)) void dill_epilogue(void);

/* Lets the other coroutines run that are ready.

   Errors: ECANCELED, ENOMEM. */
DILL_EXPORT int dill_yield(void);

/* go(expr): launches a coroutine that evaluates the expression, a call of a function as a rule. It runs
   at once, until it waits for the first time. Returns the handle of a new bundle that it runs in.

   go_mem(expr, ptr, len): the same, with a stack in memory of the caller's.

   bundle_go(bndl, expr), bundle_go_mem(bndl, expr, ptr, len): the same in an existing bundle. Returns 0.

   The arguments of the call are evaluated on the new stack; they should not be calls themselves.

   Errors: EBADF, ECANCELED, ENOMEM (also if the caller's memory is too small), ENOTSUP. */
#define dill_go(expr) dill_go_(expr, DILL_NULL_, 0, -1)
#define dill_go_mem(expr, ptr, len) dill_go_(expr, ptr, len, -1)
#define dill_bundle_go(bndl, expr) dill_go_(expr, DILL_NULL_, 0, bndl)
#define dill_bundle_go_mem(bndl, expr, ptr, len) dill_go_(expr, ptr, len, bndl)

/* The parent saves its registers and goes on, as the new coroutine, on the new stack. When it is resumed,
   the place where it saved them is left for the second time. Its frame must stay as it is until then:

   - For the compiler the coroutine, when it is over, goes back to where the registers are saved. (In truth
     dill_epilogue never returns.) So what the parent needs there is needed as long as the coroutine runs,
     and its place in the frame is not given to anything else.
   - alloca makes the compiler address the frame through another register than the stack pointer; of a
     size that it cannot know, or it would make room for it as for any other variable.

   This code is part of every program that was compiled with it. The library's half of the contract is in
   src/arch/PROCESSOR/switch.rs. */
#define dill_go_(expr, ptr, len, bndl)                                                                      \
    __extension__({                                                                                         \
        __label__ dill_again_, dill_child_, dill_parent_;                                                   \
        DILL_PREPARE_(expr)                                                                                 \
        jmp_buf *dill_registers_;                                                                           \
        void *dill_stack_ = (ptr);                                                                          \
        int dill_handle_ = dill_prologue(&dill_registers_, &dill_stack_, (len), (bndl), __FILE__, __LINE__);\
        if (dill_handle_ < 0) goto dill_parent_;                                                            \
    dill_again_:                                                                                            \
        DILL_SAVE_(dill_registers_, dill_child_);                                                           \
        goto dill_parent_;                                                                                  \
    dill_child_:                                                                                            \
        DILL_LEAVE_FRAME_(dill_stack_);                                                                     \
        DILL_EVALUATE_(expr);                                                                               \
        dill_epilogue();                                                                                    \
        goto dill_again_;                                                                                   \
    dill_parent_:                                                                                           \
        dill_handle_;                                                                                       \
    })

/* In C++ the expression may be the call of a lambda, and there is nothing that keeps the compiler from
   putting the body of that in place of the call. What it changes in the parent's frame the parent would not
   see: so the expression is made a function of its own, which is launched. What it captures the compiler
   takes to be known to everybody, from before the coroutine runs; and it is copied to the coroutine's stack,
   since the parent does not keep it. */
#if defined __cplusplus && __cplusplus >= 201103L
extern "C++" {
template <class Expression> dill_coroutine void dill_evaluate_(const Expression &expression) {
    const Expression own(expression);
    own();
}

/* (expr), dill_discard_() is one of these, whatever the expression is: a cast to void is useless if it is
   void already, and there is a warning about that. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Weffc++"
struct dill_discard_ {
    template <class Value> friend dill_discard_ operator,(Value &&, dill_discard_ discarded) {
        return discarded;
    }
};
#pragma GCC diagnostic pop
}
#define DILL_PREPARE_(expr)                                                                                 \
    const auto dill_expression_ = [&]() {                                                                   \
        __attribute__((__unused__)) const dill_discard_ dill_discarded_ = ((expr), dill_discard_());        \
    };                                                                                                      \
    __asm__ __volatile__("" : : "r"(&dill_expression_) : "memory");
#define DILL_EVALUATE_(expr) dill_evaluate_(dill_expression_)
#define DILL_NULL_ nullptr
#else
#define DILL_PREPARE_(expr)
#define DILL_EVALUATE_(expr) (void)(expr)
#define DILL_NULL_ NULL
#endif

/* The steps of the macro, for programs that launch a function behind a pointer with them, as they can with
   libdill: in an if statement and nowhere else, as in

       if (!dill_setjmp(*ctx)) { dill_setsp(stk); routine(arg); dill_epilogue(); }

   dill_longjmp goes back to where dill_setjmp was, on the stack of that. What is launched should be a
   coroutine here, too. */
#define dill_setjmp(ctx)                                                                                    \
    __extension__({                                                                                         \
        __label__ dill_first_, dill_known_;                                                                 \
        int dill_result_;                                                                                   \
        DILL_SAVE_(&(ctx)[0], dill_first_);                                                                 \
        dill_result_ = 1;                                                                                   \
        goto dill_known_;                                                                                   \
    dill_first_:                                                                                            \
        dill_result_ = 0;                                                                                   \
    dill_known_:                                                                                            \
        dill_result_;                                                                                       \
    })
#define dill_setsp(stack) DILL_LEAVE_FRAME_(stack)
#define dill_longjmp(ctx) DILL_RESTORE_(&(ctx)[0])

/* Saves the registers that a function must preserve, the stack pointer and the place to go on, and goes to
   the child. When the parent is resumed, it goes on behind this. All other registers are lost by then.
   clang has a function for that: as C++, older versions of it refuse "asm goto" in more than one place of
   a function, and what they do to one that returns twice is the same. */
#ifdef __x86_64__
#ifdef __clang__
__attribute__((__naked__, __noinline__, __no_instrument_function__, __returns_twice__, __unused__)) static int dill_save_(
    __attribute__((__unused__)) void *registers) {
    __asm__("movq %rbx, (%rdi)\n\t"
            "movq %rbp, 8(%rdi)\n\t"
            "movq %r12, 16(%rdi)\n\t"
            "movq %r13, 24(%rdi)\n\t"
            "movq %r14, 32(%rdi)\n\t"
            "movq %r15, 40(%rdi)\n\t"
            "leaq 8(%rsp), %rcx\n\t"
            "movq %rcx, 48(%rdi)\n\t"
            "movq (%rsp), %rcx\n\t"
            "movq %rcx, 56(%rdi)\n\t"
            "xorl %eax, %eax\n\t"
            "ret");
}
#define DILL_SAVE_(registers, child)                                                                        \
    if (!dill_save_(registers)) goto child
#else
#define DILL_SAVE_(registers, child)                                                                        \
    __asm__ __volatile__ goto("leaq 1f(%%rip), %%rcx\n\t"                                                   \
                              "movq %%rbx, (%%rdx)\n\t"                                                     \
                              "movq %%rbp, 8(%%rdx)\n\t"                                                    \
                              "movq %%r12, 16(%%rdx)\n\t"                                                   \
                              "movq %%r13, 24(%%rdx)\n\t"                                                   \
                              "movq %%r14, 32(%%rdx)\n\t"                                                   \
                              "movq %%r15, 40(%%rdx)\n\t"                                                   \
                              "movq %%rsp, 48(%%rdx)\n\t"                                                   \
                              "movq %%rcx, 56(%%rdx)\n\t"                                                   \
                              "jmp %l[" #child "]\n"                                                        \
                              "1:" DILL_LANDING_PAD_                                                        \
                              :                                                                             \
                              : "d"(registers)                                                              \
                              : "rax", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc"        \
                                DILL_X87_ DILL_SSE_ DILL_AVX512_ DILL_APX_                                  \
                              : child)
#endif

#define DILL_RESTORE_(registers)                                                                            \
    do {                                                                                                    \
        __asm__ __volatile__("movq (%%rdx), %%rbx\n\t"                                                      \
                             "movq 8(%%rdx), %%rbp\n\t"                                                     \
                             "movq 16(%%rdx), %%r12\n\t"                                                    \
                             "movq 24(%%rdx), %%r13\n\t"                                                    \
                             "movq 32(%%rdx), %%r14\n\t"                                                    \
                             "movq 40(%%rdx), %%r15\n\t"                                                    \
                             "movq 48(%%rdx), %%rsp\n\t"                                                    \
                             "movl $1, %%eax\n\t"                                                           \
                             "jmpq *56(%%rdx)"                                                              \
                             :                                                                              \
                             : "d"(registers)                                                               \
                             : "memory");                                                                   \
        __builtin_unreachable();                                                                            \
    } while (0)

#define DILL_MOVE_STACK_(stack, block) __asm__ __volatile__("movq %0, %%rsp" : : "r"(stack) : "memory")

#if defined __CET__ && (__CET__ & 1)
#define DILL_LANDING_PAD_ "\tendbr64\n"
#else
#define DILL_LANDING_PAD_ "\n"
#endif
#ifdef __SSE__
#define DILL_X87_ , "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"
#define DILL_SSE_ , "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#else
#define DILL_X87_
#define DILL_SSE_
#endif
#ifdef __AVX512F__
#define DILL_AVX512_ , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",     \
        "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5",  \
        "k6", "k7"
#else
#define DILL_AVX512_
#endif
#ifdef __APX_F__
#define DILL_APX_ , "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27",     \
        "r28", "r29", "r30", "r31"
#else
#define DILL_APX_
#endif
#else /* 64-bit ARM */
#ifdef __clang__
__attribute__((__naked__, __noinline__, __no_instrument_function__, __returns_twice__, __unused__)) static int dill_save_(
    __attribute__((__unused__)) void *registers) {
    __asm__("stp x21, x22, [x0]\n\t"
            "stp x23, x24, [x0, #16]\n\t"
            "stp x25, x26, [x0, #32]\n\t"
            "stp x27, x28, [x0, #48]\n\t"
            "stp d8, d9, [x0, #64]\n\t"
            "stp d10, d11, [x0, #80]\n\t"
            "stp d12, d13, [x0, #96]\n\t"
            "stp d14, d15, [x0, #112]\n\t"
            "stp x29, x30, [x0, #272]\n\t"
            "stp x19, x20, [x0, #288]\n\t"
            "mov x9, sp\n\t"
            "str x9, [x0, #304]\n\t"
            "mov w0, #0\n\t"
            "ret");
}
#define DILL_SAVE_(registers, child)                                                                        \
    if (!dill_save_(registers)) goto child
#else
#define DILL_SAVE_(registers, child)                                                                        \
    __asm__ __volatile__ goto("adr x9, 1f\n\t"                                                              \
                              "stp x21, x22, [%0]\n\t"                                                      \
                              "stp x23, x24, [%0, #16]\n\t"                                                 \
                              "stp x25, x26, [%0, #32]\n\t"                                                 \
                              "stp x27, x28, [%0, #48]\n\t"                                                 \
                              "stp x29, x9, [%0, #272]\n\t"                                                 \
                              "stp x19, x20, [%0, #288]\n\t"                                                \
                              "mov x9, sp\n\t"                                                              \
                              "str x9, [%0, #304]\n\t"                                                      \
                              "b %l[" #child "]\n"                                                          \
                              "1:\tmov %0, x1\n\t"                                                          \
                              :                                                                             \
                              : "r"(registers)                                                              \
                              : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",   \
                                "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x30", "memory", "cc"      \
                                DILL_VECTORS_ DILL_SVE_                                                     \
                              : child)
#endif

#define DILL_RESTORE_(registers)                                                                            \
    do {                                                                                                    \
        __asm__ __volatile__("mov x1, %0\n\t"                                                               \
                             "ldp x21, x22, [x1]\n\t"                                                       \
                             "ldp x23, x24, [x1, #16]\n\t"                                                  \
                             "ldp x25, x26, [x1, #32]\n\t"                                                  \
                             "ldp x27, x28, [x1, #48]\n\t"                                                  \
                             "ldp d8, d9, [x1, #64]\n\t"                                                    \
                             "ldp d10, d11, [x1, #80]\n\t"                                                  \
                             "ldp d12, d13, [x1, #96]\n\t"                                                  \
                             "ldp d14, d15, [x1, #112]\n\t"                                                 \
                             "ldp x29, x30, [x1, #272]\n\t"                                                 \
                             "ldp x19, x20, [x1, #288]\n\t"                                                 \
                             "ldr x9, [x1, #304]\n\t"                                                       \
                             "mov sp, x9\n\t"                                                               \
                             "mov w0, #1\n\t"                                                               \
                             "ret"                                                                          \
                             :                                                                              \
                             : "r"(registers)                                                               \
                             : "memory");                                                                   \
        __builtin_unreachable();                                                                            \
    } while (0)

/* Between the stack pointer and what alloca returns lies the room for arguments that are passed on the
   stack: it must lie below the new stack, too. */
#define DILL_MOVE_STACK_(stack, block)                                                                      \
    __asm__ __volatile__("mov x9, sp\n\t"                                                                   \
                         "sub x9, %1, x9\n\t"                                                               \
                         "sub x9, %0, x9\n\t"                                                               \
                         "mov sp, x9"                                                                       \
                         :                                                                                  \
                         : "r"(stack), "r"(block)                                                           \
                         : "x9", "memory")

#ifdef __ARM_FP
#define DILL_VECTORS_ , "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12",     \
        "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26",   \
        "v27", "v28", "v29", "v30", "v31"
#else
#define DILL_VECTORS_
#endif
#ifdef __ARM_FEATURE_SVE
#define DILL_SVE_ , "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13",  \
        "p14", "p15"
#else
#define DILL_SVE_
#endif
#endif

#ifdef __cplusplus
#define DILL_CAST_(type, pointer) static_cast<type>(pointer)
#else
#define DILL_CAST_(type, pointer) ((type)(pointer))
#endif
#define DILL_LEAVE_FRAME_(stack)                                                                            \
    do {                                                                                                    \
        size_t dill_unknown_ = sizeof(size_t);                                                              \
        __asm__("" : "+r"(dill_unknown_));                                                                  \
        char *dill_block_ = DILL_CAST_(char *, __builtin_alloca(dill_unknown_));                            \
        __asm__ __volatile__("" : : "r"(dill_block_) : "memory");                                           \
        DILL_UNPOISON_(dill_block_ - 32, 128);                                                              \
        DILL_UNPOISON_(DILL_CAST_(char *, stack) - 2048, 2048);                                             \
        DILL_MOVE_STACK_(stack, dill_block_);                                                               \
    } while (0)

/* Written by programs that were compiled with the portable go macros of libdill. */
extern DILL_EXPORT volatile void *dill_unoptimisable;

/* For the address sanitizer: it marks the surroundings of the alloca as out of bounds, but the parent
   gets them back without returning; and the frames in which the last coroutine on the stack ended never
   returned either. */
#if defined __has_feature
#if __has_feature(address_sanitizer)
#define DILL_ASAN_
#endif
#endif
#if defined DILL_ASAN_ || defined __SANITIZE_ADDRESS__
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
#define DILL_UNPOISON_(addr, size) __asan_unpoison_memory_region(addr, size)
#else
#define DILL_UNPOISON_(addr, size)
#endif

#ifndef DILL_DISABLE_RAW_NAMES
#define coroutine dill_coroutine
#define go dill_go
#define go_mem dill_go_mem
#define bundle_go dill_bundle_go
#define bundle_go_mem dill_bundle_go_mem
#ifdef __cplusplus
DILL_ALIAS_(yield);
#else
#define yield dill_yield
#endif
#endif

/* --- Bundles of coroutines ---------------------------------------------------------------------- */

/* Memory for a bundle. */
struct dill_bundle_storage {
    char _[64];
};

/* Makes a bundle, which coroutines can be launched in with `bundle_go`. Closing it cancels them.

   Errors: ECANCELED, ENOMEM. */
DILL_EXPORT int dill_bundle(void);

/* Makes a bundle in memory of the caller's, which must stay until it is closed.

   Errors: ECANCELED, EINVAL (no memory given), ENOMEM. */
DILL_EXPORT int dill_bundle_mem(struct dill_bundle_storage *mem);

/* Waits until the last coroutine of a bundle has ended.

   Errors: EBADF (also when the bundle is closed meanwhile), ECANCELED, ENOMEM, ENOTSUP, ETIMEDOUT. */
DILL_EXPORT int dill_bundle_wait(int h, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define bundle_storage dill_bundle_storage
#ifdef __cplusplus
DILL_ALIAS_(bundle);
DILL_ALIAS_(bundle_mem);
DILL_ALIAS_(bundle_wait);
#else
#define bundle dill_bundle
#define bundle_mem dill_bundle_mem
#define bundle_wait dill_bundle_wait
#endif
#endif

/* --- Channels ----------------------------------------------------------------------------------- */

/* Memory for a channel. */
struct dill_chstorage {
    char _[144];
};

/* `op` of a clause that sends. */
#define DILL_CHSEND 1

/* `op` of a clause that receives. */
#define DILL_CHRECV 2

/* A clause of `choose`, as C passes it. */
struct dill_chclause {
    /* `CHSEND` or `CHRECV`. */
    int op;
    /* An end of a channel. */
    int ch;
    /* The message: read when sending, written when receiving. */
    void *val;
    /* Its size in bytes. */
    size_t len;
};

/* Makes a channel and stores the handles of its two ends. What is sent on one is received on the
   other; each end can do both. Nothing is stored in a channel: a sender waits for a receiver.

   Errors: ECANCELED, EINVAL (NULL), ENOMEM.

   Required: There is room for two handles. */
DILL_EXPORT int dill_chmake(int chv[2]);

/* Makes a channel in memory of the caller's, which must stay until both ends are closed.

   Errors: ECANCELED, EINVAL (NULL, or no memory given), ENOMEM.

   Required: There is room for two handles. */
DILL_EXPORT int dill_chmake_mem(struct dill_chstorage *mem, int chv[2]);

/* Sends a message of `len` bytes. With deadline 0 it succeeds only if somebody is already waiting
   for it.

   Errors: EBADF, ECANCELED, EINVAL (NULL), EMSGSIZE (the receiver expects another size), ENOMEM,
   ENOTSUP, EPIPE (`chdone` was called on this end, or both ends were closed), ETIMEDOUT.

   Required: The value has `len` bytes, or is NULL. */
DILL_EXPORT int dill_chsend(int ch, const void *val, size_t len, int64_t deadline);

/* Receives a message of `len` bytes. With deadline 0 it succeeds only if somebody is already waiting
   to send it.

   Errors: EBADF, ECANCELED, EINVAL (NULL), EMSGSIZE (the sender has another size), ENOMEM, ENOTSUP,
   EPIPE (`chdone` was called on the other end, or both ends were closed), ETIMEDOUT.

   Required: There is room for `len` bytes, or the pointer is NULL. */
DILL_EXPORT int dill_chrecv(int ch, void *val, size_t len, int64_t deadline);

/* Announces that nothing more will be sent on this end: receivers on the other one get EPIPE. The
   opposite direction is not affected.

   Errors: EBADF, ENOMEM, ENOTSUP, EPIPE (already done). */
DILL_EXPORT int dill_chdone(int ch);

/* Does the first of several channel operations that becomes possible; the one that stands first in
   the array if there are several. Returns its index, and sets errno to 0 if it succeeded, or else to
   the reason why it failed, as `chsend` and `chrecv` do. Returns -1 if none could be done.

   Errors: ECANCELED, EINVAL (a negative number, or no array), ENOMEM, ETIMEDOUT.

   Required: The array has that many clauses, and their values are as for `chsend` and `chrecv`. */
DILL_EXPORT int dill_choose(struct dill_chclause *clauses, int nclauses, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define chstorage dill_chstorage
#define CHSEND DILL_CHSEND
#define CHRECV DILL_CHRECV
#define chclause dill_chclause
#ifdef __cplusplus
DILL_ALIAS_(chmake);
DILL_ALIAS_(chmake_mem);
DILL_ALIAS_(chsend);
DILL_ALIAS_(chrecv);
DILL_ALIAS_(chdone);
DILL_ALIAS_(choose);
#else
#define chmake dill_chmake
#define chmake_mem dill_chmake_mem
#define chsend dill_chsend
#define chrecv dill_chrecv
#define chdone dill_chdone
#define choose dill_choose
#endif
#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- Bytestreams and message sockets ------------------------------------------------------------ */

/* An element, as C passes it. */
struct dill_iolist {
    /* The bytes. NULL when receiving: skip them. */
    void *iol_base;
    /* How many. */
    size_t iol_len;
    /* The next element, NULL at the end. */
    struct dill_iolist *iol_next;
    /* 0. */
    int iol_rsvd;
};

/* Sends `len` bytes on a bytestream: all of them, or it fails. After a failure nothing more can be
   sent on it.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EFAULT (NULL with a length), ENOMEM, EPIPE (this side is
   done), ENOTSUP, ETIMEDOUT.

   Required: The buffer has `len` bytes. */
DILL_EXPORT int dill_bsend(int s, const void *buf, size_t len, int64_t deadline);

/* Receives exactly `len` bytes from a bytestream, or fails. NULL drops them. After a failure nothing
   more can be received from it.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, ENOMEM, EPIPE (the peer is done), ENOTSUP, ETIMEDOUT.

   Required: There is room for `len` bytes, or the pointer is NULL. */
DILL_EXPORT int dill_brecv(int s, void *buf, size_t len, int64_t deadline);

/* As `bsend`, from a list of buffers.

   Errors: those of `bsend`, and EINVAL (malformed list).

   Required: The list and its buffers can be read. */
DILL_EXPORT int dill_bsendl(int s, struct dill_iolist *first, struct dill_iolist *last,
    int64_t deadline);

/* As `brecv`, into a list of buffers. NULL in place of a buffer drops bytes; NULL in place of the list
   drops all until the end of the stream, which then is the error.

   Errors: those of `brecv`, and EINVAL (malformed list).

   Required: The list can be read and its buffers written. */
DILL_EXPORT int dill_brecvl(int s, struct dill_iolist *first, struct dill_iolist *last,
    int64_t deadline);

/* Sends a message of `len` bytes.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EFAULT (NULL with a length), EMSGSIZE (too long for this
   kind of socket), ENOMEM, EPIPE (this side is done), ENOTSUP, ETIMEDOUT.

   Required: The buffer has `len` bytes. */
DILL_EXPORT int dill_msend(int s, const void *buf, size_t len, int64_t deadline);

/* Receives a message of at most `len` bytes and returns its size.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EMSGSIZE (the message is longer), ENOMEM, EPIPE (the
   peer is done), EPROTO, ENOTSUP, ETIMEDOUT.

   Required: There is room for `len` bytes, or the pointer is NULL. */
DILL_EXPORT ssize_t dill_mrecv(int s, void *buf, size_t len, int64_t deadline);

/* As `msend`, from a list of buffers.

   Errors: those of `msend`, and EINVAL (malformed list).

   Required: The list and its buffers can be read. */
DILL_EXPORT int dill_msendl(int s, struct dill_iolist *first, struct dill_iolist *last,
    int64_t deadline);

/* As `mrecv`, into a list of buffers. NULL in place of a buffer drops bytes; NULL in place of the list
   drops the message.

   Errors: those of `mrecv`, and EINVAL (malformed list).

   Required: The list can be read and its buffers written. */
DILL_EXPORT ssize_t dill_mrecvl(int s, struct dill_iolist *first, struct dill_iolist *last,
    int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define iolist dill_iolist
#ifdef __cplusplus
DILL_ALIAS_(bsend);
DILL_ALIAS_(brecv);
DILL_ALIAS_(bsendl);
DILL_ALIAS_(brecvl);
DILL_ALIAS_(msend);
DILL_ALIAS_(mrecv);
DILL_ALIAS_(msendl);
DILL_ALIAS_(mrecvl);
#else
#define bsend dill_bsend
#define brecv dill_brecv
#define bsendl dill_bsendl
#define brecvl dill_brecvl
#define msend dill_msend
#define mrecv dill_mrecv
#define msendl dill_msendl
#define mrecvl dill_mrecvl
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- IP addresses ------------------------------------------------------------------------------- */

struct sockaddr;

/* An IP address and a port. */
struct dill_ipaddr {
    char _[32];
};

/* Only IPv4. */
#define DILL_IPADDR_IPV4 1

/* Only IPv6. */
#define DILL_IPADDR_IPV6 2

/* IPv4 if there is one. */
#define DILL_IPADDR_PREF_IPV4 3

/* IPv6 if there is one. */
#define DILL_IPADDR_PREF_IPV6 4

/* The longest text of an address, its NUL included. */
#define DILL_IPADDR_MAXSTRLEN 46

/* Finds an address of this machine: that of a network interface (`"eth0"`), the one that the text
   says (`"127.0.0.1"`), or, if the name is NULL, the one that stands for all. Never waits.

   Errors: EINVAL (NULL for the address, port not in 0 to 65535, no such mode), EMFILE, ENFILE, ENODEV,
   ENOMEM.

   Required: There is room for an address, and the name is a string or NULL. */
DILL_EXPORT int dill_ipaddr_local(struct dill_ipaddr *addr, const char *name, int port, int mode);

/* Finds an address of another machine, given its name or its address as text. Only the calling
   coroutine waits while a name server is asked.

   Errors: EADDRNOTAVAIL (there is none), EAGAIN (no thread to be had), EBADF, ECANCELED, EINVAL (NULL,
   port not in 0 to 65535, no such mode), EMFILE, ENFILE, ENOMEM, ETIMEDOUT.

   Required: There is room for an address, and the name is a string or NULL. */
DILL_EXPORT int dill_ipaddr_remote(struct dill_ipaddr *addr, const char *name, int port, int mode,
    int64_t deadline);

/* Finds the addresses of another machine, at most `naddrs`, those of the preferred family first.
   Returns how many there are; having none is not an error.

   Errors: EAGAIN (no thread to be had), EBADF, ECANCELED, EINVAL (NULL, no room, port not in 0 to
   65535, no such mode), EMFILE, ENFILE, ENOMEM, ETIMEDOUT.

   Required: There is room for `naddrs` addresses, and the name is a string or NULL. */
DILL_EXPORT int dill_ipaddr_remotes(struct dill_ipaddr *addrs, int naddrs, const char *name,
    int port, int mode, int64_t deadline);

/* Writes an address as text, without its port, and returns the buffer, which must have room for
   IPADDR_MAXSTRLEN characters.

   Required: The address can be read, and the buffer has the room; or either is NULL. */
DILL_EXPORT const char *dill_ipaddr_str(const struct dill_ipaddr *addr, char *buf);

/* The family of an address: AF_INET or AF_INET6.

   Required: The address can be read, or is NULL. */
DILL_EXPORT int dill_ipaddr_family(const struct dill_ipaddr *addr);

/* The address as the functions of the operating system take it: the same memory. */
DILL_EXPORT const struct sockaddr *dill_ipaddr_sockaddr(const struct dill_ipaddr *addr);

/* The size in bytes of what `ipaddr_sockaddr` returns.

   Required: The address can be read, or is NULL. */
DILL_EXPORT int dill_ipaddr_len(const struct dill_ipaddr *addr);

/* The port of an address, 0 to 65535.

   Required: The address can be read, or is NULL. */
DILL_EXPORT int dill_ipaddr_port(const struct dill_ipaddr *addr);

/* Sets the port of an address, to the low 16 bits of `port`.

   Required: The address can be written, or is NULL. */
DILL_EXPORT void dill_ipaddr_setport(struct dill_ipaddr *addr, int port);

/* Whether two addresses are the same, 1 or 0; their ports too unless `ignore_port` is set.

   Required: The addresses can be read, or are NULL. */
DILL_EXPORT int dill_ipaddr_equal(const struct dill_ipaddr *addr1, const struct dill_ipaddr *addr2,
    int ignore_port);

#ifndef DILL_DISABLE_RAW_NAMES
#define ipaddr dill_ipaddr
#define IPADDR_IPV4 DILL_IPADDR_IPV4
#define IPADDR_IPV6 DILL_IPADDR_IPV6
#define IPADDR_PREF_IPV4 DILL_IPADDR_PREF_IPV4
#define IPADDR_PREF_IPV6 DILL_IPADDR_PREF_IPV6
#define IPADDR_MAXSTRLEN DILL_IPADDR_MAXSTRLEN
#ifdef __cplusplus
DILL_ALIAS_(ipaddr_local);
DILL_ALIAS_(ipaddr_remote);
DILL_ALIAS_(ipaddr_remotes);
DILL_ALIAS_(ipaddr_str);
DILL_ALIAS_(ipaddr_family);
DILL_ALIAS_(ipaddr_sockaddr);
DILL_ALIAS_(ipaddr_len);
DILL_ALIAS_(ipaddr_port);
DILL_ALIAS_(ipaddr_setport);
DILL_ALIAS_(ipaddr_equal);
#else
#define ipaddr_local dill_ipaddr_local
#define ipaddr_remote dill_ipaddr_remote
#define ipaddr_remotes dill_ipaddr_remotes
#define ipaddr_str dill_ipaddr_str
#define ipaddr_family dill_ipaddr_family
#define ipaddr_sockaddr dill_ipaddr_sockaddr
#define ipaddr_len dill_ipaddr_len
#define ipaddr_port dill_ipaddr_port
#define ipaddr_setport dill_ipaddr_setport
#define ipaddr_equal dill_ipaddr_equal
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- TCP ---------------------------------------------------------------------------------------- */

/* Memory for a listener. */
struct dill_tcp_listener_storage {
    char _[56];
};

/* Memory for a connection. */
struct dill_tcp_storage {
    char _[72];
};

/* Listens for connections. If the port of the address is 0, the one that the system chose is stored
   in it. `backlog` is as for the `listen` of the operating system.

   Errors: EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ECANCELED, EINVAL (NULL), EMFILE, ENFILE,
   ENOMEM.

   Required: The address can be read and written, or is NULL. */
DILL_EXPORT int dill_tcp_listen(struct dill_ipaddr *addr, int backlog);

/* As `tcp_listen`, with memory of the caller's, which must stay until the listener is closed.

   Errors: those of `tcp_listen`, and EINVAL (no memory given).

   Required: The address can be read and written, or is NULL. */
DILL_EXPORT int dill_tcp_listen_mem(struct dill_ipaddr *addr, int backlog,
    struct dill_tcp_listener_storage *mem);

/* Waits for a connection and returns it. The peer's address is stored in `addr`, unless that is NULL.

   Errors: EBADF, EBUSY (another coroutine waits for connections), ECANCELED, EMFILE, ENFILE, ENOMEM,
   ENOTSUP, ETIMEDOUT.

   Required: There is room for an address, or the pointer is NULL. */
DILL_EXPORT int dill_tcp_accept(int s, struct dill_ipaddr *addr, int64_t deadline);

/* As `tcp_accept`, with memory of the caller's, which must stay until the connection is closed.

   Errors: those of `tcp_accept`, and EINVAL (no memory given).

   Required: There is room for an address, or the pointer is NULL. */
DILL_EXPORT int dill_tcp_accept_mem(int s, struct dill_ipaddr *addr, struct dill_tcp_storage *mem,
    int64_t deadline);

/* Connects and returns the connection.

   Errors: EACCES, EADDRNOTAVAIL, EAFNOSUPPORT, EBADF, ECANCELED, ECONNREFUSED, ECONNRESET,
   EHOSTUNREACH, EINVAL (NULL), EMFILE, ENETUNREACH, ENFILE, ENOMEM, ETIMEDOUT.

   Required: The address can be read, or is NULL. */
DILL_EXPORT int dill_tcp_connect(const struct dill_ipaddr *addr, int64_t deadline);

/* As `tcp_connect`, with memory of the caller's, which must stay until the connection is closed.

   Errors: those of `tcp_connect`, and EINVAL (no memory given).

   Required: The address can be read, or is NULL. */
DILL_EXPORT int dill_tcp_connect_mem(const struct dill_ipaddr *addr, struct dill_tcp_storage *mem,
    int64_t deadline);

/* Makes a connection of a file descriptor that is a connected TCP socket. The descriptor belongs to
   the library from then on; if the call fails it is left alone.

   Errors: EBADF, ECANCELED, EINVAL (negative, listening, or no TCP socket), EMFILE, ENFILE, ENOMEM,
   ENOTSOCK. */
DILL_EXPORT int dill_tcp_fromfd(int fd);

/* As `tcp_fromfd`, with memory of the caller's, which must stay until the connection is closed.

   Errors: those of `tcp_fromfd`, and EINVAL (no memory given). */
DILL_EXPORT int dill_tcp_fromfd_mem(int fd, struct dill_tcp_storage *mem);

/* Makes a listener of a file descriptor that is a listening TCP socket. The descriptor belongs to the
   library from then on; if the call fails it is left alone.

   Errors: EBADF, ECANCELED, EINVAL (negative, not listening, or no TCP socket), EMFILE, ENFILE,
   ENOMEM, ENOTSOCK. */
DILL_EXPORT int dill_tcp_listener_fromfd(int fd);

/* As `tcp_listener_fromfd`, with memory of the caller's, which must stay until the listener is closed.

   Errors: those of `tcp_listener_fromfd`, and EINVAL (no memory given). */
DILL_EXPORT int dill_tcp_listener_fromfd_mem(int fd, struct dill_tcp_listener_storage *mem);

/* Closes this side of a connection: the peer reads what was sent, and then the end of the stream.
   Receiving goes on as before. Never waits.

   Errors: EBADF, EBUSY (another coroutine is sending), ECONNRESET, ENOMEM, ENOTSUP, EPIPE (already done). */
DILL_EXPORT int dill_tcp_done(int s, int64_t deadline);

/* Closes a connection gracefully: closes this side unless that was done, and waits until the
   peer has closed its own, dropping what it still sends. Success means that the peer has come to the
   end too. The handle is gone in any case, except after EBADF and ENOTSUP. A listener is just closed.

   Errors: EBADF, EBUSY (another coroutine is using it), ECANCELED, ECONNRESET, ENOMEM, ENOTSUP, ETIMEDOUT. */
DILL_EXPORT int dill_tcp_close(int s, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define tcp_listener_storage dill_tcp_listener_storage
#define tcp_storage dill_tcp_storage
#ifdef __cplusplus
DILL_ALIAS_(tcp_listen);
DILL_ALIAS_(tcp_listen_mem);
DILL_ALIAS_(tcp_accept);
DILL_ALIAS_(tcp_accept_mem);
DILL_ALIAS_(tcp_connect);
DILL_ALIAS_(tcp_connect_mem);
DILL_ALIAS_(tcp_fromfd);
DILL_ALIAS_(tcp_fromfd_mem);
DILL_ALIAS_(tcp_listener_fromfd);
DILL_ALIAS_(tcp_listener_fromfd_mem);
DILL_ALIAS_(tcp_done);
DILL_ALIAS_(tcp_close);
#else
#define tcp_listen dill_tcp_listen
#define tcp_listen_mem dill_tcp_listen_mem
#define tcp_accept dill_tcp_accept
#define tcp_accept_mem dill_tcp_accept_mem
#define tcp_connect dill_tcp_connect
#define tcp_connect_mem dill_tcp_connect_mem
#define tcp_fromfd dill_tcp_fromfd
#define tcp_fromfd_mem dill_tcp_fromfd_mem
#define tcp_listener_fromfd dill_tcp_listener_fromfd
#define tcp_listener_fromfd_mem dill_tcp_listener_fromfd_mem
#define tcp_done dill_tcp_done
#define tcp_close dill_tcp_close
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- IPC: AF_UNIX streams ----------------------------------------------------------------------- */

/* Memory for a listener. */
struct dill_ipc_listener_storage {
    char _[24];
};

/* Memory for a connection. */
struct dill_ipc_storage {
    char _[72];
};

/* Memory for both ends of a pair. */
struct dill_ipc_pair_storage {
    char _[144];
};

/* Listens for connections of processes on this machine, at the path of a socket file that is made.

   Errors: EACCES, EADDRINUSE (there is such a file), EAFNOSUPPORT, ECANCELED, EINVAL (NULL), ELOOP,
   EMFILE, ENAMETOOLONG (more than 107 characters), ENFILE, ENOENT, ENOMEM, ENOTDIR, EROFS.

   Required: The path is a string, or NULL. */
DILL_EXPORT int dill_ipc_listen(const char *addr, int backlog);

/* As `ipc_listen`, with memory of the caller's, which must stay until the listener is closed.

   Errors: those of `ipc_listen`, and EINVAL (no memory given).

   Required: The path is a string, or NULL. */
DILL_EXPORT int dill_ipc_listen_mem(const char *addr, int backlog,
    struct dill_ipc_listener_storage *mem);

/* Waits for a connection and returns it.

   Errors: EBADF, EBUSY (another coroutine waits for connections), ECANCELED, EMFILE, ENFILE, ENOMEM,
   ENOTSUP, ETIMEDOUT. */
DILL_EXPORT int dill_ipc_accept(int s, int64_t deadline);

/* As `ipc_accept`, with memory of the caller's, which must stay until the connection is closed.

   Errors: those of `ipc_accept`, and EINVAL (no memory given). */
DILL_EXPORT int dill_ipc_accept_mem(int s, struct dill_ipc_storage *mem, int64_t deadline);

/* Connects to a socket file and returns the connection.

   Errors: EACCES, EAFNOSUPPORT, EBADF, ECANCELED, ECONNREFUSED (nobody listens there), EINVAL (NULL),
   ELOOP, EMFILE, ENAMETOOLONG (more than 107 characters), ENFILE, ENOENT, ENOMEM, ENOTDIR, ETIMEDOUT.

   Required: The path is a string, or NULL. */
DILL_EXPORT int dill_ipc_connect(const char *addr, int64_t deadline);

/* As `ipc_connect`, with memory of the caller's, which must stay until the connection is closed.

   Errors: those of `ipc_connect`, and EINVAL (no memory given).

   Required: The path is a string, or NULL. */
DILL_EXPORT int dill_ipc_connect_mem(const char *addr, struct dill_ipc_storage *mem,
    int64_t deadline);

/* Makes a connection of a file descriptor that is a connected AF_UNIX stream socket. The descriptor
   belongs to the library from then on; if the call fails it is left alone.

   Errors: EBADF, ECANCELED, EINVAL (negative, listening, or no such socket), EMFILE, ENFILE, ENOMEM,
   ENOTSOCK. */
DILL_EXPORT int dill_ipc_fromfd(int fd);

/* As `ipc_fromfd`, with memory of the caller's, which must stay until the connection is closed.

   Errors: those of `ipc_fromfd`, and EINVAL (no memory given). */
DILL_EXPORT int dill_ipc_fromfd_mem(int fd, struct dill_ipc_storage *mem);

/* Makes a listener of a file descriptor that is a listening AF_UNIX stream socket. The descriptor
   belongs to the library from then on; if the call fails it is left alone.

   Errors: EBADF, ECANCELED, EINVAL (negative, not listening, or no such socket), EMFILE, ENFILE,
   ENOMEM, ENOTSOCK. */
DILL_EXPORT int dill_ipc_listener_fromfd(int fd);

/* As `ipc_listener_fromfd`, with memory of the caller's, which must stay until the listener is closed.

   Errors: those of `ipc_listener_fromfd`, and EINVAL (no memory given). */
DILL_EXPORT int dill_ipc_listener_fromfd_mem(int fd, struct dill_ipc_listener_storage *mem);

/* Makes two connections that are each other's peers.

   Errors: EAFNOSUPPORT, ECANCELED, EINVAL (NULL), EMFILE, ENFILE, ENOMEM.

   Required: There is room for two handles. */
DILL_EXPORT int dill_ipc_pair(int s[2]);

/* As `ipc_pair`, with memory of the caller's, which must stay until both connections are closed.

   Errors: those of `ipc_pair`, and EINVAL (no memory given).

   Required: There is room for two handles. */
DILL_EXPORT int dill_ipc_pair_mem(struct dill_ipc_pair_storage *mem, int s[2]);

/* Sends a file descriptor, of which the peer gets a copy with `ipc_recvfd`. It stays the caller's.

   Errors: EBADF (the handle, or the descriptor), EBUSY, ECANCELED, ECONNRESET, EINVAL (negative),
   ENOMEM, ENOTSUP, EPIPE (this side is done), ETIMEDOUT. */
DILL_EXPORT int dill_ipc_sendfd(int s, int fd, int64_t deadline);

/* Receives a file descriptor and returns it. It is the caller's.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EMFILE, ENOMEM, ENOTSUP, EPIPE (the peer is done),
   EPROTO (something else was sent), ETIMEDOUT. */
DILL_EXPORT int dill_ipc_recvfd(int s, int64_t deadline);

/* Closes this side of a connection: the peer reads what was sent, and then the end of the stream.
   Receiving goes on as before. Never waits.

   Errors: EBADF, EBUSY (another coroutine is sending), ECONNRESET, ENOMEM, ENOTSUP, EPIPE (already done). */
DILL_EXPORT int dill_ipc_done(int s, int64_t deadline);

/* Closes a connection gracefully: closes this side unless that was done, and waits until the
   peer has closed its own, dropping what it still sends. Success means that the peer has come to the
   end too. The handle is gone in any case, except after EBADF and ENOTSUP. A listener is just closed.

   Errors: EBADF, EBUSY (another coroutine is using it), ECANCELED, ECONNRESET, ENOMEM, ENOTSUP, ETIMEDOUT. */
DILL_EXPORT int dill_ipc_close(int s, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define ipc_listener_storage dill_ipc_listener_storage
#define ipc_storage dill_ipc_storage
#define ipc_pair_storage dill_ipc_pair_storage
#ifdef __cplusplus
DILL_ALIAS_(ipc_listen);
DILL_ALIAS_(ipc_listen_mem);
DILL_ALIAS_(ipc_accept);
DILL_ALIAS_(ipc_accept_mem);
DILL_ALIAS_(ipc_connect);
DILL_ALIAS_(ipc_connect_mem);
DILL_ALIAS_(ipc_fromfd);
DILL_ALIAS_(ipc_fromfd_mem);
DILL_ALIAS_(ipc_listener_fromfd);
DILL_ALIAS_(ipc_listener_fromfd_mem);
DILL_ALIAS_(ipc_pair);
DILL_ALIAS_(ipc_pair_mem);
DILL_ALIAS_(ipc_sendfd);
DILL_ALIAS_(ipc_recvfd);
DILL_ALIAS_(ipc_done);
DILL_ALIAS_(ipc_close);
#else
#define ipc_listen dill_ipc_listen
#define ipc_listen_mem dill_ipc_listen_mem
#define ipc_accept dill_ipc_accept
#define ipc_accept_mem dill_ipc_accept_mem
#define ipc_connect dill_ipc_connect
#define ipc_connect_mem dill_ipc_connect_mem
#define ipc_fromfd dill_ipc_fromfd
#define ipc_fromfd_mem dill_ipc_fromfd_mem
#define ipc_listener_fromfd dill_ipc_listener_fromfd
#define ipc_listener_fromfd_mem dill_ipc_listener_fromfd_mem
#define ipc_pair dill_ipc_pair
#define ipc_pair_mem dill_ipc_pair_mem
#define ipc_sendfd dill_ipc_sendfd
#define ipc_recvfd dill_ipc_recvfd
#define ipc_done dill_ipc_done
#define ipc_close dill_ipc_close
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- UDP ---------------------------------------------------------------------------------------- */

/* Memory for a socket. */
struct dill_udp_storage {
    char _[72];
};

/* Opens a message socket for datagrams. `local` is the address to receive at; if its port is 0, the one
   that was chosen is stored there. With `remote`, datagrams go there unless another address is given, and
   only those that come from there are received. Either may be NULL.

   Errors: EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ECANCELED, EINVAL (two families), EMFILE,
   ENFILE, ENOMEM.

   Required: The addresses can be read, and the local one written. */
DILL_EXPORT int dill_udp_open(struct dill_ipaddr *local, const struct dill_ipaddr *remote);

/* As `udp_open`, with memory of the caller's, which must stay until the socket is closed.

   Errors: those of `udp_open`, and EINVAL (no memory given).

   Required: The addresses can be read, and the local one written. */
DILL_EXPORT int dill_udp_open_mem(struct dill_ipaddr *local, const struct dill_ipaddr *remote,
    struct dill_udp_storage *mem);

/* Sends a datagram to an address, or to the default one if that is NULL. Never waits: a datagram that the
   system does not take is lost, as it may be on its way.

   Errors: EACCES, EAFNOSUPPORT, EBADF, EFAULT (NULL with a length), EHOSTUNREACH, EINVAL (no address),
   EMSGSIZE, ENETUNREACH, ENOMEM, ENOTSUP.

   Required: The address can be read, or is NULL, and the buffer has `len` bytes. */
DILL_EXPORT int dill_udp_send(int s, const struct dill_ipaddr *addr, const void *buf, size_t len);

/* Receives a datagram, stores where it came from unless `addr` is NULL, and returns its size.

   Errors: EBADF, EBUSY, ECANCELED, EMSGSIZE (it does not fit, and is lost), ENOMEM, ENOTSUP, ETIMEDOUT.

   Required: There is room for an address, or it is NULL, and for `len` bytes. */
DILL_EXPORT ssize_t dill_udp_recv(int s, struct dill_ipaddr *addr, void *buf, size_t len,
    int64_t deadline);

/* As `udp_send`, from a list of buffers.

   Errors: those of `udp_send`, and EINVAL (malformed list).

   Required: The address can be read, or is NULL; the list and its buffers can be read. */
DILL_EXPORT int dill_udp_sendl(int s, const struct dill_ipaddr *addr, struct dill_iolist *first,
    struct dill_iolist *last);

/* As `udp_recv`, into a list of buffers. NULL in place of a buffer drops bytes; NULL in place of the list
   drops the datagram.

   Errors: those of `udp_recv`, and EINVAL (malformed list).

   Required: There is room for an address, or it is NULL; the list can be read and its buffers written. */
DILL_EXPORT ssize_t dill_udp_recvl(int s, struct dill_ipaddr *addr, struct dill_iolist *first,
    struct dill_iolist *last, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define udp_storage dill_udp_storage
#ifdef __cplusplus
DILL_ALIAS_(udp_open);
DILL_ALIAS_(udp_open_mem);
DILL_ALIAS_(udp_send);
DILL_ALIAS_(udp_recv);
DILL_ALIAS_(udp_sendl);
DILL_ALIAS_(udp_recvl);
#else
#define udp_open dill_udp_open
#define udp_open_mem dill_udp_open_mem
#define udp_send dill_udp_send
#define udp_recv dill_udp_recv
#define udp_sendl dill_udp_sendl
#define udp_recvl dill_udp_recvl
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- Connecting to names ------------------------------------------------------------------------ */

/* Connects by TCP to a name, or to an address as text. If the name has several addresses, connections to
   them are tried one after the other without waiting for the outcome, so that a dead address costs 300 ms
   and not a timeout (RFC 8305). Returns the connection, as `tcp_connect` does.

   Errors: EACCES, EADDRNOTAVAIL (the name has no address), EAFNOSUPPORT, EAGAIN (no thread to be had),
   EBADF, ECANCELED, ECONNREFUSED, EHOSTUNREACH, EINVAL (NULL, port not in 1 to 65535), EMFILE,
   ENETUNREACH, ENFILE, ENOMEM, ETIMEDOUT.

   Required: The name is a string, or NULL. */
DILL_EXPORT int dill_happyeyeballs_connect(const char *name, int port, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#ifdef __cplusplus
DILL_ALIAS_(happyeyeballs_connect);
#else
#define happyeyeballs_connect dill_happyeyeballs_connect
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- PREFIX: messages behind their length ------------------------------------------------------- */

/* Memory for the handle. */
struct dill_prefix_storage {
    char _[56];
};

/* The length is sent with its highest byte first. */
#define DILL_PREFIX_BIG_ENDIAN 0

/* The length is sent with its lowest byte first. */
#define DILL_PREFIX_LITTLE_ENDIAN 1

/* Makes a message socket of a bytestream: before each message goes its length, in `hdrlen` bytes (1
   to 255). `flags` is PREFIX_BIG_ENDIAN or PREFIX_LITTLE_ENDIAN. The bytestream belongs to the returned
   handle from then on. If the call fails, the bytestream is closed.

   Errors: EBADF, ECANCELED, EINVAL (hdrlen), ENOMEM, EPROTO (no bytestream). */
DILL_EXPORT int dill_prefix_attach(int s, size_t hdrlen, int flags);

/* As `prefix_attach`, with memory of the caller's, which must stay until the handle is closed or
   detached.

   Errors: those of `prefix_attach`, and EINVAL (no memory given). */
DILL_EXPORT int dill_prefix_attach_mem(int s, size_t hdrlen, int flags,
    struct dill_prefix_storage *mem);

/* Returns the bytestream, behind the last message that was received. Nothing is sent or received. If
   the call fails, everything is closed, except after EBADF and ENOTSUP.

   Errors: EBADF, EBUSY (a coroutine is sending or receiving), ECONNRESET (a message was left half sent
   or received, or the bytestream is at its end), ENOMEM, ENOTSUP. */
DILL_EXPORT int dill_prefix_detach(int s);

#ifndef DILL_DISABLE_RAW_NAMES
#define prefix_storage dill_prefix_storage
#define PREFIX_BIG_ENDIAN DILL_PREFIX_BIG_ENDIAN
#define PREFIX_LITTLE_ENDIAN DILL_PREFIX_LITTLE_ENDIAN
#ifdef __cplusplus
DILL_ALIAS_(prefix_attach);
DILL_ALIAS_(prefix_attach_mem);
DILL_ALIAS_(prefix_detach);
#else
#define prefix_attach dill_prefix_attach
#define prefix_attach_mem dill_prefix_attach_mem
#define prefix_detach dill_prefix_detach
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- SUFFIX: messages before a delimiter -------------------------------------------------------- */

/* Memory for the handle. */
struct dill_suffix_storage {
    char _[128];
};

/* Makes a message socket of a bytestream: behind each message goes a delimiter of 1 to 32 bytes, such
   as "\r\n". Messages are not searched for it when they are sent. The bytestream belongs to the returned
   handle from then on. If the call fails, the bytestream is closed.

   Errors: EBADF, ECANCELED, EINVAL (the delimiter), ENOMEM, EPROTO (no bytestream).

   Required: The delimiter has `suffixlen` bytes. */
DILL_EXPORT int dill_suffix_attach(int s, const void *suffix, size_t suffixlen);

/* As `suffix_attach`, with memory of the caller's, which must stay until the handle is closed or
   detached.

   Errors: those of `suffix_attach`, and EINVAL (no memory given).

   Required: The delimiter has `suffixlen` bytes. */
DILL_EXPORT int dill_suffix_attach_mem(int s, const void *suffix, size_t suffixlen,
    struct dill_suffix_storage *mem);

/* Returns the bytestream, behind the last message that was received. Nothing is sent or received. If
   the call fails, everything is closed, except after EBADF and ENOTSUP.

   Errors: EBADF, EBUSY (a coroutine is sending or receiving), ECONNRESET (a message was left half sent
   or received, or the bytestream is at its end), ENOMEM, ENOTSUP. */
DILL_EXPORT int dill_suffix_detach(int s, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define suffix_storage dill_suffix_storage
#ifdef __cplusplus
DILL_ALIAS_(suffix_attach);
DILL_ALIAS_(suffix_attach_mem);
DILL_ALIAS_(suffix_detach);
#else
#define suffix_attach dill_suffix_attach
#define suffix_attach_mem dill_suffix_attach_mem
#define suffix_detach dill_suffix_detach
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- TERM: an agreed last message --------------------------------------------------------------- */

/* Memory for the handle. */
struct dill_term_storage {
    char _[88];
};

/* Agrees upon a message of at most 32 bytes with which either side says that it is done; `len` 0 is the
   empty message. The message socket belongs to the returned handle from then on. If the call fails, the
   message socket is closed.

   Errors: EBADF, ECANCELED, EINVAL (the terminator), ENOMEM, EPROTO (no message socket).

   Required: The terminator has `len` bytes. */
DILL_EXPORT int dill_term_attach(int s, const void *buf, size_t len);

/* As `term_attach`, with memory of the caller's, which must stay until the handle is closed or
   detached.

   Errors: those of `term_attach`, and EINVAL (no memory given).

   Required: The terminator has `len` bytes. */
DILL_EXPORT int dill_term_attach_mem(int s, const void *buf, size_t len,
    struct dill_term_storage *mem);

/* Sends the terminator: the peer's receive fails with EPIPE. Receiving goes on as before.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, ENOMEM, ENOTSUP, EPIPE (already done), ETIMEDOUT. */
DILL_EXPORT int dill_term_done(int s, int64_t deadline);

/* Sends the terminator unless that was done, drops messages until the peer's, and returns the message
   socket. If the call fails, everything is closed, except after EBADF and ENOTSUP.

   Errors: EBADF, EBUSY (a coroutine is sending or receiving), ECANCELED, ECONNRESET, ENOMEM, ENOTSUP,
   ETIMEDOUT. */
DILL_EXPORT int dill_term_detach(int s, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define term_storage dill_term_storage
#ifdef __cplusplus
DILL_ALIAS_(term_attach);
DILL_ALIAS_(term_attach_mem);
DILL_ALIAS_(term_done);
DILL_ALIAS_(term_detach);
#else
#define term_attach dill_term_attach
#define term_attach_mem dill_term_attach_mem
#define term_done dill_term_done
#define term_detach dill_term_detach
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- HTTP: headers ------------------------------------------------------------------------------ */

/* Memory for the handle. */
struct dill_http_storage {
    char _[1296];
};

/* Makes ready to exchange headers of HTTP/1.1 on a bytestream, in either role: the start line first, then
   the fields. Bodies are exchanged on the bytestream after `http_detach`. The bytestream belongs to the
   returned handle from then on. If the call fails, the bytestream is closed.

   Errors: EBADF, ECANCELED, ENOMEM, ENOTSUP (no bytestream). */
DILL_EXPORT int dill_http_attach(int s);

/* As `http_attach`, with memory of the caller's, which must stay until the handle is closed or
   detached.

   Errors: those of `http_attach`, and EINVAL (no memory given). */
DILL_EXPORT int dill_http_attach_mem(int s, struct dill_http_storage *mem);

/* Sends the blank line that ends the header. Receiving goes on as before.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, ENOMEM, ENOTSUP, EPIPE (already done), ETIMEDOUT. */
DILL_EXPORT int dill_http_done(int s, int64_t deadline);

/* Sends the blank line unless that was done, drops lines until the peer's blank line unless that has been
   received, and returns the bytestream, just behind that line. If the call fails, everything is closed,
   except after EBADF and ENOTSUP.

   Errors: EBADF, EBUSY (a coroutine is sending or receiving), ECANCELED, ECONNRESET, ENOMEM, ENOTSUP,
   ETIMEDOUT. */
DILL_EXPORT int dill_http_detach(int s, int64_t deadline);

/* Sends a request line, such as `GET / HTTP/1.1`.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EINVAL (NULL, empty, white space, control characters),
   ENOTSUP, EPIPE (this side is done), ETIMEDOUT.

   Required: Both are strings, or NULL. */
DILL_EXPORT int dill_http_sendrequest(int s, const char *command, const char *resource,
    int64_t deadline);

/* Receives a request line. Both parts are strings; the lengths are those of the buffers. A blank line
   that comes first is ignored.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET (also if the stream ends before the blank line), EINVAL
   (NULL), EMSGSIZE (a part does not fit; the next call receives the next line), ENOMEM, ENOTSUP, EPIPE (a
   blank line), EPROTO (no request of HTTP/1.0 or 1.1, or more than 64 KiB), ETIMEDOUT.

   Required: The buffers have these lengths, or are NULL, and do not overlap. */
DILL_EXPORT int dill_http_recvrequest(int s, char *command, size_t commandlen, char *resource,
    size_t resourcelen, int64_t deadline);

/* Sends a status line, such as `HTTP/1.1 404 Not found`. The reason may be empty.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EINVAL (NULL, a status not in 100 to 599, control
   characters), ENOTSUP, EPIPE (this side is done), ETIMEDOUT.

   Required: The reason is a string, or NULL. */
DILL_EXPORT int dill_http_sendstatus(int s, int status, const char *reason, int64_t deadline);

/* Receives a status line and returns the status. The reason is a string; `reasonlen` is the length of the
   buffer.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET (also if the stream ends before the blank line), EINVAL
   (NULL), EMSGSIZE (the reason does not fit; the next call receives the next line), ENOMEM, ENOTSUP, EPIPE
   (a blank line), EPROTO (no status of HTTP/1.0 or 1.1, or more than 64 KiB), ETIMEDOUT.

   Required: The buffer has this length, or is NULL. */
DILL_EXPORT int dill_http_recvstatus(int s, char *reason, size_t reasonlen, int64_t deadline);

/* Sends a field, such as `Content-Type: text/html`. Spaces around the value are not sent.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EINVAL (NULL, control characters; a name that is empty or
   has white space or separators in it), ENOTSUP, EPIPE (this side is done), EPROTO (an empty value),
   ETIMEDOUT.

   Required: Both are strings, or NULL. */
DILL_EXPORT int dill_http_sendfield(int s, const char *name, const char *value, int64_t deadline);

/* Receives a field. Name and value are strings; the lengths are those of the buffers.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET (also if the stream ends before the blank line), EINVAL
   (NULL), EMSGSIZE (a part does not fit; the next call receives the next line), ENOMEM, ENOTSUP, EPIPE
   (there are no more fields), EPROTO (no field, or more than 64 KiB), ETIMEDOUT.

   Required: The buffers have these lengths, or are NULL, and do not overlap. */
DILL_EXPORT int dill_http_recvfield(int s, char *name, size_t namelen, char *value,
    size_t valuelen, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define http_storage dill_http_storage
#ifdef __cplusplus
DILL_ALIAS_(http_attach);
DILL_ALIAS_(http_attach_mem);
DILL_ALIAS_(http_done);
DILL_ALIAS_(http_detach);
DILL_ALIAS_(http_sendrequest);
DILL_ALIAS_(http_recvrequest);
DILL_ALIAS_(http_sendstatus);
DILL_ALIAS_(http_recvstatus);
DILL_ALIAS_(http_sendfield);
DILL_ALIAS_(http_recvfield);
#else
#define http_attach dill_http_attach
#define http_attach_mem dill_http_attach_mem
#define http_done dill_http_done
#define http_detach dill_http_detach
#define http_sendrequest dill_http_sendrequest
#define http_recvrequest dill_http_recvrequest
#define http_sendstatus dill_http_sendstatus
#define http_recvstatus dill_http_recvstatus
#define http_sendfield dill_http_sendfield
#define http_recvfield dill_http_recvfield
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- SOCKS5 ------------------------------------------------------------------------------------- */

/* Judges a user name and a password: 0 turns the client away. */
typedef int dill_socks5_auth_function(const char *username, const char *password);

/* The client asks for a connection to the address. */
#define DILL_SOCKS5_CONNECT 1

/* The client asks for a port that the address can connect to. */
#define DILL_SOCKS5_BIND 2

/* The client asks for datagrams to be passed on. */
#define DILL_SOCKS5_UDP_ASSOCIATE 3

/* The connection was made. */
#define DILL_SOCKS5_SUCCESS 0

/* Failed, unspecified reason. The client's EIO. */
#define DILL_SOCKS5_GENERAL_FAILURE 1

/* The proxy does not allow it. The client's EACCES. */
#define DILL_SOCKS5_CONNECTION_NOT_ALLOWED 2

/* The client's ENETUNREACH. */
#define DILL_SOCKS5_NETWORK_UNREACHABLE 3

/* The client's EHOSTUNREACH. */
#define DILL_SOCKS5_HOST_UNREACHABLE 4

/* The client's ECONNREFUSED. */
#define DILL_SOCKS5_CONNECTION_REFUSED 5

/* The client's ETIMEDOUT. */
#define DILL_SOCKS5_TTL_EXPIRED 6

/* The client's EOPNOTSUPP. */
#define DILL_SOCKS5_COMMAND_NOT_SUPPORTED 7

/* The client's EAFNOSUPPORT. */
#define DILL_SOCKS5_ADDRESS_TYPE_NOT_SUPPORTED 8

/* Asks the proxy at the other end of a bytestream for a connection to an address. After that the bytes
   on the bytestream are those of the connection. User name and password are given both, or NULL. The
   bytestream stays the caller's; if the call fails, there is nothing to be done with it but to close it.

   Errors: EACCES (user name, password, or the proxy's rules), EAFNOSUPPORT, EBADF, EBUSY, ECANCELED,
   ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINVAL (more than 255 bytes, no address), EIO, ENETUNREACH,
   ENOMEM, ENOTSUP (no bytestream, or the proxy does not do this), EPIPE, EPROTO, ETIMEDOUT.

   Required: User name and password are strings or NULL, and the address can be read. */
DILL_EXPORT int dill_socks5_client_connect(int s, const char *username, const char *password,
    struct dill_ipaddr *addr, int64_t deadline);

/* As `socks5_client_connect`, with a name that the proxy looks up, and a port (1 to 65535).

   Errors: those of `socks5_client_connect`.

   Required: All three are strings or NULL. */
DILL_EXPORT int dill_socks5_client_connectbyname(int s, const char *username, const char *password,
    const char *hostname, int port, int64_t deadline);

/* As a proxy, lets a client in. With `auth_fn`, the client must name a user and a password for which it
   does not return 0; without, it need not. The bytestream stays the caller's.

   Errors: EACCES (the client was rejected), EBADF, EBUSY, ECANCELED, ECONNRESET, ENOMEM, ENOTSUP,
   EPIPE, EPROTO, ETIMEDOUT.

   Required: The function can be called with two strings. */
DILL_EXPORT int dill_socks5_proxy_auth(int s, int (*auth_fn)(const char *username,
    const char *password), int64_t deadline);

/* As a proxy, receives the client's command and the address it is about. A name is looked up. Returns
   SOCKS5_CONNECT, SOCKS5_BIND or SOCKS5_UDP_ASSOCIATE.

   Errors: EADDRNOTAVAIL (the name has no address), EAGAIN (no thread to be had), EBADF, EBUSY, ECANCELED,
   ECONNRESET, EINVAL (NULL), EMFILE, ENFILE, ENOMEM, ENOTSUP, EPIPE, EPROTO, ETIMEDOUT.

   Required: There is room for an address, or it is NULL. */
DILL_EXPORT int dill_socks5_proxy_recvcommand(int s, struct dill_ipaddr *ipaddr, int64_t deadline);

/* As `socks5_proxy_recvcommand`, but names are not looked up: `host` gets the name, or the text of the
   address.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EINVAL (NULL), ENOTSUP, EPIPE, EPROTO, ETIMEDOUT.

   Required: `host` has room for 256 bytes. */
DILL_EXPORT int dill_socks5_proxy_recvcommandbyname(int s, char *host, int *port, int64_t deadline);

/* As a proxy, answers a command: with SOCKS5_SUCCESS and the address that the proxy connects from, or with
   one of the other SOCKS5_ numbers.

   Errors: EBADF, EBUSY, ECANCELED, ECONNRESET, EINVAL (no such answer, no address), ENOMEM, ENOTSUP,
   EPIPE, ETIMEDOUT.

   Required: The address can be read, or is NULL. */
DILL_EXPORT int dill_socks5_proxy_sendreply(int s, int reply, struct dill_ipaddr *ipaddr,
    int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define SOCKS5_CONNECT DILL_SOCKS5_CONNECT
#define SOCKS5_BIND DILL_SOCKS5_BIND
#define SOCKS5_UDP_ASSOCIATE DILL_SOCKS5_UDP_ASSOCIATE
#define SOCKS5_SUCCESS DILL_SOCKS5_SUCCESS
#define SOCKS5_GENERAL_FAILURE DILL_SOCKS5_GENERAL_FAILURE
#define SOCKS5_CONNECTION_NOT_ALLOWED DILL_SOCKS5_CONNECTION_NOT_ALLOWED
#define SOCKS5_NETWORK_UNREACHABLE DILL_SOCKS5_NETWORK_UNREACHABLE
#define SOCKS5_HOST_UNREACHABLE DILL_SOCKS5_HOST_UNREACHABLE
#define SOCKS5_CONNECTION_REFUSED DILL_SOCKS5_CONNECTION_REFUSED
#define SOCKS5_TTL_EXPIRED DILL_SOCKS5_TTL_EXPIRED
#define SOCKS5_COMMAND_NOT_SUPPORTED DILL_SOCKS5_COMMAND_NOT_SUPPORTED
#define SOCKS5_ADDRESS_TYPE_NOT_SUPPORTED DILL_SOCKS5_ADDRESS_TYPE_NOT_SUPPORTED
#ifdef __cplusplus
DILL_ALIAS_(socks5_client_connect);
DILL_ALIAS_(socks5_client_connectbyname);
DILL_ALIAS_(socks5_proxy_auth);
DILL_ALIAS_(socks5_proxy_recvcommand);
DILL_ALIAS_(socks5_proxy_recvcommandbyname);
DILL_ALIAS_(socks5_proxy_sendreply);
#else
#define socks5_client_connect dill_socks5_client_connect
#define socks5_client_connectbyname dill_socks5_client_connectbyname
#define socks5_proxy_auth dill_socks5_proxy_auth
#define socks5_proxy_recvcommand dill_socks5_proxy_recvcommand
#define socks5_proxy_recvcommandbyname dill_socks5_proxy_recvcommandbyname
#define socks5_proxy_sendreply dill_socks5_proxy_sendreply
#endif
#endif

#endif

#if !defined DILL_DISABLE_SOCKETS && !defined DILL_DISABLE_TLS

/* --- TLS ---------------------------------------------------------------------------------------- */

/* Memory for a connection. */
struct dill_tls_storage {
    char _[72];
};

/* Makes a TLS client of a bytestream: does the handshake and returns the handle of a bytestream, which
   the one below belongs to from then on. If the call fails, the bytestream is closed.

   WARNING: the server's certificate is not verified, not even looked at: whoever is on the way can read
   and change everything. There is no host name in this call to compare it with. Use
   `tls_attach_client_opts`.

   Errors: EBADF, ECANCELED, ECONNRESET (also if the stream ends in the handshake), ENOMEM, EPROTO (no
   bytestream, or the handshake failed), ETIMEDOUT. */
DILL_EXPORT int dill_tls_attach_client(int s, int64_t deadline);

/* As `tls_attach_client`, with memory of the caller's, which must stay until the connection is closed
   or detached.

   Errors: those of `tls_attach_client`, and EINVAL (no memory given). */
DILL_EXPORT int dill_tls_attach_client_mem(int s, struct dill_tls_storage *mem, int64_t deadline);

/* Makes a TLS server of a bytestream: waits for a client's handshake, and returns the handle of a
   bytestream, which the one below belongs to from then on. `cert` and `pkey` are the names of PEM files:
   the server's certificate, followed by those that lead from it to an authority, and its private key.
   They are read once, and again when they have changed; if they are no good then, those that were read before
   go on. If the call fails, the bytestream is closed.

   Errors: EBADF, ECANCELED, ECONNRESET (also if the stream ends in the handshake), EFAULT (a file cannot
   be read, is no PEM file, or they do not belong together), ENOMEM, EPROTO (no bytestream, or the
   handshake failed), ETIMEDOUT.

   Required: Both are strings, or NULL. */
DILL_EXPORT int dill_tls_attach_server(int s, const char *cert, const char *pkey, int64_t deadline);

/* As `tls_attach_server`, with memory of the caller's, which must stay until the connection is closed
   or detached.

   Errors: those of `tls_attach_server`, and EINVAL (no memory given).

   Required: Both are strings, or NULL. */
DILL_EXPORT int dill_tls_attach_server_mem(int s, const char *cert, const char *pkey,
    struct dill_tls_storage *mem, int64_t deadline);

/* Ends this side of a connection: the peer receives what was sent, and then EPIPE. Receiving goes on.

   Errors: EBADF, EBUSY (another coroutine is sending), ECANCELED, ECONNRESET, ENOMEM, ENOTSUP, EPIPE
   (already done), ETIMEDOUT. */
DILL_EXPORT int dill_tls_done(int s, int64_t deadline);

/* Ends a connection gracefully: ends this side as `tls_done` does, unless that was done, drops
   what the peer still sends until it has ended its own side, and returns the bytestream below, which can
   be used further. If the call fails, everything is closed, except after EBADF and ENOTSUP.

   Errors: EBADF, EBUSY (another coroutine is using it), ECANCELED, ECONNRESET (also if anything failed
   before), ENOMEM, ENOTSUP, EPROTO, ETIMEDOUT. */
DILL_EXPORT int dill_tls_detach(int s, int64_t deadline);

/* DTLS has never been implemented: whoever uses it does not get past the linker. */
struct dill_dtls_storage {
    char _[88];
};

int dill_dtls_attach_client(int s, int64_t deadline);
int dill_dtls_attach_client_mem(int s, struct dill_dtls_storage *mem, int64_t deadline);
int dill_dtls_attach_server(int s, const char *cert, const char *pkey, int64_t deadline);
int dill_dtls_attach_server_mem(int s, const char *cert, const char *pkey, struct dill_dtls_storage *mem,
                                int64_t deadline);
int dill_dtls_done(int s, int64_t deadline);
int dill_dtls_detach(int s, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define dtls_attach_client dill_dtls_attach_client
#define dtls_attach_client_mem dill_dtls_attach_client_mem
#define dtls_attach_server dill_dtls_attach_server
#define dtls_attach_server_mem dill_dtls_attach_server_mem
#define dtls_done dill_dtls_done
#define dtls_detach dill_dtls_detach
#endif

#ifndef DILL_DISABLE_RAW_NAMES
#define tls_storage dill_tls_storage
#define dtls_storage dill_dtls_storage
#ifdef __cplusplus
DILL_ALIAS_(tls_attach_client);
DILL_ALIAS_(tls_attach_client_mem);
DILL_ALIAS_(tls_attach_server);
DILL_ALIAS_(tls_attach_server_mem);
DILL_ALIAS_(tls_done);
DILL_ALIAS_(tls_detach);
#else
#define tls_attach_client dill_tls_attach_client
#define tls_attach_client_mem dill_tls_attach_client_mem
#define tls_attach_server dill_tls_attach_server
#define tls_attach_server_mem dill_tls_attach_server_mem
#define tls_done dill_tls_done
#define tls_detach dill_tls_detach
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- WebSocket ---------------------------------------------------------------------------------- */

/* Memory for a WebSocket. */
struct dill_ws_storage {
    char _[176];
};

/* Binary messages. */
#define DILL_WS_BINARY 0

/* Text messages: UTF-8, which is checked when receiving. */
#define DILL_WS_TEXT 1

/* When attaching: no HTTP handshake, it was done otherwise. */
#define DILL_WS_NOHTTP 2

/* When attaching: every message leaves before the call that sends it returns. Without it, answers to
   messages that came together leave together, at the latest when the thread waits or yields. */
#define DILL_WS_NOGATHER 4

/* When sending: more messages follow, this one may wait to leave together with them. */
#define DILL_WS_GATHER 8

/* The room that `ws_request_key` and `ws_response_key` need, in bytes. */
#define DILL_WS_KEY_SIZE 32

/* Makes a WebSocket of a bytestream, as a client: asks the server for `resource` (such as "/") on
   `host` (such as "example.com:8080"). `flags` is WS_TEXT or WS_BINARY, the type of the messages of
   `msend` and `mrecv`, perhaps with WS_NOHTTP or WS_NOGATHER. Returns the handle of the WebSocket,
   which the bytestream belongs to from then on. If the call fails, the bytestream is closed.

   Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (NULL, control characters, unknown flags), ENOMEM,
   ENOTSUP (no bytestream), EPIPE, EPROTO (the server refused, or does not speak WebSocket), ETIMEDOUT.

   Required: Both are strings, or NULL. */
DILL_EXPORT int dill_ws_attach_client(int s, int flags, const char *resource, const char *host,
    int64_t deadline);

/* As `ws_attach_client`, with memory of the caller's, which must stay until the WebSocket is closed or
   detached.

   Errors: those of `ws_attach_client`, and EINVAL (no memory given).

   Required: Both are strings, or NULL. */
DILL_EXPORT int dill_ws_attach_client_mem(int s, int flags, const char *resource, const char *host,
    struct dill_ws_storage *mem, int64_t deadline);

/* Makes a WebSocket of a bytestream, as a server: waits for a client's request and accepts it. What
   the client asked for is stored as strings in `resource` and `host`; NULL with length 0 if it is not
   wanted. `flags` and the result are as for `ws_attach_client`. A request that cannot be accepted is
   answered with an HTTP error. If the call fails, the bytestream is closed.

   Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (NULL with a length, unknown flags), EMSGSIZE (a string
   does not fit), ENOMEM, ENOTSUP (no bytestream), EPIPE, EPROTO (no proper request), ETIMEDOUT.

   Required: The buffers have those lengths, or are NULL, and do not overlap. */
DILL_EXPORT int dill_ws_attach_server(int s, int flags, char *resource, size_t resourcelen,
    char *host, size_t hostlen, int64_t deadline);

/* As `ws_attach_server`, with memory of the caller's, which must stay until the WebSocket is closed or
   detached.

   Errors: those of `ws_attach_server`, and EINVAL (no memory given).

   Required: The buffers have those lengths, or are NULL, and do not overlap. */
DILL_EXPORT int dill_ws_attach_server_mem(int s, int flags, char *resource, size_t resourcelen,
    char *host, size_t hostlen, struct dill_ws_storage *mem, int64_t deadline);

/* Sends one message, or with WS_MORE a part of one. `flags` is WS_TEXT or WS_BINARY, perhaps with WS_GATHER;
   WS_NOHTTP and WS_NOGATHER mean nothing here, so that the flags of the attaching call can be used. Text is sent as
   it is: that it is UTF-8 is up to the caller. Several coroutines may send: their messages leave whole,
   in the order of the calls.

   Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (NULL, unknown flags), ENOMEM, ENOTSUP, EPIPE (after
   `ws_done`), ETIMEDOUT. After ETIMEDOUT and ECANCELED the call may be repeated, unless a part of the
   message had left: then ECONNRESET follows.

   Required: The buffer has `len` bytes, or is NULL. */
DILL_EXPORT int dill_ws_send(int s, int flags, const void *buf, size_t len, int64_t deadline);

/* As `ws_send`, from a list of buffers.

   Errors: those of `ws_send`, EINVAL (malformed list), EMSGSIZE (more bytes than there can be).

   Required: The list and its buffers can be read. */
DILL_EXPORT int dill_ws_sendl(int s, int flags, struct dill_iolist *first,
    struct dill_iolist *last, int64_t deadline);

/* Receives one message of at most `len` bytes and returns its size; NULL drops as many. `*flags`
   becomes WS_TEXT or WS_BINARY, unless it is NULL. Pings are answered meanwhile. After a deadline
   nothing is lost: the next call goes on where this one stopped.

   Errors: EBADF, EBUSY (another coroutine is receiving), ECANCELED, ECONNRESET (the connection broke
   without a close frame), EMSGSIZE (the message is longer; it is dropped), ENOMEM, ENOTSUP, EPIPE (the
   peer sent a close frame, see `ws_status`), EPROTO (the peer broke the protocol), ETIMEDOUT.

   Required: There is room for `len` bytes and for the flags, or the pointers are NULL. */
DILL_EXPORT ssize_t dill_ws_recv(int s, int *flags, void *buf, size_t len, int64_t deadline);

/* As `ws_recv`, into a list of buffers. NULL in place of a buffer drops bytes; NULL in place of the
   list drops the message.

   Errors: those of `ws_recv`, and EINVAL (malformed list).

   Required: The list can be read and its buffers written; there is room for the flags, or the pointer is NULL. */
DILL_EXPORT ssize_t dill_ws_recvl(int s, int *flags, struct dill_iolist *first,
    struct dill_iolist *last, int64_t deadline);

/* Sends a close frame, after which nothing more can be sent; receiving goes on. `status` is a close
   code, 1000 if nothing is wrong, or 0 for none; the reason is UTF-8 of at most 123 bytes.

   Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (a code or reason that is not allowed, NULL with a
   length), ENOMEM, ENOTSUP, EPIPE (already done), ETIMEDOUT.

   Required: The buffer has `len` bytes, or is NULL. */
DILL_EXPORT int dill_ws_done(int s, int status, const void *buf, size_t len, int64_t deadline);

/* Ends a WebSocket gracefully: sends a close frame as `ws_done` does, unless that was done,
   drops messages until the peer's close frame, and returns the bytestream, which can be used further.
   If the call fails, everything is closed, except after EBADF and ENOTSUP.

   Errors: EBADF, EBUSY (another coroutine is receiving), ECANCELED, ECONNRESET, EINVAL (as `ws_done`),
   ENOMEM, ENOTSUP, EPIPE (another coroutine sent the close frame meanwhile), EPROTO, ETIMEDOUT.

   Required: The buffer has `len` bytes, or is NULL. */
DILL_EXPORT int dill_ws_detach(int s, int status, const void *buf, size_t len, int64_t deadline);

/* What the peer's close frame said: stores its code in `*status`, unless that is NULL, and its reason
   in the buffer, without a NUL at the end, unless that is NULL with length 0. Returns the length of the
   reason. The code is 0 if there was none.

   Errors: EAGAIN (no close frame so far), EBADF, EINVAL (NULL with a length), EMSGSIZE (the reason is
   longer), ENOMEM, ENOTSUP.

   Required: There is room for `len` bytes and for the status, or the pointers are NULL. */
DILL_EXPORT ssize_t dill_ws_status(int s, int *status, void *buf, size_t len);

/* Makes a random key for the request of a client that does the handshake itself: stores a string of 24
   characters.

   Errors: EINVAL (NULL), ENOMEM.

   Required: There is room for WS_KEY_SIZE bytes, or the pointer is NULL. */
DILL_EXPORT int dill_ws_request_key(char *request_key);

/* The key that a server answers a client's key with: stores a string of 28 characters.

   Errors: EINVAL (NULL), ENOMEM, EPROTO (the client's key is not the base64 of 16 bytes).

   Required: The client's key is a string or NULL, and there is room for WS_KEY_SIZE bytes, or the pointer is
   NULL. Both may be the same. */
DILL_EXPORT int dill_ws_response_key(const char *request_key, char *response_key);

/* Two of these calls have a second form, that of the example in libdill's manual page:

       ws_attach_client(s, resource, host, flags, deadline)
       ws_detach(s, deadline)

   The type of the second argument, and the number of arguments, tell which one is meant. The latter
   sends a close frame without a code. Without parentheses, as in &ws_detach, the names are those of
   the functions. */

#ifdef __cplusplus

extern "C++" {

inline int dill_ws_attach_client_(int s, int flags, const char *resource, const char *host, int64_t deadline) {
    return dill_ws_attach_client(s, flags, resource, host, deadline);
}

template <class Char>
inline int dill_ws_attach_client_(int s, Char *resource, const char *host, int flags, int64_t deadline) {
    return dill_ws_attach_client(s, flags, resource, host, deadline);
}

inline int dill_ws_detach_(int s, int status, const void *buf, size_t len, int64_t deadline) {
    return dill_ws_detach(s, status, buf, len, deadline);
}

inline int dill_ws_detach_(int s, int64_t deadline) {
    return dill_ws_detach(s, 0, DILL_NULL_, 0, deadline);
}
}

#define dill_ws_attach_client(...) dill_ws_attach_client_(__VA_ARGS__)
#define dill_ws_detach(...) dill_ws_detach_(__VA_ARGS__)

#else

/* Always inlined, so that no symbol is needed. */
#define DILL_INLINE_ extern __inline__ __attribute__((__gnu_inline__, __always_inline__, __artificial__))

DILL_INLINE_ int dill_ws_attach_client_(int s, const char *resource, const char *host, int flags,
                                        int64_t deadline) {
    return dill_ws_attach_client(s, flags, resource, host, deadline);
}

DILL_INLINE_ int dill_ws_detach_(int s, int64_t deadline) {
    return dill_ws_detach(s, 0, NULL, 0, deadline);
}

#define DILL_SECOND_(a, b, ...) b
#define DILL_SIXTEENTH_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ...) p

#define dill_ws_attach_client(...)                                                                          \
    __extension__ _Generic((DILL_SECOND_(__VA_ARGS__, 0)),                                                  \
        char *: dill_ws_attach_client_,                                                                     \
        const char *: dill_ws_attach_client_,                                                               \
        default: dill_ws_attach_client)(__VA_ARGS__)

/* There may be more than five arguments: commas in the braces of a compound literal. */
#define dill_ws_detach(...)                                                                                 \
    DILL_SIXTEENTH_(__VA_ARGS__, dill_ws_detach, dill_ws_detach, dill_ws_detach, dill_ws_detach,            \
        dill_ws_detach, dill_ws_detach, dill_ws_detach, dill_ws_detach, dill_ws_detach, dill_ws_detach,     \
        dill_ws_detach, dill_ws_detach, dill_ws_detach, dill_ws_detach_, dill_ws_detach, 0)(__VA_ARGS__)

#endif

#ifndef DILL_DISABLE_RAW_NAMES
#define ws_storage dill_ws_storage
#define WS_BINARY DILL_WS_BINARY
#define WS_TEXT DILL_WS_TEXT
#define WS_NOHTTP DILL_WS_NOHTTP
#define WS_NOGATHER DILL_WS_NOGATHER
#define WS_GATHER DILL_WS_GATHER
#define WS_KEY_SIZE DILL_WS_KEY_SIZE
#define ws_attach_client dill_ws_attach_client
#define ws_detach dill_ws_detach
#ifdef __cplusplus
DILL_ALIAS_(ws_attach_client_mem);
DILL_ALIAS_(ws_attach_server);
DILL_ALIAS_(ws_attach_server_mem);
DILL_ALIAS_(ws_send);
DILL_ALIAS_(ws_sendl);
DILL_ALIAS_(ws_recv);
DILL_ALIAS_(ws_recvl);
DILL_ALIAS_(ws_done);
DILL_ALIAS_(ws_status);
DILL_ALIAS_(ws_request_key);
DILL_ALIAS_(ws_response_key);
#else
#define ws_attach_client_mem dill_ws_attach_client_mem
#define ws_attach_server dill_ws_attach_server
#define ws_attach_server_mem dill_ws_attach_server_mem
#define ws_send dill_ws_send
#define ws_sendl dill_ws_sendl
#define ws_recv dill_ws_recv
#define ws_recvl dill_ws_recvl
#define ws_done dill_ws_done
#define ws_status dill_ws_status
#define ws_request_key dill_ws_request_key
#define ws_response_key dill_ws_response_key
#endif
#endif

#endif

#ifdef __cplusplus
}
#endif

#endif
