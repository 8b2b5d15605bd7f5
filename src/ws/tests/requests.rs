//! Requests and answers as today's programs send them.

use crate::ws::handshake::{check_response, parse_request};

/// Cookies of 6 KiB, as they gather on a real site: far beyond libdill's 255 bytes a field.
fn cookies() -> String {
    let cookie = |number| format!("session_{number:02}={}", "0123456789abcdef".repeat(12));
    (0..30).map(cookie).collect::<Vec<_>>().join("; ")
}

/// Sends lines with the cookies in the place of `COOKIES`, and expects resource and host.
fn accepted(lines: &[&str], resource: &str, host: &str) {
    let head = lines.join("\r\n") + "\r\n\r\n";
    let head = head.replace("COOKIES", &cookies());
    let request = parse_request(head.as_bytes()).expect("a good request");
    assert_eq!(request.resource, resource.as_bytes());
    assert_eq!(request.host, host.as_bytes());
}

#[test]
fn chromium() {
    assert!(cookies().len() > 6 * 1024);
    accepted(
        &[
            "GET /socket?token=a%20b HTTP/1.1",
            "Host: localhost:8080",
            "Connection: Upgrade",
            "Pragma: no-cache",
            "Cache-Control: no-cache",
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/131.0.0.0 Safari/537.36",
            "Upgrade: websocket",
            "Origin: http://localhost:8080",
            "Sec-WebSocket-Version: 13",
            "Accept-Encoding: gzip, deflate, br, zstd",
            "Accept-Language: en-US,en;q=0.9,de;q=0.8",
            "Cookie: COOKIES",
            "Sec-WebSocket-Key: Xq5hZ2vBd1cS0k8uT9yYbA==",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        ],
        "/socket?token=a%20b",
        "localhost:8080",
    );
}

#[test]
fn firefox() {
    accepted(
        &[
            "GET /socket HTTP/1.1",
            "Host: example.org",
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
            "Accept: */*",
            "Accept-Language: en-US,en;q=0.5",
            "Accept-Encoding: gzip, deflate, br, zstd",
            "Sec-WebSocket-Version: 13",
            "Origin: https://example.org",
            "Sec-WebSocket-Protocol: mqtt, chat",
            "Sec-WebSocket-Extensions: permessage-deflate",
            "Sec-WebSocket-Key: 9LJ3sT4a1nVf0bGk5mP7cQ==",
            "Connection: keep-alive, Upgrade",
            "Cookie: COOKIES",
            "Sec-Fetch-Dest: empty",
            "Sec-Fetch-Mode: websocket",
            "Sec-Fetch-Site: same-origin",
            "Pragma: no-cache",
            "Cache-Control: no-cache",
            "Upgrade: websocket",
        ],
        "/socket",
        "example.org",
    );
}

#[test]
fn safari() {
    accepted(
        &[
            "GET /socket HTTP/1.1",
            "Cookie: COOKIES",
            "Sec-WebSocket-Key: pV0lq3OQ6Zk4x8n2mJt5Rg==",
            "Sec-WebSocket-Version: 13",
            "Upgrade: websocket",
            "Origin: https://example.org",
            "Sec-WebSocket-Extensions: permessage-deflate",
            "User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
            "Cache-Control: no-cache",
            "Connection: Upgrade",
            "Pragma: no-cache",
            "Host: example.org",
            "Accept-Language: de-DE,de;q=0.9",
            "Accept-Encoding: gzip, deflate",
        ],
        "/socket",
        "example.org",
    );
}

#[test]
fn curl() {
    accepted(
        &[
            "GET / HTTP/1.1",
            "Host: [::1]:9000",
            "User-Agent: curl/8.11.0",
            "Accept: */*",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: hc4aqR2u8pCkOo1vQYzW7g==",
            "Connection: Upgrade",
        ],
        "/",
        "[::1]:9000",
    );
}

#[test]
fn gorilla_of_go() {
    accepted(
        &[
            "GET /echo HTTP/1.1",
            "Host: localhost:8080",
            "User-Agent: Go-http-client/1.1",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: zE5m0b1kqvRfX2y7n9GJ4A==",
            "Sec-WebSocket-Version: 13",
            "Upgrade: websocket",
        ],
        "/echo",
        "localhost:8080",
    );
}

#[test]
fn the_jdk_of_java() {
    accepted(
        &[
            "GET /feed?a=b HTTP/1.1",
            "Connection: Upgrade",
            "Content-Length: 0",
            "Host: 127.0.0.1:8080",
            "Upgrade: websocket",
            "User-Agent: Java-http-client/21.0.5",
            "Sec-WebSocket-Key: 3qJz8Yx0k7LwTn5oBvC2Dg==",
            "Sec-WebSocket-Version: 13",
        ],
        "/feed?a=b",
        "127.0.0.1:8080",
    );
}

#[test]
fn ws_of_node_and_websockets_of_python() {
    accepted(
        &[
            "GET / HTTP/1.1",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: L8n6Z1jv0cJ3sHq5k2YtXw==",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "Host: localhost:3000",
        ],
        "/",
        "localhost:3000",
    );
    accepted(
        &[
            "GET / HTTP/1.1",
            "Host: localhost:8765",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: mN2b5v8x1QwErTyUiOpAsA==",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "User-Agent: Python/3.13 websockets/14.1",
        ],
        "/",
        "localhost:8765",
    );
}

#[test]
fn a_request_that_came_through_a_proxy() {
    accepted(
        &[
            "GET /ws HTTP/1.1",
            "X-Forwarded-For: 203.0.113.7",
            "X-Forwarded-Proto: https",
            "Host: backend",
            "Upgrade: websocket",
            "Connection: upgrade",
            "Sec-WebSocket-Key: Xq5hZ2vBd1cS0k8uT9yYbA==",
            "Sec-WebSocket-Version: 13",
            "Via: 1.1 proxy",
        ],
        "/ws",
        "backend",
    );
}

#[test]
fn answers_of_common_servers() {
    let key = b"dGhlIHNhbXBsZSBub25jZQ==";
    for answer in [
        // A proxy in front of a program.
        "HTTP/1.1 101 Switching Protocols\r\nServer: nginx/1.26.2\r\n\
         Date: Mon, 02 Dec 2024 10:00:00 GMT\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        // Lower-case names.
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        // A token in another case, and a reason of its own.
        "HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\n\
         Connection: Upgrade, Keep-Alive\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nContent-Length: 0\r\n\r\n",
    ] {
        assert_eq!(check_response(answer.as_bytes(), key), Ok(()), "{answer}");
    }
}

#[test]
fn refusals_of_common_servers_show_their_status() {
    let key = b"dGhlIHNhbXBsZSBub25jZQ==";
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", 200),
        ("HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\n", 301),
        ("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n", 401),
        ("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n", 503),
    ] {
        let refusal = check_response(answer.as_bytes(), key).expect_err("refused");
        assert_eq!(refusal.status, Some(status));
    }
}
