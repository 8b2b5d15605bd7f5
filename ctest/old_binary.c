/* A program that was compiled long ago: the sequence that the go macro put into it, spelled out.

   x86-64: eight slots are saved (rbx, rbp, r12 to r15, rsp, where to go on), and the parent is resumed with
   eax = 1 and with rdx still pointing at them. Other processors: the parent calls sigsetjmp, which returns 1
   when it is resumed. */

#include <libdill.h>

#include "test.h"

#ifdef __x86_64__

/* What the parent found when it was resumed. */
struct resumed {
    uint64_t rax, rdx, rbx, rbp, r12, r13, r14, r15, rsp, flags;
    uint64_t context;           /* where the eight slots were */
    uint64_t saved_rbp, saved_rsp;
};

/* The registers that the parent relies on hold these values. */
enum { PATTERN_RBX = 0x1b, PATTERN_R12 = 0x12, PATTERN_R13 = 0x13, PATTERN_R14 = 0x14, PATTERN_R15 = 0x15 };

__asm__(".text\n"
        ".globl old_go\n"
        ".type old_go, @function\n"
        "old_go:\n"
        "    push %rbp\n"
        "    mov %rsp, %rbp\n"
        "    push %rbx\n"
        "    push %r12\n"
        "    push %r13\n"
        "    push %r14\n"
        "    push %r15\n"
        "    sub $56, %rsp\n" /* rsp is a multiple of 16 again */
        "    mov %rdi, -48(%rbp)\n" /* fn */
        "    mov %rsi, -56(%rbp)\n" /* arg */
        "    mov %rdx, -64(%rbp)\n" /* stack; then the new stack pointer */
        "    mov %r9, -72(%rbp)\n"  /* seen */
        "    lea -80(%rbp), %rdi\n" /* the context */
        "    lea -64(%rbp), %rsi\n"
        "    mov %rcx, %rdx\n"
        "    mov %r8d, %ecx\n"
        "    lea old_go_file(%rip), %r8\n"
        "    mov $42, %r9d\n"
        "    call dill_prologue@PLT\n"
        "    mov %eax, -84(%rbp)\n"
        "    test %eax, %eax\n"
        "    js 2f\n"
        "    mov $0x1b, %ebx\n"
        "    mov $0x12, %r12d\n"
        "    mov $0x13, %r13d\n"
        "    mov $0x14, %r14d\n"
        "    mov $0x15, %r15d\n"
        "    mov -80(%rbp), %rdx\n"
        "    mov -72(%rbp), %rax\n"
        "    mov %rdx, 80(%rax)\n"
        "    mov %rbp, 88(%rax)\n"
        "    mov %rsp, 96(%rax)\n"
        "    mov %rbx, 0(%rdx)\n"
        "    mov %rbp, 8(%rdx)\n"
        "    mov %r12, 16(%rdx)\n"
        "    mov %r13, 24(%rdx)\n"
        "    mov %r14, 32(%rdx)\n"
        "    mov %r15, 40(%rdx)\n"
        "    mov %rsp, 48(%rdx)\n"
        "    lea 1f(%rip), %rcx\n"
        "    mov %rcx, 56(%rdx)\n"
        "    mov -64(%rbp), %rsp\n"
        "    mov -56(%rbp), %rdi\n"
        "    call *-48(%rbp)\n"
        "    call dill_epilogue@PLT\n"
        "    ud2\n"
        "1:\n"
        "    pushfq\n"
        "    mov -72(%rbp), %rcx\n"
        "    mov %rax, 0(%rcx)\n"
        "    mov %rdx, 8(%rcx)\n"
        "    mov %rbx, 16(%rcx)\n"
        "    mov %rbp, 24(%rcx)\n"
        "    mov %r12, 32(%rcx)\n"
        "    mov %r13, 40(%rcx)\n"
        "    mov %r14, 48(%rcx)\n"
        "    mov %r15, 56(%rcx)\n"
        "    pop 72(%rcx)\n"
        "    mov %rsp, 64(%rcx)\n"
        "2:\n"
        "    mov -84(%rbp), %eax\n"
        "    lea -40(%rbp), %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    ret\n"
        ".size old_go, . - old_go\n"
        ".section .rodata\n"
        "old_go_file: .asciz \"old.c\"\n"
        ".text\n");

