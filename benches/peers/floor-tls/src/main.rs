//! The floors over TLS: an echo server on epoll that does the least possible, as floor.c does over TCP.
//!
//! "in-place": the secrets of the handshake, which rustls hands over, and ring on the buffer that was received
//! into: TLS 1.3 with AES-128-GCM, no alerts, no key updates. "buffered": rustls' own buffers, as every library on
//! it has them.

mod frames;
mod in_place;

use frames::Frames;
use in_place::Keys;
use rustls::ServerConnection;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// How much is received at a time, in bytes.
const BUFFER: usize = 256 * 1024;

enum Tls {
    /// During the handshake, and for ever where it is rustls that opens and seals.
    Buffered(Box<ServerConnection>),
    InPlace(Keys),
}

struct Conn {
    socket: TcpStream,
    tls: Option<Tls>,
    /// Received, and not a whole record.
    partial: Vec<u8>,
    unsent: Vec<u8>,
    frames: Frames,
}

struct Space {
    wire: Vec<u8>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

fn is_blocked<T>(result: &std::io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

impl Conn {
    /// False: it is over.
    fn ready(&mut self, in_place: bool, space: &mut Space) -> bool {
        let result = match &self.tls {
            Some(Tls::Buffered(_)) => self.buffered(in_place, space),
            _ => self.in_place(space),
        };
        matches!(result, Some(())) && !(self.frames.closing && self.unsent.is_empty())
    }

    fn push(&mut self) -> Option<()> {
        while !self.unsent.is_empty() {
            let sent = self.socket.write(&self.unsent);
            if is_blocked(&sent) {
                return Some(());
            }
            self.unsent.drain(..sent.ok()?);
        }
        Some(())
    }

    fn buffered(&mut self, in_place: bool, space: &mut Space) -> Option<()> {
        self.push()?;
        let Some(Tls::Buffered(tls)) = &mut self.tls else { return None };
        let got = tls.read_tls(&mut self.socket);
        if !is_blocked(&got) && got.ok()? == 0 {
            return None;
        }
        let state = tls.process_new_packets().ok()?;
        let len = state.plaintext_bytes_to_read();
        if len > 0 {
            if space.plain.len() < len + 64 {
                space.plain.resize(len + 64, 0);
            }
            let held = self.frames.restore(&mut space.plain);
            tls.reader().read_exact(&mut space.plain[held..held + len]).ok()?;
            let out = self.frames.turn(&mut space.plain[..held + len])?;
            tls.writer().write_all(out).ok()?;
        }
        while tls.wants_write() {
            let sent = tls.write_tls(&mut self.socket);
            if is_blocked(&sent) {
                // Kept here, for the sake of one loop for both kinds.
                tls.write_tls(&mut self.unsent).ok()?;
            } else {
                sent.ok()?;
            }
        }
        let is_done = !tls.is_handshaking() && self.frames.is_open;
        if in_place && is_done {
            let Some(Tls::Buffered(tls)) = self.tls.take() else { return None };
            self.tls = Some(Tls::InPlace(Keys::new(tls.dangerous_extract_secrets().ok()?)));
        }
        Some(())
    }

    fn in_place(&mut self, space: &mut Space) -> Option<()> {
        self.push()?;
        if !self.unsent.is_empty() {
            return Some(());
        }
        let held = self.partial.len();
        space.wire[..held].copy_from_slice(&self.partial);
        let got = self.socket.read(&mut space.wire[held..BUFFER]);
        if is_blocked(&got) {
            return Some(());
        }
        let got = got.ok().filter(|got| *got > 0)?;
        let Some(Tls::InPlace(keys)) = &mut self.tls else { return None };
        // Room in front for the beginning of a header that came before.
        let (wire, room) = (&mut space.wire[..held + got], &mut space.plain);
        let (used, len) = keys.open(wire)?;
        self.partial.clear();
        self.partial.extend_from_slice(&wire[used..]);
        let out = if self.frames.holds() {
            if room.len() < len + 64 {
                room.resize(len + 64, 0);
            }
            let front = self.frames.restore(room);
            room[front..front + len].copy_from_slice(&wire[..len]);
            self.frames.turn(&mut room[..front + len])?
        } else {
            self.frames.turn(&mut wire[..len])?
        };
        space.sealed.clear();
        keys.seal(out, &mut space.sealed)?;
        let sent = self.socket.write(&space.sealed);
        let sent = if is_blocked(&sent) { 0 } else { sent.ok()? };
        self.unsent.extend_from_slice(&space.sealed[sent..]);
        Some(())
    }
}

fn control(poller: i32, op: i32, fd: i32, events: i32, id: usize) {
    let mut event = libc::epoll_event { events: events as u32, u64: id as u64 };
    assert_eq!(unsafe { libc::epoll_ctl(poller, op, fd, &mut event) }, 0);
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, port, cert, key] = &args[..] else { panic!("in-place|buffered PORT CERTIFICATE KEY") };
    let in_place = mode == "in-place";
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| suite.suite() == rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            CertificateDer::pem_file_iter(cert).unwrap().map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    config.enable_secret_extraction = true;
    config.ticketer = rustls::crypto::ring::Ticketer::new().unwrap();
    let config = Arc::new(config);

    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    listener.set_nonblocking(true).unwrap();
    let poller = unsafe { libc::epoll_create1(0) };
    control(poller, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), libc::EPOLLIN, 0);
    let mut space =
        Space { wire: vec![0; BUFFER], plain: Vec::new(), sealed: Vec::with_capacity(BUFFER * 2) };
    let mut conns: Vec<Option<Conn>> = vec![None];
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
    loop {
        let count = unsafe { libc::epoll_wait(poller, events.as_mut_ptr(), 256, -1) };
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            let id = event.u64 as usize;
            if id == 0 {
                let Ok((socket, _)) = listener.accept() else { continue };
                socket.set_nonblocking(true).unwrap();
                socket.set_nodelay(true).unwrap();
                let mut tls = ServerConnection::new(config.clone()).unwrap();
                tls.set_buffer_limit(None);
                let fd = socket.as_raw_fd();
                let id = conns.iter().skip(1).position(Option::is_none).map_or(conns.len(), |at| at + 1);
                if id == conns.len() {
                    conns.push(None);
                }
                conns[id] = Some(Conn {
                    socket,
                    tls: Some(Tls::Buffered(Box::new(tls))),
                    partial: Vec::new(),
                    unsent: Vec::new(),
                    frames: Frames::default(),
                });
                control(poller, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN, id);
                continue;
            }
            let Some(conn) = &mut conns[id] else { continue };
            let was_full = !conn.unsent.is_empty();
            if !conn.ready(in_place, &mut space) {
                conns[id] = None;
                continue;
            }
            let is_full = !conn.unsent.is_empty();
            if was_full != is_full {
                let wanted = if is_full { libc::EPOLLOUT } else { libc::EPOLLIN };
                control(poller, libc::EPOLL_CTL_MOD, conn.socket.as_raw_fd(), wanted, id);
            }
        }
    }
}
