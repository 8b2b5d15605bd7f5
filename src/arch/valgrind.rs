//! Telling valgrind about coroutine stacks, so that it does not take a switch for a stack that
//! grew by megabytes. Client requests are an instruction sequence that does nothing on a processor.

const RUNNING_ON_VALGRIND: usize = 0x1001;
/// 'D', 'R' and 1: the number of a thread. Other tools do not know the request.
const DRD_THREAD_ID: usize = 0x4452_0001;
const STACK_REGISTER: usize = 0x1501;
const STACK_DEREGISTER: usize = 0x1502;

fn request(request: usize, first: usize, second: usize) -> usize {
    super::cpu::valgrind::request(&[request, first, second, 0, 0, 0])
}

/// Whether the process runs under a tool of valgrind that wants to know of stacks. drd does not: it takes
/// a registered stack for a part of the thread's own, and fails an assertion of its own when that ends.
pub(crate) fn wants_stacks() -> bool {
    request(RUNNING_ON_VALGRIND, 0, 0) != 0 && request(DRD_THREAD_ID, 0, 0) == 0
}

/// Registers the stack between two addresses; returns the id for `deregister_stack`.
pub(crate) fn register_stack(low: usize, high: usize) -> usize {
    request(STACK_REGISTER, low, high)
}

/// Withdraws a registration.
pub(crate) fn deregister_stack(id: usize) {
    request(STACK_DEREGISTER, id, 0);
}
