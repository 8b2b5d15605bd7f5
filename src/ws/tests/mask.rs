//! Masking against the loop of RFC 6455, 5.3.

use super::{KEY, Rng, stride, times};
use crate::ws::mask::{by_each_implementation, mask_copy, mask_in_place};

/// "Octet i of the transformed data is the XOR of octet i of the original data with octet at index
/// i modulo 4 of the masking key."
fn naive(payload: &[u8], key: [u8; 4], offset: usize) -> Vec<u8> {
    let masked = payload.iter().enumerate();
    masked.map(|(i, byte)| byte ^ key[(i + offset) % 4]).collect()
}

#[test]
fn every_length_offset_and_alignment_is_masked_like_the_naive_loop() {
    let mut random = Rng::new(1);
    let source: Vec<u8> = (0..1024).map(|_| random.next() as u8).collect();
    for len in (0..=260).chain(380..=390).chain(510..=520).step_by(stride(47)) {
        for offset in 0..4 {
            let expected = naive(&source[64..64 + len], KEY, offset);
            for alignment in (0..64).step_by(stride(21)) {
                let place = alignment..alignment + len;
                let mut buffer = [0xaa; 600];

                buffer[place.clone()].copy_from_slice(&source[64..64 + len]);
                mask_in_place(&mut buffer[place.clone()], KEY, offset);
                assert_eq!(buffer[place.clone()], expected, "{len} {offset} {alignment}");
                buffer[place.clone()].fill(0xaa);
                assert_eq!(buffer, [0xaa; 600], "wrote outside: {len} {offset} {alignment}");

                // The source at another alignment than the destination.
                let from = &source[64..64 + len];
                mask_copy(&mut buffer[place.clone()], from, KEY, offset);
                assert_eq!(buffer[place.clone()], expected, "{len} {offset} {alignment}");
                buffer[place].fill(0xaa);
                assert_eq!(buffer, [0xaa; 600], "wrote outside: {len} {offset} {alignment}");
            }
        }
    }
}

#[test]
fn every_implementation_that_this_processor_has_masks_like_the_naive_loop() {
    let mut random = Rng::new(3);
    let source: Vec<u8> = (0..2048).map(|_| random.next() as u8).collect();
    for len in (128..=600).chain([1023, 1024, 1025, 1900]).step_by(stride(119)) {
        for start in [0, 1, 7, 33, 64] {
            let piece = &source[start..start + len];
            let expected = naive(piece, KEY, 0);
            for (name, masked) in by_each_implementation(piece, KEY) {
                assert_eq!(masked, expected, "{name} {len} {start}");
            }
        }
    }
}

#[test]
fn a_copy_reads_from_every_alignment() {
    let source: Vec<u8> = (0..=255).cycle().take(512).collect();
    for alignment in (0..64).step_by(stride(9)) {
        for len in [0, 1, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 127, 300] {
            let from = &source[alignment..alignment + len];
            let mut to = vec![0; len];
            mask_copy(&mut to, from, KEY, 3);
            assert_eq!(to, naive(from, KEY, 3), "{alignment} {len}");
        }
    }
}

#[test]
fn only_the_offset_modulo_four_matters() {
    for offset in [4, 5, 255, 256, 65537, usize::MAX - 1, usize::MAX] {
        let mut far = *b"a payload of 26 characters";
        let mut near = far;
        mask_in_place(&mut far, KEY, offset);
        mask_in_place(&mut near, KEY, offset % 4);
        assert_eq!(far, near, "{offset}");
    }
}

#[test]
fn pieces_are_masked_like_the_whole() {
    let mut random = Rng::new(2);
    let payload: Vec<u8> = (0..5000).map(|_| random.next() as u8).collect();
    let whole = naive(&payload, KEY, 0);
    for _ in 0..times(300) {
        let mut pieces = payload.clone();
        let mut start = 0;
        while start < pieces.len() {
            let end = (start + random.below(200)).min(pieces.len());
            mask_in_place(&mut pieces[start..end], KEY, start);
            start = end;
        }
        assert_eq!(pieces, whole);
    }
}

#[test]
#[should_panic]
fn a_copy_between_different_lengths_is_a_bug_of_the_caller() {
    mask_copy(&mut [0; 5], &[0; 6], KEY, 0);
}
