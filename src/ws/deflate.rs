//! permessage-deflate (RFC 7692): the payload of a message is a deflate stream, flushed to a byte, without
//! the four bytes that every flush ends with.
//!
//! Where a direction does not keep its window from message to message, its codec is needed during a
//! message only, and lent by the thread: an idle connection owns none.

#![forbid(unsafe_code)]

use super::close::Violation;
use super::extension::{Ends, Extension, MIN_ROOM, NoMemory, Progress, Undecodable};
use crate::memory::try_box;
use crate::zlib::{Broken, Compressor, Decompressor};
use core::cell::RefCell;
use core::mem::ManuallyDrop;

/// RFC 7692, 6: the first reserved bit, "Per-Message Compressed".
const COMPRESSED: u8 = 0x40;
/// RFC 7692, 7.2.1: what every flush ends with, and what is not sent of it.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// How many codecs of a kind a thread keeps.
const KEPT: usize = 4;

// For the bytes held back, and for a flush.
const _: () = assert!(MIN_ROOM > TAIL.len() + 6);

/// What was agreed on (RFC 7692, 7.1), and how to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Our window, 8 to 15 bits.
    pub window_bits: u8,
    /// The peer's.
    pub peer_window_bits: u8,
    /// We keep our window from message to message.
    pub context: bool,
    /// The peer keeps its own.
    pub peer_context: bool,
}

/// How we compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// 0 to 9.
    pub level: u8,
    /// Messages of so many bytes are compressed, and longer ones.
    pub threshold: usize,
}

impl Effort {
    /// The usual. (Measured with JSON, without context: a message of 64 bytes does not become shorter, one
    /// of 128 by a sixth. Level 4 takes no longer than 3 and 25 % less than 6, zlib's usual, and makes 16 KiB
    /// 4 % longer than that.)
    pub(crate) fn usual(context: bool) -> Effort {
        Effort { level: 4, threshold: if context { 32 } else { 128 } }
    }
}

/// A window, in bits, and a level.
pub(crate) type Way = (u8, u8);

/// The extension of one connection.
pub struct Deflate {
    agreed: Negotiated,
    effort: Effort,
    compressing: Option<Compressing>,
    /// What was held back where the last part ended that has left: encoding goes on from there. None: no message
    /// is open.
    part_end: Option<Held>,
    decompressing: Option<Decompressing>,
}

/// A compressor in use.
struct Compressing {
    codec: Compressor,
    held: Held,
    /// Something of the message was put in.
    begun: bool,
}

/// What is held back of a message.
#[derive(Clone, Copy)]
struct Held {
    /// The last bytes of what was put out, which may be the tail.
    bytes: [u8; 4],
    len: usize,
    /// Nothing of the message was put out.
    empty: bool,
}

/// A decompressor in use.
struct Decompressing {
    codec: Decompressor,
    /// How much of the tail was put back.
    tail: usize,
    /// All that has come of the message ends with a final block, or nothing has come.
    complete: bool,
}

impl Held {
    const NOTHING: Held = Held { bytes: [0; 4], len: 0, empty: true };
}

impl Decompressing {
    fn new(codec: Decompressor) -> Decompressing {
        Decompressing { codec, tail: 0, complete: true }
    }

