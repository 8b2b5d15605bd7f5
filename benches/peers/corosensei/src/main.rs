//! A switch, and the life of a coroutine, in corosensei; next to a call through a pointer.

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::hint::black_box;
use std::time::Instant;

const TIMES: u32 = 10_000_000;

/// Nanoseconds per operation of `work`, which does `operations` of them.
fn nanoseconds(operations: u32, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / f64::from(operations)
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
    let (call, switch, go) = (
        nanoseconds(TIMES, call),
        nanoseconds(TIMES, switch),
        nanoseconds(TIMES, go),
    );
    println!("{{\"call\": {call:.3}, \"switch\": {switch:.3}, \"go\": {go:.3}}}");
}
