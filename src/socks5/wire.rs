//! The messages of SOCKS5, RFC 1928, and of its password authentication, RFC 1929. No I/O.

use crate::error::{Errno, Result};
use crate::memory::{try_extend, try_vec};
use crate::net::addr::{self, IpAddr, Mode};
use core::ffi::{CStr, c_int};
use std::net::IpAddr as StdAddr;

/// The version of the protocol.
pub(crate) const VERSION: u8 = 5;
/// The version of the password authentication.
pub(crate) const AUTH_VERSION: u8 = 1;

/// RFC 1928, 3: no authentication.
pub(crate) const METHOD_NONE: u8 = 0;
/// RFC 1928, 3: user name and password.
pub(crate) const METHOD_PASSWORD: u8 = 2;
/// RFC 1928, 3: none of the offered methods will do.
pub(crate) const METHOD_REFUSED: u8 = 0xff;

/// Command: connect to the address.
pub(crate) const CONNECT: c_int = 1;
/// Command: listen for a connection.
pub(crate) const BIND: c_int = 2;
/// Command: relay datagrams.
pub(crate) const UDP_ASSOCIATE: c_int = 3;

/// RFC 1928, 6: the last of the replies, which begin with 0 for success.
pub(crate) const LAST_REPLY: u8 = 8;

/// RFC 1928, 5: an IPv4 address.
pub(crate) const IPV4: u8 = 1;
/// RFC 1928, 5: a length and a name.
pub(crate) const NAME: u8 = 3;
/// RFC 1928, 5: an IPv6 address.
pub(crate) const IPV6: u8 = 4;

/// The longest name, user name and password, in bytes.
pub(crate) const MAX_TEXT: usize = 255;
/// Version, command or reply, a reserved byte, type of the address.
pub(crate) const HEAD: usize = 4;
/// Bytes that were put together; on the heap, for who asks a proxy has little of the stack left.
pub(crate) struct WireMessage(Vec<u8>);

impl WireMessage {
    /// Of these bytes. ENOMEM.
    fn new(bytes: &[u8]) -> Result<WireMessage> {
        try_vec(bytes).map(WireMessage)
    }

