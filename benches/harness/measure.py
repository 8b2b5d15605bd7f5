"""One measurement of one program at one workload."""

import contextlib
import json
import re
import select
import signal
import subprocess

from . import network
from .process import (GENERATOR_CORE, SERVER_CORE, Failed, finish, free_port, memory_kib, run,
                      server, start, stop, wait_listening)
from .programs import BUILD, RAW
from .workloads import IDLE_SIZE

LOAD = BUILD / "load"
SPIN = ["--spin"] if GENERATOR_CORE != SERVER_CORE else []


def raw(program):
    return ["--raw"] if program.name == RAW else ["--tls"] if program.tls else []


def per_message(result):
    messages = result["messages"]
    if messages == 0:
        raise Failed("no message in time")
    return {
        "cpu_ns": result["cpu_ns"] / messages,
        "rate": messages / result["seconds"] if "seconds" in result else None,
        "p50_us": result.get("p50_us"),
        "p99_us": result.get("p99_us"),
        "busy_ns": result["busy_ns"] / messages if "busy_ns" in result else None,
        "syscalls": result.get("syscalls", 0) / messages,
        "wire": result["wire_bytes"] / messages if "wire_bytes" in result else None,
        "slow_bytes": result.get("slow_bytes"),
        "slow_taken": result.get("slow_taken"),
    }


@contextlib.contextmanager
def serving(program, mode, size):
    """A fresh server: its port, and its processes."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        yield port, [stack.enter_context(server(argv, at)).pid for argv, at in program.chain(mode, port, size)]


def accounted(pids):
    return [argument for pid in pids for argument in ("--pid", pid)]


def generate(program, workload, seconds, warmup, *more):
    """Runs the generator against a fresh server."""
    buffers = network.small_send_buffers() if workload.slow else contextlib.nullcontext()
    with buffers, serving(program, workload.mode, workload.size) as (port, pids):
        result = run([LOAD, workload.load, "--port", port, *accounted(pids), "--seconds", seconds,
                      "--warmup", warmup, *SPIN, *workload.arguments, *raw(program), *more],
                     GENERATOR_CORE, seconds + 60)
    return per_message(result)


def measure(program, workload, options):
    return generate(program, workload, workload.seconds(options), workload.warmup(options))


def count_syscalls(program, workload):
    """System calls per message, in a run of its own; through strace where the kernel's
    tracepoints are out of reach."""
    try:
        return generate(program, workload, workload.count_seconds, workload.count_warmup, "--syscalls")["syscalls"]
    except Failed as reason:
        if "tracepoint" not in str(reason) and "perf_event" not in str(reason):
            raise
    return strace_syscalls(program, workload)


def strace_syscalls(program, workload):
    report = BUILD / "strace.txt"
    with serving(program, workload.mode, workload.size) as (port, pids):
        tracer = start(["strace", "-f", "-c", "-o", report, *(a for pid in pids for a in ("-p", pid))], SERVER_CORE,
                       stderr=subprocess.PIPE, text=True)
        try:
            if "attached" not in tracer.stderr.readline():
                raise Failed("strace does not attach")
            result = run([LOAD, workload.load, "--port", port, "--warmup", 0, "--seconds", 10,
                          "--messages", workload.strace_messages, *workload.arguments, *raw(program)],
                         GENERATOR_CORE, 60)
            tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
        finally:
            stop(tracer)
            tracer.stderr.close()
    total = re.search(r"^\s*100\.00\s+\S+\s+\S+\s+(\d+)", report.read_text(), re.M)
    if not total:
        raise Failed("strace counted nothing")
    return int(total.group(1)) / result["messages"]


def memory(pids):
    return [sum(column) for column in zip(*map(memory_kib, pids))]


def idle(program, connections):
    """Bytes per idle connection: resident memory, and page tables."""
    with serving(program, "idle", IDLE_SIZE) as (port, pids):
        before = memory(pids)
        load = start([LOAD, "idle", "--port", port, "--conns", connections, "--size", IDLE_SIZE,
                      "--seconds", 60, *raw(program)], GENERATOR_CORE, stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            ready, _, _ = select.select([load.stdout], [], [], 60)
            line = load.stdout.readline() if ready else ""
            if not line:
                stop(load)
                raise Failed(f"load: {load.stderr.read().strip() or 'no answer for 60 s'}")
            json.loads(line)
            after = memory(pids)
        finally:
            load.stdin.close()
            stop(load)
            load.stdout.close()
            load.stderr.close()
    return [(b - a) * 1024 / connections for a, b in zip(before, after)]


def instructions(argv, port, workload):
    """Instructions per message of a broadcasting server under callgrind: what more messages take more. There are many of
    them, since connecting takes now more, now less."""
    counts, messages = [], 20 * workload.conns
    for times in (1, 11):
        process = start(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *argv], SERVER_CORE,
                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            wait_listening(process, port, "callgrind")
            run([LOAD, workload.load, "--port", port, "--warmup", 0, "--seconds", 60, "--messages", times * messages,
                 *workload.arguments], GENERATOR_CORE, 120)
            process.terminate()
            _, said = process.communicate(timeout=20)
        finally:
            stop(process)
        total = re.search(r"Collected : (\d+)", said)
        if not total:
            raise Failed("callgrind counted nothing")
        counts.append(int(total.group(1)))
    return (counts[1] - counts[0]) / (10 * messages)


def send(program, workload, options):
    """A client's messages into the generator's sink, which checks and counts them."""
    port, count = free_port(), workload.count(options.seconds)
    argv = program.send(port, workload.size, count, workload.batch)
    sink = start([LOAD, "sink", "--port", port, "--size", workload.size, *SPIN],
                 GENERATOR_CORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_listening(sink, port, "sink")
        result = run(argv, SERVER_CORE, options.seconds * 10 + 30)
        arrived = finish(sink, "sink", 20)
    finally:
        stop(sink)
    if arrived["messages"] != count:
        raise Failed(f"{arrived['messages']} of {count} messages arrived")
    return per_message({**result, "seconds": arrived["seconds"]})
