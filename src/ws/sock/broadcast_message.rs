//! A message on its way to many: made a frame once, and compressed once for all that compress alike.

use super::{NODEFLATE, TEXT};
use crate::error::{Errno, Result};
use crate::memory::{try_box, try_push};
use crate::net::stream::Shared;
use crate::rt::big_stack::BigStack;
use crate::rt::context::Context;
use crate::ws::deflate::{Deflate, Way};
use crate::ws::encoder::{Encoder, MessageKind};
use crate::ws::extension::{Ends, Extension, MIN_ROOM};
use crate::ws::frame::MAX_HEADER;
use core::ffi::c_int;

/// Messages from this length on, in bytes, are made ready in turns, between which others run: to compress so much takes
/// about a millisecond. They are compressed for everybody in common, too: a window reaches no further back than this.
pub(super) const LONG: usize = 32 * 1024;
/// How much is copied or compressed in a turn, in bytes.
const SLICE: usize = 16 * 1024;
/// What it costs to compress a byte, in bytes moved.
pub(super) const COST_OF_COMPRESSING: usize = 8;

/// A message on its way to many. The caller's buffer is copied once: it may change while others run.
pub(super) struct BroadcastMessage {
    text: bool,
    may_compress: bool,
    /// The frame as servers send it.
    plain: Shared,
    /// How long its header is.
    header: usize,
    /// What became of it in each way so far, or None if it did not become shorter.
    compressed: Vec<(Way, Option<Compressed>)>,
}

/// A frame that was compressed.
#[derive(Clone)]
pub(super) struct Compressed {
    pub(super) bits: u8,
    /// How long its header is.
    pub(super) header: usize,
    pub(super) frame: Shared,
}

/// A frame that was masked.
pub(super) struct Masked {
    pub(super) frame: Shared,
    pub(super) is_compressed: bool,
}

impl BroadcastMessage {
    /// Calls `pause` now and then, with what was done meanwhile in bytes moved. ENOMEM, or what `pause` says.
    pub(super) fn new(
        flags: c_int,
        payload: &[u8],
        mut pause: impl FnMut(usize) -> Result<()>,
    ) -> Result<BroadcastMessage> {
        let (text, may_compress) = (flags & TEXT != 0, flags & NODEFLATE == 0);
        let kind = MessageKind { text, extension_bits: 0 };
        let frame = Encoder::default().data(kind, true, payload.len() as u64, None);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(frame.header().len() + payload.len()).map_err(|_| Errno::ENOMEM)?;
        bytes.extend_from_slice(frame.header());
        for slice in payload.chunks(SLICE) {
            bytes.extend_from_slice(slice);
            pause(slice.len())?;
        }
        let (plain, header) = (Shared::new(bytes, 0)?, frame.header().len());
        Ok(BroadcastMessage { text, may_compress, plain, header, compressed: Vec::new() })
    }

    pub(super) fn text(&self) -> bool {
        self.text
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.plain[self.header..]
    }

    /// The frame as servers send it.
    pub(super) fn plain(&self) -> &Shared {
        &self.plain
    }

    pub(super) fn is_long(&self) -> bool {
        self.payload().len() >= LONG
    }

    /// Whether it leaves compressed where this was agreed on.
    pub(super) fn is_compressed_by(&self, extension: &Deflate) -> bool {
        self.may_compress && extension.is_worthwhile(self.payload().len())
    }

    /// It as those compress it that do not keep their window. If there is no memory for that, or if a long message
    /// was not made ready for it, it leaves as it is.
    pub(super) fn compressed_like(&mut self, context: &Context, extension: &Deflate) -> Option<Compressed> {
        if !self.is_long()
            && let Some(how) = self.missing(extension)
        {
            context.charge(COST_OF_COMPRESSING * self.payload().len());
            self.compress_for(how.ok()?, |_| Ok(())).ok()?;
        }
        self.known(extension)
    }

    /// The same, as far as it was made already.
    pub(super) fn known(&self, extension: &Deflate) -> Option<Compressed> {
        let known = self.compressed.iter().find(|(way, _)| *way == extension.way());
        known.and_then(|(_, made)| made.clone())
    }

    /// It as a client sends it. Calls `pause` now and then, with what was done meanwhile in bytes moved. ENOMEM, or what
    /// `pause` says.
    pub(super) fn masked(
        &self,
        key: [u8; 4],
        compressed: Option<Compressed>,
        pause: impl FnMut(usize) -> Result<()>,
    ) -> Result<Masked> {
        let (extension_bits, payload) = match &compressed {
            Some(compressed) => (compressed.bits, &compressed.frame[compressed.header..]),
            None => (0, self.payload()),
        };
        let frame = masked_frame(MessageKind { text: self.text, extension_bits }, payload, key, pause)?;
        Ok(Masked { frame, is_compressed: compressed.is_some() })
    }