/* The parent was resumed as the contract says. */
static void check_resumed(const struct resumed *r) {
    CHECK_INT((uint32_t)r->rax, 1);
    CHECK(r->rdx == r->context);
    CHECK_INT(r->context % 8, 0);
    CHECK_INT(r->rbx, PATTERN_RBX);
    CHECK_INT(r->r12, PATTERN_R12);
    CHECK_INT(r->r13, PATTERN_R13);
    CHECK_INT(r->r14, PATTERN_R14);
    CHECK_INT(r->r15, PATTERN_R15);
    CHECK(r->rbp == r->saved_rbp);
    CHECK(r->rsp == r->saved_rsp);
    CHECK_INT(r->flags >> 10 & 1, 0); /* the direction flag */
}

#elif defined __aarch64__

/* What the parent found when it was resumed. */
struct resumed {
    uint64_t value, sp;         /* what sigsetjmp returned; the stack pointer */
    uint64_t x[10];             /* x19 to x28 */
    double d[8];                /* d8 to d15 */
    uint64_t context, saved_sp; /* what was given to sigsetjmp */
};

/* The registers that the parent relies on hold their own numbers. */
__asm__(".text\n"
        ".globl old_go\n"
        ".type old_go, %function\n"
        "old_go:\n"
        "    stp x29, x30, [sp, #-208]!\n"
        "    mov x29, sp\n"
        "    stp x19, x20, [sp, #16]\n"
        "    stp x21, x22, [sp, #32]\n"
        "    stp x23, x24, [sp, #48]\n"
        "    stp x25, x26, [sp, #64]\n"
        "    stp x27, x28, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    stp x0, x1, [x29, #160]\n" /* fn and arg */
        "    stp x2, x5, [x29, #176]\n" /* stack, then the new stack pointer; seen */
        "    add x0, x29, #192\n"       /* the context */
        "    add x1, x29, #176\n"
        "    mov x2, x3\n"
        "    mov w3, w4\n"
        "    adrp x4, old_go_file\n"
        "    add x4, x4, :lo12:old_go_file\n"
        "    mov w5, #42\n"
        "    bl dill_prologue\n"
        "    str w0, [x29, #200]\n"
        "    tbnz w0, #31, 2f\n"
        "    mov x19, #19\n"
        "    mov x20, #20\n"
        "    mov x21, #21\n"
        "    mov x22, #22\n"
        "    mov x23, #23\n"
        "    mov x24, #24\n"
        "    mov x25, #25\n"
        "    mov x26, #26\n"
        "    mov x27, #27\n"
        "    mov x28, #28\n"
        "    fmov d8, #8.0\n"
        "    fmov d9, #9.0\n"
        "    fmov d10, #10.0\n"
        "    fmov d11, #11.0\n"
        "    fmov d12, #12.0\n"
        "    fmov d13, #13.0\n"
        "    fmov d14, #14.0\n"
        "    fmov d15, #15.0\n"
        "    ldr x0, [x29, #192]\n"
        "    ldr x9, [x29, #184]\n"
        "    mov x10, sp\n"
        "    stp x0, x10, [x9, #160]\n"
        "    mov w1, #0\n"
        "    bl __sigsetjmp\n"
        "    cbnz w0, 1f\n"
        "    ldr x10, [x29, #176]\n"
        "    mov sp, x10\n"
        "    ldp x9, x0, [x29, #160]\n"
        "    blr x9\n"
        "    bl dill_epilogue\n"
        "    brk #0\n"
        "1:\n"
        "    ldr x9, [x29, #184]\n"
        "    mov w0, w0\n"
        "    mov x10, sp\n"
        "    stp x0, x10, [x9]\n"
        "    stp x19, x20, [x9, #16]\n"
        "    stp x21, x22, [x9, #32]\n"
        "    stp x23, x24, [x9, #48]\n"
        "    stp x25, x26, [x9, #64]\n"
        "    stp x27, x28, [x9, #80]\n"
        "    stp d8, d9, [x9, #96]\n"
        "    stp d10, d11, [x9, #112]\n"
        "    stp d12, d13, [x9, #128]\n"
        "    stp d14, d15, [x9, #144]\n"
        "2:\n"
        "    ldr w0, [x29, #200]\n"
        "    ldp x19, x20, [sp, #16]\n"
        "    ldp x21, x22, [sp, #32]\n"
        "    ldp x23, x24, [sp, #48]\n"
        "    ldp x25, x26, [sp, #64]\n"
        "    ldp x27, x28, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    ldp x29, x30, [sp], #208\n"
        "    ret\n"
        ".size old_go, . - old_go\n"
        ".section .rodata\n"
        "old_go_file: .asciz \"old.c\"\n"
        ".text\n");

