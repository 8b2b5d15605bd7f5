"""ws_connect through real proxies, to a server of Python's `websockets`.

proxies.py FOLDER

FOLDER has the program `client` and takes the proxies' files. The last line is "N passed, N failed".
"""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys

from websockets.asyncio.server import serve

FOLDER = os.path.abspath(sys.argv[1])
STEP = 30
GOOD = "through 0"
passed = failed = 0


def check(name, seen, expected):
    global passed, failed
    good = seen == expected if isinstance(expected, str) else expected(seen)
    passed, failed = passed + good, failed + (not good)
    print("ok" if good else f"not ok: {seen!r} instead of {expected!r},", name, flush=True)


def starts(text, without=()):
    return lambda seen: seen.startswith(text) and not any(secret in seen for secret in without)


async def client(url, *proxy, **environment):
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    kept |= {"SSL_CERT_FILE": f"{FOLDER}/ca.pem"} | environment
    process = await asyncio.create_subprocess_exec(f"{FOLDER}/client", url, *proxy, env=kept, stdout=subprocess.PIPE)
    text, _ = await asyncio.wait_for(process.communicate(), STEP)
    return text.decode().strip()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Proxy:
    """A proxy on a port of its own, as long as the block lasts."""

    def __init__(self, *command, config="", **files):
        self.port = free_port()
        self.command, self.config, self.files = command, config, files

    async def __aenter__(self):
        os.makedirs(f"{FOLDER}/proxy", exist_ok=True)
        places = {"port": self.port, "folder": f"{FOLDER}/proxy"}
        with open(f"{FOLDER}/proxy/config", "w") as file:
            file.write(self.config.format(**places))
        log = open(f"{FOLDER}/proxy/log", "a")
        command = [part.format(**places) for part in self.command]
        self.process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        for _ in range(STEP * 10):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return f"127.0.0.1:{self.port}"
            if self.process.returncode is not None:
                break
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{self.command[0]} does not start: see {FOLDER}/proxy/log")

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


def tinyproxy(more=""):
    config = f"Port {{port}}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\n{more}"
    return Proxy("tinyproxy", "-d", "-c", "{folder}/config", config=config)


def squid(access):
    config = (
        "http_port 127.0.0.1:{port}\npid_filename none\ncache_log {folder}/log\naccess_log none\ncache deny all\n"
        "shutdown_lifetime 0\n" + access
    )
    return Proxy("squid", "-N", "-f", "{folder}/config", config=config)


SQUID_AUTH = (
    "auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/passwords\n"
    "acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\n"
)


def microsocks(*who):
    return Proxy("microsocks", "-i", "127.0.0.1", "-p", "{port}", *who)


def dante(rule):
    config = (
        "logoutput: {folder}/log\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\n"
        "clientmethod: none\nsocksmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\n"
        "client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\nsocks " + rule + " {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\n"
    )
    return Proxy("danted", "-f", "{folder}/config", config=config)


async def by_connect(name, proxy, with_password, plain, encrypted):
    async with proxy as at:
        check(f"{name}, ws", await client(plain, f"http://{at}"), GOOD)
        check(f"{name}, wss", await client(encrypted, f"http://{at}"), GOOD)
        nobody = f"ws://127.0.0.1:{free_port()}/"
        check(f"{name}, nobody listens behind it", await client(nobody, f"http://{at}"), starts("EPROTO 50"))
    async with with_password as at:
        check(f"{name} with a password", await client(plain, f"http://me:s3%63ret@{at}"), GOOD)
        check(f"{name} with a password, wss", await client(encrypted, f"http://me:s3cret@{at}"), GOOD)
        wrong = await client(plain, f"http://me:wr0ng@{at}")
        check(f"{name} with a wrong one", wrong, starts("EPROTO 40", without=["wr0ng"]))
        check(f"{name} without one", await client(plain, f"http://{at}"), starts("EPROTO 40"))


