"""The programs that are compared: how each is built and started."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process import Failed

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "benches"
BUILD = ROOT / "build" / "bench"

C_FLAGS = ["-std=gnu11", "-O3", "-march=native", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
COMMON = [SOURCE / "common" / "net.c", SOURCE / "common" / "handshake.c"]
SERVER = [*COMMON, SOURCE / "common" / "server.c"]

OURS, BEFORE, FLOOR, RAW, BUFFERED = "libdill (this)", "libdill (before)", "floor", "raw bytes", "rustls, buffered"


def command(argv, **options):
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
    command(["apt-get", "update"], env=environment)
    command(["apt-get", "install", "-y", "--no-install-recommends", name], env=environment)


def compile_c(out, sources, *more):
    need_package("gcc", "gcc")
    command(["gcc", *C_FLAGS, "-o", BUILD / out, *sources, *more])
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
    command(["cargo", "build", "--release", "--manifest-path", workspace / "Cargo.toml",
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

    def prepare(self):
        """Builds; a failure makes the program absent, with the reason."""
        try:
            self.build()
        except (Failed, OSError) as reason:
            self.absent = str(reason)

    def build(self):
        raise NotImplementedError

    def serve(self, port, size, idle=False):
        """The command of the echo server, or None."""
        raise NotImplementedError

    def send(self, port, size, count, batch):
        """The command of the sending client, or None."""
        return None

    def broadcast(self, port):
        """The command of a server that sends what anybody says to all, or None."""
        return None

    def deflate(self, port, size):
        """The command of the echo server with compression, or None."""
        return None


class Floor(Program):
    def build(self):
        self.broadcaster = compile_c("floor_broadcast", [SOURCE / "floor" / "broadcast.c", *SERVER])
        need_package("zlib1g-dev")
        self.deflater = compile_c("floor_deflate", [SOURCE / "floor" / "deflate.c", *SERVER],
                                  cargo_peer("codec", "libcodec.a"), "-lm")
        self.server = compile_c("floor", [SOURCE / "floor" / "floor.c", *SERVER])
        self.client = compile_c("floor_send", [SOURCE / "floor" / "send.c", *COMMON])

    def serve(self, port, size, idle=False):
        return [self.server, port]

    def send(self, port, size, count, batch):
        return [self.client, port, size, count, batch]

    def broadcast(self, port):
        return [self.broadcaster, port]

    def deflate(self, port, size):
        return [self.deflater, port]


class Raw(Program):
    def build(self):
        self.server = compile_c("floor", [SOURCE / "floor" / "floor.c", *SERVER])

    def serve(self, port, size, idle=False):
        return [self.server, port, "raw"]


def build_library():
    """Builds the library and copies it, so that a later build does not disturb a run."""
    metadata = json.loads(command(["cargo", "metadata", "--no-deps", "--format-version", "1"],
                                  cwd=ROOT))
    command(["make", "all"], cwd=ROOT)
    library = Path(metadata["target_directory"]) / "release" / "libdill.so"
    directory = BUILD / "lib"
    directory.mkdir(exist_ok=True)
    for name in ("libdill.so", "libdill.so.20"):
        (directory / name).unlink(missing_ok=True)
        shutil.copyfile(library, directory / name)
    return directory


def compile_ours(out, library):
    source = SOURCE / f"{out}.c"
    return compile_c(out, [source, *COMMON], f"-I{ROOT / 'include'}", f"-L{library}", "-ldill",
                     f"-Wl,-rpath,{library}")


class Ours(Program):
    def build(self):
        library = build_library()
        self.server = compile_ours("ours_echo", library)
        self.client = compile_ours("ours_send", library)
        self.broadcaster = compile_ours("ours_broadcast", library)

    def serve(self, port, size, idle=False):
        return [self.server, port, size]

    def send(self, port, size, count, batch):
        return [self.client, port, size, count, batch]

    def broadcast(self, port):
        return [self.broadcaster, port]

    def deflate(self, port, size):
        return [self.server, port, size, "deflate"]


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

    def serve(self, port, size, idle=False):
        return [self.server, port, size]

    def send(self, port, size, count, batch):
        return [self.client, port, size, count, batch]


class CargoPeer(Program):
    def build(self):
        self.program = cargo_peer(f"peer-{self.name}")

    def serve(self, port, size, idle=False):
        return [self.program, "echo", port, *(["idle"] if idle else [])]

    def send(self, port, size, count, batch):
        return [self.program, "send", port, size, count, batch]


class ServerOnly(Program):
    def serve(self, port, size, idle=False):
        return [self.server, port]


class Libwebsockets(ServerOnly):
    def build(self):
        need_package("libwebsockets-dev")
        self.server = compile_c("peer-libwebsockets", [SOURCE / "peers" / "libwebsockets.c",
                                                       *COMMON], "-lwebsockets")


class Wslay(ServerOnly):
    def build(self):
        need_package("libwslay-dev")
        self.server = compile_c("peer-wslay", [SOURCE / "peers" / "wslay.c", *SERVER], "-lwslay")


class UWebSockets(ServerOnly):
    def build(self):
        need_package("g++", "g++")
        need_package("libssl-dev")
        manifest = copy_sources("peers") / "uwebsockets" / "Cargo.toml"
        metadata = json.loads(command(["cargo", "metadata", "--format-version", "1",
                                       "--manifest-path", manifest]))
        crate = next(p for p in metadata["packages"] if p["name"] == "libuwebsockets-sys")
        cpp = Path(crate["manifest_path"]).parent / "uWebSockets"
        sockets = cpp / "uSockets" / "src"
        objects = BUILD / "uwebsockets"
        objects.mkdir(exist_ok=True)
        flags = ["-O3", "-march=native", "-DLIBUS_USE_OPENSSL", "-DUWS_NO_ZLIB", "-w", f"-I{sockets}"]
        command(["gcc", *flags, "-c", *sorted(sockets.glob("*.c")), *sorted((sockets / "crypto").glob("*.c")),
                 *sorted((sockets / "eventing").glob("epoll*.c"))], cwd=objects)
        command(["g++", "-std=c++17", *flags, "-c", *sorted((sockets / "crypto").glob("*.cpp"))], cwd=objects)
        self.server = BUILD / "peer-uwebsockets"
        command(["g++", "-std=c++20", *flags, f"-I{cpp / 'src'}",
                 SOURCE / "peers" / "uwebsockets.cpp", *sorted(objects.glob("*.o")),
                 "-o", self.server, "-lssl", "-lcrypto"])
        need_package("zlib1g-dev")
        self.deflater = BUILD / "peer-uwebsockets-deflate"
        command(["g++", "-std=c++20", *(f for f in flags if f != "-DUWS_NO_ZLIB"), f"-I{cpp / 'src'}",
                 SOURCE / "peers" / "uwebsockets.cpp", *sorted(objects.glob("*.o")), "-lz", "-lssl", "-lcrypto",
                 "-o", self.deflater])

    def broadcast(self, port):
        return [self.server, port, "broadcast"]

    def deflate(self, port, size):
        return [self.deflater, port, "deflate"]


class NpmWs(Program):
    def build(self):
        need_package("npm", "npm")
        self.directory = copy_sources("peers/ws")
        command(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"],
                cwd=self.directory)

    def serve(self, port, size, idle=False):
        return ["node", self.directory / "server.mjs", port]

    def deflate(self, port, size):
        return [*self.serve(port, size), "deflate"]


CERTIFICATE, KEY = BUILD / "certificate.pem", BUILD / "key.pem"


def make_certificate():
    need_package("openssl", "openssl")
    command(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "30", "-subj", "/CN=localhost", "-keyout", KEY, "-out", CERTIFICATE])


class FloorTls(CargoPeer):
    """In place with the secrets of the handshake, or by rustls' buffers: see peers/floor-tls."""
    def build(self):
        make_certificate()
        self.program = cargo_peer("peer-floor-tls")

    def serve(self, port, size, idle=False):
        mode = "in-place" if self.name == FLOOR else "buffered"
        return [self.program, mode, port, CERTIFICATE, KEY]

    def send(self, port, size, count, batch):
        return None


