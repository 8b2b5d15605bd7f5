"""A network of the benchmark's own, in which nothing but the programs decides what a message costs."""

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 1

CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")
# The kernel's default. BBR paces each connection with timers, on the loopback interface too, and their
# interrupts are charged to whichever server happens to run.
WANTED = "cubic"


def congestion_control():
    return CONGESTION_CONTROL.read_text(encoding="ascii").strip()


def _bring_loopback_up():
    with socket.socket() as s:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack_from("h", fcntl.ioctl(s, SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def separate():
    """Leaves the machine's network for an empty one with the wanted congestion control, which every child
    inherits. Why this cannot be done, or None."""
    if congestion_control() == WANTED:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        return f"no network namespace: {os.strerror(ctypes.get_errno())}"
    _bring_loopback_up()
    try:
        CONGESTION_CONTROL.write_text(WANTED, encoding="ascii")
    except OSError as error:
        return f"no {WANTED}: {error.strerror}"
    return None