    /// Adds bytes. ENOMEM.
    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        try_extend(&mut self.0, bytes)
    }

    /// Adds a text behind its length. EINVAL if it is longer than 255 bytes; ENOMEM.
    fn add_text(&mut self, text: &[u8]) -> Result<()> {
        let len = u8::try_from(text.len()).map_err(|_| Errno::EINVAL)?;
        self.add(&[len])?;
        self.add(text)
    }

    fn add_address(&mut self, address: &IpAddr) -> Result<()> {
        match address.ip() {
            Some(StdAddr::V4(ip)) => {
                self.add(&[IPV4])?;
                self.add(&ip.octets())?;
            }
            Some(StdAddr::V6(ip)) => {
                self.add(&[IPV6])?;
                self.add(&ip.octets())?;
            }
            None => return Err(Errno::EINVAL),
        }
        self.add(&(address.port() as u16).to_be_bytes())
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// RFC 1929, 2: user name and password. EINVAL if one has more than 255 bytes.
pub(crate) fn login(username: &[u8], password: &[u8]) -> Result<WireMessage> {
    let mut message = WireMessage::new(&[AUTH_VERSION])?;
    message.add_text(username)?;
    message.add_text(password)?;
    Ok(message)
}

/// RFC 1928, 4 and 6: a request or a reply with an address. EINVAL if it is of no IP family.
pub(crate) fn with_address(code: u8, address: &IpAddr) -> Result<WireMessage> {
    let mut message = WireMessage::new(&[VERSION, code, 0])?;
    message.add_address(address)?;
    Ok(message)
}

/// RFC 1928, 4: a request with a name, or with the address that the name spells out. EINVAL if the
/// name has more than 255 bytes, or the port is not 1 to 65535.
pub(crate) fn with_name(code: u8, name: &CStr, port: c_int) -> Result<WireMessage> {
    let port = addr::port(port)?;
    if port == 0 {
        return Err(Errno::EINVAL);
    }
    if let Some(address) = addr::literal(name, port, Mode::new(0)?) {
        return with_address(code, &address);
    }
    let mut message = WireMessage::new(&[VERSION, code, 0, NAME])?;
    message.add_text(name.to_bytes())?;
    message.add(&port.to_be_bytes())?;
    Ok(message)
}

/// The code and the type of the address in the head of a request or a reply. EPROTO.
pub(crate) fn decode_head(head: [u8; HEAD]) -> Result<(u8, u8)> {
    match head {
        [VERSION, code, 0, kind @ (IPV4 | NAME | IPV6)] => Ok((code, kind)),
        _ => Err(Errno::EPROTO),
    }
}

/// RFC 1928, 6: what a reply says.
pub(crate) fn outcome(reply: u8) -> Result<()> {
    Err(match reply {
        0 => return Ok(()),
        1 => Errno::System(libc::EIO),
        2 => Errno::EACCES,
        3 => Errno::System(libc::ENETUNREACH),
        4 => Errno::System(libc::EHOSTUNREACH),
        5 => Errno::ECONNREFUSED,
        6 => Errno::ETIMEDOUT,
        7 => Errno::ENOTSUP,
        8 => Errno::System(libc::EAFNOSUPPORT),
        _ => Errno::EPROTO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &CStr, port: u16) -> IpAddr {
        addr::literal(text, port, Mode::new(0).unwrap()).unwrap()
    }

    #[test]
    fn the_bytes_are_those_of_the_rfc() {
        let four = with_address(1, &address(c"1.2.3.4", 0x0506)).unwrap();
        assert_eq!(four.as_bytes(), [5, 1, 0, 1, 1, 2, 3, 4, 5, 6]);
        let six = with_address(0, &address(c"1:203::4", 80)).unwrap();
        assert_eq!(six.as_bytes(), [5, 0, 0, 4, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 80]);
        let name = with_name(1, c"abc", 80).unwrap();
        assert_eq!(name.as_bytes(), b"\x05\x01\x00\x03\x03abc\x00\x50");
        let login = login(b"me", b"").unwrap();
        assert_eq!(login.as_bytes(), b"\x01\x02me\x00");
    }

    #[test]
    fn a_numeric_name_is_sent_as_an_address() {
        let literal = with_name(1, c"1.2.3.4", 80).unwrap();
        assert_eq!(literal.as_bytes(), [5, 1, 0, 1, 1, 2, 3, 4, 0, 80]);
        assert_eq!(with_name(1, c"::1", 80).unwrap().as_bytes()[3], IPV6);
    }

    #[test]
    fn texts_have_at_most_255_bytes() {
        let longest = [b'x'; 255];
        assert_eq!(login(&longest, &longest).unwrap().as_bytes().len(), 1 + 2 * (1 + MAX_TEXT));
        assert!(login(&[b'x'; 256], b"").is_err() && login(b"", &[b'x'; 256]).is_err());
        let name = std::ffi::CString::new([b'x'; 255]).unwrap();
        assert_eq!(with_name(1, &name, 1).unwrap().as_bytes().len(), HEAD + 1 + MAX_TEXT + 2);
        let name = std::ffi::CString::new([b'x'; 256]).unwrap();
        assert!(with_name(1, &name, 1).is_err());
    }

    #[test]
    fn ports_of_names_are_1_to_65535() {
        for (port, fits) in [(-1, false), (0, false), (1, true), (65535, true), (65536, false)] {
            assert_eq!(with_name(1, c"x", port).is_ok(), fits);
        }
    }

    #[test]
    fn an_address_of_no_ip_family_is_not_sent() {
        assert!(with_address(0, &IpAddr::UNSPECIFIED).is_err());
    }

    #[test]
    fn heads_are_checked() {
        assert_eq!(decode_head([5, 7, 0, 1]), Ok((7, 1)));
        for bad in [[4, 1, 0, 1], [5, 1, 1, 1], [5, 1, 0, 0], [5, 1, 0, 2], [5, 1, 0, 5]] {
            assert_eq!(decode_head(bad), Err(Errno::EPROTO));
        }
    }

    #[test]
    fn replies_become_errors() {
        let codes: Vec<i32> = (0..=9).map(|reply| outcome(reply).err().map_or(0, Errno::code)).collect();
        use libc::*;
        assert_eq!(
            codes,
            [
                0,
                EIO,
                EACCES,
                ENETUNREACH,
                EHOSTUNREACH,
                ECONNREFUSED,
                ETIMEDOUT,
                EOPNOTSUPP,
                EAFNOSUPPORT,
                EPROTO
            ]
        );
        assert_eq!(outcome(255), Err(Errno::EPROTO));
    }
}
