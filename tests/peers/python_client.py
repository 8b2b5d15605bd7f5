"""python_client.py aiohttp|websocket-client URL, python_client.py server: see peers.py."""

import asyncio
import sys

SENT = '{"key": 1234}, ' * 2000


def by_websocket_client(url):
    import websocket

    ws = websocket.create_connection(url, subprotocols=["v1", "v2"])
    for _ in range(3):
        ws.send(SENT)
        assert ws.recv() == SENT
    ws.send_close(1000, b"bye")
    _, payload = ws.recv_data()
    print(ws.getsubprotocol(), False, int.from_bytes(payload[:2], "big"))


async def by_aiohttp(url):
    import aiohttp

    async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=["v1", "v2"], compress=15) as ws:
        for _ in range(3):
            await ws.send_str(SENT)
            assert await ws.receive_str() == SENT
        await ws.close(code=1000, message=b"bye")
        print(ws.protocol, ws.compress > 0, ws.close_code)


async def serve_aiohttp():
    from aiohttp import WSMsgType, web

    async def echo(request):
        ws = web.WebSocketResponse(protocols=["v2", "v1"])
        await ws.prepare(request)
        async for message in ws:
            await (ws.send_str if message.type == WSMsgType.TEXT else ws.send_bytes)(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if sys.argv[1] == "server":
    asyncio.run(serve_aiohttp())
elif sys.argv[1] == "aiohttp":
    asyncio.run(by_aiohttp(sys.argv[2]))
else:
    by_websocket_client(sys.argv[2])
