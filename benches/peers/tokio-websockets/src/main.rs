//! tokio-websockets, with its flush threshold raised to gather more than 8 KiB.

use bytes::Bytes;
use common::{EchoJob, Job, MAX_MESSAGE, Result};
use tokio_websockets::{ClientBuilder, Config, Limits, Message, ServerBuilder};

fn answer(message: std::result::Result<Message, tokio_websockets::Error>) -> Result<Option<Message>> {
    let message = message?;
    Ok((message.is_binary() || message.is_text()).then_some(message))
}

async fn echo(job: EchoJob) -> Result<()> {
    common::serve(job, async |stream| {
        let builder = ServerBuilder::new()
            .config(Config::default().flush_threshold(64 << 10))
            .limits(Limits::default().max_payload_len(Some(MAX_MESSAGE)));
        let (_, ws) = builder.accept(stream).await?;
        common::echo_in_batches(ws, answer, |message: &Message| message.as_payload().len()).await
    })
    .await
}

async fn send(job: common::SendJob) -> Result<()> {
    let stream = common::connect(job.port).await?;
    let (ws, _) = ClientBuilder::new().uri("ws://127.0.0.1/")?.connect_on(stream).await?;
    common::send(ws, job, |payload| Message::binary(Bytes::copy_from_slice(payload))).await
}

fn main() -> Result<()> {
    match common::job() {
        Job::Echo(job) => common::block_on(echo(job)),
        Job::Send(job) => common::block_on(send(job)),
    }
}
