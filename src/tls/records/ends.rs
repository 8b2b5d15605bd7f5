//! Both ends of a connection without a socket, for tests and for the fuzz target: what one seals the other opens.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    missing_docs,
    reason = "no part of the library: for tests and the fuzz target"
)]

use super::{Alert, CLOSE_NOTIFY, HEADER, Session};
use crate::error::Result;
use crate::net::stream::records::Records;
use crate::tls::handshake::Handshake;
use crate::tls::trust::NoVerification;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use std::io::IoSlice;
use std::sync::{Arc, LazyLock};

/// One end of a connection whose handshake is over.
pub struct End {
    session: Box<Session>,
    /// At the beginning: how many records were opened and sealed, and with which keys.
    records: [u64; 2],
    keys: [u64; 2],
}

type Configs = (Arc<ClientConfig>, Arc<ServerConfig>);

fn configs(version: &'static SupportedProtocolVersion) -> Configs {
    let provider = Arc::new(default_provider());
    let cert = CertificateDer::from_slice(include_bytes!("../testdata/server.der"));
    let key = PrivatePkcs8KeyDer::from(&include_bytes!("../testdata/server.key.der")[..]);
    let versions = [version];
    let client =
        ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions).unwrap();
    let client = client.dangerous().with_custom_certificate_verifier(Arc::new(NoVerification));
    let mut client = client.with_no_client_auth();
    client.enable_secret_extraction = true;
    let server = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions).unwrap();
    let server = server.with_no_client_auth();
    let mut server = server.with_single_cert(vec![cert], PrivateKeyDer::Pkcs8(key)).unwrap();
    server.enable_secret_extraction = true;
    server.send_tls13_tickets = 0;
    (Arc::new(client), Arc::new(server))
}

/// Gives whole records to a handshake, as far as it wants them; whether it is over.
fn advance(end: &mut Handshake, incoming: &mut Vec<u8>, outgoing: &mut Vec<u8>) -> bool {
    while let Some(header) = incoming.first_chunk::<HEADER>() {
        let len = HEADER + Handshake::length_of_rest(header);
        let record: Vec<u8> = incoming.drain(..len).collect();
        if end.advance(&record, outgoing).unwrap() {
            return true;
        }
    }
    false
}

/// The client and the server of a fresh connection, of TLS 1.3 or 1.2.
pub fn connect(is_tls13: bool) -> (End, End) {
    static BOTH: LazyLock<[Configs; 2]> = LazyLock::new(|| [configs(&TLS12), configs(&TLS13)]);
    let (client, server) = &BOTH[usize::from(is_tls13)];
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = Handshake::client(client.clone(), name, true, false).unwrap();
    let mut server = Handshake::server(server.clone(), true).unwrap();
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    client.advance(&[], &mut to_server).unwrap();
    let (mut client_done, mut server_done) = (false, false);
    while !(client_done && server_done) {
        server_done = server_done || advance(&mut server, &mut to_server, &mut to_client);
        client_done = client_done || advance(&mut client, &mut to_client, &mut to_server);
    }
    (End::new(client), End::new(server))
}

impl End {
    fn new(handshake: Handshake) -> End {
        let session = handshake.into_session().unwrap();
        let (records, keys) = ([session.opened, session.sealed], End::keys_of(&session));
        End { session, records, keys }
    }

    /// What tells one pair of keys from another.
    fn keys_of(session: &Session) -> [u64; 2] {
        [session.opener.iv_end, session.sealer.iv_end]
    }

    /// Begins the connection again, without another handshake, which takes much longer than all that follows. False:
    /// a key has changed. Both ends have to do it.
    pub fn begin_again(&mut self) -> bool {
        let session = &mut *self.session;
        [session.opened, session.sealed] = self.records;
        session.handshake.clear();
        (session.key_updates, session.tickets, session.work, session.uncommitted) = (0, 0, 0, 0);
        (session.ended, session.finished, session.update_due) = (false, false, false);
        (session.failed, session.alert_due, session.alert) = (None, None, Alert::Sent(CLOSE_NOTIFY));
        End::keys_of(session) == self.keys
    }

