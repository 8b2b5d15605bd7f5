//! The records of an established connection (RFC 8446, 5; RFC 5246, 6), in place and without I/O.

#![forbid(unsafe_code)]

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod ends;

use super::ciphers::{ALERT, APPLICATION_DATA, Cipher, HANDSHAKE, OVERHEAD, Rejected};
use super::refusal;
use crate::error::{Errno, Result};
use crate::memory::try_extend;
use crate::net::stream::records::{Opened, Records};
use crate::rt::big_stack::BigStack;
use crate::why;
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ExtractedSecrets, ProtocolVersion, SupportedCipherSuite};
use std::io::IoSlice;

/// The header of a record: its type, a version, and the length of what follows (RFC 8446, 5.1).
pub(super) const HEADER: usize = 5;
/// The most plaintext of a record (RFC 8446, 5.1).
pub(super) const MAX_PLAINTEXT: usize = 1 << 14;
/// The longest record behind its header (RFC 5246, 6.2.3).
const MAX_PAYLOAD: usize = MAX_PLAINTEXT + 2048;
/// The longest handshake message after the handshake: a ticket.
const MAX_HANDSHAKE_MESSAGE: usize = 1 << 17;
/// How many new keys the peer may announce before it sends something with one. (BoringSSL has the same limit.)
const MAX_KEY_UPDATES: u32 = 32;
/// How many tickets of a server's are taken; there is no use for more.
const MAX_TICKETS: u32 = 16;
/// How much is done in one call of `open`, in records.
const MAX_WORK: u32 = 1024;
/// What a new key or a ticket takes, in the time of a small record.
const HANDSHAKE_WORK: u32 = 16;
/// How many records before the limit of a key it is replaced.
const SPARE_RECORDS: u64 = 1 << 16;

/// Alert descriptions (RFC 8446, 6).
const CLOSE_NOTIFY: u8 = 0;
const UNEXPECTED_MESSAGE: u8 = 10;
const BAD_RECORD_MAC: u8 = 20;
const RECORD_OVERFLOW: u8 = 22;
const ILLEGAL_PARAMETER: u8 = 47;
const DECODE_ERROR: u8 = 50;
const INTERNAL_ERROR: u8 = 80;
const USER_CANCELED: u8 = 90;
const NO_RENEGOTIATION: u8 = 100;
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// Handshake messages that come after the handshake (RFC 8446, 4.6).
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// What is left of the handshake: it makes new keys and takes tickets in.
pub(super) enum Kernel {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

/// The records of both directions.
pub(super) struct Session {
    kernel: Kernel,
    stack: &'static BigStack,
    version: ProtocolVersion,
    /// How many records a key may seal.
    limit: u64,

    opener: Cipher,
    opened: u64,
    /// The beginning of a handshake message.
    handshake: Vec<u8>,
    /// New keys of the peer's since its last application data, and all its tickets.
    key_updates: u32,
    tickets: u32,
    /// What this call of `open` has done, in records.
    work: u32,
    /// The peer's close_notify has come.
    ended: bool,
    failed: Option<Errno>,
    /// The alert that was the failure, or that tells the peer of it.
    alert: Alert,
    /// What the end of the stream without close_notify is: an error (RFC 8446, 6.1), or just an end, for those who
    /// cannot tell the peer from an attacker anyway, and whose programs wait for EPIPE.
    truncated: Errno,
    /// What an alert about our certificate is.
    refusal: Errno,

    sealer: Cipher,
    sealed: u64,
    uncommitted: u64,
    /// Our close_notify, or a fatal alert, was sealed: nothing may follow.
    finished: bool,
    /// A new key is due.
    update_due: bool,
    /// An alert is due: its level and description.
    alert_due: Option<[u8; 2]>,
}

#[derive(Clone, Copy)]
enum Alert {
    Received(u8),
    Sent(u8),
}

/// A failure and the alert that tells the peer: none, which is `CLOSE_NOTIFY`, if it was the peer who has told us.
struct Failure(Errno, u8);

impl Session {
    /// Of a connection whose handshake is over.
    pub(super) fn new(kernel: Kernel, secrets: ExtractedSecrets, strict: bool) -> Result<Session> {
        let suite = kernel.suite();
        let (limit, version) = match suite {
            SupportedCipherSuite::Tls13(suite) => {
                (suite.common.confidentiality_limit, ProtocolVersion::TLSv1_3)
            }
            SupportedCipherSuite::Tls12(suite) => {
                (suite.common.confidentiality_limit, ProtocolVersion::TLSv1_2)
            }
        };
        let ((opened, rx), (sealed, tx)) = (secrets.rx, secrets.tx);
        Ok(Session {
            kernel,
            stack: BigStack::get()?,
            version,
            limit,
            opener: Cipher::new(suite, &rx)?,
            opened,
            handshake: Vec::new(),
            key_updates: 0,
            tickets: 0,
            work: 0,
            ended: false,
            failed: None,
            alert: Alert::Sent(CLOSE_NOTIFY),
            truncated: if strict { Errno::ECONNRESET } else { Errno::EPIPE },
            refusal: if strict { Errno::EACCES } else { Errno::EPROTO },
            sealer: Cipher::new(suite, &tx)?,
            sealed,
            uncommitted: 0,
            finished: false,
            update_due: false,
            alert_due: None,
        })
    }

