"""Everybody else, and the lists of all who take part."""

import json
from pathlib import Path

from .process import free_port
from .programs import (
    BUFFERED, BUILD, COMMON, FLOOR, OURS, RAW, ROOT, SERVER, SOURCE, Floor, Ours, Program, Raw, build_library, cargo_peer,
    compile_c, compile_ours, copy_sources, need_package, run_tool)
from .workloads import BACKLOG, IDLE, PING_SECONDS


class CargoPeer(Program):
    def build(self):
        self.program = cargo_peer(f"peer-{self.name}")

    def serve(self, port, size, small=False):
        return [self.program, "echo", port, *(["idle"] if small else [])]

    def send(self, port, size, count, batch):
        return [self.program, "send", port, size, count, batch]


class ServerOnly(Program):
    def serve(self, port, size, small=False):
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
    server, deflater = BUILD / "peer-uwebsockets", BUILD / "peer-uwebsockets-deflate"
    program = SOURCE / "peers" / "uwebsockets.cpp"

    def build(self):
        for package, tool in (("g++", "g++"), ("libssl-dev", None), ("zlib1g-dev", None)):
            need_package(package, tool)
        # It takes a minute.
        sources = max(self.program.stat().st_mtime, Path(__file__).stat().st_mtime)
        if self.deflater.exists() and self.deflater.stat().st_mtime > sources:
            return
        manifest = copy_sources("peers") / "uwebsockets" / "Cargo.toml"
        metadata = json.loads(run_tool(["cargo", "metadata", "--format-version", "1", "--manifest-path", manifest]))
        crate = next(p for p in metadata["packages"] if p["name"] == "libuwebsockets-sys")
        cpp = Path(crate["manifest_path"]).parent / "uWebSockets"
        sockets = cpp / "uSockets" / "src"
        objects = BUILD / "uwebsockets"
        objects.mkdir(exist_ok=True)
        flags = ["-O3", "-march=native", "-DLIBUS_USE_OPENSSL", "-w", f"-I{sockets}"]
        run_tool(["gcc", *flags, "-c", *sorted(sockets.glob("*.c")), *sorted((sockets / "crypto").glob("*.c")),
                  *sorted((sockets / "eventing").glob("epoll*.c"))], cwd=objects)
        # OpenSSL needs the names of servers, which are in C++.
        run_tool(["g++", "-std=c++17", *flags, "-c", *sorted((sockets / "crypto").glob("*.cpp"))], cwd=objects)
        for out, more in ((self.server, ["-DUWS_NO_ZLIB"]), (self.deflater, ["-lz"])):
            run_tool(["g++", "-std=c++20", *flags, f"-I{cpp / 'src'}", self.program, *sorted(objects.glob("*.o")), *more,
                      "-lssl", "-lcrypto", "-o", out])

    def command(self, mode, port, size):
        # A connection that may be silent for so long is sent a ping four seconds before.
        return {"broadcast": [self.server, port, "broadcast", BACKLOG],
                "broadcast, compressed": [self.deflater, port, "broadcast-deflate", BACKLOG],
                "deflate": [self.deflater, port, "deflate"],
                "keepalive": [self.server, port, "keepalive", PING_SECONDS + 4],
                }.get(mode) or super().command(mode, port, size)


class NpmWs(Program):
    def build(self):
        need_package("npm", "npm")
        self.directory = copy_sources("peers/ws")
        run_tool(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"],
                cwd=self.directory)

    def serve(self, port, size, small=False):
        return ["node", self.directory / "server.mjs", port]

    def command(self, mode, port, size):
        return [*self.serve(port, size), "deflate"] if mode == "deflate" else super().command(mode, port, size)


class Embedded(Program):
    """One of our examples, in whose event loop the library is a guest."""
    def build(self):
        more = []
        if self.name == "GLib":
            need_package("libglib2.0-dev")
            flags = run_tool(["pkg-config", "--cflags", "--libs", "glib-2.0"]).split()
            more = [flag.replace("-I", "-isystem", 1) for flag in flags]
        source = ROOT / "examples" / f"{self.name.lower()}_loop.c"
        library = BUILD / "lib"
        self.server = compile_c(f"embedded_{self.name.lower()}", [source], f"-I{ROOT / 'include'}", f"-L{library}",
                                "-ldill", f"-Wl,-rpath,{library}", *more)

    def command(self, mode, port, size):
        # GLib's example would send something by itself.
        return [self.server, port, *(["0"] if self.name == "GLib" else [])] if mode == "embedding" else None


