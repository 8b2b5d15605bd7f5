//! yawc, with the buffers that its own benchmark uses, or small ones for idle connections.

use bytes::Bytes;
use common::{EchoJob, Job, MAX_MESSAGE, Result};
use yawc::{Frame, OpCode, Options, Role, WebSocket};

fn options(idle: bool) -> Options {
    let buffer = if idle { 1024 } else { 128 << 10 };
    Options::default()
        .with_limits(MAX_MESSAGE, 2 * MAX_MESSAGE)
        .with_utf8()
        .with_read_buffer_capacity(buffer)
        .with_write_buffer_capacity(buffer)
        .with_backpressure_boundary(64 << 10)
}

fn answer(frame: Frame) -> Result<Option<Frame>> {
    let data = matches!(frame.opcode(), OpCode::Text | OpCode::Binary);
    Ok(data.then_some(frame))
}

async fn echo(job: EchoJob) -> Result<()> {
    let idle = job.idle;
    common::serve(job, move |stream| async move {
        let stream = common::hyper_upgrade(stream).await?;
        let ws = WebSocket::from_stream(stream, Role::Server, options(idle))?;
        common::echo(ws, answer).await
    })
    .await
}

async fn send(job: common::SendJob) -> Result<()> {
    let stream = common::connect(job.port).await?;
    let url = "ws://127.0.0.1/".parse()?;
    let ws = WebSocket::handshake(url, stream, options(false)).await?;
    common::send(ws, job, |payload| Frame::binary(Bytes::copy_from_slice(payload))).await
}

fn main() -> Result<()> {
    match common::job() {
        Job::Echo(job) => common::block_on(echo(job)),
        Job::Send(job) => common::block_on(send(job)),
    }
}
