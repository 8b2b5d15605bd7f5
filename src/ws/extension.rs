//! A stage between frames and messages (RFC 6455, 9): what the payload of a message's frames is made of,
//! and back.
//!
//! Both directions take bytes in pieces of any size and put out as much as there is room for, so that a
//! message of any length passes in constant memory. What belongs to one message only is made when it
//! begins and dropped when it ends.

#![forbid(unsafe_code)]

use super::close::Violation;

/// The smallest room that encoding goes on in, in bytes.
pub const MIN_ROOM: usize = 16;

/// How far one step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken from the input: all, unless the output is full.
    pub consumed: usize,
    /// Bytes put out.
    pub produced: usize,
    /// The input was the end, and everything that it leads to was put out.
    pub done: bool,
}

/// Why payload could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// It is not what the extension's other end makes.
    Broken(&'static Violation),
    /// Nothing was taken: the step may be repeated.
    NoMemory,
}

/// There is no memory for a message to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// What ends behind a piece of a message that is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Nothing.
    Nothing,
    /// A part, of which all is put out.
    Part,
    /// The message.
    Message,
}

/// A negotiated extension.
pub trait Extension {
    /// The reserved bits that are set in the first frame of a message that has gone through `encode`.
    fn bits(&self) -> u8;

    /// Decodes payload of a message, of all its frames as if they were one. `last`: the message ends
    /// behind this input; then it is repeated, with the input that is left, until it is done.
    fn decode(&mut self, input: &[u8], last: bool, output: &mut [u8]) -> Result<Progress, Undecodable>;

    /// Gives up the message that is being decoded, if later ones do not depend on it: then the rest of its
    /// payload need not be decoded. False: they do, and it must be.
    fn skip_message(&mut self) -> bool;

    /// Whether a message of so many bytes is worth encoding.
    fn is_worthwhile(&self, len: usize) -> bool;

    /// Encodes a piece of a message, given [`MIN_ROOM`]. If something ends behind this input, it is repeated,
    /// with the input that is left, until it is done.
    fn encode(&mut self, input: &[u8], ends: Ends, output: &mut [u8]) -> Result<Progress, NoMemory>;

    /// What was encoded, to the end of a part or of the message, has left.
    fn note_part_left(&mut self);

    /// What was encoded since a part has left, or of the message if none has, does not leave.
    fn forget_part(&mut self);
}