    /// Opens what can be at the front of the wire, which then holds what came out and the rest; returns the
    /// lengths of what was taken in and of what came out.
    pub fn open(&mut self, wire: &mut [u8]) -> Result<(usize, usize)> {
        self.session.open(wire).map(|opened| (opened.used, opened.plain))
    }

    /// How many bytes are missing of the record that begins so.
    pub fn missing(&self, front: &[u8]) -> usize {
        self.session.missing(front)
    }

    /// Whether something can still be opened.
    pub fn check(&self) -> Result<()> {
        self.session.check()
    }

    /// Appends what has to be sent besides.
    pub fn reply(&mut self, wire: &mut Vec<u8>) -> Result<()> {
        self.session.reply(wire)
    }

    /// Seals the parts, which leave, or with `false` never do.
    pub fn seal(&mut self, parts: &[&[u8]], has_left: bool, wire: &mut Vec<u8>) -> Result<usize> {
        let parts: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut sealed = Vec::new();
        let len = self.session.seal(&parts, &mut sealed);
        self.session.commit(len.is_ok() && has_left);
        if has_left {
            wire.extend(sealed);
        }
        len
    }

    /// Seals a record of any type, whatever that means.
    pub fn seal_record(&mut self, content_type: u8, payload: &[u8], wire: &mut Vec<u8>) -> Result<()> {
        self.session.seal_own(content_type, payload, wire)
    }

    /// Changes the key of this end, and asks the other one for that, too, or does not. TLS 1.3.
    pub fn update_key(&mut self, and_ask: bool, wire: &mut Vec<u8>) -> Result<()> {
        if !and_ask {
            self.session.update_due = true;
            return self.session.reply(wire);
        }
        self.seal_record(22, &[super::KEY_UPDATE, 0, 0, 1, 1], wire)?;
        // The message that says so is replaced by the one that asks.
        self.session.update_due = true;
        self.session.reply(&mut Vec::new())
    }

