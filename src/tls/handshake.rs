//! The handshake, without I/O: records in, records out.
//!
//! The library that does it takes tens of kilobytes of stack, and a coroutine may have four: it runs on the
//! thread's big stack.

#![forbid(unsafe_code)]

use super::chooser;
use super::negotiated::NegotiatedTls;
use super::records::{HEADER, Kernel, Session};
use super::refusal;
use crate::error::{Errno, Result};
use crate::memory::{try_box, try_extend, try_push, try_vec};
use crate::rt::big_stack::BigStack;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, Error, HandshakeKind, ProtocolVersion, ServerConfig};
use std::sync::Arc;

enum RustlsConnection {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// A handshake under way.
pub(super) struct Handshake {
    /// Large, and not to be moved about on a coroutine's stack.
    connection: Box<RustlsConnection>,
    stack: &'static BigStack,
    /// Records that were received and not taken in.
    incoming: Vec<u8>,
    /// The host that the client asks for, if it does.
    sni: Vec<u8>,
    strict: bool,
    /// We are a client that verifies the server.
    verifies: bool,
}

/// What a step of the handshake has come to.
enum HandshakeStep {
    /// There may be more to do at once.
    Again,
    /// More of the peer's records are needed.
    Blocked,
    Done,
}

impl Handshake {
    /// A client's. `strict`: the end of the stream without close_notify will be an error.
    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        strict: bool,
        verifies: bool,
    ) -> Result<Handshake> {
        let sni = match &name {
            ServerName::DnsName(name) if config.enable_sni => try_vec(name.as_ref().as_bytes())?,
            _ => Vec::new(),
        };
        let mut handshake = Handshake::make(strict, || {
            UnbufferedClientConnection::new(config, name).map(RustlsConnection::Client)
        })?;
        handshake.sni = sni;
        handshake.verifies = verifies;
        Ok(handshake)
    }

    /// A server's.
    pub(super) fn server(config: Arc<ServerConfig>, strict: bool) -> Result<Handshake> {
        Handshake::make(strict, || UnbufferedServerConnection::new(config).map(RustlsConnection::Server))
    }

    fn make(
        strict: bool,
        connection: impl FnOnce() -> core::result::Result<RustlsConnection, Error>,
    ) -> Result<Handshake> {
        let stack = BigStack::get()?;
        let connection = stack.run_with_reserve(|| {
            connection().map_err(|error| refusal::note(&error, strict)).and_then(try_box)
        })?;
        Ok(Handshake { connection, stack, incoming: Vec::new(), sni: Vec::new(), strict, verifies: false })
    }

    /// How long the rest of a record is, by its header.
    pub(super) fn length_of_rest(header: &[u8; HEADER]) -> usize {
        usize::from(header[3]) << 8 | usize::from(header[4])
    }

    /// Takes in a piece of a record, or a whole one, but nothing of the next, and appends what has to be
    /// sent; whether the handshake is over. EACCES if the peer's certificate is not accepted, EPROTO if
    /// anything else is wrong; the alert that says so has to be sent then.
    pub(super) fn advance(&mut self, record: &[u8], outgoing: &mut Vec<u8>) -> Result<bool> {
        try_extend(&mut self.incoming, record)?;
        self.stack.run_with_reserve(|| {
            loop {
                let step = self.connection.step(&mut self.incoming, outgoing, self.strict);
                if matches!(*self.connection, RustlsConnection::Server(_)) {
                    chooser::take_asked_for(&mut self.sni);
                }
                match step {
                    Ok(HandshakeStep::Again) => {}
                    Ok(HandshakeStep::Blocked) => return Ok(false),
                    Ok(HandshakeStep::Done) => return Ok(true),
                    Err(error) => {
                        self.send_alerts(outgoing);
                        return Err(error);
                    }
                }
            }
        })
    }

    /// A connection that has failed takes nothing in any more, but may have an alert to send.
    fn send_alerts(&mut self, outgoing: &mut Vec<u8>) {
        while self.connection.has_output() {
            if self.connection.step(&mut self.incoming, outgoing, self.strict).is_err() {
                return;
            }
        }
    }