class OursTls(Ours):
    def serve(self, port, size, idle=False):
        return [self.server, port, size, CERTIFICATE, KEY]

    def send(self, port, size, count, batch):
        return None


class UWebSocketsTls(UWebSockets):
    def serve(self, port, size, idle=False):
        return [self.server, port, CERTIFICATE, KEY]


class NpmWsTls(NpmWs):
    def serve(self, port, size, idle=False):
        return ["node", self.directory / "server.mjs", port, CERTIFICATE, KEY]


def tls_programs():
    return [
        FloorTls(FLOOR, "rustls 0.23, ring 0.17", "in place with the secrets of the handshake", tls=True),
        FloorTls(BUFFERED, "0.23", "the floor with rustls' own buffers", tls=True),
        OursTls(OURS, tls=True),
        UWebSocketsTls("uWebSockets", "in libuwebsockets-sys 0.0.10", "OpenSSL of Debian", tls=True),
        NpmWsTls("ws", "8.23.0 with bufferutil", "OpenSSL of node", tls=True),
    ]


def all_programs():
    return [
        Floor(FLOOR),
        Raw(RAW, note="not WebSocket", handshake=False),
        Ours(OURS),
        UWebSockets("uWebSockets", "in libuwebsockets-sys 0.0.10"),
        CargoPeer("sockudo-ws", "3.1.0"),
        CargoPeer("tungstenite", "0.30.0", "does not gather by itself: flushed by hand"),
        CargoPeer("fastwebsockets", "0.10.0", "does not gather by itself: its stream does"),
        CargoPeer("yawc", "0.5.0"),
        CargoPeer("tokio-websockets", "0.13.3"),
        Wslay("wslay", "Debian", "has no sockets and no handshake: on the floor's loop",
              handshake=False),
        Libwebsockets("libwebsockets", "Debian"),
        NpmWs("ws", "8.23.0 with bufferutil"),
    ]