    /// How it is to be compressed for a connection with this extension. None: not at all, or it was already. ENOMEM.
    pub(super) fn missing(&self, extension: &Deflate) -> Option<Result<Box<Deflate>>> {
        let is_known = self.compressed.iter().any(|(way, _)| *way == extension.way());
        (self.is_compressed_by(extension) && !is_known).then(|| try_box(extension.without_context()))
    }

    /// Compresses it. ENOMEM, or what `pause` says.
    pub(super) fn compress_for(
        &mut self,
        mut how: Box<Deflate>,
        pause: impl FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        let made = compress(&mut how, self.text, self.payload(), pause)?;
        let made = Some(made).filter(|made| made.frame.len() < self.plain.len());
        try_push(&mut self.compressed, (how.way(), made))
    }
}

/// A whole message as one frame of a client. Calls `pause` now and then, with what was done meanwhile in bytes moved.
/// ENOMEM, or what `pause` says.
fn masked_frame(
    kind: MessageKind,
    payload: &[u8],
    key: [u8; 4],
    mut pause: impl FnMut(usize) -> Result<()>,
) -> Result<Shared> {
    const { assert!(SLICE.is_multiple_of(4), "the key begins anew with each slice") };
    let frame = Encoder::default().data(kind, true, payload.len() as u64, Some(key));
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(frame.header().len() + payload.len()).map_err(|_| Errno::ENOMEM)?;
    bytes.extend_from_slice(frame.header());
    for slice in payload.chunks(SLICE) {
        let begin = bytes.len();
        bytes.extend_from_slice(slice);
        frame.mask_in_place(&mut bytes[begin..]);
        pause(slice.len())?;
    }
    Shared::new(bytes, 0)
}

/// Compresses a whole message. Calls `pause` now and then, with what was done meanwhile in bytes moved. ENOMEM, or what
/// `pause` says, and nothing has happened.
pub(super) fn compress(
    extension: &mut Deflate,
    text: bool,
    payload: &[u8],
    pause: impl FnMut(usize) -> Result<()>,
) -> Result<Compressed> {
    let made = compress_all(extension, payload, pause).and_then(|mut bytes| {
        let bits = extension.bits();
        let kind = MessageKind { text, extension_bits: bits };
        let frame = Encoder::default().data(kind, true, (bytes.len() - MAX_HEADER) as u64, None);
        let header = frame.header().len();
        let start = MAX_HEADER - header;
        bytes[start..MAX_HEADER].copy_from_slice(frame.header());
        Ok(Compressed { bits, header, frame: Shared::new(bytes, start)? })
    });
    made.inspect_err(|_| extension.forget_part())
}

/// The same, behind room for a header.
fn compress_all(
    extension: &mut Deflate,
    payload: &[u8],
    mut pause: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<u8>> {
    let (mut bytes, mut filled, mut consumed) = (Vec::new(), MAX_HEADER, 0);
    loop {
        let slice = &payload[consumed..payload.len().min(consumed + SLICE)];
        let ends = if consumed + slice.len() == payload.len() { Ends::Message } else { Ends::Nothing };
        let len = filled + slice.len() + 4 * MIN_ROOM;
        bytes.try_reserve(len - bytes.len()).map_err(|_| Errno::ENOMEM)?;
        bytes.resize(len, 0);
        let progress = BigStack::get()?.run(|| extension.encode(slice, ends, &mut bytes[filled..]));
        let progress = progress.map_err(|_| Errno::ENOMEM)?;
        consumed += progress.consumed;
        filled += progress.produced;
        bytes.truncate(filled);
        if progress.done {
            return Ok(bytes);
        }
        pause(progress.consumed * COST_OF_COMPRESSING)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::deflate::{Effort, Negotiated};

    #[test]
    fn a_message_of_many_slices_is_compressed_whole_with_pauses() {
        let agreed =
            Negotiated { window_bits: 15, peer_window_bits: 15, context: false, peer_context: false };
        let mut deflate = Deflate::new(agreed, Effort::usual(false));
        let (payload, mut pauses) = (vec![7; 5 << 20], 0);
        let bytes = compress_all(&mut deflate, &payload, |_| {
            pauses += 1;
            Ok(())
        })
        .unwrap_or_else(|_| panic!("no memory"));
        assert!(pauses >= payload.len() / SLICE - 1);
        let (mut left, mut message) = (&bytes[MAX_HEADER..], vec![0; 6 << 20]);
        let (mut len, mut done) = (0, false);
        while !done {
            let room = (len + (1 << 16)).min(message.len());
            let progress = deflate.decode(left, true, &mut message[len..room]).expect("a message");
            (left, len, done) = (&left[progress.consumed..], len + progress.produced, progress.done);
        }
        assert!(message[..len] == payload);
    }
}
