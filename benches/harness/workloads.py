"""What is asked of the programs."""

from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024


def size_text(size):
    if size >= MIB:
        return f"{size // MIB} MiB"
    return f"{size // KIB} KiB" if size >= KIB else f"{size} B"


@dataclass(frozen=True)
class Echo:
    """Messages that come back: connections × messages on the way on each."""
    conns: int
    outstanding: int
    size: int
    text: bool = False
    records: bool = False       # over TLS: one for each message of the client's

    @property
    def name(self):
        kind = " text" if self.text else ", a record each" if self.records else ""
        return f"{self.conns}×{self.outstanding}×{size_text(self.size)}{kind}"

    @property
    def arguments(self):
        return ["--conns", self.conns, "--outstanding", self.outstanding, "--size", self.size,
                *(["--text"] if self.text else []), *(["--records"] if self.records else [])]


@dataclass(frozen=True)
class Send:
    """Messages from a client to a sink, so many at a time."""
    size: int
    batch: int

    @property
    def name(self):
        how = "one by one" if self.batch == 1 else f"gathered by {self.batch}"
        return f"{size_text(self.size)}, {how}"

    def count(self, seconds):
        """About so many messages take so long."""
        ns = 2500 / self.batch + 60 + self.size * 0.3
        return max(20, int(seconds * 1e9 / ns))


@dataclass(frozen=True)
class Broadcast:
    """A message of one connection that goes to all; counted are those that arrive."""
    conns: int
    size: int

    @property
    def name(self):
        return f"broadcast to {self.conns:,}, {size_text(self.size)}"

    @property
    def arguments(self):
        return ["--conns", self.conns, "--size", self.size]


@dataclass(frozen=True)
class Deflate:
    """Compressed messages of text that come back, one on the way on each connection."""
    conns: int
    size: int

    @property
    def name(self):
        return f"compressed, {self.conns}×{size_text(self.size)}"

    @property
    def arguments(self):
        return ["--conns", self.conns, "--size", self.size]


ECHO = [
    Echo(64, 1, 125),
    Echo(64, 1, KIB),
    Echo(16, 64, 16),
    Echo(16, 64, 125),
    Echo(16, 64, KIB),
    Echo(16, 64, KIB, text=True),
    Echo(16, 16, 16 * KIB),
    Echo(8, 4, 256 * KIB),
    Echo(4, 2, MIB),
]

# Over TLS.
ECHO_TLS = [
    Echo(64, 1, 125),
    Echo(16, 64, 16),
    Echo(16, 64, 16, records=True),
    Echo(16, 64, KIB),
    Echo(16, 16, 16 * KIB),
    Echo(4, 2, MIB),
]

# Where one connection alone is asked, for the system calls that it takes.
SINGLE = Echo(1, 1, 125)

SEND = [Send(size, batch) for batch in (1, 16)
        for size in (16, 125, KIB, 16 * KIB, 256 * KIB, MIB)
        if batch == 1 or size <= 16 * KIB]

DEFLATE = [Deflate(16, KIB), Deflate(16, 16 * KIB)]

BROADCAST = [Broadcast(conns, size) for conns in (1000, 10_000) for size in (125, KIB)]

CONNECTING = 16     # connects at a time
IDLE = 10_000       # idle connections
IDLE_SIZE = 125     # of the one message each of them echoes
