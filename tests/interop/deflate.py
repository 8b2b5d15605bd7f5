"""Compression with Python's `websockets` and npm's `ws` at the other end, on both sides, with every setting.

deflate.py PROGRAM NODE_MODULES

The last line is "N passed, N failed".
"""

import asyncio
import itertools
import json
import os
import sys

from verdicts import conclude, report
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

PROGRAM = sys.argv[1]
os.environ["NODE_PATH"] = sys.argv[2]
STEP = 200
# What the peer wants: without context takeover on the server's side, on the client's; and windows.
SETTINGS = [
    {"server_no_context_takeover": no_server, "client_no_context_takeover": no_client} | windows
    for no_server, no_client in itertools.product([False, True], repeat=2)
    for windows in ({}, {"server_max_window_bits": 9, "client_max_window_bits": 9})
]
OURS = list(itertools.product(range(4), (0, 9, 12), (0, 9, 12)))

NODE = """
const { WebSocket, WebSocketServer } = require('ws');
const [what, settings, ...urls] = process.argv.slice(1);
const perMessageDeflate = { threshold: 0 };
for (const [name, value] of Object.entries(JSON.parse(settings)))
  if (value) perMessageDeflate[name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())] = value;
const agreed = (ws, us, them) => {
  const { params } = ws._extensions['permessage-deflate'];
  return [params[us + '_max_window_bits'] || 15, params[them + '_max_window_bits'] || 15,
    +!params[us + '_no_context_takeover'], +!params[them + '_no_context_takeover']].join(' ');
};
if (what === 'server') {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate });
  server.on('connection', (ws) => {
    ws.send(agreed(ws, 'server', 'client'));
    ws.on('message', (data, binary) => ws.send(data, { binary }));
  });
  server.on('listening', () => console.log(server.address().port));
} else (async () => {
  for (const url of urls) {
    const ws = new WebSocket(url, { perMessageDeflate });
    const received = [];
    let wake;
    ws.on('message', (data) => { received.push(data); wake && wake(); });
    const next = async () => {
      while (!received.length) await new Promise((resolve, reject) => { wake = resolve; ws.on('close', reject); });
      return received.shift();
    };
    await new Promise((resolve) => ws.on('open', resolve));
    const theirs = (await next()).toString();
    let verdict = 'good';
    for (const length of [0, 1, 500, 500, 20000, 127, 100000, 20000, 500]) {
      const message = Buffer.from('{"name": "value", "numbers": [0, 1, 23456789]}, '.repeat(2100).slice(0, length));
      ws.send(message);
      if (!message.equals(await next())) verdict = 'an echo differs';
    }
    console.log(`${agreed(ws, 'client', 'server')}, ${theirs}: ${verdict}`);
    ws.close(1000);
    await new Promise((resolve) => ws.on('close', resolve));
  }
})();
"""


def complaint(line):
    """What is wrong with "WINDOW PEER'S KEPT PEER'S, the same as the peer says: good"."""
    try:
        sides, verdict = line.split(": ")[-2:]
        ours, theirs = ([int(number) for number in side.split()] for side in sides.split(", "))
    except ValueError:
        return line
    for (window, _, kept, _), (_, reads, _, keeps) in ((ours, theirs), (theirs, ours)):
        if window > reads or kept > keeps:
            return line
    return None if verdict == "good" else line


def judge(name, lines):
    wrong = [line for line in map(complaint, lines) if line] or None
    if len(lines) != len(OURS):
        wrong = [f"{len(lines)} connections, not {len(OURS)}", *lines]
    report(name, wrong)


def described(setting):
    return ", ".join(name if value is True else f"{name}={value}" for name, value in setting.items() if value) or "usual"


async def output(*command):
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    text, _ = await asyncio.wait_for(process.communicate(), STEP)
    return text.decode().splitlines()


def agreed(ws):
    deflate = ws.protocol.extensions[0]
    return (f"{deflate.local_max_window_bits} {deflate.remote_max_window_bits} "
            f"{+(not deflate.local_no_context_takeover)} {+(not deflate.remote_no_context_takeover)}")


async def echo(ws):
    await ws.send(agreed(ws))
    async for message in ws:
        await ws.send(message)


async def our_client(setting):
    factory = ServerPerMessageDeflateFactory(**setting)
    async with serve(echo, "127.0.0.1", 0, extensions=[factory], compression=None, max_size=None) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        judge(f"our client, websockets: {described(setting)}", await output(PROGRAM, "client", url))
    node = await asyncio.create_subprocess_exec("node", "-e", NODE, "server", json.dumps(setting),
                                                stdout=asyncio.subprocess.PIPE)
    try:
        port = int(await asyncio.wait_for(node.stdout.readline(), STEP))
        judge(f"our client, ws: {described(setting)}", await output(PROGRAM, "client", f"ws://127.0.0.1:{port}/"))
    finally:
        node.terminate()
        await node.wait()


async def converse(url, setting):
    wanted = {"client_max_window_bits": True} | setting
    async with connect(url, extensions=[ClientPerMessageDeflateFactory(**wanted)], compression=None, proxy=None) as ws:
        theirs, verdict = await ws.recv(), "good"
        for length in (0, 1, 500, 500, 20000, 127, 100000, 20000, 500):
            message = ('{"name": "value", "numbers": [0, 1, 23456789]}, ' * 2100)[:length]
            await ws.send(message)
            if await ws.recv() != message:
                verdict = "an echo differs"
        return f"{agreed(ws)}, {theirs}: {verdict}"


async def our_server(setting):
    server = await asyncio.create_subprocess_exec(PROGRAM, "server", stdout=asyncio.subprocess.PIPE)
    try:
        port = int((await server.stdout.readline()).rsplit(b":", 1)[1])
        urls = [f"ws://127.0.0.1:{port}/{flags}/{bits}/{peer_bits}" for flags, bits, peer_bits in OURS]
        judge(f"our server, websockets: {described(setting)}", [await converse(url, setting) for url in urls])
        lines = await output("node", "-e", NODE, "client", json.dumps(setting), *urls)
        judge(f"our server, ws: {described(setting)}", lines)
    finally:
        server.terminate()
        await server.wait()


async def main():
    for setting in SETTINGS:
        await our_client(setting)
        await our_server(setting)


asyncio.run(main())
sys.exit(conclude())
