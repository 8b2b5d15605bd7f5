//! What a client and a server want of a connection, and the configurations that come of it.

#![expect(clippy::disallowed_methods, reason = "runs on the big stack, with memory in reserve")]
#![forbid(unsafe_code)]

use super::cache::{Cache, Key, Trouble};
use super::chooser::Chooser;
use super::credentials;
use super::trust::{self, NoVerification};
use crate::error::{Errno, Result};
use core::ffi::CStr;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use std::sync::{Arc, OnceLock};

/// How many servers a client's set of options remembers sessions of, times eight.
const SESSIONS: usize = 256;

/// The files of a certificate chain and of its key.
pub(crate) type Pair<'a> = (&'a CStr, &'a CStr);

/// What a client wants of a server.
#[derive(Default)]
pub(crate) struct ClientOptions<'a> {
    /// Its name or address. None: unknown, and then its certificate cannot be verified.
    pub host: Option<&'a CStr>,
    /// The port that it is reached at, as far as it is known: sessions are resumed at the same one only.
    pub port: Option<u16>,
    /// PEM file of the certificates to trust. None: those that the system trusts.
    pub ca_file: Option<&'a CStr>,
    /// Whether the certificate has to be trusted, valid now, and made out to the host.
    pub verify: bool,
    /// The application protocols to offer, the preferred one first (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
    /// Our own certificate.
    pub cert: Option<Pair<'a>>,
    /// TLS 1.2 will not do.
    pub only_tls13: bool,
}

/// Whose certificates a server asks its clients for.
pub(crate) struct Clients<'a> {
    /// PEM file of the certificates to trust.
    pub ca_file: &'a CStr,
    /// Nobody is accepted without.
    pub needed: bool,
}

/// What a server has to offer.
#[derive(Default)]
pub(crate) struct ServerOptions<'a> {
    /// At least one: the first one is for those who do not say which host they mean.
    pub certs: Vec<Pair<'a>>,
    /// None: clients have no certificates.
    pub clients: Option<Clients<'a>>,
    /// The application protocols, the preferred one first. None: any, and none is agreed on.
    pub alpn: Vec<Vec<u8>>,
    /// TLS 1.2 will not do.
    pub only_tls13: bool,
    /// Clients are given tickets to come back with.
    pub tickets: bool,
}

static CLIENTS: Cache<ClientConfig> = Cache::new();
static SERVERS: Cache<ServerConfig> = Cache::new();

/// The configuration of a client. EINVAL for files that are no good, or why they cannot be read; EFAULT without
/// any certificate to trust.
pub(super) fn of_client(options: &ClientOptions<'_>) -> Result<(Arc<ClientConfig>, Trouble)> {
    let mut key = Key::default();
    key.put(&[u8::from(options.host.is_some()), u8::from(options.verify), u8::from(options.only_tls13)]);
    key.put(&options.port.map_or([0; 2], u16::to_ne_bytes));
    key.put_optional(options.ca_file);
    key.put_optional(options.cert.map(|(cert, _)| cert));
    key.put_optional(options.cert.map(|(_, key)| key));
    key.put_list(&options.alpn);
    let mut files = Vec::new();
    files.extend(options.ca_file);
    files.extend(options.cert.iter().flat_map(|(cert, key)| [*cert, *key]));
    CLIENTS.get(key, &files, || make_client(options))
}

fn make_client(options: &ClientOptions<'_>) -> Result<ClientConfig> {
    let provider = provider();
    let verifier: Arc<dyn ServerCertVerifier> = match (options.verify, options.ca_file) {
        (false, _) => Arc::new(NoVerification),
        (true, Some(file)) => Arc::new(trust::in_file(file, provider)?),
        (true, None) => Arc::new(trust::in_system(provider)?),
    };
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(versions(options.only_tls13)).map_err(|_| Errno::EPROTO)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match options.cert {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let own = credentials::load(cert, key, provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
        }
    };
    config.alpn_protocols = options.alpn.clone();
    config.enable_sni = options.host.is_some();
    // The sessions are those of this configuration, and so of these options.
    let is_known = options.host.is_some() && options.port.is_some();
    config.resumption =
        if is_known { Resumption::in_memory_sessions(SESSIONS) } else { Resumption::disabled() };
    config.enable_secret_extraction = true;
    Ok(config)
}

/// The configuration of a server. EINVAL for files that are no good, or why they cannot be read.
pub(super) fn of_server(options: &ServerOptions<'_>) -> Result<(Arc<ServerConfig>, Trouble)> {
    let (mut key, mut files) = (Key::default(), Vec::new());
    key.put(&[u8::from(options.tickets), u8::from(options.only_tls13)]);
    key.put_optional(options.clients.as_ref().map(|clients| clients.ca_file));
    key.put(&[u8::from(options.clients.as_ref().is_some_and(|clients| clients.needed))]);
    key.put_list(&options.alpn);
    for (cert, key_file) in &options.certs {
        key.put(cert.to_bytes());
        key.put(key_file.to_bytes());
        files.extend([*cert, *key_file]);
    }
    files.extend(options.clients.as_ref().map(|clients| clients.ca_file));
    SERVERS.get(key, &files, || make_server(options))
}

fn make_server(options: &ServerOptions<'_>) -> Result<ServerConfig> {
    let provider = provider();
    let chooser = Chooser::load(&options.certs, provider)?;
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(versions(options.only_tls13)).map_err(|_| Errno::EPROTO)?;
    let builder = match &options.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let trust = trust::of_clients(clients.ca_file, clients.needed, provider)?;
            builder.with_client_cert_verifier(trust)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(chooser));
    config.alpn_protocols = options.alpn.clone();
    // What clients come back with is in their tickets, sealed with keys of this configuration's own.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if options.tickets {
        config.ticketer = Ticketer::new().map_err(|_| Errno::ENOMEM)?;
        // Whoever comes back gets another one.
        config.send_tls13_tickets = 1;
    } else {
        config.send_tls13_tickets = 0;
    }
    config.enable_secret_extraction = true;
    Ok(config)
}

fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let mut provider = default_provider();
        provider.cipher_suites.sort_by_key(rank);
        Arc::new(provider)
    })
}

/// The suites that a client prefers, as browsers do: those with AES-128 and SHA-256. A
/// handshake takes a seventh less time with them than with AES-256 and SHA-384.
fn rank(suite: &SupportedCipherSuite) -> (bool, bool) {
    let is_preferred = suite.suite().as_str().is_some_and(|name| name.contains("AES_128_GCM"));
    (suite.tls13().is_none(), !is_preferred)
}

fn versions(only_tls13: bool) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    if only_tls13 { &BOTH[..1] } else { &BOTH }
}
