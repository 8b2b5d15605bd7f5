//! A TLS connection without I/O: records in and plaintext out, plaintext in and records out.
//!
//! The library that does it takes tens of kilobytes of stack, and a coroutine may have four: whatever
//! is more than a look at its state runs on the thread's big stack.

#![forbid(unsafe_code)]

use crate::error::{Errno, Result};
use crate::memory::try_box;
use crate::rt::big_stack::BigStack;
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection, SupportedCipherSuite,
};
use std::io::{BufRead, IoSlice, Write};
use std::sync::Arc;

/// The header of a record: its type, a version, and the length of what follows (RFC 8446, 5.1).
pub const HEADER: usize = 5;

/// The most plaintext of a record (RFC 8446, 5.1).
const MOST_PLAINTEXT: usize = 1 << 14;

/// More records than one call of `encrypt` and a few alerts make.
const SPARE_RECORDS: u64 = 64;

/// The state of a connection.
pub struct Session {
    /// Large, and not to be moved about on a coroutine's stack.
    connection: Box<Connection>,
    stack: &'static BigStack,
    /// The peer's close_notify has come.
    ended: bool,
    /// How many records of plaintext were sent.
    records: u64,
}

impl Session {
    /// A client's, with the first flight ready to be sent.
    pub fn client(config: ClientConfig, name: ServerName<'static>) -> Result<Session> {
        Session::make(|| ClientConnection::new(Arc::new(config), name).map(Connection::from))
    }

    /// A server's.
    pub fn server(config: ServerConfig) -> Result<Session> {
        Session::make(|| ServerConnection::new(Arc::new(config)).map(Connection::from))
    }

    fn make(connection: impl FnOnce() -> core::result::Result<Connection, Error>) -> Result<Session> {
        let stack = BigStack::get()?;
        let connection = stack.run(|| connection().map_err(|error| errno_of(&error)).and_then(try_box))?;
        Ok(Session { connection, stack, ended: false, records: 0 })
    }

    /// Whether application data cannot flow yet in both directions.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the peer has ended its direction. All of its plaintext came before that.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The protocol that was agreed on; empty if none was.
    pub fn alpn(&self) -> &[u8] {
        self.connection.alpn_protocol().unwrap_or_default()
    }

    /// How long the rest of a record is, by its header.
    pub fn length_of_rest(header: &[u8]) -> usize {
        header.get(3..HEADER).map_or(0, |bytes| bytes.iter().fold(0, |len, &b| len << 8 | usize::from(b)))
    }

    /// Takes in a piece of a record, or a whole one, but nothing of the next: its plaintext has to
    /// be taken out before. EACCES if the peer's certificate is not accepted, EPROTO if anything
    /// else is wrong; an alert that says so may be ready to be sent then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        self.stack.run(|| self.feed_deep(bytes))
    }

    fn feed_deep(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.connection.read_tls(&mut bytes) {
                Ok(1..) => {}
                // A handshake message beyond all measure.
                Ok(0) | Err(_) => return Err(Errno::EPROTO),
            }
            let state = self.connection.process_new_packets().map_err(|error| errno_of(&error))?;
            self.ended = state.peer_has_closed();
        }
        Ok(())
    }

    /// The front of the plaintext that was received; empty if there is none now.
    pub fn plaintext(&mut self) -> &[u8] {
        self.connection.reader().into_first_chunk().unwrap_or_default()
    }

    /// Drops bytes from the front of what `plaintext` shows.
    pub fn consume(&mut self, len: usize) {
        self.connection.reader().consume(len);
    }

    /// Encrypts as much plaintext as may be under way at a time; returns how much that is.
    /// ECONNRESET if the keys are used up.
    pub fn encrypt(&mut self, plaintext: &[IoSlice<'_>]) -> Result<usize> {
        // RFC 8446, 5.5: keys wear out. TLS 1.3 replaces them; before that there is no way, and
        // the library would drop the plaintext without a word.
        if let Some(SupportedCipherSuite::Tls12(suite)) = self.connection.negotiated_cipher_suite()
            && self.records + SPARE_RECORDS > suite.common.confidentiality_limit
        {
            return Err(Errno::ECONNRESET);
        }
        // Writing into memory cannot fail.
        let written = self.stack.run(|| self.connection.writer().write_vectored(plaintext));
        let len = written.map_err(|_| Errno::ECONNRESET)?;
        self.records += len.div_ceil(MOST_PLAINTEXT) as u64;
        Ok(len)
    }

    /// Ends our direction: the close_notify is ready to be sent.
    pub fn end(&mut self) {
        self.stack.run(|| self.connection.send_close_notify());
    }

    /// Whether there are records to be sent.
    pub fn has_output(&self) -> bool {
        self.connection.wants_write()
    }

    /// Moves records, which have to be sent in this order, to the front of `place`; returns how
    /// many bytes.
    pub fn take_output(&mut self, mut place: &mut [u8]) -> usize {
        if !self.has_output() {
            return 0;
        }
        // Writing into memory cannot fail.
        self.connection.write_tls(&mut place).unwrap_or(0)
    }
}

fn errno_of(error: &Error) -> Errno {
    match error {
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Errno::EACCES,
        _ => Errno::EPROTO,
    }
}