/* The parent was resumed as the contract says. */
static void check_resumed(const struct resumed *r) {
    CHECK_INT(r->value, 1);
    CHECK_INT(r->context % 16, 0);
    for (int i = 0; i != 10; ++i) CHECK_INT(r->x[i], 19 + i);
    for (int i = 0; i != 8; ++i) CHECK(r->d[i] == 8 + i);
    CHECK(r->sp == r->saved_sp);
}

#endif

/* Launches fn(arg) as old programs do. */
int old_go(void (*fn)(void *), void *arg, void *stack, size_t len, int bndl, struct resumed *seen);

static struct resumed seen;

struct task {
    int yields;
    int progress;
    int64_t sleep;
    uintptr_t frame;
};

static void run_task(void *arg) {
    struct task *t = (struct task *)arg;
    t->frame = (uintptr_t)__builtin_frame_address(0);
    for (int i = 0; i != t->yields; ++i) {
        ++t->progress;
        CHECK_INT(yield(), 0);
    }
    if (t->sleep) CHECK_INT(msleep(now() + t->sleep), 0);
    ++t->progress;
}

static struct task task;

TEST(a_coroutine_in_a_new_bundle_runs_first_and_its_parent_is_resumed) {
    int h = old_go(run_task, &task, NULL, 0, -1, &seen);
    CHECK(h >= 0);
    CHECK_INT(task.progress, 1);
    check_resumed(&seen);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(hclose(h), 0);
}

TEST(the_parent_is_resumed_while_its_coroutine_yields) {
    int h;
    task.yields = 3;
    h = old_go(run_task, &task, NULL, 0, -1, &seen);
    CHECK(h >= 0);
    CHECK_INT(task.progress, 1);
    check_resumed(&seen);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(task.progress, 4);
    CHECK_INT(hclose(h), 0);
}

TEST(the_parent_is_resumed_while_its_coroutine_sleeps) {
    int h;
    task.sleep = 30;
    h = old_go(run_task, &task, NULL, 0, -1, &seen);
    CHECK_INT(task.progress, 0);
    check_resumed(&seen);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(task.progress, 1);
    CHECK_INT(hclose(h), 0);
}

TEST(the_new_stack_pointer_is_aligned) {
    int h = old_go(run_task, &task, NULL, 0, -1, &seen);
    CHECK_INT(task.frame % 16, 0);
    CHECK_INT(hclose(h), 0);
}

TEST(a_coroutine_in_an_existing_bundle_gives_0) {
    int b = bundle();
    for (int i = 1; i != 4; ++i) {
        CHECK_INT(old_go(run_task, &task, NULL, 0, b, &seen), 0);
        CHECK_INT(task.progress, i);
        check_resumed(&seen);
    }
    CHECK_INT(hclose(b), 0);
}

TEST(a_stack_of_the_caller_is_used) {
    static char stack[65536];
    int h = old_go(run_task, &task, stack, sizeof(stack), -1, &seen);
    CHECK(h >= 0);
    CHECK(task.frame >= (uintptr_t)stack && task.frame < (uintptr_t)stack + sizeof(stack));
    check_resumed(&seen);
    CHECK_INT(hclose(h), 0);
}

