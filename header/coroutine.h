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

@declarations@

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
