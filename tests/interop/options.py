"""What is negotiated in the handshake, with Python's `websockets` and npm's `ws` at the other end.

options.py PROGRAM NODE_MODULES

The last line is "N passed, N failed".
"""

import asyncio
import http
import os
import subprocess
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import InvalidStatus

PROGRAM = sys.argv[1]
os.environ["NODE_PATH"] = sys.argv[2]
STEP = 30
passed = failed = 0

NODE_SERVER = """
const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: (offered) => offered.has('v2') && 'v2' });
server.on('headers', (headers) => headers.push('X-Theirs: node'));
server.on('connection', (ws) => ws.on('message', (data) => ws.send(data.toString())));
server.on('listening', () => console.log(server.address().port));
"""
NODE_CLIENT = """
const WebSocket = require('ws');
const [url, cookie] = process.argv.slice(1);
const ws = new WebSocket(url, ['v1', 'v2'], { origin: 'https://example.org', headers: { Cookie: cookie } });
let first;
ws.on('upgrade', (response) => { first = response.headers['x-ours']; });
ws.on('unexpected-response', (request, response) => { console.log(response.statusCode); process.exit(0); });
ws.on('message', (data) => {
  if (first) { console.log(ws.protocol, data.toString(), first); first = undefined; ws.close(1000, 'bye'); }
});
ws.on('close', (code) => console.log(code));
"""


def check(name, seen, expected):
    global passed, failed
    if seen == expected:
        passed += 1
        print("ok", name, flush=True)
    else:
        failed += 1
        print(f"not ok {name}: {seen!r}, not {expected!r}", flush=True)


async def output(*command):
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    text, _ = await asyncio.wait_for(process.communicate(), STEP)
    return text.decode().split()


async def our_client():
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    def answer(connection, request):
        if request.path == "/moved":
            response = connection.respond(http.HTTPStatus.FOUND, "")
            response.headers["Location"] = "/"
            return response
        if request.path == "/busy":
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "later")
        assert request.headers["Cookie"] == "id=7" and request.headers["Origin"] == "https://example.org"

    def add(connection, request, response):
        response.headers["X-Theirs"] = "python"

    async with serve(echo, "127.0.0.1", 0, subprotocols=["v2"], process_request=answer, process_response=add) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        check("our client, websockets", await output(PROGRAM, "client", url), ["v2", "python", "hello", "0"])
        check("redirected", await output(PROGRAM, "client", url + "/moved"), ["v2", "python", "hello", "0"])
        check("refused", (await output(PROGRAM, "client", url + "/busy"))[0], "503")
    node = await asyncio.create_subprocess_exec("node", "-e", NODE_SERVER, stdout=asyncio.subprocess.PIPE)
    try:
        port = int(await asyncio.wait_for(node.stdout.readline(), STEP))
        check("our client, ws", await output(PROGRAM, "client", f"ws://localhost:{port}/"), ["v2", "node", "hello", "0"])
    finally:
        node.terminate()
        await node.wait()


async def our_server():
    server = await asyncio.create_subprocess_exec(PROGRAM, "server", stdout=asyncio.subprocess.PIPE)
    try:
        port = int((await server.stdout.readline()).rsplit(b":", 1)[1])
        url = f"ws://127.0.0.1:{port}/"
        wanted = {"subprotocols": ["v1", "v2"], "origin": "https://example.org"}
        async with connect(url, additional_headers={"Cookie": "a=b; id=7"}, **wanted) as ws:
            check("our server, websockets", (ws.subprotocol, await ws.recv()), ("v2", "v2"))
            check("its headers", ws.response.headers["X-Ours"], "yes")
            await ws.send("hello")
            check("its echo", await ws.recv(), "hello")
        check("its close code", ws.close_code, 1000)
        for name, headers, origin, status in [
            ("no cookie", {}, "https://example.org", 401),
            ("another origin", {"Cookie": "id=7"}, "https://evil.example", 403),
        ]:
            try:
                async with connect(url, additional_headers=headers, origin=origin):
                    check(name, "accepted", status)
            except InvalidStatus as refused:
                check(name, refused.response.status_code, status)
        check("our server, ws", await output("node", "-e", NODE_CLIENT, url, "id=7"), ["v2", "v2", "yes", "1000"])
        check("ws without a cookie", await output("node", "-e", NODE_CLIENT, url, "x"), ["401"])
        pages = subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/a", f"http://127.0.0.1:{port}/b"],
                               capture_output=True, timeout=STEP, check=False) if have_curl() else None
        if pages:
            check("pages for curl on one connection", pages.stdout, b"pagepage")
    finally:
        server.terminate()
        await server.wait()


def have_curl():
    return subprocess.run(["sh", "-c", "command -v curl"], capture_output=True, check=False).returncode == 0


asyncio.run(our_client())
asyncio.run(our_server())
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