    /// What both sides have agreed on, now that the handshake is over.
    pub(super) fn agreed(&self) -> Result<NegotiatedTls> {
        let (common, verified): (&CommonState, bool) = match &*self.connection {
            RustlsConnection::Client(client) => (client, self.verifies),
            // Whoever shows a certificate that is not accepted does not come so far.
            RustlsConnection::Server(server) => (server, server.peer_certificates().is_some()),
        };
        let mut agreed = NegotiatedTls::new(common.negotiated_cipher_suite().ok_or(Errno::EPROTO)?);
        try_extend(&mut agreed.sni, &self.sni)?;
        try_extend(&mut agreed.alpn, common.alpn_protocol().unwrap_or_default())?;
        for cert in common.peer_certificates().unwrap_or_default() {
            try_push(&mut agreed.chain, try_vec(cert)?)?;
        }
        agreed.resumed = common.handshake_kind() == Some(HandshakeKind::Resumed);
        agreed.verified = verified;
        Ok(agreed)
    }

    /// Whether what is sent last, if anything, are tickets: the client does not wait for them (RFC 8446, 4.6.1).
    pub(super) fn ends_with_tickets(&self) -> bool {
        match &*self.connection {
            RustlsConnection::Client(_) => false,
            RustlsConnection::Server(server) => server.protocol_version() == Some(ProtocolVersion::TLSv1_3),
        }
    }

    /// The records of the connection, whose handshake is over.
    pub(super) fn into_session(self) -> Result<Box<Session>> {
        let Handshake { connection, stack, strict, .. } = self;
        stack.run_with_reserve(|| {
            let (secrets, kernel) = match *connection {
                RustlsConnection::Client(client) => client
                    .dangerous_into_kernel_connection()
                    .map(|(secrets, kernel)| (secrets, Kernel::Client(kernel))),
                RustlsConnection::Server(server) => server
                    .dangerous_into_kernel_connection()
                    .map(|(secrets, kernel)| (secrets, Kernel::Server(kernel))),
            }
            .map_err(|error| refusal::note(&error, strict))?;
            Session::new(kernel, secrets, strict).and_then(try_box)
        })
    }
}

impl RustlsConnection {
    fn has_output(&self) -> bool {
        match self {
            RustlsConnection::Client(client) => client.wants_write(),
            RustlsConnection::Server(server) => server.wants_write(),
        }
    }

    fn step(
        &mut self,
        incoming: &mut Vec<u8>,
        outgoing: &mut Vec<u8>,
        strict: bool,
    ) -> Result<HandshakeStep> {
        let (discard, step) = match self {
            RustlsConnection::Client(client) => {
                handle(client.process_tls_records(incoming), outgoing, strict)
            }
            RustlsConnection::Server(server) => {
                handle(server.process_tls_records(incoming), outgoing, strict)
            }
        };
        incoming.drain(..discard);
        step
    }
}

/// Does what the connection asks for; returns how many bytes of the input it has taken in.
fn handle<D>(
    status: UnbufferedStatus<'_, '_, D>,
    outgoing: &mut Vec<u8>,
    strict: bool,
) -> (usize, Result<HandshakeStep>) {
    let step = match status.state {
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            append(outgoing, |place| data.encode(place)).map(|()| HandshakeStep::Again)
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(HandshakeStep::Again)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(HandshakeStep::Blocked),
        Ok(ConnectionState::WriteTraffic(_)) => Ok(HandshakeStep::Done),
        // Nothing of what comes behind the handshake was taken in, so that the peer has ended it.
        Ok(_) => Err(Errno::EPROTO),
        Err(error) => Err(refusal::note(&error, strict)),
    };
    (status.discard, step)
}

/// Appends what an encoder writes as soon as there is room for it.
fn append(
    outgoing: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> core::result::Result<usize, EncodeError>,
) -> Result<()> {
    let Err(EncodeError::InsufficientSize(needed)) = encode(&mut []) else { return Err(Errno::EPROTO) };
    let begin = outgoing.len();
    outgoing.try_reserve(needed.required_size).map_err(|_| Errno::ENOMEM)?;
    outgoing.resize(begin + needed.required_size, 0);
    encode(&mut outgoing[begin..]).map(drop).map_err(|_| Errno::EPROTO)
}
