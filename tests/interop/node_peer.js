// The WebSocket of npm's `ws` as the other end.
//
// node_peer.js server                    one server with the paths below, until killed
// node_peer.js client ECHO_PORT PORT     every case against our servers, a line for each

'use strict';

const { once } = require('node:events');
const { readFileSync } = require('node:fs');
const { createServer } = require('node:https');
const { WebSocket, WebSocketServer } = require('ws');
const { sizes, limit, closes } = require('./cases.json');

const STEP = 20000; // milliseconds for each step
// A folder with certificates, if it is to be TLS.
const tlsFiles = process.env.TLS_FILES;
const scheme = tlsFiles ? 'wss' : 'ws';
const tlsFile = (name) => readFileSync(`${tlsFiles}/${name}`);

// UTF-8 with characters of one to four bytes, exactly `size` bytes long.
function text(size) {
  const unit = Buffer.from('0123456789 äöüß €uro 𝄞 ');
  const units = Math.floor(size / unit.length);
  return Buffer.concat([
    Buffer.alloc(units * unit.length, unit),
    Buffer.alloc(size - units * unit.length, '.'),
  ]);
}

// Bytes of every value.
function binary(size) {
  return Buffer.alloc(size, Buffer.from([...Array(256).keys()]));
}

// Uneven fragments, some of them empty, cut in the middle of characters.
function pieces(data) {
  const n = data.length;
  const third = Math.floor(n / 3);
  const cuts = [0, 0, 1, 2, third, third, n - 1, n]
    .map((cut) => Math.min(Math.max(cut, 0), n))
    .sort((a, b) => a - b);
  return cuts.slice(1).map((cut, i) => data.subarray(cuts[i], cut));
}

async function ping(ws, payload) {
  ws.ping(payload);
  const [pong] = await once(ws, 'pong');
  if (!pong.equals(Buffer.from(payload))) throw new Error('the pong differs');
}

async function sendPieces(ws, data, binary, between = async () => {}) {
  const all = pieces(data);
  for (const [i, piece] of all.entries()) {
    await between(i);
    ws.send(piece, { binary, fin: i === all.length - 1 });
  }
}

// How a message goes out; the name of each way is also a path of the server.
const ways = {
  echo: async (ws, data, binary) => ws.send(data, { binary }),
  fragments: (ws, data, binary) => sendPieces(ws, data, binary),
  ping: async (ws, data, binary) => {
    for (const payload of ['', 'p', Buffer.from([...Array(125).keys()])]) await ping(ws, payload);
    ws.send(data, { binary });
  },
  pings: (ws, data, binary) => sendPieces(ws, data, binary, (i) => ping(ws, `between ${i}`)),
};

// ---- The server ----

