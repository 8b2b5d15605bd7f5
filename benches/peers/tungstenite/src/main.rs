//! tungstenite, on an epoll loop of mio's: everything that has arrived is read and answered
//! into its write buffer, then flushed once.

use bytes::Bytes;
use common::{Job, MAX_MESSAGE, Measure, Payload, Result, SendJob};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
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

/// A connection, before and after its handshake.
enum Connection {
    Handshake(MidHandshake<ServerHandshake<Socket, NoCallback>>),
    Open(WebSocket<Socket>),
}

impl Connection {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Handshake(handshake) => handshake.get_mut().get_mut(),
            Self::Open(ws) => ws.get_mut(),
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

type Shaken = std::result::Result<WebSocket<Socket>, HandshakeError<ServerHandshake<Socket, NoCallback>>>;

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
fn turn(ws: &mut WebSocket<Socket>) -> bool {
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

fn config(idle: bool) -> WebSocketConfig {
    let buffer = if idle { 4 << 10 } else { 128 << 10 };
    WebSocketConfig::default()
        .read_buffer_size(buffer)
        .write_buffer_size(buffer)
        .max_message_size(Some(MAX_MESSAGE))
}

fn accept_all(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Slab<Option<Connection>>,
    config: WebSocketConfig,
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
        let socket = Socket { inner: stream, drained };
        if let Some(connection) = shaken(tungstenite::accept_with_config(socket, Some(config))) {
            entry.insert(Some(connection));
        }
    }
}

fn echo(port: u16, idle: bool) -> Result<()> {
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut connections = Slab::new();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                accept_all(&listener, &poll, &mut connections, config(idle))?;
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
        Job::Echo { port, idle } => echo(port, idle),
        Job::Send(job) => send(job),
    }
}
