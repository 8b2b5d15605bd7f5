"""The programs that are compared: how each is built and started."""

import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process import Failed
from .workloads import BACKLOG, PING_SECONDS

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "benches"
BUILD = ROOT / "build" / "bench"

C_FLAGS = ["-std=gnu11", "-O3", "-march=native", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
PORTABLE = ["-march=x86-64-v3"] if platform.machine() == "x86_64" else []
COMMON = [SOURCE / "common" / "net.c", SOURCE / "common" / "handshake.c"]
SERVER = [*COMMON, SOURCE / "common" / "server.c"]

OURS, BEFORE, FLOOR, RAW, BUFFERED = "libdill (this)", "libdill (before)", "floor", "raw bytes", "rustls, buffered"


def run_tool(argv, **options):
    """Runs a build step; what it prints goes to a log, and its last error to the report."""
    argv = [str(a) for a in argv]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)
    with open(BUILD / "build.log", "a", encoding="utf-8") as log:
        log.write(f"$ {' '.join(argv)}\n{done.stdout}{done.stderr}\n")
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        telling = [line for line in lines if "error" in line.lower()] or lines or ["no message"]
        raise Failed(f"{argv[0]}: {telling[0][:160]}")
    return done.stdout


def need_package(name, tool=None):
    """Installs a Debian package unless it, or the tool it brings, is there."""
    if tool and shutil.which(tool):
        return
    state = subprocess.run(["dpkg-query", "-W", "-f=${Status}", name], capture_output=True,
                           text=True, check=False)
    if state.stdout.endswith(" installed"):
        return
    if os.geteuid() != 0:
        raise Failed(f"{name} is not installed")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run_tool(["apt-get", "update"], env=environment)
    run_tool(["apt-get", "install", "-y", "--no-install-recommends", name], env=environment)


def compile_c(out, sources, *more):
    need_package("gcc", "gcc")
    run_tool(["gcc", *C_FLAGS, "-o", BUILD / out, *sources, *more])
    return BUILD / out


def copy_sources(name):
    """Copies a directory of sources to where tools may write beside them."""
    for source in sorted((SOURCE / name).rglob("*")):
        copy = BUILD / source.relative_to(SOURCE)
        if source.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        elif not copy.exists() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    return BUILD / name


def cargo_peer(package, product=None):
    """Builds one package of the peers' workspace for this very processor."""
    workspace = copy_sources("peers")
    flags = os.environ.get("RUSTFLAGS", "")
    environment = {**os.environ, "RUSTFLAGS": f"{flags} -C target-cpu=native".strip()}
    run_tool(["cargo", "build", "--release", "--manifest-path", workspace / "Cargo.toml",
             "--target-dir", BUILD / "target", "--package", package], env=environment)
    return BUILD / "target" / "release" / (product or package)


@dataclass
class Program:
    """Something that can be built, and then serves or sends or both."""
    name: str
    version: str = ""
    note: str = ""
    handshake: bool = True      # it has one of its own
    absent: str = ""
    tls: bool = False           # the generator speaks TLS to it

    def command(self, mode, port, size):
        """The server for a workload, or None if the program cannot take part."""
        if mode in ("echo", "idle") or mode == "connect" and self.handshake:
            return self.serve(port, size, small=mode != "echo")
        return None

    def chain(self, mode, port, size):
        """The commands to start one after the other, each with the port that it listens on; the last one serves."""
        return [(self.command(mode, port, size), port)]

    def prepare(self):
        """Builds; a failure makes the program absent, with the reason."""
        try:
            self.build()
        except (Failed, OSError) as reason:
            self.absent = str(reason)

    def build(self):
        raise NotImplementedError

    def serve(self, port, size, small=False):
        """The command of the echo server; with small buffers for many connections."""
        return None

    def send(self, port, size, count, batch):
        """The command of the sending client, or None."""
        return None


