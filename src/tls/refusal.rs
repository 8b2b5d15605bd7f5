//! Why a handshake has failed: as an error, and in words.

#![forbid(unsafe_code)]

use crate::error::Errno;
use crate::why::{self, Fact, Text};
use core::fmt;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

const DAY: u64 = 24 * 60 * 60;
/// How much of the names in a certificate is told.
const MAX_NAMES: usize = 60;

/// The error of a call, whose reason is noted. `strict` tells a refusal of our certificate from others.
pub(super) fn note(error: &Error, strict: bool) -> Errno {
    why::note(errno_of(error, strict), fact_of(error))
}

fn errno_of(error: &Error, strict: bool) -> Errno {
    match error {
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Errno::EACCES,
        Error::AlertReceived(alert) if strict && is_refusal(u8::from(*alert)) => Errno::EACCES,
        _ => Errno::EPROTO,
    }
}

/// Whether an alert says that the peer does not accept our certificate: bad, unsupported, revoked, expired,
/// unknown, unknown_ca, access_denied, certificate_required (RFC 8446, 6.2).
pub(super) fn is_refusal(alert: u8) -> bool {
    matches!(alert, 42..=46 | 48 | 49 | 116)
}

fn fact_of(error: &Error) -> Fact {
    match error {
        Error::InvalidCertificate(problem) => Fact::Certificate(words_for(problem)),
        Error::NoCertificatesPresented => Fact::Certificate(text("there is none")),
        Error::AlertReceived(alert) => alert_of(u8::from(*alert)),
        Error::NoApplicationProtocol => Fact::Tls(text("no application protocol in common (RFC 7301, 3.2)")),
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => Fact::Tls(text("no version in common: TLS 1.2 and 1.3 are supported, or what min_version says")),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            Fact::Tls(text("no cipher suite in common: those with GCM or ChaCha20-Poly1305 are supported"))
        }
        Error::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon) => {
            Fact::Tls(text("the peer cannot deal with our kind of key"))
        }
        other => Fact::Tls(Text::format(format_args!("{other}"))),
    }
}

/// What is told of an alert of the peer's.
pub(super) fn alert_of(alert: u8) -> Fact {
    let whose = if is_refusal(alert) { ", about our certificate" } else { "" };
    Fact::Alert(Text::format(format_args!("{}{whose}", AlertCode(alert))))
}

/// What is told of a record that we have answered with an alert.
pub(super) fn fact_of_refused_record(alert: u8) -> Fact {
    Fact::Tls(Text::format(format_args!(
        "the peer has sent what was refused with the alert {}",
        AlertCode(alert)
    )))
}

/// The name of an alert, if it has one, and its number.
struct AlertCode(u8);

impl fmt::Display for AlertCode {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match AlertDescription::from(self.0).as_str() {
            Some(name) => write!(to, "{name} ({})", self.0),
            None => write!(to, "{}", self.0),
        }
    }
}

fn words_for(problem: &CertificateError) -> Text {
    match problem {
        CertificateError::ExpiredContext { time, not_after } => {
            let ago = time.as_secs().saturating_sub(not_after.as_secs());
            Text::format(format_args!("expired {} ago", Span(ago)))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let until = not_before.as_secs().saturating_sub(time.as_secs());
            Text::format(format_args!("not valid before {} from now", Span(until)))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            Text::format(format_args!("made out to {}, not to {expected}", Names(presented)))
        }
        CertificateError::UnknownIssuer => text("issued by nobody who is trusted"),
        CertificateError::BadEncoding => text("malformed"),
        CertificateError::BadSignature => text("its signature is wrong"),
        CertificateError::Revoked => text("revoked"),
        CertificateError::InvalidPurposeContext { .. } | CertificateError::InvalidPurpose => {
            text("issued for another purpose")
        }
        CertificateError::ApplicationVerificationFailure => text("more than 10 certificates in its chain"),
        CertificateError::Other(error) => match Text::format(format_args!("{error}")) {
            // The name that it has in webpki.
            words if words.as_bytes() == b"CaUsedAsEndEntity" => {
                text("self-signed and not listed, or an authority's own")
            }
            words => words,
        },
        other => Text::format(format_args!("{other}")),
    }
}

fn text(words: &str) -> Text {
    Text::new(words.as_bytes())
}

/// A span of time in seconds, as people tell it.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self.0 {
            seconds if seconds < 60 => (seconds, "second"),
            seconds if seconds < 60 * 60 => (seconds / 60, "minute"),
            seconds if seconds < DAY => (seconds / 3600, "hour"),
            seconds => (seconds / DAY, "day"),
        };
        write!(to, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

/// The names in a certificate, as rustls tells them: of those that are too many, the first.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut len = 0;
        for (index, name) in self.0.iter().enumerate() {
            // DnsName("example.org")
            let name = name.split('"').nth(1).unwrap_or(name);
            len += name.len();
            if len > MAX_NAMES {
                return to.write_str(if index == 0 { "another name" } else { " and others" });
            }
            write!(to, "{}{name}", if index == 0 { "" } else { ", " })?;
        }
        if self.0.is_empty() { to.write_str("nobody") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(names: &[&str]) -> String {
        Names(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).to_string()
    }

    #[test]
    fn spans_of_time_are_in_the_largest_unit() {
        let spans = [0, 1, 59, 60, 3599, 3600, 86399, 86400, 3 * 86400].map(|span| Span(span).to_string());
        let words = [
            "0 seconds",
            "1 second",
            "59 seconds",
            "1 minute",
            "59 minutes",
            "1 hour",
            "23 hours",
            "1 day",
            "3 days",
        ];
        assert_eq!(spans, words);
    }

    #[test]
    fn names_are_told_as_far_as_there_is_room() {
        assert_eq!(words(&[]), "nobody");
        assert_eq!(words(&["DnsName(\"example.org\")"]), "example.org");
        assert_eq!(words(&["a", "b"]), "a, b");
        assert_eq!(words(&["a", &"b".repeat(MAX_NAMES)]), "a and others");
        assert_eq!(words(&[&"b".repeat(MAX_NAMES + 1)]), "another name");
    }
}
