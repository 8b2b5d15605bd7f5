"""Our TLS client against OpenSSL's s_server, and our server against its s_client.

tls.py BIN FOLDER

BIN holds our programs, client and server; certificates are made in FOLDER. The summary is the last line.
"""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from verdicts import conclude, report

BIN = Path(sys.argv[1])
PKI = Path(sys.argv[2]) / "pki"
LIMIT = 30  # seconds for one program

VERSIONS = "-tls1_2", "-tls1_3"


# --- Certificates ---

CA_CONF = """
[ca]
default_ca = x
[x]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = p
copy_extensions = copy
unique_subject = no
[p]
commonName = supplied
"""
EC = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split()
RSA = "-newkey rsa:2048 -nodes".split()


def openssl(*arguments):
    command = ["openssl", *arguments]
    run = subprocess.run(command, cwd=PKI, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {run.stderr}")


def make_self_signed(name, subject, key=EC):
    names = f"subjectAltName=DNS:{subject}"
    openssl("req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "30",
            "-subj", f"/CN={subject}", "-addext", names)


def make_issued(name, host, key=EC, ca="ca", valid=("20200101000000Z", "20980101000000Z"), is_ca=False):
    extension = "basicConstraints=critical,CA:TRUE" if is_ca else f"subjectAltName=DNS:{host}"
    openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={host}", "-addext", extension)
    openssl("ca", "-batch", "-notext", "-config", "ca.conf", "-rand_serial", "-cert", f"{ca}.pem", "-keyfile",
            f"{ca}.key", "-in", f"{name}.csr", "-out", f"{name}.pem", "-startdate", valid[0], "-enddate", valid[1])


def make_certificates():
    PKI.mkdir(parents=True, exist_ok=True)
    (PKI / "ca.conf").write_text(CA_CONF)
    (PKI / "index").write_text("")
    make_self_signed("ca", "authority")
    make_issued("ec", "localhost")
    make_issued("rsa", "localhost", RSA)
    make_issued("other", "example.com")
    make_issued("expired", "localhost", valid=("20200101000000Z", "20200201000000Z"))
    make_self_signed("self", "localhost")
    make_issued("between", "between", is_ca=True)
    make_issued("leaf", "localhost", ca="between")
    chain = (PKI / "leaf.pem").read_text() + (PKI / "between.pem").read_text()
    (PKI / "leaf.pem").write_text(chain)
    make_issued("client", "client")


def pem(name):
    return ["-cert", f"{name}.pem", "-key", f"{name}.key"]


# --- Programs ---


class Program:
    """A running program, whose output can be waited for."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            [str(word) for word in command], cwd=PKI, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.output = ""
        self.changed = threading.Condition()
        self.ended = False
        self.seen = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while data := os.read(self.process.stdout.fileno(), 65536):
            with self.changed:
                self.output += data.decode(errors="replace")
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def expect(self, pattern):
        """Waits until the output behind what was expected before matches."""
        found = None

        def matches():
            nonlocal found
            found = re.compile(pattern, re.M).search(self.output, self.seen)
            return found or self.ended

        with self.changed:
            self.changed.wait_for(matches, LIMIT)
            if not found:
                raise AssertionError(f"no {pattern!r} in {self.output[self.seen:][-1000:]!r}")
            self.seen = found.end()
        return found

    def expect_end(self):
        """Everything that it says until it ends."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.ended, LIMIT):
                raise AssertionError("it does not end")
        return self.output[self.seen:]

    def write(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end_input(self):
        self.process.stdin.close()

    def kill(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running(*command):
    program = Program(command)
    try:
        yield program
    finally:
        program.kill()


@contextlib.contextmanager
def s_server(*options):
    """OpenSSL's server; gives it and its port."""
    with running("openssl", "s_server", "-accept", "127.0.0.1:0", "-CAfile", "ca.pem", *options) as program:
        yield program, program.expect(r"ACCEPT 127\.0\.0\.1:(\d+)")[1]


@contextlib.contextmanager
def our_server(name="ec", *options):
    with running(BIN / "server", f"{name}.pem", f"{name}.key", *options) as program:
        yield program, program.expect(r"^listening on 127\.0\.0\.1:(\d+)\n")[1]


def s_client(port, *options):
    return running("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", "ca.pem", *options)


def our_client(port, *words):
    return running(BIN / "client", port, *words)


def says(program, *lines):
    """It says these lines and ends."""
    output = program.expect_end().splitlines()
    if output != list(lines):
        raise AssertionError(f"it says {output}, not {list(lines)}")


CASES = []


def case(*variants):
    """A test, which is run once for each variant."""

    def add(function):
        name = function.__name__.replace("_", " ")
        for variant in variants:
            words = [variant] if isinstance(variant, str) else list(variant)
            CASES.append((f"{name} ({' '.join(words)})", lambda words=words: function(*words)))
        if not variants:
            CASES.append((name, function))
        return function

    return add


VERIFY = "host=localhost", "ca=ca.pem"
SUITES = [
    ("-tls1_2", "ECDHE-RSA-AES128-GCM-SHA256"),
    ("-tls1_2", "ECDHE-RSA-AES256-GCM-SHA384"),
    ("-tls1_2", "ECDHE-RSA-CHACHA20-POLY1305"),
    ("-tls1_3", "TLS_AES_128_GCM_SHA256"),
    ("-tls1_3", "TLS_AES_256_GCM_SHA384"),
    ("-tls1_3", "TLS_CHACHA20_POLY1305_SHA256"),
]


def suite_option(version, suite):
    return version, "-cipher" if version == "-tls1_2" else "-ciphersuites", suite


# --- Our client ---


@case(*[(version, name) for version in VERSIONS for name in ("ec", "rsa", "leaf")])
def our_client_talks_to_a_server_that_it_trusts(version, name):
    chain = ["-cert_chain", "leaf.pem"] if name == "leaf" else []
    with s_server(version, "-rev", *pem(name), *chain) as (_, port):
        with our_client(port, *VERIFY, "send=hello", "line", "send=again", "line", "detach") as client:
            says(client, "attach: ok", "send: ok", "line: olleh", "send: ok", "line: niaga", "detach: ok", "close: ok")


@case(*SUITES)
def our_client_speaks_every_suite(version, suite):
    with s_server(*suite_option(version, suite), "-rev", *pem("rsa")) as (_, port):
        with our_client(port, *VERIFY, "send=hello", "line") as client:
            says(client, "attach: ok", "send: ok", "line: olleh")


def file_sum(data):
    result = 1
    for byte in data:
        result = (result * 31 + byte) & 0xFFFFFFFF
    return result


@case(*VERSIONS)
def our_client_receives_a_file_to_its_end(version):
    data = bytes(i * 11 // 7 & 255 for i in range(700001))
    (PKI / "file.bin").write_bytes(data)
    answer = b"HTTP/1.0 200 ok\r\nContent-type: text/plain\r\n\r\n" + data
    with s_server(version, "-WWW", *pem("ec")) as (_, port):
        with our_client(port, *VERIFY, "send=GET /file.bin HTTP/1.0\r\n\r", "rest", "detach") as client:
            says(client, "attach: ok", "send: ok", f"rest: {len(answer)} {file_sum(answer)} EPIPE", "detach: ok",
                 "close: ok")


@case(*[(version, name, host) for version in VERSIONS
        for name, host in (("expired", "localhost"), ("ec", "example.org"), ("other", "localhost"),
                           ("self", "localhost"))])
def our_client_does_not_accept_a_certificate_that_is_no_good(version, name, host):
    with s_server(version, "-rev", *pem(name)) as (server, port):
        with our_client(port, f"host={host}", "ca=ca.pem") as client:
            says(client, "attach: EACCES")
        # The server is told why.
        server.expect("alert (certificate (expired|unknown)|bad certificate|unknown ca)")


@case(*[(version, name) for version in VERSIONS for name in ("expired", "other", "self", "ec")])
def a_client_that_verifies_nothing_accepts_anything(version, name):
    with s_server(version, "-rev", *pem(name)) as (_, port):
        with our_client(port, "plain", "send=hello", "line", "detach") as client:
            says(client, "attach: ok", "send: ok", "line: olleh", "detach: ok", "close: ok")


@case(*VERSIONS)
def our_client_notices_that_close_notify_is_missing(version):
    with s_server(version, *pem("ec")) as (server, port):
        with our_client(port, *VERIFY, "line", "rest", "detach") as client:
            client.expect("attach: ok")
            server.write("1 line\n")
            client.expect("line: 1 line")
            server.kill()
            client.expect(r"rest: 0 1 ECONNRESET")
            client.expect(r"detach: ECONNRESET")


@case(*VERSIONS)
def our_client_ends_its_direction_first(version):
    with s_server(version, "-rev", *pem("ec")) as (_, port):
        with our_client(port, *VERIFY, "send=hello", "done", "rest", "detach") as client:
            says(client, "attach: ok", "send: ok", "done: ok", "rest: 6 %d EPIPE" % file_sum(b"olleh\n"), "detach: ok",
                 "close: ok")


def old_versions():
    return "-cipher", "ALL:@SECLEVEL=0"


@case("-tls1", "-tls1_1")
def our_client_refuses_old_versions(version):
    with s_server(version, *old_versions(), "-rev", *pem("rsa")) as (_, port):
        with our_client(port, *VERIFY) as client:
            says(client, "attach: EPROTO")


@case(*VERSIONS)
def protocols_are_agreed_on(version):
    with s_server(version, "-alpn", "http/1.1,h2", "-rev", *pem("ec")) as (_, port):
        with our_client(port, *VERIFY, "alpn=h3,h2", "alpn", "send=hello", "line") as client:
            says(client, "attach: ok", "alpn: h2", "send: ok", "line: olleh")
    with s_server(version, "-rev", *pem("ec")) as (_, port):
        with our_client(port, *VERIFY, "alpn=h3,h2", "alpn") as client:
            says(client, "attach: ok", "alpn: ")


@case(*VERSIONS)
def a_server_with_several_names_is_told_which_one_is_meant(version):
    options = [version, "-rev", *pem("ec"), "-servername", "example.com", "-cert2", "other.pem", "-key2", "other.key"]
    with s_server(*options) as (_, port):
        with our_client(port, "host=example.com", "ca=ca.pem") as client:
            says(client, "attach: ok")
    with s_server(*options) as (_, port):
        with our_client(port, "host=localhost", "ca=ca.pem") as client:
            says(client, "attach: ok")


@case("plain", "noverify")
def without_a_host_no_name_is_sent(how):
    with s_server("-tlsextdebug", *pem("ec")) as (server, port):
        with our_client(port, how, "wait") as client:
            client.expect("attach: ok")
            server.expect("supported_groups")
            time.sleep(0.2)
            if "server name" in server.output:
                raise AssertionError("a name was sent")


@case("P-384", "P-256")
def our_client_is_asked_for_another_key_share(group):
    with s_server("-tls1_3", "-groups", group, "-rev", *pem("ec")) as (_, port):
        with our_client(port, *VERIFY, "send=hello", "line", "detach") as client:
            says(client, "attach: ok", "send: ok", "line: olleh", "detach: ok", "close: ok")


@case("k", "K")
def the_server_changes_its_keys(command):
    with s_server("-tls1_3", "-state", *pem("ec")) as (server, port):
        with our_client(port, *VERIFY, "line", "send=one", "wait", "send=two", "line", "detach") as client:
            client.expect("attach: ok")
            server.expect("CIPHER is")
            server.write(command + "\n")
            server.expect("write server key update")
            server.write("1 line with new keys\n")
            client.expect("line: 1 line with new keys")
            server.expect("one")
            server.write(command + "\n")
            server.expect("write server key update")
            client.write("\n")
            server.expect("two")
            server.write("2 lines with new keys\n")
            client.expect("line: 2 lines with new keys")
            client.expect("detach: ok")


@case("r", "R")
def the_server_wants_to_renegotiate(command):
    with s_server("-tls1_2", *pem("ec")) as (server, port):
        with our_client(port, *VERIFY, "line", "rest") as client:
            client.expect("attach: ok")
            server.expect("CIPHER is")
            server.write(command + "\n")
            # It takes our refusal, which comes at once, for the end.
            client.expect("line: (EPROTO|ECONNRESET)")


@case(*VERSIONS)
def the_server_asks_for_a_certificate_that_there_is_not(version):
    with s_server(version, "-verify", "1", "-rev", *pem("ec")) as (_, port):
        with our_client(port, *VERIFY, "send=hello", "line") as client:
            says(client, "attach: ok", "send: ok", "line: olleh")


@case(*VERSIONS)
def the_server_insists_on_a_certificate_that_there_is_not(version):
    with s_server(version, "-Verify", "1", "-rev", *pem("ec")) as (_, port):
        with our_client(port, *VERIFY, "line") as client:
            # In TLS 1.3 the server may refuse when the client has finished.
            says(client, *(["attach: EPROTO"] if version == "-tls1_2" else ["attach: ok", "line: EACCES"]))


# --- Our server ---


@case(*[(version, name) for version in VERSIONS for name in ("ec", "rsa", "leaf")])
def our_server_is_trusted(version, name):
    verify = "-verify_return_error", "-verify_hostname", "localhost"
    with our_server(name) as (server, port), s_client(port, version, *verify) as client:
        client.expect("Verify return code: 0|Verification: OK")
        client.write("hello\n")
        client.expect("^hello$")
        client.write("Q\n")
        server.expect("attach: ok\nline: hello\nreceive: EPIPE\ndetach: ok\nclose: ok")


@case(*SUITES)
def our_server_speaks_every_suite(version, suite):
    with our_server("rsa") as (_, port), s_client(port, *suite_option(version, suite)) as client:
        client.expect(f"Cipher is {suite}")
        client.write("hello\n")
        client.expect("^hello$")


@case(*VERSIONS)
def our_server_sends_much(version):
    data = bytes(i * 7 // 3 & 255 for i in range(1000000))
    with our_server() as (server, port):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-ign_eof", version]
        run = subprocess.run(command, cwd=PKI, input=b"big\nbye\n", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             timeout=LIMIT)
        if run.stdout != data:
            raise AssertionError(f"{len(run.stdout)} bytes, or the wrong ones")
        server.expect("line: big\nline: bye\nreceive: EPIPE\ndetach: ok")


@case(*VERSIONS)
def our_server_ends_its_direction_first(version):
    with our_server() as (server, port), s_client(port, version) as client:
        client.write("bye\n")
        client.expect("closed|DONE")
        server.expect("line: bye\nreceive: EPIPE\ndetach: ok\nclose: ok")


@case(*VERSIONS)
def our_server_takes_a_missing_close_notify_for_the_end(version):
    with our_server() as (server, port), s_client(port, version) as client:
        client.write("hello\n")
        client.expect("^hello$")
        client.kill()
        server.expect("line: hello\nreceive: EPIPE\ndetach: ok")


@case("-tls1", "-tls1_1")
def our_server_refuses_old_versions(version):
    with our_server("rsa") as (server, port), s_client(port, version, *old_versions()) as client:
        server.expect("attach: EPROTO")
        client.expect("alert (protocol version|handshake failure)")


@case("-tls1_2", "-tls1_3")
def our_server_is_not_trusted(version):
    with our_server("self") as (server, port), s_client(port, version, "-verify_return_error") as client:
        client.expect("verify error")
        # In TLS 1.2 the client's alert comes before the handshake is over; in TLS 1.3 too.
        server.expect("attach: EPROTO")


@case("k", "K")
def the_client_changes_its_keys(command):
    with our_server() as (server, port), s_client(port, "-tls1_3") as client:
        client.expect("Verify return code")
        for word in "one", "two", "three":
            client.write(command + "\n")
            client.expect("KEYUPDATE")
            client.write(word + "\n")
            client.expect(f"^{word}$")
        client.write("Q\n")
        server.expect("receive: EPIPE\ndetach: ok")


@case()
def a_client_that_only_changes_its_keys_is_refused():
    with our_server() as (server, port), s_client(port, "-tls1_3") as client:
        client.expect("Verify return code")
        for _ in range(2):
            for _ in range(32):
                client.write("k\n")
                client.expect("KEYUPDATE")
            client.write("hello\n")
            client.expect("^hello$")
        for _ in range(33):
            client.write("k\n")
            client.expect("KEYUPDATE")
        server.expect("receive: EPROTO")


@case()
def the_client_wants_to_renegotiate():
    with our_server() as (server, port), s_client(port, "-tls1_2") as client:
        client.expect("Verify return code")
        client.write("R\n")
        client.expect("RENEGOTIATING")
        # It takes our refusal, which comes at once, for the end.
        server.expect("receive: (EPROTO|ECONNRESET)")


@case("P-384", "P-256", "X25519")
def the_client_has_one_group(group):
    with our_server() as (_, port), s_client(port, "-tls1_3", "-groups", group) as client:
        client.write("hello\n")
        client.expect("^hello$")


@case()
def a_client_that_speaks_no_TLS_is_refused():
    with our_server() as (server, port):
        script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; echo GET / HTTP/1.0 >&3; od -An -tx1 <&3"
        with running("bash", "-c", script) as client:
            server.expect("attach: EPROTO")
            # A fatal alert, and the graceful end of the stream.
            client.expect(r"15 03 0\d 00 02 02")


@case(*VERSIONS)
def one_connection_after_another(version):
    with our_server() as (server, port):
        for _ in range(20):
            with s_client(port, version) as client:
                client.write("hello\n")
                client.expect("^hello$")
                client.write("Q\n")
                server.expect("close: ok")


# --- Our server with options ---


@case(*VERSIONS)
def our_server_shows_the_certificate_of_the_host(version):
    with our_server("ec", "pair=other", "pair=rsa") as (server, port):
        for options, subject in (
            (["-servername", "example.com"], "example.com"),
            (["-servername", "localhost"], "localhost"),
            (["-noservername"], "localhost"),
        ):
            with s_client(port, version, *options) as client:
                client.expect(f"subject=.*{subject}")
                server.expect(f"info: .* sni={'' if 'no' in options[0] else subject}$")


@case(("rsa_pss_rsae_sha256", "rsa"), ("ecdsa_secp256r1_sha256", "id-ecPublicKey|prime256v1"))
def our_server_shows_the_key_that_the_client_can_deal_with(algorithm, kind):
    with our_server("ec", "pair=rsa") as (_, port):
        options = "-servername", "localhost", "-sigalgs", algorithm, "-tls1_3"
        with s_client(port, *options) as client:
            client.expect(f"(?i)a:PKEY: ({kind})|Peer signature type: ({'RSA' if kind == 'rsa' else 'ECDSA'})")


@case(*VERSIONS)
def our_server_chooses_the_protocol(version):
    with our_server("ec", "alpn=http/1.1,h2") as (server, port):
        with s_client(port, version, "-alpn", "h2,http/1.1") as client:
            client.expect("ALPN protocol: http/1.1")
            server.expect("info: .* alpn=http/1.1 ")
        with s_client(port, version) as client:
            client.expect("No ALPN negotiated")
            server.expect("info: .* alpn= ")
        with s_client(port, version, "-alpn", "h3") as client:
            client.expect("no application protocol")
            server.expect("why: .*RFC 7301, 3.2.*\nattach: EPROTO")


@case(*VERSIONS)
def our_server_needs_a_certificate(version):
    with our_server("ec", "ca=ca.pem", "needed") as (server, port):
        with s_client(port, version, *pem("client")):
            server.expect("info: .* verified\nattach: ok")
        with s_client(port, version) as client:
            client.expect("alert (certificate required|handshake failure|bad certificate)")
            server.expect("why: .*there is none\nattach: EACCES")
        with s_client(port, version, *pem("self")) as client:
            client.expect("alert (unknown ca|bad certificate|certificate unknown)")
            server.expect("why: .*not accepted.*\nattach: EACCES")


@case(*VERSIONS)
def our_server_wants_a_certificate(version):
    with our_server("ec", "ca=ca.pem", "wanted") as (server, port):
        with s_client(port, version, *pem("client")):
            server.expect("info: .* verified\nattach: ok")
        with s_client(port, version):
            server.expect("info: TLS 1.. alpn= sni=(localhost)?\nattach: ok")
        with s_client(port, version, *pem("self")):
            server.expect("attach: EACCES")


@case()
def our_server_speaks_nothing_before_TLS_1_3_if_it_is_told_so():
    with our_server("ec", "tls13") as (server, port):
        with s_client(port, "-tls1_2") as client:
            client.expect("alert protocol version")
            server.expect("why: .*no version in common.*\nattach: EPROTO")
        with s_client(port, "-tls1_3"):
            server.expect("info: TLS 1.3")


@case(*[(version, *options) for version in VERSIONS for options in ([], ["ca=ca.pem", "wanted"])])
def a_client_resumes_its_session(version, *options):
    # It may print the line in the middle of another one, when it shows tickets.
    session = str(PKI / f"session{version}")
    Path(session).unlink(missing_ok=True)
    with our_server("ec", "opts", *options) as (server, port):
        with s_client(port, version, "-sess_out", session, *pem("client")) as client:
            server.expect("info: TLS 1.. alpn= sni=(localhost)?( verified)?\nattach: ok")
            client.expect("Verify return code")
            client.write("hello\n")
            client.expect("hello$")
            client.write("Q\n")
            server.expect("close: ok")
        for _ in range(2):
            with s_client(port, version, "-sess_in", session, *pem("client")) as client:
                client.expect("^Reused")
                server.expect("info: .* resumed" + (" verified" if options else ""))
                client.write("hello\n")
                client.expect("hello$")
    # Another process has other keys.
    with our_server("ec", "opts", *options) as (server, port):
        with s_client(port, version, "-sess_in", session) as client:
            client.expect("^New")
            client.write("hello\n")
            client.expect("hello$")


def early_data_of_tickets(port):
    """A new session of the server's, and how much early data it may begin with."""
    session = PKI / "early"
    session.unlink(missing_ok=True)
    with s_client(port, "-tls1_3", "-sess_out", str(session)) as client:
        client.expect("Verify return code")
        for _ in range(100):
            if session.exists() and session.stat().st_size:
                break
            time.sleep(0.05)
        client.write("Q\n")
        return str(session), int(re.search(r"Max Early Data: (\d+)", client.expect_end())[1])


@case()
def early_data_is_refused_and_the_connection_comes_about():
    (PKI / "data").write_text("too early\n" * 100)
    with s_server("-tls1_3", "-max_early_data", "16384", *pem("ec")) as (_, port):
        session, allowed = early_data_of_tickets(port)
        if allowed != 16384:
            raise AssertionError("OpenSSL's ticket is not for early data")
    with our_server("ec", "opts") as (server, port):
        with s_client(port, "-tls1_3", "-sess_in", session, "-early_data", "data") as client:
            client.expect("Early data was rejected")
            server.expect("attach: ok")
            client.write("hello\n")
            client.expect("hello$")
            server.expect("^line: hello$")
            if "too early" in server.output:
                raise AssertionError("early data was taken")
            client.write("Q\n")
            server.expect("close: ok")
        if early_data_of_tickets(port)[1] != 0:
            raise AssertionError("our ticket is for early data")


@case(*VERSIONS)
def files_that_change_are_read_again(version):
    for end in "pem", "key":
        (PKI / f"live.{end}").write_text((PKI / f"ec.{end}").read_text())
    with our_server("live", "opts") as (server, port):
        with s_client(port, version) as client:
            client.expect("subject=.*localhost")
        for end in "pem", "key":
            (PKI / f"new.{end}").write_text((PKI / f"other.{end}").read_text())
            (PKI / f"new.{end}").rename(PKI / f"live.{end}")
            with s_client(port, version) as client:
                # With the certificate alone there is no pair, and the old one goes on.
                client.expect("subject=.*" + ("localhost" if end == "pem" else "example.com"))
                client.expect("Verify return code")


# --- Our client with options ---


@case(*VERSIONS)
def our_client_shows_its_certificate(version):
    with s_server(version, "-Verify", "1", "-verify_return_error", "-rev", *pem("ec")) as (server, port):
        with our_client(port, *VERIFY, "cert=client.pem", "key=client.key", "send=hello", "line") as client:
            says(client, "attach: ok", "send: ok", "line: olleh")


@case(*VERSIONS)
def our_client_resumes_its_session(version):
    with s_server(version, "-rev", *pem("ec")) as (_, port):
        steps = "info", "send=one", "line", "again", "info", "send=two", "line"
        with our_client(port, *VERIFY, *steps) as client:
            client.expect(r"info: TLS 1.\d TLS_\w+ verified\n")
            client.expect(r"line: eno\nagain: ok\ninfo: TLS 1.\d TLS_\w+ resumed verified\nsend: ok\nline: owt")


@case()
def our_client_speaks_nothing_before_TLS_1_3_if_it_is_told_so():
    with s_server("-tls1_2", "-rev", *pem("ec")) as (_, port):
        with our_client(port, *VERIFY, "tls13") as client:
            says(client, "attach: EPROTO")
    with s_server("-tls1_3", "-rev", *pem("ec")) as (_, port):
        with our_client(port, *VERIFY, "tls13", "info") as client:
            client.expect("info: TLS 1.3")


def main():
    make_certificates()
    for name, run in CASES:
        if len(sys.argv) > 3 and not any(word in name for word in sys.argv[3:]):
            continue
        try:
            run()
            report(name)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            report(name, error)
    sys.exit(conclude())


main()