    /// Whether `reply` will make an alert.
    pub(super) fn has_alert(&self) -> bool {
        self.alert_due.is_some()
    }

    /// How long the rest of a record is, by its header. EPROTO if there is no such record.
    fn length_of_rest(header: &[u8]) -> core::result::Result<usize, Failure> {
        let len = usize::from(header[3]) << 8 | usize::from(header[4]);
        // RFC 8446, 5.1: the types; the version is 3 and something, whatever that says.
        if !(20..=23).contains(&header[0]) || header[1] != 3 {
            return Err(Failure(Errno::EPROTO, UNEXPECTED_MESSAGE));
        }
        if len > MAX_PAYLOAD {
            return Err(Failure(Errno::EPROTO, RECORD_OVERFLOW));
        }
        Ok(len)
    }

    fn open_all(&mut self, wire: &mut [u8]) -> Opened {
        let (mut used, mut plain) = (0, 0);
        self.work = 0;
        while !self.ended && self.failed.is_none() && wire.len() - used >= HEADER {
            if self.work >= MAX_WORK {
                return Opened { used, plain, more: true };
            }
            self.work += 1;
            let opened = match Session::length_of_rest(&wire[used..used + HEADER]) {
                Ok(len) if wire.len() - used < HEADER + len => break,
                Ok(len) => {
                    let at = used - plain;
                    used += HEADER + len;
                    self.open_record(&mut wire[plain..used], at)
                }
                Err(failure) => Err(failure),
            };
            match opened {
                Ok(len) => plain += len,
                Err(Failure(error, alert)) => {
                    self.failed = Some(error);
                    if alert != CLOSE_NOTIFY {
                        self.alert = Alert::Sent(alert);
                        self.alert_due = Some([FATAL, alert]);
                    }
                }
            }
        }
        Opened { used, plain, more: false }
    }

    /// Opens the record that begins at `at`, and moves its application data to the front; returns how much that is.
    fn open_record(&mut self, wire: &mut [u8], at: usize) -> core::result::Result<usize, Failure> {
        let opened = self.opener.open(self.opened, wire, at);
        let (typ, len) = opened.map_err(|rejected| match rejected {
            Rejected::Forged => Failure(Errno::EPROTO, BAD_RECORD_MAC),
            Rejected::TooLong => Failure(Errno::EPROTO, RECORD_OVERFLOW),
            Rejected::NoType => Failure(Errno::EPROTO, UNEXPECTED_MESSAGE),
        })?;
        self.opened += 1;
        let payload = &wire[..len];
        // RFC 8446, 5.1 and 5.4: nothing comes between the parts of a handshake message, and only data may be empty.
        if typ != HANDSHAKE && !self.handshake.is_empty() || typ != APPLICATION_DATA && len == 0 {
            return Err(Failure(Errno::EPROTO, UNEXPECTED_MESSAGE));
        }
        match typ {
            APPLICATION_DATA => {
                if len > 0 {
                    self.key_updates = 0;
                }
                return Ok(len);
            }
            ALERT => {
                self.alert = Alert::Received(payload.last().copied().unwrap_or_default());
                take_alert(payload, self.version, self.refusal, &mut self.ended)?;
            }
            HANDSHAKE => {
                let taken = self.stack.run_with_reserve(|| Ok(self.take_handshake(payload)));
                taken.map_err(|error| Failure(error, INTERNAL_ERROR))??;
            }
            _ => return Err(Failure(Errno::EPROTO, UNEXPECTED_MESSAGE)),
        }
        Ok(0)
    }

