//! Subprotocols (RFC 6455, 1.9 and 11.3.4): tokens, compared with case.

#![forbid(unsafe_code)]

use super::BuildError;
use super::head::Fields;
use crate::http::grammar::{Malformed, is_token, members};

const FIELD: &str = "Sec-WebSocket-Protocol";

/// Whether a list can be offered, or spoken: tokens (RFC 6455, 4.1), none of them twice.
pub fn check(list: &[&[u8]]) -> Result<(), BuildError> {
    for (index, subprotocol) in list.iter().enumerate() {
        if !is_token(subprotocol) {
            return Err(BuildError::Invalid("RFC 6455, 4.1: a subprotocol that is no token"));
        }
        if list[..index].contains(subprotocol) {
            return Err(BuildError::Invalid("RFC 6455, 4.1: a subprotocol twice in the list"));
        }
    }
    Ok(())
}

/// The server's choice: the first one that it speaks of those that the client offers.
pub fn choose<'a>(spoken: &[&'a [u8]], request: Fields<'_>) -> Option<&'a [u8]> {
    let is_offered = |subprotocol: &&&[u8]| {
        let mut offered = request.all(FIELD).flat_map(members);
        offered.any(|other| other == **subprotocol)
    };
    spoken.iter().find(is_offered).copied()
}

/// What the server chose of what it was `offered` (RFC 6455, 4.1, item 6 of the client's checks).
pub(super) fn chosen<'a>(offered: &[&[u8]], answer: Fields<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    let mut all = answer.all(FIELD).filter(|value| !value.is_empty());
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(Malformed("RFC 6455, 11.3.4: two subprotocols")),
        (Some(chosen), None) if offered.contains(&chosen) => Ok(Some(chosen)),
        _ => Err(Malformed("RFC 6455, 4.1: unasked-for subprotocol")),
    }
}