async def by_socks(plain, encrypted):
    for name, proxy in ("microsocks", microsocks()), ("dante", dante("pass")):
        async with proxy as at:
            check(f"{name}, ws", await client(plain, f"socks5://{at}"), GOOD)
            check(f"{name}, wss", await client(encrypted, f"socks5h://{at}"), GOOD)
            nobody = f"ws://127.0.0.1:{free_port()}/"
            check(f"{name}, nobody listens behind it", await client(nobody, f"socks5://{at}"), starts("ECONNREFUSED"))
    async with dante("block") as at:
        check("dante with a rule against it", await client(plain, f"socks5://{at}"), starts("EACCES"))
    async with microsocks("-u", "me", "-P", "s3cret") as at:
        check("microsocks with a password", await client(plain, f"socks5://me:s3cret@{at}"), GOOD)
        wrong = await client(plain, f"socks5://me:wr0ng@{at}")
        check("microsocks with a wrong one", wrong, starts("EACCES", without=["wr0ng"]))
        check("microsocks without one", await client(plain, f"socks5://{at}"), starts("E"))


async def by_environment(plain, encrypted):
    nowhere = f"http://127.0.0.1:{free_port()}"
    refused = starts("ECONNREFUSED")
    async with tinyproxy() as at, microsocks() as socks:
        there, socks = f"http://{at}", f"socks5://{socks}"
        for name, url, seen, environment in [
            ("ws_proxy", plain, GOOD, {"ws_proxy": there}),
            ("http_proxy", plain, GOOD, {"http_proxy": there}),
            ("wss_proxy", encrypted, GOOD, {"wss_proxy": there}),
            ("HTTPS_PROXY", encrypted, GOOD, {"HTTPS_PROXY": there}),
            ("all_proxy", plain, GOOD, {"all_proxy": socks}),
            ("lower case comes first", plain, GOOD, {"ws_proxy": there, "WS_PROXY": nowhere}),
            ("what is of no use", plain, refused, {"ws_proxy": nowhere}),
            ("what is of no use, by all_proxy", encrypted, refused, {"ALL_PROXY": nowhere}),
            ("HTTP_PROXY is not read", plain, GOOD, {"HTTP_PROXY": nowhere}),
            ("no_proxy with the address", plain, GOOD, {"ws_proxy": nowhere, "no_proxy": "example.org,127.0.0.1"}),
            ("no_proxy with a star", encrypted, GOOD, {"all_proxy": nowhere, "NO_PROXY": "*"}),
            ("no_proxy with somebody else", plain, refused, {"ws_proxy": nowhere, "no_proxy": "example.org"}),
        ]:
            check(f"environment: {name}", await client(url, **environment), seen)
        check("environment: the empty proxy", await client(plain, "", ws_proxy=nowhere), GOOD)


def certificate():
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", f"{FOLDER}/key.pem", "-out", f"{FOLDER}/ca.pem"],
        check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{FOLDER}/ca.pem", f"{FOLDER}/key.pem")
    return context


async def echo(ws):
    async for message in ws:
        await ws.send(message)


async def main():
    shutil.rmtree(f"{FOLDER}/proxy", ignore_errors=True)
    os.makedirs(f"{FOLDER}/proxy")
    subprocess.run(["htpasswd", "-bc", f"{FOLDER}/proxy/passwords", "me", "s3cret"], check=True, capture_output=True)
    # The programs give up their rights.
    os.chmod(f"{FOLDER}/proxy", 0o777)
    async with serve(echo, "127.0.0.1", 0) as one, serve(echo, "127.0.0.1", 0, ssl=certificate()) as two:
        plain, encrypted = (s.sockets[0].getsockname()[1] for s in (one, two))
        urls = f"ws://localhost:{plain}/", f"wss://localhost:{encrypted}/"
        await by_connect("tinyproxy", tinyproxy(), tinyproxy("BasicAuth me s3cret\n"), *urls)
        await by_connect("squid", squid("http_access allow all\n"), squid(SQUID_AUTH), *urls)
        await by_socks(*urls)
        await by_environment(f"ws://127.0.0.1:{plain}/", f"wss://127.0.0.1:{encrypted}/")


asyncio.run(main())
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
