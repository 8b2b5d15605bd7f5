//! Negotiating permessage-deflate (RFC 7692, 5 and 7.1) in `Sec-WebSocket-Extensions` (RFC 6455, 9.1).

#![forbid(unsafe_code)]

use super::head::Fields;
use crate::error::{Errno, Result};
use crate::http::grammar::{Malformed, is_token, trim};
use crate::ws::deflate::Negotiated;

const FIELD: &str = "Sec-WebSocket-Extensions";
const NAME: &[u8] = b"permessage-deflate";
/// The largest window (RFC 7692, 7.1.2).
const MAX_BITS: u8 = 15;

/// What we would like. A window that is not kept from message to message, and a smaller one, save memory,
/// ours or the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// The size of our window, 8 to 15 bits.
    pub window_bits: u8,
    /// The most that the peer's window may have.
    pub peer_window_bits: u8,
    /// Keep our window from message to message, if the peer allows it.
    pub context: bool,
    /// Let the peer keep its own.
    pub peer_context: bool,
}

impl Default for Wishes {
    fn default() -> Wishes {
        Wishes { window_bits: MAX_BITS, peer_window_bits: MAX_BITS, context: false, peer_context: false }
    }
}

/// The parameters of an offer or of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// `Some(None)`: without a value, which is for offers only.
    client_max_window_bits: Option<Option<u8>>,
}

impl Parameters {
    /// None: not as RFC 7692, 7.1 has it. A parameter that nobody knows, one that comes twice, and a wrong
    /// value are no reason to guess.
    fn parse(text: Option<&[u8]>) -> Option<Parameters> {
        let mut parameters = Parameters::default();
        let Some(text) = text else { return Some(parameters) };
        for parameter in split(text, b';') {
            let (name, value) = match parameter.iter().position(|&byte| byte == b'=') {
                Some(at) => (trim(&parameter[..at]), Some(trim(&parameter[at + 1..]))),
                None => (parameter, None),
            };
            let is_new = if name.eq_ignore_ascii_case(b"server_no_context_takeover") {
                value.is_none() && !std::mem::replace(&mut parameters.server_no_context_takeover, true)
            } else if name.eq_ignore_ascii_case(b"client_no_context_takeover") {
                value.is_none() && !std::mem::replace(&mut parameters.client_no_context_takeover, true)
            } else if name.eq_ignore_ascii_case(b"server_max_window_bits") {
                let bits = window_bits(value?)?;
                parameters.server_max_window_bits.replace(bits).is_none()
            } else if name.eq_ignore_ascii_case(b"client_max_window_bits") {
                let bits = match value {
                    Some(value) => Some(window_bits(value)?),
                    None => None,
                };
                parameters.client_max_window_bits.replace(bits).is_none()
            } else {
                false
            };
            if !is_new {
                return None;
            }
        }
        Some(parameters)
    }

