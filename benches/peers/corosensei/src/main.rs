//! A switch, and the life of a coroutine, in corosensei; next to a call through a pointer.

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;

const TIMES: u32 = 10_000_000;

fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Processor time of one of the operations of `work`, in nanoseconds.
fn cost(work: impl FnOnce()) -> f64 {
    let start = cpu_ns();
    work();
    (cpu_ns() - start) / f64::from(TIMES)
}

fn call() {
    #[inline(never)]
    fn nothing() {
        black_box(());
    }
    for _ in 0..TIMES {
        black_box(nothing as fn())();
    }
}

fn switch() {
    let mut coroutine = Coroutine::new(|yielder: &Yielder<(), ()>, ()| {
        for _ in 0..TIMES / 2 {
            yielder.suspend(());
        }
    });
    while let CoroutineResult::Yield(()) = coroutine.resume(()) {}
}

fn go() {
    let mut stack = DefaultStack::new(256 << 10).expect("a stack");
    for _ in 0..TIMES {
        let mut coroutine = Coroutine::with_stack(stack, |_: &Yielder<(), ()>, ()| {
            black_box(());
        });
        coroutine.resume(());
        stack = coroutine.into_stack();
    }
}

fn main() {
    let (call, switch, go) = (cost(call), cost(switch), cost(go));
    println!("{{\"call\": {call:.3}, \"switch\": {switch:.3}, \"go\": {go:.3}}}");
}