    /// Takes the whole handshake messages in that have come with this part.
    fn take_handshake(&mut self, part: &[u8]) -> core::result::Result<(), Failure> {
        try_extend(&mut self.handshake, part).map_err(|error| Failure(error, INTERNAL_ERROR))?;
        if self.version != ProtocolVersion::TLSv1_3 {
            // RFC 5246, 7.2.2: the peer wants to begin again, and is told that we do not.
            self.handshake = Vec::new();
            self.alert_due.get_or_insert([WARNING, NO_RENEGOTIATION]);
            return Ok(());
        }
        let messages = core::mem::take(&mut self.handshake);
        let mut rest = &messages[..];
        while let &[typ, a, b, c, ref behind @ ..] = rest {
            let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if len > MAX_HANDSHAKE_MESSAGE {
                return Err(Failure(Errno::EPROTO, DECODE_ERROR));
            }
            let Some((body, next)) = behind.split_at_checked(len) else { break };
            rest = next;
            self.work += HANDSHAKE_WORK;
            match (typ, &mut self.kernel) {
                (NEW_SESSION_TICKET, Kernel::Client(_)) if self.tickets == MAX_TICKETS => {}
                (NEW_SESSION_TICKET, Kernel::Client(kernel)) => {
                    self.tickets += 1;
                    let taken = kernel.handle_new_session_ticket(body);
                    taken.map_err(|_| Failure(Errno::EPROTO, DECODE_ERROR))?;
                }
                // RFC 8446, 5.1: a message that changes the key is the last of its record.
                (KEY_UPDATE, _) if rest.is_empty() => self.take_key_update(body)?,
                _ => return Err(Failure(Errno::EPROTO, UNEXPECTED_MESSAGE)),
            }
        }
        try_extend(&mut self.handshake, rest).map_err(|error| Failure(error, INTERNAL_ERROR))
    }

    /// RFC 8446, 4.6.3.
    fn take_key_update(&mut self, body: &[u8]) -> core::result::Result<(), Failure> {
        let &[request] = body else { return Err(Failure(Errno::EPROTO, DECODE_ERROR)) };
        if request > 1 {
            return Err(Failure(Errno::EPROTO, ILLEGAL_PARAMETER));
        }
        if self.key_updates == MAX_KEY_UPDATES {
            return Err(Failure(Errno::EPROTO, UNEXPECTED_MESSAGE));
        }
        self.key_updates += 1;
        let fresh = match &mut self.kernel {
            Kernel::Client(kernel) => kernel.update_rx_secret(),
            Kernel::Server(kernel) => kernel.update_rx_secret(),
        };
        let (opened, secrets) = fresh.map_err(|_| Failure(Errno::EPROTO, UNEXPECTED_MESSAGE))?;
        let opener = Cipher::new(self.kernel.suite(), &secrets);
        self.opener = opener.map_err(|error| Failure(error, UNEXPECTED_MESSAGE))?;
        self.opened = opened;
        // However many were asked for, one answers them.
        self.update_due |= request == 1;
        Ok(())
    }

    /// Notes why receiving has failed.
    fn note(&self, error: Errno) -> Errno {
        self.stack.run(|| {
            why::note(
                error,
                match self.alert {
                    Alert::Received(alert) => refusal::alert_of(alert),
                    Alert::Sent(alert) => refusal::fact_of_refused_record(alert),
                },
            )
        })
    }

