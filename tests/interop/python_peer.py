"""The WebSocket of Python's `websockets` as the other end.

python_peer.py server                    one server with the paths below, until killed
python_peer.py client ECHO_PORT PORT     every case against our servers, a line for each
"""

import asyncio
import json
import os
import ssl
import sys
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

CASES = json.loads(Path(__file__).with_name("cases.json").read_text())
STEP = 20  # seconds for each step
# A folder with certificates, if it is to be TLS.
TLS_FILES = os.environ.get("TLS_FILES")
SCHEME = "wss" if TLS_FILES else "ws"
server_tls = client_tls = None
if TLS_FILES:
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_tls.load_cert_chain(f"{TLS_FILES}/server.pem", f"{TLS_FILES}/server.key")
    client_tls = ssl.create_default_context(cafile=f"{TLS_FILES}/ca.pem")


def text(size):
    """UTF-8 with characters of one to four bytes, exactly `size` bytes long."""
    unit = "0123456789 äöüß €uro 𝄞 "
    units, rest = divmod(size, len(unit.encode()))
    return unit * units + "." * rest


def binary(size):
    """Bytes of every value."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def pieces(data):
    """Uneven fragments, some of them empty, cut in the middle of characters."""
    cuts = [0, 0, 1, 2, len(data) // 3, len(data) // 3, len(data) - 1, len(data)]
    cuts = sorted(min(max(cut, 0), len(data)) for cut in cuts)
    return [data[a:b] for a, b in zip(cuts, cuts[1:])]


async def pieces_and_pings(ws, data):
    """The same fragments; between any two of them a ping whose pong is waited for."""
    for number, piece in enumerate(pieces(data)):
        await asyncio.wait_for(await ws.ping(b"between %d" % number), STEP)
        yield piece


async def ping(ws):
    for payload in (b"", b"p", bytes(range(125))):
        await asyncio.wait_for(await ws.ping(payload), STEP)


# ---- The server ----

open_connections = set()
last = "0 "


async def echo(ws, path, message):
    text = isinstance(message, str)
    data = message.encode() if text else message
    if path == "/fragments":
        await ws.send(pieces(data), text=text)
    elif path == "/pings":
        await ws.send(pieces_and_pings(ws, data), text=text)
    else:
        if path == "/ping":
            await ping(ws)
        await ws.send(message)


async def handle(ws):
    global last
    path = ws.request.path
    if path == "/last":
        while open_connections:
            await asyncio.sleep(0.001)
        await ws.send(last)
        return
    open_connections.add(ws)
    try:
        async for message in ws:
            if path == "/close":
                code, reason = message.split(" ", 1)
                await ws.close(int(code), reason)
            elif path == "/drop":
                ws.transport.abort()
            else:
                await echo(ws, path, message)
    except ConnectionClosed:
        pass
    finally:
        received = ws.protocol.close_rcvd
        if received:
            code = 0 if received.code == 1005 else received.code  # 1005: there was none.
            last = f"{code} {received.reason}"
        open_connections.discard(ws)


async def run_server():
    async with serve(handle, "127.0.0.1", 0, max_size=None, ssl=server_tls) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on 127.0.0.1:{port}", flush=True)
        await server.serve_forever()


# ---- The client ----


async def expect(ws, message):
    got = await ws.recv()
    assert type(got) is type(message), "the echo is of another type"
    assert got == message, f"the echo differs: {len(got)} instead of {len(message)}"


async def send_whole(ws, message):
    await ws.send(message)
    await expect(ws, message)


async def send_pieces(ws, message):
    text = isinstance(message, str)
    await ws.send(pieces(message.encode() if text else message), text=text)
    await expect(ws, message)


async def send_pieces_and_pings(ws, message):
    text = isinstance(message, str)
    await ws.send(pieces_and_pings(ws, message.encode() if text else message), text=text)
    await expect(ws, message)


async def send_after_ping(ws, message):
    await ping(ws)
    await send_whole(ws, message)


async def send_burst(ws, count):
    messages = [f"message {number}" for number in range(count)]
    for message in messages:
        await ws.send(message)
    for message in messages:
        await expect(ws, message)


async def ended(ws, code, reason):
    """Waits for the end of the connection; it has to be this one."""
    await ws.wait_closed()
    got = (ws.close_code, ws.close_reason)
    assert got == (code, reason), f"closed with {got}"


class Client:
    def __init__(self, echo_port, port):
        self.echo_port, self.port = echo_port, port

    def echo(self):
        return connect(f"{SCHEME}://127.0.0.1:{self.echo_port}/", max_size=None, ssl=client_tls)

    def to(self, path):
        return connect(f"{SCHEME}://127.0.0.1:{self.port}{path}", max_size=None, ssl=client_tls)

    async def exchange(self, send, message):
        async with self.echo() as ws:
            await send(ws, message)
            await ws.close()
            await ended(ws, 1000, "")

    async def client_closes(self, code, reason):
        async with self.to("/echo") as ws:
            await ws.close(code, reason)
            await ended(ws, code, reason)
        async with self.to("/last") as ws:
            await expect(ws, f"{code} {reason}")

    async def server_closes(self, code, reason):
        async with self.to("/close") as ws:
            await ws.send(f"{code} {reason}")
            await ended(ws, code or 1005, reason)
        async with self.to("/last") as ws:
            await expect(ws, f"{code} {reason}")

    async def too_long(self):
        async with self.echo() as ws:
            await ws.send(bytes(CASES["limit"] + 1))
            await ended(ws, 1009, "message too long")
        await self.exchange(send_whole, "the server is still there")

    def all(self):
        for size in CASES["sizes"]:
            for kind, message in ("text", text(size)), ("binary", binary(size)):
                name = f"{kind} of {size}"
                yield name, self.exchange(send_whole, message)
                yield f"{name} in fragments", self.exchange(send_pieces, message)
        for kind, message in ("text", text(1000)), ("binary", binary(1000)):
            yield f"{kind} after pings", self.exchange(send_after_ping, message)
            yield f"{kind} with pings in between", self.exchange(send_pieces_and_pings, message)
        yield "burst of 1000", self.exchange(send_burst, 1000)
        for code, reason in CASES["closes"]:
            yield f"client closes {code} {reason}", self.client_closes(code, reason)
            yield f"server closes {code} {reason}", self.server_closes(code, reason)
        yield "server closes without a code", self.server_closes(0, "")
        yield "a message over the maximum", self.too_long()


async def run_client(echo_port, port):
    for name, case in Client(echo_port, port).all():
        try:
            await asyncio.wait_for(case, STEP)
            print("ok", name, flush=True)
        except Exception as e:  # Whatever goes wrong in a case is its failure.
            print(f"not ok {name}: {type(e).__name__} {e}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(run_server())
    else:
        asyncio.run(run_client(int(sys.argv[2]), int(sys.argv[3])))
