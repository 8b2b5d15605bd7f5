// Echo server on ws with its native masking add-on. Its socket is corked until everything
// that arrived together has been answered. With "deflate" it compresses.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { WebSocketServer } from 'ws';

const port = Number(process.argv[2]);
const [cert, key] = process.argv.slice(3, 5).map((file) => file !== 'deflate' && readFileSync(file));
const secure = key && createServer({ cert, key }).listen(port, '127.0.0.1', 1024);
const server = new WebSocketServer({
  ...(secure ? { server: secure } : { host: '127.0.0.1', port, backlog: 1024 }),
  perMessageDeflate: process.argv[3] === 'deflate' && {
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
    threshold: 0,
  },
  maxPayload: 16 * 1024 * 1024,
});

server.on('connection', (ws, { socket }) => {
  let corked = false;
  const uncork = () => {
    corked = false;
    socket.uncork();
  };
  ws.on('message', (data, binary) => {
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(uncork);
    }
    ws.send(data, { binary });
  });
  ws.on('error', () => {});
});
