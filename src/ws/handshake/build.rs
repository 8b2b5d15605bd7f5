//! A head that is being written.

#![forbid(unsafe_code)]

use super::BuildError;
use super::header::Header;
use crate::memory::try_extend;

/// The lines so far.
pub(super) struct Builder(Vec<u8>);

impl Builder {
    /// With a start line.
    pub(super) fn new(parts: &[&[u8]]) -> Result<Builder, BuildError> {
        let mut head = Builder(Vec::new());
        head.line(parts)?;
        Ok(head)
    }

    /// One more line, of these parts.
    pub(super) fn line(&mut self, parts: &[&[u8]]) -> Result<(), BuildError> {
        for part in parts.iter().copied().chain([&b"\r\n"[..]]) {
            try_extend(&mut self.0, part).map_err(|_| BuildError::NoMemory)?;
        }
        Ok(())
    }

    /// A line for each of the caller's headers.
    pub(super) fn headers(&mut self, headers: &[Header<'_>]) -> Result<(), BuildError> {
        headers.iter().try_for_each(|header| self.line(&[header.name(), b": ", header.value()]))
    }

    /// A line whose value is the list, unless that is empty.
    pub(super) fn list(&mut self, name: &[u8], members: &[&[u8]]) -> Result<(), BuildError> {
        let Some((first, others)) = members.split_first() else { return Ok(()) };
        for part in [name, b": ", first] {
            try_extend(&mut self.0, part).map_err(|_| BuildError::NoMemory)?;
        }
        for part in others.iter().flat_map(|other| [b", ", *other]) {
            try_extend(&mut self.0, part).map_err(|_| BuildError::NoMemory)?;
        }
        self.line(&[])
    }

    /// A line if there is a value.
    pub(super) fn optional(&mut self, name: &[u8], value: Option<&[u8]>) -> Result<(), BuildError> {
        value.map_or(Ok(()), |value| self.line(&[name, b": ", value]))
    }

    /// With the empty line.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, BuildError> {
        self.line(&[])?;
        Ok(self.0)
    }
}
