// Echo server on ws with its native masking add-on. Its socket is corked until everything
// that arrived together has been answered. With "deflate" it compresses.
import { WebSocketServer } from 'ws';

const port = Number(process.argv[2]);
const server = new WebSocketServer({
  host: '127.0.0.1',
  port,
  backlog: 1024,
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