CERTIFICATE, KEY, BOTH = BUILD / "certificate.pem", BUILD / "key.pem", BUILD / "certificate-and-key.pem"


def make_certificate():
    need_package("openssl", "openssl")
    run_tool(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
              "-days", "30", "-subj", "/CN=localhost", "-keyout", KEY, "-out", CERTIFICATE])
    BOTH.write_bytes(CERTIFICATE.read_bytes() + KEY.read_bytes())


def over_tls(kind):
    """A program that takes a certificate and its key behind its other arguments, over TLS."""
    class Secure(kind):
        def command(self, mode, port, size):
            plain = self.serve(port, size, small=mode != "echo")
            return [*plain, CERTIFICATE, KEY] if mode in ("echo", "connect", "idle") else None
    return Secure


class FloorTls(CargoPeer):
    """In place with the secrets of the handshake, or by rustls' buffers: see peers/floor-tls."""
    def build(self):
        make_certificate()
        self.program = cargo_peer("peer-floor-tls")

    def serve(self, port, size, small=False):
        return [self.program, "in-place" if self.name == FLOOR else "buffered", port]


class Proxied(Program):
    """A proxy that speaks TLS, in front of our server that does not. The cost is that of both."""
    def build(self):
        self.ours = compile_ours("ours_echo", build_library())
        need_package(*self.package)

    def chain(self, mode, port, size):
        behind = free_port()
        config = BUILD / f"{self.name.split()[0]}.conf"
        config.write_text(self.configuration(port, behind, small=mode != "echo"), encoding="ascii")
        return [([self.ours, behind, size], behind), ([*self.program, config], port)]

    def command(self, mode, port, size):
        return self.program if mode in ("echo", "connect", "idle") else None


class Nginx(Proxied):
    package = ("nginx-light", "nginx")
    program = ("nginx", "-p", BUILD, "-c")

    def configuration(self, port, behind, small):
        buffers = "" if small else "proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;"
        return f"""daemon off; master_process off; pid {BUILD}/nginx.pid; error_log stderr crit;
events {{ worker_connections {2 * IDLE}; }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port} ssl backlog=1024;
        ssl_certificate {CERTIFICATE}; ssl_certificate_key {KEY}; ssl_protocols TLSv1.3;
        location / {{
            proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
            proxy_read_timeout 600s; proxy_send_timeout 600s;
            {buffers}
        }}
    }}
}}
"""


class Haproxy(Proxied):
    package = ("haproxy", "haproxy")
    program = ("haproxy", "-db", "-f")

    def configuration(self, port, behind, small):
        return f"""global
    nbthread 1
    maxconn {IDLE - 500}
    tune.bufsize {16384 if small else 65536}
    ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
    mode http
    timeout connect 10s
    timeout client 600s
    timeout server 600s
    timeout tunnel 600s
frontend wss
    bind 127.0.0.1:{port} ssl crt {BOTH} backlog 1024
    default_backend ws
backend ws
    server ours 127.0.0.1:{behind}
"""


def tls_programs():
    def rustls(name, version, note=""):
        return over_tls(CargoPeer)(name, version, f"{note}{'; ' if note else ''}tokio-rustls on ring", tls=True)

    return [
        over_tls(FloorTls)(FLOOR, "rustls 0.23, ring 0.17", "in place with the secrets of the handshake", tls=True),
        over_tls(FloorTls)(BUFFERED, "0.23", "the floor with rustls' own buffers", tls=True),
        over_tls(Ours)(OURS, tls=True),
        over_tls(UWebSockets)("uWebSockets", "in libuwebsockets-sys 0.0.10", "OpenSSL of Debian", tls=True),
        rustls("sockudo-ws", "3.1.0"),
        over_tls(CargoPeer)("tungstenite", "0.30.0", "flushed by hand; rustls' own stream on ring", tls=True),
        rustls("fastwebsockets", "0.10.0", "its stream gathers"),
        rustls("yawc", "0.5.0"),
        rustls("tokio-websockets", "0.13.3"),
        over_tls(Libwebsockets)("libwebsockets", "Debian", "OpenSSL of Debian", tls=True),
        over_tls(NpmWs)("ws", "8.23.0 with bufferutil", "OpenSSL of node", tls=True),
        Nginx("nginx + this", "Debian", "in front of this library without TLS: both processes", tls=True),
        Haproxy("HAProxy + this", "Debian", "in front of this library without TLS: both processes", tls=True),
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
        Embedded("poll", note="examples/poll_loop.c: this library in a loop on poll"),
        Embedded("GLib", note="examples/glib_loop.c: this library in GLib's loop"),
    ]