function runServer() {
  const secure = tlsFiles && createServer({ cert: tlsFile('server.pem'), key: tlsFile('server.key') });
  const place = secure ? { server: secure } : { host: '127.0.0.1', port: 0 };
  const server = new WebSocketServer({ ...place, maxPayload: 0 });
  if (secure) secure.listen(0, '127.0.0.1');
  let last = '0 ';
  const others = new Set();
  let whenAlone = () => {};

  server.on('listening', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
  server.on('connection', (ws, request) => {
    const path = request.url.slice(1);
    ws.on('error', (e) => console.error(path, e.message));
    if (path === 'last') {
      whenAlone = () => {
        if (others.size > 0) return;
        ws.send(last);
        ws.close();
        whenAlone = () => {};
      };
      whenAlone();
      return;
    }
    others.add(ws);
    ws.on('close', (code, reason) => {
      last = `${code === 1005 ? 0 : code} ${reason}`;
      others.delete(ws);
      whenAlone();
    });
    ws.on('message', (data, binary) => {
      if (path === 'close') {
        const [, code, reason] = /^(\d+) (.*)$/.exec(data);
        if (code === '0') ws.close();
        else ws.close(Number(code), reason);
      } else if (path === 'drop') {
        ws.terminate();
      } else {
        ways[path](ws, data, binary).catch((e) => {
          console.error(path, e.message);
          ws.terminate();
        });
      }
    });
  });
}

// ---- The client ----

function check(condition, complaint) {
  if (!condition) throw new Error(complaint);
}

// A connection whose messages and whose end can be waited for.
class Connection {
  constructor(port, path) {
    this.ws = new WebSocket(`${scheme}://127.0.0.1:${port}${path}`, {
      maxPayload: 0,
      ca: tlsFiles && tlsFile('ca.pem'),
    });
    this.messages = [];
    this.arrived = () => {};
    this.ws.on('message', (data, binary) => {
      this.messages.push({ data, binary });
      this.arrived();
    });
    this.end = new Promise((resolve, reject) => {
      this.ws.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
      this.ws.on('error', reject);
    });
    this.end.catch(() => {});
  }

  open() {
    return Promise.race([once(this.ws, 'open'), this.end]);
  }

  async expect(data, binary) {
    if (this.messages.length === 0) {
      await Promise.race([
        new Promise((resolve) => (this.arrived = resolve)),
        this.end.then((end) => check(false, `closed with ${JSON.stringify(end)}`)),
      ]);
    }
    const got = this.messages.shift();
    check(got.binary === binary, 'the echo is of another type');
    check(got.data.equals(data), `the echo differs: ${got.data.length}, not ${data.length} bytes`);
  }

  async ended(code, reason) {
    const end = await this.end;
    check(end.code === code && end.reason === reason, `closed with ${JSON.stringify(end)}`);
  }
}

async function using(port, path, talk) {
  const connection = new Connection(port, path);
  try {
    await connection.open();
    await talk(connection, connection.ws);
  } finally {
    connection.ws.terminate();
  }
}

// Every case is a name and a function that throws if something is wrong.
function makeCases(echoPort, port) {
  const exchange = (way, data, isBinary) => () =>
    using(echoPort, '/', async (connection, ws) => {
      const sent = ways[way](ws, data, isBinary);
      await connection.expect(data, isBinary);
      await sent;
      ws.close(1000);
      await connection.ended(1000, '');
    });
  const burst = (count) => () =>
    using(echoPort, '/', async (connection, ws) => {
      const messages = Array.from(Array(count), (_, i) => Buffer.from(`message ${i}`));
      for (const message of messages) ws.send(message);
      for (const message of messages) await connection.expect(message, true);
    });
  const expectLast = (code, reason) =>
    using(port, '/last', (connection) =>
      connection.expect(Buffer.from(`${code} ${reason}`), false));
  const clientCloses = (code, reason) => async () => {
    await using(port, '/echo', async (connection, ws) => {
      if (code === 0) ws.close();
      else ws.close(code, reason);
      await connection.ended(code || 1005, reason);
    });
    await expectLast(code, reason);
  };
  const serverCloses = (code, reason) => async () => {
    await using(port, '/close', async (connection, ws) => {
      ws.send(`${code} ${reason}`);
      await connection.ended(code || 1005, reason);
    });
    await expectLast(code, reason);
  };
  const tooLong = async () => {
    await using(echoPort, '/', async (connection, ws) => {
      ws.send(Buffer.alloc(limit + 1));
      await connection.ended(1009, 'message too long');
    });
    await exchange('echo', Buffer.from('the server is still there'), false)();
  };

  const cases = [];
  for (const [kind, make] of [['text', text], ['binary', binary]]) {
    const isBinary = kind === 'binary';
    for (const size of sizes) {
      const name = `${kind} of ${size}`;
      cases.push([name, exchange('echo', make(size), isBinary)]);
      cases.push([`${name} in fragments`, exchange('fragments', make(size), isBinary)]);
    }
    cases.push([`${kind} after pings`, exchange('ping', make(1000), isBinary)]);
    cases.push([`${kind} with pings in between`, exchange('pings', make(1000), isBinary)]);
  }
  cases.push(['burst of 1000', burst(1000)]);
  for (const [code, reason] of closes) {
    cases.push([`client closes ${code} ${reason}`, clientCloses(code, reason)]);
    cases.push([`server closes ${code} ${reason}`, serverCloses(code, reason)]);
  }
  cases.push(['client closes without a code', clientCloses(0, '')]);
  cases.push(['server closes without a code', serverCloses(0, '')]);
  cases.push(['a message over the maximum', tooLong]);
  return cases;
}

async function inTime(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('too late')), STEP);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function runClient(echoPort, port) {
  for (const [name, run] of makeCases(echoPort, port)) {
    try {
      await inTime(run());
      console.log(`ok ${name}`);
    } catch (e) {
      console.log(`not ok ${name}: ${e.message}`);
    }
  }
  process.exit();
}

const [mode, ...ports] = process.argv.slice(2);
if (mode === 'server') runServer();
else runClient(...ports.map(Number));
