//! The validator against the one of the standard library, over every way of cutting the text.

#![no_main]

use dill::fuzzing::ws::{Utf8, is_valid};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&seed, text)) = data.split_first() else { return };
    assert_eq!(is_valid(text), std::str::from_utf8(text).is_ok());
    let mut validator = Utf8::default();
    let mut taken = 0;
    for piece in libdill_fuzz::pieces(text, seed) {
        let so_far = &text[..taken + piece.len()];
        let expected = std::str::from_utf8(so_far);
        match validator.push(piece) {
            Ok(()) => assert!(!matches!(expected, Err(error) if error.error_len().is_some())),
            Err(invalid) => {
                let error = expected.expect_err("text is good");
                assert!(error.error_len().is_some());
                assert_eq!(invalid.valid, error.valid_up_to().saturating_sub(taken));
                return;
            }
        }
        taken += piece.len();
    }
    assert_eq!(validator.finish().is_ok(), std::str::from_utf8(text).is_ok());
});
