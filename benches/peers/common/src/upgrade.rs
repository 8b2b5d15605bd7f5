use crate::{Result, Socket};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The handshake on hyper, which fastwebsockets and yawc leave it to, and the bare socket
/// afterwards: reading and writing through hyper's `Upgraded` would cost more.
pub async fn hyper_upgrade(stream: Socket) -> Result<Socket> {
    let upgrade: Mutex<Option<OnUpgrade>> = Mutex::new(None);
    let answer = service_fn(async |mut request: Request<Incoming>| {
        let response = accept(&request)?;
        *upgrade.lock().expect("one thread") = Some(hyper::upgrade::on(&mut request));
        Ok::<_, hyper::http::Error>(response)
    });
    http1::Builder::new().serve_connection(TokioIo::new(stream), answer).with_upgrades().await?;
    let upgrade = upgrade.into_inner()?.ok_or("not upgraded")?;
    let upgraded = upgrade.await?;
    let parts = upgraded.downcast::<TokioIo<Socket>>().map_err(|_| "not the socket")?;
    if !parts.read_buf.is_empty() {
        return Err("data came with the request".into());
    }
    Ok(parts.io.into_inner())
}

fn accept(request: &Request<Incoming>) -> hyper::http::Result<Response<Empty<Bytes>>> {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return Response::builder().status(StatusCode::BAD_REQUEST).body(Empty::new());
    };
    let mut sha1 = Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, STANDARD.encode(sha1.finalize()))
        .body(Empty::new())
}

/// The client's half, for a sink that is known to answer with a 101 and nothing behind it.
pub async fn client_upgrade(mut stream: TcpStream) -> Result<TcpStream> {
    let request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\
        Upgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(request).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    match head.starts_with(b"HTTP/1.1 101 ") {
        true => Ok(stream),
        false => Err("not upgraded".into()),
    }
}
