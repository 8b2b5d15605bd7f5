// node browser_api.js URL [undici]: the interface of browsers, as Node.js has it and as undici has it. See peers.py.
const WebSocket = process.argv[3] ? require(process.argv[3]).WebSocket : globalThis.WebSocket;
const sent = '{"key": 1234}, '.repeat(2000);
const ws = new WebSocket(process.argv[2], ['v1', 'v2']);
let messages = 0;
ws.addEventListener('open', () => ws.send(sent));
ws.addEventListener('error', (event) => console.log(event.message || 'error'));
ws.addEventListener('message', (event) => {
  if (event.data !== sent) throw new Error('another message came back');
  if (++messages === 3) ws.close(1000, 'bye');
  else ws.send(sent);
});
ws.addEventListener('close', (event) => console.log(ws.protocol, ws.extensions.includes('permessage-deflate'), event.code));
