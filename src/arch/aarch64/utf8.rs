//! UTF-8 validation of a whole text, with NEON.

/// Whether a text is UTF-8.
pub(crate) fn is_valid(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}

/// A function that says whether a text is UTF-8, and its name.
#[cfg(test)]
pub(crate) type Implementation = (&'static str, fn(&[u8]) -> bool);

/// All that this processor has.
#[cfg(test)]
pub(crate) fn each_implementation() -> Vec<Implementation> {
    vec![("simdutf8", is_valid)]
}
