//! UTF-8 validation of a whole text by 64 bytes at a time, on processors with AVX-512.
//!
//! The method is that of Keiser and Lemire ("Validating UTF-8 in less than one instruction per byte",
//! 2021). Each byte and the one before it are looked up in three tables of sixteen entries, by three of
//! their four halves. An entry is the set of errors that the half allows, and an error that all three
//! allow is made. What no pair can tell is where the third and fourth byte of a sequence must be.
//!
//! The library simdutf8 does this by 32 bytes at a time, and takes 47 ns a kilobyte of mixed text where
//! this takes 23: as much as all else that such a message costs in this process.

#![deny(unsafe_code)]

use core::arch::x86_64::*;

// The errors of a pair of bytes.
/// A sequence begins, and the next byte does not go on.
const TOO_SHORT: u8 = 1 << 0;
/// A byte that goes on follows ASCII.
const TOO_LONG: u8 = 1 << 1;
/// E0 80 to E0 9F.
const OVERLONG_3: u8 = 1 << 2;
/// F4 90 and above.
const TOO_LARGE: u8 = 1 << 3;
/// ED A0 to ED BF.
const SURROGATE: u8 = 1 << 4;
/// C0 and C1.
const OVERLONG_2: u8 = 1 << 5;
/// F0 80 to F0 8F, and F5 to FF before 80 to 8F.
const OVERLONG_4: u8 = 1 << 6;
/// Two bytes that go on: no error if they are the third and fourth of a sequence.
const TWO_GO_ON: u8 = 1 << 7;

/// The errors that do not depend on the lower half of the first byte.
const ANY_LOW: u8 = TOO_SHORT | TOO_LONG | TWO_GO_ON;
/// The lower half of F5 to FF.
const BEYOND: u8 = ANY_LOW | TOO_LARGE | OVERLONG_4;

/// By the upper half of the first byte.
const FIRST_HIGH: [u8; 16] = [
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TWO_GO_ON,
    TWO_GO_ON,
    TWO_GO_ON,
    TWO_GO_ON,
    TOO_SHORT | OVERLONG_2,
    TOO_SHORT,
    TOO_SHORT | OVERLONG_3 | SURROGATE,
    TOO_SHORT | TOO_LARGE | OVERLONG_4,
];
/// By the lower half of the first byte.
const FIRST_LOW: [u8; 16] = [
    ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4,
    ANY_LOW | OVERLONG_2,
    ANY_LOW,
    ANY_LOW,
    ANY_LOW | TOO_LARGE,
    BEYOND,
    BEYOND,
    BEYOND,
    BEYOND,
    BEYOND,
    BEYOND,
    BEYOND,
    BEYOND,
    BEYOND | SURROGATE,
    BEYOND,
    BEYOND,
];
/// By the upper half of the second byte.
const SECOND_HIGH: [u8; 16] = [
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_LONG | TWO_GO_ON | OVERLONG_2 | OVERLONG_3 | OVERLONG_4,
    TOO_LONG | TWO_GO_ON | OVERLONG_2 | OVERLONG_3 | TOO_LARGE,
    TOO_LONG | TWO_GO_ON | OVERLONG_2 | SURROGATE | TOO_LARGE,
    TOO_LONG | TWO_GO_ON | OVERLONG_2 | SURROGATE | TOO_LARGE,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
];

/// Whether a text is UTF-8. On other processors the library says so.
#[expect(unsafe_code, reason = "not every processor has AVX-512")]
pub(crate) fn is_valid(text: &[u8]) -> bool {
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
        // SAFETY: the processor has both extensions.
        unsafe { is_valid_avx512(text) }
    } else {
        simdutf8::basic::from_utf8(text).is_ok()
    }
}

/// A function that says whether a text is UTF-8, and its name.
#[cfg(test)]
pub(crate) type Implementation = (&'static str, fn(&[u8]) -> bool);

/// All that this processor has, whichever is chosen.
#[cfg(test)]
#[expect(unsafe_code, reason = "not every processor has AVX-512")]
pub(crate) fn each_implementation() -> Vec<Implementation> {
    let mut all: Vec<Implementation> = vec![("simdutf8", |text| simdutf8::basic::from_utf8(text).is_ok())];
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
        // SAFETY: the processor has both extensions.
        all.push(("AVX-512", |text| unsafe { is_valid_avx512(text) }));
    }
    all
}

#[target_feature(enable = "avx512f,avx512bw")]
fn is_valid_avx512(text: &[u8]) -> bool {
    let tables = [table(FIRST_HIGH), table(FIRST_LOW), table(SECOND_HIGH)];
    let (blocks, rest) = text.as_chunks();
    // Most texts are ASCII, or begin so.
    let ascii = blocks.iter().take_while(|block| _mm512_movepi8_mask(load(block)) == 0).count();
    if ascii == blocks.len() && rest.is_ascii() {
        return true;
    }
    let (mut before, mut found) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for block in &blocks[ascii..] {
        let block = load(block);
        found = _mm512_or_si512(found, errors(before, block, tables));
        before = block;
    }
    // At least one byte of ASCII follows the text: a sequence that is not complete is too short.
    let mut last = [0; 64];
    last[..rest.len()].copy_from_slice(rest);
    found = _mm512_or_si512(found, errors(before, load(&last), tables));
    _mm512_test_epi8_mask(found, found) == 0
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "what the compiler makes of eight words costs 6 ns a kilobyte")]
fn load(block: &[u8; 64]) -> __m512i {
    // SAFETY: these are 64 bytes, and they need not be aligned.
    unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
}

/// The errors in a block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn errors(before: __m512i, block: __m512i, tables: [__m512i; 3]) -> __m512i {
    // For each byte the one, two and three bytes before it.
    let lane_before = _mm512_alignr_epi64::<6>(block, before);
    let first = _mm512_alignr_epi8::<15>(block, lane_before);
    let second = _mm512_alignr_epi8::<14>(block, lane_before);
    let third = _mm512_alignr_epi8::<13>(block, lane_before);

    let by_first_high = _mm512_shuffle_epi8(tables[0], high_half(first));
    let by_first_low = _mm512_shuffle_epi8(tables[1], _mm512_and_si512(first, _mm512_set1_epi8(0x0f)));
    let by_second_high = _mm512_shuffle_epi8(tables[2], high_half(block));
    let of_pairs = _mm512_and_si512(_mm512_and_si512(by_first_high, by_first_low), by_second_high);

    // The top bit is left where a third or fourth byte must be: two bytes after E0 and above, three after
    // F0 and above. There, and only there, two bytes that go on are no error.
    let is_third = _mm512_subs_epu8(second, _mm512_set1_epi8(0x60));
    let is_fourth = _mm512_subs_epu8(third, _mm512_set1_epi8(0x70));
    let must_go_on = _mm512_and_si512(_mm512_or_si512(is_third, is_fourth), _mm512_set1_epi8(i8::MIN));
    _mm512_xor_si512(must_go_on, of_pairs)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn high_half(bytes: __m512i) -> __m512i {
    _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(0x0f))
}

/// A table for each of the four lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn table(entries: [u8; 16]) -> __m512i {
    let words = entries.as_chunks().0;
    _mm512_broadcast_i32x4(_mm_set_epi64x(i64::from_le_bytes(words[1]), i64::from_le_bytes(words[0])))
}