def compile_floor(out, *more):
    """A floor that may compress, with the codec of the library."""
    need_package("zlib1g-dev")
    source = SOURCE / "floor" / f"{out.removeprefix('floor_').removesuffix('_portable')}.c"
    return compile_c(out, [source, SOURCE / "floor" / "codec.c", *SERVER], cargo_peer("codec", "libcodec.a"), "-lm", *more)


class Floor(Program):
    def build(self):
        self.broadcaster = compile_floor("floor_broadcast")
        self.deflater = compile_floor("floor_deflate")
        self.server = compile_c("floor", [SOURCE / "floor" / "floor.c", *SERVER])
        self.client = compile_c("floor_send", [SOURCE / "floor" / "send.c", *COMMON])

    def portable_broadcaster(self):
        """For valgrind, which does not know the instructions of every processor."""
        return compile_floor("floor_broadcast_portable", *PORTABLE)

    def serve(self, port, size, small=False):
        return [self.server, port]

    def send(self, port, size, count, batch):
        return [self.client, port, size, count, batch]

    def command(self, mode, port, size):
        return {"broadcast": [self.broadcaster, port],
                "broadcast, compressed": [self.broadcaster, port, "deflate"],
                "deflate": [self.deflater, port]}.get(mode) or super().command(mode, port, size)


class Raw(Program):
    def build(self):
        self.server = compile_c("floor", [SOURCE / "floor" / "floor.c", *SERVER])

    def command(self, mode, port, size):
        return [self.server, port, "raw"] if mode == "echo" else None


def build_library():
    """Builds the library and copies it, so that a later build does not disturb a run."""
    metadata = json.loads(run_tool(["cargo", "metadata", "--no-deps", "--format-version", "1"],
                                  cwd=ROOT))
    run_tool(["make", "all"], cwd=ROOT)
    library = Path(metadata["target_directory"]) / "release" / "libdill.so"
    directory = BUILD / "lib"
    directory.mkdir(exist_ok=True)
    for name in ("libdill.so", "libdill.so.20"):
        (directory / name).unlink(missing_ok=True)
        shutil.copyfile(library, directory / name)
    return directory


def compile_ours(out, library, *more):
    source = SOURCE / f"{out.removesuffix('_portable')}.c"
    return compile_c(out, [source, *COMMON], f"-I{ROOT / 'include'}", f"-L{library}", "-ldill",
                     f"-Wl,-rpath,{library}", *more)


class Ours(Program):
    def build(self):
        library = build_library()
        self.server = compile_ours("ours_echo", library)
        self.client = compile_ours("ours_send", library)
        self.broadcaster = compile_ours("ours_broadcast", library)

    def portable_broadcaster(self):
        return compile_ours("ours_broadcast_portable", BUILD / "lib", *PORTABLE)

    def serve(self, port, size, small=False):
        return [self.server, port, size]

    def send(self, port, size, count, batch):
        return [self.client, port, size, count, batch]

    def command(self, mode, port, size):
        return {"broadcast": [self.broadcaster, port, BACKLOG],
                "broadcast, compressed": [self.broadcaster, port, BACKLOG, "deflate"],
                "deflate": [self.server, port, size, "deflate"],
                "keepalive": [self.server, port, size, "keepalive", 1000 * PING_SECONDS],
                "embedding": [self.server, port, size]}.get(mode) or super().command(mode, port, size)


class Before(Program):
    """An earlier checkout of this library, which has been built there, with the programs of that time."""
    def __init__(self, checkout):
        super().__init__(BEFORE)
        self.checkout = checkout

    def build(self):
        library = self.checkout / "target" / "release"
        self.server, self.client = (
            compile_c(f"before_{what}", [self.checkout / "benches" / f"ours_{what}.c", *COMMON],
                      f"-I{self.checkout / 'include'}", f"-L{library}", "-ldill", f"-Wl,-rpath,{library}")
            for what in ("echo", "send"))

    def serve(self, port, size, small=False):
        return [self.server, port, size]

    def send(self, port, size, count, batch):
        return [self.client, port, size, count, batch]