    /// As [`Extension::decode`].
    fn decode(&mut self, input: &[u8], last: bool, output: &mut [u8]) -> Result<Progress, Broken> {
        let (mut consumed, mut produced) = (0, 0);
        // Once the tail has begun, the payload is at its end.
        while self.tail == 0 {
            let step = self.codec.step(&input[consumed..], false, &mut output[produced..])?;
            consumed += step.consumed;
            produced += step.produced;
            if step.ended {
                // RFC 7692, 7.2.3.4: more blocks may follow.
                self.codec.go_on();
                self.complete = true;
                if consumed < input.len() {
                    continue;
                }
            } else if step.consumed > 0 {
                self.complete = false;
            }
            break;
        }
        let mut done = false;
        if last && consumed == input.len() {
            done = self.complete;
            while !done {
                let step = self.codec.step(&TAIL[self.tail..], true, &mut output[produced..])?;
                self.tail += step.consumed;
                produced += step.produced;
                // RFC 7692, 7.2.2: with the tail it is a series of whole blocks.
                let is_at_end = self.tail == TAIL.len();
                if step.ended {
                    // What is left of the tail is none: a final block that ends with it is between blocks, and one
                    // that ends before it was seen above.
                    return Err(Broken);
                }
                if self.codec.is_between_blocks() {
                    done = is_at_end;
                } else if step.consumed == 0 {
                    break;
                }
            }
        }
        // It stops for nothing but a full output, the end of the input, and the end of a stream.
        if produced < output.len() && (consumed < input.len() || last && !done) {
            return Err(Broken);
        }
        Ok(Progress { consumed, produced, done })
    }
}

impl Deflate {
    /// What was agreed on in the handshake.
    pub fn new(agreed: Negotiated, effort: Effort) -> Deflate {
        Deflate { agreed, effort, compressing: None, part_end: None, decompressing: None }
    }

    /// What was agreed on in the handshake.
    pub(crate) fn negotiated(&self) -> &Negotiated {
        &self.agreed
    }

    /// Where it is the same, a message becomes the same bytes if no window is kept.
    pub(crate) fn way(&self) -> Way {
        (self.agreed.window_bits, self.effort.level)
    }

    /// One that compresses in the same way, and keeps no window.
    pub(crate) fn without_context(&self) -> Deflate {
        Deflate::new(Negotiated { context: false, ..self.agreed }, self.effort)
    }

    fn end_decoding(&mut self) {
        let Some(mut used) = self.decompressing.take() else { return };
        if self.agreed.peer_context {
            self.decompressing = Some(Decompressing::new(used.codec));
        } else {
            used.codec.reset();
            give_back(used.codec, |codecs| &mut codecs.decompressors);
        }
    }

    fn end_encoding(&mut self) {
        let Some(mut used) = self.compressing.take() else { return };
        if self.agreed.context {
            self.compressing = Some(Compressing::new(used.codec));
        } else {
            used.codec.reset();
            give_back(used.codec, |codecs| &mut codecs.compressors);
        }
    }
}

impl Extension for Deflate {
    fn bits(&self) -> u8 {
        COMPRESSED
    }

    fn decode(&mut self, input: &[u8], last: bool, output: &mut [u8]) -> Result<Progress, Undecodable> {
        let decompressing = match &mut self.decompressing {
            Some(decompressing) => decompressing,
            none => {
                let codec = borrow(|codecs| &mut codecs.decompressors, |_| true);
                let codec = codec.map_or_else(Decompressor::new, Ok).map_err(|_| Undecodable::NoMemory)?;
                none.insert(Decompressing::new(codec))
            }
        };
        let progress = decompressing.decode(input, last, output);
        let progress = progress.map_err(|Broken| Undecodable::Broken(&BROKEN))?;
        if progress.done {
            self.end_decoding();
        }
        Ok(progress)
    }

    fn skip_message(&mut self) -> bool {
        if !self.agreed.peer_context {
            self.end_decoding();
        }
        !self.agreed.peer_context
    }

    fn is_worthwhile(&self, len: usize) -> bool {
        len >= self.effort.threshold
    }

    fn encode(&mut self, input: &[u8], ends: Ends, output: &mut [u8]) -> Result<Progress, NoMemory> {
        let (level, bits) = (self.effort.level, self.agreed.window_bits);
        let compressing = match &mut self.compressing {
            Some(compressing) => compressing,
            none => {
                let codec = borrow(|codecs| &mut codecs.compressors, |codec| codec.has(level, bits));
                let codec = codec.map_or_else(|| Compressor::new(level, bits), Ok).map_err(|_| NoMemory)?;
                none.insert(Compressing::new(codec))
            }
        };
        if !compressing.begun {
            compressing.held = self.part_end.unwrap_or(Held::NOTHING);
            compressing.begun = true;
        }
        let progress = compressing.encode(input, ends, output);
        if progress.done && ends == Ends::Message {
            self.end_encoding();
        }
        Ok(progress)
    }

