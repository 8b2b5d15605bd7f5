//! The opening handshake (RFC 6455, 4) as bytes: heads to send, and heads to judge. No I/O.
//!
//! Heads are read where they lie, line by line, with the strict grammar of [`crate::http::grammar`]:
//! nothing is allocated for the peer, and little stack is used, since all this runs on coroutines. What
//! has to outlive the buffer it came in is a [`StoredHead`].
//!
//! A server: [`HeadScan`] finds the end of the head, [`parse_request_head`] judges it as HTTP,
//! [`RequestHead::upgrade`] as a request for a WebSocket, and [`Accept`], [`Reply`] or
//! [`refusal_response`] is the answer. A client: [`ClientRequest`], then [`HeadScan`] and
//! [`parse_answer_head`] until an answer is not interim, and [`AnswerHead::accept`].

#![forbid(unsafe_code)]

pub mod body;
mod build;
mod head;
pub mod header;
mod key;
pub mod offer;
pub mod origin;
mod request;
mod response;
mod stored;
pub mod subprotocol;

pub use head::{Fields, HeadScan, MAX_HEAD, Scan};
pub use key::{ACCEPT_LEN, KEY_LEN, accept_key, encode_key, is_valid_key};
#[cfg(test)]
pub(crate) use request::Request;
pub use request::{ClientRequest, RequestHead, parse_request, parse_request_head};
pub use response::{
    Accept, AnswerHead, MAX_INTERIM, Offered, Reply, parse_answer_head, refusal_response, response,
};
pub use stored::StoredHead;
#[cfg(any(test, feature = "fuzzing"))]
pub use {request::request, response::check_response};

use crate::error::Errno;
use crate::http::grammar::{Field, Malformed, has_member};

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

impl From<Malformed> for Refusal {
    fn from(Malformed(rule): Malformed) -> Refusal {
        Refusal::with(400, rule)
    }
}

/// Why a head cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// The caller's argument breaks a rule, for a person to read.
    Invalid(&'static str),
    /// Memory has run out.
    NoMemory,
}

impl From<BuildError> for Errno {
    fn from(error: BuildError) -> Errno {
        match error {
            BuildError::Invalid(_) => Errno::EINVAL,
            BuildError::NoMemory => Errno::ENOMEM,
        }
    }
}

/// The two fields that both heads have in common.
#[derive(Default)]
struct UpgradeFields {
    websocket: bool,
    connection: bool,
}

impl UpgradeFields {
    fn see(&mut self, field: &Field<'_>) {
        if field.is("Upgrade") {
            self.websocket |= has_member(field.value, b"websocket");
        } else if field.is("Connection") {
            self.connection |= has_member(field.value, b"upgrade");
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
