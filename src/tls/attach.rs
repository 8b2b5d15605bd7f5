//! Attaching: takes a bytestream over and does the handshake.

#![expect(clippy::disallowed_methods, reason = "runs on the big stack, with memory in reserve")]

use super::credentials;
use super::custom::{self, Custom};
use super::handshake::Handshake;
use super::records::HEADER;
use super::trust::{self, NoVerification};
use super::{Below, Tls};
use crate::error::{Errno, Result};
use crate::memory::{try_box, try_extend};
use crate::net::socket;
use crate::net::stream::{Family, Stream};
use crate::rt::big_stack::BigStack;
use crate::rt::context::Context;
use crate::rt::handle;
use crate::rt::object::{self, Ref};
use crate::sock::BSOCK_TYPE;
use crate::sock::layer::{self, close_and_fail};
use core::cell::RefCell;
use core::ffi::{CStr, c_int};
use core::net::Ipv4Addr;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;

/// What a client wants of a server.
pub(crate) struct Options<'a> {
    /// Its name or address. None: unknown, and then its certificate cannot be verified.
    pub host: Option<&'a CStr>,
    /// PEM file of the certificates to trust. None: those that the system trusts.
    pub ca_file: Option<&'a CStr>,
    /// Whether the certificate has to be trusted, valid now, and made out to the host.
    pub verify: bool,
    /// The application protocols to offer, the preferred one first (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
}

/// Makes a client's connection of a bytestream, with whoever is at the other end. The bytestream is
/// closed on failure. EBADF, EPROTO, ECONNRESET, ETIMEDOUT, ECANCELED, ENOMEM.
pub(crate) fn attach_client(s: c_int, deadline: i64) -> Result<c_int> {
    attach(s, deadline, || {
        let mut config = client_config(Arc::new(default_provider()), Arc::new(NoVerification))?;
        // The library insists on a name, which in this case nobody gets to see.
        config.enable_sni = false;
        Handshake::client(
            Arc::new(config),
            ServerName::from(core::net::IpAddr::from(Ipv4Addr::UNSPECIFIED)),
            false,
        )
    })
}

/// Makes a client's connection with the host that the caller wants to talk to. As `attach_client`,
/// and EINVAL for what cannot be meant, EFAULT without any certificate to trust, EACCES if the
/// server's certificate is not accepted.
pub(crate) fn attach_client_verifying(
    s: c_int,
    options: Result<Options<'_>>,
    deadline: i64,
) -> Result<c_int> {
    attach(s, deadline, || {
        let (options, provider) = (options?, Arc::new(default_provider()));
        let verifier: Arc<dyn ServerCertVerifier> = match (options.verify, options.ca_file) {
            (false, _) => Arc::new(NoVerification),
            (true, Some(file)) => Arc::new(trust::in_file(file, &provider)?),
            (true, None) => Arc::new(trust::in_system(&provider)?),
        };
        let mut config = client_config(provider, verifier)?;
        config.alpn_protocols = options.alpn;
        let name = match options.host {
            Some(host) => server_name(host)?,
            None if options.verify => return Err(Errno::EINVAL),
            None => {
                config.enable_sni = false;
                ServerName::from(core::net::IpAddr::from(Ipv4Addr::UNSPECIFIED))
            }
        };
        Handshake::client(Arc::new(config), name, true)
    })
}

/// Makes a server's connection of a bytestream, with the certificate chain and the key in two PEM
/// files. As `attach_client`, and EFAULT if a file cannot be used or they do not belong together.
pub(crate) fn attach_server(
    s: c_int,
    cert: Option<&CStr>,
    key: Option<&CStr>,
    deadline: i64,
) -> Result<c_int> {
    attach(s, deadline, || {
        let provider = Arc::new(default_provider());
        let (cert, key) = (cert.ok_or(Errno::EFAULT)?, key.ok_or(Errno::EFAULT)?);
        let identity = credentials::load(cert, key, &provider)?;
        let builder = ServerConfig::builder_with_provider(provider);
        let versions = builder.with_safe_default_protocol_versions().map_err(|_| Errno::EFAULT)?;
        let mut config =
            versions.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        // The configuration lives as long as the connection: there is nothing to come back to.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.enable_secret_extraction = true;
        Handshake::server(Arc::new(config), false)
    })
}

fn client_config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider);
    let versions = builder.with_safe_default_protocol_versions().map_err(|_| Errno::EFAULT)?;
    let mut config = versions.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    // As above.
    config.resumption = Resumption::disabled();
    config.enable_secret_extraction = true;
    Ok(config)
}

/// A host name or a literal address, for SNI and to compare with the certificate. EINVAL.
fn server_name(host: &CStr) -> Result<ServerName<'static>> {
    let host = host.to_str().map_err(|_| Errno::EINVAL)?;
    ServerName::try_from(host).map(|name| name.to_owned()).map_err(|_| Errno::EINVAL)
}

