//! IP addresses: a native socket address in 32 opaque bytes.

use crate::error::{self, Errno, Result};
use crate::rt::big_stack::BigStack;
use core::ffi::{CStr, c_int};
use core::{mem, ptr};
use std::net::{IpAddr as StdAddr, Ipv4Addr, Ipv6Addr};

/// Only IPv4.
pub const IPV4: c_int = 1;
/// Only IPv6.
pub const IPV6: c_int = 2;
/// IPv4 if there is one.
pub const PREFER_IPV4: c_int = 3;
/// IPv6 if there is one.
pub const PREFER_IPV6: c_int = 4;

/// The longest text of an address, its NUL included.
pub const MAX_TEXT: usize = 46;

/// An address and a port. C code may place it at any address in memory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IpAddr([u8; 32]);

/// Which families a caller wants, the preferred one first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mode {
    first: c_int,
    second: Option<c_int>,
}

impl Mode {
    /// Reads the argument of the C functions; 0 is `PREFER_IPV4`. EINVAL.
    pub(crate) fn new(mode: c_int) -> Result<Mode> {
        let (first, second) = match mode {
            IPV4 => (libc::AF_INET, None),
            IPV6 => (libc::AF_INET6, None),
            0 | PREFER_IPV4 => (libc::AF_INET, Some(libc::AF_INET6)),
            PREFER_IPV6 => (libc::AF_INET6, Some(libc::AF_INET)),
            _ => return Err(Errno::EINVAL),
        };
        Ok(Mode { first, second })
    }

    /// The families in order of preference.
    pub(crate) fn families(self) -> impl Iterator<Item = c_int> {
        [Some(self.first), self.second].into_iter().flatten()
    }
}

/// Reads a port argument. EINVAL.
pub(crate) fn port(port: c_int) -> Result<u16> {
    u16::try_from(port).map_err(|_| Errno::EINVAL)
}

impl IpAddr {
    /// No address at all.
    pub const UNSPECIFIED: IpAddr = IpAddr([0; 32]);

    /// An address of either family; the scope is for IPv6 addresses of one link.
    pub fn new(address: StdAddr, port: u16, scope: u32) -> IpAddr {
        match address {
            StdAddr::V4(address) => {
                // SAFETY: all zeros is a valid socket address.
                let mut native: libc::sockaddr_in = unsafe { mem::zeroed() };
                native.sin_family = libc::AF_INET as libc::sa_family_t;
                native.sin_port = port.to_be();
                native.sin_addr.s_addr = u32::from_ne_bytes(address.octets());
                // SAFETY: a socket address is plain data.
                unsafe { IpAddr::from_native((&raw const native).cast(), size_of_val(&native)) }
            }
            StdAddr::V6(address) => {
                // SAFETY: all zeros is a valid socket address.
                let mut native: libc::sockaddr_in6 = unsafe { mem::zeroed() };
                native.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                native.sin6_port = port.to_be();
                native.sin6_addr.s6_addr = address.octets();
                native.sin6_scope_id = scope;
                // SAFETY: a socket address is plain data.
                unsafe { IpAddr::from_native((&raw const native).cast(), size_of_val(&native)) }
            }
        }
    }

    /// Copies a native socket address, as much of it as there is room for.
    ///
    /// # Safety
    /// `native` is readable for `len` bytes.
    pub unsafe fn from_native(native: *const u8, len: usize) -> IpAddr {
        let mut address = IpAddr::UNSPECIFIED;
        let len = len.min(address.0.len());
        // SAFETY: the native address has `len` bytes, as the caller says, of which no more are copied than fit.
        unsafe { ptr::copy_nonoverlapping(native, address.0.as_mut_ptr(), len) };
        address
    }

    /// The native socket address.
    pub fn native(&self) -> *const libc::sockaddr {
        self.0.as_ptr().cast()
    }

    /// `AF_INET` or `AF_INET6`, or whatever stands there.
    pub fn family(&self) -> c_int {
        c_int::from(libc::sa_family_t::from_ne_bytes([self.0[0], self.0[1]]))
    }

    /// The size of the native socket address, in bytes.
    pub fn native_len(&self) -> c_int {
        let len = if self.family() == libc::AF_INET {
            size_of::<libc::sockaddr_in>()
        } else {
            size_of::<libc::sockaddr_in6>()
        };
        len as c_int
    }

    /// The bytes of the native socket address.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0[..self.native_len() as usize]
    }

    /// The port, in host order.
    pub fn port(&self) -> c_int {
        c_int::from(u16::from_be_bytes([self.0[2], self.0[3]]))
    }

    /// Sets the port to the low 16 bits of the argument.
    pub fn set_port(&mut self, port: c_int) {
        self.0[2..4].copy_from_slice(&(port as u16).to_be_bytes());
    }

    /// The address without its port; None if it is of no IP family.
    pub fn ip(&self) -> Option<StdAddr> {
        match self.family() {
            libc::AF_INET => {
                let octets: [u8; 4] = self.0[4..8].try_into().ok()?;
                Some(Ipv4Addr::from(octets).into())
            }
            libc::AF_INET6 => {
                let octets: [u8; 16] = self.0[8..24].try_into().ok()?;
                Some(Ipv6Addr::from(octets).into())
            }
            _ => None,
        }
    }

    /// Whether both are the same address, and have the same port unless that is to be ignored.
    /// Addresses of no IP family equal nothing.
    pub fn equal(&self, other: &IpAddr, ignore_port: bool) -> bool {
        self.ip().is_some() && self.ip() == other.ip() && (ignore_port || self.port() == other.port())
    }

    /// The numeric text.
    pub fn text(&self) -> AddressText {
        let mut text = AddressText { bytes: [0; MAX_TEXT], len: 0 };
        if let Some(ip) = self.ip() {
            use core::fmt::Write;
            // The longest address fits by the definition of MAX_TEXT.
            let _ = write!(text, "{ip}");
        }
        text
    }
}

