//! Messages of the extension's: their payload is decoded as far as there is room, and as a message is long enough.

#![forbid(unsafe_code)]

use super::Connection;
use crate::ws::close::Violation;
use crate::ws::extension::{Extension, Undecodable};
use crate::ws::frame::Role;

/// How much payload is unmasked for the extension at a time.
const UNMASKED: usize = 4096;
/// How much of a message that nobody wants is decoded at a time.
const UNWANTED: usize = 4096;

/// Where what the extension makes of a message goes.
pub(crate) enum Output<'a> {
    /// To this place.
    Place(&'a mut [u8]),
    /// Nowhere, if it is no more than so many bytes.
    Skip(usize),
}

/// How far the decoding of a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// The bytes to drop from the front.
    pub consumed: usize,
    /// The bytes of the message that were put out.
    pub produced: usize,
    /// Why it stopped.
    pub stop: Stop,
}

/// Why decoding stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The frame is not here whole.
    NeedPayload,
    /// There is more, and no room for it.
    NeedRoom,
    /// All of the frame's payload was decoded: `end_of_frame` comes next.
    EndOfFrame,
}

/// Why nothing was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDecoded {
    /// The peer broke a rule.
    Violation(Violation),
    /// It may be tried again.
    NoMemory,
}

impl Connection {
    /// Decodes payload of the extension's: `front` begins with what is here of it. Needs 8 KiB of stack
    /// besides what the extension needs.
    ///
    /// Goes on until something is missing. A message that just fits needs no room for one more byte, and
    /// nothing is made of what does not fit.
    pub(crate) fn decode(
        &mut self,
        extension: &mut dyn Extension,
        front: &[u8],
        mut output: Output<'_>,
    ) -> Result<Decoded, NotDecoded> {
        let mut unwanted = [0; UNWANTED];
        let (mut consumed, mut produced) = (0, 0);
        loop {
            let allowed = usize::try_from(self.decoder.message_room()).unwrap_or(usize::MAX);
            let output = match &mut output {
                Output::Place(place) => {
                    let len = (place.len() - produced).min(allowed);
                    &mut place[produced..produced + len]
                }
                Output::Skip(room) => &mut unwanted[..(*room - produced).min(allowed).min(UNWANTED)],
            };
            let no_room = output.is_empty();
            let (taken, made, done) = self.decode_some(extension, &front[consumed..], output)?;
            consumed += taken;
            produced += made;
            let stop = if done {
                Stop::EndOfFrame
            } else if consumed == front.len() && self.decoder.payload_left() > 0 {
                // Whether what is to come needs room shows when it has come.
                Stop::NeedPayload
            } else if no_room && taken == 0 {
                if allowed == 0 {
                    let violation = self.decoder.message_too_big();
                    return Err(NotDecoded::Violation(self.fail(violation)));
                }
                Stop::NeedRoom
            } else {
                continue;
            };
            return Ok(Decoded { consumed, produced, stop });
        }
    }

    /// One step: how much was taken and made, and whether that was all of the frame.
    fn decode_some(
        &mut self,
        extension: &mut dyn Extension,
        front: &[u8],
        output: &mut [u8],
    ) -> Result<(usize, usize, bool), NotDecoded> {
        let left = usize::try_from(self.decoder.payload_left()).unwrap_or(usize::MAX);
        let payload = &front[..front.len().min(left).min(UNMASKED)];
        let ends_frame = payload.len() == left;
        let last = ends_frame && self.decoder.is_last_frame();
        let progress = match self.role {
            Role::Client => extension.decode(payload, last, output),
            Role::Server => {
                let mut unmasked = [0; UNMASKED];
                let unmasked = &mut unmasked[..payload.len()];
                self.decoder.unmask(unmasked, payload);
                extension.decode(unmasked, last, output)
            }
        };
        let progress = progress.map_err(|undecodable| match undecodable {
            Undecodable::Broken(violation) => {
                let violation = self.decoder.message_undecodable(violation);
                NotDecoded::Violation(self.fail(violation))
            }
            Undecodable::NoMemory => NotDecoded::NoMemory,
        })?;
        self.decoder.advance(progress.consumed);
        let judged = self.decoder.message_bytes(&output[..progress.produced]);
        judged.map_err(|violation| NotDecoded::Violation(self.fail(violation)))?;
        let done = if last { progress.done } else { ends_frame && progress.consumed == payload.len() };
        Ok((progress.consumed, progress.produced, done))
    }
}