    /// Says that nothing follows.
    pub fn end(&mut self, wire: &mut Vec<u8>) -> Result<()> {
        self.session.end(wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    /// Opens all that is there; fails unless all of it can be.
    fn open_all(end: &mut End, wire: &mut Vec<u8>) -> Vec<u8> {
        let mut plain = Vec::new();
        while !wire.is_empty() {
            let (used, len) = end.open(wire).unwrap();
            assert!(used > 0);
            plain.extend_from_slice(&wire[..len]);
            wire.drain(..used);
        }
        plain
    }

    fn each_connection(mut run: impl FnMut(bool, End, End)) {
        for is_tls13 in [false, true] {
            let (client, server) = connect(is_tls13);
            run(is_tls13, client, server);
            let (client, server) = connect(is_tls13);
            run(is_tls13, server, client);
        }
    }

    #[test]
    fn what_was_sealed_and_never_left_is_sealed_again() {
        each_connection(|_, mut one, mut other| {
            let mut wire = Vec::new();
            one.seal(&[b"never"], false, &mut wire).unwrap();
            one.seal(&[b"on", b"ce"], true, &mut wire).unwrap();
            assert_eq!(open_all(&mut other, &mut wire), b"once");
        });
    }

    #[test]
    fn a_record_arrives_as_it_is_asked_for() {
        each_connection(|_, mut one, mut other| {
            let (mut wire, mut front) = (Vec::new(), Vec::new());
            one.seal(&[b"hello"], true, &mut wire).unwrap();
            let whole = wire.len();
            for want in [HEADER, whole - HEADER] {
                assert_eq!(other.open(&mut front), Ok((0, 0)));
                assert_eq!(other.missing(&front), want);
                front.extend(wire.drain(..want));
            }
            assert_eq!(other.open(&mut front), Ok((whole, 5)));
        });
    }

    #[test]
    fn keys_change_in_both_directions_as_one_end_asks() {
        let (mut one, mut other) = connect(true);
        for round in 0_u8..20 {
            let mut wire = Vec::new();
            one.seal(&[b"before"], true, &mut wire).unwrap();
            one.update_key(round % 2 == 0, &mut wire).unwrap();
            one.seal(&[b" and behind"], true, &mut wire).unwrap();
            assert_eq!(open_all(&mut other, &mut wire), b"before and behind");
            other.reply(&mut wire).unwrap();
            assert_eq!(!wire.is_empty(), round % 2 == 0);
            other.seal(&[b"back"], true, &mut wire).unwrap();
            assert_eq!(open_all(&mut one, &mut wire), b"back");
        }
    }

    #[test]
    fn of_many_key_updates_that_ask_one_is_answered() {
        let (mut one, mut other) = connect(true);
        let (mut wire, mut replies, mut more) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..10 {
            one.update_key(true, &mut wire).unwrap();
        }
        open_all(&mut other, &mut wire);
        other.reply(&mut replies).unwrap();
        other.reply(&mut more).unwrap();
        assert!(!replies.is_empty() && more.is_empty());
        assert_eq!(open_all(&mut one, &mut replies), b"");
    }

    #[test]
    fn a_record_that_was_changed_is_refused_and_the_peer_is_told() {
        each_connection(|_, mut one, mut other| {
            let (mut wire, mut alert) = (Vec::new(), Vec::new());
            one.seal(&[b"good"], true, &mut wire).unwrap();
            let start = wire.len();
            one.seal(&[b"bad"], true, &mut wire).unwrap();
            *wire.last_mut().unwrap() ^= 1;
            let (used, len) = other.open(&mut wire).unwrap();
            assert_eq!((&wire[..len], used >= start), (&b"good"[..], true));
            assert_eq!(other.check(), Err(Errno::EPROTO));
            other.reply(&mut alert).unwrap();
            assert!(one.open(&mut alert).is_err());
            assert_eq!(one.check(), Err(Errno::EPROTO));
        });
    }

    #[test]
    fn a_message_of_the_handshake_may_come_in_parts_but_nothing_between_them() {
        for between in [false, true] {
            let (mut one, mut other) = connect(true);
            let mut wire = Vec::new();
            one.seal_record(22, &[24, 0], &mut wire).unwrap();
            if between {
                one.seal(&[b"between"], true, &mut wire).unwrap();
            }
            one.seal_record(22, &[0, 1, 0], &mut wire).unwrap();
            assert_eq!(other.open(&mut wire).is_err(), between);
        }
    }

    #[test]
    fn nothing_is_opened_behind_the_end() {
        each_connection(|_, mut one, mut other| {
            let mut wire = Vec::new();
            one.seal(&[b"last"], true, &mut wire).unwrap();
            one.end(&mut wire).unwrap();
            let end = wire.len();
            wire.extend_from_slice(b"plain");
            assert_eq!(other.open(&mut wire), Ok((end, 4)));
            assert_eq!(other.check(), Err(Errno::EPIPE));
            assert!(one.seal(&[b"more"], true, &mut Vec::new()).is_err());
        });
    }

    #[test]
    fn a_connection_begins_again_unless_its_keys_have_changed() {
        each_connection(|is_tls13, mut one, mut other| {
            for round in 0..3 {
                let mut wire = Vec::new();
                one.seal(&[b"once"], true, &mut wire).unwrap();
                assert_eq!(open_all(&mut other, &mut wire), b"once");
                if round == 1 {
                    one.end(&mut wire).unwrap();
                }
                if round == 2 && is_tls13 {
                    one.update_key(false, &mut wire).unwrap();
                }
                open_all(&mut other, &mut wire);
                let changed = round == 2 && is_tls13;
                assert_eq!([one.begin_again(), other.begin_again()], [!changed; 2]);
            }
        });
    }

    #[test]
    fn by_tls12_a_wish_to_begin_again_is_declined() {
        let (mut one, mut other) = connect(false);
        let (mut wire, mut reply) = (Vec::new(), Vec::new());
        one.seal_record(22, &[1, 0, 0, 0], &mut wire).unwrap();
        one.seal(&[b"and on"], true, &mut wire).unwrap();
        assert_eq!(open_all(&mut other, &mut wire), b"and on");
        other.reply(&mut reply).unwrap();
        assert!(!reply.is_empty());
        assert_eq!(open_all(&mut one, &mut reply), b"");
    }

    /// The alert that is due once the other end has opened what is on the wire.
    fn alert_due(end: &mut End, mut wire: Vec<u8>) -> Option<[u8; 2]> {
        let _ = end.open(&mut wire);
        end.session.alert_due
    }

    /// RFC 8446, 6, and RFC 5246, 7.2.
    #[test]
    fn every_alert_ends_the_connection_unless_it_warns_and_is_not_answered() {
        each_connection(|is_tls13, mut one, mut other| {
            for (level, alert) in (0..=3).flat_map(|level| (0..=255).map(move |alert| (level, alert))) {
                assert!(one.begin_again() && other.begin_again());
                let mut wire = Vec::new();
                one.seal_record(21, &[level, alert], &mut wire).unwrap();
                let _ = other.open(&mut wire);
                let expected = match alert {
                    0 => Err(Errno::EPIPE),
                    90 => Ok(()),
                    _ if level == 1 && !is_tls13 => Ok(()),
                    42..=46 | 48 | 49 | 116 => Err(Errno::EACCES),
                    _ => Err(Errno::EPROTO),
                };
                assert_eq!(other.check(), expected, "{level} {alert}");
                assert_eq!(other.session.alert_due, None, "{level} {alert}");
                let may_send = matches!(expected, Ok(()) | Err(Errno::EPIPE));
                assert_eq!(other.seal(&[b"x"], true, &mut Vec::new()).is_ok(), may_send);
            }
        });
    }

    #[test]
    fn no_record_is_longer_than_it_may_be() {
        each_connection(|_, mut one, mut other| {
            let mut wire = Vec::new();
            one.seal_record(23, &[1; 1 << 14], &mut wire).unwrap();
            assert_eq!(open_all(&mut other, &mut wire), [1; 1 << 14]);
            one.seal_record(23, &[1; (1 << 14) + 1], &mut wire).unwrap();
            assert_eq!(alert_due(&mut other, wire), Some([2, 22]));
        });
    }

    /// RFC 8446, 5.4.
    #[test]
    fn nothing_but_application_data_may_be_empty() {
        for typ in [21, 22] {
            each_connection(|_, mut one, mut other| {
                let mut wire = Vec::new();
                one.seal_record(23, &[], &mut wire).unwrap();
                assert_eq!(open_all(&mut other, &mut wire), []);
                one.seal_record(typ, &[], &mut wire).unwrap();
                assert_eq!(alert_due(&mut other, wire), Some([2, 10]));
            });
        }
    }

    /// RFC 8446, 4.6.3 and 5.1.
    #[test]
    fn key_updates_that_cannot_be_meant_are_refused() {
        let messages: [(&[u8], u8); 6] = [
            (&[24, 0, 0, 1, 2], 47),
            (&[24, 0, 0, 1, 255], 47),
            (&[24, 0, 0, 0], 50),
            (&[24, 0, 0, 2, 0, 0], 50),
            (&[24, 0, 0, 1, 0, 24], 10),
            (&[24, 255, 255, 255], 50),
        ];
        for (message, alert) in messages {
            let (mut one, mut other) = connect(true);
            let mut wire = Vec::new();
            one.seal_record(22, message, &mut wire).unwrap();
            assert_eq!(alert_due(&mut other, wire), Some([2, alert]), "{message:?}");
        }
    }

    #[test]
    fn a_peer_that_only_changes_its_key_is_refused() {
        let (mut one, mut other) = connect(true);
        let mut wire = Vec::new();
        for _ in 0..32 {
            one.update_key(false, &mut wire).unwrap();
        }
        assert_eq!(open_all(&mut other, &mut wire), []);
        one.update_key(false, &mut wire).unwrap();
        assert_eq!(alert_due(&mut other, wire), Some([2, 10]));
    }
}