    fn seal_all(&mut self, parts: &[IoSlice<'_>], wire: &mut Vec<u8>) -> Result<usize> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let records = len.div_ceil(MAX_PLAINTEXT);
        wire.try_reserve(len + records * OVERHEAD).map_err(|_| Errno::ENOMEM)?;
        let mut parts = parts.iter().map(|part| &part[..]);
        let mut part = parts.next().unwrap_or_default();
        for _ in 0..records {
            self.seal_record(APPLICATION_DATA, wire, |wire| {
                let mut room = MAX_PLAINTEXT;
                loop {
                    let (now, later) = part.split_at(part.len().min(room));
                    wire.extend_from_slice(now);
                    (part, room) = (later, room - now.len());
                    if room == 0 {
                        return;
                    }
                    let Some(next) = parts.next() else { return };
                    part = next;
                }
            })?;
        }
        Ok(len)
    }

    /// Seals a record, for which there is room. `put` appends its content.
    fn seal_record(&mut self, typ: u8, wire: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        // RFC 8446, 5.5: keys wear out, and TLS 1.2 cannot replace them.
        if self.sealed >= self.limit {
            return Err(Errno::ECONNRESET);
        }
        self.sealer.seal(self.sealed, typ, wire, put)?;
        self.sealed += 1;
        self.uncommitted += 1;
        Ok(())
    }

    /// Seals what belongs to the protocol itself, and so leaves in any case.
    fn seal_own(&mut self, typ: u8, message: &[u8], wire: &mut Vec<u8>) -> Result<()> {
        wire.try_reserve(message.len() + OVERHEAD).map_err(|_| Errno::ENOMEM)?;
        self.seal_record(typ, wire, |wire| wire.extend_from_slice(message))?;
        self.uncommitted = 0;
        Ok(())
    }

    fn reply_deep(&mut self, wire: &mut Vec<u8>) -> Result<()> {
        if self.finished {
            return Ok(());
        }
        if let Some(alert) = self.alert_due.take() {
            self.finished = alert[0] == FATAL;
            self.seal_own(ALERT, &alert, wire)?;
        } else if core::mem::take(&mut self.update_due) {
            self.seal_own(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0], wire)?;
            let fresh = match &mut self.kernel {
                Kernel::Client(kernel) => kernel.update_tx_secret(),
                Kernel::Server(kernel) => kernel.update_tx_secret(),
            };
            let (sealed, secrets) = fresh.map_err(|_| Errno::ECONNRESET)?;
            self.sealer = Cipher::new(self.kernel.suite(), &secrets)?;
            self.sealed = sealed;
        }
        Ok(())
    }
}

impl Records for Session {
    fn open(&mut self, wire: &mut [u8]) -> Result<Opened> {
        let opened = self.stack.run(|| self.open_all(wire));
        match self.failed {
            Some(error) if opened.plain == 0 => Err(self.note(error)),
            _ => Ok(opened),
        }
    }

    fn reply(&mut self, wire: &mut Vec<u8>) -> Result<()> {
        if self.alert_due.is_none() && !self.update_due {
            return Ok(());
        }
        self.stack.run_with_reserve(|| self.reply_deep(wire))
    }

    fn missing(&self, front: &[u8]) -> usize {
        match front.first_chunk::<HEADER>() {
            None => HEADER - front.len(),
            // Whatever is no record is found out when it is opened.
            Some(header) => {
                let len = Session::length_of_rest(header).unwrap_or(1);
                (HEADER + len).saturating_sub(front.len()).max(1)
            }
        }
    }

    fn check(&self) -> Result<()> {
        match self.failed {
            Some(error) => Err(self.note(error)),
            None if self.ended => Err(Errno::EPIPE),
            None => Ok(()),
        }
    }

    fn truncated(&self) -> Errno {
        self.truncated
    }

    fn allow_truncation(&mut self) {
        self.truncated = Errno::EPIPE;
    }

    fn seal(&mut self, parts: &[IoSlice<'_>], wire: &mut Vec<u8>) -> Result<usize> {
        if self.finished || self.failed.is_some() {
            return Err(Errno::ECONNRESET);
        }
        self.stack.run(|| self.seal_all(parts, wire))
    }

    fn commit(&mut self, has_left: bool) {
        // What was sealed and never left may be sealed again under the same number: nobody has seen it.
        if !has_left {
            self.sealed -= self.uncommitted;
        }
        self.uncommitted = 0;
        let is_worn = self.sealed.saturating_add(SPARE_RECORDS) >= self.limit;
        self.update_due |= is_worn && self.version == ProtocolVersion::TLSv1_3;
    }

    fn end(&mut self, wire: &mut Vec<u8>) -> Result<()> {
        if core::mem::replace(&mut self.finished, true) {
            return Err(Errno::EPIPE);
        }
        self.stack.run(|| self.seal_own(ALERT, &[WARNING, CLOSE_NOTIFY], wire))
    }
}

impl Kernel {
    fn suite(&self) -> SupportedCipherSuite {
        match self {
            Kernel::Client(kernel) => kernel.negotiated_cipher_suite(),
            Kernel::Server(kernel) => kernel.negotiated_cipher_suite(),
        }
    }
}

/// RFC 8446, 6. The peer's close_notify sets `ended`; `refusal` is for our certificate.
fn take_alert(
    payload: &[u8],
    version: ProtocolVersion,
    refusal: Errno,
    ended: &mut bool,
) -> core::result::Result<(), Failure> {
    let &[level, description] = payload else { return Err(Failure(Errno::EPROTO, DECODE_ERROR)) };
    match description {
        CLOSE_NOTIFY => *ended = true,
        USER_CANCELED => {}
        _ if level == WARNING && version == ProtocolVersion::TLSv1_2 => {}
        _ if refusal::is_refusal(description) => return Err(Failure(refusal, CLOSE_NOTIFY)),
        _ => return Err(Failure(Errno::EPROTO, CLOSE_NOTIFY)),
    }
    Ok(())
}
