//! UTF-8 validation of a whole text, with NEON.

/// Whether a text is UTF-8.
pub(crate) fn is_valid(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}
