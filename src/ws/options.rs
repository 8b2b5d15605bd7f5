//! What a program wants of a WebSocket.

#![forbid(unsafe_code)]

use super::deflate::{Effort, Negotiated};
use super::handshake::header::Header;
use super::handshake::offer::Wishes;
use super::handshake::{BuildError, origin, subprotocol};

/// How messages are compressed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Compression {
    /// What is offered, or asked for.
    pub wishes: Wishes,
    /// 1 to 9. None: the usual.
    pub level: Option<u8>,
    /// The length from which on messages are compressed, in bytes. None: the usual.
    pub threshold: Option<usize>,
}

impl Compression {
    /// How we compress when this was negotiated.
    pub(crate) fn effort(&self, negotiated: &Negotiated) -> Effort {
        let usual = Effort::usual(negotiated.context);
        Effort {
            level: self.level.unwrap_or(usual.level),
            threshold: self.threshold.unwrap_or(usual.threshold),
        }
    }
}

/// How a peer is asked whether it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pings {
    /// When nothing was heard of it for so long, in ms.
    pub(crate) interval: i64,
    /// It is not there if nothing is heard for so long after that, in ms.
    pub(crate) timeout: i64,
}

/// Options whose parts are well-formed; whether they go together, `check` says.
#[derive(Debug, Default)]
pub(crate) struct WsOptions<'a> {
    /// Messages of the generic calls are text.
    pub text: bool,
    /// The opening handshake was done otherwise.
    pub no_http: bool,
    /// Messages may wait while the next one to receive is there already.
    pub gathers: bool,
    /// The peer's head can be asked for as long as the WebSocket lives.
    pub keeps_head: bool,
    /// What is offered, or spoken: the preferred one first.
    pub subprotocols: Vec<&'a [u8]>,
    /// Sent with the request, or with the answer.
    pub headers: Vec<Header<'a>>,
    /// A client's own.
    pub origin: Option<&'a [u8]>,
    /// Whom a server accepts. None: everybody.
    pub origins: Option<Vec<&'a [u8]>>,
    /// The longest message to receive. None: any.
    pub max_message: Option<u64>,
    /// If the peer can do that, messages are compressed.
    pub compression: Option<Compression>,
    /// Whether the peer is asked if it is there.
    pub(crate) pings: Option<Pings>,
    /// Pings are answered while nobody receives.
    pub(crate) attends: bool,
}

impl WsOptions<'_> {
    /// Whether all this can be sent, or judged by.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let asks = !self.subprotocols.is_empty()
            || !self.headers.is_empty()
            || self.origin.is_some()
            || self.origins.is_some()
            || self.compression.is_some()
            || self.keeps_head;
        if self.no_http && asks {
            return Err(BuildError::Invalid("WS_NOHTTP, and something that only a handshake can do"));
        }
        subprotocol::check(&self.subprotocols)?;
        self.origins.as_deref().map_or(Ok(()), origin::check)
    }
}
