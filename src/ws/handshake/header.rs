//! Header fields of the program's own: "Name: value".

#![forbid(unsafe_code)]

use super::BuildError;
use crate::http::grammar::{Field, field_line};

/// Fields that the handshake writes, or whose meaning it relies on.
const OWNED: [&str; 4] = ["Upgrade", "Connection", "Content-Length", "Transfer-Encoding"];
const OWNED_PREFIX: &[u8] = b"sec-websocket-";

/// A field that can be sent: there is no other way to make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a>(Field<'a>);

impl<'a> Header<'a> {
    /// Takes "Name: value" apart. Refuses what RFC 9112, 5 does not allow to be sent, and what the
    /// handshake owns.
    pub fn new(text: &'a [u8]) -> Result<Header<'a>, BuildError> {
        let field = field_line(text).map_err(|malformed| BuildError::Invalid(malformed.0))?;
        field.check().map_err(|malformed| BuildError::Invalid(malformed.0))?;
        let prefix = field.name.get(..OWNED_PREFIX.len()).unwrap_or_default();
        if OWNED.iter().any(|name| field.is(name)) || prefix.eq_ignore_ascii_case(OWNED_PREFIX) {
            return Err(BuildError::Invalid("a header of the program that the handshake sends itself"));
        }
        Ok(Header(field))
    }

    /// A token.
    pub fn name(&self) -> &'a [u8] {
        self.0.name
    }

    /// Free of control characters but tabs.
    pub fn value(&self) -> &'a [u8] {
        self.0.value
    }

    /// Whether it has the name, in whatever case.
    pub fn is(&self, name: &str) -> bool {
        self.0.is(name)
    }
}

/// The one of that name. Refuses several.
pub(super) fn single<'a>(headers: &[Header<'a>], name: &str) -> Result<Option<Header<'a>>, BuildError> {
    let mut all = headers.iter().filter(|header| header.is(name));
    match (all.next(), all.next()) {
        (_, Some(_)) => Err(BuildError::Invalid("a header that may be given once only")),
        (header, None) => Ok(header.copied()),
    }
}
