"""A network of the benchmark's own, in which nothing but the programs decides what a message costs."""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

from .process import Failed

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 1

CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")
# The first that the network lets us set: the kernel's default, and the one that every kernel has. BBR paces each
# connection with timers, on the loopback interface too, and their interrupts are charged to whichever server happens to
# run.
WANTED = ("cubic", "reno")


def _bring_loopback_up():
    with socket.socket() as s:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack_from("h", fcntl.ioctl(s, SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


SEND_BUFFERS = Path("/proc/sys/net/ipv4/tcp_wmem")
SMALL = "4096 16384 65536"
_is_separate = False


@contextlib.contextmanager
def small_send_buffers():
    """As between machines: otherwise the kernel takes megabytes for a connection that does not read."""
    if not _is_separate:
        raise Failed("the kernel's buffers can be made small in a network namespace only")
    usual = SEND_BUFFERS.read_text(encoding="ascii")
    SEND_BUFFERS.write_text(SMALL, encoding="ascii")
    try:
        yield
    finally:
        SEND_BUFFERS.write_text(usual, encoding="ascii")


def separate():
    """Leaves the machine's network for an empty one with the wanted congestion control, which every child
    inherits. What the network is now, in words."""
    global _is_separate
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) == 0:
        _is_separate = True
        where = "in a network namespace of its own"
        try:
            _bring_loopback_up()
        except OSError as error:
            raise Failed(f"{where} there is no loopback interface: {error.strerror}") from None
        for wanted in WANTED:
            with contextlib.suppress(OSError):
                CONGESTION_CONTROL.write_text(wanted, encoding="ascii")
                break
    else:
        where = f"in the machine's network (no namespace: {os.strerror(ctypes.get_errno())})"
    try:
        return f"TCP with {CONGESTION_CONTROL.read_text(encoding='ascii').strip()} {where}"
    except OSError:
        return f"TCP {where}"
