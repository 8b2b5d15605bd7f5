//! What the peers written in Rust have in common: the command line, a single-threaded
//! runtime, the echo loop over a `Stream` and `Sink`, the measured loop of a client.

mod gather;
mod socket;
mod upgrade;

pub use gather::Gather;
pub use socket::{Socket, server_config};
pub use upgrade::{client_upgrade, hyper_upgrade};

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use rustix::time::{ClockId, clock_gettime};
use rustls::ServerConfig;
use std::error::Error;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What every fallible function here returns.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A message of this size must fit.
pub const MAX_MESSAGE: usize = 16 << 20;

/// What the command line asks for.
pub enum Job {
    /// Echo.
    Echo(EchoJob),
    /// Send messages to a sink.
    Send(SendJob),
}

/// A server's work.
#[derive(Clone)]
pub struct EchoJob {
    /// A port of 127.0.0.1.
    pub port: u16,
    /// Tuned for many idle connections, or else for throughput.
    pub idle: bool,
    /// TLS is spoken below.
    pub tls: Option<Arc<ServerConfig>>,
}

/// A client's work.
#[derive(Clone, Copy)]
pub struct SendJob {
    /// The sink's port on 127.0.0.1.
    pub port: u16,
    /// Payload bytes per message.
    pub size: usize,
    /// Messages to send.
    pub count: u64,
    /// Messages that may leave together.
    pub batch: u64,
}

/// Reads the command line, or ends the program.
pub fn job() -> Job {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    parse(&args).unwrap_or_else(|| {
        eprintln!("usage: echo PORT [idle] [CERTIFICATE KEY] | send PORT SIZE COUNT BATCH");
        std::process::exit(2);
    })
}

fn parse(args: &[&str]) -> Option<Job> {
    let echo = |port: &str, idle, tls| Some(Job::Echo(EchoJob { port: port.parse().ok()?, idle, tls }));
    let tls = |cert, key| Some(server_config(cert, key).expect("a certificate and its key"));
    match *args {
        ["echo", port] => echo(port, false, None),
        ["echo", port, "idle"] => echo(port, true, None),
        ["echo", port, cert, key] => echo(port, false, tls(cert, key)),
        ["echo", port, "idle", cert, key] => echo(port, true, tls(cert, key)),
        ["send", port, size, count, batch] => Some(Job::Send(SendJob {
            port: port.parse().ok()?,
            size: size.parse().ok()?,
            count: count.parse().ok()?,
            batch: batch.parse().ok()?,
        })),
        _ => None,
    }
}

/// Runs a future on a runtime of one thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Accepts connections for ever, each with a task of its own.
pub async fn serve<F, R>(job: EchoJob, handle: F) -> Result<()>
where
    F: Fn(Socket) -> R + Copy + Send + 'static,
    R: Future<Output = Result<()>> + Send + 'static,
{
    let listener = listen(job.port)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let job = job.clone();
        let task = tokio::task::unconstrained(async move {
            let socket = Socket::accept(stream, job).await?;
            handle(socket).await
        });
        tokio::spawn(async {
            // A connection that ends badly is the load generator's to notice.
            let _ = task.await;
        });
    }
}

fn listen(port: u16) -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it.
    socket.set_nodelay(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    Ok(socket.listen(1024)?)
}

/// Connects to a port of 127.0.0.1.
pub async fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends back what `answer` makes of every item, and flushes only before it has to wait.
pub async fn echo<W, I, M>(mut ws: W, answer: impl Fn(I) -> Result<Option<M>>) -> Result<()>
where
    W: Stream<Item = I> + Sink<M> + Unpin,
    W::Error: Error + Send + Sync + 'static,
{
    loop {
        let item = poll_fn(|cx| match ws.poll_next_unpin(cx) {
            Poll::Ready(item) => Poll::Ready(Ok(item)),
            Poll::Pending => match ready!(ws.poll_flush_unpin(cx)) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        });
        let Some(item) = item.await? else { break };
        if let Some(message) = answer(item)? {
            ws.feed(message).await?;
        }
    }
    Ok(ws.close().await?)
}

/// The same for a library that flushes whenever it is asked for the next message: takes what
/// has arrived, up to about 64 KiB, then answers it together.
pub async fn echo_in_batches<W, I, M>(
    mut ws: W,
    answer: impl Fn(I) -> Result<Option<M>>,
    size: impl Fn(&M) -> usize,
) -> Result<()>
where
    W: Stream<Item = I> + Sink<M> + Unpin,
    W::Error: Error + Send + Sync + 'static,
{
    let mut batch = Vec::new();
    while let Some(item) = ws.next().await {
        batch.extend(answer(item)?);
        let mut bytes: usize = batch.iter().map(&size).sum();
        while bytes < 64 << 10
            && let Some(Some(item)) = ws.next().now_or_never()
        {
            let message = answer(item)?;
            bytes += message.as_ref().map_or(0, &size);
            batch.extend(message);
        }
        for message in batch.drain(..) {
            ws.feed(message).await?;
        }
        ws.flush().await?;
    }
    Ok(ws.close().await?)
}

/// Sends a job's messages over a `Sink` and closes it.
pub async fn send<W, M>(mut ws: W, job: SendJob, message: impl Fn(&[u8]) -> M) -> Result<()>
where
    W: Sink<M> + Unpin,
    W::Error: Error + Send + Sync + 'static,
{
    let mut payload = Payload::new(job.size);
    let measure = Measure::start();
    for number in 0..job.count {
        ws.feed(message(payload.numbered(number))).await?;
        if (number + 1) % job.batch == 0 {
            ws.flush().await?;
        }
    }
    ws.flush().await?;
    measure.print(job.count);
    Ok(ws.close().await?)
}

/// The payload that the sink expects: a sequence number if it fits, then a pattern.
pub struct Payload(Vec<u8>);

impl Payload {
    /// A payload of `size` bytes.
    pub fn new(size: usize) -> Self {
        Self((0..size).map(|i| (i % 251) as u8).collect())
    }

    /// The payload of message `number`.
    pub fn numbered(&mut self, number: u64) -> &mut [u8] {
        if self.0.len() >= 16 {
            self.0[..8].copy_from_slice(&number.to_le_bytes());
        }
        &mut self.0
    }
}

/// Processor time of this process between two points.
pub struct Measure(u64);

impl Measure {
    /// From here …
    pub fn start() -> Self {
        Self(cpu_ns())
    }

    /// … to here, for so many messages.
    pub fn print(self, messages: u64) {
        let cpu_ns = cpu_ns() - self.0;
        println!("{{\"messages\": {messages}, \"cpu_ns\": {cpu_ns}}}");
    }
}

fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
