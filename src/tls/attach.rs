//! Attaching: takes a bytestream over and does the handshake.

#![expect(clippy::disallowed_macros, reason = "runs on the big stack, with memory in reserve")]

use super::cache::Trouble;
use super::config::{self, ClientOptions, ServerOptions};
use super::custom::{self, Custom};
use super::handshake::Handshake;
use super::records::HEADER;
use super::{Below, Tls};
use crate::error::{Errno, Result};
use crate::memory::try_box;
use crate::net::socket;
use crate::net::stream::{CloseMode, Family, Stream};
use crate::rt::big_stack::BigStack;
use crate::rt::budget::Rounds;
use crate::rt::context::Context;
use crate::rt::handle;
use crate::rt::object::{self, Ref};
use crate::sock::BSOCK_TYPE;
use crate::sock::layer::{self, close_and_fail};
use crate::why::{self, Fact};
use core::cell::RefCell;
use core::ffi::{CStr, c_int};
use core::net::Ipv4Addr;
use rustls::pki_types::ServerName;

/// Makes a client's connection of a bytestream, with whoever is at the other end. The bytestream is
/// closed on failure. EBADF, EPROTO, ECONNRESET, ETIMEDOUT, ECANCELED, ENOMEM.
pub(crate) fn attach_client(s: c_int, deadline: i64) -> Result<c_int> {
    attach(s, deadline, || {
        let (config, trouble) = config::of_client(&ClientOptions::default())?;
        Ok((Handshake::client(config, nobody(), false, false)?, trouble))
    })
}

/// Makes a client's connection with the host that the caller wants to talk to. As `attach_client`,
/// and EINVAL for what cannot be meant, the errno of opening a file, EFAULT without any certificate to trust,
/// EACCES if the server's certificate is not accepted.
pub(crate) fn attach_client_verifying<'a>(
    s: c_int,
    options: impl FnOnce() -> Result<ClientOptions<'a>>,
    deadline: i64,
) -> Result<c_int> {
    attach(s, deadline, || {
        let mut options = options()?;
        let name = match options.host {
            Some(host) => server_name(host)?,
            None if options.verify => return Err(not_allowed("no host whose certificate is to be verified")),
            None => nobody(),
        };
        options.port = options.port.or_else(|| port_of_peer(s));
        let (config, trouble) = config::of_client(&options)?;
        Ok((Handshake::client(config, name, true, options.verify)?, trouble))
    })
}

/// Makes a server's connection of a bytestream. As `attach_client_verifying`.
pub(crate) fn attach_server<'a>(
    s: c_int,
    options: impl FnOnce() -> Result<ServerOptions<'a>>,
    deadline: i64,
) -> Result<c_int> {
    attach(s, deadline, || {
        let (config, trouble) = config::of_server(&options()?)?;
        Ok((Handshake::server(config, true)?, trouble))
    })
}

/// Makes a server's connection of a bytestream, with the certificate chain and the key in two PEM
/// files. As `attach_client`, and EFAULT if a file cannot be used or they do not belong together.
pub(crate) fn attach_server_plain(
    s: c_int,
    cert: Option<&CStr>,
    key: Option<&CStr>,
    deadline: i64,
) -> Result<c_int> {
    attach(s, deadline, || {
        let pair = (cert.ok_or(Errno::EFAULT)?, key.ok_or(Errno::EFAULT)?);
        let options = ServerOptions { certs: vec![pair], ..ServerOptions::default() };
        let config = config::of_server(&options).map_err(|error| match error {
            Errno::ENOMEM => error,
            other => why::rename(other, Errno::EFAULT),
        });
        let (config, trouble) = config?;
        Ok((Handshake::server(config, false)?, trouble))
    })
}

/// rustls insists on a name, which in this case nobody gets to see.
fn nobody() -> ServerName<'static> {
    ServerName::from(core::net::IpAddr::from(Ipv4Addr::UNSPECIFIED))
}

