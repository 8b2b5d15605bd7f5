//! What `no_proxy` says: a list of hosts that are reached without a proxy. There is no standard; this is
//! what curl, Python and Go agree on, and networks as curl and Go have them.

#![forbid(unsafe_code)]

use core::net::IpAddr;

/// Whether a host is in the list, whose members are separated by commas or white space: `*`; a name, which
/// stands for all below it, too, with or without a dot in front; an address; a network, `10.0.0.0/8`. With
/// `:port` behind it a member is about that port only.
pub fn matches(list: &[u8], host: &[u8], port: u16) -> bool {
    let members = list.split(|byte| *byte == b',' || byte.is_ascii_whitespace());
    let host = host.strip_suffix(b".").unwrap_or(host);
    members.filter(|member| !member.is_empty()).any(|member| covers(member, host, port))
}

fn covers(member: &[u8], host: &[u8], port: u16) -> bool {
    if member == b"*" {
        return true;
    }
    let (name, only) = split_port(member);
    if only.is_some_and(|only| only != port) {
        return false;
    }
    match (parse::<IpAddr>(host), network(name)) {
        (Some(address), Some(network)) => network.contains(address),
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => {
            let name = name.strip_prefix(b"*").unwrap_or(name);
            let name = name.strip_prefix(b".").unwrap_or(name);
            let name = name.strip_suffix(b".").unwrap_or(name);
            let Some(before) = host.len().checked_sub(name.len()) else { return false };
            let at_label = before == 0 || host[before - 1] == b'.';
            !name.is_empty() && at_label && host[before..].eq_ignore_ascii_case(name)
        }
    }
}

/// A member without its port, and that. An address of IPv6 has one in brackets only.
fn split_port(member: &[u8]) -> (&[u8], Option<u16>) {
    let (name, port) = match (member.strip_prefix(b"["), member.iter().rposition(|&byte| byte == b':')) {
        (Some(rest), _) => match rest.iter().position(|&byte| byte == b']') {
            Some(end) => (&rest[..end], rest[end + 1..].strip_prefix(b":")),
            None => return (member, None),
        },
        (None, Some(colon)) if !member[..colon].contains(&b':') => {
            (&member[..colon], Some(&member[colon + 1..]))
        }
        _ => return (member, None),
    };
    match port.map(parse) {
        None => (name, None),
        Some(Some(port)) => (name, Some(port)),
        Some(None) => (member, None),
    }
}

fn parse<T: core::str::FromStr>(text: &[u8]) -> Option<T> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// The addresses whose first bits are these.
struct AddressBlock {
    address: IpAddr,
    bits: u32,
}

fn network(text: &[u8]) -> Option<AddressBlock> {
    let slash = text.iter().position(|&byte| byte == b'/').unwrap_or(text.len());
    let address = parse::<IpAddr>(&text[..slash])?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = text.get(slash + 1..).map_or(Some(all), parse).filter(|&bits| bits <= all)?;
    Some(AddressBlock { address, bits })
}

impl AddressBlock {
    fn contains(&self, other: IpAddr) -> bool {
        let differs = match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
            (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
            _ => return false,
        };
        differs.leading_zeros() >= self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_hosts_domains_addresses_and_networks() {
        for (list, host, port, expected) in [
            ("*", "a", 80, true),
            ("example.org", "example.org", 80, true),
            ("example.org", "www.Example.ORG", 80, true),
            ("example.org", "example.org.", 80, true),
            (".example.org", "www.example.org", 80, true),
            (".example.org", "example.org", 80, true),
            ("*.example.org", "www.example.org", 80, true),
            ("example.org", "notexample.org", 80, false),
            ("www.example.org", "example.org", 80, false),
            ("example.org:8080", "example.org", 8080, true),
            ("example.org:8080", "example.org", 80, false),
            ("a, b\tc,,d", "c", 80, true),
            ("a, b", "c", 80, false),
            ("127.0.0.1", "127.0.0.1", 80, true),
            ("127.0.0.1:81", "127.0.0.1", 80, false),
            ("0.0.1", "127.0.0.1", 80, false),
            ("10.0.0.0/8", "10.1.2.3", 80, true),
            ("10.0.0.0/8", "11.1.2.3", 80, false),
            ("10.0.0.0/0", "11.1.2.3", 80, true),
            ("10.0.0.0/33", "10.0.0.0", 80, false),
            ("10.0.0.0/x", "10.0.0.0", 80, false),
            ("::1", "::1", 80, true),
            ("[::1]", "0:0::1", 80, true),
            ("[::1]:81", "::1", 80, false),
            ("[::1]:81", "::1", 81, true),
            ("fe80::/10", "febf::1", 80, true),
            ("fe80::/10", "fec0::1", 80, false),
            ("::/0", "1.2.3.4", 80, false),
            ("", "a", 80, false),
            (".", "a", 80, false),
            ("[::1", "::1", 80, false),
        ] {
            assert_eq!(matches(list.as_bytes(), host.as_bytes(), port), expected, "{list} {host} {port}");
        }
    }
}