    fn note_part_left(&mut self) {
        self.part_end = self.compressing.as_ref().filter(|used| used.begun).map(|used| used.held);
    }

    fn forget_part(&mut self) {
        // Behind a flush a new stream may begin: what it puts out refers to nothing before. Not by the same codec:
        // when it is reset while it holds output, some of that comes later (seen in zlib-rs 0.6.8).
        self.compressing = None;
    }
}

impl Compressing {
    fn new(codec: Compressor) -> Compressing {
        Compressing { codec, held: Held::NOTHING, begun: false }
    }

    /// As [`Extension::encode`].
    fn encode(&mut self, input: &[u8], ends: Ends, output: &mut [u8]) -> Progress {
        if output.len() < MIN_ROOM {
            return Progress { consumed: 0, produced: 0, done: false };
        }
        let held = &mut self.held;
        output[..held.len].copy_from_slice(&held.bytes[..held.len]);
        let step = self.codec.step(input, ends != Ends::Nothing, &mut output[held.len..]);
        // RFC 7692, 7.2.1: the tail is removed. Which bytes are the tail shows when nothing comes behind.
        let filled = held.len + step.produced;
        let mut produced = filled.saturating_sub(TAIL.len());
        held.len = filled - produced;
        held.bytes[..held.len].copy_from_slice(&output[produced..filled]);
        if step.ended && ends == Ends::Message && produced == 0 && held.empty {
            // RFC 7692, 7.2.3.6: a flush behind a flush is empty, and an empty message is this.
            output[0] = 0;
            produced = 1;
        }
        held.empty &= produced == 0;
        Progress { consumed: step.consumed, produced, done: step.ended }
    }
}

static BROKEN: Violation = Violation::payload("RFC 7692, 7.2.2: payload that is no whole deflate blocks");

/// The codecs of a thread that nobody is using. They have been reset.
struct Codecs {
    compressors: [Option<Compressor>; KEPT],
    decompressors: [Option<Decompressor>; KEPT],
}

thread_local! {
    /// On the heap: a library that is loaded by `dlopen` gets only what is left of the thread's static room.
    static CODECS: RefCell<ManuallyDrop<Option<Box<Codecs>>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

/// Frees the codecs that this thread keeps.
pub(crate) fn free() {
    let kept = CODECS.with_borrow_mut(|codecs| codecs.take());
    drop(kept);
}

/// Takes one of the kept codecs that is right.
fn borrow<T>(
    kind: impl FnOnce(&mut Codecs) -> &mut [Option<T>; KEPT],
    is_right: impl Fn(&T) -> bool,
) -> Option<T> {
    let take = |codecs: &RefCell<ManuallyDrop<Option<Box<Codecs>>>>| {
        let mut codecs = codecs.try_borrow_mut().ok()?;
        kind(codecs.as_mut()?).iter_mut().find(|codec| codec.as_ref().is_some_and(&is_right))?.take()
    };
    CODECS.try_with(take).ok().flatten()
}

/// Keeps a codec for whoever needs one next, unless there are enough.
fn give_back<T>(codec: T, kind: impl FnOnce(&mut Codecs) -> &mut [Option<T>; KEPT]) {
    // After the end of the thread's data it is dropped.
    let _ = CODECS.try_with(|codecs| {
        let Ok(mut codecs) = codecs.try_borrow_mut() else { return };
        if codecs.is_none() {
            let none = Codecs { compressors: [const { None }; KEPT], decompressors: [const { None }; KEPT] };
            **codecs = try_box(none).ok();
        }
        let Some(codecs) = codecs.as_mut() else { return };
        if let Some(place) = kind(codecs).iter_mut().find(|place| place.is_none()) {
            *place = Some(codec);
        }
    });
}
