//! The opening handshake (RFC 6455, 4) as bytes: heads to send, and heads to judge.
//!
//! The grammar is the strict one of RFC 9112: no folded lines, no space before a colon, no bare
//! CR or LF, no control characters. What passes here and is read differently by a proxy in front
//! of us is how requests get smuggled.
//!
//! Heads are read where they lie, line by line: nothing is allocated for the peer, and little
//! stack is used, since all this runs on coroutines.

#![forbid(unsafe_code)]

mod head;
mod key;
mod request;
mod response;

use head::{Field, has_token};
pub use head::{HeadScan, MAX_FIELDS, MAX_HEAD, Scan};
pub use key::{ACCEPT_LEN, KEY_LEN, accept_key, encode_key, is_valid_key};
pub use request::{InvalidArgument, Request, parse_request, request};
pub use response::{check_response, refusal_response, response};

/// Why a handshake fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule, for a person to read.
    pub rule: &'static str,
    /// Of a request, or of a head as such: the status to answer with, see [`refusal_response`]. Of
    /// an answer: the status that it had, if it was good enough to have one.
    pub status: Option<u16>,
}

impl Refusal {
    const fn with(status: u16, rule: &'static str) -> Refusal {
        Refusal { rule, status: Some(status) }
    }
}

/// A rule of HTTP or of the handshake that a head breaks, whichever side judges it.
struct Malformed(&'static str);

impl From<Malformed> for Refusal {
    fn from(Malformed(rule): Malformed) -> Refusal {
        Refusal::with(400, rule)
    }
}

/// The two fields that both heads have in common.
#[derive(Default)]
struct Upgrade {
    websocket: bool,
    connection: bool,
}

impl Upgrade {
    fn look_at(&mut self, field: &Field<'_>) {
        if field.is("Upgrade") {
            self.websocket |= has_token(field.value, b"websocket");
        } else if field.is("Connection") {
            self.connection |= has_token(field.value, b"upgrade");
        }
    }

    fn check(&self) -> Result<(), Malformed> {
        if !self.websocket {
            return Err(Malformed("RFC 6455, 4: no Upgrade to websocket"));
        }
        if !self.connection {
            return Err(Malformed("RFC 6455, 4: no upgrade in Connection"));
        }
        Ok(())
    }
}

fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8], rule: &'static str) -> Result<(), Malformed> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed(rule)),
    }
}
