//! Raw deflate streams (RFC 1951) by the codec of zlib, whose allocations may fail. A call needs up to
//! 6 KiB of stack.

use crate::error::{Errno, Result};
use core::ffi::c_int;
use libz_rs_sys as zlib;

/// How much of the symbols of a block is kept, 1 to 9. (Seen: 8, zlib's usual, compresses no better, and to
/// reset it costs a third more.)
const MEMORY_LEVEL: c_int = 6;

/// How many bytes the codec takes or puts out in one call at most. (Less in tests, which have not got so many.)
const MAX_STEP: usize = if cfg!(test) { 1 << 20 } else { zlib::uInt::MAX as usize };

/// How far one call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodecStep {
    /// Bytes of the input that were taken.
    pub consumed: usize,
    /// Bytes that were put out.
    pub produced: usize,
    /// The final block of the stream has ended. When compressing: what was put in is all out.
    pub ended: bool,
}

/// What a call of the codec said, and how far it came.
fn step(
    stream: &mut zlib::z_stream,
    input: &[u8],
    output: &mut [u8],
    call: impl FnOnce(&mut zlib::z_stream) -> c_int,
) -> (c_int, CodecStep) {
    let (in_len, out_len) = (input.len().min(MAX_STEP), output.len().min(MAX_STEP));
    stream.next_in = input.as_ptr().cast_mut();
    stream.avail_in = in_len as zlib::uInt;
    stream.next_out = output.as_mut_ptr();
    stream.avail_out = out_len as zlib::uInt;
    let code = call(stream);
    let consumed = in_len - stream.avail_in as usize;
    let produced = out_len - stream.avail_out as usize;
    (code, CodecStep { consumed, produced, ended: code == zlib::Z_STREAM_END })
}

/// Makes a stream.
pub(crate) struct Compressor {
    stream: zlib::z_stream,
    level: u8,
    window_bits: u8,
}

impl Compressor {
    /// `level` is 0 to 9. Nothing that is put out refers to what lies 2 to the power of `window_bits`, which
    /// are 8 to 15, behind it. ENOMEM.
    pub(crate) fn new(level: u8, window_bits: u8) -> Result<Compressor> {
        let mut stream = zlib::z_stream::default();
        // The codec knows no window of 8 bits, and does not use the last 262 bytes of the one of 9.
        let bits = c_int::from(window_bits.max(9));
        // SAFETY: the stream is a fresh one, with the size that the codec knows.
        let code = unsafe {
            zlib::deflateInit2_(
                &raw mut stream,
                c_int::from(level),
                zlib::Z_DEFLATED,
                -bits,
                MEMORY_LEVEL,
                zlib::Z_DEFAULT_STRATEGY,
                zlib::zlibVersion(),
                size_of::<zlib::z_stream>() as c_int,
            )
        };
        if code == zlib::Z_OK { Ok(Compressor { stream, level, window_bits }) } else { Err(Errno::ENOMEM) }
    }

    /// Whether it was made with these.
    pub(crate) fn has(&self, level: u8, window_bits: u8) -> bool {
        (self.level, self.window_bits) == (level, window_bits)
    }

    /// Compresses. With `flush`, all that was put in comes out and an empty stored block behind it; until
    /// `ended` says so, the call is repeated with the input that is left and at least 7 bytes of room.
    pub(crate) fn step(&mut self, input: &[u8], flush: bool, output: &mut [u8]) -> CodecStep {
        let how = if flush { zlib::Z_SYNC_FLUSH } else { zlib::Z_NO_FLUSH };
        let room = output.len().min(MAX_STEP);
        let (_, step) = step(&mut self.stream, input, output, |stream| {
            // SAFETY: the stream was initialised, and both buffers are as long as it says.
            unsafe { zlib::deflate(stream, how) }
        });
        CodecStep { ended: flush && step.consumed == input.len() && step.produced < room, ..step }
    }

    /// Forgets what was put in, all of which has come out: a new stream begins.
    pub(crate) fn reset(&mut self) {
        // SAFETY: the stream was initialised.
        unsafe { zlib::deflateReset(&raw mut self.stream) };
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: the stream was initialised.
        unsafe { zlib::deflateEnd(&raw mut self.stream) };
    }
}

/// The stream is not what a compressor makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Reads a stream.
pub(crate) struct Decompressor {
    stream: zlib::z_stream,
}

impl Decompressor {
    /// For every size of window. ENOMEM.
    pub(crate) fn new() -> Result<Decompressor> {
        let mut stream = zlib::z_stream::default();
        // SAFETY: the stream is a fresh one, with the size that the codec knows.
        let code = unsafe {
            zlib::inflateInit2_(
                &raw mut stream,
                -15,
                zlib::zlibVersion(),
                size_of::<zlib::z_stream>() as c_int,
            )
        };
        if code == zlib::Z_OK { Ok(Decompressor { stream }) } else { Err(Errno::ENOMEM) }
    }

    /// Decompresses until the input or the room for the output is used up, or a final block has ended; or any
    /// block, with `one_block`.
    pub(crate) fn step(
        &mut self,
        input: &[u8],
        one_block: bool,
        output: &mut [u8],
    ) -> core::result::Result<CodecStep, Broken> {
        let how = if one_block { zlib::Z_BLOCK } else { zlib::Z_SYNC_FLUSH };
        let (code, step) = step(&mut self.stream, input, output, |stream| {
            // SAFETY: the stream was initialised, and both buffers are as long as it says.
            unsafe { zlib::inflate(stream, how) }
        });
        match code {
            zlib::Z_OK | zlib::Z_STREAM_END | zlib::Z_BUF_ERROR => Ok(step),
            _ => Err(Broken),
        }
    }

    /// Whether a step for one block has ended with that, and all of the last byte was taken.
    pub(crate) fn is_between_blocks(&self) -> bool {
        // As zlib.h has it: 128 behind a block, 64 in the final one, and the bits of the last byte that are
        // left over.
        self.stream.data_type & (128 | 7) == 128
    }

    /// Goes on behind a final block, as if it had not been one.
    pub(crate) fn go_on(&mut self) {
        // SAFETY: the stream was initialised.
        unsafe { zlib::inflateResetKeep(&raw mut self.stream) };
    }

    /// Forgets what was put out: a new stream begins.
    pub(crate) fn reset(&mut self) {
        // SAFETY: the stream was initialised.
        unsafe { zlib::inflateReset(&raw mut self.stream) };
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: the stream was initialised.
        unsafe { zlib::inflateEnd(&raw mut self.stream) };
    }
}
