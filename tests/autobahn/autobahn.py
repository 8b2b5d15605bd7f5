"""The Autobahn test suite against our echo server or against our client.

autobahn.py FOLDER server|client [layered | context | plain | tls]

FOLDER holds our programs, echo_server and client. Every case has to end as expected.json says:
there each case has two verdicts, one on the messages and one on the closing handshake. The cases on
compression all have to end well. "layered": without those, and with other verdicts of that file,
which take precedence; "context": those alone; "plain": without those; "tls": all, through relays that turn the
suite's TCP into TLS, with the certificates of $TLS_FILES. What differs is printed; the summary is the last line.
"""

import asyncio
import contextlib
import json
import os
import ssl
import sys
from pathlib import Path

from kosoku import FailureError, run_fuzzingclient, run_fuzzingserver
from kosoku.cases import CASES as SUITE

BIN = Path(sys.argv[1])
LISTS = json.loads(Path(__file__).with_name("expected.json").read_text())
SIDE = sys.argv[2]
MODE = sys.argv[3] if len(sys.argv) > 3 else ""
COMPRESSION = {
    f"{section}.{group}.{number}": ["OK", "OK"]
    for section, groups in ((12, 5), (13, 7))
    for group in range(1, groups + 1)
    for number in range(1, 19)
}
EXPECTED = {
    "": LISTS["expected"] | COMPRESSION,
    "plain": LISTS["expected"],
    "tls": LISTS["expected"] | COMPRESSION,
    "layered": LISTS["expected"] | LISTS["layered"],
    "context": COMPRESSION,
}[MODE]
# A client that keeps its window does not say in its offer that it will not, and unless an offer says so the
# suite's server does not ask for it, though it might (RFC 7692, 7.1.1.2).
NOT_ASKED = {case: ["UNIMPLEMENTED", "OK"] for case in COMPRESSION if case.startswith(("13.2.", "13.5.", "13.6."))}
CASES = sorted({case.split(".")[0] + ".*" for case in EXPECTED})
TIME = 4000  # seconds for the run


def bytes_always(on_message):
    """The suite hands over what was not compressed as str, a character a byte, and these cases hash bytes."""
    return lambda case, message, binary: on_message(
        case, message.encode("latin-1") if isinstance(message, str) else message, binary
    )


for number in COMPRESSION:
    SUITE[number].onMessage = bytes_always(SUITE[number].onMessage)


async def verdicts(run):
    """The verdicts of a run, whatever they are."""
    try:
        results = await asyncio.wait_for(run, TIME)
    except FailureError as failure:
        results = failure.results
    return {r.case_id: ([r.behavior.value, r.behavior_close.value], r) for r in results}


async def pass_on(reader, writer):
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def relay(port, accept=None, connect=None):
    """A port whose connections go on to the other one; TLS is taken off or put on."""

    async def go_on(reader, writer):
        host = "127.0.0.1" if connect else None
        there = await asyncio.open_connection("127.0.0.1", port, ssl=connect, server_hostname=host)
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    async with await asyncio.start_server(go_on, "127.0.0.1", 0, ssl=accept) as server:
        yield server.sockets[0].getsockname()[1]


def beside_our_server(port):
    """Where the suite reaches our server."""
    if MODE != "tls":
        return contextlib.nullcontext(port)
    return relay(port, connect=ssl.create_default_context(cafile=f"{os.environ['TLS_FILES']}/ca.pem"))


def beside_our_client(port):
    """Where our client reaches the suite."""
    if MODE != "tls":
        return contextlib.nullcontext(port)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(f"{os.environ['TLS_FILES']}/server.pem", f"{os.environ['TLS_FILES']}/server.key")
    return relay(port, accept=tls)


async def against_server():
    server = await asyncio.create_subprocess_exec(
        BIN / "echo_server", "0", "20000000", stdout=asyncio.subprocess.PIPE
    )
    try:
        line = await asyncio.wait_for(server.stdout.readline(), 10)
        async with beside_our_server(int(line.decode().rsplit(":")[-1])) as port:
            return await verdicts(run_fuzzingclient(f"ws://127.0.0.1:{port}", CASES))
    finally:
        if server.returncode is None:
            server.terminate()
        if await asyncio.wait_for(server.wait(), 10) != 0:
            print(f"the server ended with status {server.returncode}")


async def against_client():
    async with run_fuzzingserver(CASES, port=0) as suite, beside_our_client(suite.port) as port:
        client = await asyncio.create_subprocess_exec(BIN / "client", str(port))
        try:
            if await asyncio.wait_for(client.wait(), TIME) != 0:
                print(f"the client ended with status {client.returncode}")
                return {}
            return await verdicts(suite.get_result())
        finally:
            if client.returncode is None:
                client.kill()


def compare(results, expected_cases):
    """Prints every difference and the numbers of cases that are and are not as expected; returns the latter."""
    failed = 0
    for case in sorted(expected_cases.keys() | results.keys(), key=lambda c: [*map(int, c.split("."))]):
        expected = expected_cases.get(case, "nothing")
        seen, result = results.get(case, ("nothing", None))
        if seen == expected:
            continue
        failed += 1
        print(f"{SIDE} {case}: expected {expected}, seen {seen}")
        if result:
            print(f"    {' '.join(result.description.split())}")
            print(f"    {result.result} {result.result_close}")
    passed = len(expected_cases.keys() | results.keys()) - failed
    print(f"{SIDE}: {passed} of {len(expected_cases)} cases as expected")
    print(f"{passed} passed, {failed} failed")
    return failed


if SIDE == "server":
    failed = compare(asyncio.run(against_server()), EXPECTED)
else:
    failed = compare(asyncio.run(against_client()), EXPECTED | (NOT_ASKED if MODE == "context" else {}))
# The runner's own threads abort the process now and then when the interpreter ends: leave at once.
sys.stdout.flush()
os._exit(1 if failed else 0)
