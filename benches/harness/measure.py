"""One measurement of one program at one workload."""

import json
import re
import select
import signal
import subprocess

from .process import (GENERATOR_CORE, SERVER_CORE, Failed, finish, free_port, memory_kib, run,
                      server, start, stop, wait_listening)
from .programs import BUILD, RAW
from .workloads import CONNECTING, IDLE_SIZE

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
    }


def command_of(program, mode, port, size):
    """The server for it; for connecting, one with small buffers."""
    if mode == "broadcast":
        return program.broadcast(port)
    return program.deflate(port, size) if mode == "deflate" else program.serve(port, size, idle=mode == "connect")


def generate(program, mode, arguments, size, seconds, *more):
    """Runs the generator against a fresh server."""
    port = free_port()
    with server(command_of(program, mode, port, size), port) as process:
        result = run([LOAD, mode, "--port", port, "--pid", process.pid, "--seconds", seconds,
                      *SPIN, *arguments, *raw(program), *more], GENERATOR_CORE, seconds + 30)
    return per_message(result)


def echo(program, workload, options):
    return generate(program, "echo", workload.arguments, workload.size, options.seconds,
                    "--warmup", options.warmup)


def broadcast(program, workload, options):
    return generate(program, "broadcast", workload.arguments, workload.size, options.seconds,
                    "--warmup", options.warmup)


def deflate(program, workload, options):
    return generate(program, "deflate", workload.arguments, workload.size, options.seconds,
                    "--warmup", options.warmup)


def connect(program, options, *more):
    return generate(program, "connect", ["--conns", CONNECTING], IDLE_SIZE, options.seconds,
                    "--warmup", options.warmup, *more)


def count_syscalls(program, mode, arguments, size):
    """System calls per message, in a run of its own; through strace where the kernel's
    tracepoints are out of reach."""
    try:
        return generate(program, mode, arguments, size, 0.3, "--syscalls")["syscalls"]
    except Failed as reason:
        if "tracepoint" not in str(reason) and "perf_event" not in str(reason):
            raise
    return strace_syscalls(program, mode, arguments, size)


def strace_syscalls(program, mode, arguments, size):
    port, report = free_port(), BUILD / "strace.txt"
    # Connecting is counted, too: for a broadcast to a thousand it must not matter.
    messages = {"connect": 1000, "broadcast": 100_000}.get(mode, 20_000)
    with server(command_of(program, mode, port, size), port) as process:
        tracer = start(["strace", "-f", "-c", "-o", report, "-p", process.pid], SERVER_CORE,
                       stderr=subprocess.PIPE, text=True)
        try:
            if "attached" not in tracer.stderr.readline():
                raise Failed("strace does not attach")
            result = run([LOAD, mode, "--port", port, "--warmup", 0, "--seconds", 10,
                          "--messages", messages, *arguments, *raw(program)], GENERATOR_CORE, 60)
            tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
        finally:
            stop(tracer)
            tracer.stderr.close()
    total = re.search(r"^\s*100\.00\s+\S+\s+\S+\s+(\d+)", report.read_text(), re.M)
    if not total:
        raise Failed("strace counted nothing")
    return int(total.group(1)) / result["messages"]


def idle(program, connections):
    """Bytes per idle connection: resident memory, and page tables."""
    port = free_port()
    with server(program.serve(port, IDLE_SIZE, idle=True), port) as process:
        before = memory_kib(process.pid)
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
            after = memory_kib(process.pid)
        finally:
            load.stdin.close()
            stop(load)
            load.stdout.close()
            load.stderr.close()
    return [(b - a) * 1024 / connections for a, b in zip(before, after)]


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
