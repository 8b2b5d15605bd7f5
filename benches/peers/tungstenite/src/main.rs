//! tungstenite, on an epoll loop of mio's: everything that has arrived is read and answered
//! into its write buffer, then flushed once. Over TLS rustls' stream is between the two.

use bytes::Bytes;
use common::{EchoJob, Job, MAX_MESSAGE, Measure, Payload, Result, SendJob};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::{ServerConnection, StreamOwned};
use slab::Slab;
use std::io::{self, ErrorKind, Read, Write};
use tungstenite::handshake::MidHandshake;
use tungstenite::handshake::server::{NoCallback, ServerHandshake};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

const LISTENER: Token = Token(usize::MAX);

/// A socket that knows from a short read that the next one would block.
struct Socket {
    inner: TcpStream,
    drained: bool,
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.drained {
            return Err(ErrorKind::WouldBlock.into());
        }
        let size = self.inner.read(buf)?;
        self.drained = size > 0 && size < buf.len();
        Ok(size)
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.inner.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// rustls reads 4 KiB at a time: this saves it the system calls.
struct ReadAhead {
    socket: Socket,
    buf: Vec<u8>,
    at: usize,
    end: usize,
}

impl Read for ReadAhead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.end {
            if self.buf.len() <= buf.len() {
                return self.socket.read(buf);
            }
            self.end = self.socket.read(&mut self.buf)?;
            self.at = 0;
        }
        let size = buf.len().min(self.end - self.at);
        buf[..size].copy_from_slice(&self.buf[self.at..self.at + size]);
        self.at += size;
        Ok(size)
    }
}

impl Write for ReadAhead {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket as it is, or TLS on it.
enum Transport {
    Plain(Socket),
    Secure(Box<StreamOwned<ServerConnection, ReadAhead>>),
}

impl Transport {
    fn new(socket: Socket, job: &EchoJob) -> Result<Self> {
        let Some(config) = &job.tls else { return Ok(Self::Plain(socket)) };
        let buf = vec![0; if job.idle { 0 } else { buffer_size(job) }];
        let socket = ReadAhead { socket, buf, at: 0, end: 0 };
        Ok(Self::Secure(Box::new(StreamOwned::new(ServerConnection::new(config.clone())?, socket))))
    }

    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Secure(stream) => &mut stream.sock.socket,
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buf),
            Self::Secure(stream) => stream.read(buf),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(buf),
            Self::Secure(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Secure(stream) => stream.flush(),
        }
    }
}

/// A connection, before and after its handshake.
enum Connection {
    Handshake(MidHandshake<ServerHandshake<Transport, NoCallback>>),
    Open(WebSocket<Transport>),
}

impl Connection {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Handshake(handshake) => handshake.get_mut().get_mut().socket(),
            Self::Open(ws) => ws.get_mut().socket(),
        }
    }

    /// Does what can be done without waiting; `None` when the connection has ended.
    fn step(self) -> Option<Self> {
        match self {
            Self::Handshake(handshake) => shaken(handshake.handshake()),
            Self::Open(mut ws) => turn(&mut ws).then_some(Self::Open(ws)),
        }
    }
}

type Shaken =
    std::result::Result<WebSocket<Transport>, HandshakeError<ServerHandshake<Transport, NoCallback>>>;

fn shaken(outcome: Shaken) -> Option<Connection> {
    match outcome {
        Ok(ws) => Connection::Open(ws).step(),
        Err(HandshakeError::Interrupted(handshake)) => Some(Connection::Handshake(handshake)),
        Err(HandshakeError::Failure(_)) => None,
    }
}

fn blocked(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}

fn done_or_blocked(outcome: tungstenite::Result<()>) -> bool {
    outcome.map_or_else(|error| blocked(&error), |()| true)
}

/// Echoes what has arrived; false when the connection has ended.
fn turn(ws: &mut WebSocket<Transport>) -> bool {
    loop {
        let written = match ws.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => ws.write(message),
            Ok(_) => Ok(()),
            Err(error) if blocked(&error) => return done_or_blocked(ws.flush()),
            Err(_) => return false,
        };
        if !done_or_blocked(written) {
            return false;
        }
    }
}

fn buffer_size(job: &EchoJob) -> usize {
    if job.idle { 4 << 10 } else { 128 << 10 }
}

fn config(job: &EchoJob) -> WebSocketConfig {
    let buffer = buffer_size(job);
    WebSocketConfig::default()
        .read_buffer_size(buffer)
        .write_buffer_size(buffer)
        .max_message_size(Some(MAX_MESSAGE))
}

fn accept_all(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Slab<Option<Connection>>,
    job: &EchoJob,
) -> Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        let entry = connections.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(entry.key()), interest)?;
        let drained = false;
        let transport = Transport::new(Socket { inner: stream, drained }, job)?;
        if let Some(connection) = shaken(tungstenite::accept_with_config(transport, Some(config(job)))) {
            entry.insert(Some(connection));
        }
    }
}

fn echo(job: &EchoJob) -> Result<()> {
    let mut listener = TcpListener::bind(([127, 0, 0, 1], job.port).into())?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut connections = Slab::new();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                accept_all(&listener, &poll, &mut connections, job)?;
                continue;
            }
            let key = event.token().0;
            let Some(mut connection) = connections.get_mut(key).and_then(Option::take) else {
                continue;
            };
            connection.socket().drained &= !event.is_readable();
            match connection.step() {
                Some(connection) => connections[key] = Some(connection),
                None => drop(connections.remove(key)),
            }
        }
    }
}

fn send(job: SendJob) -> Result<()> {
    let stream = std::net::TcpStream::connect(("127.0.0.1", job.port))?;
    stream.set_nodelay(true)?;
    let (mut ws, _) = tungstenite::client("ws://127.0.0.1/", stream)?;
    let mut payload = Payload::new(job.size);
    let measure = Measure::start();
    for number in 0..job.count {
        let payload = Bytes::copy_from_slice(payload.numbered(number));
        ws.write(Message::Binary(payload))?;
        if (number + 1) % job.batch == 0 {
            ws.flush()?;
        }
    }
    ws.flush()?;
    measure.print(job.count);
    ws.close(None)?;
    Ok(ws.flush()?)
}

fn main() -> Result<()> {
    match common::job() {
        Job::Echo(job) => echo(&job),
        Job::Send(job) => send(job),
    }
}
