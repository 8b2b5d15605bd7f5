"""Two windows of a browser, driven by its debugging protocol, in the chat among the examples.

chat.py CHAT BROWSER

CHAT is the program, BROWSER chromium or firefox-esr. The last line is "N passed, N failed".
"""

import asyncio
import json
import os
import re
import signal
import sys
import tempfile

from verdicts import conclude, report
from websockets.asyncio.client import connect

STEP = 20  # seconds that anything may take


class Remote:
    """Commands, their answers, and events, as JSON over a WebSocket."""

    def __init__(self, ws, on_event):
        self.ws, self.answers, self.calls, self.on_event = ws, {}, 0, on_event
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        async for text in self.ws:
            message = json.loads(text)
            if "id" in message:
                self.answers.pop(message["id"]).set_result(message)
            else:
                asyncio.create_task(self.on_event(message["method"], message["params"], message.get("sessionId")))

    async def call(self, method, params=None, **more):
        self.calls += 1
        answer = self.answers[self.calls] = asyncio.get_running_loop().create_future()
        await self.ws.send(json.dumps({"id": self.calls, "method": method, "params": params or {}, **more}))
        message = await asyncio.wait_for(answer, STEP)
        if "result" not in message:
            raise RuntimeError(f"{method}: {message}")
        return message["result"]


class Browser:
    """Whoever is asked for a name answers with that of `guest`."""

    guest = ""

    def __init__(self, *command):
        self.command = command

    async def __aenter__(self):
        self.profile = tempfile.TemporaryDirectory()
        self.process = await asyncio.create_subprocess_exec(
            *self.command, "--headless", "--remote-debugging-port=0", *self.options(self.profile.name),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, start_new_session=True)
        url = await asyncio.wait_for(self.find_url(), STEP)
        self.drain = asyncio.create_task(self.process.stderr.read())
        self.ws = await connect(url, max_size=None, proxy=None)
        self.remote = Remote(self.ws, self.on_event)
        await self.begin()
        return self

    async def find_url(self):
        async for line in self.process.stderr:
            if found := re.search(rb"listening on (ws://\S+)", line):
                return found.group(1).decode() + self.PATH
        raise RuntimeError("the browser has ended")

    async def __aexit__(self, *_):
        await self.ws.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        self.profile.cleanup()


class Chromium(Browser):
    """By the Chrome DevTools Protocol."""

    PATH = ""

    def options(self, profile):
        return ["--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}", "about:blank"]

    async def begin(self):
        pass

    async def on_event(self, method, params, session):
        if method == "Page.javascriptDialogOpening":
            await self.remote.call("Page.handleJavaScriptDialog", {"accept": True, "promptText": self.guest},
                                   sessionId=session)

    async def open(self, url):
        target = await self.remote.call("Target.createTarget", {"url": "about:blank"})
        window = await self.remote.call("Target.attachToTarget", {"flatten": True, **target})
        await self.remote.call("Page.enable", sessionId=window["sessionId"])
        await self.remote.call("Page.navigate", {"url": url}, sessionId=window["sessionId"])
        return window["sessionId"]

    async def run(self, window, script):
        params = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = await self.remote.call("Runtime.evaluate", params, sessionId=window)
        return answer["result"].get("value")


class Firefox(Browser):
    """By WebDriver BiDi."""

    PATH = "/session"

    def options(self, profile):
        return ["--no-remote", "--profile", profile]

    async def begin(self):
        wanted = {"alwaysMatch": {"unhandledPromptBehavior": {"default": "ignore"}}}
        await self.remote.call("session.new", {"capabilities": wanted})
        await self.remote.call("session.subscribe", {"events": ["browsingContext.userPromptOpened"]})

    async def on_event(self, method, params, _):
        if method == "browsingContext.userPromptOpened":
            answer = {"context": params["context"], "accept": True, "userText": self.guest}
            await self.remote.call("browsingContext.handleUserPrompt", answer)

    async def open(self, url):
        window = (await self.remote.call("browsingContext.create", {"type": "tab"}))["context"]
        await self.remote.call("browsingContext.navigate", {"context": window, "url": url, "wait": "none"})
        return window

    async def run(self, window, script):
        params = {"expression": script, "awaitPromise": True, "target": {"context": window}}
        answer = await self.remote.call("script.evaluate", params)
        return answer["result"].get("value")


async def start(chat):
    process = await asyncio.create_subprocess_exec(chat, "0", stdout=asyncio.subprocess.PIPE)
    line = await asyncio.wait_for(process.stdout.readline(), STEP)
    return process, line.decode().strip().rsplit(":", 1)[1]


async def shows(browser, window, text):
    """Whether the page comes to say so; else what it says."""
    seen = None
    for _ in range(STEP * 10):
        try:
            seen = await browser.run(window, "document.body ? document.body.innerText : ''")
        except RuntimeError:  # A page that is still being opened.
            seen = ""
        if text in (seen or ""):
            return None
        await asyncio.sleep(0.1)
    return f"it says {seen!r}, not {text!r}"


def says(text):
    return f"form.elements.text.value = {json.dumps(text)}; form.requestSubmit()"


async def main(chat, browser_name):
    server, port = await start(chat)
    browser = Firefox(browser_name) if "firefox" in browser_name else Chromium(browser_name)
    async with browser:
        browser.guest = "Ann"
        ann = await browser.open(f"http://127.0.0.1:{port}/")
        report("a guest comes in", await shows(browser, ann, "Ann: (comes in)"))
        browser.guest = "Bob"
        bob = await browser.open(f"http://localhost:{port}/")
        report("another one is seen to come in", await shows(browser, ann, "Bob: (comes in)"))
        agreed = await browser.run(ann, "socket.protocol + ', ' + socket.extensions.split(';')[0]")
        report("subprotocol and compression", None if agreed == "chat, permessage-deflate" else agreed)
        await browser.run(bob, says("hello, grüße, 世界 𝄞"))
        report("what one says the other hears", await shows(browser, ann, "Bob: hello, grüße, 世界 𝄞"))
        await browser.run(ann, says("x" * 1000))
        report("and the other way round", await shows(browser, bob, "Ann: " + "x" * 1000))
        attempt = f"""new Promise(done => {{ const ws = new WebSocket('ws://127.0.0.1:{port}/chat', 'chat');
            ws.onopen = () => done('let in'); ws.onclose = event => done('closed with ' + event.code); }})"""
        stranger = await browser.open("data:text/html,a page of somebody else")
        complaint = await shows(browser, stranger, "somebody else")
        seen = await browser.run(stranger, attempt)
        report("a page of somebody else's is not let in", complaint or (None if seen == "closed with 1006" else seen))
        await browser.run(bob, "socket.close()")
        report("one that leaves is seen to leave", await shows(browser, ann, "Bob: (leaves)"))
        server.send_signal(signal.SIGTERM)
        report("the end of the server is told", await shows(browser, ann, "The conversation is over."))
    status = await asyncio.wait_for(server.wait(), STEP)
    report("the server has stopped in order", None if status == 0 else f"status {status}")


asyncio.run(main(*sys.argv[1:]))
sys.exit(conclude())
