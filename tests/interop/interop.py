"""Runs our C programs and the other implementations against each other, both ways round.

interop.py FOLDER NODE_MODULES

FOLDER holds our programs: client, server and echo_server. The summary is the last line.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from verdicts import conclude, report

HERE = Path(__file__).parent
CASES = json.loads((HERE / "cases.json").read_text())
BIN = Path(sys.argv[1])
CASE_TIME = 60  # seconds for one case
CLIENT_TIME = 600  # seconds for all cases of a client

os.environ["NODE_PATH"] = sys.argv[2]
PEERS = {
    "websockets": [sys.executable, HERE / "python_peer.py"],
    "ws": ["node", HERE / "node_peer.js"],
}


@contextlib.contextmanager
def running(command):
    """A server that prints its address when it is ready; gives its process and port."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"{command[0]} did not start")
        yield process, line.strip().rsplit(":", 1)[1]
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            report(f"{command[0]} stops", "it had to be killed")


def client_run(port, path, *steps):
    """What our client complains about; None if nothing."""
    try:
        run = subprocess.run(
            [BIN / "client", port, path, *steps], stderr=subprocess.PIPE, text=True, timeout=CASE_TIME
        )
    except subprocess.TimeoutExpired:
        return "too late"
    return None if run.returncode == 0 else run.stderr.strip() or f"status {run.returncode}"


def our_client(peer, port):
    """Our client against the server of a peer."""

    def case(name, *conversations):
        complaints = [client_run(port, path, *steps) for path, *steps in conversations]
        report(f"our client, {peer} server: {name}", next(filter(None, complaints), None))

    for kind in "text", "binary":
        for size in CASES["sizes"]:
            step = f"{kind}:{size}"
            case(f"{kind} of {size}", ["/echo", step])
            case(f"{kind} of {size} in fragments", ["/fragments", step])
        case(f"{kind} after pings", ["/ping", f"{kind}:1000"])
        case(f"{kind} with pings in between", ["/pings", f"{kind}:1000"])
    case("all sizes on one connection", ["/echo", *(f"text:{size}" for size in CASES["sizes"])])
    case("burst of 1000", ["/echo", "burst:1000"])
    for code, reason in CASES["closes"] + [[0, ""]]:
        heard = ["/last", f"hear:{code} {reason}"]
        case(f"client closes {code} {reason}", ["/echo", f"close:{code}:{reason}"], heard)
        if code == 0 and peer == "websockets":
            continue  # It always sends a code.
        closed = ["/close", f"say:{code} {reason}", f"closed:{code}:{reason}"]
        case(f"server closes {code} {reason}", closed, heard)
    case("server drops the connection", ["/drop", "say:x", "lost"])


def our_server(peer, command, echo_port, port):
    """The client of a peer against our servers; it reports each case in a line."""
    timed = ["timeout", str(CLIENT_TIME), *command, "client", echo_port, port]
    with subprocess.Popen(timed, stdout=subprocess.PIPE, text=True) as client:
        for line in client.stdout:
            ok = line.startswith("ok ")
            name, _, complaint = line.strip().removeprefix("ok " if ok else "not ok ").partition(": ")
            report(f"{peer} client, our server: {name}", None if ok else complaint)
    if client.returncode != 0:
        report(f"{peer} client, our server", f"ended with status {client.returncode}")


def stop_while_connected():
    """A server that is told to stop tells its clients why."""
    with running([BIN / "echo_server", "0"]) as (server, port):
        client = subprocess.Popen(
            [BIN / "client", port, "/", "text:5", "print:connected", "left:1001:server stops"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        client.stdout.readline()
        # Below a program's bytestream Nagle's algorithm holds what follows the echo until that is acknowledged, and
        # whoever is cancelled may not wait for it.
        time.sleep(0.2)
        server.terminate()
        try:
            status = server.wait(10)
            client.wait(10)
        except subprocess.TimeoutExpired:
            client.kill()
            report("the echo server stops", "too late")
            return
        complaint = client.stderr.read().strip() or None
        report("the echo server stops", f"status {status}" if status else complaint)


def main():
    with running([BIN / "echo_server", "0", str(CASES["limit"])]) as (_, echo_port):
        with running([BIN / "server"]) as (_, port):
            for peer, command in PEERS.items():
                our_server(peer, command, echo_port, port)
    for peer, command in PEERS.items():
        with running([*command, "server"]) as (_, port):
            our_client(peer, port)
    stop_while_connected()
    sys.exit(conclude())


if __name__ == "__main__":
    main()
