"""What is asked of the programs."""

from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024


def size_text(size):
    if size >= MIB:
        return f"{size // MIB} MiB"
    return f"{size // KIB} KiB" if size >= KIB else f"{size} B"


class Workload:
    """`part` is the name of its group, `mode` what the server is asked to be, `load` what the generator does."""
    slow = 0                    # connections that read nothing for a while
    once = False                # measured in the first round only
    counted = True              # its system calls are counted, in a run of their own of so many seconds
    count_seconds, count_warmup = 0.3, 0.2
    strace_messages = 20_000    # so many are counted where strace counts

    def seconds(self, options):
        return options.seconds

    def warmup(self, options):
        return options.warmup


@dataclass(frozen=True)
class Echo(Workload):
    """Messages that come back: connections × messages on the way on each."""
    conns: int
    outstanding: int
    size: int
    text: bool = False
    records: bool = False       # over TLS: one for each message of the client's

    part = mode = load = "echo"

    @property
    def name(self):
        kind = " text" if self.text else ", a record each" if self.records else ""
        return f"{self.conns}×{self.outstanding}×{size_text(self.size)}{kind}"

    @property
    def arguments(self):
        return ["--conns", self.conns, "--outstanding", self.outstanding, "--size", self.size,
                *(["--text"] if self.text else []), *(["--records"] if self.records else [])]


@dataclass(frozen=True)
class Embedded(Echo):
    """The same of a program with an event loop of its own."""
    part = mode = "embedding"

    @property
    def name(self):
        return f"embedded, {super().name}"


@dataclass(frozen=True)
class Connect(Workload):
    """Connect, upgrade, close handshake, end of the connection; so many at a time."""
    conns: int
    resumed: bool = False       # over TLS: with the session of an earlier one

    part = mode = load = "connect"
    size = 125
    strace_messages = 1000

    @property
    def name(self):
        return "connect, resumed" if self.resumed else "connect"

    @property
    def arguments(self):
        return ["--conns", self.conns, *(["--resume"] if self.resumed else [])]


@dataclass(frozen=True)
class Send(Workload):
    """Messages from a client to a sink, so many at a time."""
    size: int
    batch: int

    part = "send"

    @property
    def name(self):
        how = "one by one" if self.batch == 1 else f"gathered by {self.batch}"
        return f"client {size_text(self.size)}, {how}"

    def count(self, seconds):
        """About so many messages take so long."""
        ns = 2500 / self.batch + 60 + self.size * 0.3
        return max(20, int(seconds * 1e9 / ns))


@dataclass(frozen=True)
class Broadcast(Workload):
    """A message of one connection that goes to all; counted are those that arrive."""
    conns: int
    size: int
    deflate: bool = False
    slow: int = 0

    part = load = "broadcast"
    # Connecting is counted, too: for a broadcast to a thousand it must not matter.
    strace_messages = 100_000

    @property
    def counted(self):
        return self.conns <= 1000

    @property
    def mode(self):
        return "broadcast, compressed" if self.deflate else "broadcast"

    @property
    def name(self):
        return (f"broadcast to {self.conns:,}, {size_text(self.size)}{', compressed' if self.deflate else ''}"
                f"{f', {self.slow:,} slow' if self.slow else ''}")

    @property
    def arguments(self):
        return ["--conns", self.conns, "--size", self.size, "--slow", self.slow,
                *(["--deflate"] if self.deflate else [])]


@dataclass(frozen=True)
class Deflate(Workload):
    """Compressed messages of text that come back, one on the way on each connection."""
    conns: int
    size: int

    part = mode = load = "deflate"

    @property
    def name(self):
        return f"compressed, {self.conns}×{size_text(self.size)}"

    @property
    def arguments(self):
        return ["--conns", self.conns, "--size", self.size]


@dataclass(frozen=True)
class Keepalive(Workload):
    """Connections that say nothing and are sent pings."""
    conns: int

    part = mode = load = name = "keepalive"
    size = 125
    once = True

    @property
    def arguments(self):
        return ["--conns", self.conns]

    def seconds(self, options):
        """A minute, unless all is to be short."""
        return PING_SECONDS * (2 if options.quick else 6)

    def warmup(self, options):
        return 0


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

CONNECTING = 16     # connects at a time
CONNECT = [Connect(CONNECTING)]
CONNECT_TLS = [Connect(CONNECTING), Connect(CONNECTING, resumed=True)]

SEND = [Send(size, batch) for batch in (1, 16)
        for size in (16, 125, KIB, 16 * KIB, 256 * KIB, MIB)
        if batch == 1 or size <= 16 * KIB]

DEFLATE = [Deflate(16, KIB), Deflate(16, 16 * KIB)]

BACKLOG = 64 * KIB  # what a server may queue for a slow connection, in bytes
BROADCAST = [
    *(Broadcast(conns, size, deflate) for deflate in (False, True) for conns in (1000, 10_000) for size in (125, KIB)),
    Broadcast(1000, 125, slow=100),
    Broadcast(1000, KIB, slow=100),
    Broadcast(1000, KIB, True, slow=100),
    Broadcast(10_000, KIB, slow=1000),
]

# Broadcasts whose instructions are counted.
INSTRUCTIONS = [Broadcast(1000, 125), Broadcast(1000, KIB)]

EMBEDDED = [Embedded(1, 1, 125), Embedded(64, 1, 125)]

IDLE = 10_000       # idle connections
IDLE_TLS = 2_000    # over TLS, where it takes long to make them
IDLE_SIZE = 125     # of the one message each of them echoes

PING_SECONDS = 10   # a ping after so much silence
Keepalive.count_seconds, Keepalive.count_warmup = 2 * PING_SECONDS, 0
KEEPALIVE = Keepalive(IDLE)


def workloads(tls):
    """Everything that the generator asks of a server, in the order of the tables."""
    if tls:
        return [*ECHO_TLS, *CONNECT_TLS]
    return [*ECHO, *CONNECT, *DEFLATE, *BROADCAST, KEEPALIVE, *EMBEDDED]
