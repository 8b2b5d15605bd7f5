//! Masking (RFC 6455, 5.3): byte `i` of the payload is XORed with byte `i` mod 4 of the key.
//!
//! A piece may begin anywhere in a payload and anywhere in memory. The key is turned to the
//! piece's position once. Then blocks go through unaligned loads and stores, and the last block
//! overlaps the one before it, so that there is neither a prologue nor a loop over odd bytes.
//!
//! The compiler makes vector code of this, once for every processor and, for large pieces, once more
//! for those with wider vectors.

#![deny(unsafe_code)]

use crate::arch::vectors;

/// From this length on, in bytes, a piece is worth asking for wide vectors.
const WIDE: usize = 256;

/// Masks or unmasks a piece of a payload where it lies. `offset` is the position of its first
/// byte within the payload; only its value modulo 4 matters.
#[inline]
pub(crate) fn mask_in_place(buf: &mut [u8], key: [u8; 4], offset: usize) {
    let key = key_at(key, offset);
    match buf.len() {
        0..4 => {
            for (byte, key) in buf.iter_mut().zip(key) {
                *byte ^= key;
            }
        }
        4..8 => blocks_in_place::<4>(buf, key),
        8..16 => blocks_in_place::<8>(buf, key),
        16..32 => blocks_in_place::<16>(buf, key),
        _ => long_in_place(buf, key),
    }
}

#[inline(never)]
#[expect(unsafe_code, reason = "not every processor has wide vectors")]
fn long_in_place(buf: &mut [u8], key: [u8; 4]) {
    if buf.len() >= WIDE && vectors::are_wide() {
        // SAFETY: they are.
        unsafe { vectors::run_wide(|buf, key, ()| blocks_in_place::<128>(buf, key), buf, key, ()) }
    } else {
        blocks_in_place::<32>(buf, key);
    }
}

/// Masks or unmasks a piece of a payload from `src` to `dst`, which are of the same length.
/// `offset` is the position of the first byte within the payload; only its value modulo 4 matters.
#[inline(always)]
pub(crate) fn mask_copy(dst: &mut [u8], src: &[u8], key: [u8; 4], offset: usize) {
    assert_eq!(dst.len(), src.len());
    let key = key_at(key, offset);
    match dst.len() {
        32.. => long_copy(dst, src, key),
        16..32 => blocks_copy::<16>(dst, src, key),
        _ => short_copy(dst, src, key),
    }
}

#[inline(never)]
fn short_copy(dst: &mut [u8], src: &[u8], key: [u8; 4]) {
    match dst.len() {
        8.. => blocks_copy::<8>(dst, src, key),
        4..8 => blocks_copy::<4>(dst, src, key),
        _ => {
            for ((dst, src), key) in dst.iter_mut().zip(src).zip(key) {
                *dst = src ^ key;
            }
        }
    }
}

#[inline(never)]
#[expect(unsafe_code, reason = "not every processor has wide vectors")]
fn long_copy(dst: &mut [u8], src: &[u8], key: [u8; 4]) {
    if dst.len() >= WIDE && vectors::are_wide() {
        // SAFETY: they are.
        unsafe { vectors::run_wide(blocks_copy::<128>, dst, src, key) }
    } else {
        narrow_copy(dst, src, key);
    }
}

#[inline(never)]
fn narrow_copy(dst: &mut [u8], src: &[u8], key: [u8; 4]) {
    blocks_copy::<32>(dst, src, key);
}

/// What each implementation that this processor has makes of a piece, whichever is chosen for its length.
#[cfg(test)]
#[expect(unsafe_code, reason = "not every processor has wide vectors")]
pub(super) fn by_each_implementation(src: &[u8], key: [u8; 4]) -> Vec<(&'static str, Vec<u8>)> {
    let (mut in_place, mut copy) = (src.to_vec(), vec![0; src.len()]);
    blocks_in_place::<32>(&mut in_place, key);
    blocks_copy::<32>(&mut copy, src, key);
    let mut all = vec![("narrow, in place", in_place), ("narrow, copied", copy)];
    if vectors::are_wide() {
        let (mut in_place, mut copy) = (src.to_vec(), vec![0; src.len()]);
        // SAFETY: they are.
        unsafe {
            vectors::run_wide(|buf, key, ()| blocks_in_place::<128>(buf, key), &mut in_place[..], key, ())
        };
        // SAFETY: as above.
        unsafe { vectors::run_wide(blocks_copy::<128>, &mut copy[..], src, key) };
        all.extend([("wide, in place", in_place), ("wide, copied", copy)]);
    }
    all
}

/// The key as it meets a piece that begins at `offset`.
#[inline(always)]
fn key_at(key: [u8; 4], offset: usize) -> [u8; 4] {
    u32::from_le_bytes(key).rotate_right((offset % 4) as u32 * 8).to_le_bytes()
}

#[inline(always)]
fn xor<const N: usize>(block: &[u8; N], key: [u8; 4]) -> [u8; N] {
    let mut block = *block;
    for word in block.as_chunks_mut::<4>().0 {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    block
}

/// Masks a piece of at least `N` bytes, `N` being a multiple of 4.
#[inline(always)]
fn blocks_in_place<const N: usize>(buf: &mut [u8], key: [u8; 4]) {
    let start = buf.len() - N;
    // Read before the others are written: it overlaps them.
    let last = buf.last_chunk::<N>().map(|last| xor(last, key_at(key, start)));
    for block in buf[..start.next_multiple_of(N)].as_chunks_mut::<N>().0 {
        *block = xor(block, key);
    }
    if let (Some(block), Some(last)) = (buf.last_chunk_mut::<N>(), last) {
        *block = last;
    }
}

/// Masks a piece of at least `N` bytes, `N` being a multiple of 4.
#[inline(always)]
fn blocks_copy<const N: usize>(dst: &mut [u8], src: &[u8], key: [u8; 4]) {
    let start = src.len() - N;
    let end = start.next_multiple_of(N);
    let to = dst[..end].as_chunks_mut::<N>().0;
    for (to, from) in to.iter_mut().zip(src[..end].as_chunks::<N>().0) {
        *to = xor(from, key);
    }
    if let (Some(to), Some(from)) = (dst.last_chunk_mut::<N>(), src.last_chunk::<N>()) {
        *to = xor(from, key_at(key, start));
    }
}
