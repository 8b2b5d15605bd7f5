//! What is read of certificates of every age and make: the library that verifies them refuses version 1,
//! which many test certificates have, and keeps what they say to itself.

#![forbid(unsafe_code)]

use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Serial numbers and times in forms that RFC 5280 no longer allows are taken, too.
fn parse(cert: &[u8]) -> Option<CertificateInner<Raw>> {
    CertificateInner::from_der(cert).ok()
}

/// The public key of a certificate, as its subjectPublicKeyInfo.
pub fn public_key(cert: &[u8]) -> Option<Vec<u8>> {
    parse(cert)?.tbs_certificate().subject_public_key_info().to_der().ok()
}

/// The first and the last second at which a certificate is valid, since 1970.
pub fn validity(cert: &[u8]) -> Option<(u64, u64)> {
    let cert = parse(cert)?;
    let validity = cert.tbs_certificate().validity();
    Some((validity.not_before.to_unix_duration().as_secs(), validity.not_after.to_unix_duration().as_secs()))
}

/// The hosts to whose names a certificate is made out, in lower case: none if it says so in a way that cannot
/// be read. "*." stands for any one label.
pub(super) fn hosts(cert: &[u8]) -> Vec<String> {
    let Some(cert) = parse(cert) else { return Vec::new() };
    let Ok(Some((_, names))) = cert.tbs_certificate().get_extension::<SubjectAltName>() else {
        return Vec::new();
    };
    let hosts = names.0.iter().filter_map(|name| match name {
        GeneralName::DnsName(host) => Some(host.as_str().to_ascii_lowercase()),
        _ => None,
    });
    hosts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of version 1, valid to 2081, and of version 3, valid to 2036: these years are written in two forms.
    const V1: &[u8] = include_bytes!("testdata/v1.der");
    const V3: &[u8] = include_bytes!("testdata/v3.der");

    #[test]
    fn certificates_of_both_versions_say_how_long_they_are_valid() {
        assert_eq!(validity(V1), Some((1_795_634_983, 3_523_634_983)));
        assert_eq!(validity(V3), Some((1_795_634_983, 2_110_994_983)));
    }

    #[test]
    fn the_public_key_is_that_of_the_certificate() {
        // Both have the same one, of 91 bytes.
        let key = public_key(V1).unwrap();
        assert_eq!((key.len(), Some(&key)), (91, public_key(V3).as_ref()));
        assert!(V1.windows(91).any(|window| window == key));
    }

    #[test]
    fn the_hosts_are_those_of_the_alternative_names() {
        assert_eq!(hosts(V1), Vec::<String>::new());
        assert_eq!(hosts(V3), ["a"]);
    }

    #[test]
    fn what_is_cut_off_or_has_something_behind_it_is_no_certificate() {
        for cert in [V1, V3] {
            for len in 0..cert.len() {
                assert_eq!((public_key(&cert[..len]), validity(&cert[..len])), (None, None));
            }
            assert_eq!(public_key(&[cert, &[0]].concat()), None);
        }
    }

    #[test]
    fn every_single_byte_changed_does_no_harm() {
        let mut cert = V3.to_vec();
        for index in 0..cert.len() {
            let good = cert[index];
            for byte in (0..=255).step_by(5) {
                cert[index] = byte;
                assert_eq!(public_key(&cert).is_some(), validity(&cert).is_some());
            }
            cert[index] = good;
        }
    }
}
