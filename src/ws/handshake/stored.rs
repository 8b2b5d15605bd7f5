//! A head that outlives the buffer it came in: what the program may still ask about.

#![forbid(unsafe_code)]

use super::request::judged_request_head;
use super::response::judged_answer_head;
use super::{AnswerHead, Fields, Refusal, RequestHead, parse_answer_head, parse_request_head};
use crate::error::{Errno, Result};
use crate::http::grammar::Field;
use crate::memory::try_vec;

/// A good head: one allocation, of its size. It is read anew at each question, but not judged anew: an index
/// of it in every connection would cost more.
#[derive(Debug)]
pub struct StoredHead {
    bytes: Vec<u8>,
    /// Where the fields begin.
    fields_at: usize,
    is_request: bool,
}

impl StoredHead {
    /// A copy of a request. `Err` in it: that is malformed. ENOMEM.
    pub fn request(head: &[u8]) -> Result<core::result::Result<StoredHead, Refusal>> {
        match parse_request_head(head) {
            Ok(request) => StoredHead::copy(head, request.fields, true).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// A copy of an answer. `Err` in it: that is malformed. ENOMEM.
    pub fn answer(head: &[u8]) -> Result<core::result::Result<StoredHead, Refusal>> {
        match parse_answer_head(head) {
            Ok(answer) => StoredHead::copy(head, answer.fields, false).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// The fields are the end of the head.
    fn copy(head: &[u8], fields: Fields<'_>, is_request: bool) -> Result<StoredHead> {
        Ok(StoredHead { bytes: try_vec(head)?, fields_at: head.len() - fields.len(), is_request })
    }

    /// As it came.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The request, if it is one.
    pub fn as_request(&self) -> Option<RequestHead<'_>> {
        self.is_request.then(|| judged_request_head(&self.bytes))?
    }

    /// The answer, if it is one.
    pub fn as_answer(&self) -> Option<AnswerHead<'_>> {
        (!self.is_request).then(|| judged_answer_head(&self.bytes))?
    }

    /// Stores as a string what a field says, or one of the names with a colon in front, and returns its
    /// length. ENOENT if there is none; EMSGSIZE if it does not fit.
    pub fn store(&self, name: &[u8], place: Option<&mut [u8]>) -> Result<usize> {
        match self.as_request() {
            Some(request) => request.store(name, place),
            None => self.as_answer().ok_or(Errno::ENOENT)?.store(name, place),
        }
    }

    /// The field at a place in the order in which they came, counted from 0. ENOENT behind the last.
    pub fn field(&self, index: usize) -> Result<Field<'_>> {
        Fields::judged(&self.bytes[self.fields_at..]).iter().nth(index).ok_or(Errno::ENOENT)
    }
}
