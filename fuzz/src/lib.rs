//! What the fuzz targets share: a second, slow reading of RFC 6455, a second codec, and a source of choices.

pub mod codec;
pub mod reference;

use std::io::Write;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;

/// The front of the input, as a source of decisions. Zero when it is used up.
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Choices<'a> {
        Choices { bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }
}

/// Cuts `data` into pieces whose sizes follow from `seed`: empty ones too.
pub fn pieces(data: &[u8], seed: u8) -> Vec<&[u8]> {
    let (mut pieces, mut rest, mut state) = (Vec::new(), data, u32::from(seed));
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let len = match seed {
            0 => rest.len(),
            1 => 1,
            _ => (state >> 24) as usize % (1 + usize::from(seed)),
        };
        let (piece, after) = rest.split_at(len.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The longest message that [`received`] takes.
pub const ROOM: usize = 8192;

/// A bytestream on which the bytes have come, and behind them its end.
pub fn stream_of(bytes: &[u8]) -> i32 {
    let (ours, mut peer) = UnixStream::pair().expect("a socketpair");
    peer.write_all(bytes).expect("less than fits in a socket");
    // From now on its end is seen behind them, and what is sent to it is refused.
    drop(peer);
    let s = dill::ffi::ipc::dill_ipc_fromfd(ours.into_raw_fd());
    assert!(s >= 0);
    s
}

/// The next message of a message socket, or the number of the error.
pub fn received(h: i32) -> Result<Vec<u8>, i32> {
    let mut message = vec![0; ROOM];
    // SAFETY: the buffer is as long as is said.
    let len = unsafe { dill::ffi::sock::dill_mrecv(h, message.as_mut_ptr().cast(), message.len(), 0) };
    match usize::try_from(len) {
        Ok(len) => {
            message.truncate(len);
            Ok(message)
        }
        Err(_) => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}