/// The text of an address.
pub struct AddressText {
    bytes: [u8; MAX_TEXT],
    len: usize,
}

impl AddressText {
    /// With the NUL that ends it.
    pub fn as_bytes_with_nul(&self) -> &[u8] {
        &self.bytes[..=self.len]
    }
}

impl core::fmt::Write for AddressText {
    fn write_str(&mut self, part: &str) -> core::fmt::Result {
        let end = self.len + part.len();
        let place = self.bytes[..MAX_TEXT - 1].get_mut(self.len..end).ok_or(core::fmt::Error)?;
        place.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Reads a numeric address of a wanted family.
pub(crate) fn literal(name: &CStr, port: u16, mode: Mode) -> Option<IpAddr> {
    let name = name.to_str().ok()?;
    mode.families().find_map(|family| {
        let address: StdAddr = match family {
            libc::AF_INET => name.parse::<Ipv4Addr>().ok()?.into(),
            _ => name.parse::<Ipv6Addr>().ok()?.into(),
        };
        Some(IpAddr::new(address, port, 0))
    })
}

/// A local address: the wildcard, a literal, or that of a network interface. EINVAL, ENODEV.
pub(crate) fn local(name: Option<&CStr>, port: c_int, mode: c_int) -> Result<IpAddr> {
    let port = self::port(port)?;
    let mode = Mode::new(mode)?;
    let Some(name) = name else {
        let wildcard = match mode.first {
            libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
            _ => Ipv6Addr::UNSPECIFIED.into(),
        };
        return Ok(IpAddr::new(wildcard, port, 0));
    };
    if let Some(address) = literal(name, port, mode) {
        return Ok(address);
    }
    let interfaces = Interfaces::new()?;
    let found = mode.families().find_map(|family| interfaces.address(name, family));
    let mut address = found.ok_or(Errno::ENODEV)?;
    address.set_port(c_int::from(port));
    Ok(address)
}

/// The kernel's list of interface addresses.
struct Interfaces(*mut libc::ifaddrs);

impl Interfaces {
    fn new() -> Result<Interfaces> {
        let mut list = ptr::null_mut();
        // It takes 5 KB of stack.
        let listed = BigStack::get()?.run(|| {
            // SAFETY: `list` is writable.
            error::check(unsafe { libc::getifaddrs(&raw mut list) })
        });
        listed.map_err(|error| match error {
            Errno::EMFILE | Errno::ENFILE => error,
            _ => Errno::ENOMEM,
        })?;
        Ok(Interfaces(list))
    }

    /// The first address of a family that an interface has.
    fn address(&self, name: &CStr, family: c_int) -> Option<IpAddr> {
        let mut next = self.0;
        // SAFETY: the list is alive and ends with NULL.
        while let Some(entry) = unsafe { next.as_ref() } {
            next = entry.ifa_next;
            // SAFETY: the name of an entry is a string.
            if unsafe { CStr::from_ptr(entry.ifa_name) } != name {
                continue;
            }
            // SAFETY: an entry's address is null or has a family.
            let Some(address) = (unsafe { entry.ifa_addr.as_ref() }) else { continue };
            let len = match c_int::from(address.sa_family) {
                libc::AF_INET => size_of::<libc::sockaddr_in>(),
                libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
                _ => continue,
            };
            if c_int::from(address.sa_family) == family {
                // SAFETY: an address is as long as its family says.
                return Some(unsafe { IpAddr::from_native(entry.ifa_addr.cast(), len) });
            }
        }
        None
    }
}

impl Drop for Interfaces {
    fn drop(&mut self) {
        // SAFETY: the list came from getifaddrs and is freed once.
        unsafe { libc::freeifaddrs(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_literal_are_inverse() {
        for text in [c"1.2.3.4", c"::", c"2001:db8::1", c"::ffff:1.2.3.4", c"255.255.255.255"] {
            let address = literal(text, 80, Mode::new(0).unwrap()).unwrap();
            assert_eq!(address.text().as_bytes_with_nul(), text.to_bytes_with_nul());
            assert_eq!(address.port(), 80);
        }
        let longest = IpAddr::new(Ipv6Addr::from([0xabcd_u16; 8]).into(), 0, 0);
        assert_eq!(longest.text().as_bytes_with_nul().len(), 40);
    }

    #[test]
    fn only_strict_literals_are_read() {
        for text in [c"1.2.3", c"01.2.3.4", c"[::1]", c"::1%lo", c"", c"1.2.3.4 ", c"lo"] {
            assert!(literal(text, 0, Mode::new(0).unwrap()).is_none());
        }
        assert!(literal(c"1.2.3.4", 0, Mode::new(IPV6).unwrap()).is_none());
    }

    #[test]
    fn families_do_not_compare_equal() {
        let four = literal(c"1.2.3.4", 5, Mode::new(0).unwrap()).unwrap();
        let mapped = literal(c"::ffff:1.2.3.4", 5, Mode::new(0).unwrap()).unwrap();
        assert!(!four.equal(&mapped, true));
        let mut other = four;
        other.set_port(6);
        assert!(four.equal(&other, true) && !four.equal(&other, false));
        assert!(!IpAddr::UNSPECIFIED.equal(&IpAddr::UNSPECIFIED, true));
    }
}
