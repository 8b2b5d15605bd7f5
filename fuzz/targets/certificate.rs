//! Certificates of anybody's: what is read of them is there, and reading does no harm.

#![no_main]

use dill::fuzzing::certificate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let key = certificate::public_key(data);
    let validity = certificate::validity(data);
    assert_eq!(key.is_some(), validity.is_some());
    if let Some(key) = key {
        assert!(data.windows(key.len()).any(|window| window == key));
    }
});
