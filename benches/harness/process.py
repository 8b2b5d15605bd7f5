"""Processes of the benchmark: pinned to a core, found listening, and never left behind."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

CORES = sorted(os.sched_getaffinity(0))
GENERATOR_CORE = CORES[0]
SERVER_CORE = CORES[1 % len(CORES)]

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failed(Exception):
    """A program did not do what the benchmark needs; the text says why."""


def _child(core):
    def prepare():
        os.sched_setaffinity(0, {core})
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    return prepare


def start(argv, core, **options):
    """Starts a program on a core; it dies with this process at the latest."""
    return subprocess.Popen([str(a) for a in argv], preexec_fn=_child(core), **options)


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no message"


def finish(process, name, timeout):
    """Waits for a program that prints one line of JSON."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"{name}: did not end within {timeout:.0f} s") from None
    finally:
        stop(process)
    if process.returncode != 0:
        raise Failed(f"{name}: {last_line(err)}")
    return json.loads(out)


def run(argv, core, timeout, **options):
    process = start(argv, core, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                    **options)
    return finish(process, os.path.basename(str(argv[0])), timeout)


def stop(process):
    if process.poll() is None:
        process.kill()
    process.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _listening(port):
    """Looks instead of connecting: a connection would cost the server something."""
    address = f"0100007F:{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(f[1] == address and f[3] == "0A" for f in map(str.split, table))


def wait_listening(process, port, name):
    deadline = time.monotonic() + 10
    while not _listening(port):
        if process.poll() is not None:
            raise Failed(f"{name}: ended at once")
        if time.monotonic() > deadline:
            raise Failed(f"{name}: does not listen")
        time.sleep(0.005)


@contextlib.contextmanager
def server(argv, port, core=SERVER_CORE):
    """A server that listens, for as long as the block runs."""
    name = next(os.path.basename(str(a)) for a in reversed(argv) if "/" in str(a))
    with tempfile.TemporaryFile("w+") as log:
        process = start(argv, core, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_listening(process, port, name)
            yield process
        except Failed as reason:
            log.seek(0)
            said = log.read().strip()
            if said:
                raise Failed(f"{reason} ({name}: {last_line(said)[:100]})") from None
            raise
        finally:
            stop(process)


def memory_kib(pid):
    """Resident memory and page tables of a process."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("Rss:"))
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        tables = next(int(line.split()[1]) for line in f if line.startswith("VmPTE:"))
    return rss, tables