/// The port at the other end of a TCP stream of ours.
fn port_of_peer(s: c_int) -> Option<u16> {
    let stream = object::find::<Stream>(s).ok().filter(|stream| stream.family() == Family::Tcp)?;
    socket::port_of_peer(stream.fd())
}

fn not_allowed(rule: &'static str) -> Errno {
    why::note(Errno::EINVAL, Fact::Argument(rule))
}

/// A host name or a literal address, for SNI and to compare with the certificate. EINVAL.
fn server_name(host: &CStr) -> Result<ServerName<'static>> {
    let name = host.to_str().ok().and_then(|host| ServerName::try_from(host).ok());
    name.map(|name| name.to_owned()).ok_or_else(|| not_allowed("the host is neither a name nor an address"))
}

fn attach(s: c_int, deadline: i64, make: impl FnOnce() -> Result<(Handshake, Trouble)>) -> Result<c_int> {
    // What is no bytestream is told before anything else.
    if handle::query(s, BSOCK_TYPE.get()).is_err() {
        return Err(close_and_fail(s, Errno::EPROTO));
    }
    let made = BigStack::get().and_then(|stack| stack.run_with_reserve(make));
    let (handshake, trouble) = made.map_err(|error| close_and_fail(s, error))?;
    // A bytestream of any other kind than the library's own needs more.
    let custom = try_box(Custom::new()).map_err(|error| close_and_fail(s, error))?;
    let handle = layer::attach(s, BSOCK_TYPE, Errno::EPROTO, |layer| Tls {
        below: object::find::<Stream>(layer.lower()).map_or(Below::Custom(custom), Below::Stream),
        layer,
        agreed: RefCell::new(None),
    })?;
    let tls = object::find::<Tls>(handle)?;
    // A bytestream of the program's may have closed it, and succeeded.
    let opened = tls.open(handshake, deadline).and_then(|()| object::still_refers_to(handle, &tls));
    if let Err(error) = opened {
        object::close(handle, tls);
        return Err(error);
    }
    if let Some((error, fact)) = trouble {
        why::warn(error, fact);
    }
    Ok(handle)
}

impl Tls {
    fn open(&self, mut handshake: Handshake, deadline: i64) -> Result<()> {
        let context = Context::get()?;
        self.prepare(context)?;
        let mut last = self.shake_hands(context, &mut handshake, deadline)?;
        if !(handshake.ends_with_tickets() && matches!(self.below, Below::Stream(_))) {
            self.send_records(context, &mut last, deadline)?;
        }
        self.agreed.replace(Some(handshake.agreed()?));
        let session = handshake.into_session()?;
        match &self.below {
            Below::Stream(stream) => stream.put_records(context, session, last),
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
        context.buffers().flush_gathered(context, stream);
        // Whatever leaves is complete: to wait for more of it would only cost time.
        if stream.family() == Family::Tcp {
            stream.send_at_once();
        }
        Ok(())
    }

    /// Returns the records that the handshake ends with, which have not been sent.
    fn shake_hands(&self, context: &Context, handshake: &mut Handshake, deadline: i64) -> Result<Vec<u8>> {
        let (mut outgoing, mut rounds) = (Vec::new(), Rounds::default());
        let mut is_over = handshake.advance(&[], &mut outgoing)?;
        while !is_over {
            // The peer may send a message in very small records.
            rounds.spend(context, 0, deadline)?;
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
        Ok(outgoing)
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
        let sent = match &self.below {
            Below::Stream(stream) => {
                stream.push_out(context, records);
                stream.wait_backlog(context, deadline)
            }
            Below::Custom(_) => custom::send_all(&self.layer, records, deadline),
        };
        records.clear();
        sent.map_err(cut_off)
    }

    /// The reset that otherwise ends a TCP connection could overtake an alert.
    fn close_gracefully(&self) {
        if let Below::Stream(stream) = &self.below
            && stream.family() == Family::Tcp
        {
            stream.set_close_mode(CloseMode::Graceful);
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
    let error = if matches!(error, Errno::EPIPE | Errno::EBUSY) { Errno::ECONNRESET } else { error };
    why::note_end(error, "the handshake of TLS was over")
}