    /// As the value of the field. ENOMEM.
    fn to_text(self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        // Longer than all of them.
        text.try_reserve_exact(192).map_err(|_| Errno::ENOMEM)?;
        text.extend_from_slice(NAME);
        if self.server_no_context_takeover {
            text.extend_from_slice(b"; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            text.extend_from_slice(b"; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            text.extend_from_slice(b"; server_max_window_bits=");
            push_number(&mut text, bits);
        }
        if let Some(bits) = self.client_max_window_bits {
            text.extend_from_slice(b"; client_max_window_bits");
            if let Some(bits) = bits {
                text.push(b'=');
                push_number(&mut text, bits);
            }
        }
        Ok(text)
    }
}

/// What a client offers. ENOMEM.
pub fn offer(wishes: &Wishes) -> Result<Vec<u8>> {
    offered(wishes).to_text()
}

fn offered(wishes: &Wishes) -> Parameters {
    Parameters {
        server_no_context_takeover: !wishes.peer_context,
        client_no_context_takeover: !wishes.context,
        server_max_window_bits: Some(wishes.peer_window_bits).filter(|&bits| bits < MAX_BITS),
        // Without a value: that the server may ask for a smaller window.
        client_max_window_bits: Some(Some(wishes.window_bits).filter(|&bits| bits < MAX_BITS)),
    }
}

/// A server's choice among the offers of a request: what is agreed on, and the answer that says so. None:
/// there is none that can be accepted. ENOMEM.
pub fn accept(wishes: &Wishes, request: Fields<'_>) -> Result<Option<(Negotiated, Vec<u8>)>> {
    for (name, parameters) in request.all(FIELD).flat_map(|value| split(value, b',')).map(name_of) {
        if !name.eq_ignore_ascii_case(NAME) {
            continue;
        }
        // RFC 7692, 7.1: an offer with something wrong in it is declined.
        let Some(offer) = Parameters::parse(parameters) else { continue };
        let window_bits = wishes.window_bits.min(offer.server_max_window_bits.unwrap_or(MAX_BITS));
        // RFC 7692, 7.1.2.2: it must not be in the answer unless it was in the offer.
        let peer_window_bits = offer.client_max_window_bits.map(|bits| bits.unwrap_or(MAX_BITS));
        let peer_window_bits = peer_window_bits.map(|bits| bits.min(wishes.peer_window_bits));
        let answer = Parameters {
            server_no_context_takeover: offer.server_no_context_takeover || !wishes.context,
            client_no_context_takeover: offer.client_no_context_takeover || !wishes.peer_context,
            // RFC 7692, 7.1.2.1: an offer with it is accepted by an answer with it.
            server_max_window_bits: Some(window_bits)
                .filter(|&bits| bits < MAX_BITS || offer.server_max_window_bits.is_some()),
            client_max_window_bits: peer_window_bits.filter(|&bits| bits < MAX_BITS).map(Some),
        };
        let agreed = Negotiated {
            window_bits,
            peer_window_bits: peer_window_bits.unwrap_or(MAX_BITS),
            context: !answer.server_no_context_takeover,
            peer_context: !answer.client_no_context_takeover,
        };
        return Ok(Some((agreed, answer.to_text()?)));
    }
    Ok(None)
}

/// What a server's answer to our offer says is agreed on; None if it did not accept.
pub fn agreed(wishes: &Wishes, answer: Fields<'_>) -> core::result::Result<Option<Negotiated>, Malformed> {
    let mut extensions = answer.all(FIELD).flat_map(|value| split(value, b',')).map(name_of);
    let Some((name, parameters)) = extensions.next() else { return Ok(None) };
    if !name.eq_ignore_ascii_case(NAME) {
        return Err(Malformed("RFC 6455, 4.1: unasked-for extension"));
    }
    if extensions.next().is_some() {
        return Err(Malformed("RFC 7692, 7: more than one extension"));
    }
    let wrong = Malformed("RFC 7692, 7.1: parameters that are no answer to the offer");
    let (offer, answer) = (offered(wishes), Parameters::parse(parameters).ok_or(wrong)?);
    // RFC 7692, 7.1.1.1 and 7.1.2.1: what the offer asked of the server, the answer has to grant.
    if offer.server_no_context_takeover && !answer.server_no_context_takeover {
        return Err(wrong);
    }
    let peer_window_bits = match (offer.server_max_window_bits, answer.server_max_window_bits) {
        (Some(_), None) => return Err(wrong),
        (Some(most), Some(bits)) if bits > most => return Err(wrong),
        (_, bits) => bits.unwrap_or(MAX_BITS),
    };
    let window_bits = match answer.client_max_window_bits {
        None => wishes.window_bits,
        // RFC 7692, 7.1.2.2: in an answer it has a value, and not a larger one than in the offer.
        Some(Some(bits)) if bits <= wishes.window_bits => bits,
        Some(_) => return Err(wrong),
    };
    Ok(Some(Negotiated {
        window_bits,
        peer_window_bits,
        context: wishes.context && !answer.client_no_context_takeover,
        peer_context: !answer.server_no_context_takeover,
    }))
}

/// The name of an extension, and its parameters, if it has any.
fn name_of(extension: &[u8]) -> (&[u8], Option<&[u8]>) {
    match extension.iter().position(|&byte| byte == b';') {
        Some(at) => (trim(&extension[..at]), Some(&extension[at + 1..])),
        None => (extension, None),
    }
}

/// The pieces between separators that do not stand in a quoted string (RFC 9110, 5.6.4). An empty member
/// of a comma-separated list is none (5.6.1).
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let pieces = text.split(move |&byte| {
        let was_escaped = std::mem::replace(&mut escaped, false);
        match byte {
            _ if was_escaped => false,
            b'"' => {
                quoted = !quoted;
                false
            }
            b'\\' => {
                escaped = quoted;
                false
            }
            _ => byte == separator && !quoted,
        }
    });
    pieces.map(trim).filter(move |piece| separator != b',' || !piece.is_empty())
}

/// 8 to 15, without leading zeros (RFC 7692, 7.1.2.1), perhaps in quotes (RFC 6455, 9.1: then "the value
/// after quoted-string unescaping MUST conform to the 'token' ABNF").
fn window_bits(value: &[u8]) -> Option<u8> {
    let mut unescaped = [0; 2];
    let value = match value {
        [b'"', inner @ .., b'"'] => {
            let (mut len, mut bytes) = (0, inner.iter());
            while let Some(mut byte) = bytes.next() {
                if *byte == b'\\' {
                    byte = bytes.next()?;
                }
                *unescaped.get_mut(len)? = *byte;
                len += 1;
            }
            &unescaped[..len]
        }
        token if is_token(token) => token,
        _ => return None,
    };
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

fn push_number(text: &mut Vec<u8>, bits: u8) {
    if bits >= 10 {
        text.push(b'0' + bits / 10);
    }
    text.push(b'0' + bits % 10);
}
