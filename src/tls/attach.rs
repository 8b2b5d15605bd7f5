//! Attaching: takes a bytestream over and does the handshake.

use super::Tls;
use super::credentials;
use super::session::Session;
use super::transport::Transport;
use super::trust::{self, Anyone};
use crate::error::{Errno, Result};
use crate::rt::big_stack::BigStack;
use crate::rt::context::Context;
use crate::rt::handle;
use crate::rt::mutex::Mutex;
use crate::rt::object;
use crate::sock::BSOCK_TYPE;
use crate::sock::layer::{self, refuse};
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
pub struct Options<'a> {
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
pub fn attach_client(s: c_int, deadline: i64) -> Result<c_int> {
    attach(s, deadline, false, || {
        let mut config = client_config(Arc::new(default_provider()), Arc::new(Anyone))?;
        // The library insists on a name, which in this case nobody gets to see.
        config.enable_sni = false;
        Session::client(config, ServerName::from(core::net::IpAddr::from(Ipv4Addr::UNSPECIFIED)))
    })
}

/// Makes a client's connection with the host that the caller wants to talk to. As `attach_client`,
/// and EINVAL for what cannot be meant, EFAULT without any certificate to trust, EACCES if the
/// server's certificate is not accepted.
pub fn attach_client_verifying(s: c_int, options: Result<Options<'_>>, deadline: i64) -> Result<c_int> {
    attach(s, deadline, true, || {
        let (options, provider) = (options?, Arc::new(default_provider()));
        let verifier: Arc<dyn ServerCertVerifier> = match (options.verify, options.ca_file) {
            (false, _) => Arc::new(Anyone),
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
        Session::client(config, name)
    })
}

/// Makes a server's connection of a bytestream, with the certificate chain and the key in two PEM
/// files. As `attach_client`, and EFAULT if a file cannot be used or they do not belong together.
pub fn attach_server(s: c_int, cert: Option<&CStr>, key: Option<&CStr>, deadline: i64) -> Result<c_int> {
    attach(s, deadline, false, || {
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
        Session::server(config)
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
    Ok(config)
}

/// A host name or a literal address, for SNI and to compare with the certificate. EINVAL.
fn server_name(host: &CStr) -> Result<ServerName<'static>> {
    let host = host.to_str().map_err(|_| Errno::EINVAL)?;
    ServerName::try_from(host).map(|name| name.to_owned()).map_err(|_| Errno::EINVAL)
}

fn attach(
    s: c_int,
    deadline: i64,
    needs_close_notify: bool,
    make: impl FnOnce() -> Result<Session>,
) -> Result<c_int> {
    // What is no bytestream is told before anything else.
    if handle::query(s, BSOCK_TYPE.get()).is_err() {
        return Err(refuse(s, Errno::EPROTO));
    }
    let made = BigStack::get().and_then(|stack| stack.run(make));
    let session = made.map_err(|error| refuse(s, error))?;
    let handle = layer::attach(s, BSOCK_TYPE, Errno::EPROTO, |layer| Tls {
        transport: Transport::new(layer.lower()),
        layer,
        session: RefCell::new(session),
        needs_close_notify,
        turn: Mutex::new(),
    })?;
    let tls = object::find::<Tls>(handle)?;
    if let Err(error) = tls.shake_hands(deadline) {
        object::close(handle, tls);
        return Err(error);
    }
    Ok(handle)
}

impl Tls {
    fn shake_hands(&self, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        self.transport.prepare(context)?;
        while self.session.borrow().is_handshaking() {
            // Several records of the peer have one answer.
            if !self.transport.has_more(context) {
                self.flush(context, deadline)?;
            }
            self.receive_record(context, deadline)
                .map_err(|error| if error == Errno::EPIPE { Errno::ECONNRESET } else { error })?;
        }
        self.flush(context, deadline)
    }
}
