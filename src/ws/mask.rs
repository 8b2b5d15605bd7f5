//! Masking (RFC 6455, 5.3): byte `i` of the payload is XORed with byte `i` mod 4 of the key.
//!
//! A piece may begin anywhere in a payload and anywhere in memory. The key is turned to the
//! piece's position once; then whole blocks go through unaligned loads and stores, and the last
//! block overlaps the one before it, so that there is neither a prologue nor a loop over odd
//! bytes.

/// Masks or unmasks a piece of a payload where it lies. `offset` is the position of its first
/// byte within the payload; only its value modulo 4 matters.
#[inline]
pub fn mask_in_place(buf: &mut [u8], key: [u8; 4], offset: usize) {
    let key = turn(key, offset);
    match buf.len() {
        0..4 => {
            for (byte, key) in buf.iter_mut().zip(key) {
                *byte ^= key;
            }
        }
        4..8 => blocks_in_place::<4>(buf, key),
        8..32 => blocks_in_place::<8>(buf, key),
        _ => blocks_in_place::<32>(buf, key),
    }
}

/// Masks or unmasks a piece of a payload from `src` to `dst`, which are of the same length.
/// `offset` is the position of the first byte within the payload; only its value modulo 4 matters.
#[inline]
pub fn mask_copy(dst: &mut [u8], src: &[u8], key: [u8; 4], offset: usize) {
    assert_eq!(dst.len(), src.len());
    let key = turn(key, offset);
    match dst.len() {
        0..4 => {
            for ((dst, src), key) in dst.iter_mut().zip(src).zip(key) {
                *dst = src ^ key;
            }
        }
        4..8 => blocks_copy::<4>(dst, src, key),
        8..32 => blocks_copy::<8>(dst, src, key),
        _ => blocks_copy::<32>(dst, src, key),
    }
}

/// The key as it meets a piece that begins at `offset`.
#[inline(always)]
fn turn(key: [u8; 4], offset: usize) -> [u8; 4] {
    u32::from_le_bytes(key)
        .rotate_right((offset % 4) as u32 * 8)
        .to_le_bytes()
}

#[inline(always)]
fn xor<const N: usize>(block: &[u8; N], key: [u8; 4]) -> [u8; N] {
    std::array::from_fn(|i| block[i] ^ key[i % 4])
}

/// Masks a piece of at least `N` bytes.
#[inline(always)]
fn blocks_in_place<const N: usize>(buf: &mut [u8], key: [u8; 4]) {
    let start = buf.len() - N;
    // The last block is read before the others are written: it overlaps them.
    let Some(last) = buf
        .last_chunk::<N>()
        .map(|last| xor(last, turn(key, start)))
    else {
        return;
    };
    let (blocks, _) = buf[..start.next_multiple_of(N)].as_chunks_mut::<N>();
    for block in blocks {
        *block = xor(block, key);
    }
    buf[start..].copy_from_slice(&last);
}

/// Masks a piece of at least `N` bytes.
#[inline(always)]
fn blocks_copy<const N: usize>(dst: &mut [u8], src: &[u8], key: [u8; 4]) {
    let start = src.len() - N;
    let end = start.next_multiple_of(N);
    let (to, _) = dst[..end].as_chunks_mut::<N>();
    let (from, _) = src[..end].as_chunks::<N>();
    for (to, from) in to.iter_mut().zip(from) {
        *to = xor(from, key);
    }
    if let Some(last) = src.last_chunk::<N>() {
        dst[start..].copy_from_slice(&xor(last, turn(key, start)));
    }
}
