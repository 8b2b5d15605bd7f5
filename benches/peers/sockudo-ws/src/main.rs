//! sockudo-ws, without compression and without pings.

use bytes::Bytes;
use common::{EchoJob, Job, MAX_MESSAGE, Result};
use sockudo_ws::client::WebSocketClient;
use sockudo_ws::handshake::server_handshake;
use sockudo_ws::{Config, Http1, Message, WebSocketStream};

fn config() -> Config {
    Config::builder().max_payload_length(MAX_MESSAGE).auto_ping(false).idle_timeout(0).build()
}

fn answer(message: sockudo_ws::Result<Message>) -> Result<Option<Message>> {
    match message? {
        message @ (Message::Text(_) | Message::Binary(_)) => Ok(Some(message)),
        _ => Ok(None),
    }
}

async fn echo(job: EchoJob) -> Result<()> {
    common::serve(job, async |mut stream| {
        server_handshake(&mut stream).await?;
        common::echo(WebSocketStream::server(stream, config()), answer).await
    })
    .await
}

async fn send(job: common::SendJob) -> Result<()> {
    let stream = common::connect(job.port).await?;
    let client = WebSocketClient::<Http1>::new(config());
    let (ws, _) = client.connect(stream, "127.0.0.1", "/", None).await?;
    common::send(ws, job, |payload| Message::Binary(Bytes::copy_from_slice(payload))).await
}

fn main() -> Result<()> {
    match common::job() {
        Job::Echo(job) => common::block_on(echo(job)),
        Job::Send(job) => common::block_on(send(job)),
    }
}
