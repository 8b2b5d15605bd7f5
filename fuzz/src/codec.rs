//! RFC 7692 by zlib, the one in C: what payload says, if it says something.

use libz_sys as zlib;
use std::ffi::c_int;
use std::mem::MaybeUninit;

/// What every flush ends with, and what is not sent of it (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// An empty stored block that is the final one. Where a block may begin, and only there, a stream ends with it.
const END: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// Reads the messages of one direction of a connection.
pub struct Inflater {
    window_bits: u8,
    /// How much is put out at a time: what lies further back than the window is found out if it is 1.
    room: usize,
    /// All that was put out.
    window: Vec<u8>,
}

impl Inflater {
    pub fn new(window_bits: u8, room: usize) -> Inflater {
        Inflater { window_bits, room, window: Vec::new() }
    }

    /// What comes next refers to nothing before.
    pub fn forget(&mut self) {
        self.window.clear();
    }

    /// The next message. None: this is none.
    pub fn message(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let (start, mut rest) = (self.window.len(), payload);
        while !rest.is_empty() {
            let before = self.window.len();
            let Some(consumed) = self.stream(rest)? else {
                self.window.truncate(before);
                self.end(rest)?;
                break;
            };
            // RFC 7692, 7.2.3.4: more blocks may follow a final one.
            rest = &rest[consumed..];
        }
        Some(self.window[start..].to_vec())
    }

    /// RFC 7692, 7.2.2: with the tail it is a series of whole blocks.
    fn end(&mut self, rest: &[u8]) -> Option<()> {
        let before = self.window.len();
        let whole = [rest, &TAIL].concat();
        if let Some(consumed) = self.stream(&whole)? {
            return (consumed == whole.len()).then_some(());
        }
        let len = self.window.len();
        self.window.truncate(before);
        let ended = [&whole[..], &END].concat();
        let consumed = self.stream(&ended)??;
        (consumed == ended.len() && self.window.len() == len).then_some(())
    }

    /// Reads one stream, to its final block or as far as it has come: how many bytes of it there are if it has ended.
    /// None: it is broken.
    fn stream(&mut self, bytes: &[u8]) -> Option<Option<usize>> {
        let mut stream = MaybeUninit::zeroed();
        let size = size_of::<zlib::z_stream>() as c_int;
        // SAFETY: zeros are a stream that was not initialised, and ask for the usual allocator.
        let stream: &mut zlib::z_stream = unsafe {
            let code = zlib::inflateInit2_(
                stream.as_mut_ptr(),
                -c_int::from(self.window_bits),
                zlib::zlibVersion(),
                size,
            );
            assert_eq!(code, zlib::Z_OK);
            stream.assume_init_mut()
        };
        let start = self.window.len().saturating_sub(1 << self.window_bits);
        // SAFETY: the stream was initialised, and reads so many bytes.
        unsafe {
            zlib::inflateSetDictionary(
                stream,
                self.window[start..].as_ptr(),
                (self.window.len() - start) as u32,
            )
        };
        stream.next_in = bytes.as_ptr().cast_mut();
        stream.avail_in = bytes.len() as u32;
        let mut place = vec![0; self.room];
        let code = loop {
            stream.next_out = place.as_mut_ptr();
            stream.avail_out = place.len() as u32;
            // SAFETY: both buffers are as long as the stream says.
            let code = unsafe { zlib::inflate(stream, zlib::Z_SYNC_FLUSH) };
            let left = stream.avail_out as usize;
            self.window.extend_from_slice(&place[..place.len() - left]);
            if code != zlib::Z_OK || left > 0 && stream.avail_in == 0 {
                break code;
            }
        };
        let consumed = bytes.len() - stream.avail_in as usize;
        // SAFETY: the stream was initialised.
        unsafe { zlib::inflateEnd(stream) };
        match code {
            zlib::Z_STREAM_END => Some(Some(consumed)),
            // It could go on if there were more.
            zlib::Z_OK | zlib::Z_BUF_ERROR => Some(None),
            _ => None,
        }
    }
}