fn attach(s: c_int, deadline: i64, make: impl FnOnce() -> Result<Handshake>) -> Result<c_int> {
    // What is no bytestream is told before anything else.
    if handle::query(s, BSOCK_TYPE.get()).is_err() {
        return Err(close_and_fail(s, Errno::EPROTO));
    }
    let made = BigStack::get().and_then(|stack| stack.run_with_reserve(make));
    let handshake = made.map_err(|error| close_and_fail(s, error))?;
    // A bytestream of any other kind than the library's own needs more.
    let custom = try_box(Custom::new()).map_err(|error| close_and_fail(s, error))?;
    let handle = layer::attach(s, BSOCK_TYPE, Errno::EPROTO, |layer| Tls {
        below: object::find::<Stream>(layer.lower()).map_or(Below::Custom(custom), Below::Stream),
        layer,
        alpn: RefCell::new(Vec::new()),
    })?;
    let tls = object::find::<Tls>(handle)?;
    if let Err(error) = tls.open(handshake, deadline) {
        object::close(handle, tls);
        return Err(error);
    }
    Ok(handle)
}

impl Tls {
    fn open(&self, mut handshake: Handshake, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        self.prepare(context)?;
        self.shake_hands(context, &mut handshake, deadline)?;
        try_extend(&mut self.alpn.borrow_mut(), handshake.alpn())?;
        let session = handshake.into_session()?;
        match &self.below {
            Below::Stream(stream) => stream.put_records(context, session),
            Below::Custom(custom) => {
                custom.open(session);
                Ok(())
            }
        }
    }

    /// Makes our own stream ready to carry a connection. ECONNRESET if one of its directions has ended.
    fn prepare(&self, context: &Context) -> Result<()> {
        let Below::Stream(stream) = &self.below else { return Ok(()) };
        stream.check_inbound().and_then(|()| stream.check_outbound()).map_err(cut_off)?;
        if context.buffers.gathered(stream) > 0 {
            context.buffers.flush();
        }
        // Whatever leaves is complete: to wait for more of it would only cost time.
        if stream.family() == Family::Tcp {
            socket::send_at_once(stream.fd());
        }
        Ok(())
    }

    fn shake_hands(&self, context: &Context, handshake: &mut Handshake, deadline: i64) -> Result<()> {
        let mut outgoing = Vec::new();
        let mut is_over = handshake.advance(&[], &mut outgoing)?;
        while !is_over {
            // Several records of the peer have one answer.
            if !self.has_more(context) {
                self.send_records(context, &mut outgoing, deadline)?;
            }
            let advanced = match &self.below {
                Below::Stream(stream) => advance(context, stream, handshake, &mut outgoing, deadline),
                Below::Custom(_) => custom::advance(&self.layer, handshake, &mut outgoing, deadline),
            };
            is_over = advanced.map_err(|error| {
                // The alert, if there is one.
                let _ = self.send_records(context, &mut outgoing, 0);
                self.close_gracefully();
                cut_off(error)
            })?;
        }
        self.send_records(context, &mut outgoing, deadline)
    }

    /// Whether something was received and not taken in.
    fn has_more(&self, context: &Context) -> bool {
        match &self.below {
            Below::Stream(stream) => stream.peek(context, |bytes| !bytes.is_empty()),
            Below::Custom(_) => false,
        }
    }

    fn send_records(&self, context: &Context, records: &mut Vec<u8>, deadline: i64) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        match &self.below {
            Below::Stream(stream) => {
                stream.push_out(records);
                records.clear();
                stream.wait_backlog(context, deadline)
            }
            Below::Custom(_) => {
                let sent = custom::send_all(&self.layer, records, deadline);
                records.clear();
                sent
            }
        }
    }

    /// The reset that otherwise ends a TCP connection could overtake an alert.
    fn close_gracefully(&self) {
        if let Below::Stream(stream) = &self.below
            && stream.family() == Family::Tcp
        {
            stream.close_in_order(true);
        }
    }
}

/// Receives a record of the handshake and has it taken in; whether the handshake is over. The header comes
/// first, so that what is no TLS is found out before a length is believed.
fn advance(
    context: &Context,
    stream: &Ref<Stream>,
    handshake: &mut Handshake,
    outgoing: &mut Vec<u8>,
    deadline: i64,
) -> Result<bool> {
    stream.fill(context, HEADER, deadline)?;
    let mut header = [0; HEADER];
    stream.peek(context, |bytes| header.copy_from_slice(&bytes[..HEADER]));
    stream.consume(context, HEADER);
    handshake.advance(&header, outgoing)?;
    let rest = Handshake::length_of_rest(&header);
    stream.fill(context, rest, deadline)?;
    let advanced = stream.peek(context, |bytes| handshake.advance(&bytes[..rest], outgoing));
    stream.consume(context, rest);
    advanced
}

/// The end of the stream below, and a refusal of it in the middle of a record, break TLS.
fn cut_off(error: Errno) -> Errno {
    if matches!(error, Errno::EPIPE | Errno::EBUSY) { Errno::ECONNRESET } else { error }
}
