"""One message of any length each way, in constant memory on our side, with Python's `websockets` at the other end.

parts.py PROGRAM

$PARTS_SIZE is how many bytes: 64 MiB if it is not set. The last line is "N passed, N failed".
"""

import asyncio
import os
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

PROGRAM = sys.argv[1]
PART = 64 * 1024
SIZE = int(os.environ.get("PARTS_SIZE", 64 << 20)) // PART * PART
MOST = 8 * 1024  # KiB
LIMIT = 60 + SIZE / (1 << 20)
passed = failed = 0


def fill(at):
    return bytes((n * 7 + (n >> 10) * 31 + (n >> 20)) & 63 for n in range(at, at + PART))


# What is sent to our server repeats after so many parts; our client makes its own bytes.
PARTS = [fill(number * PART) for number in range(16)]


def check(name, holds, seen):
    global passed, failed
    passed, failed = (passed + 1, failed) if holds else (passed, failed + 1)
    print("ok" if holds else "not ok", name, "" if holds else seen, flush=True)


async def check_memory(name, process, expected=True):
    out, _ = await asyncio.wait_for(process.communicate(), LIMIT)
    grown = int(out.split()[-1]) if process.returncode == 0 and out.split() else -1
    check(f"{name}: {SIZE >> 20} MiB each way, {grown} KiB more", expected and 0 <= grown < MOST, process.returncode)


async def our_server(compression):
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "server", str(int(compression is not None)), stdout=asyncio.subprocess.PIPE
    )
    port = int((await process.stdout.readline()).decode().rsplit(":", 1)[1])
    same = True
    async with connect(f"ws://127.0.0.1:{port}", max_size=None, compression=compression) as ws:
        async def send():
            async def parts():
                for number in range(SIZE // PART):
                    yield PARTS[number % len(PARTS)]

            await ws.send(parts())

        sending = asyncio.create_task(send())
        at, rest = 0, b""
        async for piece in ws.recv_streaming(decode=False):
            rest += piece
            while len(rest) >= PART:
                same = same and rest[:PART] == PARTS[at // PART % len(PARTS)]
                rest, at = rest[PART:], at + PART
        await sending
        same = same and at == SIZE and not rest
    await check_memory(f"our server, compression {compression}", process, same)


async def our_client(compression):
    async def echo(ws):
        # Fragments are returned as they come.
        async def parts():
            async for piece in ws.recv_streaming(decode=False):
                yield piece

        await ws.send(parts())
        await ws.wait_closed()

    async with serve(echo, "127.0.0.1", 0, max_size=None, compression=compression) as server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "client", f"ws://127.0.0.1:{port}", str(int(compression is not None)), str(SIZE),
            stdout=asyncio.subprocess.PIPE,
        )
        await check_memory(f"our client, compression {compression}", process)


async def main():
    for compression in (None, "deflate"):
        await our_server(compression)
        await our_client(compression)


asyncio.run(main())
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
