//! Why the last call of this thread has failed, as far as `errno` cannot say it: facts that are noted where
//! something fails, and made a sentence of when somebody asks.
//!
//! A fact is noted right before the call fails, with the error that it explains. `settle` makes it the
//! thread's when the call returns to C.

use crate::error::Errno;
use crate::probes;
use crate::rt::above::Hooks;
use crate::rt::context::Context;
use core::cell::{Cell, RefCell};
use core::ffi::c_char;
use core::fmt::{self, Write};
use core::mem::ManuallyDrop;

/// The longest sentence, with its NUL.
const ROOM: usize = 512;
/// How much of a text of somebody else's is kept.
const MAX_TEXT: usize = 160;

/// What somebody else said, as far as there is room for it.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    bytes: [u8; MAX_TEXT],
    len: u8,
}

impl Text {
    /// The beginning of it.
    pub(crate) fn new(text: &[u8]) -> Text {
        let len = text.len().min(MAX_TEXT);
        let mut bytes = [0; MAX_TEXT];
        bytes[..len].copy_from_slice(&text[..len]);
        Text { bytes, len: len as u8 }
    }

    /// The beginning of what a format comes to.
    #[cfg(feature = "tls")]
    pub(crate) fn format(arguments: fmt::Arguments<'_>) -> Text {
        let mut text = Text::new(&[]);
        // It is full, and that is all there can be wrong.
        let _ = text.write_fmt(arguments);
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let len = usize::from(self.len);
        let fits = more.len().min(MAX_TEXT - len);
        self.bytes[len..len + fits].copy_from_slice(&more.as_bytes()[..fits]);
        self.len += fits as u8;
        if fits == more.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// What happened.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "some of it happens in TLS only"))]
pub(crate) enum Fact {
    /// The program has asked for something that is not allowed. Nothing was sent.
    Argument(&'static str),
    /// The peer broke a rule.
    Peer(&'static str),
    /// The peer has answered with this status and reason.
    Answer(u16, Text, &'static str),
    /// There is no connection to this place.
    Connecting(Text),
    /// The peer's request was answered with the status.
    Refused(u16, &'static str),
    /// The peer has not answered a ping for so long, in ms.
    NoAnswer(i64),
    /// The connection has ended before this.
    Ended(&'static str),
    /// A file cannot be read: the system's error.
    Unreadable(Text, i32),
    /// There is something wrong with what is in a file.
    File(Text, &'static str),
    /// The peer's certificate is not accepted.
    Certificate(Text),
    /// The peer has sent an alert of TLS: its name, or its number.
    Alert(Text),
    /// TLS has failed in another way.
    Tls(Text),
}

struct Record {
    error: Errno,
    fact: Option<Fact>,
    /// The call has succeeded with what was read of the file before.
    is_old_used: bool,
    /// That of the peer's answer; empty if there was none.
    head: Vec<u8>,
}

thread_local! {
    /// Noted by a call that is about to fail.
    static PENDING: Cell<Option<ManuallyDrop<Record>>> = const { Cell::new(None) };
    /// Of the last call that failed.
    static LAST: RefCell<Option<ManuallyDrop<Record>>> = const { RefCell::new(None) };
    static SENTENCE: RefCell<[u8; ROOM]> = const { RefCell::new([0; ROOM]) };
}

/// What a thread keeps is freed with its context: registering a destructor with the system needs memory, and
/// without it the process is aborted.
static HOOKS: Hooks = Hooks {
    number: 2,
    at_end: |_| {
        forget(PENDING.take());
        forget(LAST.take());
    },
    in_child: |_| {},
};

fn forget(record: Option<ManuallyDrop<Record>>) {
    drop(record.map(ManuallyDrop::into_inner));
}

fn keep(record: Record) -> Option<ManuallyDrop<Record>> {
    if let Some(context) = Context::existing() {
        context.register(&HOOKS);
    }
    Some(ManuallyDrop::new(record))
}

/// Notes why a call is about to fail with the error, which is returned.
#[cold]
pub(crate) fn note(error: Errno, fact: Fact) -> Errno {
    note_with_head(error, fact, Vec::new())
}

/// Notes before what a connection has ended, if the error says that it has.
#[cold]
pub(crate) fn note_end(error: Errno, before: &'static str) -> Errno {
    if error == Errno::ECONNRESET { note(error, Fact::Ended(before)) } else { error }
}

/// The same as `note`, with the whole head of the peer's answer.
#[cold]
pub(crate) fn note_with_head(error: Errno, fact: Fact, head: Vec<u8>) -> Errno {
    forget(PENDING.replace(keep(Record { error, fact: Some(fact), is_old_used: false, head })));
    error
}

/// What was noted with an error explains another one, which is returned.
#[cfg(feature = "tls")]
#[cold]
pub(crate) fn rename(from: Errno, to: Errno) -> Errno {
    if let Some(mut record) = PENDING.take() {
        if record.error == from {
            record.error = to;
        }
        PENDING.set(Some(record));
    }
    to
}

/// Takes back what was noted with an error.
#[cfg(feature = "tls")]
#[cold]
pub(crate) fn withdraw(error: Errno) -> Option<Fact> {
    let record = PENDING.take().map(ManuallyDrop::into_inner)?;
    if record.error == error { record.fact } else { None }
}

/// Tells of a file that cannot be used any more, though the call has succeeded.
#[cfg(feature = "tls")]
#[cold]
pub(crate) fn warn(error: Errno, fact: Option<Fact>) {
    forget(LAST.replace(keep(Record { error, fact, is_old_used: true, head: Vec::new() })));
}

/// A call fails with the error: what was noted about it is the thread's from now on.
#[cold]
pub(crate) fn settle(error: Errno) {
    probes::error(error);
    let noted = PENDING.take().map(ManuallyDrop::into_inner).filter(|record| record.error == error);
    let record = noted.unwrap_or(Record { error, fact: None, is_old_used: false, head: Vec::new() });
    forget(LAST.replace(keep(record)));
}

/// The status of the answer that the last failed call has got; 0 if that is not why it failed.
pub(crate) fn status() -> u16 {
    LAST.with_borrow(|last| match last.as_ref().and_then(|record| record.fact) {
        Some(Fact::Answer(status, ..)) => status,
        _ => 0,
    })
}

/// Looks at the head of that answer, which is empty if there was none.
pub(crate) fn with_head<R>(look: impl FnOnce(&[u8]) -> R) -> Option<R> {
    LAST.try_with(|last| look(last.borrow().as_ref().map_or(&[], |record| &record.head))).ok()
}

/// The sentence, which stays as it is until the next time that the thread asks.
pub(crate) fn sentence() -> *const c_char {
    let written = SENTENCE.try_with(|sentence| {
        let mut sentence = sentence.borrow_mut();
        let mut writer = Writer { room: &mut sentence[..ROOM - 1], len: 0 };
        let _ = LAST.try_with(|last| write(&mut writer, last.borrow().as_deref()));
        let len = writer.len;
        sentence[len] = 0;
        sentence.as_ptr().cast()
    });
    written.unwrap_or(c"".as_ptr())
}

fn write(to: &mut Writer<'_>, record: Option<&Record>) {
    let Some(record) = record else { return to.put("no call has failed") };
    match &record.fact {
        None => write_error(to, record.error),
        Some(Fact::Argument(rule)) => {
            to.put("not allowed: ");
            to.put(rule);
        }
        Some(Fact::Peer(rule)) => {
            to.put("the peer broke the protocol: ");
            to.put(rule);
        }
        Some(Fact::Answer(status, reason, rule)) => {
            to.put("the peer answered ");
            to.put_number(u32::from(*status));
            to.put(" ");
            to.put_quoted(reason.as_bytes());
            to.put(": ");
            to.put(rule);
        }
        Some(Fact::Connecting(place)) => {
            to.put("cannot connect to ");
            to.put_quoted(place.as_bytes());
            to.put(": ");
            write_error(to, record.error);
        }
        Some(Fact::Refused(status, rule)) => {
            to.put("the request was answered with ");
            to.put_number(u32::from(*status));
            to.put(": ");
            to.put(rule);
        }
        Some(Fact::NoAnswer(time)) => {
            let (number, unit) = if time % 1000 == 0 { (time / 1000, " s") } else { (*time, " ms") };
            to.put("no answer to a ping for ");
            to.put_number(u32::try_from(number).unwrap_or(u32::MAX));
            to.put(unit);
        }
        Some(Fact::Ended(before)) => {
            to.put("the connection has ended before ");
            to.put(before);
        }
        Some(Fact::Unreadable(file, code)) => {
            to.put("cannot read ");
            to.put_quoted(file.as_bytes());
            to.put(": ");
            write_code(to, *code);
        }
        Some(Fact::File(file, rule)) => {
            to.put("cannot use ");
            to.put_quoted(file.as_bytes());
            to.put(": ");
            to.put(rule);
        }
        Some(Fact::Certificate(problem)) => {
            to.put("the peer's certificate is not accepted: ");
            to.put_quoted(problem.as_bytes());
        }
        Some(Fact::Alert(alert)) => {
            to.put("the peer has ended TLS with the alert ");
            to.put_quoted(alert.as_bytes());
        }
        Some(Fact::Tls(problem)) => {
            to.put("TLS: ");
            to.put_quoted(problem.as_bytes());
        }
    }
    if record.is_old_used {
        to.put("; what was read before is still used");
    }
}

fn write_error(to: &mut Writer<'_>, error: Errno) {
    match error.sentence() {
        Some(sentence) => to.put(sentence.trim()),
        None => write_code(to, error.code()),
    }
}

/// What the system says about a value of errno.
fn write_code(to: &mut Writer<'_>, code: i32) {
    let mut text = [0_u8; 96];
    // SAFETY: there is room for what it is told.
    unsafe { libc::strerror_r(code, text.as_mut_ptr().cast(), text.len() - 1) };
    let len = text.iter().position(|&byte| byte == 0).unwrap_or(0);
    to.put_quoted(&text[..len]);
}

/// Writes as far as there is room.
struct Writer<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn put_byte(&mut self, byte: u8) {
        if let Some(place) = self.room.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn put(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.put_byte(byte));
    }

    /// Somebody else's bytes: nothing of them can be taken for the end of a line, or do anything to a
    /// terminal.
    fn put_quoted(&mut self, text: &[u8]) {
        for &byte in text {
            match byte {
                b' '..=b'~' if byte != b'\\' => self.put_byte(byte),
                _ => {
                    let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                    [b'\\', b'x', digit(byte >> 4), digit(byte & 15)]
                        .iter()
                        .for_each(|byte| self.put_byte(*byte));
                }
            }
        }
    }

    fn put_number(&mut self, number: u32) {
        if number >= 10 {
            self.put_number(number / 10);
        }
        self.put_byte(b'0' + (number % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ffi::CStr;

    fn said() -> String {
        // SAFETY: a string that stays as it is until the next call.
        unsafe { CStr::from_ptr(sentence()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_fact_explains_the_error_that_it_was_noted_with_and_no_other() {
        note(Errno::EPROTO, Fact::Peer("rule"));
        settle(Errno::ETIMEDOUT);
        assert_eq!(said(), "The deadline passed.");
        settle(Errno::EPROTO);
        assert_eq!(said(), "The peer violated the protocol.");
        settle(note(Errno::EPROTO, Fact::Peer("rule")));
        assert_eq!(said(), "the peer broke the protocol: rule");
    }

    #[test]
    fn bytes_of_others_are_printable() {
        settle(note(Errno::EPROTO, Fact::Answer(200, Text::new(b"a\n\x1b\\\xff ~"), "rule")));
        assert_eq!(said(), "the peer answered 200 a\\x0a\\x1b\\x5c\\xff ~: rule");
        settle(note(Errno::EPROTO, Fact::Answer(200, Text::new(&[7; 1000]), "rule")));
        assert_eq!(said().len(), ROOM - 1);
    }

    #[test]
    fn an_answer_is_kept_until_the_next_failure() {
        let fact = Fact::Answer(503, Text::new(b"Come\x80back"), "no WebSocket");
        settle(note_with_head(Errno::EPROTO, fact, b"head".to_vec()));
        assert_eq!(said(), "the peer answered 503 Come\\x80back: no WebSocket");
        assert_eq!((status(), with_head(<[u8]>::len)), (503, Some(4)));
        settle(Errno::EBADF);
        assert_eq!((status(), with_head(<[u8]>::len)), (0, Some(0)));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_file_is_named_and_what_is_used_in_its_place() {
        let fact = Fact::Unreadable(Text::new(b"key.pem"), libc::EACCES);
        settle(note(Errno::EACCES, fact));
        assert_eq!(said(), "cannot read key.pem: Permission denied");
        note(Errno::EACCES, fact);
        settle(rename(Errno::EACCES, Errno::EFAULT));
        assert_eq!(said(), "cannot read key.pem: Permission denied");
        note(Errno::EACCES, fact);
        warn(Errno::EACCES, withdraw(Errno::EACCES));
        assert_eq!(said(), "cannot read key.pem: Permission denied; what was read before is still used");
        settle(Errno::EACCES);
        assert_ne!(said(), "cannot read key.pem: Permission denied");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_text_holds_the_beginning_of_what_does_not_fit() {
        let text = Text::format(format_args!("{}{}", "a".repeat(100), "b".repeat(100)));
        assert_eq!(text.as_bytes(), ["a".repeat(100), "b".repeat(60)].concat().as_bytes());
    }

    #[test]
    fn unknown_errors_are_named_as_the_system_does() {
        settle(Errno::System(libc::EHOSTUNREACH));
        assert!(!said().is_empty());
    }
}