TEST(a_stack_of_the_caller_in_an_existing_bundle_is_used) {
    static char stack[4096];
    int b = bundle();
    CHECK_INT(old_go(run_task, &task, stack, sizeof(stack), b, &seen), 0);
    CHECK(task.frame >= (uintptr_t)stack && task.frame < (uintptr_t)stack + sizeof(stack));
    CHECK_INT(hclose(b), 0);
}

TEST(a_bad_bundle_gives_EBADF_and_nothing_runs) {
    CHECK_ERR(old_go(run_task, &task, NULL, 0, 99999, &seen), -1, EBADF);
    CHECK_INT(task.progress, 0);
}

TEST(a_stack_that_is_too_small_gives_ENOMEM_or_EINVAL_and_nothing_runs) {
    static char stack[64];
    CHECK_INT(old_go(run_task, &task, stack, sizeof(stack), -1, &seen), -1);
    CHECK(errno == ENOMEM || errno == EINVAL);
    CHECK_INT(task.progress, 0);
}

static void launch_nested(void *arg) {
    struct resumed inner;
    int h = old_go(run_task, arg, NULL, 0, -1, &inner);
    CHECK(h >= 0);
    check_resumed(&inner);
    CHECK_INT(hclose(h), 0);
}

TEST(coroutines_of_old_programs_launch_coroutines) {
    int h = old_go(launch_nested, &task, NULL, 0, -1, &seen);
    CHECK(h >= 0);
    check_resumed(&seen);
    CHECK_INT(hclose(h), 0);
    CHECK_INT(task.progress, 1);
}

coroutine static void count(volatile int *runs) { ++*runs; }

TEST(old_and_new_code_share_a_bundle) {
    volatile int runs = 0;
    int b = bundle();
    task.yields = 2;
    CHECK_INT(old_go(run_task, &task, NULL, 0, b, &seen), 0);
    CHECK_INT(bundle_go(b, count(&runs)), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(task.progress, 3);
    CHECK_INT(runs, 1);
    CHECK_INT(hclose(b), 0);
}

TEST(a_hundred_thousand_launches_of_old_code_keep_the_registers) {
    for (int i = 0; i != 100000; ++i) {
        int h = old_go(run_task, &task, NULL, 0, -1, &seen);
        CHECK(h >= 0);
        check_resumed(&seen);
        CHECK_INT(hclose(h), 0);
    }
}

#ifdef __aarch64__

#include <alloca.h>
#include <setjmp.h>

/* The sequence as a macro in C has it, which moves the stack pointer by an allocation of the distance. */
#define FALLBACK_GO(expr)                                                                                   \
    __extension__({                                                                                         \
        sigjmp_buf *ctx_;                                                                                   \
        void *stack_ = NULL;                                                                                \
        int handle_ = dill_prologue(&ctx_, &stack_, 0, -1, __FILE__, __LINE__);                             \
        if (handle_ >= 0 && !sigsetjmp(*ctx_, 0)) {                                                         \
            dill_unoptimisable = alloca((size_t)((char *)alloca(sizeof(size_t)) - (char *)stack_));         \
            expr;                                                                                           \
            dill_epilogue();                                                                                \
        }                                                                                                   \
        handle_;                                                                                            \
    })

__attribute__((noinline)) static void add_later(int *sum, int number) {
    CHECK_INT(yield(), 0);
    *sum += number;
}

__attribute__((noinline)) static int launch(int *sum, int number) { return FALLBACK_GO(add_later(sum, number)); }

TEST(a_parent_that_calls_sigsetjmp_in_C_launches_many) {
    int sum = 0, handles[100];
    for (int i = 0; i != 100; ++i) {
        handles[i] = launch(&sum, i);
        CHECK(handles[i] >= 0);
    }
    for (int i = 0; i != 100; ++i) {
        CHECK_INT(bundle_wait(handles[i], -1), 0);
        CHECK_INT(hclose(handles[i]), 0);
    }
    CHECK_INT(sum, 99 * 100 / 2);
}

#endif
