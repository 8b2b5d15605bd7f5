/* A program that was compiled long ago: the sequence that the go macro put into it, spelled out. Eight slots
   are saved (rbx, rbp, r12 to r15, rsp, where to go on), and the parent is resumed with eax = 1 and with rdx
   still pointing at them. */

#include <libdill.h>

#include "test.h"

#ifdef __x86_64__

/* What the parent found when it was resumed. */
struct resumed {
    uint64_t rax, rdx, rbx, rbp, r12, r13, r14, r15, rsp, flags;
    uint64_t context;           /* where the eight slots were */
    uint64_t saved_rbp, saved_rsp;
};

/* Launches fn(arg) as old programs do. The registers that the parent relies on hold these values. */
enum { PATTERN_RBX = 0x1b, PATTERN_R12 = 0x12, PATTERN_R13 = 0x13, PATTERN_R14 = 0x14, PATTERN_R15 = 0x15 };

int old_go(void (*fn)(void *), void *arg, void *stack, size_t len, int bndl, struct resumed *seen);

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

#else

TEST(the_contract_of_old_programs_is_tested) { SKIP("written for x86-64"); }

#endif
