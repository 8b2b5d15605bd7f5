//! SOCKS5 over a bytestream, which stays the caller's: the side that asks, and the proxy. Nothing
//! is read beyond the last message.

pub mod client;
pub mod proxy;
pub(crate) mod wire;

use crate::error::Result;
use crate::net::addr::IpAddr;
use crate::rt::handle::{self, Id};
use crate::sock::{BSOCK_TYPE, call};
use core::ffi::c_int;
use std::net::{Ipv4Addr, Ipv6Addr};
use wire::{HEAD, IPV4, IPV6, MAX_TEXT};

/// The bytestream of a handle. EBADF, ENOTSUP.
pub(crate) fn find_bytestream(s: c_int) -> Result<Id> {
    handle::query(s, BSOCK_TYPE.get())?;
    Ok(Id::of(s))
}

fn recv<const N: usize>(s: Id, deadline: i64) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    call::recv_all(s.handle(), &mut bytes, deadline)?;
    Ok(bytes)
}

/// A text that came, with a NUL behind it.
struct SocksText {
    bytes: [u8; MAX_TEXT + 1],
    len: usize,
}

impl SocksText {
    const fn new() -> SocksText {
        SocksText { bytes: [0; MAX_TEXT + 1], len: 0 }
    }

    fn recv(&mut self, s: Id, deadline: i64) -> Result<()> {
        let [len] = recv(s, deadline)?;
        self.len = usize::from(len);
        self.bytes[self.len] = 0;
        call::recv_all(s.handle(), &mut self.bytes[..self.len], deadline)
    }

    fn with_nul(&self) -> &[u8] {
        &self.bytes[..=self.len]
    }
}

/// Where a request or a reply points to.
enum Destination {
    Address(IpAddr),
    /// The text that was received, and a port.
    Name(u16),
}

/// Receives a request or a reply: its code, and the address in it, or the name as a text. EPROTO.
fn recv_message(s: Id, name: &mut SocksText, deadline: i64) -> Result<(u8, Destination)> {
    let head: [u8; HEAD] = recv(s, deadline)?;
    let (code, kind) = wire::decode_head(head)?;
    let target = match kind {
        IPV4 => {
            let ip = Ipv4Addr::from(recv::<4>(s, deadline)?);
            Destination::Address(IpAddr::new(ip.into(), recv_port(s, deadline)?, 0))
        }
        IPV6 => {
            let ip = Ipv6Addr::from(recv::<16>(s, deadline)?);
            Destination::Address(IpAddr::new(ip.into(), recv_port(s, deadline)?, 0))
        }
        _ => {
            name.recv(s, deadline)?;
            Destination::Name(recv_port(s, deadline)?)
        }
    };
    Ok((code, target))
}

fn recv_port(s: Id, deadline: i64) -> Result<u16> {
    recv(s, deadline).map(u16::from_be_bytes)
}
