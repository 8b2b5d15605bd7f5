"""The clients and servers of other languages, each offering subprotocols, and compression where it knows that.

peers.py BUILD

A client prints the subprotocol, whether compression was agreed on, and the close code; it has sent three messages and
compared what came back. The last line is "N passed, N failed".
"""

import os
import select
import subprocess
import sys

BUILD = os.path.abspath(sys.argv[1])
HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = sys.executable
LIMIT = 60
passed = failed = 0


def check(name, seen, expected):
    global passed, failed
    good = seen == expected
    passed, failed = passed + good, failed + (not good)
    print("ok" if good else f"not ok: {seen!r} instead of {expected!r},", name, flush=True)


def output(*command):
    try:
        ran = subprocess.run(command, stdout=subprocess.PIPE, timeout=LIMIT, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return ran.stdout.strip()


class Server:
    def __init__(self, *command):
        self.command = command

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        self.url = f"ws://127.0.0.1:{int(self.line())}/"
        return self

    def line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], LIMIT)
        return self.process.stdout.readline().strip() if ready else "nothing"

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


# command, does it know compression
CLIENTS = {
    "aiohttp": ([PYTHON, f"{HERE}/python_client.py", "aiohttp"], True),
    "websocket-client": ([PYTHON, f"{HERE}/python_client.py", "websocket-client"], False),
    "Node.js": (["node", "--experimental-websocket", f"{HERE}/browser_api.js"], True),
    "undici": (["node", f"{HERE}/browser_api.js"], True),
    "java.net.http": (["java", f"{HERE}/Client.java"], False),
    "gorilla": ([f"{BUILD}/gorilla", "client"], True),
    "faye": (["ruby", f"{HERE}/faye.rb"], False),
}
# command, which subprotocol it prefers: the client's first one, or its own
SERVERS = {
    "aiohttp": ([PYTHON, f"{HERE}/python_client.py", "server"], "v1"),
    "gorilla": ([f"{BUILD}/gorilla", "server"], "v2"),
}

with Server(f"{BUILD}/program", "server") as ours:
    for name, (command, compresses) in CLIENTS.items():
        more = [f"{BUILD}/node/node_modules/undici"] if name == "undici" else []
        check(f"{name} as a client", output(*command, ours.url, *more).lower(), f"v1 {str(compresses).lower()} 1000")
        check(f"{name} as our server saw it", ours.line(), "v1 3 1000 0")
for name, (command, chosen) in SERVERS.items():
    with Server(*command) as theirs:
        check(f"{name} as a server", output(f"{BUILD}/program", "client", theirs.url), f"{chosen} 7 0")
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
