//! Close codes and the payload of close frames (RFC 6455, 5.5.1 and 7.4).

#![forbid(unsafe_code)]

use super::frame::ControlPayload;
use super::utf8::Utf8;

/// The peer broke the protocol.
pub(crate) const PROTOCOL_ERROR: u16 = 1002;
/// A text message or a close reason that is not UTF-8.
pub(crate) const INVALID_PAYLOAD: u16 = 1007;
/// A message above the maximum that we set.
pub(crate) const MESSAGE_TOO_BIG: u16 = 1009;
/// We cannot go on.
pub(crate) const INTERNAL_ERROR: u16 = 1011;

/// A rule that the peer broke. RFC 6455, 7.1.7: the connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The code of the close frame that answers it.
    pub code: u16,
    /// The rule, for a person to read.
    pub rule: &'static str,
}

impl Violation {
    /// A violation that is answered with 1002.
    pub(super) const fn protocol(rule: &'static str) -> Violation {
        Violation { code: PROTOCOL_ERROR, rule }
    }

    /// A violation that is answered with 1007.
    pub(super) const fn payload(rule: &'static str) -> Violation {
        Violation { code: INVALID_PAYLOAD, rule }
    }
}

/// Whether a close frame may carry the code, in either direction.
///
/// RFC 6455, 7.4.1: 1004 is reserved, and 1005, 1006 and 1015 stand for the absence of a code.
/// 1012 to 1014 were registered later with IANA. 7.4.2: 3000 to 3999 are for libraries and 4000
/// to 4999 for private use; 1016 to 2999 are reserved and everything else means nothing.
pub(crate) fn allowed_on_wire(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// What a close frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CloseReason<'a> {
    /// The code, or 0 if there is none.
    pub code: u16,
    /// UTF-8 of at most 123 bytes.
    pub reason: &'a [u8],
}

/// Reads the unmasked payload of a close frame.
pub(crate) fn parse_payload(payload: &[u8]) -> Result<CloseReason<'_>, &'static Violation> {
    if payload.is_empty() {
        return Ok(CloseReason { code: 0, reason: &[] });
    }
    // RFC 6455, 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte
    // unsigned integer".
    let Some((&code, reason)) = payload.split_first_chunk() else {
        return Err(const { &Violation::protocol("RFC 6455, 5.5.1: close frame with half a code") });
    };
    let code = u16::from_be_bytes(code);
    // RFC 6455, 7.4.
    if !allowed_on_wire(code) {
        return Err(const { &Violation::protocol("RFC 6455, 7.4: close code not allowed on the wire") });
    }
    // RFC 6455, 5.5.1: "the body MAY contain UTF-8-encoded data"; 8.1: else the connection fails.
    if !is_utf8(reason) {
        return Err(const { &Violation::payload("RFC 6455, 8.1: close reason that is not UTF-8") });
    }
    Ok(CloseReason { code, reason })
}

/// The code in the payload of a close frame, or 0 if there is none.
pub(crate) fn close_code(payload: &[u8]) -> u16 {
    payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code))
}

/// A close frame that must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAllowed;

/// Builds the payload of a close frame. Code 0 stands for none.
///
/// Fails if the code is not allowed on the wire, if there is a reason without a code, and if the
/// reason is longer than 123 bytes or not UTF-8.
pub(crate) fn close_payload(code: u16, reason: &[u8]) -> Result<ControlPayload, NotAllowed> {
    if code == 0 {
        // RFC 6455, 5.5.1: a reason comes after a code.
        return match reason {
            [] => Ok(ControlPayload::EMPTY),
            _ => Err(NotAllowed),
        };
    }
    if !allowed_on_wire(code) || !is_utf8(reason) {
        return Err(NotAllowed);
    }
    // RFC 6455, 5.5: 125 bytes, of which the code takes two.
    ControlPayload::concat(&[&code.to_be_bytes(), reason]).ok_or(NotAllowed)
}

fn is_utf8(text: &[u8]) -> bool {
    let mut utf8 = Utf8::default();
    utf8.push(text).and_then(|()| utf8.finish()).is_ok()
}
