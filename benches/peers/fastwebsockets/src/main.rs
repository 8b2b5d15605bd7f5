//! fastwebsockets. It writes every frame by itself, so its stream gathers them.

use common::{EchoJob, Gather, Job, MAX_MESSAGE, Measure, Payload, Result};
use fastwebsockets::{FragmentCollector, Frame, OpCode, Role, WebSocket};

const GATHERED: usize = 64 << 10;

async fn echo(job: EchoJob) -> Result<()> {
    common::serve(job, async |stream| {
        let stream = Gather::new(common::hyper_upgrade(stream).await?, GATHERED);
        let mut ws = WebSocket::after_handshake(stream, Role::Server);
        ws.set_max_message_size(MAX_MESSAGE);
        let mut ws = FragmentCollector::new(ws);
        loop {
            let frame = ws.read_frame().await?;
            match frame.opcode {
                OpCode::Text | OpCode::Binary => ws.write_frame(frame).await?,
                OpCode::Close => break,
                _ => {}
            }
        }
        // The answer to the close frame has been written, but perhaps only gathered.
        Ok(tokio::io::AsyncWriteExt::shutdown(&mut ws.into_inner()).await?)
    })
    .await
}

async fn send(job: common::SendJob) -> Result<()> {
    let stream = common::client_upgrade(common::connect(job.port).await?).await?;
    let mut ws = WebSocket::after_handshake(Gather::new(stream, GATHERED), Role::Client);
    let mut payload = Payload::new(job.size);
    let measure = Measure::start();
    for number in 0..job.count {
        let payload = payload.numbered(number).to_vec();
        ws.write_frame(Frame::binary(payload.into())).await?;
        if (number + 1) % job.batch == 0 {
            ws.flush().await?;
        }
    }
    ws.flush().await?;
    measure.print(job.count);
    ws.write_frame(Frame::close(1000, b"")).await?;
    Ok(ws.flush().await?)
}

fn main() -> Result<()> {
    match common::job() {
        Job::Echo(job) => common::block_on(echo(job)),
        Job::Send(job) => common::block_on(send(job)),
    }
}
